"""Guided capture of one person: says what is still missing, keeps only what the door itself would judge."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facelatch.config.line import CameraConfig, FinderConfig, QualityConfig
from facelatch.decoder.reader import PictureReader
from facelatch.errors import CameraError
from facelatch.ports import Camera
from facelatch.values.observations import SeveralFaces
from facelatch.values.pictures import Face, Frame, Image
from facelatch.vision.align import align
from facelatch.vision.quality import Measures, judge, measure
from facelatch.vision.select_face import select
from facelatch_training.data.cropping import Finder
from facelatch_training.data.guide import Guide
from facelatch_training.files import keep_out_of_git, write_png

ROUNDS = ("as you are", "with the glasses changed (on or off)", "in other light (a lamp on or off)")
"""One capture each; only a person can change glasses and lamps."""

MIN_INTERVAL_SECONDS = 0.25
"""Frames of a live camera closer together than this are nearly the same picture."""

_OTHER_LIGHT = ROUNDS[2]

_SAME_LIGHT = 10.0
"""Grey levels; a lamp moves some part of a face by more, its own small movements by less."""

_PREVIEW_EVERY = 10

_CROP_NAME = re.compile(r"(\d+)-([a-z]+)-(\d+)\.png")
"""Round, kind, number."""


@dataclass(frozen=True)
class Collected:
    """What a round brought."""

    kept: int
    """Crops this run added."""
    missing: str
    """Kinds that stayed short, in words; empty when nothing is missing."""


def collect_round(
    camera: Camera,
    finder: Finder,
    folder: Path,
    *,
    round_name: str,
    timeout_seconds: float,
    say: Callable[[str], None],
    quality: QualityConfig | None = None,
    min_interval_seconds: float = MIN_INTERVAL_SECONDS,
) -> Collected:
    """Captures until nothing is missing, the source ends or `timeout_seconds` of frames have passed.

    Writes aligned crops as PNG into `folder` (0700), straight looks into its `anchors`, others into its
    `positives`, and beside it what the camera sees, as `NAME-preview.png` (0600). Crops of an earlier run of
    this round count and are not touched. Raises CameraError, and InputError for a folder in a git checkout or
    a full disk; what was written stays.
    """
    preview = folder.with_name(folder.name + "-preview.png")  # inside it would be taken for a portrait
    keep_out_of_git(folder)
    keep_out_of_git(preview)
    shelf = _Shelf(folder, _label_of(round_name))
    limits, guide = quality or QualityConfig(), Guide(kept=dict(shelf.counts))
    last_kept = float("-inf")
    for frame in _frames(camera, timeout_seconds) if guide.missing else ():
        faces = finder.find(frame.image)
        advice, crop, measures = _look(frame.image, faces, limits)
        if frame.number % _PREVIEW_EVERY == 0:
            write_preview(frame, faces, guide.sentence(), preview)
        if crop is not None and measures is not None and frame.captured - last_kept >= min_interval_seconds:
            kind = guide.fills(measures)
            if kind is not None and not shelf.has(crop):
                guide.keep(kind)
                last_kept = frame.captured
                shelf.put(crop, kind, frame.number)
        say(f"{guide.sentence()}{'; ' + advice if advice else ''}")
        if not guide.missing:
            break
    short = ", ".join(f"{kind.count - guide.kept.get(kind.name, 0)} {kind.name}" for kind in guide.missing)
    return Collected(kept=sum(guide.kept.values()) - sum(shelf.counts.values()), missing=short)


def _frames(camera: Camera, timeout_seconds: float) -> Iterator[Frame]:
    """Frames until the source ends or so many seconds of them have passed. Raises CameraError when there is none."""
    began: float | None = None
    while (frame := camera.read()) is not None:
        began = frame.captured if began is None else began
        if frame.captured - began > timeout_seconds:
            return
        yield frame
    if began is None:
        raise CameraError("the camera gave no frame", hint="try another --device, or `facelatch check`")


class _Shelf:
    """The crops of one person in `folder`, to which those of the round `label` are added."""

    def __init__(self, folder: Path, label: str) -> None:
        self._folder, self._label = folder, label
        self.counts, self._free = _count_crops(folder, label)
        files = [file for file in folder.rglob("*.png") if _CROP_NAME.fullmatch(file.name)]
        reader = PictureReader()
        self._digests = {_digest(reader.read(file)) for file in files}

    def has(self, crop: Image) -> bool:
        """Whether an earlier run kept this very picture: a file that is read once more shows nothing new."""
        return _digest(crop) in self._digests

    def put(self, crop: Image, kind: str, number: int) -> None:
        """Write a crop. Raises InputError when the disk is full."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = self._folder / ("anchors" if kind == "straight" else "positives")
        write_png(place / f"{self._label}-{kind}-{self._free + number:06d}.png", crop)


