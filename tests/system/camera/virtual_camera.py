"""Lets real picamera2 drive libcamera's real virtual camera. Import it before `Picamera2()` is made.

It stands in for what no kernel without a camera has: buffers (memfd in place of a DMA heap), the pace of a sensor,
and the converter behind the sensor, with the formats, colour spaces and padded rows of a Pi. All the rest, from the
requests to the arrays, is picamera2's and libcamera's own code.

The virtual camera shows numbered JPEGs, each for four frames, in turn and again from the first. The environment says
FACELATCH_VIRTUAL_FPS, how many frames a second the sensor takes (30), and FACELATCH_VIRTUAL_CABLE, a file: while that
exists the cable is out, and no frame comes. With FACELATCH_VIRTUAL_GRAIN no two pictures are equal in every pixel,
as of a sensor.
"""

from __future__ import annotations

import collections
import itertools
import mmap
import os
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

if "pykms" not in sys.modules:  # imported for a preview on the screen that nobody starts
    stub: Any = types.ModuleType("pykms")
    names = ("RGB888", "BGR888", "XRGB8888", "XBGR8888", "YUV420", "YVU420", "NV12")
    stub.PixelFormat = type("PixelFormat", (), dict.fromkeys(names))
    sys.modules["pykms"] = stub

import cv2
import libcamera
import numpy as np
import picamera2.picamera2 as vendor
from picamera2.allocators import Allocator
from picamera2.allocators.allocator import Sync

SETTINGS = Path("/usr/share/libcamera/pipeline/virtual/virtual.yaml")
SIZES = ((1280, 960), (640, 480), (320, 240))
SAME_PICTURE_FRAMES = 4
"""libcamera's own number."""

_PADDED_TO_BYTES = 64
_RGB_FORMATS = ("RGB888", "BGR888")
_POLL_SECONDS = 0.02
_JPEG_Y = np.rint(np.arange(256) * 219 / 255 + 16).astype(np.uint8)
_JPEG_C = np.rint((np.arange(256) - 128.0) * 224 / 255 + 128).astype(np.uint8)

Picture = Any


def show(pictures: Path) -> None:
    """Cameras opened from now on show the JPEGs 0.jpg, 1.jpg ... in that folder."""
    formats = "".join(f"  - {{width: {w}, height: {h}, frame_rates: [30, 60]}}\n" for w, h in SIZES)
    SETTINGS.parent.mkdir(parents=True, exist_ok=True)
    SETTINGS.write_text(f'"Virtual0":\n  supported_formats:\n{formats}  frames:\n    path: "{pictures}"\n')


_GRAIN, _COUNT = bool(os.environ.get("FACELATCH_VIRTUAL_GRAIN")), itertools.count()


