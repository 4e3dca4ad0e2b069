"""Is it the camera of before? One that is swapped for another shows whatever its owner likes.

Another camera is remembered only when the wait for it is over: a restart begins the wait anew, and no clock that could
be set decides.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from facelatch.errors import InputError
from facelatch.private_files import write_private_file

HELD_SECONDS = 60.0
"""How long nobody is judged after another camera was found."""

_FILE = "camera"


def is_another(folder: Path, identity: str) -> bool:
    """Whether another camera was there before.

    One without an identity (recorded pictures) is not watched, and no camera at all before is none that was swapped.
    """
    try:
        return bool(identity) and (folder / _FILE).read_text(encoding="utf-8", errors="replace") != identity
    except FileNotFoundError:
        return False
    except OSError:
        return True


def remember(folder: Path, identity: str) -> None:
    """Takes this camera for the door's own. Where that cannot be written, the next start waits again."""
    if identity and (is_another(folder, identity) or not (folder / _FILE).exists()):
        with suppress(InputError):
            write_private_file(folder / _FILE, identity.encode())


class Trust:
    """Whether the camera in use is trusted yet; remembers it once it is."""

    def __init__(self, held_seconds: float = 0.0, remember: Callable[[], None] = lambda: None) -> None:
        self._held_seconds, self._remember = held_seconds, remember
        self._from = 0.0
        self._due = True

    def begin(self, now: float) -> float:
        """Until when nobody is judged, monotonic seconds, of a start at `now`."""
        self._from = now + self._held_seconds
        return self._from

    def pass_time(self, now: float) -> None:
        """Takes the camera for the door's own once the wait is over."""
        if self._due and now >= self._from:
            self._due = False
            self._remember()
