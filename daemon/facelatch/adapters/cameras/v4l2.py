"""USB cameras through OpenCV's V4L2 back end."""

from __future__ import annotations

import threading

import cv2
import numpy as np

from facelatch.config.line import CameraConfig
from facelatch.errors import CameraError
from facelatch.ports import Clock
from facelatch.values.pictures import Frame, Image
from facelatch.vision.reduce import search_picture
from facelatch.vision.turn import turned

_CLOSE_WAIT_SECONDS = 0.5

_GREY = cv2.VideoWriter.fourcc(*"GREY")
"""What infrared cameras send whatever they are asked for: a face is found and judged in it as well."""

_BAD_BUFFER_PAUSE_SECONDS = 0.01
"""A driver that fails at once, again and again, must not keep a core busy."""


class V4l2Camera:
    """A /dev/video* device.

    `read` blocks for about 10 s when the device freezes (OpenCV's own limit) and then raises. A buffer that is empty
    or cannot be decoded is a dropped frame: how long there may be none is for the loop to judge.
    """

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        """Opens the device and fixes its pixel format. Raises CameraError."""
        self._config = config
        self._clock = clock
        self._number = 0
        self._closing = threading.Event()
        # OpenCV crashes when a capture is released while another thread reads from it.
        self._reading = threading.Lock()
        device: int | str = int(config.device) if config.device.isdecimal() else config.device
        self._capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise CameraError(
                f"camera {config.device}: cannot be opened",
                hint="is it plugged in and free, the user in group video? See `v4l2-ctl --list-devices`",
            )
        try:
            self._negotiate()
        except CameraError:
            self._capture.release()
            raise

    def _negotiate(self) -> None:
        config, capture = self._config, self._capture
        wanted = cv2.VideoWriter.fourcc(*config.pixel_format)
        # The pixel format first: the driver offers sizes and rates per format. Left to itself OpenCV may
        # hand out frames it has not decoded.
        capture.set(cv2.CAP_PROP_FOURCC, wanted)
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width_px)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height_px)
        capture.set(cv2.CAP_PROP_FPS, config.rate_fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        capture.set(cv2.CAP_PROP_CONVERT_RGB, 1)
        got = int(capture.get(cv2.CAP_PROP_FOURCC))
        if got not in (wanted, _GREY):
            raise CameraError(
                f"camera {config.device}: sends {_name(got)}, not {config.pixel_format}", hint=_advice(_name(got))
            )
        self._grey = got == _GREY

    def read(self) -> Frame | None:
        """The next frame; None once `close` was called. Raises CameraError when the device is unplugged or frozen."""
        while not self._closing.is_set():
            with self._reading:
                if not self._capture.grab():
                    raise CameraError(
                        f"camera {self._config.device}: delivers no frame",
                        hint="unplugged, frozen, or short of USB bandwidth",
                    )
                captured = self._clock.now()
                image = self._decoded()
            if image is not None:
                return self._frame(image, captured)
            self._closing.wait(_BAD_BUFFER_PAUSE_SECONDS)
        return None

    def _decoded(self) -> Image | None:
        """The buffer just grabbed as RGB; None when there is no whole picture in it."""
        try:
            there, picture = self._capture.retrieve()
        except cv2.error:  # an empty buffer fails an assertion of the decoder
            return None
        if not there or picture is None or picture.size == 0 or picture.dtype != np.uint8:
            return None
        if picture.ndim == 2 and self._grey:
            return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
        if picture.ndim != 3 or picture.shape[2] != 3:
            return None
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def _frame(self, image: Image, captured: float) -> Frame:
        image = turned(image, self._config.rotation_degrees)
        frame = Frame(image, search_picture(image, self._config), captured, self._number)
        self._number += 1
        return frame

    def close(self) -> None:
        """Releases the device, unless a read is stuck in it: then the end of the process does."""
        self._closing.set()
        if self._reading.acquire(timeout=_CLOSE_WAIT_SECONDS):
            try:
                self._capture.release()
            finally:
                self._reading.release()


def _advice(sends: str) -> str:
    """What to set for a camera that sends this format: never one that it has just refused."""
    if sends in ("YUYV", "MJPG"):
        return f'set camera.pixel_format = "{sends}"'
    return "it has to send YUYV, MJPG or GREY: see `v4l2-ctl --list-formats-ext`"


def _name(fourcc: int) -> str:
    """A pixel format code as its four letters."""
    letters = fourcc.to_bytes(4, "little", signed=True).decode("ascii", "replace").strip("\0")
    return letters or "an unknown format"
