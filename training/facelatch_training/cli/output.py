"""What the commands print, by the daemon's way out: no name of a file commands the terminal, no locale is too small."""

from __future__ import annotations

from facelatch.cli.output import echo


def say(text: str, *, err: bool = False) -> None:
    """Prints the lines of `text`. Raises what the daemon's `echo` raises."""
    for line in text.split("\n"):
        echo(line, err=err)
