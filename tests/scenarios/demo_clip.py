"""Draws visits to a door: the faces of nobody in `people/`, moved, turned, scaled and lit before a drawn porch.

Everything follows from a seed. No two frames are equal: a real sensor is noisy, and the daemon takes a
repeated picture for a frozen camera. Lengths are in the units of the aligned face, 112 to its side.

    python tests/scenarios/demo_clip.py OUT     writes OUT/enrol/*.jpg and OUT/clip/*.jpg
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import click
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

PEOPLE = Path(__file__).parent / "people"
WIDTH_PX, HEIGHT_PX = 640, 480
RATE_FPS = 10
FACE_WIDTH = 84.0
"""From ear to ear, so that a pose can be given in pixels of face."""

_LEFT, _TOP, _WIDE, _HIGH = -80, -45, 272, 280
"""What a bust covers around the aligned face."""
_DETAIL = 2
"""Pixels of a bust per unit."""
_CENTRE = 56.0, 60.0
_CHIN = 14


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
class Pose:
    """How somebody stands before the camera."""

    x_px: float = WIDTH_PX / 2
    y_px: float = HEIGHT_PX / 2
    """The middle of the face."""
    face_px: float = 150.0
    """Its width."""
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    """Degrees."""
    light: float = 1.0
    """Brightness of the face."""
    side_light: float = 0.0
    """-1 to 1: from where the light comes."""


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
    _paint(body, clothes, _ellipse((56, 240), (126, 94), 3))
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


def turn(head: Floats, yaw: float, pitch: float) -> Floats:
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


def porch(rng: np.random.Generator) -> Floats:
    """The view without anybody: wall, door with a window, lamp; (H, W, 3) 0 to 1."""
    scene = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.float32)
    scene[:] = (0.52, 0.47, 0.42)
    for row, y in enumerate(range(0, HEIGHT_PX, 24)):
        for x in range(-(row % 2) * 30, WIDTH_PX, 60):
            tint = 1 + rng.uniform(-0.09, 0.09)
            brick = (0.50 * tint, 0.40 * tint, 0.35 * tint)
            cv2.rectangle(scene, (x + 2, y + 2), (x + 57, y + 21), brick, cv2.FILLED)
    cv2.rectangle(scene, (372, 40), (586, HEIGHT_PX), (0.80, 0.78, 0.73), cv2.FILLED)
    cv2.rectangle(scene, (388, 56), (570, HEIGHT_PX), (0.24, 0.33, 0.31), cv2.FILLED)
    for top in (250, 390):
        cv2.rectangle(scene, (410, top), (548, top + 110), (0.19, 0.27, 0.26), 3)
    cv2.rectangle(scene, (416, 84), (542, 210), (0.62, 0.70, 0.74), cv2.FILLED)
    cv2.line(scene, (479, 84), (479, 210), (0.24, 0.33, 0.31), 5)
    cv2.circle(scene, (402, 300), 7, (0.75, 0.66, 0.40), cv2.FILLED)
    cv2.rectangle(scene, (300, 96), (324, 140), (0.93, 0.88, 0.70), cv2.FILLED)
    x, y = np.meshgrid(np.arange(WIDTH_PX), np.arange(HEIGHT_PX))
    glow = 0.75 + 0.45 * np.exp(-np.hypot(x - 312, y - 118) / 260)
    return np.asarray(cv2.GaussianBlur(scene * glow[..., None], (0, 0), 1.2), dtype=np.float32)


def draw(scene: Floats, bust: Bust | None, pose: Pose, rng: np.random.Generator) -> Image:
    """One frame, (H, W, 3) RGB, with the noise of a sensor."""
    picture = scene * rng.uniform(0.985, 1.015)
    if bust is not None:
        picture = _with_person(picture, bust, pose)
    grain = rng.standard_normal(picture.shape, dtype=np.float32) * (0.006 + 0.012 * np.sqrt(picture))
    return np.asarray(np.clip((picture + grain) * 255, 0, 255), dtype=np.uint8)


def _with_person(picture: Floats, bust: Bust, pose: Pose) -> Floats:
    figure = bust.body.copy()
    head = turn(bust.head, pose.yaw, pose.pitch)
    # Both are painted over black and carry their cover, so laying one over the other is one line.
    figure = head + figure * (1 - head[..., 3:])
    x, _ = _units()
    shade = pose.light * np.clip(1 + 0.45 * pose.side_light * (x - _CENTRE[0]) / 50, 0.3, 1.6)
    figure[..., :3] *= shade[..., None]
    scale = pose.face_px / FACE_WIDTH / _DETAIL
    if scale < 1:  # so that shrinking does not alias
        figure = cv2.GaussianBlur(figure, (0, 0), max(0.45 / scale - 0.45, 0.01)).astype(np.float32)
    pivot = (_CENTRE[0] - _LEFT) * _DETAIL, (_CENTRE[1] - _TOP) * _DETAIL
    place = cv2.getRotationMatrix2D(pivot, -pose.roll, scale)
    place[:, 2] += pose.x_px - pivot[0], pose.y_px - pivot[1]
    placed = cv2.warpAffine(figure, place, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR)
    return np.clip(placed[..., :3] + picture * (1 - placed[..., 3:]), 0, 1)


def visit(frames: int, rng: np.random.Generator) -> Iterator[Pose]:
    """Somebody walks up from the left, stands before the camera, looks about a little, and leaves to the right."""
    phase = rng.uniform(0, 2 * np.pi, 4)
    light, side = rng.uniform(0.88, 1.08), rng.uniform(-0.5, 0.5)
    for step in range(frames):
        part = step / max(frames - 1, 1)
        near = np.clip(min(part / 0.3, (1 - part) / 0.15), 0, 1)
        sway = np.sin(step * np.array([0.31, 0.23, 0.17, 0.41]) + phase)
        away = -1 if part < 0.5 else 1
        yield Pose(
            x_px=300 + 10 * sway[0] + away * 330 * (1 - near) ** 1.5,
            y_px=235 + 6 * sway[1],
            face_px=105 + 75 * near,
            yaw=14 * sway[2] + away * 18 * (1 - near),
            pitch=6 * sway[3],
            roll=5 * sway[1],
            light=light,
            side_light=side,
        )


def enrolment_poses(count: int, rng: np.random.Generator) -> Iterator[Pose]:
    """Somebody who looks at the camera and moves the head a little, in changing light."""
    for index in range(count):
        around = 2 * np.pi * index / count
        yield Pose(
            x_px=300 + rng.uniform(-40, 40),
            y_px=235 + rng.uniform(-15, 15),
            face_px=rng.uniform(130, 190),
            yaw=13 * np.cos(around),
            pitch=7 * np.sin(around),
            roll=rng.uniform(-4, 4),
            light=rng.uniform(0.85, 1.1),
            side_light=rng.uniform(-0.5, 0.5),
        )


def enrolment_pictures(name: str, count: int, seed: int) -> Iterator[Image]:
    """Pictures to enrol a bundled person from."""
    rng = np.random.default_rng(seed)
    scene, bust = porch(rng), make_bust(load_face(name), LOOKS[name])
    for pose in enrolment_poses(count, rng):
        yield draw(scene, bust, pose, rng)


def clip(visits: list[tuple[str | None, float]], seed: int) -> Iterator[Image]:
    """The frames of visits in turn, each a bundled name, or None for nobody, and its length in seconds."""
    rng = np.random.default_rng(seed)
    scene = porch(rng)
    for name, seconds in visits:
        bust = make_bust(load_face(name), LOOKS[name]) if name is not None else None
        for pose in visit(round(seconds * RATE_FPS), rng):
            yield draw(scene, bust, pose, rng)


def save(pictures: Iterator[Image], folder: Path) -> int:
    """Writes numbered JPEGs into a new folder; returns how many."""
    folder.mkdir(parents=True)
    number = 0
    for number, picture in enumerate(pictures, start=1):
        path = folder / f"{number:04d}.jpg"
        if not cv2.imwrite(
            str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92]
        ):
            raise OSError(f"cannot write {path}")
    return number


@click.command(help=__doc__)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--person", type=click.Choice(sorted(LOOKS)), default="nobody-1", show_default=True)
@click.option("--stranger", type=click.Choice(sorted(LOOKS)), default="nobody-2", show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(out: Path, person: str, stranger: str, seed: int) -> None:
    """Writes both folders; the help text is the head of this file."""
    enrolled = save(enrolment_pictures(person, 8, seed), out / "enrol")
    visits = [(None, 1.0), (stranger, 5.0), (None, 3.5), (person, 5.0), (None, 7.0)]
    frames = save(clip(visits, seed + 1), out / "clip")
    click.echo(f"{enrolled} pictures to enrol from, a clip of {frames} frames ({frames / RATE_FPS:.0f} s)")


if __name__ == "__main__":
    main()
