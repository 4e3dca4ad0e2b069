"""When the reference images of people were taken."""

from __future__ import annotations

from collections.abc import Mapping

from facelatch.gallery.seal import Tables


def ages(connection: Tables, first: int, last: int) -> Mapping[int, tuple[str, str]]:
    """When the oldest and the newest of each person's were, for ids from `first` to `last`; UTC, ISO 8601."""
    found = connection.execute(
        "SELECT person_id, min(created), max(created) FROM reference_images WHERE person_id BETWEEN ? AND ?"
        " GROUP BY person_id",
        (first, last),
    )
    return {person: (oldest, newest) for person, oldest, newest in found}
