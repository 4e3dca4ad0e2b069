"""One gallery for all doors: what daemons make of each other's envelopes, and of those that an attacker brings."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import add, fake_line
from fleets import MADE_BY, PUBLIC, SIGNING, Colour, content, envelope, face, member, tombstone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facelatch.adapters.fakes import FakeVerifier
from facelatch.api.admission import Admission
from facelatch.api.fleet_people import Changes, Fleet
from facelatch.audit.events import EventKind
from facelatch.errors import GalleryError, InputError, NotAllowedError
from facelatch.gallery import credentials, fleet, fleet_sealing, rows, schema
from facelatch.gallery.credentials import Hashed, Hasher, card_holder
from facelatch.gallery.embeddings import maker
from facelatch.gallery.fleet_models import at_start
from facelatch.gallery.fleet_taking import Outcome, take
from facelatch.gallery.store import GalleryStore
from facelatch.line.admission import Judge
from facelatch.sharing.content import Content, pack
from facelatch.sharing.envelope import MAX_VERSION, close, open_
from facelatch.sharing.membership import Membership
from facelatch.values.readers import Result

Start = Callable[..., Any]
RED, GREEN, BLUE, GREY = (200, 90, 60), (60, 200, 90), (60, 90, 200), (120, 120, 120)


def nobody(_store: GalleryStore) -> None:
    """An empty gallery."""


@pytest.fixture
def site(served: Start, tmp_path: Path) -> Start:
    """Starts a door of the fleet by its name, with nobody in the gallery unless `fill` says otherwise."""

    def start(name: str, fill: Callable[[GalleryStore], None] = nobody, **more: Any) -> Any:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return served(fill=fill, folder=folder, member=member(name), **more)

    return start


def give(door: Any, *envelopes: bytes, uuids: list[str] | None = None) -> list[dict[str, Any]]:
    """Brings envelopes to a door, as its bridge does."""
    names = uuids or [uuid_of(one) for one in envelopes]
    told = [{"uuid": name, "size": len(one)} for name, one in zip(names, envelopes, strict=True)]
    reply = door.client.ask({"action": "apply_people", "envelopes": told}, b"".join(envelopes))
    found: list[dict[str, Any]] = reply["results"]
    return found


def uuid_of(data: bytes) -> str:
    place = data.find(b'"uuid":"')
    return data[place + 8 : place + 40].decode() if place >= 0 else "0" * 32


def known(door: Any) -> dict[str, Any]:
    reply: dict[str, Any] = door.client.ask({"action": "fleet_people"})
    return reply


def kept(door: Any) -> list[bytes]:
    """The envelopes that a door has."""
    uuids = [one["uuid"] for one in known(door)["people"]]
    reply, bulk = door.client.fetch({"action": "fleet_people", "fetch": uuids})
    found, position = [], 0
    for one in reply["envelopes"]:
        found.append(bulk[position : position + one["size"]])
        position += one["size"]
    return found


def exchange(*doors: Any) -> None:
    """Everybody hears what everybody has."""
    for one in doors:
        for other in doors:
            if one is not other and (envelopes := kept(other)):
                give(one, *envelopes)


def names(door: Any) -> dict[str, str]:
    """Who may come in at a door; with a reason who is held."""
    return {one["name"]: one.get("held", "") for one in door.client.ask({"action": "list"})["people"]}


def lets_in(door: Any, colour: Colour) -> str | None:
    """Who the door's line would take a face for."""
    gallery = door.desk.gallery
    rows_alike = np.abs(gallery.embeddings - face(colour)[0]).sum(axis=1) < 0.01 if len(gallery.owners) else []
    found = {owner for owner, alike in zip(gallery.owners, rows_alike, strict=True) if alike}
    return gallery.people[found.pop()].name if len(found) == 1 else None


def kinds(door: Any) -> list[EventKind]:
    return [event.kind for event in door.audit.events]


def share(door: Any, name: str) -> None:
    door.client.ask({"action": "share", "name": name})


# One gallery


def test_whoever_is_shared_comes_in_at_every_door_and_others_stay_their_doors_own(site: Start, served: Start) -> None:
    front = site("front", fill=None)
    garage = site("garage")
    share(front, "Ben")
    exchange(front, garage)
    assert names(garage) == {"Ben": ""}
    assert lets_in(garage, (60, 200, 90)) == "Ben"
    assert known(front)["digest"] == known(garage)["digest"]


def test_an_admin_is_one_at_the_own_door_only(site: Start) -> None:
    front, garage = site("front", fill=None), site("garage")
    share(front, "Anna")
    exchange(front, garage)
    assert [one["admin"] for one in garage.client.ask({"action": "list"})["people"]] == [False]
    assert [one["admin"] for one in front.client.ask({"action": "list"})["people"]] == [True, False]


