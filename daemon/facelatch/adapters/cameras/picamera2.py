"""The Pi's own camera modules through picamera2."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cv2
import numpy as np

from facelatch.config.line import CameraConfig
from facelatch.errors import CameraError
from facelatch.ports import Clock
from facelatch.values.pictures import Frame, Image
from facelatch.vision.reduce import search_size
from facelatch.vision.turn import turned

try:
    from libcamera import ColorSpace, Transform
    from picamera2 import Picamera2
except ImportError as error:
    raise CameraError(
        f"picamera2 is not installed: {error}",
        hint="`apt install python3-picamera2`, and a virtual environment made with --system-site-packages",
    ) from error

_MAIN, _SEARCH = "main", "lores"
_SHORTEST_WAIT_SECONDS = 2.0
_CONTINUOUS_AUTOFOCUS = 2
# OpenCV's YUV is television's, from 16 to 235 (chroma 240); ours takes the whole byte.
_TELEVISION_LUMA = np.rint(16 + np.arange(256) * 219 / 255).astype(np.uint8)
_TELEVISION_CHROMA = np.rint(128 + (np.arange(256) - 128) * 224 / 255).astype(np.uint8)


class Picamera2Camera:
    """The main stream as RGB for cutting the face, the low-resolution one for finding it."""

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        """Opens camera number `config.device` and starts it. Raises CameraError."""
        self._config = config
        self._clock = clock
        self._number = 0
        self._turn = 0 if config.rotation_degrees == 180 else config.rotation_degrees
        # picamera2 blocks for ever on a frozen camera unless it is told how long to wait.
        self._wait_seconds = max(_SHORTEST_WAIT_SECONDS, config.stale_after_seconds)
        self._camera: Any = None
        try:
            self._camera = Picamera2(int(config.device))
            self._streams = self._configure()
            self._camera.start()
        except Exception as error:  # libcamera's errors have no common root
            self.close()
            if isinstance(error, CameraError):
                raise
            raise CameraError(
                f"camera {config.device}: cannot be opened: {error}",
                hint="`rpicam-hello --list-cameras` lists cameras; is another program using it?",
            ) from error

    def _configure(self) -> dict[str, Any]:
        config, camera = self._config, self._camera
        # The camera itself can turn a picture on its head at no cost, but not lay it on its side.
        upside_down = config.rotation_degrees == 180
        # picamera2 names formats by the order within a word: BGR888 is R, G, B in memory.
        asked: dict[str, Any] = {_MAIN: {"size": (config.width_px, config.height_px), "format": "BGR888"}}
        small = search_size(config.width_px, config.height_px, config)
        if small != asked[_MAIN]["size"]:
            even = (small[0] // 2 * 2, small[1] // 2 * 2)
            # Up to the Pi 4 the small stream can only be YUV.
            asked[_SEARCH] = {"size": even, "format": "YUV420"}
        camera.configure(
            camera.create_video_configuration(
                **asked,
                transform=Transform(hflip=upside_down, vflip=upside_down),
                # picamera2 would choose by the size of the picture, and differently from version to version.
                colour_space=ColorSpace.Sycc(),
                controls=self._controls(),
            )
        )
        got: dict[str, Any] = camera.camera_configuration()
        for name, stream in asked.items():
            # libcamera silently adjusts a format it does not have; wrong colours would go unnoticed.
            if got[name]["format"] != stream["format"]:
                raise CameraError(
                    f"camera {config.device}: {name} stream is {got[name]['format']}, not {stream['format']}",
                    hint="update libcamera and picamera2, or use a USB camera (source = v4l2)",
                )
        return {name: got[name] for name in asked}

    def _controls(self) -> dict[str, Any]:
        """What we set, as far as this camera has it: libcamera refuses a control the sensor lacks."""
        frame_us = round(1_000_000 / self._config.rate_fps)
        wanted = {"FrameDurationLimits": (frame_us, frame_us), "AfMode": _CONTINUOUS_AUTOFOCUS}
        return {name: value for name, value in wanted.items() if name in self._camera.camera_controls}

    def read(self) -> Frame | None:
        """The next frame. Raises CameraError when none comes in time."""
        try:
            request = self._camera.capture_request(wait=self._wait_seconds)
        except TimeoutError as error:
            raise CameraError(
                f"camera {self._config.device}: no frame within {self._wait_seconds:g} s",
                hint="check the ribbon cable; `rpicam-hello` should show a picture",
            ) from error
        captured = self._clock.now()
        try:
            image = turned(np.asarray(request.make_array(_MAIN), dtype=np.uint8), self._turn)
            search = image
            if _SEARCH in self._streams:
                search = turned(self._search(request.make_array(_SEARCH)), self._turn)
        finally:
            request.release()
        frame = Frame(image, search, captured, self._number)
        self._number += 1
        return frame

    def _search(self, yuv: Image) -> Image:
        """The low-resolution picture as RGB. Rows may be padded; the chroma fits only before that is cut."""
        width, height = self._streams[_SEARCH]["size"]
        luma, chroma = cv2.LUT(yuv[:height], _TELEVISION_LUMA), cv2.LUT(yuv[height:], _TELEVISION_CHROMA)
        rgb = cv2.cvtColor(np.concatenate([luma, chroma]), cv2.COLOR_YUV2RGB_I420)
        return np.ascontiguousarray(rgb[:height, :width], dtype=np.uint8)

    def close(self) -> None:
        """Stops the camera and hands it back; never raises or hangs."""
        # A capture that has timed out is still in picamera2's queue, and stopping would wait behind it for ever.
        for step in ("cancel_all_and_flush", "stop", "close"):
            with suppress(Exception):
                getattr(self._camera, step)()
