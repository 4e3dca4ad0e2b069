"""Envelopes and how they are merged: what no door takes, and that all doors come to the same."""

from __future__ import annotations

import itertools
import random
import struct
from dataclasses import replace

import numpy as np
import pytest
from fleets import ENROLLERS, KEYS, MADE_BY, content, envelope, face, member, tombstone
from hypothesis import given, settings
from hypothesis import strategies as st

from facelatch.sharing import membership
from facelatch.sharing.content import Content, pack, unpack
from facelatch.sharing.envelope import MAX_BYTES, EnvelopeError, close, open_
from facelatch.sharing.merge import ALIKE, Known, Rank, held

RED = (200, 90, 60)
UUIDS = [f"{number:032x}" for number in range(6)]


# Envelopes


def test_an_envelope_opens_at_every_door_of_the_fleet_and_says_who_signed() -> None:
    opened = open_(member("garage"), envelope("Anna", RED, version=7))
    assert (opened.header.signer, opened.header.version, opened.header.revoked) == ("front", 7, False)
    told, vectors = unpack(opened.content)
    assert told.name == "Anna"
    np.testing.assert_array_equal(vectors[MADE_BY], face(RED))


def test_nobody_reads_a_name_in_what_travels() -> None:
    assert b"Anna" not in envelope("Anna", RED)


def test_a_revocation_is_obeyed_without_the_newest_key() -> None:
    newer = member("front", keys={1: KEYS[1], 2: b"n" * 32})
    assert open_(member("garage"), tombstone(by=newer)).header.revoked
    with pytest.raises(EnvelopeError, match="unknown_key"):
        open_(member("garage"), envelope("Anna", RED, by=newer))


def forged_by_a_follower() -> bytes:
    return envelope("Anna", RED, by=member("garage", signing_key=b"x" * 32))


def forged_under_another_doors_name() -> bytes:
    return envelope("Anna", RED, by=member("back", signing_key=b"x" * 32))


def of_another_fleet() -> bytes:
    return envelope("Anna", RED, by=member("front", fleet="e2" * 16))


def sealed_by_another_key() -> bytes:
    return envelope("Anna", RED, by=member("front", keys={1: b"z" * 32}))


def moved_to_another_person() -> bytes:
    return envelope("Anna", RED, uuid="a" * 32).replace(b"a" * 32, b"b" * 32)


def revoked_by_a_flipped_word() -> bytes:
    return envelope("Anna", RED).replace(b'"revoked":false', b'"revoked":true ')


def huge() -> bytes:
    return envelope("Anna", RED) + bytes(MAX_BYTES)


def with_something_behind_it() -> bytes:
    return envelope("Anna", RED) + b"x"


def a_header_without_end() -> bytes:
    return b"FLP1" + struct.pack(">I", 2**32 - 1) + bytes(200)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (forged_by_a_follower, "unknown_signer"),
        (forged_under_another_doors_name, "forged"),
        (of_another_fleet, "another_fleet"),
        (sealed_by_another_key, "not_sealed_by_the_fleet"),
        (moved_to_another_person, "forged"),
        (revoked_by_a_flipped_word, "malformed"),
        (huge, "too_large"),
        (with_something_behind_it, "forged"),
        (a_header_without_end, "malformed"),
    ],
)
def test_an_attack_is_refused_by_name(made: object, reason: str) -> None:
    with pytest.raises(EnvelopeError, match=reason):
        open_(member("garage"), made())  # type: ignore[operator]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_an_envelope_with_any_bit_changed_or_cut_anywhere_opens_nowhere(data: st.DataObject) -> None:
    whole = ANNA
    if data.draw(st.booleans()):
        broken = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        place = data.draw(st.integers(0, 8 * len(whole) - 1))
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        broken = bytes(flipped)
    with pytest.raises(EnvelopeError):
        open_(member("garage"), broken)


ANNA = envelope("Anna", RED)


@given(st.binary(max_size=400))
def test_no_bytes_are_more_than_refused(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        open_(member("garage"), b"FLP1" + data)
    with pytest.raises(ValueError, match=r"too short|not a person"):
        unpack(data)


def test_a_door_without_a_key_of_its_own_signs_nothing() -> None:
    with pytest.raises(ValueError, match="may not enrol"):
        close(member("garage"), UUIDS[0], 1, b"")


@pytest.mark.parametrize("number", [np.nan, np.inf, 0.0, 1e30])
def test_embeddings_that_would_be_near_to_everybody_are_no_person(number: float) -> None:
    rows = face(RED).copy()
    rows[0] = number
    packed = pack(Content(name="Anna", enrolled=1), {MADE_BY: rows})
    with pytest.raises(ValueError, match="no model has made"):
        unpack(packed)


# Membership


def test_a_membership_survives_its_file_and_shows_no_key() -> None:
    one = member("front")
    assert membership.loads(membership.dumps(one)) == one
    assert KEYS[1].hex() not in repr(one)
    assert "p" * 32 not in repr(one)
    assert one.enrols
    assert not one.follower.enrols


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode), st.just(b'{"keys": 1}')))
def test_a_file_that_is_no_membership_is_a_sentence(data: bytes) -> None:
    with pytest.raises(ValueError, match="not what"):
        membership.loads(data)