def test_hours_a_suspension_and_another_name_reach_every_door(site: Start) -> None:
    front, garage = site("front", fill=None), site("garage")
    share(front, "Ben")
    exchange(front, garage)
    front.client.ask({"action": "set", "name": "Ben", "suspended": True, "valid_until": "2030-01-01"})
    front.client.ask({"action": "rename", "name": "Ben", "new_name": "Benjamin"})
    exchange(front, garage)
    (there,) = garage.client.ask({"action": "list"})["people"]
    assert there["name"] == "Benjamin"
    assert there["access"] == {"suspended": True, "valid_until": "2030-01-01"}
    assert garage.desk.gallery.access[there["id"]].suspended


def test_what_did_not_change_gets_no_new_version(site: Start) -> None:
    front = site("front", fill=None)
    share(front, "Ben")
    before = known(front)
    front.client.ask({"action": "set", "name": "Ben", "suspended": False})
    assert known(front)["digest"] == before["digest"]
    assert front.client.ask({"action": "fleet_people", "unless": before["digest"]})["people"] == []


@pytest.mark.parametrize("action", ["remove", "forget"])
def test_whoever_is_removed_where_doors_enrol_is_removed_everywhere_and_every_door_says_so(
    site: Start, action: str
) -> None:
    front, garage = site("front", fill=None, sections={}), site("garage")
    share(front, "Ben")
    exchange(front, garage)
    front.client.ask({"action": action, "name": "Ben"})
    results = give(garage, *kept(front))
    assert [(one["outcome"], one["version"]) for one in results] == [("revoked", 2)]
    assert names(garage) == {}
    assert lets_in(garage, GREEN) is None
    assert {EventKind.FLEET_PERSON_REVOKED, EventKind.PERSON_REMOVED, EventKind.GALLERY_WIPED} <= set(kinds(garage))
    assert known(front)["digest"] == known(garage)["digest"]


def test_nothing_of_whoever_was_revoked_is_left_in_the_files(site: Start, tmp_path: Path) -> None:
    garage = site("garage")
    one = envelope("Anna", RED)
    give(garage, one)
    give(garage, tombstone())
    garage.close()
    left = b"".join(file.read_bytes() for file in (tmp_path / "garage" / "state").iterdir())
    assert b"Anna" not in left
    assert one[200:260] not in left


def test_the_receipt_of_somebody_of_the_fleet_says_that_the_envelope_is_under_another_key(site: Start) -> None:
    """Whichever door it is: what other doors have, and what an old copy has, no other key of this gallery reaches."""
    front, garage = site("front", fill=None, sections={}), site("garage")
    share(front, "Ben")
    exchange(front, garage)
    for door, name, kept_on in ((front, "Ben", True), (garage, "Ben", True), (front, "Anna", False)):
        receipt = door.client.ask({"action": "forget", "name": name})["receipt"]
        assert receipt["kept"]["fleet_envelope"] is kept_on


@pytest.mark.slow
def test_a_person_withdrawn_stays_at_the_door_that_enrolled(site: Start) -> None:
    front, garage = site("front", fill=None), site("garage")
    share(front, "Ben")
    exchange(front, garage)
    front.client.ask({"action": "share", "name": "Ben", "stop": True})
    exchange(front, garage)
    assert (names(front), names(garage)) == ({"Anna": "", "Ben": ""}, {})


@pytest.mark.slow
def test_a_pin_set_at_one_door_is_right_at_all_and_one_of_before_stays_at_its_door() -> None:
    front, garage = Hasher(b"1" * 32, b"p" * 32), Hasher(b"2" * 32, b"p" * 32)
    from facelatch.gallery.credentials import Pins

    Content(name="Anna", enrolled=1, pin=front.pin("835172"), card=front.card("7"))
    assert garage.check(Pins(pin=front.pin("835172")), "835172") is Result.RIGHT
    assert garage.check(Pins(pin=front.pin("835172")), "835173") is Result.WRONG
    alone = Hasher(b"1" * 32).pin("835172")
    assert front.check(Pins(pin=alone), "835172") is Result.RIGHT
    with pytest.raises(InputError, match="left"):
        Hasher(b"1" * 32).check(Pins(pin=front.pin("835172")), "835172")
    assert set(front.cards("7")) & set(garage.cards("7")) == {front.card("7")}


