"""`facelatch-train`: the group of all commands, and what a fault ends in."""

from __future__ import annotations

import errno
import os
import sys

import click

from facelatch.errors import FacelatchError, InputError
from facelatch_training.cli.cohort import cohort
from facelatch_training.cli.data import collect, prepare
from facelatch_training.cli.export import export
from facelatch_training.cli.finder import finder
from facelatch_training.cli.fit import fit
from facelatch_training.cli.judge import calibrate, evaluate
from facelatch_training.cli.story import all_, report


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Train, judge and export the Siamese network behind the door."""
    # TensorFlow greets every command with a page about its build; errors still show.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # oneDNN trains this tower 1.5 times as fast on a processor for which TensorFlow does not switch it on.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


for command in (fit, export, collect, prepare, evaluate, calibrate, cohort, report, all_, finder):
    commands.add_command(command)


def main() -> None:
    """Run a command; a known fault ends in one line, its hint and its own exit code."""
    try:
        commands(prog_name="facelatch-train")
    except FacelatchError as error:
        click.echo(f"facelatch-train: {error}", err=True)
        if error.hint:
            click.echo(f"  {error.hint}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"facelatch-train: {where}{error.strerror or error}", err=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
            click.echo(
                "  is the disk full, or the folder read-only? What was finished before is kept", err=True
            )
        sys.exit(InputError.exit_code)


if __name__ == "__main__":
    main()
