"""Sections for the service around the door: what it keeps, and who may talk to it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from facelatch.config.section import Section

Right = Literal[
    "status",
    "events",
    "history",
    "ledger",
    "people.read",
    "people.write",
    "enrol",
    "export",
    "import",
    "admin",
    "lockout",
    "mode",
    "preview",
    "check",
    "config",
    "apply_people",
    "acts_for",
]
"""What a local user may be allowed to ask of the running daemon; daemon/docs/control-socket.md says what each is."""

Account = Annotated[str, Field(pattern=r"^@?[A-Za-z_][A-Za-z0-9_.-]{0,31}$")]
"""The name of a user, or of a group behind an @."""


class StorageConfig(Section):
    """What the daemon keeps."""

    state_directory: str = "/var/lib/facelatch"
    """Gallery and lock-out memory; 0700, files 0600."""


class SealConfig(Section):
    """The encryption of faces, embeddings and names in the gallery; deploy/README.md says what it protects against."""

    key: Literal["auto", "none", "credential"] = "auto"
    """Where the key comes from. auto: a systemd credential named facelatch-seal where the unit has one (`sudo
    facelatch-seal make`), else no encryption. credential: the same, and without one the daemon does not start. none: no
    encryption. A gallery that is sealed is never opened without its key, whatever stands here."""


class ControlConfig(Section):
    """The local control socket, by which `facelatch people` and `status` reach the running daemon.

    Root and the daemon's own user may ask for everything. README.md has a table of who may do what.
    """

    socket: str = "/run/facelatch/control.sock"
    """UNIX socket; nothing listens on the network."""
    group: str = "facelatch"
    """Members of this group may connect, to ask for status, events, people.read and enrol unless `rights` gives the
    group an entry of its own; empty: the daemon's own user only."""
    rights: Annotated[dict[Account, list[Right]], Field(max_length=256)] = {}  # noqa: RUF012  (pydantic copies it)
    """What others may ask for, by user or @group: { alice = ["status", "people.read", "people.write"], "@wardens" =
    ["status"] }. A user's own entry replaces those of the user's groups, several groups add up. Whoever stands here
    must also be a member of `group`, or cannot connect. There are: status, events, history, ledger, people.read,
    people.write, enrol, export, import, admin, lockout, mode, preview, check, config, apply_people, acts_for."""
