"""The door contact: who opened the door, whether anybody may have, for how long it stands open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_tables import documented

from facelatch.config.machines import DoorConfig
from facelatch.site import passage
from facelatch.site.passage import Around, Passage, Remark, Stage, Told
from facelatch.values.wires import Signal, Wire

SETTINGS = DoorConfig(open_within_seconds=5.0, held_warning_seconds=20.0, held_seconds=40.0, prop_seconds=300.0)
NOW = 1000.0


def turn(state: Passage, *, to: bool | None = None, now: float = NOW, **around: object) -> Passage:
    """One turn; the contact comes `to` a level, or stays as the state has it."""
    level = state.is_open if to is None else to
    changes = [] if to is None else [Signal(Wire.CONTACT, to, now)]
    given = {"contact": None if state.stage is Stage.UNWATCHED and to is None else level}
    return passage.advance(state, changes, Around(**(given | around)), now, SETTINGS)


def found(is_open: bool) -> Passage:
    return passage.advance(Passage(), [], Around(contact=is_open), NOW, SETTINGS)


SHUT = Passage(stage=Stage.SHUT)
EXPECTING = Passage(stage=Stage.EXPECTING, person="ada", until=NOW + 5)
OPEN = Passage(stage=Stage.OPEN, since=NOW, person="ada")
WARNED, HELD = replace(OPEN, stage=Stage.WARNED), replace(OPEN, stage=Stage.HELD)
FORCED, PROPPED = replace(OPEN, stage=Stage.FORCED, person=""), replace(OPEN, stage=Stage.PROPPED, until=NOW + 300)


def said(state: Passage) -> list[tuple[Told, str]]:
    return [(remark.what, remark.person) for remark in state.remarks]


def stays(state: Passage, **around: object) -> bool:
    return turn(state, now=NOW + 3, **around).stage is state.stage


ROWS: dict[tuple[str, str], Callable[[], object]] = {
    ("unwatched", "anything, while there is no contact"): lambda: (
        turn(Passage(), released=("ada",), now=NOW + 900) == Passage()
    ),
    ("unwatched", "found shut"): lambda: (found(False).stage, said(found(False))) == (Stage.SHUT, []),
    ("unwatched", "found open"): lambda: (
        (found(True).stage, said(found(True))) == (Stage.OPEN, [(Told.FOUND_OPEN, "")])
    ),
    ("shut", "somebody is released"): lambda: (
        (turn(SHUT, released=("ada",)).stage, turn(SHUT, released=("ada",)).person) == (Stage.EXPECTING, "ada")
    ),
    ("shut", "opens while unlocked, or at a fire"): lambda: all(
        said(turn(SHUT, to=True, **around)) == [(Told.OPENED, "")]
        for around in ({"unlocked": True}, {"excused": True, "fire": True})
    ),
    ("shut", "opens"): lambda: said(turn(SHUT, to=True)) == [(Told.FORCED, "")],
    ("expecting", "somebody is released"): lambda: turn(EXPECTING, released=("ben",)).person == "ben",
    ("expecting", "opens"): lambda: said(turn(EXPECTING, to=True)) == [(Told.OPENED, "ada")],
    ("expecting", "locked, and `open_within_seconds` over"): lambda: (
        said(turn(EXPECTING, now=NOW + 5)) == [(Told.NOT_TAKEN, "ada")]
        and stays(EXPECTING)
        and turn(EXPECTING, now=NOW + 9, unlocked=True).stage is Stage.EXPECTING
    ),
    ("open", "closes"): lambda: turn(OPEN, to=False, now=NOW + 4).remarks == (Remark(Told.CLOSED, "ada", 4.0),),
    ("open", "`held_warning_seconds`"): lambda: (
        said(turn(OPEN, now=NOW + 20)) == [(Told.HELD_WARNING, "ada")] and stays(OPEN)
    ),
    ("warned", "`held_seconds`"): lambda: said(turn(WARNED, now=NOW + 40)) == [(Told.HELD_OPEN, "ada")],
    ("warned, held, forced", "closes"): lambda: all(
        (turn(state, to=False).stage, said(turn(state, to=False))[0][0]) == (Stage.SHUT, Told.SECURED)
        for state in (WARNED, HELD, FORCED)
    ),
    ("open, warned, held", "propped by request"): lambda: all(
        turn(state, prop=True).remarks[0] == Remark(Told.PROPPED, "ada", 300.0) for state in (OPEN, WARNED, HELD)
    ),
    ("propped", "its time is over"): lambda: (
        turn(PROPPED, now=NOW + 300).stage is Stage.OPEN
        and turn(PROPPED, now=NOW + 300).since == NOW + 300
        and turn(PROPPED, now=NOW + 299).stage is Stage.PROPPED
    ),
    ("propped", "closes"): lambda: said(turn(PROPPED, to=False)) == [(Told.CLOSED, "ada")],
    ("open, warned, held", "free passage, or a fire"): lambda: all(
        (turn(state, now=NOW + 99, excused=True).stage, turn(state, now=NOW + 99, excused=True).since)
        == (Stage.OPEN, NOW + 99)
        for state in (OPEN, WARNED, HELD)
    ),
    ("forced", "a fire"): lambda: (
        turn(FORCED, excused=True, fire=True).stage is Stage.OPEN and stays(FORCED, excused=True)
    ),
}


def test_the_table_in_the_docstring_is_the_one_tested() -> None:
    assert documented(passage) == list(ROWS)


@pytest.mark.parametrize("holds", ROWS.values(), ids=map(" + ".join, ROWS))
def test_row(holds: Callable[[], object]) -> None:
    assert holds()


LEVELS = st.lists(
    st.tuples(
        st.sampled_from([None, True, False]),
        st.floats(0.05, 30.0),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from([(), ("ada",), ("exit button",)]),
    ),
    max_size=40,
)


@given(LEVELS)
def test_a_door_is_called_forced_only_when_nobody_may_open_it_and_every_opening_is_told(
    turns: list[tuple[bool | None, float, bool, bool, bool, tuple[str, ...]]],
) -> None:
    """Whatever happens: one remark for each opening, forced only locked, unexcused and unreleased for a while."""
    state, level, now, released_at = Passage(), False, NOW, -1e9
    for to, seconds, unlocked, fire, prop, released in turns:
        now += seconds
        changes = [Signal(Wire.CONTACT, to, now)] if to is not None and to != level else []
        if state.stage is Stage.UNWATCHED:
            changes = []
        level = level if to is None else to
        watched, before = state.stage is not Stage.UNWATCHED, state.is_open
        around = Around(
            contact=level, released=released, unlocked=unlocked, excused=fire, fire=fire, prop=prop
        )
        state = passage.advance(state, changes, around, now, SETTINGS)
        told = [remark.what for remark in state.remarks]
        released_at = now if released else released_at
        opened = watched and not before and bool(changes) and level
        assert (Told.OPENED in told or Told.FORCED in told) == opened
        if Told.FORCED in told:
            assert not unlocked
            assert not fire
            assert now - released_at > 0
            assert not released
        assert state.is_open == level
