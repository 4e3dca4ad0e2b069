"""The Pi camera against a stub of picamera2: formats, stride, guarded controls, timeouts."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facelatch.adapters.fakes import FakeClock
from facelatch.config.line import CameraConfig
from facelatch.errors import CameraError

ADAPTER = "facelatch.adapters.cameras.picamera2"


class Request:
    """One completed request: an RGB main picture and a YUV one with padded rows."""

    def __init__(self, camera: StubPicamera2) -> None:
        self.camera = camera
        self.released = False
        camera.requests.append(self)

    def make_array(self, name: str) -> Any:
        stream = self.camera.configured[name]
        width, height = stream["size"]
        if name == "main":
            return np.full((height, width, 3), (200, 90, 10), np.uint8)
        stride = stream["stride"]
        luma = np.full((height, stride), 255, np.uint8)
        luma[:, :width] = round(0.299 * 200 + 0.587 * 90 + 0.114 * 10)
        half = (height // 4, stride)  # two rows of chroma fill one of luma
        blue = np.full(half, round(128 + (10 - 113.77) / 1.772), np.uint8)
        red = np.full(half, round(128 + (200 - 113.77) / 1.402), np.uint8)
        return np.concatenate([luma, blue, red])

    def release(self) -> None:
        self.released = True


class StubPicamera2:
    """picamera2's interface as far as we use it."""

    last: StubPicamera2
    fails_at = ""
    main_format = "BGR888"
    controls_offered: tuple[str, ...] = ("FrameDurationLimits", "AeEnable")
    delivers = True

    def __init__(self, number: int) -> None:
        StubPicamera2.last = self
        self.number = number
        self.calls: list[str] = []
        self.requests: list[Request] = []
        self.waits: list[float] = []
        self.waiting = False
        """A capture that timed out stays in the queue, and what comes after it waits for ever."""
        self.configured: dict[str, Any] = {}
        self.camera_controls = dict.fromkeys(self.controls_offered, (0, 0, 0))

    def create_video_configuration(self, **asked: Any) -> dict[str, Any]:
        return asked

    def configure(self, asked: dict[str, Any]) -> None:
        self._step("configure")
        self.configured = {name: dict(value) for name, value in asked.items() if name in ("main", "lores")}
        self.asked = asked
        self.configured["main"]["format"] = self.main_format
        if "lores" in self.configured:
            self.configured["lores"]["stride"] = 384

    def camera_configuration(self) -> dict[str, Any]:
        return self.configured

    def start(self) -> None:
        self._step("start")

    def capture_request(self, wait: float) -> Request:
        self.waits.append(wait)
        if not self.delivers:
            self.waiting = True
            raise TimeoutError
        return Request(self)

    def cancel_all_and_flush(self) -> None:
        self._step("cancel_all_and_flush")
        self.waiting = False

    def stop(self) -> None:
        assert not self.waiting, "the real one would hang"
        self._step("stop")

    def close(self) -> None:
        self._step("close")

    def _step(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails_at:
            raise RuntimeError(f"{name} failed")


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[StubPicamera2]]:
    class Stub(StubPicamera2):
        pass

    libcamera, vendor = ModuleType("libcamera"), ModuleType("picamera2")
    libcamera.Transform = SimpleNamespace  # type: ignore[attr-defined]
    libcamera.ColorSpace = SimpleNamespace(Sycc=lambda: "sYCC")  # type: ignore[attr-defined]
    vendor.Picamera2 = Stub  # type: ignore[attr-defined]
    for module in (libcamera, vendor):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delitem(sys.modules, ADAPTER, raising=False)
    yield Stub
    sys.modules.pop(ADAPTER, None)


def open_camera(clock: FakeClock | None = None, **keys: Any) -> Any:
    return importlib.import_module(ADAPTER).Picamera2Camera(
        CameraConfig.model_validate(keys), clock or FakeClock()
    )


def test_a_frame_is_rgb_in_both_sizes_despite_padded_rows(picamera2: type[StubPicamera2]) -> None:
    """320 pixels wide in rows of 384: neither padding nor shifted colours are left."""
    frame = open_camera(FakeClock(3.0)).read()
    assert frame.image.shape == (960, 1280, 3)
    assert frame.search.shape == (240, 320, 3)
    assert (frame.number, frame.captured) == (0, 3.0)
    assert np.abs(frame.search.astype(int) - (200, 90, 10)).max() <= 4
    assert StubPicamera2.last.requests[0].released


def test_the_main_stream_is_asked_for_in_the_order_red_green_blue(picamera2: type[StubPicamera2]) -> None:
    """picamera2 calls that BGR888; the small stream is YUV, which every Pi has."""
    open_camera()
    asked = StubPicamera2.last.asked
    assert asked["main"] == {"size": (1280, 960), "format": "BGR888"}
    assert asked["lores"] == {"size": (320, 240), "format": "YUV420"}


def test_the_colour_space_is_the_one_the_small_stream_is_decoded_by(picamera2: type[StubPicamera2]) -> None:
    """Full range and BT.601 at every size; picamera2 would take television's BT.709 from 1280x720 on."""
    open_camera()
    assert StubPicamera2.last.asked["colour_space"] == "sYCC"


