"""What an import does with a name that somebody has."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from facelatch.gallery import rows
from facelatch.values.records import Person


class Clash(StrEnum):
    """What an import does with a name that is already there."""

    REFUSE = "refuse"
    REPLACE = "replace"
    RENAME = "rename"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    added: tuple[Person, ...]
    replaced: tuple[Person, ...]
    """The people who had to go, with the ids they had."""


def cleared_name(connection: sqlite3.Connection, name: str, clash: Clash) -> tuple[str, list[Person]]:
    """The name a newcomer gets, and whoever had to be deleted for it. Raises InputError: it is taken, or no name."""
    holder = rows.holder(connection, name)
    if holder and clash is Clash.REPLACE:
        rows.delete_person(connection, holder)
        return rows.free_name(connection, name), [holder]
    if holder and clash is Clash.RENAME:
        return rows.free_name(connection, rows.numbered_name(connection, name)), []
    return rows.free_name(connection, name), []