def _stride(name: str, width: int) -> int:
    """Bytes from one row to the next; of a YUV420 picture's luma, so that the chroma rows are padded as well."""
    step = _PADDED_TO_BYTES * (1 if name in _RGB_FORMATS else 2)
    return -(-width * (3 if name in _RGB_FORMATS else 1) // step) * step


def _rgb(nv12: Picture, height: int) -> Picture:
    """What the virtual camera took, in the samples of a JPEG: full range, BT.601. OpenCV expects limited range."""
    limited = np.vstack([cv2.LUT(nv12[:height], _JPEG_Y), cv2.LUT(nv12[height:], _JPEG_C)])
    return cv2.cvtColor(limited, cv2.COLOR_YUV2RGB_NV12)


def _yuv_planes(rgb: Picture, space: Any) -> tuple[Picture, Picture, Picture]:
    """Luma and the halved chroma in the colour space that the application asked for."""
    rec709 = space.ycbcrEncoding == libcamera.ColorSpace.YcbcrEncoding.Rec709
    red, blue = (0.2126, 0.0722) if rec709 else (0.299, 0.114)
    luma = np.array([red, 1 - red - blue, blue])
    full = space.range == libcamera.ColorSpace.Range.Full
    y_span, c_span, y_zero = (1.0, 1.0, 0.0) if full else (219 / 255, 224 / 255, 16.0)
    rows = [
        [*(luma * y_span), y_zero],
        [*((np.array([0, 0, 1]) - luma) / (2 - 2 * blue) * c_span), 128.0],
        [*((np.array([1, 0, 0]) - luma) / (2 - 2 * red) * c_span), 128.0],
    ]
    y, u, v = cv2.split(cv2.transform(rgb, np.array(rows)))
    half = (rgb.shape[1] // 2, rgb.shape[0] // 2)
    return y, cv2.resize(u, half, interpolation=cv2.INTER_AREA), cv2.resize(v, half, interpolation=cv2.INTER_AREA)


def _converted(memory: mmap.mmap, name: str, size: tuple[int, int], space: Any) -> Picture:
    """The bytes a converter would have written for a buffer of that format."""
    width, height = size
    stride = _stride(name, width)
    rgb = _rgb(np.frombuffer(memory, np.uint8).reshape(height * 3 // 2, width), height)
    if _GRAIN:  # a sensor is noisy: pictures that come round are not equal in every pixel
        number = next(_COUNT)
        rgb[:16, :16] = (number % 251, number // 251 % 251, 128)
    if name in _RGB_FORMATS:
        rows = np.zeros((height, stride), np.uint8)
        # Named by the order within a word: RGB888 is blue, green, red in memory.
        rows[:, : width * 3] = (rgb[..., ::-1] if name == "RGB888" else rgb).reshape(height, -1)
        return rows.reshape(-1)
    y, u, v = _yuv_planes(rgb, space)
    rows, chroma = np.zeros((height, stride), np.uint8), np.zeros((height, stride // 2), np.uint8)
    rows[:, :width] = y
    chroma[: height // 2, : width // 2], chroma[height // 2 :, : width // 2] = u, v
    return np.concatenate([rows.reshape(-1), chroma.reshape(-1)])


class Memory(Allocator):  # type: ignore[misc]
    """Buffers in memory of this process; what is read from them is in the format that was asked for."""

    formats: list[str] = []  # noqa: RUF012  (one camera is configured at a time)
    colour_space: Any = None
    """What the application asked for, a format for each stream, noted while they are configured."""

    class _Read(Sync):  # type: ignore[misc]
        def __init__(self, allocator: Memory, buffer: Any, _write: bool) -> None:
            self.allocator, self.buffer = allocator, buffer

        def __enter__(self) -> Any:
            return self.allocator.read(self.buffer)

        def __exit__(self, *_exception: object) -> None:
            pass

    def __init__(self) -> None:
        super().__init__()
        self.sync = self._Read
        self._descriptors: list[int] = []
        self._free()

    def allocate(self, libcamera_config: Any, use_case: Any = None) -> None:
        self._free()
        for stream, name in zip(libcamera_config, Memory.formats, strict=True):
            buffers = [self._buffer(stream, name, Memory.colour_space) for _ in range(stream.buffer_count)]
            self.frame_buffers[stream.stream] = buffers

    def _buffer(self, stream: Any, name: str, space: Any) -> Any:
        descriptor = os.memfd_create("picture", os.MFD_CLOEXEC)
        self._descriptors.append(descriptor)
        os.ftruncate(descriptor, stream.frame_size)
        luma = stream.stride * stream.size.height
        planes = []
        for offset, length in ((0, luma), (luma, stream.frame_size - luma)):
            plane = libcamera.FrameBuffer.Plane()
            plane.fd, plane.offset, plane.length = descriptor, offset, length
            planes.append(plane)
        buffer = libcamera.FrameBuffer(planes)
        self.mapped_buffers[buffer] = mmap.mmap(descriptor, stream.frame_size)
        self._formats[buffer] = (name, (stream.size.width, stream.size.height), space)
        return buffer

    def read(self, buffer: Any) -> Any:
        name, size, space = self._formats[buffer]
        return _converted(self.mapped_buffers[buffer], name, size, space)

    def buffers(self, stream: Any) -> Any:
        return self.frame_buffers[stream]

    def close(self) -> None:
        self._free()

    __del__ = close  # picamera2 closes its own no other way

    def _free(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors, self.frame_buffers, self.mapped_buffers, self._formats = [], {}, {}, {}


_FILLING_SECONDS = 0.2


class Sensor(threading.Thread):
    """The virtual camera completes a request the moment it is queued; a sensor takes its time."""

    def __init__(self, rate_fps: float, cable: Path | None) -> None:
        super().__init__(name="virtual-sensor", daemon=True)
        self._period, self._cable = 1 / rate_fps, cable
        self._changed = threading.Condition()
        self._waiting: collections.deque[tuple[Any, Any]] = collections.deque()
        self._queue, self._stop_camera = libcamera.Camera.queue_request, libcamera.Camera.stop
        libcamera.Camera.queue_request = lambda camera, request: self._take(camera, request)
        libcamera.Camera.stop = lambda camera: self._forget(camera)

    def _take(self, camera: Any, request: Any) -> None:
        with self._changed:
            self._waiting.append((camera, request))
            self._changed.notify()

    def _forget(self, camera: Any) -> Any:
        with self._changed:
            self._waiting = collections.deque(one for one in self._waiting if one[0] is not camera)
            # A request handed over is filled by a thread of libcamera's, which does not bear to be stopped meanwhile.
            time.sleep(_FILLING_SECONDS)
            return self._stop_camera(camera)

    def run(self) -> None:
        due = time.monotonic()
        while True:
            time.sleep(max(_POLL_SECONDS if self._unplugged() else 0.0, due - time.monotonic()))
            if self._unplugged():
                continue
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                self._queue(*self._waiting.popleft())
            due = max(due + self._period, time.monotonic())

    def _unplugged(self) -> bool:
        return self._cable is not None and self._cable.exists()


_update_camera_config = vendor.Picamera2._update_camera_config


def _as_asked(self: Any, config: dict[str, Any], libcamera_config: Any) -> None:
    """libcamera has adjusted formats and colours to what the virtual camera has; the converter makes the others."""
    streams = [config[name] for name in ("main", "lores") if config.get(name)]
    Memory.formats, Memory.colour_space = [stream["format"] for stream in streams], config["colour_space"]
    _update_camera_config(self, config, libcamera_config)
    config["colour_space"] = Memory.colour_space
    for stream, name in zip(streams, Memory.formats, strict=True):
        width, height = stream["size"]
        stream["format"], stream["stride"] = name, _stride(name, width)
        stream["framesize"] = stream["stride"] * (height if name in _RGB_FORMATS else height * 3 // 2)


def _modes(self: Any) -> list[dict[str, Any]]:
    """The virtual camera has no raw modes to list; any list will do."""
    formats = self.camera.generate_configuration([libcamera.StreamRole.Viewfinder]).at(0).formats
    return [
        {"format": str(name), "size": (size.width, size.height)}
        for name in formats.pixel_formats
        for size in formats.sizes(name)
    ]


vendor.DmaAllocator = Memory
vendor.Picamera2._update_camera_config = _as_asked
vendor.Picamera2._get_raw_modes = _modes
_cable = os.environ.get("FACELATCH_VIRTUAL_CABLE")
Sensor(float(os.environ.get("FACELATCH_VIRTUAL_FPS", "30")), Path(_cable) if _cable else None).start()
