"""An owner's own clips: living faces, prints and screens before the door's camera, in the form `prepare` reads."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from facelatch.errors import CameraError
from facelatch.ports import Camera
from facelatch.values.pictures import Box, Face, Frame, Image
from facelatch.vision.select_face import select
from facelatch_training.data.cropping import Finder
from facelatch_training.files import keep_out_of_git, replacing
from facelatch_training.liveness.data.pictures import TABLE

LARGEST_PX = 200
CONTEXT = 3.0
"""Side of a picture kept, as a multiple of the face's."""
MIN_INTERVAL_SECONDS = 0.2
SIMILAR = 0.6
COLUMNS = [
    "path",
    "shard",
    "label",
    "kind",
    "source",
    "person",
    "split",
    "context",
    "box",
    "detail",
    "pad_frac",
]


@dataclass(frozen=True)
class Round:
    """What is asked of the person, and what the pictures of it are."""

    label: str
    kind: str
    ask: str


ROUNDS = (
    Round("live", "", "stand before the camera as every day: come closer, step back, look about, speak"),
    Round("live", "", "the same in other light: a lamp on or off, the sun in front or behind"),
    Round(
        "attack", "print", "hold a printed photograph of a face before the camera: near, far, tilted, bent"
    ),
    Round(
        "attack", "print", "another print, on other paper; then cut out along the head, held before the face"
    ),
    Round(
        "attack",
        "screen",
        "hold a phone with a photograph or video of a face: near, far, tilted, bright, dim",
    ),
    Round("attack", "screen", "the same with a larger screen"),
)


def collect_round(
    camera: Camera,
    finder: Finder,
    out: Path,
    wanted: Round,
    *,
    person: str,
    seconds: float,
    say: Callable[[str], None],
) -> int:
    """Keeps a picture of each frame with one face for so many seconds of frames; returns how many.

    They go into a shard of their own in `out` (0700), and into its table. Raises CameraError without a frame, and
    InputError for a folder in a git checkout.
    """
    keep_out_of_git(out)
    kept: list[tuple[Image, Box]] = []
    last = float("-inf")
    for frame in _frames(camera, seconds):
        chosen = select(finder.find(frame.image), SIMILAR)
        if isinstance(chosen, Face) and frame.captured - last >= MIN_INTERVAL_SECONDS:
            last = frame.captured
            kept.append(surroundings(frame.image, chosen.box))
        say(f"{len(kept)} pictures; {wanted.ask}")
    if kept:
        _write(out, wanted, person, kept)
    return len(kept)


def surroundings(image: Image, box: Box) -> tuple[Image, Box]:
    """The square about a face, as far as the picture goes, and where the face lies in it."""
    side = CONTEXT * float(np.sqrt(max(box.width, 1) * max(box.height, 1)))
    centre = box.x + box.width / 2, box.y + box.height / 2
    ends = []
    for middle, limit in zip(centre, (image.shape[1], image.shape[0]), strict=True):
        first = min(max(int(middle - side / 2), 0), limit - 1)
        ends.append((first, max(min(int(middle + side / 2), limit), first + 1)))
    (left, right), (top, bottom) = ends
    part = image[top:bottom, left:right]
    factor = min(1.0, LARGEST_PX / max(part.shape[:2]))
    size = max(1, round(part.shape[1] * factor)), max(1, round(part.shape[0] * factor))
    small = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, Box(
        (box.x - left) * factor, (box.y - top) * factor, box.width * factor, box.height * factor
    )


def _frames(camera: Camera, seconds: float) -> Iterator[Frame]:
    began: float | None = None
    while (frame := camera.read()) is not None:
        began = frame.captured if began is None else began
        if frame.captured - began > seconds:
            return
        yield frame
    if began is None:
        raise CameraError("the camera gave no frame", hint="try another --device, or `facelatch check`")


def _write(out: Path, wanted: Round, person: str, kept: list[tuple[Image, Box]]) -> None:
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = len(list(out.glob("own-*.tar")))
    shard, rows = f"own-{number:03d}.tar", _rows(out)
    with replacing(out / shard) as partial, tarfile.open(partial, "w") as archive:
        for index, (image, box) in enumerate(kept):
            stream = io.BytesIO()
            Pillow.fromarray(image).save(stream, "webp", quality=95)
            info = tarfile.TarInfo(f"own-{number:03d}/{index:05d}.webp")
            info.size = len(stream.getvalue())
            archive.addfile(info, io.BytesIO(stream.getvalue()))
            row = {
                "path": info.name,
                "shard": shard,
                "label": wanted.label,
                "kind": wanted.kind,
                "source": "own",
            }
            place = " ".join(f"{one:.1f}" for one in (box.x, box.y, box.width, box.height))
            rows.append(row | {"person": person, "split": "train", "context": "yes", "box": place})
    with replacing(out / TABLE) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _rows(out: Path) -> list[dict[str, str]]:
    if not (out / TABLE).is_file():
        return []
    with (out / TABLE).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
