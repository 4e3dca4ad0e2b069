"""The V4L2 camera against a stub of OpenCV's capture: negotiation, and each way a device can fail."""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
import pytest

from facelatch.adapters.cameras import v4l2
from facelatch.adapters.cameras.v4l2 import V4l2Camera
from facelatch.adapters.fakes import FakeClock
from facelatch.config.line import CameraConfig
from facelatch.errors import CameraError

YUYV, MJPG = (cv2.VideoWriter.fourcc(*name) for name in ("YUYV", "MJPG"))


class Device:
    """OpenCV's capture as a device of memory."""

    def __init__(self) -> None:
        self.formats = {YUYV, MJPG}
        self.properties: dict[int, float] = {cv2.CAP_PROP_FOURCC: MJPG}
        self.set_in_order: list[int] = []
        self.frames: list[Any] = []
        self.opened_as: tuple[Any, ...] = ()
        self.there = True
        self.released = False
        self.in_read, self.answer = threading.Event(), threading.Event()
        self.answer.set()

    def __call__(self, *arguments: Any) -> Device:
        self.opened_as = arguments
        return self

    def isOpened(self) -> bool:  # noqa: N802
        return self.there

    def set(self, name: int, value: float) -> bool:
        self.set_in_order.append(name)
        if name == cv2.CAP_PROP_FOURCC and int(value) not in self.formats:
            return False
        self.properties[name] = value
        return True

    def get(self, name: int) -> float:
        return self.properties[name]

    def grab(self) -> bool:
        self.in_read.set()
        self.answer.wait()
        return bool(self.frames)

    def retrieve(self) -> tuple[bool, Any]:
        """A frame; for None what OpenCV says of a buffer it cannot decode, for "empty" what it says of an empty one."""
        frame = self.frames.pop(0)
        if isinstance(frame, str):
            raise cv2.error("imdecode: !buf.empty()")
        return frame is not None, frame

    def release(self) -> None:
        self.released = True


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    simulated = Device()
    monkeypatch.setattr(cv2, "VideoCapture", simulated)
    monkeypatch.setattr(v4l2, "_CLOSE_WAIT_SECONDS", 0.02)
    return simulated


def open_camera(clock: FakeClock | None = None, **keys: Any) -> V4l2Camera:
    config = CameraConfig.model_validate({"source": "v4l2", "width_px": 640, "height_px": 480} | keys)
    return V4l2Camera(config, clock or FakeClock())


def bgr(height: int = 480, width: int = 640) -> Any:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[0, 0] = (30, 20, 10)
    return picture


def test_the_device_is_opened_through_v4l2_by_number_or_path(device: Device) -> None:
    """Never through whatever back end OpenCV would pick."""
    open_camera(device="2")
    assert device.opened_as == (2, cv2.CAP_V4L2)
    open_camera(device="/dev/video7")
    assert list(device.opened_as) == ["/dev/video7", cv2.CAP_V4L2]


def test_the_pixel_format_is_set_first_then_size_and_rate(device: Device) -> None:
    """Drivers offer sizes per format; and only one frame is buffered, so that it is fresh."""
    open_camera(rate_fps=15.0)
    assert device.set_in_order[0] == cv2.CAP_PROP_FOURCC
    assert {
        cv2.CAP_PROP_FOURCC: YUYV,
        cv2.CAP_PROP_FRAME_WIDTH: 640,
        cv2.CAP_PROP_FRAME_HEIGHT: 480,
        cv2.CAP_PROP_FPS: 15.0,
        cv2.CAP_PROP_BUFFERSIZE: 1,
    }.items() <= device.properties.items()


def test_a_format_the_camera_refuses_is_an_error_that_names_both(device: Device) -> None:
    """What it sends, what was asked, and what to set instead; the device is released."""
    device.formats = {MJPG}
    with pytest.raises(CameraError, match="sends MJPG, not YUYV") as caught:
        open_camera()
    assert 'pixel_format = "MJPG"' in caught.value.hint
    assert device.released


@pytest.mark.parametrize("code", [0, -1, 875967048])
def test_any_format_code_can_be_named(device: Device, code: int) -> None:
    """Zero, garbage, and H264."""
    device.formats, device.properties = set(), {cv2.CAP_PROP_FOURCC: float(code)}
    with pytest.raises(CameraError, match="not YUYV"):
        open_camera()


def test_frames_are_rgb_numbered_and_stamped_on_delivery(device: Device) -> None:
    """BGR becomes RGB; the search picture is the same view, smaller."""
    device.frames = [bgr(), bgr()]
    clock = FakeClock(7.0)
    camera = open_camera(clock)
    first = camera.read()
    clock.advance(0.5)
    second = camera.read()
    assert first is not None
    assert second is not None
    assert first.image[0, 0].tolist() == [10, 20, 30]
    assert first.search.shape == (240, 320, 3)
    assert [(frame.number, frame.captured) for frame in (first, second)] == [(0, 7.0), (1, 7.5)]


