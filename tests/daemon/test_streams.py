"""What serves for months outlives the reader of its standard error, and ends with the exit code it means."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from facelatch import streams

AN_EVENT = """
from facelatch.adapters.system.journal import JournalAudit
from facelatch.audit.events import Event, EventKind
def away(*_, **__): raise ConnectionRefusedError
JournalAudit(away).write(Event(EventKind.LOCKOUT_CLEARED, {"COUNT": 1}))
"""
SAYING = {
    "an event while the journal is away": AN_EVENT,
    "a word beside the answer": "from facelatch.cli.output import echo; echo('a word', err=True)",
    "a complaint of the bridge": "from facelatch.streams import say; say('not delivered')",
    "a warning of a library": "import logging; logging.warning('odd')",
}


def environment() -> dict[str, str]:
    """Ours, with the buffers that Python has unless told otherwise, as under systemd."""
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**ours, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "utf-8"}


def without_reader(*words: str) -> int:
    """The exit code of an interpreter whose standard error is a socket that nobody reads any more, as systemd's is."""
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        return subprocess.run(
            [sys.executable, *words], env=environment(), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
            check=False, timeout=60,
        ).returncode  # fmt: skip


@pytest.mark.parametrize("saying", SAYING.values(), ids=SAYING)
def test_what_could_not_be_said_leaves_the_exit_code_alone(saying: str):
    program = "from facelatch.cli.output import never_fail; never_fail()\n" + saying
    assert without_reader("-c", program) == 0


def test_a_wrong_configuration_is_no_reason_to_start_again_when_nobody_reads(tmp_path: Path):
    """systemd leaves exit code 3 alone; 120 it would start again and again."""
    (tmp_path / "facelatch.toml").write_text("[door]\nno_such_key = 1\n")
    assert without_reader("-m", "facelatch", "--config", str(tmp_path / "facelatch.toml"), "run") == 3


def test_a_line_reaches_standard_error_whole_and_at_once():
    """Any character of it, in one write: lines of several processes do not mix."""
    program = "from facelatch.streams import hold_nothing_back, say; hold_nothing_back(); say('\\u017d\\udcff')"
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # keeps writes apart
    with reader, writer:
        subprocess.run(
            [sys.executable, "-c", program], env=environment(), stderr=writer, check=True, timeout=60
        )  # fmt: skip
        reader.settimeout(10)
        assert reader.recv(100) == "Ž\\udcff\n".encode()


def test_a_standard_error_that_is_no_file_stays_as_it_is(monkeypatch: pytest.MonkeyPatch):
    for stream in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        streams.hold_nothing_back()
        assert sys.stderr is stream
        streams.say("a word")