def test_a_card_from_before_the_door_joined_is_nobody_elses_either(tmp_path: Path) -> None:
    """By two hashes it would be two people's, and open for neither."""
    alone, joined = Hasher(b"1" * 32), Hasher(b"1" * 32, b"p" * 32)
    with GalleryStore.open(tmp_path) as store:
        with store.transaction() as connection:
            for name in ("P0", "P1"):
                rows.insert_person(connection, name, False)
        credentials.set_credentials(store, "P0", Hashed(card=alone.card("7"), cards=alone.cards("7")))
        with pytest.raises(InputError, match="another person's"):
            credentials.set_credentials(store, "P1", Hashed(card=joined.card("7"), cards=joined.cards("7")))
        assert card_holder(store, *joined.cards("7")) == 1
        credentials.set_credentials(store, "P0", Hashed(card=joined.card("7"), cards=joined.cards("7")))
        assert card_holder(store, *joined.cards("7")) == 1


def test_a_card_travels_and_opens_for_nobody_where_it_is_anothers_or_its_holder_is_held(tmp_path: Path) -> None:
    card = Hasher(b"1" * 32, b"p" * 32).card("7")
    with GalleryStore.open(tmp_path) as store:
        for number, colour in enumerate((RED, GREEN)):
            made = envelope(f"P{number}", colour, uuid=f"{number}" * 32, card=card)
            with store.transaction() as connection:
                take(connection, member("garage"), open_(member("garage"), made), MADE_BY)
        assert card_holder(store, card) is None, "not compared with the others yet"
        with store.transaction() as connection:
            fleet.hold(connection, {})
        assert card_holder(store, card) == 1, "and the second one did not get it"


# Whoever looks like somebody


def twins(site: Start) -> tuple[Any, Any]:
    """The same face enrolled at two doors, before either heard of the other."""
    early = envelope("Anna", RED, uuid="b" * 32, by=member("front"), enrolled=1)
    late = envelope("Anne", RED, uuid="a" * 32, by=member("back"), enrolled=2)
    return early, late


def test_the_later_of_two_who_look_alike_is_held_at_every_door_whatever_came_first(site: Start) -> None:
    early, late = twins(site)
    front, garage = site("front"), site("garage")
    for door, order in ((front, (early, late)), (garage, (late, early))):
        for one in order:
            give(door, one)
        assert names(door) == {"Anna": "", "Anne": "alike"}
        assert lets_in(door, RED) == "Anna"
        assert EventKind.FLEET_PERSON_HELD in kinds(door)


def test_whoever_was_held_comes_in_when_the_other_goes(site: Start) -> None:
    garage, (early, late) = site("garage"), twins(site)
    give(garage, early, late)
    give(garage, tombstone("b" * 32))
    assert names(garage) == {"Anne": ""}
    assert lets_in(garage, RED) == "Anne"
    assert EventKind.FLEET_PERSON_RELEASED in kinds(garage)


@pytest.mark.slow
def test_somebody_may_say_that_they_are_two_and_every_door_lets_both_in(site: Start) -> None:
    front, garage, (early, late) = site("front"), site("garage"), twins(site)
    for door in (front, garage):
        give(door, early, late)
    front.client.ask({"action": "resolve", "name": "Anne", "beside": "Anna"})
    exchange(front, garage)
    assert names(front) == names(garage) == {"Anna": "", "Anne": ""}


def test_whoever_looks_like_somebody_of_this_door_alone_is_held_here(site: Start) -> None:
    garage = site("garage", fill=None)
    give(garage, envelope("Other", RED))
    assert names(garage) == {"Anna": "", "Ben": "", "Other": "alike_here"}
    garage.client.ask({"action": "remove", "name": "Anna"})
    known(garage)
    assert names(garage) == {"Ben": "", "Other": ""}


def test_a_name_that_is_taken_here_gets_a_number_and_travels_on_without_it(site: Start) -> None:
    back = site("back", fill=None)
    give(back, envelope("Anna", BLUE))
    assert set(names(back)) == {"Anna", "Ben", "Anna 2"}
    back.client.ask({"action": "set", "name": "Anna 2", "suspended": True})
    (sent,) = kept(back)
    assert b"suspended" not in sent
    garage = site("garage")
    give(garage, sent)
    assert names(garage) == {"Anna": ""}


# What this door decides


def test_a_door_that_only_follows_changes_nobody_but_may_remove_whom_it_wants(site: Start) -> None:
    garage = site("garage")
    give(garage, envelope("Anna", RED))
    for request in (
        {"action": "rename", "name": "Anna", "new_name": "B"},
        {"action": "set", "name": "Anna", "suspended": False},
        {"action": "enroll", "name": "Anna", "add": True},
    ):
        with pytest.raises(InputError, match="of the fleet"):
            garage.client.ask(request)
    garage.client.ask({"action": "remove", "name": "Anna"})
    assert give(garage, envelope("Anna", RED, version=5))[0]["outcome"] == Outcome.LEFT_OUT
    assert names(garage) == {}
    with pytest.raises(InputError, match="enrols none"):
        share(garage, "Anna")


