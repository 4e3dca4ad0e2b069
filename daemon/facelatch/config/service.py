"""Sections for the service around the door: what it keeps, and who may talk to it."""

from __future__ import annotations

from facelatch.config.section import Section


class StorageConfig(Section):
    """What the daemon keeps."""

    state_directory: str = "/var/lib/facelatch"
    """Gallery and lock-out memory; 0700, files 0600."""


class ControlConfig(Section):
    """The local control socket, by which `facelatch people` and `status` reach the running daemon."""

    socket: str = "/run/facelatch/control.sock"
    """UNIX socket; nothing listens on the network."""
    group: str = "facelatch"
    """Members of this group may use it; empty: the daemon's own user only."""
