"""Standard error of processes that serve for months: its reader, the journal, may go away and take nothing along."""

from __future__ import annotations

import io
import sys
from contextlib import suppress


def hold_nothing_back() -> None:
    """Lets standard error lose a line that cannot be written, and write any character. Only where it is a file.

    Python keeps such a line in a buffer, tries once more at the end of the process, and when that fails makes 120 of
    the exit code, whatever it was: systemd would take a clean stop for a failure, and start again what
    `RestartPreventExitStatus` is to leave alone.
    """
    stream = sys.stderr
    if not isinstance(stream, io.TextIOWrapper):
        return
    stream.reconfigure(errors="backslashreplace")
    if isinstance(stream.buffer, io.BufferedWriter):
        # By lines, so that a line is written at once, whole: without any buffer its end would be written apart.
        sys.stderr = io.TextIOWrapper(
            stream.buffer.raw,  # as under `python -u`
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=True,
        )


def say(line: str) -> None:
    """One line on standard error, lost where that cannot be written: what is being done goes on."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
