"""When somebody may come, as the table of people keeps it."""

from __future__ import annotations

from datetime import date

from facelatch.gallery.seal import Tables
from facelatch.values.hours import Access

ACCESS_COLUMNS = "valid_from, valid_until, schedule, suspended, forget"
EVERYBODY = Access()
"""Of whoever may always come."""


def access_of(
    valid_from: str | None, valid_until: str | None, schedule: str | None, suspended: int, forget: int, *has: int
) -> Access:
    """A row of ACCESS_COLUMNS, and whether there are a PIN and a card."""
    return Access(
        valid_from=date.fromisoformat(valid_from) if valid_from else None,
        valid_until=date.fromisoformat(valid_until) if valid_until else None,
        schedule=schedule,
        suspended=bool(suspended),
        forget=bool(forget),
        has_pin=bool(has[0]) if has else False,
        has_card=bool(has[1]) if has else False,
    )


def set_access(connection: Tables, person_id: int, access: Access) -> None:
    """Says when somebody may come, in place of what was said before."""
    values = ACCESS_COLUMNS.replace(",", " = ?,") + " = ?"
    days = [day.isoformat() if day is not None else None for day in (access.valid_from, access.valid_until)]
    connection.execute(
        f"UPDATE people SET {values} WHERE id = ?",
        (*days, access.schedule, access.suspended, access.forget, person_id),
    )
