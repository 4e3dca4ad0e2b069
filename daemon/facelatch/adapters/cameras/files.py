"""Recorded pictures as a camera: a folder of images or a video file."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from facelatch.config.line import CameraConfig
from facelatch.errors import CameraError, InputError
from facelatch.ports import Clock
from facelatch.values.pictures import Frame, Image
from facelatch.vision.images import image_files, read_image
from facelatch.vision.reduce import search_picture

_FASTEST_FPS = 240.0


class FilesCamera:
    """Hands over every picture once, stamped as if one came every 1/rate seconds; never waits itself.

    A folder's images come in natural order (`frame-9` before `frame-10`) at the configured rate, a video's
    frames at the rate the file names. Pictures that change size midway are handed on as they are.
    """

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        """Opens folder or file `config.device`. Raises CameraError: missing, no picture in it, no video."""
        self._config = config
        self._clock = clock
        self._due = clock.now()
        self._number = 0
        source = Path(config.device)
        if _is_folder(source):
            self._images = _folder_images(source)
            self._period = 1.0 / config.rate_fps
        else:
            video = _open_video(source)
            self._images = _video_images(source, video)
            rate = float(video.get(cv2.CAP_PROP_FPS))
            self._period = 1.0 / (rate if 0 < rate <= _FASTEST_FPS else config.rate_fps)

    def read(self) -> Frame | None:
        """The next picture, or None after the last. Raises CameraError that names an unreadable file."""
        image = next(self._images, None)
        if image is None:
            return None
        if self._config.rotation_degrees == 180:
            image = np.asarray(cv2.rotate(image, cv2.ROTATE_180), dtype=np.uint8)
        # Late frames shift all that follow: a slow disk must not make fresh frames look old.
        captured = max(self._due, self._clock.now())
        frame = Frame(image, search_picture(image, self._config), captured, self._number)
        self._due = captured + self._period
        self._number += 1
        return frame

    def close(self) -> None:
        """Ends the recording; never raises."""
        with suppress(ValueError):  # another thread is just reading; the process's end closes the file
            self._images.close()


def _is_folder(source: Path) -> bool:
    try:
        return source.is_dir()
    except OSError as error:
        raise CameraError(f"{source}: {error.strerror}", hint="check the name and who may read it") from error


def _folder_images(folder: Path) -> Generator[Image, None, None]:
    try:
        files = sorted(image_files(folder), key=_natural_order)
    except InputError as error:
        raise CameraError(str(error), hint=error.hint) from error
    return _read_each(files)


def _read_each(files: list[Path]) -> Generator[Image, None, None]:
    for file in files:
        try:
            yield read_image(file)
        except InputError as error:
            raise CameraError(str(error), hint=error.hint) from error


def _natural_order(file: Path) -> list[tuple[int, str]]:
    """Digits compare as numbers, so that `2.png` comes before `10.png`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name)]


def _open_video(file: Path) -> cv2.VideoCapture:
    if not file.is_file():
        raise CameraError(f"{file}: no such folder or video file", hint="check the name")
    video = cv2.VideoCapture(str(file), cv2.CAP_ANY)
    if not video.isOpened():
        raise CameraError(f"{file}: not a video OpenCV can play", hint="give an .mp4 or a folder of images")
    return video


def _video_images(file: Path, video: cv2.VideoCapture) -> Generator[Image, None, None]:
    delivered = False
    try:
        while True:
            there, picture = video.read()
            if not there or picture is None:
                break
            delivered = True
            yield np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    finally:
        video.release()
    if not delivered:
        raise CameraError(f"{file}: no frame can be read from it", hint="play it in a viewer; is it whole?")
