"""Version 6 of the tables: people whom the doors of a fleet share."""

from __future__ import annotations

from collections.abc import Sequence


def _noted(name: str, when: str, table: str, which: str) -> str:
    return (
        f"CREATE TRIGGER {name} {when} ON {table}"
        f" BEGIN UPDATE fleet_people SET dirty = 1 WHERE person_id = {which}; END"
    )


MIGRATION: Sequence[str] = (
    # Everybody of the fleet of whom this door has heard, also the revoked, of whom nothing but their uuid is left.
    # person_id: NULL where nobody is in the gallery. version: 0 until an envelope is sealed for the first time.
    # envelope: as it travels, sealed by the key of the fleet; empty of whoever was removed at this door alone.
    # own: whether the pictures are here. content: sha256 of what is sealed in the envelope. held: why the person may
    # not come in. dirty: something may have changed here.
    """CREATE TABLE fleet_people (
        uuid TEXT PRIMARY KEY,
        person_id INTEGER UNIQUE REFERENCES people ON DELETE SET NULL,
        version INTEGER NOT NULL,
        revoked INTEGER NOT NULL CHECK (revoked IN (0, 1)),
        suspended INTEGER NOT NULL CHECK (suspended IN (0, 1)),
        digest TEXT NOT NULL,
        envelope BLOB NOT NULL,
        own INTEGER NOT NULL CHECK (own IN (0, 1)),
        enrolled INTEGER NOT NULL,
        beside TEXT NOT NULL,
        content TEXT NOT NULL,
        held TEXT NOT NULL,
        dirty INTEGER NOT NULL CHECK (dirty IN (0, 1))
    ) STRICT""",
    # Whom the model takes for each other, the smaller uuid first.
    """CREATE TABLE fleet_alike (
        uuid TEXT NOT NULL REFERENCES fleet_people ON DELETE CASCADE,
        other TEXT NOT NULL REFERENCES fleet_people ON DELETE CASCADE,
        PRIMARY KEY (uuid, other)
    ) STRICT, WITHOUT ROWID""",
    # Whatever statement or cascade changes a person is noted here, so that no way of changing one can be forgotten.
    _noted("fleet_person_changed", "AFTER UPDATE", "people", "NEW.id"),
    _noted("fleet_person_deleted", "BEFORE DELETE", "people", "OLD.id"),
    _noted("fleet_credential_new", "AFTER INSERT", "credentials", "NEW.person_id"),
    _noted("fleet_credential_changed", "AFTER UPDATE", "credentials", "NEW.person_id"),
    _noted("fleet_reference_new", "AFTER INSERT", "reference_images", "NEW.person_id"),
    _noted("fleet_reference_deleted", "AFTER DELETE", "reference_images", "OLD.person_id"),
)

WITHOUT_PICTURES = "SELECT person_id FROM fleet_people WHERE own = 0 AND person_id IS NOT NULL"
"""Subquery: the people of whom there are embeddings only, because they were enrolled at another door."""

HELD = "SELECT person_id FROM fleet_people WHERE held <> '' AND person_id IS NOT NULL"
"""Subquery: the people who are known, and may not come in."""
