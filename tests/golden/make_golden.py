"""Draws the golden picture of a face and writes what `facelatch.vision.align` makes of it.

    python tests/golden/make_golden.py

Only run it together with a raised ALIGN_VERSION: a model fits crops of its own version only, so a golden
crop that changes without it means that the door no longer sees what the model was trained on.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from facelatch.vision.align import ALIGN_VERSION, TEMPLATE, align

FOLDER = Path(__file__).parent
SIZE = (480, 360)
FACES = {"large": (3.1, 17.0, (60.0, 40.0)), "small": (0.6, -25.0, (400.0, 40.0))}
"""Per face: how many times as large as its crop, turned by degrees, and where its crop's corner lies."""


def landmarks_of(name: str) -> np.ndarray:
    """The template, turned, scaled and moved."""
    scale, degrees, corner = FACES[name]
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centred = TEMPLATE - TEMPLATE.mean(axis=0)
    jitter = np.array([[0.8, -0.5], [-0.6, 0.4], [1.2, 0.7], [-0.9, -0.8], [0.3, 1.1]])  # no face is the template
    place = TEMPLATE.mean(axis=0) * scale + corner
    return ((centred + jitter) @ turn.T + place).astype(np.float32)


def draw() -> np.ndarray:
    """A picture with fine and coarse texture and a drawn face at each set of landmarks."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    waves = [np.sin(x / 3.1 + y / 41), np.sin(x * y / 2900), np.cos(y / 2.3 - x / 57)]
    picture = np.stack([128 + 60 * wave for wave in waves], axis=-1).astype(np.uint8)
    for name in FACES:
        points = landmarks_of(name)
        eyes = float(np.linalg.norm(points[1] - points[0]))
        centre = tuple(int(v) for v in points.mean(axis=0))
        cv2.ellipse(picture, centre, (int(eyes * 1.1), int(eyes * 1.5)), FACES[name][1], 0, 360, (205, 160, 130), -1)
        for index, point in enumerate(points):
            colour = [(40, 60, 160), (40, 60, 160), (120, 80, 60), (170, 50, 60), (170, 50, 60)][index]
            cv2.circle(picture, tuple(int(v) for v in point), max(1, int(eyes / 9)), colour, -1)
        mouth = [tuple(int(v) for v in point) for point in points[3:]]
        cv2.line(picture, mouth[0], mouth[1], (170, 50, 60), max(1, int(eyes / 14)))
    return picture


def main() -> None:
    picture = draw()
    _write("picture.png", picture)
    for name in FACES:
        crop = align(picture, landmarks_of(name))
        assert crop is not None
        _write(f"crop-{name}.png", crop)
    facts = {"align_version": ALIGN_VERSION, "landmarks": {name: landmarks_of(name).tolist() for name in FACES}}
    (FOLDER / "golden.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _write(name: str, image: np.ndarray) -> None:
    cv2.imwrite(str(FOLDER / name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
