"""The capture thread: newest frame only, never frozen, never silent about a fault; and replays."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from facelatch.adapters.fakes import FakeCamera, FakeClock
from facelatch.adapters.system.clock import MonotonicClock
from facelatch.app import capture
from facelatch.app.capture import EachFrame, NewestFrame, ReopenedFrames
from facelatch.errors import CameraError
from facelatch.ports import EndOfFrames
from facelatch.values.pictures import Frame

PATIENCE_SECONDS = 10.0  # for what must happen; never reached when it does


def frame(number: int, captured: float = 0.0, size: tuple[int, int] = (4, 6), value: int = 0) -> Frame:
    image = np.full((*size, 3), value, np.uint8)
    return Frame(image, image, captured, number)


class BlockingCamera:
    """Delivers its frames, then blocks like a dead driver until the test lets it go."""

    def __init__(self, *frames: Frame) -> None:
        self.frames = list(frames)
        self.blocked, self.let_go, self.closed = threading.Event(), threading.Event(), threading.Event()

    def read(self) -> Frame | None:
        if self.frames:
            return self.frames.pop(0)
        self.blocked.set()
        self.let_go.wait()
        return None

    def close(self) -> None:
        self.closed.set()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "_JOIN_SECONDS", 0.02)


@pytest.fixture
def stuck() -> Iterator[BlockingCamera]:
    camera = BlockingCamera(frame(0), frame(1), frame(2))
    yield camera
    camera.let_go.set()
    assert camera.closed.wait(PATIENCE_SECONDS)


def test_only_the_newest_frame_is_handed_out_and_only_once(stuck: BlockingCamera) -> None:
    """Frames nobody had time for are gone; the gap in the numbers tells."""
    frames = NewestFrame(stuck, FakeClock())
    assert stuck.blocked.wait(PATIENCE_SECONDS)
    newest = frames.next(0)
    assert newest is not None
    assert newest.number == 2
    assert frames.next(0) is None
    frames.close()


def test_a_camera_that_never_delivers_freezes_nobody() -> None:
    """next() returns None after its timeout and close() returns although the read still blocks."""
    camera = BlockingCamera()
    frames = NewestFrame(camera, FakeClock())
    assert frames.next(0.01) is None
    frames.close()
    assert not camera.closed.is_set()
    camera.let_go.set()
    assert camera.closed.wait(PATIENCE_SECONDS)


def test_an_unplugged_camera_is_an_error_on_every_call() -> None:
    """The adapter's own error, hint included, reaches the loop, and it is closed."""
    camera = FakeCamera([frame(0), CameraError("camera 0: delivers no frame", hint="unplugged?")])
    frames = NewestFrame(camera, FakeClock())
    frames._thread.join(PATIENCE_SECONDS)
    for _ in range(2):
        with pytest.raises(CameraError, match="no frame") as caught:
            frames.next(PATIENCE_SECONDS)
        assert caught.value.hint == "unplugged?"
    frames.close()
    assert camera.closed


def test_whatever_a_driver_raises_becomes_a_camera_error() -> None:
    """A bug in a vendor library must not end the thread unheard."""
    frames = NewestFrame(FakeCamera([ZeroDivisionError("driver")]), FakeClock())
    with pytest.raises(CameraError, match="ZeroDivisionError: driver") as caught:
        frames.next(PATIENCE_SECONDS)
    assert caught.value.hint
    frames.close()


def test_after_the_last_frame_comes_the_end() -> None:
    """The last frame is still handed out."""
    frames = NewestFrame(FakeCamera([frame(0), frame(1)]), FakeClock())
    frames._thread.join(PATIENCE_SECONDS)
    last = frames.next(0)
    assert last is not None
    assert last.number == 1
    with pytest.raises(EndOfFrames):
        frames.next(PATIENCE_SECONDS)
    frames.close()


