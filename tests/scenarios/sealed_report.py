"""What the seal costs: the start of the door with the same people in a plain and in a sealed gallery.

    python tests/scenarios/sealed_report.py [PEOPLE]      500 by default

Prints seconds from `facelatch run` to READY and of opening and loading alone, least of several; pictures are noise.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from facelatch.gallery.rotation import rotate
from facelatch.gallery.store import GalleryStore
from facelatch.values.records import NewPerson, Reference
from facelatch.vision.manifest import load_manifest

REPO = Path(__file__).resolve().parents[2]
REFERENCES, REPEATS, KEY = 8, 7, bytes(range(32))


def fill(home: Path, people: int) -> str:
    """Makes a plain gallery of `people` for the shipped model, whose hash is returned."""
    manifest = load_manifest(REPO / "models" / "siamese.tflite")
    noise = np.random.default_rng(1)
    with GalleryStore.open(home) as store:
        for number in range(people):
            crops = noise.integers(0, 256, (REFERENCES, 112, 112, 3), dtype=np.uint8)
            vectors = noise.standard_normal((REFERENCES, manifest.embedding_size)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            references = tuple(Reference(crop, vector) for crop, vector in zip(crops, vectors, strict=True))
            store.add(NewPerson(f"Person {number:05}", False, references), manifest.model_sha256)
    return manifest.model_sha256


def ready_seconds(folder: Path, state: Path, *, sealed: bool) -> float:
    """From starting `facelatch run` to its READY=1."""
    config = folder / "facelatch.toml"
    config.write_text(
        f'[camera]\nsource = "files"\ndevice = "{folder / "frames"}"\n[storage]\nstate_directory = "{state}"\n'
        f'[control]\nsocket = "{folder / "control.sock"}"\ngroup = ""\n'
    )
    (folder / "notify.sock").unlink(missing_ok=True)
    environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify.sock"), "PYTHONPATH": str(REPO / "daemon")}
    if sealed:
        environment["CREDENTIALS_DIRECTORY"] = str(folder / "credentials")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(folder / "notify.sock"))
        notify.settimeout(120)
        command = [sys.executable, "-m", "facelatch", "--config", str(config), "run", "--dry-run", "--loop"]
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
            return time.perf_counter() - began
        finally:
            process.terminate()
            process.wait(20)


def load_seconds(state: Path, model: str, *keys: bytes) -> float:
    """Opening the gallery and loading everybody, in this process."""
    began = time.perf_counter()
    with GalleryStore.open(state, keys) as store:
        store.load(model, lambda _crop: np.zeros(0, np.float32))
        return time.perf_counter() - began


def main() -> None:
    """Measures and prints a Markdown table."""
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory(prefix="facelatch-sealed-") as name:
        folder = Path(name)
        (folder / "frames").mkdir()
        (folder / "credentials").mkdir()
        (folder / "credentials" / "facelatch-seal").write_bytes(KEY)
        for number in range(3):
            picture = np.random.default_rng(number).integers(0, 255, (960, 1280, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / "frames" / f"{number}.png"), picture)
        model = fill(folder / "plain", people)
        shutil.copytree(folder / "plain", folder / "sealed")
        began = time.perf_counter()
        with GalleryStore.open(folder / "sealed", [KEY]) as store:
            converted = time.perf_counter() - began
            rotate(store, [KEY])
            rotated = time.perf_counter() - began - converted
            while not store.wipe():
                pass
        homes = ((folder / "plain", False), (folder / "sealed", True))
        # In turn, so that a busy moment of the machine meets both.
        ready = [[ready_seconds(folder, home, sealed=sealed) for home, sealed in homes] for _ in range(REPEATS)]
        load = [[load_seconds(home, model, *[KEY] * sealed) for home, sealed in homes] for _ in range(REPEATS)]
        print(f"{people} people, {REFERENCES} references each; sealed in {converted:.1f} s, anew in {rotated:.1f} s\n")
        print("| | plain, s | sealed, s | ratio |\n|---|---|---|---|")
        for what, rows in (("start to READY", ready), ("open and load", load)):
            plain, under = (min(column) for column in zip(*rows, strict=True))
            print(f"| {what} | {plain:.3f} | {under:.3f} | {under / plain:.2f} |")


if __name__ == "__main__":
    main()