def test_pictures_are_changed_where_they_are(site: Start) -> None:
    back = site("back")
    give(back, envelope("Anna", RED))
    with pytest.raises(InputError, match="another door"):
        back.client.ask({"action": "enroll", "name": "Anna", "replace": True})
    with pytest.raises(InputError, match="no pictures here"):
        back.client.ask({"action": "export", "names": ["Anna"]})
    assert back.client.ask({"action": "export"})["count"] == 0


def test_whoever_authorises_enrolments_here_does_so_no_more_with_another_face(site: Start) -> None:
    """A door that was stolen and may enrol must not make itself admin of the others."""
    garage = site("garage")
    give(garage, envelope("Anna", RED))
    garage.client.ask({"action": "admin", "name": "Anna", "admin": True})
    give(garage, envelope("Anna", RED, version=2, suspended=False, valid_until="2030-01-01"))
    assert [one["admin"] for one in garage.client.ask({"action": "list"})["people"]] == [True]
    give(garage, envelope("Anna", BLUE, version=3))
    assert [one["admin"] for one in garage.client.ask({"action": "list"})["people"]] == [False]
    assert EventKind.ADMIN_CHANGED in kinds(garage)


@pytest.mark.parametrize("action", ["remove", "forget"])
def test_whoever_is_removed_here_leaves_no_face_in_an_envelope_either(
    site: Start, tmp_path: Path, action: str
) -> None:
    """The door has the fleet's key: what an envelope holds of somebody it could open at any later time."""
    garage = site("garage", sections={})
    given = [envelope("Anna", RED, version=version) for version in (1, 2, 3)]
    give(garage, *given[:2])
    garage.client.ask({"action": action, "name": "Anna"})
    assert give(garage, given[2])[0]["outcome"] == Outcome.LEFT_OUT
    assert give(garage, *given)[0]["outcome"] == Outcome.OLD
    garage.close()
    files = b"".join(file.read_bytes() for file in (tmp_path / "garage" / "state").glob("gallery.db*"))
    assert not any(one[-80:] in files for one in given)


def test_a_door_that_may_enrol_from_now_on_revokes_nobody_whom_it_had_removed_for_itself(site: Start) -> None:
    garage = site("garage")
    give(garage, envelope("Anna", RED))
    garage.client.ask({"action": "remove", "name": "Anna"})
    known(garage)
    garage.close()
    may: dict[str, Any] = {"signing_key": SIGNING["garage"], "enrollers": {"garage": PUBLIC["garage"]}}
    assert [one["revoked"] for one in known(site_again(site, garage, member("garage", **may)))["people"]] == [False]


# A restored broker, a door that was away, other keys, another model


def test_a_restored_broker_and_a_door_away_for_long_bring_nobody_back(site: Start) -> None:
    garage, front = site("garage"), site("front")
    old = [envelope("Anna", RED, version=version) for version in (1, 2, 3)]
    give(garage, old[0])
    give(front, old[2], tombstone(version=4))
    assert {one["outcome"] for one in give(front, *old)} == {Outcome.OLD}
    exchange(front, garage)
    assert names(front) == names(garage) == {}
    assert {one["outcome"] for one in give(garage, *old)} == {Outcome.OLD}


def test_a_door_of_the_fleet_signs_anew_what_a_door_signed_that_was_taken_out(site: Start) -> None:
    """After `facelatch fleet revoke-door front`: another key, and front's signature counts no more."""
    back = site("back")
    give(back, envelope("Anna", RED), tombstone("c" * 32))
    back.close()
    enrollers = {name: key for name, key in member("back").enrollers.items() if name == "back"}
    keys = {**member("back").keys, 2: b"n" * 32}
    after: dict[str, Any] = {"enrollers": enrollers, "keys": keys}
    rotated = site_again(site, back, member("back", **after))
    sent = kept(rotated)
    headers = [open_(member("garage", **after), one).header for one in sent]
    assert [(one.signer, one.key_id, one.revoked) for one in headers] == [("back", 2, False), ("back", 0, True)]
    assert names(rotated) == {"Anna": ""}


def site_again(site: Start, door: Any, new: Membership) -> Any:
    """The same door after a restart with another membership."""
    again = type(door)(door.socket.parent, None, nobody, None, new)
    RESTARTED.append(again)
    return again


RESTARTED: list[Any] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while RESTARTED:
        RESTARTED.pop().close()


