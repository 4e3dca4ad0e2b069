"""Draws visits to a door: the faces of nobody in `people/`, moved, turned, scaled and lit before a drawn porch.

Everything follows from a seed. No two frames are equal: a real sensor is noisy, and the daemon takes a
repeated picture for a frozen camera.

    python tests/scenarios/demo_clip.py OUT     writes OUT/enrol/*.jpg and OUT/clip/*.jpg
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
from demo_bust import (
    FACE_WIDTH_PX,
    LOOKS,
    PIVOT_PX,
    Bust,
    Floats,
    Image,
    load_face,
    make_bust,
    posed,
    side_lit,
)

WIDTH_PX, HEIGHT_PX = 640, 480
RATE_FPS = 10


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


def draw(scene: Floats, people: Sequence[tuple[Bust, Pose]], rng: np.random.Generator) -> Image:
    """One frame, (H, W, 3) RGB, with the noise of a sensor; the last of the people stands in front."""
    picture = scene * rng.uniform(0.985, 1.015)
    for bust, pose in people:
        picture = _with_person(picture, bust, pose)
    grain = rng.standard_normal(picture.shape, dtype=np.float32) * (0.006 + 0.012 * np.sqrt(picture))
    return np.asarray(np.clip((picture + grain) * 255, 0, 255), dtype=np.uint8)


def _with_person(picture: Floats, bust: Bust, pose: Pose) -> Floats:
    figure = posed(bust, pose.yaw, pose.pitch)
    figure[..., :3] *= pose.light * side_lit(pose.side_light)
    scale = pose.face_px / FACE_WIDTH_PX
    if scale < 1:  # so that shrinking does not alias
        figure = cv2.GaussianBlur(figure, (0, 0), max(0.45 / scale - 0.45, 0.01)).astype(np.float32)
    place = cv2.getRotationMatrix2D(PIVOT_PX, -pose.roll, scale)
    place[:, 2] += pose.x_px - PIVOT_PX[0], pose.y_px - PIVOT_PX[1]
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
        yield draw(scene, [(bust, pose)], rng)


def turning_head(name: str, frames: int, seed: int, yaw: float = 22.0) -> Iterator[Image]:
    """Somebody who stands before the camera and slowly turns the head to both sides, up to `yaw` degrees."""
    rng = np.random.default_rng(seed)
    scene, bust = porch(rng), make_bust(load_face(name), LOOKS[name])
    for turn in np.linspace(0, 2 * np.pi, frames, endpoint=False):
        pose = Pose(x_px=300, face_px=170, yaw=yaw * np.sin(turn), pitch=5 * np.cos(turn))
        yield draw(scene, [(bust, pose)], rng)


def clip(visits: list[tuple[str | None, float]], seed: int) -> Iterator[Image]:
    """The frames of visits in turn, each a bundled name, or None for nobody, and its length in seconds."""
    rng = np.random.default_rng(seed)
    scene = porch(rng)
    for name, seconds in visits:
        bust = make_bust(load_face(name), LOOKS[name]) if name is not None else None
        for pose in visit(round(seconds * RATE_FPS), rng):
            yield draw(scene, [(bust, pose)] if bust is not None else [], rng)


def story(stranger: str, person: str) -> list[tuple[str | None, float]]:
    """Visits for `clip`: a stranger, short enough for no lock-out, then a person, and time to lock again."""
    return [(None, 1.0), (stranger, 2.6), (None, 3.4), (person, 4.0), (None, 7.0)]


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


def repeat(folder: Path, count: int) -> None:
    """Links the pictures in `folder` again and again, until there are `count`; no two neighbours are equal."""
    pictures = sorted(folder.iterdir())
    for number in range(len(pictures), count):
        picture = pictures[number % len(pictures)]
        (folder / f"{number + 1:04d}{picture.suffix}").hardlink_to(picture)


@click.command(help=__doc__)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--person", type=click.Choice(sorted(LOOKS)), default="nobody-1", show_default=True)
@click.option("--stranger", type=click.Choice(sorted(LOOKS)), default="nobody-2", show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(out: Path, person: str, stranger: str, seed: int) -> None:
    """Writes both folders; the help text is the head of this file."""
    enrolled = save(enrolment_pictures(person, 8, seed), out / "enrol")
    frames = save(clip(story(stranger, person), seed + 1), out / "clip")
    click.echo(f"{enrolled} pictures to enrol from, a clip of {frames} frames ({frames / RATE_FPS:.0f} s)")


if __name__ == "__main__":
    main()
