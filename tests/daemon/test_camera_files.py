"""Recordings as a camera: order, time, size, and every way a file can be wrong."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facelatch.adapters.cameras.files import FilesCamera
from facelatch.adapters.fakes import FakeClock
from facelatch.config.line import CameraConfig
from facelatch.decoder.files import LeftOut
from facelatch.errors import CameraError
from facelatch.values.pictures import Frame


def open_files(source: Path, clock: FakeClock | None = None, **keys: Any) -> FilesCamera:
    config = CameraConfig.model_validate({"source": "files", "device": str(source), "rate_fps": 10.0} | keys)
    return FilesCamera(config, clock or FakeClock())


def picture(red: int, size: tuple[int, int] = (48, 64)) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """An RGB picture, its lower half black, so that turning it shows."""
    image = np.zeros((*size, 3), np.uint8)
    image[: size[0] // 2] = (red, 20, 30)
    return image


def save(path: Path, image: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    assert cv2.imwrite(str(path), image[..., ::-1])


def drain(camera: FilesCamera) -> list[Frame]:
    frames = []
    while (frame := camera.read()) is not None:
        frames.append(frame)
    return frames


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, suffix in [(1, "png"), (2, "bmp"), (9, "webp"), (10, "png"), (100, "jpg")]:
        save(tmp_path / f"frame-{number}.{suffix}", picture(number))
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_a_folder_is_read_in_natural_order(folder: Path) -> None:
    """`frame-9` comes before `frame-10`; other files are left alone; jpg, png, webp and bmp all count."""
    reds = [int(frame.image[0, 0, 0]) for frame in drain(open_files(folder))]
    assert reds == pytest.approx([1, 2, 9, 10, 100], abs=4)


def test_the_colours_come_in_rgb_order(folder: Path) -> None:
    """Red first."""
    frame = open_files(folder).read()
    assert frame is not None
    assert frame.image[0, 0].tolist() == [1, 20, 30]


def test_frames_are_stamped_by_the_rate_without_waiting(folder: Path) -> None:
    """Number / rate after the start, on a clock that nobody moved."""
    frames = drain(open_files(folder, FakeClock(50.0)))
    assert [frame.captured for frame in frames] == pytest.approx([50.0, 50.1, 50.2, 50.3, 50.4])
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]


def test_a_frame_read_late_is_stamped_late(folder: Path) -> None:
    """When the loop takes its time, the frame and all after it are as fresh as if just captured."""
    clock = FakeClock()
    camera = open_files(folder, clock)
    camera.read()
    clock.advance(5.0)
    stamps = [frame.captured for frame in (camera.read(), camera.read()) if frame]
    assert stamps == pytest.approx([5.0, 5.1])


def test_a_large_picture_comes_with_a_small_one_of_the_same_shape(tmp_path: Path) -> None:
    """The search picture fits its bounds and keeps the aspect; a small picture is its own."""
    save(tmp_path / "1.png", picture(200, (600, 1600)))
    save(tmp_path / "2.png", picture(200, (48, 64)))
    large, small = drain(open_files(tmp_path))
    assert large.image.shape == (600, 1600, 3)
    assert large.search.shape == (120, 320, 3)
    assert small.search is small.image


def test_pictures_that_change_size_midway_are_handed_on(tmp_path: Path) -> None:
    """Down to a single pixel and up to twelve megapixels."""
    sizes = [(48, 64), (1, 1), (3000, 4000), (10, 2000)]
    for number, size in enumerate(sizes):
        save(tmp_path / f"{number}.bmp", picture(9, size))
    frames = drain(open_files(tmp_path))
    assert [frame.image.shape[:2] for frame in frames] == sizes
    assert all(min(frame.search.shape) >= 1 for frame in frames)


def test_black_and_repeated_pictures_are_handed_on(tmp_path: Path) -> None:
    """Each with a number and a time of its own; judging them is not the camera's business."""
    for number in range(3):
        save(tmp_path / f"{number}.png", np.zeros((48, 64, 3), np.uint8))
    frames = drain(open_files(tmp_path))
    assert len({frame.captured for frame in frames}) == 3
    assert not any(frame.image.any() for frame in frames)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_camera_that_hangs_otherwise_is_turned(tmp_path: Path, degrees: int) -> None:
    """rotation_degrees turns the picture clockwise, and the search picture alike, within the search size."""
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    save(tmp_path / "1.png", image)
    frame = open_files(tmp_path, rotation_degrees=degrees).read()
    assert frame is not None
    assert np.array_equal(frame.image, np.rot90(image, -degrees // 90))
    assert frame.search.shape[:2] == ((240, 320) if degrees % 180 == 0 else (240, 180))


@pytest.mark.parametrize("damage", ["empty", "text", "cut"])
def test_an_unreadable_picture_is_left_out_and_named(folder: Path, damage: str) -> None:
    """Empty, not a picture, or cut short: told once, with the reason; all others come."""
    broken = folder / "frame-2.bmp"
    whole = broken.read_bytes()
    broken.write_bytes({"empty": b"", "text": b"hello", "cut": whole[: len(whole) // 2]}[damage])
    skipped: list[LeftOut] = []
    config = CameraConfig.model_validate({"source": "files", "device": str(folder), "rate_fps": 10.0})
    camera = FilesCamera(config, FakeClock(), loop=True, skipped=skipped.append)
    frames = [camera.read() for _ in range(9)]
    assert [int(frame.image[0, 0, 0]) for frame in frames if frame] == pytest.approx(
        [1, 9, 10, 100, 1, 9, 10, 100, 1], abs=4
    )
    assert sorted(one.path.name for one in skipped) == ["frame-2.bmp", "notes.txt"]
    assert all(one.reason and "frame" not in one.reason for one in skipped)


def test_a_folder_of_which_no_picture_can_be_read_raises(tmp_path: Path) -> None:
    """It must not look as if the recording had ended, nor go round for ever."""
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    config = CameraConfig.model_validate({"source": "files", "device": str(tmp_path)})
    for loop in (False, True):
        with pytest.raises(CameraError, match="can be read"):
            FilesCamera(config, FakeClock(), loop=loop).read()


def test_one_picture_is_a_recording_of_one_frame(folder: Path) -> None:
    """By its name; it is never given to the video decoder."""
    frames = drain(open_files(folder / "frame-9.webp"))
    assert [frame.image.shape for frame in frames] == [(48, 64, 3)]


def test_a_missing_or_empty_source_is_refused_at_opening(tmp_path: Path) -> None:
    """No such folder, nothing in it, not a video: each named, each with a hint."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "clip.mp4").write_bytes(b"this is no video")
    for name in ("missing", "empty", "clip.mp4"):
        with pytest.raises(CameraError, match=name) as caught:
            open_files(tmp_path / name)
        assert caught.value.hint


TURNS = {
    0: (1, 0, 0, 1, 0, 0),
    90: (0, 1, -1, 0, 48, 0),
    180: (-1, 0, 0, -1, 64, 48),
    270: (0, -1, 1, 0, 0, 64),
}
"""Clockwise degrees, and the display matrix of a 64 x 48 video in an MP4 file that asks for them: a b c d x y."""


@pytest.mark.parametrize("degrees", TURNS)
def test_a_video_is_turned_as_its_camera_was_held(tmp_path: Path, degrees: int) -> None:
    """A phone writes what its sensor sees, and into the file how it was held."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write an MP4 video")
    writer.write(np.ascontiguousarray(picture(200)[..., ::-1]))
    writer.release()
    data = bytearray(path.read_bytes())
    a, b, c, d, x, y = (65536 * value for value in TURNS[degrees])
    # In version 0 of the track header the matrix follows 40 bytes of times, id, length, layer and volume.
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, x, y, 1 << 30)
    path.write_bytes(data)
    (frame,) = drain(open_files(path))
    expected = np.rot90(picture(200), -degrees // 90)
    assert frame.image.shape == expected.shape
    assert np.abs(frame.image.astype(int) - expected).mean() < 12


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write an MJPG video")
    for red in (40, 80, 120, 160):
        writer.write(np.ascontiguousarray(picture(red)[..., ::-1]))
    writer.release()
    return path


def test_a_video_comes_frame_by_frame_at_its_own_rate(video: Path) -> None:
    """In RGB, stamped by the rate in the file rather than the configured one."""
    frames = drain(open_files(video))
    assert [int(frame.image[5, 5, 0]) for frame in frames] == pytest.approx([40, 80, 120, 160], abs=12)
    assert [frame.captured for frame in frames] == pytest.approx([0.0, 0.04, 0.08, 0.12])


def test_a_video_begins_anew_on_request(video: Path) -> None:
    """For a demonstration that runs all day; the stamps go on."""
    config = CameraConfig.model_validate({"source": "files", "device": str(video)})
    camera = FilesCamera(config, FakeClock(), loop=True)
    frames = [frame for _ in range(9) if (frame := camera.read())]
    assert [int(frame.image[5, 5, 0]) for frame in frames] == pytest.approx(
        [40, 80, 120, 160, 40, 80, 120, 160, 40], abs=12
    )
    assert frames[-1].captured == pytest.approx(8 * 0.04)
    camera.close()


def test_a_closed_recording_has_ended(video: Path, folder: Path) -> None:
    """close() may come early and twice."""
    for source in (video, folder):
        camera = open_files(source)
        assert camera.read() is not None
        camera.close()
        camera.close()
        assert camera.read() is None


def test_pictures_that_are_taken_away_are_a_camera_that_is_unplugged(folder: Path) -> None:
    """Not the end of the recording, and not one picture that is left out."""
    camera = open_files(folder)
    assert camera.read() is not None
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(CameraError, match="frame-2"):
        camera.read()
