"""Who can drive the lock's pin past its keeper: a claimed line is safe from other processes, memory is not."""

from __future__ import annotations

import grp
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

OURS = frozenset({"root", "facelatch", "facelatch-lock"})
"""Root can do anything; the door's own users are kept from these devices by their units."""


def pin_memory(devices: Path = Path("/dev")) -> list[Path]:
    """The devices by which Raspberry Pi OS maps the registers of the pins into any program's memory."""
    return sorted(devices.glob("gpiomem*"))


def users(nodes: Iterable[Path]) -> list[str]:
    """The names of those who may write to one of `nodes`, without root and the door's own; `everybody` is one of them.

    Raises OSError.
    """
    found: set[str] = set()
    for node in nodes:
        status = node.stat()
        if status.st_mode & stat.S_IWOTH:
            return ["everybody"]
        if status.st_mode & stat.S_IWUSR:
            found.add(name_of(status.st_uid))
        if status.st_mode & stat.S_IWGRP:
            found.update(members(status.st_gid))
    return sorted(found - OURS)


def name_of(user: int) -> str:
    """The user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def members(group: int) -> set[str]:
    """The names of everybody in a group, also of those whose own group it is."""
    try:
        members = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        members = set()
    return members | {user.pw_name for user in pwd.getpwall() if user.pw_gid == group}
