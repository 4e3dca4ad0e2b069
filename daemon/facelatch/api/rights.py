"""Who may ask for what. Pure, but for the look into the system's lists of users and groups."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from facelatch.api.request import AnyRight
from facelatch.audit.events import Value
from facelatch.config.service import ControlConfig, Right

Rights = frozenset[AnyRight]

ALL: Rights = frozenset({*get_args(Right), "owner"})

OF_THE_GROUP: Rights = frozenset({"status", "events", "people.read", "enrol"})
"""What members of `control.group` may do where the configuration says nothing about that group."""

ROOT = 0


@dataclass(frozen=True, slots=True)
class Asker:
    """A local user who asks, and what that user may ask for."""

    uid: int
    pid: int
    rights: Rights
    actor: str = ""
    """On whose behalf, as that user claims: an account of the console, a client of the bridge. Empty: nobody's."""

    def fields(self) -> dict[str, Value]:
        """What the audit says of the asker."""
        return {"UID": self.uid, "PID": self.pid, **({"ACTOR": self.actor} if self.actor else {})}


@dataclass(frozen=True, slots=True)
class Policy:
    """The rights of every user and group, by number."""

    own_uid: int
    """The daemon's own user, who could read its files anyway."""
    users: Mapping[int, Rights]
    groups: Mapping[int, Rights]

    def rights_of(self, uid: int, groups: Iterable[int]) -> Rights:
        """What a user in `groups` may ask for: everything for root and the daemon's own user; else what the user's
        own entry says, and without one what those of the groups say together.
        """
        if uid in (ROOT, self.own_uid):
            return ALL
        if uid in self.users:
            return self.users[uid]
        return frozenset().union(*(self.groups.get(group, frozenset()) for group in groups))


def policy(config: ControlConfig, own_uid: int) -> Policy:
    """The configuration's rights with numbers for names, looked up now: users may come while the daemon runs.

    A name that nobody has gives nothing to anybody.
    """
    users: dict[int, Rights] = {}
    groups: dict[int, Rights] = {}
    entries = dict.fromkeys([f"@{config.group}"] if config.group else [], OF_THE_GROUP)
    entries |= {account: frozenset(rights) for account, rights in config.rights.items()}
    for account, rights in entries.items():
        known, number = groups if account.startswith("@") else users, _number(account)
        if number is not None:
            known[number] = known.get(number, frozenset()) | rights
    return Policy(own_uid, users, groups)


def unknown_accounts(config: ControlConfig) -> list[str]:
    """The entries of `control.rights` that give nothing to anybody, because there is no such user or group."""
    return [account for account in config.rights if _number(account) is None]


def group_exists(name: str) -> bool:
    """Whether there is a group of this name here."""
    return _gid_of(name) is not None


def _number(account: str) -> int | None:
    return _gid_of(account[1:]) if account.startswith("@") else _uid_of(account)


def _uid_of(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _gid_of(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
