"""Busts of nobody: hair, chin, neck and shoulders drawn around the faces in `people/`, and heads that turn.

Lengths are in the units of the aligned face, 112 to its side.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

PEOPLE = Path(__file__).parent / "people"
_LEFT, _TOP, _WIDE, _HIGH = -80, -45, 272, 320
"""What a bust covers around the aligned face."""
_DETAIL = 2
"""Pixels of a bust per unit."""
_CENTRE = 56.0, 60.0
_CHIN = 14

FACE_WIDTH_PX = 84.0 * _DETAIL
"""From ear to ear in the picture of a bust."""
PIVOT_PX = (_CENTRE[0] - _LEFT) * _DETAIL, (_CENTRE[1] - _TOP) * _DETAIL
"""The middle of the face in the picture of a bust, x and y."""


class Look(NamedTuple):
    """What the aligned face does not show."""

    long_hair: bool
    clothes: tuple[int, int, int]


LOOKS = {
    "nobody-1": Look(False, (52, 66, 84)),
    "nobody-2": Look(True, (96, 52, 48)),
    "nobody-3": Look(True, (70, 92, 88)),
    "nobody-4": Look(True, (128, 116, 104)),
    "nobody-5": Look(True, (44, 52, 92)),
    "nobody-6": Look(False, (84, 84, 78)),
    "nobody-7": Look(True, (150, 74, 62)),
    "nobody-8": Look(False, (40, 74, 58)),
}


@dataclass(frozen=True)
class Bust:
    """Head and shoulders of nobody, RGBA 0 to 1."""

    body: Floats
    head: Floats


def load_face(name: str, folder: Path = PEOPLE) -> Image:
    """The aligned face (112, 112, 3) of a bundled person."""
    picture = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(folder / f"{name}.png")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def make_bust(face: Image, look: Look) -> Bust:
    """Draws hair, chin, neck and shoulders in the face's own colours around it."""
    tones = face.astype(np.float32) / 255
    hair = np.median(tones[1:9, 30:82].reshape(-1, 3), axis=0) * 0.8
    skin = np.median(tones[103:110, 46:66].reshape(-1, 3), axis=0)
    clothes = np.array(look.clothes, dtype=np.float32) / 255

    body = np.zeros((_HIGH * _DETAIL, _WIDE * _DETAIL, 4), np.float32)
    if look.long_hair:
        _paint(body, hair * 0.8, _ellipse((56, 86), (60, 78), 6))
    _paint(body, skin * 0.6, _ellipse((56, 118), (26, 42), 3))
    _paint(body, clothes, _ellipse((56, 290), (126, 144), 3))
    _paint(body, skin * 0.66, _ellipse((56, 138), (20, 22), 3))

    head = np.zeros_like(body)
    _paint(head, hair, _ellipse((56, 44), (56, 64), 5))
    if not look.long_hair:
        _paint(head, skin * 0.7, _ellipse((56, 62), (50, 16), 3))
    _paint(head, skin * 0.9, _ellipse((56, 70), (42, 52), 4))
    _paint(head, _placed(_with_chin(tones)), _ellipse((56, 57), (47, 65), 6) * _placed(_fading())[..., 0])
    return Bust(body, head)


def _with_chin(face: Floats) -> Floats:
    """The aligned face ends above the chin: a blurred mirror of its last rows goes on for it."""
    longer = cv2.copyMakeBorder(face, 0, _CHIN, 0, 0, cv2.BORDER_REFLECT)
    longer[112:] = cv2.GaussianBlur(longer, (0, 0), 2)[112:]
    shade = np.linspace(1, 0.85, _CHIN, dtype=np.float32)
    longer[112:] *= shade[:, None, None]
    return np.asarray(longer, dtype=np.float32)


def _units(detail: int = _DETAIL) -> tuple[Floats, Floats]:
    """x and y of every pixel of a bust with `detail` pixels per unit."""
    y, x = np.mgrid[: _HIGH * detail, : _WIDE * detail].astype(np.float32)
    return (x + 0.5) / detail - 0.5 + _LEFT, (y + 0.5) / detail - 0.5 + _TOP


def _ellipse(centre: tuple[float, float], radii: tuple[float, float], softness: float) -> Floats:
    x, y = _units()
    distance = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
    return np.clip((1 - distance) * min(radii) / softness + 0.5, 0, 1)


def _fading() -> Floats:
    """1 inside the aligned face, 0 at its border, where the picture of it ends; (H, W, 1)."""
    rows, columns = np.arange(112 + _CHIN), np.arange(112)
    inward = [np.clip(np.minimum(ramp, ramp[::-1]) / 10, 0, 1) for ramp in (rows, columns)]
    return np.outer(*inward)[..., None].astype(np.float32)


def _placed(tile: Floats) -> Floats:
    """A tile (H, W, C), in units from the corner of the aligned face, at its place in a bust."""
    shift = (_DETAIL - 1) / 2
    at = np.array([[_DETAIL, 0, shift - _LEFT * _DETAIL], [0, _DETAIL, shift - _TOP * _DETAIL]], np.float32)
    size = _WIDE * _DETAIL, _HIGH * _DETAIL
    placed = cv2.warpAffine(tile, at, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
    return np.atleast_3d(np.clip(placed, 0, 1)).astype(np.float32)


def _paint(canvas: Floats, colour: Floats, cover: Floats) -> None:
    """Lays a colour, or a picture, over the canvas."""
    cover = cover[..., None]
    canvas[..., :3] += (colour - canvas[..., :3]) * cover
    canvas[..., 3:] += (1 - canvas[..., 3:]) * cover


def posed(bust: Bust, yaw: float, pitch: float) -> Floats:
    """The bust (H, W, 4) with its head turned by degrees; painted over black, with its cover."""
    head = _turned(bust.head, yaw, pitch)
    return np.asarray(head + bust.body * (1 - head[..., 3:]), dtype=np.float32)


def side_lit(side: float) -> Floats:
    """How light falls on a bust from the left (-1) to the right (1); (H, W, 1)."""
    x, _ = _units()
    return np.clip(1 + 0.45 * side * (x - _CENTRE[0]) / 50, 0.3, 1.6)[..., None]


def _turned(head: Floats, yaw: float, pitch: float) -> Floats:
    """The head turned by degrees, as if painted on an egg with a nose."""
    x, y = _units(1)
    x, y = x - _CENTRE[0], y - _CENTRE[1]
    sine_x, sine_y = np.sin(np.radians([yaw, pitch]))
    cosine_x, cosine_y = np.cos(np.radians([yaw, pitch]))
    source_x, source_y = x.copy(), y.copy()
    for _ in range(8):  # which point of the head ends up here? converges, as the egg is nowhere steep
        depth = _depth(source_x, source_y)
        source_x = (x - sine_x * depth) / cosine_x
        source_y = (y - sine_y * depth) / cosine_y
    source = np.dstack([source_x + _CENTRE[0] - _LEFT, source_y + _CENTRE[1] - _TOP]).astype(np.float32)
    fine = cv2.resize(source, head.shape[1::-1], interpolation=cv2.INTER_LINEAR) * _DETAIL + (_DETAIL - 1) / 2
    turned = cv2.remap(head, fine, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(turned, dtype=np.float32)


def _depth(x: Floats, y: Floats) -> Floats:
    egg = 40 * np.clip(1 - np.square(x / 60) - np.square(y / 76), 0, 1)
    nose = 9 * np.exp(-np.square(x / 8) - np.square((y - 12) / 11))
    return egg + nose - 20
