"""The history in the log of all doors, which a collector keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from facelatch.api.record_requests import PERSON_NUMBER
from facelatch.api.records import told
from facelatch.errors import InputError
from facelatch.ledger import collected
from facelatch.ledger.tables import Query

ALL = 2**62


def events(path: Path, asked: Mapping[str, Any], door: str | None, most: int | None) -> Iterator[dict[str, Any]]:
    """As the daemon tells them, each with its `door`; the newest first, at most so many (None: all).

    `asked` has the fields of the request `history`. Raises LedgerError, InputError for a door or person nobody knows.
    """
    with collected.reading(path) as connection:
        doors = {one.id: one.name for one in collected.doors(connection)}
        at = next((number for number, name in doors.items() if name == door), None)
        if door is not None and at is None:
            raise InputError(f"no door is called {door!r} here", hint="`facelatch fleet collected` shows all")
        number, people = None, None
        if (person := asked.get("person")) is not None:
            number = _number(person)
            people = collected.numbers_of(connection, person) if number is None else None
            if number is None and not people:
                raise InputError(
                    f"nobody is called {person!r} here", hint="names are here with [fleet] publish_names; else #7"
                )
        query = Query(
            since_ms=_milliseconds(asked.get("since")),
            until_ms=_milliseconds(asked.get("until")),
            person_id=number,
            refused=asked["refused"],
            discreet=True,
            most=ALL if most is None else most,
        )
        names = collected.names(connection)
        for where, row in collected.selected(connection, query, door=at, people=people):
            yield {"door": doors[where], **told(row, names.get(where, {}))}


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _number(person: str) -> int | None:
    number = person.removeprefix(PERSON_NUMBER)
    return int(number) if number != person and number.isascii() and number.isdigit() and len(number) < 19 else None
