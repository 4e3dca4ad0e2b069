"""Everything the commands print goes through here: no name of a file or person reaches the terminal as a command to it.

An escape sequence in a file name would colour, move or rewrite what an administrator sees, and a line break would
forge a line. And printing never fails: what a locale cannot show is written as `\\xfc`.
"""

from __future__ import annotations

import sys


def visible(text: str) -> str:
    """`text` on one line: line breaks, control characters and changes of the writing direction as escapes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def echo(line: str, *, err: bool = False) -> None:
    """Prints one line on standard output, or on standard error."""
    # Not click.echo, which takes an ASCII stream for a misconfigured one and writes UTF-8 into it.
    print(visible(line), file=sys.stderr if err else sys.stdout, flush=True)


def never_fail() -> None:
    """Lets standard output and error write any character, whatever the locale. Of streams that are text files only."""
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")
