"""Writes facelatch(1) from the command line's own help, so that the two cannot differ.

    python deploy/man_page.py > facelatch.1

Needs click and nothing else: the commands import what is heavy only when they run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

try:
    from facelatch import __version__
except ModuleNotFoundError:  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daemon"))
    from facelatch import __version__
from facelatch.cli.root import EXIT_CODES, facelatch

FILES = [
    ("/etc/facelatch/facelatch.toml", "The configuration; every key is explained in it."),
    ("/var/lib/facelatch", "The gallery: faces, 0700. Nothing in it is for editing."),
    ("/run/facelatch/control.sock", "The control socket, for members of the group facelatch."),
    ("/opt/facelatch", "The program and its models."),
]
ENVIRONMENT = [
    ("FACELATCH_CONFIG", "The configuration file, like --config."),
    ("DEBUG", "Set to anything, errors show where in the program they arose."),
]


def roff(text: str) -> str:
    """`text` so that nothing in it is a command to the formatter."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\n".join("\\&" + line if line.startswith(".") else line for line in escaped.splitlines())


def prose(text: str) -> Iterator[str]:
    """Paragraphs; those marked with \\b keep their line breaks, as in click's own help."""
    for paragraph in text.strip().split("\n\n"):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        if lines[0] == "\b":
            yield from [".PP", ".nf", roff("\n".join(paragraph.strip().splitlines()[1:])), ".fi"]
        else:
            yield from [".PP", roff(" ".join(lines))]


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    """What may follow the command, each with its help."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield from [".TP", f".B {roff(record[0])}", roff(record[1])]


def commands(group: click.Group, parent: click.Context) -> Iterator[str]:
    """Every command below `group`, with its help and options."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
        yield f".SS {roff(context.command_path + ' ' + ' '.join(command.collect_usage_pieces(context)))}"
        yield from prose(command.help or "")
        yield from options(command, context)
        if isinstance(command, click.Group):
            yield from commands(command, context)


def page() -> Iterator[str]:
    """The manual, line by line."""
    context = click.Context(facelatch, info_name="facelatch", **facelatch.context_settings)
    title, _, description = (facelatch.help or "").partition("\n")
    yield from [f'.TH FACELATCH 1 "" "facelatch {__version__}" "User Commands"', ".SH NAME"]
    yield f"facelatch \\- {roff(title.rstrip('.').lower())}"
    yield from [".SH SYNOPSIS", ".B facelatch", roff(" ".join(facelatch.collect_usage_pieces(context)))]
    yield ".SH DESCRIPTION"
    yield from prose(description)
    yield ".SH OPTIONS"
    yield from options(facelatch, context)
    yield ".SH COMMANDS"
    yield from commands(facelatch, context)
    yield ".SH EXIT STATUS"
    yield from prose(EXIT_CODES)
    for heading, entries in (("FILES", FILES), ("ENVIRONMENT", ENVIRONMENT)):
        yield f".SH {heading}"
        for name, meaning in entries:
            yield from [".TP", f".I {roff(name)}", roff(meaning)]
    yield from [".SH SEE ALSO", "journalctl(1), systemctl(1), systemd.unit(5)"]


if __name__ == "__main__":
    click.echo("\n".join(page()))
