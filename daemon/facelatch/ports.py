"""What the house needs of the world, as narrow protocols. Adapters implement them; nothing else knows a vendor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facelatch.audit.events import Event
from facelatch.values.hours import LocalTime
from facelatch.values.liveness import Aliveness
from facelatch.values.pictures import Box, Face, Frame, Image
from facelatch.values.readers import Signal as ReaderSignal
from facelatch.values.wires import Edge, Lamp, LockLevel, Signal


class Clock(Protocol):
    """Monotonic time. The only source of `now` anywhere."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...


class Camera(Protocol):
    """A source of frames. Opened by its constructor, which raises CameraError."""

    def read(self) -> Frame | None:
        """The next frame; blocks until there is one. None when the source has ended. Raises CameraError."""
        ...

    def close(self) -> None:
        """Releases the device. May be called from another thread while `read` blocks; never raises."""
        ...


class FrameSource(Protocol):
    """What the loop reads: the newest frame (live), or every frame in turn (replay)."""

    def next(self, timeout_seconds: float) -> Frame | None:
        """The newest frame not yet handed out, or None when none came within the timeout.

        Raises EndOfFrames when a finite source has ended, CameraError when the camera failed.
        """
        ...

    def close(self) -> None:
        """Ends the capture; never raises."""
        ...


class EndOfFrames(Exception):  # noqa: N818  (an end, not an error)
    """A finite source has no more frames."""


class FaceFinder(Protocol):
    """Finds faces in an RGB image of any size."""

    def find(self, image: Image) -> Sequence[Face]:
        """All faces, best score first; coordinates in pixels of `image`. Never raises for a picture."""
        ...

    def find_near(self, image: Image, region: Box) -> Sequence[Face]:
        """The faces in one part of `image`, more cheaply; coordinates in pixels of `image`.

        A region reaching over the border is cut; one wholly outside means the whole picture.
        """
        ...


class Verifier(Protocol):
    """The Siamese network."""

    @property
    def model_sha256(self) -> str:
        """Of the model file; embeddings are only comparable within one hash."""
        ...

    @property
    def embedding_size(self) -> int:
        """D, the length of an embedding."""
        ...

    def embed(self, crop: Image) -> NDArray[np.float32]:
        """The embedding (D,) of an aligned crop (112, 112, 3)."""
        ...

    def compare(self, probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
        """Similarities (N,) in 0..1 of one embedding (D,) to N embeddings (N, D); (0,) for an empty gallery."""
        ...


class Liveness(Protocol):
    """Tells a living face from a picture of one."""

    def look(self, image: Image, box: Box) -> Aliveness:
        """How alive the face with this box in `image` (H, W, 3) looks. Raises InferenceError: no answer."""
        ...


class Lock(Protocol):
    """The lock. Relocks by itself after its hard ceiling, whatever the loop does."""

    @property
    def ceiling_fired(self) -> bool:
        """Whether the hard ceiling has relocked; true until the next unlocking begins."""
        ...

    @property
    def lapsed(self) -> bool:
        """Whether it has relocked because the loop's turn took too long; true until the next unlocking begins."""
        ...

    def set(self, level: LockLevel) -> None:
        """Drives the level. Every turn of the loop asks for it again: an unlocking that is not asked for any more ends.

        Raises GpioError.
        """
        ...

    def close(self) -> None:
        """Drives the safe level, then releases the line; never raises."""
        ...


class Indicator(Protocol):
    """The LED or LEDs and the buzzer."""

    def show(self, lamp: Lamp) -> None:
        """Drives the lamp as it should be at this instant."""
        ...

    def close(self) -> None:
        """Everything off; never raises."""
        ...


class Buttons(Protocol):
    """The enrolment button."""

    def edges(self) -> Sequence[Edge]:
        """What happened since the last call, in order; never blocks."""
        ...

    def close(self) -> None:
        """Releases the line; never raises."""
        ...


class Reader(Protocol):
    """A keypad or a card reader. Opened by its constructor, which raises GpioError or OSError."""

    def signals(self) -> Sequence[ReaderSignal]:
        """What came since the last call, in order; never blocks. Raises OSError when the device is gone."""
        ...

    def close(self) -> None:
        """Releases it; never raises."""
        ...


class Wall(Protocol):
    """A clock on the wall."""

    def local_time(self) -> LocalTime:
        """The day and the minute, and whether they can be believed."""
        ...


class SiteWires(Protocol):
    """The door contact, the other inputs of the site, and the siren: whatever of them there is."""

    def signals(self) -> Sequence[Signal]:
        """What the inputs did since the last call, in order, and at first how each was found; never blocks."""
        ...

    def sound(self, on: bool) -> None:
        """Drives the siren. Raises GpioError."""
        ...

    def close(self) -> None:
        """Silences the siren, releases the lines; never raises."""
        ...


class ModeMemory(Protocol):
    """What of the mode has to survive a restart: whether it is a lockdown."""

    def load(self) -> bool:
        """Whether a lockdown was in force; true also when that cannot be read."""
        ...

    def save(self, lockdown: bool) -> None:
        """Writes it down before it returns. Raises GalleryError."""
        ...


class AuditSink(Protocol):
    """Where audit events are written: the journal, or standard error."""

    def write(self, event: Event) -> None:
        """Writes one event; never raises, because a full journal must not stop the door from locking."""
        ...


class ServiceManager(Protocol):
    """Whoever started the daemon and restarts it: systemd, or nobody on a desk."""

    def ready(self) -> None:
        """Everything is open and the first turn begins."""
        ...

    def status(self, text: str) -> None:
        """One line on what the door is doing."""
        ...

    def watchdog(self) -> None:
        """Still alive, and has just seen a fresh frame, or knows that there is no camera and is opening it again."""
        ...

    def busy(self) -> None:
        """No frame yet, but a long work has just come one step further."""
        ...

    def stopping(self) -> None:
        """The daemon has locked and ends now."""
        ...


class Request(Protocol):
    """One request of a local client."""

    @property
    def asked(self) -> Any:
        """What the client's thread has made of it: `api.intake`'s Asked or Refused."""
        ...

    def reply(self, answer: dict[str, Any], bulk: bytes | None = None) -> None:
        """Answers, with `bulk` in a memory file; never blocks, never raises, a client that has gone is ignored."""
        ...

    @property
    def taken(self) -> bool | None:
        """Whether the client took the answer; None: not known yet."""
        ...


class Control(Protocol):
    """The local control socket."""

    def requests(self) -> Sequence[Request]:
        """What has come in since the last call; never blocks."""
        ...

    def close(self) -> None:
        """Ends the service and removes the socket; never raises."""
        ...
