"""Hours, PINs and cards: asked for, kept, exported, and the files of schema 3 that know nothing of them."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.adapters.fakes import FakeVerifier
from facelatch.api.hours import House, likeness, shown, weakness
from facelatch.api.intake import Asked, Refused, admitted
from facelatch.api.parsing import parse
from facelatch.api.rights import ALL, Asker
from facelatch.audit.events import EventKind
from facelatch.errors import FacelatchError, GalleryError, InputError
from facelatch.gallery import credentials, schema
from facelatch.gallery.credentials import Hashed, Hasher, Pins, device_hasher
from facelatch.gallery.export import pack, unpack
from facelatch.gallery.store import GalleryStore
from facelatch.values.hours import Access
from facelatch.values.pictures import Pose
from facelatch.values.readers import Result
from facelatch.values.records import NewPerson, Reference

GUEST = Access(
    valid_from=date(2026, 12, 1), valid_until=date(2026, 12, 31), schedule="office", suspended=True, forget=True
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of full strength are slow on purpose."""
    monkeypatch.setattr(credentials, "TIME_COST", 1)
    monkeypatch.setattr(credentials, "MEMORY_KIB", 8)


def add(store: GalleryStore, name: str, access: Access | None = None, *, admin: bool = False) -> None:
    verifier = FakeVerifier()
    crop = np.full((112, 112, 3), sum(map(ord, name)) % 200 + 20, np.uint8)
    reference = Reference(crop, verifier.embed(crop), Pose(0, 0, 0))
    store.add(NewPerson(name, admin, (reference,), access or Access()), verifier.model_sha256)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GalleryStore]:
    with GalleryStore.open(tmp_path / "state") as opened:
        add(opened, "anna", admin=True)
        add(opened, "ben")
        yield opened


def access_of(store: GalleryStore, name: str) -> Access:
    return store.show(name)[0].access


# ---- Over the socket


def test_hours_are_set_one_by_one_and_taken_away_again(served: Callable[..., Any]) -> None:
    door = served()
    answer = door.client.ask({"action": "set", "name": "Ben", "valid_until": "2026-12-31", "suspended": True})
    assert answer == {"name": "Ben", "access": {"valid_until": "2026-12-31", "suspended": True}}
    answer = door.client.ask({"action": "set", "name": "ben", "suspended": False, "forget": True})
    assert answer["access"] == {"valid_until": "2026-12-31", "forget": True}
    answer = door.client.ask({"action": "set", "name": "ben", "valid_until": None, "forget": False})
    assert answer["access"] == {}
    changed = [event for event in door.audit.events if event.kind is EventKind.ACCESS_CHANGED]
    assert [event.fields["VALUE"] for event in changed] == [
        "until 2026-12-31, suspended",
        "until 2026-12-31, then forgotten",
        "at any time",
    ]
    assert all("UID" in event.fields for event in changed)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"schedule": "nights"}, "there is no schedule 'nights'"),
        ({"valid_until": "31.12.2026"}, "valid_until"),
        ({"valid_until": "20261231"}, "valid_until"),
        ({"valid_from": "2026-12-02", "valid_until": "2026-12-01"}, "would have to come before 2026-12-02"),
        ({"suspended": None}, "suspended"),
    ],
)
def test_hours_that_cannot_be_change_nothing(served: Callable[..., Any], fields: dict[str, Any], fault: str) -> None:
    door = served()
    with pytest.raises(InputError, match=fault):
        door.client.ask({"action": "set", "name": "Ben", **fields})
    assert door.client.ask({"action": "show", "name": "Ben"})["person"]["access"] == {}


def test_a_pin_and_a_card_are_said_to_be_there_and_nothing_of_them_is_told(
    served: Callable[..., Any], tmp_path: Path
) -> None:
    door = served()
    request = {"action": "pin", "name": "Ben", "pin": "493817", "duress": "820561"}
    assert door.client.ask(request) == {"name": "Ben", "pin": True}
    assert door.client.ask({"action": "card", "name": "Ben", "number": "12,34567"}) == {"name": "Ben", "card": True}
    assert door.client.ask({"action": "show", "name": "Ben"})["person"]["access"] == {"pin": True, "card": True}
    written = repr(door.audit.events) + repr(parse(request)) + repr(admitted(request, Asker(0, 1, ALL)))
    assert not any(code in written for code in ("493817", "820561", "34567", str((12 << 16) + 34567)))
    kept = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    assert not any(code in kept for code in (b"493817", b"820561", str((12 << 16) + 34567).encode()))
    assert b"$argon2id$" in kept
    assert door.client.ask({"action": "pin", "name": "Ben", "pin": None}) == {"name": "Ben", "pin": False}
    assert door.client.ask({"action": "show", "name": "Ben"})["person"]["access"] == {"card": True}


