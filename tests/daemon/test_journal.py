"""Audit events reach the journal with their fields, or stderr as lines, and never raise."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from facelatch.adapters.system import journal
from facelatch.adapters.system.journal import JournalAudit, StderrAudit, open_audit
from facelatch.audit.events import Event, EventKind

FAULT = Event(EventKind.FAULT, {"REASON": "camera_stale", "FRAME_AGE_MS": 2100})


def test_the_journal_gets_every_field() -> None:
    """MESSAGE, EVENT, MESSAGE_ID, PRIORITY and the event's own fields, as text."""
    sent: list[tuple[str, dict[str, Any]]] = []
    JournalAudit(lambda message, **fields: sent.append((message, fields))).write(FAULT)
    spec = EventKind.FAULT.spec
    assert sent == [
        (
            FAULT.message,
            {
                "EVENT": "fault",
                "MESSAGE_ID": spec.message_id,
                "PRIORITY": 3,
                "SYSLOG_IDENTIFIER": "facelatch",
                "REASON": "camera_stale",
                "FRAME_AGE_MS": "2100",
            },
        )
    ]


def test_a_journal_that_refuses_is_replaced_by_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A full journal loses no event and raises nothing."""

    def full(message: str, **fields: object) -> None:
        raise OSError(28, "No space left on device")

    JournalAudit(full).write(FAULT)
    assert FAULT.message in capsys.readouterr().err


def test_a_journal_that_no_longer_reads_does_not_stop_the_door(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its queue is full and stays so: the event goes to stderr at once, and into the journal again when it reads."""
    sent: list[str] = []
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hung,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others,
    ):
        hung.bind(str(tmp_path / "socket"))
        others.setblocking(False)
        audit = JournalAudit(
            lambda message, **_: sent.append(message), has_room=lambda: journal._has_room(tmp_path / "socket")
        )
        audit.write(FAULT)
        assert sent == [FAULT.message]
        others.connect(str(tmp_path / "socket"))
        with suppress(BlockingIOError):
            while others.send(b"message"):
                pass
        begin = time.monotonic()
        audit.write(FAULT)
        assert time.monotonic() - begin < 5
        assert sent == [FAULT.message]
        assert FAULT.message in capsys.readouterr().err
        hung.recv(100)
        audit.write(FAULT)
        assert sent == [FAULT.message] * 2


def test_a_stderr_nobody_reads_any_more_does_not_stop_the_door() -> None:
    """The pipe is full: what does not fit is lost, the daemon goes on."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader):  # the reader goes first: that frees who waits
        audit = StderrAudit(stream, prefixed=False)
        thread = threading.Thread(target=lambda: [audit.write(FAULT) for _ in range(5000)], daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive(), "it waits for a reader"


def test_a_line_on_stderr_holds_time_sentence_event_and_fields() -> None:
    """Readable by a person, with nothing left out."""
    stream = io.StringIO()
    StderrAudit(stream, prefixed=False).write(FAULT)
    when, line = stream.getvalue()[:20], stream.getvalue()[20:]
    assert line == f"{FAULT.message} [fault REASON=camera_stale FRAME_AGE_MS=2100]\n"
    assert time.strptime(when, "%Y-%m-%d %H:%M:%S ")


def test_the_syslog_priority_goes_in_front_when_systemd_reads() -> None:
    """journald takes `<3>` for an error and hides it."""
    stream = io.StringIO()
    StderrAudit(stream, prefixed=True).write(FAULT)
    assert stream.getvalue().startswith(f"<3>{FAULT.message}")


def test_a_field_cannot_forge_a_second_event() -> None:
    """Line breaks and terminal codes in a field stay within its line."""
    stream = io.StringIO()
    StderrAudit(stream, prefixed=True).write(
        Event(EventKind.FAULT, {"REASON": "x\n<5>Unlocked\x1b[2J\r\u2028y"})
    )
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1


def test_a_broken_stderr_is_survived() -> None:
    """Closed, full, or its reader gone: the event is lost, the door goes on."""

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    closed = io.StringIO()
    closed.close()
    for stream in (Full(), closed):
        StderrAudit(stream, prefixed=False).write(FAULT)


def test_stderr_that_leads_to_the_journal_is_recognised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """JOURNAL_STREAM counts only for the very stream it describes: children redirect theirs."""
    with (tmp_path / "one").open("w") as one, (tmp_path / "other").open("w") as other:
        status = os.fstat(one.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert journal._leads_to_journal(one)
        assert not journal._leads_to_journal(other)
    assert not journal._leads_to_journal(io.StringIO())


def test_without_a_journal_socket_events_go_to_stderr(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """systemd-python alone is no journal, nor is a socket nobody listens on: both drop the event silently."""
    monkeypatch.setattr(journal, "_JOURNAL_SOCKET", tmp_path / "socket")
    assert isinstance(open_audit(), StderrAudit)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left_behind:
        left_behind.bind(str(tmp_path / "socket"))
    audit = open_audit()
    assert isinstance(audit, StderrAudit)
    audit.write(FAULT)
    assert FAULT.message in capsys.readouterr().err


def test_without_systemd_python_events_go_to_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that listens is no use without the library."""
    monkeypatch.setattr(journal, "_somebody_listens", lambda path: True)
    monkeypatch.setitem(sys.modules, "systemd", None)
    assert isinstance(open_audit(), StderrAudit)


@pytest.mark.system
def test_a_real_journal_returns_the_fields() -> None:
    """Written through systemd-python, found again by journalctl."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    if not journal._somebody_listens(journal._JOURNAL_SOCKET):
        pytest.skip("no journal listens on /run/systemd/journal/socket")
    audit = open_audit()
    assert isinstance(audit, JournalAudit)
    mark = uuid.uuid4().hex
    audit.write(Event(EventKind.FAULT, {"REASON": mark, "FRAME_AGE_MS": 2100}))
    subprocess.run(["journalctl", "--sync"], check=False)
    found = subprocess.run(
        ["journalctl", "EVENT=fault", f"REASON={mark}", "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    (entry,) = [json.loads(line) for line in found.stdout.splitlines()]
    assert entry["MESSAGE_ID"] == EventKind.FAULT.spec.message_id
    assert entry["PRIORITY"] == "3"
    assert entry["FRAME_AGE_MS"] == "2100"
    assert entry["SYSLOG_IDENTIFIER"] == "facelatch"


def test_without_any_stderr_nothing_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process started with its stderr closed has None there; a journal that refuses falls back to it."""
    monkeypatch.setattr(sys, "stderr", None)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("full")

    JournalAudit(refuse).write(Event(EventKind.DAEMON_STOPPING, {"REASON": "asked"}))
    monkeypatch.setattr("facelatch.adapters.system.journal._somebody_listens", lambda _path: False)
    open_audit().write(Event(EventKind.DAEMON_STOPPING, {"REASON": "asked"}))