def test_a_size_that_changes_midway_is_handed_on(device: Device) -> None:
    """Some drivers fall back to another size after a reset."""
    device.frames = [bgr(), bgr(120, 160)]
    camera = open_camera()
    frames = [camera.read(), camera.read()]
    assert [frame.image.shape[:2] for frame in frames if frame] == [(480, 640), (120, 160)]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_camera_that_hangs_otherwise_is_turned(device: Device, degrees: int) -> None:
    """rotation_degrees turns the picture clockwise."""
    device.frames = [bgr()]
    upright = np.ascontiguousarray(device.frames[0][:, :, ::-1])
    frame = open_camera(rotation_degrees=degrees).read()
    assert frame is not None
    assert np.array_equal(frame.image, np.rot90(upright, -degrees // 90))


def test_an_unplugged_camera_raises(device: Device) -> None:
    """OpenCV says False after its ten seconds; we say what may be wrong."""
    camera = open_camera()
    with pytest.raises(CameraError, match="no frame") as caught:
        camera.read()
    assert "unplugged" in caught.value.hint


BAD = {
    "empty": "empty",
    "undecodable": None,
    "no pixels": np.zeros((0, 0, 3), np.uint8),
    "flat": np.zeros((1, 4096), np.uint8),
    "two channels": np.zeros((480, 640, 2), np.uint8),
    "sixteen bits": np.zeros((480, 640, 3), np.uint16),
}


@pytest.mark.parametrize("buffer", BAD.values(), ids=list(BAD))
def test_a_bad_buffer_is_a_dropped_frame(device: Device, buffer: Any) -> None:
    """USB cameras send one now and then; twenty in a row are not yet a fault of the cable."""
    device.frames = [buffer] * 20 + [bgr()]
    frame = open_camera().read()
    assert frame is not None
    assert (frame.number, frame.image.shape) == (0, (480, 640, 3))


def test_a_camera_that_sends_nothing_whole_can_be_closed(device: Device) -> None:
    """Bad buffers for ever: `read` waits as for a camera that is silent, and ends when told to."""
    device.frames = [None] * 10_000
    camera = open_camera()
    got: list[Any] = []
    reader = threading.Thread(target=lambda: got.append(camera.read()))
    reader.start()
    assert device.in_read.wait(10)
    camera.close()
    reader.join(10)
    assert got == [None]
    assert device.released


def test_a_grey_camera_is_used(device: Device) -> None:
    """Infrared cameras have nothing else. OpenCV hands their pictures out grey or as three equal channels."""
    device.formats, device.properties = set(), {cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*"GREY"))}
    device.frames = [np.full((480, 640), 7, np.uint8), np.full((480, 640, 3), 7, np.uint8)]
    camera = open_camera()
    for _ in range(2):
        frame = camera.read()
        assert frame is not None
        assert frame.image.shape == (480, 640, 3)
        assert (frame.image == 7).all()


@pytest.mark.parametrize("sends", ["Y16 ", "H264"])
def test_a_format_that_no_setting_helps_is_told_without_one(device: Device, sends: str) -> None:
    """A hint to try what the camera refuses would send people round in a circle."""
    device.formats, device.properties = set(), {cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*sends))}
    for asked in ("YUYV", "MJPG"):
        with pytest.raises(CameraError, match=f"sends {sends}, not {asked}") as caught:
            open_camera(pixel_format=asked)
        assert "pixel_format" not in caught.value.hint
        assert "v4l2-ctl" in caught.value.hint


def test_a_device_that_is_not_there_raises(device: Device) -> None:
    """The stub says it could not be opened."""
    device.there = False
    with pytest.raises(CameraError, match="camera 0") as caught:
        open_camera()
    assert "v4l2-ctl" in caught.value.hint


def test_real_opencv_refuses_a_device_that_does_not_exist() -> None:
    """No stub: the error comes out of OpenCV itself."""
    with pytest.raises(CameraError, match="/dev/video-none"):
        open_camera(device="/dev/video-none")


def test_closing_does_not_release_under_a_blocked_read(device: Device) -> None:
    """OpenCV crashes on that; close() gives up after a moment instead of hanging."""
    device.frames = [bgr()]
    device.answer.clear()
    camera = open_camera()
    reader = threading.Thread(target=camera.read)
    reader.start()
    assert device.in_read.wait(10)
    camera.close()
    assert not device.released
    device.answer.set()
    reader.join(10)
    camera.close()
    assert device.released
