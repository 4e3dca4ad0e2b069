"""What this processor makes of the same pictures: golden crops, faces found, embeddings and similarities.

    python results.py INPUTS OUT.json       with the packages facelatch and demo_clip to be found

The first to run draws the pictures into INPUTS and notes the landmarks to crop by; the next takes them from there, so
that each step is compared by itself.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facelatch.adapters.models import tflite
from facelatch.adapters.models.finder_tflite import TfliteFinder
from facelatch.adapters.models.verifier_tflite import TfliteVerifier
from facelatch.vision.align import align

CHECKOUT = Path(__file__).resolve().parents[3]
GOLDEN = CHECKOUT / "tests" / "golden"
MODELS = CHECKOUT / "models"
RUNTIMES = tflite.RUNTIMES
PEOPLE, PICTURES_EACH = ("nobody-1", "nobody-2", "nobody-3", "nobody-4"), 2
SCORE = 0.6


def read_image(path: Path) -> Any:
    """RGB (H, W, 3). Not by the house's decoder: that is a process of its own, and emulated ones may start none."""
    picture = cv2.imread(str(path))
    assert picture is not None, path
    return np.ascontiguousarray(picture[..., ::-1])


def draw(folder: Path) -> None:
    """Pictures of the bundled people, found once for their landmarks."""
    import demo_clip

    finder = TfliteFinder(MODELS / "finder.tflite", SCORE)
    landmarks = {}
    for seed, person in enumerate(PEOPLE):
        for number, picture in enumerate(demo_clip.enrolment_pictures(person, PICTURES_EACH, seed)):
            name = f"{person}-{number}.png"
            cv2.imwrite(str(folder / name), picture[..., ::-1])
            landmarks[name] = finder.find(_small(picture))[0].landmarks.tolist()
    (folder / "landmarks.json").write_text(json.dumps(landmarks))


def results(inputs: Path) -> dict[str, Any]:
    landmarks = json.loads((inputs / "landmarks.json").read_text())
    pictures = {name: read_image(inputs / name) for name in landmarks}
    crops = [align(pictures[name], 2 * np.array(points, np.float32)) for name, points in landmarks.items()]
    return {
        "machine": platform.machine(),
        "golden": golden(),
        "runtimes": {
            package: judged([_small(picture) for picture in pictures.values()], crops, (module, package))
            for module, package in RUNTIMES
        },
    }


def golden() -> dict[str, Any]:
    """For each golden crop: grey levels it is away from the stored one, largest and mean."""
    facts = json.loads((GOLDEN / "golden.json").read_text())
    picture = read_image(GOLDEN / "picture.png")
    away = {}
    for name, points in facts["landmarks"].items():
        crop = align(picture, np.array(points, np.float32))
        difference = np.abs(crop.astype(int) - read_image(GOLDEN / f"crop-{name}.png").astype(int))
        away[name] = {"largest": int(difference.max()), "mean": float(difference.mean())}
    return away


def judged(pictures: list[Any], crops: list[Any], runtime: tuple[str, str]) -> dict[str, Any]:
    """Faces, embeddings and similarities by one runtime."""
    tflite.RUNTIMES = (runtime,)
    finder = TfliteFinder(MODELS / "finder.tflite", SCORE)
    verifier = TfliteVerifier(MODELS / "siamese.tflite", runtime=runtime[1])
    embeddings = np.stack([verifier.embed(crop) for crop in crops])
    faces = [finder.find(picture)[0] for picture in pictures]
    return {
        "scores": [float(face.score) for face in faces],
        "landmarks": [face.landmarks.tolist() for face in faces],
        "embeddings": embeddings.tolist(),
        "similarities": [verifier.compare(probe, embeddings).tolist() for probe in embeddings],
    }


def _small(picture: Any) -> Any:
    return cv2.resize(picture, (320, 240), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    if not (folder / "landmarks.json").exists():
        draw(folder)
    out.write_text(json.dumps(results(folder)))
