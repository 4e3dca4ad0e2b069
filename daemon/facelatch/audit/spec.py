"""How an event is written: its identity, its weight and its sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from string import Formatter


class Priority(IntEnum):
    """Syslog priorities, as journald and the `<N>` prefix on stderr know them."""

    ALERT = 1
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


@dataclass(frozen=True, slots=True)
class Spec:
    """How one kind of event is written."""

    message_id: str
    """32 hex digits; constant for ever, so that `journalctl MESSAGE_ID=` and the catalogue find it."""
    priority: Priority
    template: str
    """The sentence; the fields named in it are required."""
    optional: frozenset[str] = frozenset()
    """Fields it may carry besides."""
    discreet: bool = False
    """Whether the history shows it to admins only: what somebody may have been forced to do at the door."""

    @property
    def required(self) -> frozenset[str]:
        """The fields the sentence needs."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.template) if name)

    @property
    def tells_the_asker(self) -> bool:
        """Whether it may say which local user asked."""
        return self.required | self.optional >= ASKER


ASKER = frozenset({"UID", "PID", "ACTOR"})
"""Fields of whoever asked for what the event tells; missing where no local user did."""

VERDICT = frozenset({"SIMILARITY_SHARE", "DETECTIONS", "REFERENCES", "MODEL", "FRAME_AGE_MS"})
"""Fields of what was judged at the door."""
