"""The Pi camera's adapter on real picamera2 and libcamera: streams, rows, colours, faults, and nothing left over."""

from __future__ import annotations

import gc
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
import virtual_camera

from facelatch.adapters.cameras.picamera2 import Picamera2Camera
from facelatch.adapters.system.clock import MonotonicClock
from facelatch.app import build
from facelatch.config.line import CameraConfig
from facelatch.errors import CameraError

pytestmark = pytest.mark.system

COLOURS = np.array(
    [
        *((200, 30, 30), (30, 170, 40), (40, 40, 190), (190, 180, 30)),
        *((214, 166, 140), (96, 66, 52), (20, 20, 20), (240, 240, 240)),
    ]
)
"""Eight columns from left to right, red first; skin among them."""
PICTURES = 12
SIZES = [(640, 480), (1280, 960)]
"""picamera2 itself chooses another colour space from 1280x720 on."""


@pytest.fixture(scope="module", autouse=True)
def pictures(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A card of columns under a band whose brightness counts the pictures."""
    folder = tmp_path_factory.mktemp("card")
    for number in range(PICTURES):
        card = np.repeat(np.repeat(COLOURS[np.newaxis], 480, axis=0), 80, axis=1).astype(np.uint8)
        card[:120] = _brightness(number)
        cv2.imwrite(str(folder / f"{number}.jpg"), card[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    virtual_camera.show(folder)


@pytest.fixture
def camera() -> Iterator[Picamera2Camera]:
    opened = open_camera()
    yield opened
    opened.close()


def open_camera(size: tuple[int, int] = SIZES[0], **keys: object) -> Picamera2Camera:
    config = CameraConfig.model_validate({"width_px": size[0], "height_px": size[1], **keys})
    return Picamera2Camera(config, MonotonicClock())


def read_on(camera: Picamera2Camera) -> None:
    """Until it fails."""
    while camera.read() is not None:
        pass


def _brightness(number: int) -> int:
    return 30 + 17 * number


def _columns(image: np.ndarray) -> np.ndarray:
    """The mean colour of each column, (8, 3), without its edges."""
    height, width = image.shape[:2]
    step = width // 8
    inner = [image[height // 2 :, column * step + step // 4 : (column + 1) * step - step // 4] for column in range(8)]
    return np.array([part.reshape(-1, 3).mean(axis=0) for part in inner])


def _number(image: np.ndarray) -> int:
    """Which picture of the card it is."""
    return round((float(image[: image.shape[0] // 5].mean()) - 30) / 17)


@pytest.mark.parametrize("size", SIZES)
def test_both_streams_have_the_colours_of_the_scene(size: tuple[int, int]):
    """Red is red in both, to a few levels, whichever colour space picamera2 would choose for the size."""
    camera = open_camera(size)
    try:
        frame = camera.read()
    finally:
        camera.close()
    assert frame.image.shape == (size[1], size[0], 3)
    assert frame.search.shape == (240, 320, 3)
    np.testing.assert_allclose(_columns(frame.image), COLOURS, atol=4)
    np.testing.assert_allclose(_columns(frame.search), COLOURS, atol=4)


def test_padded_rows_are_cut(camera: Picamera2Camera):
    """The small stream is 320 wide in rows of 384: its right edge is the scene's, up to the last pixel."""
    assert camera._camera.camera_configuration()["lores"]["stride"] == 384
    frame = camera.read()
    assert frame.search.flags.c_contiguous
    np.testing.assert_allclose(frame.search[120:, -4:].reshape(-1, 3).mean(axis=0), COLOURS[-1], atol=4)
    np.testing.assert_allclose(frame.image[240:, -4:].reshape(-1, 3).mean(axis=0), COLOURS[-1], atol=4)


def test_both_streams_show_the_same_moment(camera: Picamera2Camera):
    """The box found in the small picture is cut from the large one."""
    frames = [camera.read() for _ in range(6 * virtual_camera.SAME_PICTURE_FRAMES)]
    seen = [_number(frame.image) for frame in frames]
    assert [_number(frame.search) for frame in frames] == seen
    assert len(set(seen)) >= 4


def test_frames_come_at_the_pace_of_the_sensor(camera: Picamera2Camera, patience: float):
    """Numbered in turn, stamped in order, 30 a second."""
    begin = time.monotonic()
    frames = [camera.read() for _ in range(60)]
    assert 1.5 < time.monotonic() - begin < 2.0 * patience
    assert [frame.number for frame in frames] == list(range(60))
    assert all(a.captured < b.captured for a, b in itertools.pairwise(frames))


def test_a_frame_keeps_its_picture(camera: Picamera2Camera):
    """Nothing of it lies in a buffer that the camera writes to again."""
    frame = camera.read()
    image, search = frame.image.copy(), frame.search.copy()
    for _ in range(4 * virtual_camera.SAME_PICTURE_FRAMES):
        camera.read()
    np.testing.assert_array_equal(frame.image, image)
    np.testing.assert_array_equal(frame.search, search)


def test_a_stalled_camera_is_an_error_in_time_and_can_be_closed(cable: Callable[[bool], None], patience: float):
    """picamera2 would wait for ever."""
    camera = open_camera(stale_after_seconds=2.0)
    camera.read()
    cable(False)
    begin = time.monotonic()
    with pytest.raises(CameraError, match="no frame within 2 s"):
        read_on(camera)
    assert 1.9 < time.monotonic() - begin < 2.0 + patience
    begin = time.monotonic()
    camera.close()
    assert time.monotonic() - begin < patience


def test_after_a_stall_the_camera_can_be_opened_again(cable: Callable[[bool], None]):
    """What a restart within the same process would need; nobody has to pull the plug."""
    camera = open_camera(stale_after_seconds=0.5)
    cable(False)
    with pytest.raises(CameraError):
        read_on(camera)
    camera.close()
    cable(True)
    camera = open_camera()
    assert camera.read() is not None
    camera.close()


def test_opening_and_closing_leaves_no_descriptor_and_no_thread():
    """Ten times, with frames in between; the first time loads what stays."""

    def once() -> tuple[int, int]:
        camera = open_camera()
        camera.read()
        camera.close()
        del camera
        gc.collect()  # picamera2 leaves the last of its own to it
        return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208

    first = once()
    assert [once() for _ in range(9)] == [first] * 9


def test_a_camera_in_use_is_refused_and_goes_on_delivering_to_its_owner(camera: Picamera2Camera):
    """A second daemon, or a forgotten preview."""
    with pytest.raises(CameraError, match="camera 0") as caught:
        open_camera()
    assert "another program" in caught.value.hint
    assert camera.read() is not None


def test_a_camera_that_is_not_there_is_refused():
    """Cable out at power-up, or a wrong number."""
    with pytest.raises(CameraError, match="camera 7") as caught:
        open_camera(device="7")
    assert caught.value.hint


def test_the_default_configuration_opens_this_camera():
    """Nothing but the camera is configured on a new Pi."""
    camera = build.build_camera(CameraConfig(), MonotonicClock())
    frame = camera.read()
    camera.close()
    assert isinstance(camera, Picamera2Camera)
    assert frame is not None
    assert frame.image.shape == (960, 1280, 3)


def test_this_is_the_platform_of_trixie():
    """Python 3.13, apt's numpy 2, LiteRT: the other half of the table of supported versions."""
    from facelatch.adapters.models.tflite import load_runtime

    assert sys.version_info[:2] == (3, 13)
    assert np.__file__.startswith("/usr/lib/python3")
    assert np.__version__.startswith("2.")
    assert load_runtime()[1] == "ai-edge-litert"
