"""Files that are handed to somebody: written once, signed if there is a key; and what a receipt promises of the key."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facelatch.cli.output import echo
from facelatch.errors import InputError

if TYPE_CHECKING:
    from facelatch.config.file import Config

SEAL = Path("/usr/local/sbin/facelatch-seal")

COST = (
    "The gallery gets another key: the door is locked until everybody else is sealed anew, 20 MB to write for every"
    " hundred people, and the daemon is back."
)

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


def needs_another_key(config: Config) -> bool:
    """Whether the gallery is sealed, and its key has to be replaced by another process than this one.

    Raises InputError where that cannot be done by whoever runs this.
    """
    from facelatch.adapters.system import credential
    from facelatch.control.client import ControlClient, NobodyThereError

    if len(credential.seal_keys(config.seal)) > 1:
        return False  # that process is this one
    try:
        status = ControlClient(Path(config.control.socket)).ask({"action": "status"})
        sealed = str(status.get("seal", "")).startswith("sealed")
    except NobodyThereError:
        sealed = credential.is_sealed(config.seal) or credential.FILE.exists()
    if sealed and (os.geteuid() != 0 or not SEAL.exists()):
        raise InputError(
            "the receipt of a sealed gallery takes another key, which only root can make",
            hint="sudo, or --keep-key: then the receipt says that the key has stayed",
        )
    return sealed


def under_another_key(name: str) -> dict[str, Any]:
    """Has a person forgotten and everybody else sealed anew, with the daemon stopped; what the gallery answers.

    Raises InputError where nothing was done; what hindered it is written to standard error by then.
    """
    command = [str(SEAL), "rotate", "people", "forget", "--yes", "--json", "--", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout.strip():
        raise InputError(f"{name} is not forgotten: facelatch-seal ended with {done.returncode}", hint="see above")
    if done.returncode:
        echo("the key is not yet the next one: `sudo facelatch-seal rotate` finishes it", err=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def told(answer: Mapping[str, Any]) -> str:
    """What the gallery answered about a person who was forgotten, as a sentence."""
    receipt = answer["receipt"]
    traces = "" if receipt["overwritten"] else "; traces may still be there: the log says why"
    if receipt["kept"]["fleet_envelope"]:
        traces += "; what the doors of the fleet told each other is under the fleet's key"
    return f"{receipt['person']['name']} forgotten{traces}; receipt {answer['sha256']}"