def test_a_card_belongs_to_one_person(served: Callable[..., Any]) -> None:
    door = served()
    door.client.ask({"action": "card", "name": "Ben", "number": "0004711"})
    with pytest.raises(InputError, match="another person's"):
        door.client.ask({"action": "card", "name": "Anna", "number": "4711"})
    door.client.ask({"action": "card", "name": "Ben", "number": None})
    door.client.ask({"action": "card", "name": "Anna", "number": "4711"})


def test_whoever_may_not_make_admins_may_not_give_them_a_pin_or_a_card(store: GalleryStore) -> None:
    """An admin's PIN would be a way to become one."""
    from facelatch.api import door as api_door
    from facelatch.api.admission import Admission

    warden = Asker(1000, 1, frozenset({"people.read", "people.write", "status"}))
    house = House(hasher=lambda: Hasher(b"k" * 32))
    admission = Admission(store=store, judge=lambda: pytest.fail("no"), gallery=lambda: pytest.fail("no"), references=8)

    def answered(name: str, **request: Any) -> dict[str, Any]:
        asked = admitted({"name": name, **request}, warden, None, house)
        assert isinstance(asked, Asked)
        place = api_door.Door(
            admission=admission,
            importing=None,  # type: ignore[arg-type]
            enrolment=None,  # type: ignore[arg-type]
            status={},
            settings={},
            now=0.0,
            preview=None,  # type: ignore[arg-type]
        )
        answer = api_door.answer(asked, place)
        return answer.reply  # type: ignore[union-attr]

    for request in ({"action": "pin", "pin": "493817"}, {"action": "card", "number": "4711"}):
        assert "error" in answered("anna", **request)
        assert "error" not in answered("ben", **request)
    guest = Asker(1001, 1, frozenset({"people.read", "status"}))
    assert isinstance(admitted({"action": "pin", "name": "ben", "pin": "493817"}, guest), Refused)


@pytest.mark.parametrize(
    ("code", "fault"),
    [("12345", "5 digits"), ("111111", "the same"), ("345678", "follow"), ("210987", "follow"), ("493817", "")],
)
def test_a_pin_that_is_short_or_easily_guessed_is_refused(code: str, fault: str) -> None:
    assert (fault in weakness(code, 6)) if fault else weakness(code, 6) == ""


@given(st.integers(0, 999_999), st.integers(-1, 1), st.integers(0, 5), st.integers(0, 9))
def test_a_slip_of_the_finger_is_no_alarm(pin: int, step: int, place: int, digit: int) -> None:
    """One more, one less, or one digit wrong: such a PIN is not taken for emergencies."""
    code = f"{pin:06}"
    assert likeness(f"{max(0, min(999_999, pin + step)):06}", code)
    assert likeness(code[:place] + str(digit) + code[place + 1 :], code)


# ---- Hashes


def test_the_key_is_made_once_private_and_a_lost_one_makes_every_pin_wrong(tmp_path: Path) -> None:
    with pytest.raises(GalleryError):
        device_hasher(tmp_path)
    first = device_hasher(tmp_path, create=True)
    path = tmp_path / credentials.KEY_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert device_hasher(tmp_path, create=True) == first
    assert [file.name for file in tmp_path.iterdir()] == [credentials.KEY_NAME]
    pins = Pins(pin=first.pin("493817"))
    path.unlink()
    other = device_hasher(tmp_path, create=True)
    assert first.check(pins, "493817") is Result.RIGHT
    assert other.check(pins, "493817") is Result.WRONG
    path.write_bytes(b"short")
    with pytest.raises(GalleryError, match="damaged"):
        device_hasher(tmp_path)


codes = st.from_regex(r"[0-9]{4,12}", fullmatch=True)


