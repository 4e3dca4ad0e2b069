"""Everything the commands print goes through here: no name of a file or person reaches the terminal as a command to it.

An escape sequence in a file name would colour, move or rewrite what an administrator sees, and a line break would
forge a line. And printing never fails: what a locale cannot show is written as `\\xfc`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TextIO

from facelatch.errors import InputError
from facelatch.streams import hold_nothing_back, say


def visible(text: str) -> str:
    """`text` on one line: line breaks, control characters and changes of the writing direction as escapes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def echo(line: str, *, err: bool = False) -> None:
    """Prints one line on standard output, or on standard error, which may fail: what is being done goes on.

    Raises InputError with the line when standard output cannot be written, for then what was asked for may be done
    already; BrokenPipeError when its reader has gone.
    """
    # Not click.echo, which takes an ASCII stream for a misconfigured one and writes UTF-8 into it.
    if err:
        say(visible(line))
        return
    try:
        print(visible(line), file=sys.stdout, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up()
        raise InputError(
            f"standard output: {error.strerror or error}; it was to say: {line}",
            hint="free some space where it is written to",
        ) from error


def give_up() -> None:
    """Nothing is written on standard output any more: the interpreter would try again at its end, and complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def standard_output() -> Iterator[IO[bytes]]:
    """Standard output for the bytes of a file. Raises InputError for a terminal and when it cannot be written."""
    if sys.stdout.isatty():
        raise InputError("standard output is a terminal", hint="send it to a file or a program: `... - | PROGRAM`")
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        give_up()
        raise InputError("standard output: its reader has gone", hint="the file there is not whole") from error
    except OSError as error:
        give_up()
        raise InputError(
            f"standard output: {error.strerror or error}", hint="the file there is not whole: remove it"
        ) from error


def for_progress() -> TextIO:
    """Where a progress bar is drawn: a terminal, or nowhere, as a full disk behind standard error must end no work."""
    return sys.stderr if sys.stderr.isatty() else io.StringIO()


def never_fail() -> None:
    """Lets standard output and error write any character, whatever the locale, and standard error lose what it cannot.

    Of streams that are text files only.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    hold_nothing_back()
