"""The door's part in a fleet, from a systemd credential or a file that only the daemon reads."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from facelatch.config.fleet import FleetConfig
from facelatch.errors import ConfigError
from facelatch.sharing.membership import Membership, loads

NAME = "facelatch-fleet"
"""The credential."""

MOST_BYTES = 256 * 1024


def membership(config: FleetConfig) -> Membership | None:
    """What the door knows of its fleet; None where people are not shared. Without its key where it only follows.

    Raises ConfigError: missing, readable by others, damaged, another door's, or one that may not enrol.
    """
    if config.people == "none":
        return None
    path = _path(config)
    try:
        with path.open("rb") as stream:
            mode, data = os.fstat(stream.fileno()).st_mode, stream.read(MOST_BYTES)
    except OSError as error:
        raise ConfigError(
            f"fleet.membership: {path}: {error.strerror}", hint="`facelatch fleet join` writes it"
        ) from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigError(f"fleet.membership: {path}: others may read it", hint=f"chmod 600 {path}")
    try:
        found = loads(data)
    except ValueError as error:
        raise ConfigError(f"fleet.membership: {path}: {error}", hint="join again: `facelatch fleet join`") from error
    if found.door != config.door:
        raise ConfigError(
            f"fleet.membership: {path}: of door {found.door!r}, and fleet.door is {config.door!r}",
            hint="each door has one of its own",
        )
    if config.people == "follow":
        return found.follower
    if not found.enrols:
        raise ConfigError(
            f'fleet.people = "enroller": {path}: this door may not enrol', hint="join with --enroller, or follow"
        )
    return found


def _path(config: FleetConfig) -> Path:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(folder, NAME) if folder else None
    return credential if credential is not None and credential.exists() else Path(config.membership)
