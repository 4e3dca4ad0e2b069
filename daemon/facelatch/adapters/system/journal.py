"""Audit events into systemd's journal with all their fields, or as lines on stderr."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from facelatch.audit.chain import FREE_REASONS
from facelatch.audit.events import Event
from facelatch.ports import AuditSink

_JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
_IDENTIFIER = "facelatch"
_WAIT_SECONDS = 0.1
"""How long one event may wait for room in the journal's queue. Less than any unlocking, and the loop waits with it."""


def open_audit(*, names: bool = True) -> AuditSink:
    """The journal when systemd-python is installed and a journal listens, otherwise stderr.

    Without `names` people are numbers in it.
    """
    sink = _journal_or_stderr()
    return sink if names else WithoutNames(sink)


class WithoutNames:
    """Passes events on with `person 3` for a name, and without sentences in which one may stand."""

    def __init__(self, sink: AuditSink) -> None:
        self._sink = sink

    def write(self, event: Event) -> None:
        """Never raises."""
        number = event.fields.get("PERSON_ID")
        instead = {
            "PERSON": f"person {number}" if number is not None else "somebody",
            "NEAREST": "somebody",
            **({"REASON": "not saved"} if event.kind in FREE_REASONS else {}),
        }
        fields = {name: instead.get(name, value) for name, value in event.fields.items()}
        self._sink.write(replace(event, fields=fields))


def _journal_or_stderr() -> AuditSink:
    # Without a listening journal systemd-python drops what it is given and says nothing.
    if _somebody_listens(_JOURNAL_SOCKET):
        with suppress(ImportError):
            from systemd import journal

            return JournalAudit(journal.send, has_room=lambda: _has_room(_JOURNAL_SOCKET))
    return StderrAudit(sys.stderr, prefixed=_leads_to_journal(sys.stderr))


class JournalAudit:
    """Events with all their fields, found again by `journalctl EVENT=... -o verbose`."""

    def __init__(self, send: Callable[..., object], *, has_room: Callable[[], bool] = lambda: True) -> None:
        """`send` is `systemd.journal.send`, which waits for ever where a journal that hangs has no room."""
        self._send = send
        self._has_room = has_room

    def write(self, event: Event) -> None:
        """Writes one event; on stderr when the journal refuses it or hangs. Never raises, never hangs."""
        spec = event.kind.spec
        try:
            if not self._has_room():
                raise TimeoutError("the journal does not read")
            self._send(
                event.message,
                **{name: str(value) for name, value in event.fields.items()},
                EVENT=event.kind.value,
                MESSAGE_ID=spec.message_id,
                PRIORITY=int(spec.priority),
                SYSLOG_IDENTIFIER=_IDENTIFIER,
            )
        except Exception:  # a full journal must not stop the door from locking
            StderrAudit(sys.stderr, prefixed=_leads_to_journal(sys.stderr)).write(event)


class StderrAudit:
    """One line per event: the sentence, the event's name, and the fields."""

    def __init__(self, stream: TextIO | None, *, prefixed: bool) -> None:
        """`stream` is None in a process started without stderr: events are lost then.

        `prefixed` puts the syslog priority in front as `<N>`, which the journal understands and hides; it knows the
        time of each line, so the line tells it only where no journal reads."""
        self._stream = stream
        self._prefixed = prefixed

    def write(self, event: Event) -> None:
        """Writes one event; never raises. Where nobody reads the stream any more the event is lost."""
        if self._stream is None or not _takes_a_line(self._stream):
            return
        prefix = f"<{int(event.kind.spec.priority)}>" if self._prefixed else time.strftime("%Y-%m-%d %H:%M:%S ")
        fields = "".join(f" {name}={value}" for name, value in event.fields.items())
        line = _one_line(f"{event.message} [{event.kind.value}{fields}]")
        with suppress(OSError, ValueError):  # a closed or full stderr must not stop the door from locking
            print(prefix + line, file=self._stream, flush=True)


def _one_line(text: str) -> str:
    """`text` without line breaks and control characters, so that no field can forge a second event."""
    return "".join(character if character.isprintable() else " " for character in text)


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect(str(path))
        except OSError:
            return False
    return True


def _has_room(path: Path) -> bool:
    """Whether the journal takes another message, within `_WAIT_SECONDS`. Raises OSError when none listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trial:
        # Only of a connected socket does the kernel say whether the queue at the other end is full.
        trial.connect(str(path))
        return bool(select.select([], [trial], [], _WAIT_SECONDS)[1])


def _takes_a_line(stream: TextIO) -> bool:
    """Whether writing a line would not wait: a pipe or socket nobody reads fills up, a file never does."""
    try:
        return bool(select.select([], [stream.fileno()], [], 0)[1])
    except (OSError, ValueError):  # no file behind it, closed, or more open files than select can count
        return True


def _leads_to_journal(stream: TextIO | None) -> bool:
    """Whether `stream` is the one systemd connected to the journal: it names its device and inode."""
    if stream is None:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