def test_a_door_that_has_left_the_fleet_lets_in_nobody_who_came_from_it(site: Start) -> None:
    garage = site("garage")
    give(garage, envelope("Anna", RED))
    garage.close()
    alone = site_again(site, garage, None)  # type: ignore[arg-type]
    assert names(alone) == {"Anna": "no_fleet"}
    assert lets_in(alone, RED) is None
    alone.close()
    assert names(site_again(site, garage, member("garage"))) == {"Anna": ""}


def test_a_door_that_joined_another_fleet_lets_in_nobody_of_the_one_before(site: Start) -> None:
    """Nobody of the new one could revoke them. It is another fleet also where somebody founded it anew."""
    garage = site("garage")
    give(garage, envelope("Anna", RED))
    garage.close()
    other = site_again(site, garage, member("garage", fleet="e2" * 16))
    give(other, envelope("Ben", GREEN, uuid="b" * 32, by=member("front", fleet="e2" * 16)))
    assert names(other) == {"Anna": "no_fleet", "Ben": ""}
    assert lets_in(other, RED) is None


def test_whoever_has_no_embedding_by_this_doors_model_is_held_until_one_comes(site: Start) -> None:
    garage = site("garage")
    give(garage, close(member("front"), "a" * 32, 1, content("Anna", RED, made_by="another model")))
    assert names(garage) == {"Anna": "model"}
    give(garage, envelope("Anna", RED, version=2))
    assert names(garage) == {"Anna": ""}


def test_a_gallery_with_people_from_elsewhere_opens_under_another_model_and_under_a_seal(tmp_path: Path) -> None:
    with GalleryStore.open(tmp_path) as store, store.transaction() as connection:
        take(connection, member("garage"), open_(member("garage"), envelope("Anna", RED)), MADE_BY)
    with GalleryStore.open(tmp_path, [b"k" * 32]) as store:
        assert store.load("b" * 64, lambda crop: crop[0, 0] / np.float32(255)).ids == ()
        with store.transaction() as connection:
            (row,) = fleet.selected(connection)
            assert rows.records(connection, 0, 1)[0].person.name == "Anna"
            fleet.hold(connection, {})
        assert row.held == fleet.UNCHECKED
        assert store.load(MADE_BY.partition("/")[0], lambda crop: crop[0, 0]).ids == (1,)


def test_with_another_model_the_people_of_this_door_alone_are_compared_by_it_as_well(site: Start) -> None:
    """Their embeddings by it are made at the start: whoever looks like one of them must not be let in before."""

    def by_the_model_of_before(store: GalleryStore) -> None:
        add(store, "Annabel", RED)
        with store.transaction() as connection:
            connection.execute("UPDATE embeddings SET made_by = ?", (maker("model of before"),))
            vectors = {maker("model of before"): face(RED), MADE_BY: face(RED)}
            data = close(member("front"), "a" * 32, 1, pack(Content(name="Anna", enrolled=1_000), vectors))
            take(connection, member("garage"), open_(member("garage"), data), maker("model of before"))

    garage = site("garage", by_the_model_of_before)
    assert names(garage) == {"Annabel": "", "Anna": "alike_here"}
    assert lets_in(garage, RED) == "Annabel"


def test_somebody_who_is_held_is_not_compared_again_while_nothing_changes(site: Start) -> None:
    """The bridge asks four times a second: each look would be written to a sealed gallery, and wear its card out."""
    garage = site("garage", keys=[b"k" * 32])
    give(garage, envelope("Anna", RED), envelope("Ann", RED, uuid="b" * 32, enrolled=2_000))
    assert names(garage) == {"Anna": "", "Ann": "alike"}
    known(garage)
    before = garage.desk._store.generation
    known(garage)
    assert garage.desk._store.generation == before


def test_whoever_is_enrolled_while_others_are_compared_is_compared_as_well() -> None:
    """To compare takes many turns of the loop, and an enrolment may end between two: here that of the same face."""
    with GalleryStore.in_memory() as store:
        judge = Judge(fake_line(FakeVerifier()), 0.25)
        admission = Admission(store=store, judge=lambda: judge, gallery=lambda: pytest.fail("no"), references=8)
        with store.transaction() as connection:
            take(connection, member("garage"), open_(member("garage"), envelope("Anna", RED)), MADE_BY)
        part = Fleet(member("garage"))
        comparing = part._settling(admission, changes := Changes([]))
        next(comparing)
        add(store, "Annabel", RED)
        assert list(comparing) == []
        assert not changes.gallery, "she waits for the next look"
        (told,) = part.settled(admission)
        assert (told.kind, told.fields["REASON"]) == (EventKind.FLEET_PERSON_HELD, "alike_here")