def test_both_streams_have_the_same_shape(picamera2: type[StubPicamera2]) -> None:
    """A 16:9 picture is searched in 16:9, or the faces would be squeezed."""
    open_camera(width_px=1280, height_px=720)
    assert StubPicamera2.last.asked["lores"]["size"] == (320, 180)


def test_a_small_picture_is_searched_itself(picamera2: type[StubPicamera2]) -> None:
    """No second stream where it would not be smaller."""
    frame = open_camera(width_px=320, height_px=240).read()
    assert "lores" not in StubPicamera2.last.asked
    assert frame.search is frame.image


def test_only_controls_the_camera_has_are_set(picamera2: type[StubPicamera2]) -> None:
    """Autofocus on a fixed lens is refused by libcamera, and the camera would not start."""
    open_camera(rate_fps=10.0)
    assert StubPicamera2.last.asked["controls"] == {"FrameDurationLimits": (100_000, 100_000)}
    picamera2.controls_offered = ("FrameDurationLimits", "AfMode")
    open_camera(rate_fps=10.0)
    assert "AfMode" in StubPicamera2.last.asked["controls"]
    picamera2.controls_offered = ()
    open_camera()
    assert StubPicamera2.last.asked["controls"] == {}


@pytest.mark.parametrize("degrees", [90, 270])
@pytest.mark.parametrize("width", [320, 1280])
def test_a_camera_on_its_side_is_turned_by_us(picamera2: type[StubPicamera2], degrees: int, width: int) -> None:
    """libcamera only flips: both streams are turned clockwise after it, also where they are one."""
    frame = open_camera(rotation_degrees=degrees, width_px=width, height_px=width * 3 // 4).read()
    assert frame is not None
    assert frame.image.shape == (width, width * 3 // 4, 3)
    assert frame.search.shape == (320, 240, 3)
    transform = StubPicamera2.last.asked["transform"]
    assert (transform.hflip, transform.vflip) == (False, False)


@pytest.mark.parametrize("degrees", [0, 180])
def test_a_camera_upside_down_is_turned_by_the_sensor(picamera2: type[StubPicamera2], degrees: int) -> None:
    """Both flips or none."""
    open_camera(rotation_degrees=degrees)
    transform = StubPicamera2.last.asked["transform"]
    assert transform.hflip == transform.vflip == (degrees == 180)


def test_a_frozen_camera_raises_after_a_bounded_wait(picamera2: type[StubPicamera2]) -> None:
    """Never without a timeout: picamera2 would wait for ever."""
    picamera2.delivers = False
    camera = open_camera(stale_after_seconds=3.0)
    with pytest.raises(CameraError, match="no frame within 3 s") as caught:
        camera.read()
    assert StubPicamera2.last.waits == [3.0]
    assert caught.value.hint


def test_a_request_is_released_even_when_reading_it_fails(
    picamera2: type[StubPicamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost request would starve the camera of buffers."""

    def broken(request: Request, name: str) -> Any:
        raise ValueError("no such stream")

    monkeypatch.setattr(Request, "make_array", broken)
    with pytest.raises(ValueError, match="stream"):
        open_camera().read()
    assert StubPicamera2.last.requests[0].released


def test_a_silently_adjusted_format_is_refused(picamera2: type[StubPicamera2]) -> None:
    """libcamera gives what it has; wrong colours must not go unnoticed."""
    picamera2.main_format = "NV12"
    with pytest.raises(CameraError, match="NV12, not BGR888"):
        open_camera()
    assert StubPicamera2.last.calls[-1] == "close"


@pytest.mark.parametrize("step", ["configure", "start"])
def test_a_camera_that_fails_to_start_is_closed_again(picamera2: type[StubPicamera2], step: str) -> None:
    """Otherwise the next attempt would find it busy."""
    picamera2.fails_at = step
    with pytest.raises(CameraError, match=f"{step} failed") as caught:
        open_camera()
    assert StubPicamera2.last.calls[-2:] == ["stop", "close"]
    assert caught.value.hint


def test_a_device_that_is_no_number_is_refused(picamera2: type[StubPicamera2]) -> None:
    """`device = "/dev/video0"` belongs to v4l2."""
    with pytest.raises(CameraError, match="/dev/video0"):
        open_camera(device="/dev/video0")


def test_a_frozen_camera_can_be_closed(picamera2: type[StubPicamera2]) -> None:
    """The capture that timed out is taken out of picamera2's queue before anything else is asked of it."""
    picamera2.delivers = False
    camera = open_camera()
    with pytest.raises(CameraError):
        camera.read()
    camera.close()
    assert StubPicamera2.last.calls[-3:] == ["cancel_all_and_flush", "stop", "close"]


@pytest.mark.parametrize("step", ["", "cancel_all_and_flush", "stop", "close"])
def test_closing_never_raises(picamera2: type[StubPicamera2], step: str) -> None:
    """Each step is tried, whatever the other does."""
    camera = open_camera()
    picamera2.fails_at = step
    camera.close()
    assert StubPicamera2.last.calls[-2:] == ["stop", "close"]


def test_without_picamera2_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a traceback about an import."""
    monkeypatch.setitem(sys.modules, "picamera2", None)
    monkeypatch.setitem(sys.modules, "libcamera", None)
    monkeypatch.delitem(sys.modules, ADAPTER, raising=False)
    with pytest.raises(CameraError, match="picamera2") as caught:
        importlib.import_module(ADAPTER)
    assert "apt install python3-picamera2" in caught.value.hint