@given(pin=codes, duress=st.none() | codes, typed=st.from_regex(r"[0-9]{1,13}", fullmatch=True))
def test_only_the_pin_is_right_and_only_the_other_is_duress(pin: str, duress: str | None, typed: str) -> None:
    hasher = Hasher(b"k" * 32)
    pins = Pins(pin=hasher.pin(pin), duress=hasher.pin(duress) if duress else None)
    assert hasher.check(pins, pin) is (Result.DURESS if pin == duress else Result.RIGHT)
    if typed not in (pin, duress):
        assert hasher.check(pins, typed) is Result.WRONG
    assert hasher.check(Pins(), typed) is Result.WRONG


def test_a_damaged_hash_is_said_and_opens_nothing() -> None:
    with pytest.raises(FacelatchError, match="damaged"):
        Hasher(b"k" * 32).check(Pins(pin="$argon2id$nonsense"), "493817")


def test_hashes_and_keys_are_in_no_repr() -> None:
    hasher = Hasher(b"very secret key bytes, 32 of them")
    assert "secret" not in repr(hasher)
    assert "argon2" not in repr(Hashed(pins=Pins(pin=hasher.pin("493817"))))


# ---- Kept, exported, migrated


def test_hours_survive_a_restart_and_go_with_the_person(tmp_path: Path) -> None:
    with GalleryStore.open(tmp_path) as store:
        add(store, "guest", GUEST)
        credentials.set_credentials(store, "guest", Hashed(card="ab"))
    with GalleryStore.open(tmp_path) as store:
        assert access_of(store, "guest") == Access(
            valid_from=GUEST.valid_from, valid_until=GUEST.valid_until, schedule="office", suspended=True, forget=True,
            has_card=True,
        )  # fmt: skip
        assert store.loaded(FakeVerifier.model_sha256).access.keys() == {1}
        store.remove("guest")
        assert credentials.card_holder(store, "ab") is None


def test_an_export_carries_hours_but_neither_pin_nor_card(store: GalleryStore, tmp_path: Path) -> None:
    add(store, "guest", GUEST)
    credentials.set_credentials(store, "guest", Hashed(pins=Pins(pin="$argon2id$x"), card="abcd"))
    file = store.export()
    assert b"argon2" not in file
    with GalleryStore.open(tmp_path / "other") as other:
        other.restore(unpack(file))
        assert access_of(other, "guest") == GUEST
        assert access_of(other, "ben") == Access()


def test_the_file_of_people_without_hours_is_what_it_was(store: GalleryStore) -> None:
    """Byte for byte as version 0.2 wrote it, so that it can go back there; a newer one is refused there."""
    people = list(unpack(store.export()))
    assert b"valid" not in pack(people)
    assert b"suspended" not in pack(people)


def golden_of_schema_3(path: Path) -> None:
    """A gallery as the migrations up to 3 left it, with one person."""
    connection = sqlite3.connect(path, isolation_level=None)
    schema._migrate(connection, schema.Context(path), 3)
    connection.execute("INSERT INTO people (name, name_key, admin) VALUES ('Old', 'old', 1)")
    connection.execute("INSERT INTO name_skeletons (person_id, skeleton) VALUES (1, 'old')")
    connection.close()
    os.chmod(path, 0o600)  # noqa: PTH101


def test_a_gallery_of_schema_3_opens_and_everybody_in_it_may_come_as_before(tmp_path: Path) -> None:
    golden_of_schema_3(tmp_path / "gallery.db")
    with GalleryStore.open(tmp_path) as store:
        (record,) = store.people()
        assert (record.person.name, record.person.admin, record.access) == ("Old", True, Access())
        assert store._connection.execute("PRAGMA user_version").fetchone()[0] >= 4
        assert shown(record.access) == {}


days = st.none() | st.dates(date(2000, 1, 1), date(2100, 1, 1))
accesses = st.builds(
    Access,
    valid_from=days,
    valid_until=days,
    schedule=st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True),
    suspended=st.booleans(),
    forget=st.booleans(),
)


@given(accesses)
def test_any_hours_are_read_as_they_were_written(access: Access) -> None:
    with GalleryStore.in_memory() as store:
        add(store, "guest", access)
        assert access_of(store, "guest") == access
        (person,) = unpack(store.export())
        assert person.access == access