def test_another_persons_envelope_put_into_a_row_gives_nobody_another_face(tmp_path: Path) -> None:
    """Whoever writes to the file has no key, but envelopes to exchange; the next model takes its faces from them."""
    new = "new model"
    with GalleryStore.open(tmp_path, [b"k" * 32]) as store, store.transaction() as connection:
        for uuid, name, colour in (("a" * 32, "Anna", RED), ("b" * 32, "Ben", GREEN)):
            vectors = {MADE_BY: face(colour), new: face(colour)}
            data = close(member("front"), uuid, 1, pack(Content(name=name, enrolled=1_000), vectors))
            take(connection, member("garage"), open_(member("garage"), data), MADE_BY)
    with closing(sqlite3.connect(tmp_path / "gallery.db")) as file, file:
        file.execute(
            "UPDATE fleet_people SET envelope = (SELECT envelope FROM fleet_people WHERE uuid = ?) WHERE uuid = ?",
            ("b" * 32, "a" * 32),
        )
    with GalleryStore.open(tmp_path, [b"k" * 32]) as store, store.transaction() as connection:
        at_start(connection, member("garage"), new, None)
        assert [row.held != "" for row in fleet.selected(connection)] == [True, True]
        faces = [rows.vectors(connection, rows.find(connection, name))[0] for name in ("Anna", "Ben")]
    assert faces == [face(RED)[0].tobytes(), face(GREEN)[0].tobytes()]


# Attacks by whoever has the bridge, the broker, or a door


def refused(door: Any, data: bytes, **how: Any) -> str:
    before = known(door)
    (result,) = give(door, data, **how)
    assert known(door) == before, "nothing has changed"
    reason: str = result["reason"]
    return reason


def test_a_stolen_bridge_can_bring_what_was_signed_and_nothing_else(site: Start) -> None:
    garage = site("garage")
    thief = member("garage", signing_key=b"x" * 32)
    assert refused(garage, envelope("Eve", BLUE, by=thief)) == "unknown_signer"
    assert refused(garage, envelope("Eve", BLUE, by=member("front", signing_key=b"x" * 32))) == "forged"
    assert refused(garage, tombstone(by=thief)) == "unknown_signer"
    assert refused(garage, envelope("Eve", BLUE, by=member("front", fleet="e2" * 16))) == "another_fleet"
    assert refused(garage, envelope("Anna", RED), uuids=["d" * 32]) == "of_another_person"
    assert refused(garage, envelope("Anna", RED)[:-1]) in ("forged", "malformed")
    assert EventKind.FLEET_REFUSED in kinds(garage)


def test_a_replayed_older_version_takes_no_suspension_back(site: Start) -> None:
    garage = site("garage")
    old, new = envelope("Anna", RED), envelope("Anna", RED, version=2, suspended=True)
    give(garage, old, new)
    assert [one["outcome"] for one in give(garage, old, new, old)] == [Outcome.OLD] * 3
    assert garage.client.ask({"action": "list"})["people"][0]["access"] == {"suspended": True}


def test_a_right_signature_around_nonsense_changes_nothing(site: Start) -> None:
    garage = site("garage")
    for nonsense in (b"", b"\x00\x00\x00\x02{}", b"\xff" * 64, content("../etc", RED), content("\u202eAnna", RED)):
        assert refused(garage, close(member("front"), "a" * 32, 1, nonsense)) == "not_a_person"


def test_embeddings_of_another_length_do_not_spoil_the_gallery(site: Start) -> None:
    """By this very model, as it says: the next start would find a damaged gallery, and let in nobody."""
    garage = site("garage")
    give(garage, envelope("Anna", RED))
    longer = np.full((2, 5), 0.5, np.float32)
    packed = pack(Content(name="Eve", enrolled=1), {MADE_BY: longer})
    assert refused(garage, close(member("front"), "e" * 32, 1, packed)) == "not_a_person"
    assert lets_in(garage, RED) == "Anna"


