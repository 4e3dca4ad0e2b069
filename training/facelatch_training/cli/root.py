"""`facelatch-train`: the group of all commands, and what a fault ends in."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

import click

from facelatch.cli.output import never_fail
from facelatch.errors import FacelatchError, InputError
from facelatch_training.cli.cohort import cohort
from facelatch_training.cli.covers import covers
from facelatch_training.cli.data import collect, prepare
from facelatch_training.cli.export import export
from facelatch_training.cli.finder import finder
from facelatch_training.cli.fit import fit
from facelatch_training.cli.hard import hard
from facelatch_training.cli.judge import calibrate, evaluate
from facelatch_training.cli.liveness import liveness
from facelatch_training.cli.output import say
from facelatch_training.cli.story import all_, report
from facelatch_training.cli.teach import teach


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Train, judge and export the Siamese network behind the door."""
    # TensorFlow greets every command with a page about its build; errors still show.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # oneDNN trains this tower 1.5 times as fast on a processor for which TensorFlow does not switch it on.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


COMMANDS = (fit, teach, covers, export, collect, prepare, evaluate, calibrate, cohort, hard, report, all_)
for command in (*COMMANDS, finder, liveness):
    commands.add_command(command)


def main() -> None:
    """Run a command; a known fault ends in one line, its hint and its own exit code."""
    never_fail()
    try:
        commands(prog_name="facelatch-train")
    except FacelatchError as error:
        _end(str(error), error.hint, error.exit_code)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "facelatch", "facelatch_training"):
            raise
        _end(f"{library} is not installed here: training needs more than the door does", INSTALL, InputError.exit_code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
        hint = "is the disk full, or the folder read-only? What was finished before is kept" if full else ""
        _end(f"{where}{error.strerror or error}", hint, InputError.exit_code)


INSTALL = "in a checkout of the project: `sh deploy/venv.sh train`, then `.venv/bin/facelatch-train`"
"""What brings the libraries."""


def _end(message: str, hint: str, code: int) -> NoReturn:
    say(f"facelatch-train: {message}", err=True)
    if hint:
        say(f"  {hint}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
