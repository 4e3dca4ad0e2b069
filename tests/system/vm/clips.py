"""Makes the virtual machine's second disk: what its camera is to see, and who is enrolled."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import demo_clip
import numpy as np

from facelatch.values.pictures import Image
from facelatch.vision.letterbox import letterbox

ROBIN, STRANGER, NEWCOMER = "nobody-1", "nobody-2", "nobody-5"
SIZE, LARGE = (320, 240), (640, 480)
"""Small pictures: the processor is an emulated one."""
REAL = Path(__file__).resolve().parents[4] / "shared/data/clips.tar"
"""People on television: one folder of numbered frames each. Beside the checkout, never in it."""
ENROL_FRAMES = 5
"""Of a real person; the rest of the frames is the visit."""

CONFIG = """
[camera]
width_px = 320
height_px = 240
search_width_px = 160
search_height_px = 120
[storage]
state_directory = "{home}/state"
[control]
socket = "{home}/control.sock"
group = ""
"""


def facelatch(home: Path, *arguments: str) -> str:
    """The command line as it is in this checkout, on a gallery in `home`."""
    config = home / "facelatch.toml"
    config.write_text(CONFIG.format(home=home))
    command = [sys.executable, "-m", "facelatch", "--config", str(config), *arguments]
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def black(frames: int) -> Iterator[Image]:
    """A covered lens: nothing but the noise of the sensor."""
    rng = np.random.default_rng(4)
    for _ in range(frames):
        yield rng.integers(0, 3, (LARGE[1], LARGE[0], 3), dtype=np.uint8)


def make_disk(path: Path, home: Path) -> None:
    """A tar with the clips as YUYV frames, and an export of the gallery in which robin is enrolled."""
    with tarfile.open(path, "w") as tar:
        porch = list(demo_clip.clip([(None, 1.0)], 1))
        _add(tar, "porch", porch, SIZE)
        _add(tar, "porch", porch, LARGE)
        robin = list(demo_clip.turning_head(ROBIN, 24, 2, 10))
        _add(tar, "robin", robin, SIZE)
        _add(tar, "robin", robin, LARGE)
        _add(tar, "still", robin[:1], SIZE)
        _add(tar, "stranger", demo_clip.turning_head(STRANGER, 24, 3, 10), SIZE)
        _add(tar, "newcomer", demo_clip.turning_head(NEWCOMER, 40, 1, 22), SIZE)
        _add(tar, "black", black(8), SIZE)
        if REAL.is_file():
            _add_real_people(tar, home)
        demo_clip.save(demo_clip.enrolment_pictures(ROBIN, 8, 1), home / "enrol")
        facelatch(home, "enroll", "robin", "--images", str(home / "enrol"))
        facelatch(home, "people", "export", str(home / "people.facelatch"), "--plain")
        tar.add(home / "people.facelatch", "people.facelatch")


def _add_real_people(tar: tarfile.TarFile, home: Path) -> None:
    """Enrols the first real person whom this recogniser lets in at all (how many it does is measured elsewhere).

    That one's visit is the clip `guest`; the visit of the next one who is refused is the clip `passer-by`. Where there
    are no two such people there are no such clips.
    """
    people: dict[str, list[Image]] = {}
    with tarfile.open(REAL) as archive:
        for entry in sorted((one for one in archive if one.isfile()), key=lambda one: one.name):
            data = np.frombuffer(archive.extractfile(entry).read(), np.uint8)  # type: ignore[union-attr]
            picture = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            people.setdefault(str(Path(entry.name).parent), []).append(letterbox(picture, SIZE).image)
    guest: list[Image] = []
    for folder, pictures in people.items():
        first, visit = home / folder / "first", home / folder / "visit"
        demo_clip.save(iter(pictures[:ENROL_FRAMES]), first)
        demo_clip.save(iter(pictures[ENROL_FRAMES:]), visit)
        if guest:
            if _events(home, visit) == {"visit.refused"}:
                _add(tar, "guest", guest, SIZE)
                _add(tar, "passer-by", pictures[ENROL_FRAMES:], SIZE)
                return
            continue
        try:
            facelatch(home, "enroll", "guest", "--images", str(first))
        except subprocess.CalledProcessError:
            continue  # too few good pictures
        if "visit.granted" in _events(home, visit):
            guest = pictures[ENROL_FRAMES:]
        else:
            facelatch(home, "people", "remove", "guest", "--yes")


def _events(home: Path, visit: Path) -> set[str]:
    """How the visits on these pictures ended."""
    lines = facelatch(home, "replay", str(visit), "--json").splitlines()
    return {event for line in lines if (event := json.loads(line).get("event", "")).startswith("visit.")}


def _add(tar: tarfile.TarFile, name: str, pictures: Iterable[Image], size: tuple[int, int]) -> None:
    frames = b"".join(_yuyv(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)) for picture in pictures)
    entry = tarfile.TarInfo(f"{name}.{size[0]}x{size[1]}")
    entry.size = len(frames)
    tar.addfile(entry, io.BytesIO(frames))


def _yuyv(picture: np.ndarray) -> bytes:
    """As a USB camera sends it: brightness of each pixel, colour of each second one."""
    yuv = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV)
    packed = np.empty((*yuv.shape[:2], 2), np.uint8)
    packed[..., 0] = yuv[..., 0]
    packed[:, 0::2, 1] = yuv[:, 0::2, 1]
    packed[:, 1::2, 1] = yuv[:, 0::2, 2]
    return packed.tobytes()
