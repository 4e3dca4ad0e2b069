"""A fake of every port: for replays, dry runs and tests. Nothing here touches the machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from facelatch.audit.events import Event
from facelatch.ports import Clock
from facelatch.values.pictures import Box, Face, Frame, Image
from facelatch.values.wires import Edge, EdgeKind, Lamp, LockLevel, Signal, Wire


class FakeClock:
    """Time that moves only when told to."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """Monotonic seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass. Raises ValueError for a negative number: this time does not step back."""
        if seconds < 0:
            raise ValueError(f"monotonic time cannot go back by {-seconds} s")
        self._now += seconds

    def advance_to(self, when: float) -> None:
        """Moves on to `when`; a time already past changes nothing."""
        self._now = max(self._now, when)


class FakeCamera:
    """Plays a script: frames are delivered, exceptions raised, and None or the end is the end."""

    def __init__(self, script: Iterable[Frame | Exception | None]) -> None:
        self._script = iter(script)
        self.closed = False

    def read(self) -> Frame | None:
        """The next item of the script."""
        item = next(self._script, None)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        """Takes note."""
        self.closed = True


class FakeFinder:
    """Answers from a script, one item per call; the last one for ever."""

    def __init__(self, *script: Sequence[Face]) -> None:
        self._script = list(script) or [()]
        self.calls = 0

    def find(self, image: Image) -> Sequence[Face]:  # noqa: ARG002
        """The next item of the script, whatever the picture."""
        faces = self._script[min(self.calls, len(self._script) - 1)]
        self.calls += 1
        return faces

    def find_near(self, image: Image, region: Box) -> Sequence[Face]:  # noqa: ARG002
        """What was answered last: a second look sees the same."""
        return self._script[min(max(self.calls - 1, 0), len(self._script) - 1)]


class FakeVerifier:
    """Takes the mean colour of a crop for its embedding: the same colour is the same person."""

    model_sha256 = "fa4e" * 16
    embedding_size = 3

    def embed(self, crop: Image) -> NDArray[np.float32]:
        """The mean colour (3,), 0 to 1."""
        return np.asarray(crop.reshape(-1, 3).mean(axis=0) / 255, dtype=np.float32)

    def compare(self, probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
        """Similarities (N,): 1 for the same colour, near 0 when a channel differs by a quarter."""
        distances = np.abs(gallery.reshape(-1, 3) - probe).sum(axis=1)
        return np.asarray(np.exp(-12 * distances), dtype=np.float32)


class FakeLock:
    """A lock of memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.level = LockLevel.LOCKED
        self.changes: list[tuple[float, LockLevel]] = []
        """(monotonic seconds, level) of every change; it begins locked."""
        self.ceiling_fired = False
        """Set by a test to play the hard ceiling."""
        self.lapsed = False
        """Set by a test to play a turn that took too long."""
        self.closed = False

    def set(self, level: LockLevel) -> None:
        """Takes the level; records a change."""
        if level is not self.level:
            self.level = level
            self.changes.append((self._clock.now(), level))

    def close(self) -> None:
        """Locks and takes note."""
        self.set(LockLevel.LOCKED)
        self.closed = True


class FakeIndicator:
    """A lamp of memory."""

    def __init__(self) -> None:
        self.lamp = Lamp()
        self.shown: list[Lamp] = []
        """Every change of the lamp."""
        self.closed = False

    def show(self, lamp: Lamp) -> None:
        """Takes the lamp; records a change."""
        if lamp != self.lamp:
            self.lamp = lamp
            self.shown.append(lamp)

    def close(self) -> None:
        """Goes dark and takes note."""
        self.show(Lamp())
        self.closed = True


class FakeButtons:
    """A button for a test to press."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._edges: list[Edge] = []
        self.closed = False

    def press(self) -> None:
        """Pushes it down, now."""
        self._edges.append(Edge(EdgeKind.PRESSED, self._clock.now()))

    def release(self) -> None:
        """Lets it go, now."""
        self._edges.append(Edge(EdgeKind.RELEASED, self._clock.now()))

    def edges(self) -> Sequence[Edge]:
        """What happened since the last call."""
        edges, self._edges = self._edges, []
        return edges

    def close(self) -> None:
        """Takes note."""
        self.closed = True


class FakeSite:
    """Inputs for a test to move, and a siren of memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._signals: list[Signal] = []
        self.sounding = False
        self.closed = False

    def put(self, wire: Wire, active: bool) -> None:
        """The input is found at this level, or comes to it, now."""
        self._signals.append(Signal(wire, active, self._clock.now()))

    def signals(self) -> Sequence[Signal]:
        """What happened since the last call."""
        signals, self._signals = self._signals, []
        return signals

    def sound(self, on: bool) -> None:
        """Takes the level."""
        self.sounding = on

    def close(self) -> None:
        """Falls silent and takes note."""
        self.sounding, self.closed = False, True


class FakeAudit:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> None:
        """Keeps the event."""
        self.events.append(event)


class FakeServiceManager:
    """Keeps what systemd would have been told, in its own words."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def ready(self) -> None:
        """Keeps READY=1."""
        self.messages.append("READY=1")

    def status(self, text: str) -> None:
        """Keeps STATUS=."""
        self.messages.append(f"STATUS={text}")

    def watchdog(self) -> None:
        """Keeps WATCHDOG=1."""
        self.messages.append("WATCHDOG=1")

    def busy(self) -> None:
        """Keeps BUSY."""
        self.messages.append("BUSY")

    def stopping(self) -> None:
        """Keeps STOPPING=1."""
        self.messages.append("STOPPING=1")
