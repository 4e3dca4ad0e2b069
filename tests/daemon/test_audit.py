"""The vocabulary of the audit trail."""

from __future__ import annotations

import re

import pytest

from facelatch.audit.events import SPECS, Event, EventKind, table
from facelatch.audit.fields import FIELDS


def test_every_kind_is_documented_and_every_field_is_explained() -> None:
    """No kind without a sentence, no field without a meaning, no meaning without a field."""
    assert set(SPECS) == set(EventKind)
    used = {name for spec in SPECS.values() for name in spec.required | spec.optional}
    assert used <= set(FIELDS)
    assert set(FIELDS) - used == set()


def test_message_ids_are_well_formed_and_unique() -> None:
    """The journal wants 128 bits in lower-case hex, and two kinds must not share one."""
    ids = [spec.message_id for spec in SPECS.values()]
    assert all(re.fullmatch(r"[0-9a-f]{32}", number) for number in ids)
    assert len(set(ids)) == len(ids)


def test_message_ids_never_change() -> None:
    """Somebody's log filter rests on them: the first, the most important and the last, spelled out."""
    assert SPECS[EventKind.DAEMON_READY].message_id == "f70c4632c70d4b0b9cc2b3e7682f00b9"
    assert SPECS[EventKind.VISIT_GRANTED].message_id == "ff48f4a5f6f94cb4b395e64609c9d8ee"
    assert SPECS[EventKind.GALLERY_REEMBEDDED].message_id == "f8c6aa1123994a409af2415d322a6735"


def test_the_message_is_the_sentence_with_its_fields() -> None:
    """What a person reads is made from the fields alone."""
    event = Event(EventKind.DOOR_UNLOCKED, {"PERSON": "ada", "PERSON_ID": 3, "SECONDS": 5.0})
    assert event.message == "Unlocked for ada for 5.0 s"


@pytest.mark.parametrize(
    "fields", [{"REASON": "time", "EMBEDDING": "0.1"}, {"REASON": "time", "PERSON": "ada"}, {}]
)
def test_a_field_that_is_unknown_foreign_or_missing_is_a_programming_error(fields: dict[str, str]) -> None:
    """An event cannot be written with other fields than its kind declares."""
    with pytest.raises(ValueError, match=r"door\.locked"):
        Event(EventKind.DOOR_LOCKED, fields)


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_can_be_made_from_its_required_fields(kind: EventKind) -> None:
    """No sentence trips over its own fields."""
    assert Event(kind, dict.fromkeys(kind.spec.required, "x")).message


def test_the_table_for_readers_has_a_row_for_each_kind() -> None:
    """The documentation is generated from the same data."""
    assert [row[0] for row in table()] == [kind.value for kind in EventKind]
