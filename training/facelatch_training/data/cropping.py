"""From picture files to crops through the daemon's own face finder and alignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from facelatch.config.shipped import shipped_file
from facelatch.decoder.reader import PictureReader
from facelatch.errors import InputError
from facelatch.values.pictures import Face, Image
from facelatch.vision.align import CROP_SIZE_PX, align


class Finder(Protocol):
    """The part of the port `FaceFinder` that still pictures need."""

    def find(self, image: Image) -> Sequence[Face]:
        """All faces, best score first; coordinates in pixels of `image`."""
        ...


FINDERS = ("network", "yunet", "cascade")

PORTRAIT_SCORE = 0.1
"""Least score in a picture that is known to show somebody: a doubtful find is better than none."""

PREPARE_SCORE = 0.5
"""Least score in a picture that may show nobody: what is no face must not be trained on."""


_CROP_SHAPE = (CROP_SIZE_PX, CROP_SIZE_PX, 3)

COLLECTED = ("anchors", "positives")
"""Folders into which `collect` puts finished crops; to find and warp the face in them again would spoil them."""

_NEARLY = 0.8


def open_finder(kind: str, model: Path | None = None, score_threshold: float = PORTRAIT_SCORE) -> Finder:
    """One of `FINDERS`: the daemon's adapter for it. Raises ModelError or InputError."""
    if kind == "cascade":
        from facelatch.adapters.models.finder_cascade import CascadeFinder

        return CascadeFinder(score_threshold=score_threshold)
    if kind == "yunet":
        from facelatch.adapters.models.finder_yunet import YuNetFinder

        if model is None:
            raise InputError(
                "finder yunet needs its model file", hint="name it with --finder-model FILE.onnx"
            )
        return YuNetFinder(model, score_threshold=score_threshold)
    if kind == "network":
        from facelatch.adapters.models.finder_tflite import TfliteFinder

        return TfliteFinder(model or shipped_file("models", "finder.tflite"), score_threshold)
    raise InputError(f"finder {kind!r} is not known", hint=f"one of: {', '.join(FINDERS)}")


def sure(faces: Sequence[Face]) -> list[Face]:
    """The finds nearly as sure as the surest: at a low threshold a picture is full of false ones."""
    surest = max((face.score for face in faces), default=0.0)
    return [face for face in faces if face.score >= _NEARLY * surest]


def subject(faces: Sequence[Face], image: Image) -> Face | None:
    """The face a portrait is of: of the sure finds the large one near the middle, as the sets are cut."""
    height, width = image.shape[:2]

    def weight(face: Face) -> float:
        box = face.box
        across = box.x + box.width / 2 - width / 2
        down = box.y + box.height / 2 - height / 2
        return box.width * box.height - 2 * (across**2 + down**2)

    return max(sure(faces), key=weight, default=None)


@dataclass
class Cropper:
    """Picture file -> crop, counting what happened on the way."""

    finder: Finder | None
    """None: the pictures are crops already."""
    several: set[Path] = field(default_factory=set)
    """Pictures with more than one face, of which the most central and largest was taken."""
    skip_unreadable: bool = False
    unreadable: set[Path] = field(default_factory=set)
    """What was skipped."""
    reader: PictureReader = field(default_factory=PictureReader)

    def __call__(self, path: Path) -> Image | None:
        """The crop (112, 112, 3), None when no face is found. Raises InputError for an unreadable file, unless it is
        to be skipped, as one without a face.
        """
        try:
            image = self.reader.read(path)
        except InputError as error:
            if not self.skip_unreadable:
                raise InputError(str(error), hint=f"{error.hint}; or --skip-unreadable") from error
            self.unreadable.add(path)
            return None
        if self.finder is None or (path.parent.name in COLLECTED and image.shape == _CROP_SHAPE):
            return checked_crop(image, path)
        faces = self.finder.find(image)
        if len(sure(faces)) > 1:
            self.several.add(path)
        face = subject(faces, image)
        return None if face is None else align(image, face.landmarks)


def checked_crop(image: Image, path: Path) -> Image:
    """`image` itself when it has the size of a crop. Raises InputError otherwise."""
    if image.shape != _CROP_SHAPE:
        raise InputError(
            f"{path}: {image.shape[1]}x{image.shape[0]} px, an aligned crop is {CROP_SIZE_PX}x{CROP_SIZE_PX}",
            hint="leave out --aligned to have the face found and aligned",
        )
    return image
