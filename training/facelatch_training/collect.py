"""Guided capture of one person: says what is still missing, keeps only what the door itself would judge."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from facelatch_training.cropping import Finder
from facelatch_training.plots import keep_out_of_git
from facelatch_training.shards import write_png

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
_TURN = 0.12
"""Pose.yaw and pitch beyond which a head counts as turned."""


@dataclass(frozen=True)
class Wanted:
    """One kind of picture."""

    name: str
    ask: str
    count: int
    fits: Callable[[Measures], bool] = field(repr=False)


def _straight(seen: Measures) -> bool:
    return abs(seen.pose.yaw) < _TURN and abs(seen.pose.pitch) < _TURN


WANTED = (
    Wanted("straight", "look straight at the camera", 6, _straight),
    Wanted("left", "turn a little to your right", 4, lambda seen: seen.pose.yaw <= -_TURN),
    Wanted("right", "turn a little to your left", 4, lambda seen: seen.pose.yaw >= _TURN),
    Wanted("up", "look up a little", 3, lambda seen: seen.pose.pitch <= -_TURN),
    Wanted("down", "look down a little", 3, lambda seen: seen.pose.pitch >= _TURN),
    Wanted("near", "come closer", 3, lambda seen: seen.eye_distance_px >= 60),
    Wanted("far", "take a step back", 3, lambda seen: seen.eye_distance_px < 40),
)
"""In the order in which they are asked for. Left and right are the picture's."""


@dataclass
class Guide:
    """What was kept so far in one round, and what to ask for next."""

    wanted: tuple[Wanted, ...] = WANTED
    kept: dict[str, int] = field(default_factory=dict)

    def fills(self, seen: Measures) -> str | None:
        """The first kind still missing that this picture is one of; None when it adds nothing."""
        for kind in self.wanted:
            if self.kept.get(kind.name, 0) < kind.count and kind.fits(seen):
                return kind.name
        return None

    def keep(self, name: str) -> None:
        """Counts a picture."""
        self.kept[name] = self.kept.get(name, 0) + 1

    @property
    def missing(self) -> list[Wanted]:
        """What is still missing."""
        return [kind for kind in self.wanted if self.kept.get(kind.name, 0) < kind.count]

    def sentence(self) -> str:
        """What the person should do now."""
        missing = self.missing
        total = sum(kind.count for kind in self.wanted)
        done = sum(min(self.kept.get(kind.name, 0), kind.count) for kind in self.wanted)
        return f"[{done:2}/{total}] " + (missing[0].ask if missing else "done, thank you")


@dataclass(frozen=True)
class Collected:
    """How a round ended."""

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
    label = _label_of(round_name)
    there, free = _there_already(folder, label)
    kept_before = _digests(folder)
    limits, guide = quality or QualityConfig(), Guide(kept=dict(there))
    began: float | None = None
    last = float("-inf")
    while guide.missing:
        frame = camera.read()
        if frame is None:
            break
        began = frame.captured if began is None else began
        if frame.captured - began > timeout_seconds:
            break
        faces = finder.find(frame.image)
        advice, crop, seen = _look(frame.image, faces, limits)
        if frame.number % _PREVIEW_EVERY == 0:
            write_preview(frame, faces, guide.sentence(), preview)
        if crop is not None and seen is not None and frame.captured - last >= min_interval_seconds:
            kind = guide.fills(seen)
            # The same file once more is the same picture, whatever else it might pass for.
            if kind is not None and _digest(crop) not in kept_before:
                guide.keep(kind)
                last = frame.captured
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                place = folder / ("anchors" if kind == "straight" else "positives")
                write_png(place / f"{label}-{kind}-{free + frame.number:06d}.png", crop)
        say(f"{guide.sentence()}{'; ' + advice if advice else ''}")
    if began is None and guide.missing:
        raise CameraError("the camera gave no frame", hint="try another --device, or `facelatch check`")
    short = ", ".join(f"{kind.count - guide.kept.get(kind.name, 0)} {kind.name}" for kind in guide.missing)
    return Collected(sum(guide.kept.values()) - sum(there.values()), short)


def _label_of(round_name: str) -> str:
    """What the crops of a round are called by."""
    return str(ROUNDS.index(round_name))


def _there_already(folder: Path, label: str) -> tuple[dict[str, int], int]:
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


def _digests(folder: Path) -> set[str]:
    """Of all crops that are there."""
    reader = PictureReader()
    return {_digest(reader.read(file)) for file in folder.rglob("*.png") if _CROP_NAME.fullmatch(file.name)}


def _digest(crop: Image) -> str:
    return hashlib.sha256(crop.tobytes()).hexdigest()


def still_missing(folder: Path) -> list[str]:
    """What no pose shows and `folder` has not got, in words: a round without crops, or one for other light whose
    straight looks are lit like those of the first.
    """
    counts = {name: sum(_there_already(folder, _label_of(name))[0].values()) for name in ROUNDS}
    missing = [name for name, count in counts.items() if not count]
    first, other = _light(folder, ROUNDS[0]), _light(folder, _OTHER_LIGHT)
    if first is not None and other is not None and np.abs(first - other).max() < _SAME_LIGHT:
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
    seen = measure(image.shape, chosen, crop)
    reason = judge(seen, limits)
    return ("", crop, seen) if reason is None else (reason.hint, None, None)
