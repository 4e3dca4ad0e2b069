"""Who is at the other end of the control socket, as the kernel says, and how many such clients are served at once."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass

MAX_CLIENTS = 8
"""Served at once, with the places that are root's alone."""

MAX_CLIENTS_PER_USER = 2

_SO_PEERGROUPS = 59
"""Of asm-generic/socket.h, which both ARM and x86 use; the module socket does not have it."""

_MOST_GROUPS_BYTES = 1024
"""The largest answer that the module socket can ask for: 256 groups."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A process, at the moment it connected."""

    pid: int
    uid: int
    groups: frozenset[int]
    """The primary group and all others."""


def peer_of(client: socket.socket) -> Peer:
    """Who connected. Raises OSError.

    Of somebody in more groups than can be asked for only the primary one counts: then rights are missing, never
    too many.
    """
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("iII", credentials)
    try:
        groups = client.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_GROUPS_BYTES)
    except OSError:
        groups = b""
    return Peer(pid, uid, frozenset({gid, *struct.unpack(f"{len(groups) // 4}I", groups)}))


class Places:
    """How many clients each user has. Two places are root's alone: the others together cannot shut root out."""

    def __init__(self) -> None:
        self._taken: Counter[int] = Counter()
        self._guard = threading.Lock()

    def take(self, uid: int) -> bool:
        """Whether there is a place for one more client of this user; then it is taken."""
        with self._guard:
            others = sum(count for user, count in self._taken.items() if user != 0)
            full = uid != 0 and others >= MAX_CLIENTS - MAX_CLIENTS_PER_USER
            if full or self._taken[uid] >= MAX_CLIENTS_PER_USER:
                return False
            self._taken[uid] += 1
            return True

    def release(self, uid: int) -> None:
        """Gives a place back. A client that only waits, for news to come, gives it back before it waits."""
        with self._guard:
            self._taken[uid] -= 1
            self._taken += Counter()  # forgets who has none
