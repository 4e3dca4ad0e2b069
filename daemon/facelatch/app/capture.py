"""Frames for the loop: the newest of a live camera, or each of a recording in turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from facelatch.errors import CameraError
from facelatch.ports import Camera, Clock, EndOfFrames
from facelatch.values.pictures import Frame

_JOIN_SECONDS = 1.0


class NewestFrame:
    """Reads the camera in a thread of its own and keeps only the newest frame.

    A camera that blocks for ever freezes that thread, never the caller of `next`. A frame stamped in the
    future (a recording played live) is held back until its time.
    """

    def __init__(self, camera: Camera, clock: Clock) -> None:
        self._camera = camera
        self._clock = clock
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._frame: Frame | None = None
        self._fault: CameraError | None = None
        self._ended = False
        # A daemon thread: one stuck in a dead driver must not keep the process from exiting.
        self._thread = threading.Thread(target=self._capture, name="capture", daemon=True)
        self._thread.start()

    def next(self, timeout_seconds: float) -> Frame | None:
        """The newest frame not yet handed out, or None when none came within the timeout.

        Raises CameraError, again on every call, once the camera has failed; EndOfFrames after its last frame.
        """
        with self._changed:
            self._changed.wait_for(self._has_news, timeout_seconds)
            if self._fault is not None:
                raise CameraError(str(self._fault), hint=self._fault.hint) from self._fault
            frame, self._frame = self._frame, None
            if frame is None and self._ended:
                raise EndOfFrames
            return frame

    def close(self) -> None:
        """Ends the capture; waits a moment for the thread, which closes the camera. Never raises or hangs."""
        self._closing.set()
        self._thread.join(_JOIN_SECONDS)

    def _has_news(self) -> bool:
        return self._frame is not None or self._fault is not None or self._ended

    def _capture(self) -> None:
        fault = None
        try:
            while not self._closing.is_set():
                frame = self._camera.read()
                if frame is None:
                    break
                self._closing.wait(max(0.0, frame.captured - self._clock.now()))
                with self._changed:
                    self._frame = frame
                    self._changed.notify_all()
        except CameraError as error:
            fault = error
        except Exception as error:  # whatever a driver raises, the loop must hear of it
            fault = CameraError(
                f"the camera failed: {type(error).__name__}: {error}",
                hint="`facelatch check` tries the camera",
            )
            fault.__cause__ = error
        finally:
            with self._changed:
                self._fault, self._ended = fault, True
                self._changed.notify_all()
            self._camera.close()


class ReopenedFrames:
    """The newest frame of a camera that can be opened again, in the capture's own thread: opening may block, too."""

    def __init__(self, opener: Callable[[], Camera], clock: Clock, first: Camera | None = None) -> None:
        """Reads `first`, an open camera; without one it is opened in the thread, and a failure is one of the camera."""
        self._opener, self._clock = opener, clock
        self._told = False  # of the capture's fault: once is enough
        self._frames = NewestFrame(first or _OpenedLater(opener), clock)

    def next(self, timeout_seconds: float) -> Frame | None:
        """The newest frame, or None after the timeout. Raises CameraError once for each opening, and EndOfFrames."""
        if self._told:
            time.sleep(timeout_seconds)
            return None
        try:
            return self._frames.next(timeout_seconds)
        except CameraError:
            self._told = True
            raise

    def reopen(self) -> None:
        """Closes the camera and opens it again; returns at once. What the old one still delivers is lost."""
        old, self._told = self._frames, False

        def opened() -> Camera:
            old.close()
            return self._opener()

        self._frames = NewestFrame(_OpenedLater(opened), self._clock)

    def close(self) -> None:
        """Ends the capture; never raises."""
        self._frames.close()


class _OpenedLater:
    """A camera that is opened by its first read."""

    def __init__(self, opener: Callable[[], Camera]) -> None:
        self._opener = opener
        self._camera: Camera | None = None

    def read(self) -> Frame | None:
        """The next frame. Raises CameraError, also when it cannot be opened."""
        if self._camera is None:
            self._camera = self._opener()
        return self._camera.read()

    def close(self) -> None:
        """Releases what was opened; never raises."""
        if self._camera is not None:
            self._camera.close()


class SettableClock(Protocol):
    """A virtual clock that follows the recording."""

    def advance_to(self, when: float) -> None:
        """Moves the time forward to `when`; a time already past changes nothing."""
        ...


class EachFrame:
    """Hands over every frame in turn and moves a virtual clock to the instant it was captured."""

    def __init__(
        self,
        camera: Camera,
        clock: SettableClock,
        *,
        pace: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`pace` is the speed relative to the recording (1.0 real time); None as fast as possible."""
        self._camera = camera
        self._clock = clock
        self._pace = pace
        self._sleep = sleep
        self._last_captured: float | None = None

    def next(self, timeout_seconds: float) -> Frame | None:  # noqa: ARG002  (a recording never keeps one waiting)
        """The next frame. Raises EndOfFrames after the last one, CameraError for an unreadable one."""
        frame = self._camera.read()
        if frame is None:
            raise EndOfFrames
        if self._pace is not None and self._last_captured is not None:
            self._sleep(max(0.0, (frame.captured - self._last_captured) / self._pace))
        self._last_captured = frame.captured
        self._clock.advance_to(frame.captured)
        return frame

    def close(self) -> None:
        """Closes the recording; never raises."""
        self._camera.close()