def test_opening_and_closing_leaves_no_thread_behind() -> None:
    """Restarting the capture over and over does not pile up threads."""
    before = threading.active_count()
    for _ in range(20):
        frames = NewestFrame(FakeCamera([frame(0)]), FakeClock())
        frames.close()
        frames._thread.join(PATIENCE_SECONDS)
    assert threading.active_count() == before


def test_a_recording_played_live_comes_at_its_own_pace() -> None:
    """A frame stamped in the future is not handed out before its time."""
    clock = MonotonicClock()
    due = clock.now() + 0.05
    frames = NewestFrame(FakeCamera([frame(0, captured=due)]), clock)
    assert frames.next(PATIENCE_SECONDS) is not None
    assert clock.now() >= due
    frames.close()


def test_a_recording_is_left_at_once() -> None:
    """Closing does not wait for a frame that is due in an hour."""
    camera = FakeCamera([frame(0, captured=3600.0)])
    frames = NewestFrame(camera, FakeClock())
    frames.close()
    frames._thread.join(PATIENCE_SECONDS)
    assert camera.closed


def test_black_frozen_and_resized_frames_are_handed_on_as_they_are() -> None:
    """The capture judges nothing; the line and the freshness check do."""
    black, frozen, resized = frame(0), frame(1, 0.1, value=9), frame(2, 0.2, size=(8, 3), value=9)
    again = Frame(frozen.image, frozen.search, 0.15, 2)
    frames = EachFrame(FakeCamera([black, frozen, again, resized]), FakeClock())
    assert [frames.next(0) for _ in range(4)] == [black, frozen, again, resized]


def test_a_replay_hands_over_every_frame_and_moves_the_clock_to_it() -> None:
    """Time is the recording's: the loop sees each frame the instant it was captured."""
    clock = FakeClock()
    camera = FakeCamera([frame(0, 1.0), frame(1, 1.5), frame(2, 1.25)])
    frames = EachFrame(camera, clock)
    times = []
    for number in range(3):
        got = frames.next(0)
        assert got is not None
        assert got.number == number
        times.append(clock.now())
    assert times == [1.0, 1.5, 1.5]
    with pytest.raises(EndOfFrames):
        frames.next(0)
    frames.close()
    assert camera.closed


def test_a_replay_sleeps_only_when_given_a_pace() -> None:
    """Twice the speed halves the waits; without a pace there are none."""
    slept: list[float] = []
    script = [frame(0, 0.0), frame(1, 0.5), frame(2, 1.5)]
    for pace in (None, 2.0):
        frames = EachFrame(FakeCamera(script), FakeClock(), pace=pace, sleep=slept.append)
        for _ in script:
            frames.next(0)
    assert slept == [0.25, 0.5]


def until(frames: ReopenedFrames, number: int) -> Frame:
    """Waits for a frame of that number, or for the error that comes first."""
    for _ in range(1000):
        got = frames.next(0.01)
        if got is not None and got.number == number:
            return got
    raise AssertionError(f"no frame {number}")


def test_a_camera_that_failed_is_told_once_and_can_be_opened_again() -> None:
    """Also where it cannot be opened at first: the opening happens in the capture's thread."""
    cameras = iter([CameraError("not there"), BlockingCamera(frame(7))])

    def opener() -> BlockingCamera:
        camera = next(cameras)
        if isinstance(camera, CameraError):
            raise camera
        return camera

    first = FakeCamera([CameraError("unplugged")])
    frames = ReopenedFrames(opener, FakeClock(), first)
    for words in ("unplugged", "not there"):
        with pytest.raises(CameraError, match=words):
            until(frames, 7)
        assert frames.next(0.001) is None
        frames.reopen()
    assert until(frames, 7).number == 7
    assert first.closed
    frames.close()


def test_a_camera_that_hangs_does_not_keep_the_next_from_being_opened(stuck: BlockingCamera) -> None:
    frames = ReopenedFrames(lambda: BlockingCamera(frame(9)), FakeClock(), stuck)
    assert stuck.blocked.wait(PATIENCE_SECONDS)
    frames.reopen()
    assert until(frames, 9).number == 9
    assert not stuck.closed.is_set()
    frames.close()
