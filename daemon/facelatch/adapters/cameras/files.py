"""Recorded pictures as a camera: a folder of images, one picture, or a video file."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from facelatch.config.line import CameraConfig
from facelatch.decoder.files import LeftOut, picture_files
from facelatch.decoder.formats import SUFFIXES
from facelatch.decoder.reader import PictureReader
from facelatch.errors import CameraError, InputError
from facelatch.ports import Clock
from facelatch.values.pictures import Frame, Image
from facelatch.vision.reduce import search_picture
from facelatch.vision.turn import turned

_FASTEST_FPS = 240.0

Images = Generator[Image, None, None]
Skipped = Callable[[LeftOut], object]


class FilesCamera:
    """Hands over every picture once, stamped as if one came every 1/rate seconds; never waits itself.

    A folder's images come in natural order (`frame-9` before `frame-10`) at the configured rate, a video's
    frames at the rate the file names, turned as its camera was held. Pictures that change size midway are handed on
    as they are. A picture that cannot be read is left out.
    """

    def __init__(
        self,
        config: CameraConfig,
        clock: Clock,
        *,
        loop: bool = False,
        skipped: Skipped = lambda _file: None,
    ) -> None:
        """Opens folder or file `config.device`. Raises CameraError: missing, no picture in it, no video.

        With `loop` the first picture follows the last, for ever. `skipped` is told of each file left out, once.
        """
        self._config = config
        self._clock = clock
        self._due = clock.now()
        self._number = 0
        source = Path(config.device)
        self._period = 1.0 / config.rate_fps
        stills = _stills(source, skipped)
        if stills is not None:
            self._images = _still_images(source, stills, skipped, loop=loop)
        else:
            video = _open_video(source)
            self._images = _video_images(source, video, loop=loop)
            rate = float(video.get(cv2.CAP_PROP_FPS))
            if 0 < rate <= _FASTEST_FPS:
                self._period = 1.0 / rate

    def read(self) -> Frame | None:
        """The next picture, or None after the last. Raises CameraError when none of them can be read."""
        image = next(self._images, None)
        if image is None:
            return None
        image = turned(image, self._config.rotation_degrees)
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


def _stills(source: Path, skipped: Skipped) -> tuple[Path, ...] | None:
    """The pictures that `source` names, a folder or one file; None when it may be a video."""
    try:
        if not source.is_dir():
            return (source,) if source.suffix.lower() in SUFFIXES and source.exists() else None
        folder = picture_files(source)
    except OSError as error:
        reason = getattr(error, "strerror", None) or error
        raise CameraError(f"{source}: {reason}", hint="check the name and who may read it") from error
    except InputError as error:
        raise CameraError(str(error), hint=error.hint) from error
    for file in folder.left_out:
        skipped(file)
    if not folder.pictures:
        raise CameraError(f"{source}: no picture in it", hint=f"pictures end in {', '.join(SUFFIXES)}")
    return folder.pictures


def _still_images(source: Path, files: tuple[Path, ...], skipped: Skipped, *, loop: bool) -> Images:
    reader = PictureReader()
    readable = list(files)
    try:
        while readable:
            for file in tuple(readable):
                try:
                    image = reader.read(file)
                except InputError as error:
                    if not file.is_file():  # a recording that is taken away is a camera that is unplugged
                        raise CameraError(f"{error}", hint="were the pictures moved or deleted meanwhile?") from error
                    readable.remove(file)
                    skipped(LeftOut(file, str(error).removeprefix(f"{file}: ")))
                else:
                    yield image
            if not loop and readable:
                return
    finally:
        reader.close()
    raise CameraError(f"{source}: no picture in it can be read", hint="open them in a viewer; are they whole?")


def _open_video(file: Path) -> cv2.VideoCapture:
    if not file.is_file():
        raise CameraError(f"{file}: no such folder or video file", hint="check the name")
    # By FFmpeg only: OpenCV would also take a picture for a video, and decode it in this process.
    video = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG)
    if not video.isOpened():
        raise CameraError(f"{file}: not a video OpenCV can play", hint="give an .mp4 or a folder of images")
    video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # turned as the file says; OpenCV's default changed with its versions
    return video


def _video_images(file: Path, video: cv2.VideoCapture, *, loop: bool) -> Images:
    try:
        while True:
            delivered = False
            while (picture := _next_picture(video)) is not None:
                delivered = True
                yield picture
            if not delivered:
                raise CameraError(
                    f"{file}: no frame can be read from it", hint="play it in a viewer; is it whole?"
                )
            if not loop:
                return
            video.release()
            video = _open_video(file)
    finally:
        video.release()


def _next_picture(video: cv2.VideoCapture) -> Image | None:
    there, picture = video.read()
    if not there or picture is None:
        return None
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)
