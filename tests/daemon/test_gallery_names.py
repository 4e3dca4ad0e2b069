"""Names that people would take for one another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.errors import InputError
from facelatch.gallery import schema
from facelatch.gallery.names import alike, clean_name, name_key, skeletons
from facelatch.gallery.store import FILE_NAME, GalleryStore
from facelatch.values.records import NewPerson, Reference

MODEL = "a" * 64

SAME = [
    ("Anna", "\u0410nna"),  # Cyrillic
    ("Anna", "\u0430nn\u0430"),
    ("Anna", "ANN\u0391"),  # Greek
    ("Anna", "Anna\ufe0f"),
    ("Anna", "An\u3164na"),
    ("Al", "AI"),
    ("ian", "\u0406AN"),
    ("Sam", "Sarn"),
    ("person-001", "person-OOl"),
    ("\U0001f98a", "\U0001f98a\ufe0f"),
]


def one(store: GalleryStore, name: str | None) -> str:
    crop = np.zeros((112, 112, 3), np.uint8)
    return store.add(NewPerson(name, False, (Reference(crop, np.ones(4, np.float32)),)), MODEL).name


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GalleryStore]:
    with GalleryStore.open(tmp_path / "state") as opened:
        yield opened


@pytest.mark.parametrize(("name", "other"), SAME, ids=[ascii(pair) for pair in SAME])
def test_a_name_that_looks_like_somebodys_is_taken(store: GalleryStore, name: str, other: str) -> None:
    """Whatever letters it is written with, and the message shows the difference."""
    one(store, name)
    with pytest.raises(InputError, match=r"looks like|taken") as caught:
        one(store, other)
    assert ascii(name) in str(caught.value) or repr(name) in str(caught.value)


def test_a_name_that_looks_like_somebodys_may_be_wanted_knowingly(store: GalleryStore) -> None:
    """Both then go by the name they were given, letter by letter."""
    one(store, "Anna")
    crop = np.zeros((112, 112, 3), np.uint8)
    twin = NewPerson("\u0410nna", False, (Reference(crop, np.ones(4, np.float32)),))
    store.add(twin, MODEL, knowingly=True)
    assert store.remove("\u0410nna").id == 2
    assert store.find("\u0410nna").id == 1, "the only one it can mean"


@pytest.mark.parametrize(
    ("name", "other"), [("Mia", "Mla"), ("Zoë", "Zoe"), ("person-010", "person-011"), ("李", "季")]
)
def test_names_that_the_eye_tells_apart_are_two_names(store: GalleryStore, name: str, other: str) -> None:
    """A rule too coarse would refuse honest names."""
    one(store, name)
    one(store, other)
    assert alike([name, other]) == []


@pytest.mark.parametrize(
    "text", ["\u3164", "\ufe0f", "\u115f\u1160", "\u2800", "\u0301", "\U000e0101", "\u034f \ufe00"]
)
def test_a_name_of_which_nothing_is_seen_is_refused(text: str) -> None:
    """Hangul fillers, variation selectors, an accent alone: a line of the log would seem to name nobody."""
    with pytest.raises(InputError, match=r"nothing of it can be seen|empty"):
        clean_name(text)


def test_an_emoji_with_its_variation_selector_is_a_name() -> None:
    """Keyboards write some emoji with one."""
    assert clean_name("\u2764\ufe0f") == "\u2764\ufe0f"


@given(st.text(min_size=1, max_size=20))
def test_names_with_one_key_have_a_skeleton_in_common(text: str) -> None:
    """What counted as the same name before still does."""
    assert skeletons(text) & skeletons(name_key(text))


def test_numbers_are_given_past_names_that_look_like_one(store: GalleryStore) -> None:
    """`person-OO1` is not followed by a person-001."""
    one(store, "person-OO1")
    assert one(store, None) == "person-002"


def test_names_from_before_that_look_alike_go_on_working_and_can_be_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gallery of the first schema with Anna twice opens; each answers to her own spelling."""
    home = tmp_path / "state"
    home.mkdir(mode=0o700)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        schema._create(home / FILE_NAME)
        connection = schema._connect(home / FILE_NAME)
        for name in ("Anna", "\u0410nna"):
            connection.execute(
                "INSERT INTO people (name, name_key, admin) VALUES (?, ?, 0)", (name, name_key(name))
            )
        connection.close()
    with GalleryStore.open(home) as store:
        assert [store.find(name).id for name in ("anna", "\u0430nna")] == [1, 2]
        with pytest.raises(InputError, match="nobody is called"):
            store.find("ann\u0430")  # either could be meant
        assert store.rename("\u0410nna", "Anja").id == 2
        assert alike(record.person.name for record in store.people()) == []
    raw = sqlite3.connect(home / FILE_NAME)
    kept = raw.execute("SELECT skeleton FROM name_skeletons ORDER BY person_id").fetchall()
    assert kept == [("anna",), ("anja",)]
    raw.close()