def test_a_door_that_is_not_among_the_enrollers_may_not_enrol_even_with_a_key() -> None:
    assert not replace(member("front"), enrollers={"back": ENROLLERS["back"]}).enrols


# Merging

RANKS = st.builds(
    Rank,
    revoked=st.booleans(),
    version=st.integers(1, 4),
    suspended=st.booleans(),
    digest=st.sampled_from(["aa", "bb", "cc"]),
)


def merged(messages: list[tuple[str, Rank]], known: dict[str, Rank] | None = None) -> dict[str, Rank]:
    """What a door knows after it has heard these."""
    found = dict(known or {})
    for uuid, rank in messages:
        if uuid not in found or rank > found[uuid]:
            found[uuid] = rank
    return found


MESSAGES = st.lists(st.tuples(st.sampled_from(UUIDS[:3]), RANKS), max_size=12)


@given(MESSAGES, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(messages: list[tuple[str, Rank]], chance: random.Random) -> None:
    other = messages + [chance.choice(messages) for _ in messages]
    chance.shuffle(other)
    assert merged(messages) == merged(other)


@given(st.lists(MESSAGES, min_size=3, max_size=3), st.data())
def test_doors_that_lost_messages_agree_once_each_has_heard_what_the_others_kept(
    heard: list[list[tuple[str, Rank]]], data: st.DataObject
) -> None:
    """A partition: each door heard other messages, some of them lost; then what each kept reaches the others."""
    doors = [merged([one for one in part if data.draw(st.booleans())]) for part in heard]
    healed = [
        merged([item for other in data.draw(st.permutations(doors)) for item in other.items()], door)
        for door in doors
    ]
    assert healed[0] == healed[1] == healed[2]


@given(MESSAGES)
def test_whoever_was_revoked_stays_so_whatever_comes(messages: list[tuple[str, Rank]]) -> None:
    revoked = Rank(revoked=True, version=1, suspended=False, digest="aa")
    assert merged([(UUIDS[0], revoked), *messages])[UUIDS[0]].revoked


def test_of_two_changes_at_once_the_one_that_suspends_counts() -> None:
    open_door = Rank(revoked=False, version=3, suspended=False, digest="ff")
    assert Rank(revoked=False, version=3, suspended=True, digest="00") > open_door


# Who is held

PEOPLE = st.lists(st.tuples(st.sampled_from(UUIDS), st.integers(0, 3)), unique_by=lambda one: one[0]).map(
    lambda found: [Known(uuid=uuid, enrolled=enrolled) for uuid, enrolled in found]
)
PAIRS = st.lists(st.sampled_from([frozenset(pair) for pair in itertools.combinations(UUIDS, 2)]), unique=True)


@given(PEOPLE, PAIRS, st.randoms(use_true_random=False))
def test_who_is_held_depends_on_who_is_there_and_not_on_the_order(
    people: list[Known], pairs: list[frozenset[str]], chance: random.Random
) -> None:
    shuffled, other = list(people), list(pairs)
    chance.shuffle(shuffled)
    chance.shuffle(other)
    assert held(people, pairs, {}) == held(shuffled, other, {})


@given(PEOPLE, PAIRS, st.sets(st.sampled_from(UUIDS)))
def test_of_those_who_may_come_in_no_two_would_tie_and_nobody_is_held_for_nothing(
    people: list[Known], pairs: list[frozenset[str]], blocked: set[str]
) -> None:
    found = held(people, pairs, dict.fromkeys(blocked, "model"))
    standing = {one.uuid for one in people} - found.keys()
    assert not any(pair <= standing for pair in pairs)
    for uuid, reason in found.items():
        assert (reason == "model") == (uuid in blocked)
        assert reason == "model" or any(uuid in pair and pair - {uuid} <= standing for pair in pairs)


def test_the_later_of_two_is_held_until_the_earlier_goes_or_somebody_says_that_they_are_two() -> None:
    early, late = Known(uuid=UUIDS[1], enrolled=1), Known(uuid=UUIDS[0], enrolled=2)
    pair = frozenset({early.uuid, late.uuid})
    assert held([late, early], [pair], {}) == {late.uuid: ALIKE}
    assert held([late], [pair], {}) == {}
    for told in ([replace(late, beside=frozenset({early.uuid})), early], [late, replace(early, beside=pair)]):
        assert held(told, [pair], {}) == {}


def test_what_is_sealed_names_every_field_that_travels() -> None:
    """Whoever may authorise enrolments is for each door to say: there is no such field."""
    assert "admin" not in Content.model_fields
    with pytest.raises(ValueError, match="not a person"):
        unpack(content("Anna", RED).replace(b'"beside":', b'"admin": '))
