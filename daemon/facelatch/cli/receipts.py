"""Files that are handed to somebody: written once, signed if there is a key."""

from __future__ import annotations

import subprocess
from pathlib import Path

from facelatch.errors import InputError

NAMESPACE = "facelatch-receipt"
"""What an SSH signature under a receipt is for; one for something else does not count."""


def refuse_existing(file: Path | None) -> None:
    """Raises InputError where a file is there already: it may be another person's."""
    if file is not None and file.exists():
        raise InputError(f"{file}: exists already", hint="choose another name")


def signed(file: Path, key: str) -> None:
    """Signs `file` with an SSH key into `file`.sig. Raises InputError."""
    try:
        done = subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE, str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise InputError(f"ssh-keygen: {error.strerror}", hint="apt install openssh-client") from error
    if done.returncode:
        raise InputError(f"{file}: not signed: {done.stderr.strip()}", hint="the receipt itself is written")