@pytest.mark.parametrize("error", [OverflowError, TypeError, ValueError])
def test_what_nobody_has_foreseen_in_an_envelope_does_not_end_the_daemon(
    site: Start, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """It would come again from the broker after each start."""
    garage = site("garage")

    def failing(*_: Any) -> Any:
        raise error

    monkeypatch.setattr("facelatch.api.fleet_people.take", failing)
    assert refused(garage, envelope("Anna", RED)) == error.__name__


def test_a_flood_is_taken_in_short_turns_and_leaves_nothing(site: Start) -> None:
    """64 in a request is the most; the loop goes on between any two."""
    garage = site("garage")
    rubbish = [envelope("Eve", BLUE, by=member("front", signing_key=b"x" * 32)) for _ in range(64)]
    for _ in range(5):
        assert {one["reason"] for one in give(garage, *rubbish)} == {"forged"}
    with pytest.raises(InputError):
        give(garage, *rubbish, rubbish[0])
    assert known(garage)["count"] == 0
    assert garage.longest_turn < 0.5
    assert kinds(garage).count(EventKind.FLEET_REFUSED) == 1


def test_one_envelope_that_cannot_be_saved_keeps_none_of_the_others_back(
    site: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails between two revocations: the first is in force, and told."""
    garage = site("garage")
    give(garage, envelope("Anna", RED), envelope("Ben", GREEN, uuid="b" * 32))
    from facelatch.api import fleet_people

    real = fleet_people.take

    def failing(connection: Any, who: Membership, opened: Any, made_by: str, size: int) -> Any:
        if opened.header.uuid == "b" * 32:
            raise GalleryError("no space", hint="")
        return real(connection, who, opened, made_by, size)

    monkeypatch.setattr(fleet_people, "take", failing)
    results = give(garage, tombstone(), tombstone("b" * 32))
    assert [one["outcome"] for one in results] == ["revoked", "refused"]
    assert names(garage) == {"Ben": ""}
    assert lets_in(garage, RED) is None


def test_whoever_has_the_last_version_there_is_can_be_revoked_all_the_same(site: Start) -> None:
    """A stolen door could use up all versions, so that nobody changes the person any more."""
    back = site("back")
    give(back, envelope("Eve", BLUE, version=MAX_VERSION))
    back.client.ask({"action": "remove", "name": "Eve"})
    (sent,) = kept(back)
    assert open_(member("garage"), sent).header.revoked


def test_references_that_would_let_in_people_who_do_not_exist_let_in_nobody(site: Start) -> None:
    garage = site("garage")
    line = garage.desk._judge.line
    object.__setattr__(line, "set_tests", (lambda embeddings: "near to everybody",))
    give(garage, envelope("Eve", BLUE))
    assert names(garage) == {"Eve": "indistinct"}


@pytest.mark.parametrize(
    "pin", ["fleet:$argon2id$v=19$m=4194304,t=3,p=1$c2FsdA$aA", "$argon2id$v=19$m=32768,t=3,p=1$c2FsdA$aA", "x"]
)
def test_a_hash_that_would_take_all_memory_to_compare_is_none(site: Start, pin: str) -> None:
    with pytest.raises(ValueError, match="pin"):
        envelope("Eve", BLUE, pin=pin)


def test_an_enroller_gone_mad_fills_no_disk(site: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    garage = site("garage")
    monkeypatch.setattr(fleet, "MOST_PEOPLE", 2)
    many = [tombstone(f"{number:032x}") for number in range(3)]
    assert [one["outcome"] for one in give(garage, *many)] == ["revoked", "revoked", "refused"]
    assert known(garage)["revoked"] == 2


def test_only_whoever_has_the_right_brings_people(served: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr("facelatch.api.rights.ROOT", -1)
    door = served(member=member("garage"))
    monkeypatch.setattr("facelatch.api.intake.os.geteuid", lambda: os.getuid() + 1)
    for request in ({"action": "fleet_people"}, {"action": "share", "name": "Anna"}):
        with pytest.raises(NotAllowedError):
            door.client.ask(request)


def test_a_door_in_no_fleet_says_so(served: Start) -> None:
    door = served()
    with pytest.raises(InputError, match="no fleet"):
        door.client.ask({"action": "fleet_people"})
    with pytest.raises(InputError, match="no fleet"):
        give(door, envelope("Anna", RED))
    with pytest.raises(InputError, match="no fleet"):
        share(door, "Anna")


# Convergence of whole galleries

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["front", "back"]),
        st.sampled_from(["add", "suspend", "rename", "remove", "hear"]),
        st.integers(0, 2),
    ),
    max_size=10,
)


def own_face(store: GalleryStore, name: str, number: int) -> None:
    from facelatch.values.pictures import Pose
    from facelatch.values.records import NewPerson, Reference

    colour = ((200, 90, 60), (60, 200, 90), (60, 90, 200))[number]
    crop = np.full((112, 112, 3), colour, np.uint8)
    store.add(NewPerson(name, False, (Reference(crop, face(colour)[0], Pose(0, 0, 0)),)), MADE_BY.partition("/")[0])


class Door:
    """A gallery in memory with the fleet's steps, and no loop."""

    def __init__(self, name: str) -> None:
        self.name, self.member, self.store = name, member(name), GalleryStore.in_memory()
        self.count = 0

    def act(self, what: str, number: int) -> None:
        with self.store.transaction() as connection:
            people = [record.person for record in rows.records(connection, 0, -1)]
        person = people[number % len(people)] if people else None
        if what == "add":
            self.count += 1
            own_face(self.store, f"{self.name}{self.count}", number)
            with self.store.transaction() as connection:
                one = rows.find(connection, f"{self.name}{self.count}")
                uuid = f"{int(self.name == 'back')}{self.count:031x}"
                fleet.share(connection, one, uuid, 1000 * self.count)
        elif person is not None and what == "suspend":
            with self.store.transaction() as connection:
                connection.execute("UPDATE people SET suspended = 1 WHERE id = ?", (person.id,))
        elif person is not None and what == "rename":
            self.count += 1
            self.store.rename(person.name, f"{self.name}{self.count}")
        elif person is not None and what == "remove":
            self.store.remove(person.name)
        self.seal()

    def seal(self) -> None:
        with self.store.transaction() as connection:
            for row in fleet_sealing.due(connection):
                fleet_sealing.seal(connection, self.member, row, MADE_BY)

    def hear(self, data: bytes) -> None:
        self.seal()
        with self.store.transaction() as connection:
            take(connection, self.member, open_(self.member, data), MADE_BY)

    def said(self) -> list[bytes]:
        with self.store.transaction() as connection:
            return [row.envelope for row in fleet.selected(connection, "version > 0 AND envelope <> x''")]

    def people(self) -> object:
        with self.store.transaction() as connection:
            there = [
                (one.uuid, rows.records(connection, id_ - 1, 1)[0]) for id_, _, one in fleet.in_gallery(connection)
            ]
        return [(uuid, record.access, record.references) for uuid, record in there], self.digest()

    def digest(self) -> str:
        with self.store.transaction() as connection:
            return fleet.state(connection).digest


@pytest.mark.slow
@given(STEPS, st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_whatever_two_doors_did_while_apart_all_three_end_alike(
    steps: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    """In between messages arrive late, twice, or not at all; in the end each door hears what the others kept."""
    with ExitStack() as opened:
        doors = {name: Door(name) for name in ("front", "back", "garage")}
        for door in doors.values():
            opened.callback(door.store.close)
        said: list[bytes] = []
        for name, what, number in steps:
            if what != "hear":
                doors[name].act(what, number)
                said += doors[name].said()
            elif said:
                hearing = data.draw(st.sampled_from(sorted(doors)))
                doors[hearing].hear(data.draw(st.sampled_from(said)))
        for _ in range(2):
            for door in doors.values():
                for other in doors.values():
                    for one in data.draw(st.permutations(other.said())):
                        door.hear(one)
        assert doors["front"].people() == doors["back"].people() == doors["garage"].people()


def test_somebody_whom_no_envelope_can_hold_keeps_nobody_else_from_being_sent(
    site: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = site("front", fill=None)
    monkeypatch.setattr("facelatch.sharing.envelope.MAX_BYTES", 10)
    share(front, "Ben")
    assert known(front)["count"] == 0
    assert EventKind.FAULT in kinds(front)
    monkeypatch.undo()
    share(front, "Anna")
    assert known(front)["count"] == 1


# The tables


def test_whatever_changes_a_person_is_noted_by_the_tables_themselves(tmp_path: Path) -> None:
    """Also what a cascade of SQLite does, and statements that nobody has written yet."""
    with GalleryStore.open(tmp_path) as store:
        with store.transaction() as connection:
            take(connection, member("back"), open_(member("back"), envelope("Anna", RED)), MADE_BY)
        for statement in (
            "UPDATE people SET suspended = 1",
            "INSERT INTO credentials (person_id) VALUES (1)",
            "UPDATE credentials SET pin_hash = 'x'",
            "DELETE FROM reference_images WHERE id = 1",
            "DELETE FROM people",
        ):
            with store.transaction() as connection:
                connection.execute("UPDATE fleet_people SET dirty = 0")
                connection.execute(statement)
                assert connection.execute("SELECT dirty FROM fleet_people").fetchone() == (1,), statement


def test_a_gallery_of_version_5_becomes_one_that_can_be_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:5])
        connection = sqlite3.connect(":memory:", isolation_level=None)
        schema._migrate(connection, schema.Context(tmp_path))
        connection.execute("INSERT INTO people (name, name_key, admin) VALUES ('Anna', 'anna', 0)")
    schema._migrate(connection, schema.Context(tmp_path))
    assert connection.execute("PRAGMA user_version").fetchone() >= (6,)
    assert connection.execute("SELECT count(*) FROM fleet_people").fetchone() == (0,)
    assert SIGNING