def _label_of(round_name: str) -> str:
    """The part of a crop's file name that tells its round."""
    return str(ROUNDS.index(round_name))


def _count_crops(folder: Path, label: str) -> tuple[dict[str, int], int]:
    """Crops of earlier runs of the round `label`, counted by kind, and the first number that is free."""
    counts: dict[str, int] = {}
    free = 0
    for place in ("anchors", "positives"):
        for file in (folder / place).glob("*.png"):
            name = _CROP_NAME.fullmatch(file.name)
            if name is not None and name[1] == label:
                counts[name[2]] = counts.get(name[2], 0) + 1
                free = max(free, int(name[3]) + 1)
    return counts, free


def _digest(crop: Image) -> str:
    return hashlib.sha256(crop.tobytes()).hexdigest()


def still_missing(folder: Path) -> list[str]:
    """What no pose shows and `folder` has not got, in words: a round without crops, or one for other light whose
    straight looks are lit like those of the first.
    """
    counts = {name: sum(_count_crops(folder, _label_of(name))[0].values()) for name in ROUNDS}
    missing = [name for name, count in counts.items() if not count]
    first, changed = _light(folder, ROUNDS[0]), _light(folder, _OTHER_LIGHT)
    if first is not None and changed is not None and np.abs(first - changed).max() < _SAME_LIGHT:
        missing.append(f"{_OTHER_LIGHT}: the face was lit as before")
    return missing


def _light(folder: Path, round_name: str) -> npt.NDArray[np.float64] | None:
    """Grey levels of a round's straight looks in (4, 4) parts of the face, so that a lamp at the side counts even
    where the camera's exposure makes up for it; None without such looks.
    """
    files = (folder / "anchors").glob(f"{_label_of(round_name)}-*.png")
    looks = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    parts = [cv2.resize(look, (4, 4), interpolation=cv2.INTER_AREA) for look in looks if look is not None]
    return np.mean(parts, axis=0, dtype=np.float64) if parts else None


def write_preview(frame: Frame, faces: Sequence[Face], sentence: str, path: Path) -> None:
    """The picture as the camera sees it, mirrored as in a mirror, with the sentence under it."""
    picture = frame.image.copy()
    for face in faces:
        corner = (round(face.box.x), round(face.box.y))
        far = (round(face.box.x + face.box.width), round(face.box.y + face.box.height))
        cv2.rectangle(picture, corner, far, (0, 255, 0), 2)
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    cv2.putText(
        mirrored, sentence, (8, mirrored.shape[0] - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 0), 2
    )
    write_png(path, mirrored)
    path.chmod(0o600)


@contextmanager
def open_camera(source: str, device: str) -> Iterator[Camera]:
    """The daemon's own adapter for a camera. Raises CameraError."""
    from facelatch.adapters.system.clock import MonotonicClock

    config = CameraConfig.model_validate({"source": source, "device": device})
    camera: Camera
    if source == "picamera2":
        from facelatch.adapters.cameras.picamera2 import Picamera2Camera

        camera = Picamera2Camera(config, MonotonicClock())
    elif source == "v4l2":
        from facelatch.adapters.cameras.v4l2 import V4l2Camera

        camera = V4l2Camera(config, MonotonicClock())
    else:
        from facelatch.adapters.cameras.files import FilesCamera

        camera = FilesCamera(config, MonotonicClock())
    try:
        yield camera
    finally:
        camera.close()


def _look(
    image: Image, faces: Sequence[Face], limits: QualityConfig
) -> tuple[str, Image | None, Measures | None]:
    """(advice, crop, measures); crop and measures only when the door would judge this face."""
    chosen = select(faces, FinderConfig().similar_size_ratio)
    if not isinstance(chosen, Face):
        return (chosen.reason.hint if isinstance(chosen, SeveralFaces) else "no face in view"), None, None
    crop = align(image, chosen.landmarks)
    if crop is None:
        return "no face in view", None, None
    measures = measure(image.shape, chosen, crop)
    reason = judge(measures, limits)
    return ("", crop, measures) if reason is None else (reason.hint, None, None)
