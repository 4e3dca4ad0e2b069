"""What no sequence of inputs may ever do, whatever the configuration.

The oracles below look at inputs, lock levels and events only, never at the machines' own bookkeeping,
except where a sentence speaks of a state ("while enrolment is not idle").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from sightings import FACE, judged

from facelatch.config.file import Config, parse
from facelatch.controller.state import Inputs, Outputs, State, initial
from facelatch.controller.step import step
from facelatch.machines.enrolment_states import (
    AbortEnrolment,
    Idle,
    Origin,
    RenewEnrolment,
    Saved,
    SaveFailed,
    StartEnrolment,
)
from facelatch.values.observations import Judged, NoFace, Observation, Reason, SeveralFaces, Unusable, Verdict
from facelatch.values.records import Person, Throttle
from facelatch.values.wires import Edge, EdgeKind, LockLevel

pytestmark = pytest.mark.slow

ADA, BEN, CLEO = Person(1, "ada", admin=True), Person(2, "ben"), Person(3, "cleo")

VERDICTS = [
    *[
        Verdict(reason=Reason.MATCHED, person=person, share=1.0, detections=8, references=8)
        for person in (ADA, ADA, ADA, BEN, CLEO)
    ],
    Verdict(reason=Reason.MATCHED),  # cannot happen: nobody matched
    Verdict(reason=Reason.NOT_RECOGNISED),
    Verdict(reason=Reason.NOT_RECOGNISED),
    Verdict(reason=Reason.TOO_FEW_DETECTIONS, person=BEN, share=0.4, detections=3, references=8),
    Verdict(reason=Reason.AMBIGUOUS, person=ADA, share=0.9, detections=7, references=8),
    Verdict(reason=Reason.NOBODY_ENROLLED),
]


def _judged(verdict: Verdict, yaw: float, share: float | None) -> Observation:
    return judged(verdict, yaw=yaw, share=share)


OBSERVATIONS: st.SearchStrategy[Observation | None] = st.one_of(
    st.builds(
        _judged,
        st.sampled_from(VERDICTS),
        st.sampled_from([0.0, 0.2, 0.4, 0.6]),
        st.sampled_from([None, 0.0, 1.0, 1.0]),
    ),
    st.sampled_from([None, NoFace(), SeveralFaces(2), Unusable(Reason.BLURRED, FACE)]),
)


@dataclass(frozen=True)
class Stretch:
    """Some turns in a row with the same inputs; only the first one carries what happens once."""

    observation: Observation | None
    turns: int
    seconds: float
    """Between two turns."""
    repeats: bool = False
    """Whether every picture of the stretch is the one before."""
    once: tuple[tuple[str, Any], ...] = ()


ONCE = st.one_of(
    st.just(()),
    st.just(()),
    st.just(()),
    st.sampled_from(
        [
            (("edge", EdgeKind.PRESSED),),
            (("edge", EdgeKind.PRESSED),),
            (("edge", EdgeKind.RELEASED),),
            (("commands", (StartEnrolment(name="dora"),)),),
            (("commands", (AbortEnrolment(),)),),
            (("commands", (AbortEnrolment(), StartEnrolment(admin=True))),),
            (("commands", (StartEnrolment(name="eve", lease="a"),)),),
            (("commands", (RenewEnrolment("a"),)),),
            (("commands", (RenewEnrolment("b"),)),),
            (("saved", Saved(CLEO, 3)),),
            (("saved", SaveFailed("disk full")),),
            (("people_enrolled", 0), ("admins", frozenset())),
        ]
    ),
)
TROUBLE = st.sampled_from(
    [
        (("fault", "camera_failed"),),
        (("stopping", True),),
        (("frame_age_seconds", 1e9),),
        (("frame_age_seconds", float("nan")),),
    ]
)

STRETCHES = st.builds(
    Stretch,
    OBSERVATIONS,
    st.integers(1, 8),
    st.sampled_from([0.0, 0.05, 0.1, 0.1, 0.3, 1.0, 5.0, 40.0]),
    st.sampled_from([False, False, False, True]),
    ONCE,
)
_HOLD = [
    Stretch(NoFace(), 7, 0.1, once=(("edge", EdgeKind.PRESSED),)),
    Stretch(NoFace(), 1, 0.1, once=(("edge", EdgeKind.RELEASED),)),
]
_NEW_FACE = [
    Stretch(_judged(Verdict(reason=Reason.NOT_RECOGNISED), yaw, 1.0), 1, 0.4) for yaw in (0.0, 0.2, 0.4)
]
_PRESS = [
    Stretch(NoFace(), 1, 0.1, once=(("edge", EdgeKind.PRESSED),)),
    Stretch(NoFace(), 1, 0.1, once=(("edge", EdgeKind.RELEASED),)),
]
_CLIENT = [
    Stretch(NoFace(), 1, 0.1, once=(("commands", (StartEnrolment(name="eve", lease="a"),)),)),
    *_NEW_FACE,
]
EPISODES = st.sampled_from(
    [
        [Stretch(_judged(VERDICTS[0], 0.0, None), 4, 0.1)],  # ada comes
        [Stretch(_judged(VERDICTS[0], 0.0, None), 9, 1.0)],  # ada stays
        [Stretch(_judged(VERDICTS[3], 0.0, None), 4, 0.1)],  # ben comes
        [Stretch(_judged(Verdict(reason=Reason.NOT_RECOGNISED), 0.0, None), 8, 0.1)],  # a stranger comes
        [Stretch(_judged(VERDICTS[0], 0.0, None), 5, 1.0, repeats=True)],  # the camera freezes on ada
        _HOLD,
        _NEW_FACE,
        [*_HOLD, *_NEW_FACE],
        [*_HOLD, *_NEW_FACE, *_PRESS],
        [*_HOLD, *_NEW_FACE, Stretch(NoFace(), 1, 5.0), *_PRESS],
        _PRESS,
        _CLIENT,
        [_CLIENT[0], Stretch(NoFace(), 1, 2.0, once=(("commands", (RenewEnrolment("a"),)),)), *_NEW_FACE],
        [_CLIENT[0], Stretch(NoFace(), 1, 3.0), *_NEW_FACE],
        [*_HOLD, Stretch(_judged(VERDICTS[0], 0.0, None), 4, 0.1)],  # ada authorises
        [Stretch(NoFace(), 1, 0.1, once=(("saved", Saved(CLEO, 3)),))],
    ]
)
"""What people do, so that chance need not put it together turn by turn."""

CROWDS = st.lists(
    st.sampled_from(
        [
            *[Stretch(_judged(verdict, 0.0, None), 1, 0.1) for verdict in (*VERDICTS[:4], VERDICTS[6])],
            Stretch(Unusable(Reason.BLURRED, FACE), 1, 0.1),
            Stretch(SeveralFaces(2), 1, 0.1),
            Stretch(NoFace(), 1, 0.1),
        ]
    ),
    min_size=5,
    max_size=20,
)
"""Another face in every frame, or none."""

SCRIPTS = st.lists(STRETCHES.map(lambda one: [one]) | EPISODES | CROWDS, min_size=1, max_size=20).map(
    lambda parts: [stretch for part in parts for stretch in part]
)
TROUBLED = st.builds(
    lambda one, trouble, two: [*one, replace(two[0], once=trouble), *two[1:]], SCRIPTS, TROUBLE, SCRIPTS
)

CONFIGS = st.builds(
    lambda required, refusals, lockout_after, cooldown, unlock, authorisation, references, confirm: parse(
        {
            "camera": {"frozen_after_seconds": 3.0},
            "session": {
                "required_matches": required,
                "refusal_frames": refusals,
                "refusals_before_lockout": lockout_after,
                "cooldown_seconds": cooldown,
                "lockout_seconds": 5.0,
                "silence_seconds": 1.5,
                "retry_seconds": 0.5,
            },
            "door": {"unlock_seconds": unlock, "max_unlock_seconds": 6.0},
            "enrolment": {
                "authorisation": authorisation,
                "references": references,
                "confirm": confirm,
                "hold_seconds": 0.5,
                "timeout_seconds": 10.0,
                "stuck_after_seconds": 10.0,
            },
        },
        origin="test",
    ),
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.0, 2.0]),
    st.sampled_from([1.0, 5.0, 6.0]),
    st.sampled_from(["button", "admin"]),
    st.integers(1, 3),
    st.booleans(),
)
THROTTLES = st.builds(Throttle, st.integers(0, 10**6), st.sampled_from([0.0, 5.0, 1e9]))

thorough = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Turn:
    before: State
    inputs: Inputs
    state: State
    outputs: Outputs

    @property
    def unlocks(self) -> bool:
        """Whether the door was unlocked on this turn, or for longer."""
        return any(event.kind.value == "door.unlocked" for event in self.outputs.events)

    @property
    def unlocked(self) -> bool:
        return self.outputs.lock is LockLevel.UNLOCKED


def inputs_of(script: list[Stretch]) -> Iterator[Inputs]:
    """The turns of a script."""
    now, picture = 100.0, 0
    for stretch in script:
        for turn in range(stretch.turns):
            now += stretch.seconds
            picture += not stretch.repeats
            once = dict(stretch.once) if turn == 0 else {}
            edge = once.pop("edge", None)
            common: dict[str, Any] = {
                "people_enrolled": 3,
                "admins": frozenset({ADA.id}),
                "frame_age_seconds": 0.05,
            }
            yield Inputs(
                now=now,
                observation=stretch.observation,
                fingerprint=picture if stretch.observation is not None else None,
                edges=(Edge(edge, now),) if edge is not None else (),
                **common | once,
            )


def play(config: Config, turns: Iterator[Inputs], throttle: Throttle = Throttle()) -> list[Turn]:  # noqa: B008
    state, played = initial(throttle), []
    for inputs in turns:
        after, outputs = step(state, inputs, config)
        played.append(Turn(before=state, inputs=inputs, state=after, outputs=outputs))
        state = after
    return played


def evidence(turns: list[Turn], *, telling_only: bool = False) -> Iterator[tuple[Turn, list[int | None]]]:
    """Each turn with whom every new picture so far matched, by the inputs alone.

    With `telling_only` those are left out that say nothing about who is there: no face, or one that cannot be judged.
    """
    seen: list[int | None] = []
    known: set[int] = set()
    for turn in turns:
        inputs = turn.inputs
        if inputs.fingerprint is not None and inputs.fingerprint not in known:
            known.add(inputs.fingerprint)
            observation = inputs.observation
            person = None
            if isinstance(observation, Judged) and observation.verdict.reason is Reason.MATCHED:
                person = observation.verdict.person
            if isinstance(observation, Judged | SeveralFaces) or not telling_only:
                seen.append(person.id if person is not None else None)
        yield turn, seen


@thorough
@given(CONFIGS, SCRIPTS)
def test_only_enough_consecutive_matches_of_one_person_unlock(config: Config, script: list[Stretch]) -> None:
    """Before every unlocking the last `required_matches` new pictures that tell matched the same enrolled person."""
    for turn, seen in evidence(play(config, inputs_of(script)), telling_only=True):
        if turn.unlocks:
            last = seen[-config.session.required_matches :]
            assert len(last) == config.session.required_matches
            assert len(set(last)) == 1
            assert last[0] in (ADA.id, BEN.id, CLEO.id)


@thorough
@given(CONFIGS, SCRIPTS)
def test_an_unlocked_door_was_unlocked_by_an_event(config: Config, script: list[Stretch]) -> None:
    """The level never changes silently: each change of it has its event on the same turn."""
    level = LockLevel.LOCKED
    for turn in play(config, inputs_of(script)):
        kinds = [event.kind.value for event in turn.outputs.events]
        if turn.outputs.lock is not level:
            assert ("door.unlocked" if turn.unlocked else "door.locked") in kinds
        level = turn.outputs.lock


@thorough
@given(CONFIGS, SCRIPTS)
def test_no_enrolment_unlocks(config: Config, script: list[Stretch]) -> None:
    """While enrolment is not idle the door is locked, and nothing seen meanwhile counts afterwards."""
    since_idle = 0
    for turn, seen in evidence(play(config, inputs_of(script))):
        if not (isinstance(turn.before.enrolment, Idle) and isinstance(turn.state.enrolment, Idle)):
            since_idle = len(seen)
        if not isinstance(turn.state.enrolment, Idle):
            assert not turn.unlocked
        if turn.unlocks:
            assert len(seen) - since_idle >= config.session.required_matches


@thorough
@given(CONFIGS, SCRIPTS)
def test_what_a_long_press_began_is_saved_only_by_one_more(config: Config, script: list[Stretch]) -> None:
    """Whoever steps before the camera first is nobody's choice yet: on the turn of the saving the button goes down."""
    for turn in play(config, inputs_of(script)):
        save = turn.outputs.save
        if save is not None and save.origin is Origin.BUTTON and config.enrolment.confirm:
            assert EdgeKind.PRESSED in [edge.kind for edge in turn.inputs.edges]


@thorough
@given(CONFIGS, SCRIPTS)
def test_nothing_is_saved_for_a_client_that_has_gone(config: Config, script: list[Stretch]) -> None:
    """From its last word to the saving less than three seconds pass, whatever else anybody says."""
    heard: dict[str | None, float] = {}
    for turn in play(config, inputs_of(script)):
        for command in turn.inputs.commands:
            if isinstance(command, StartEnrolment | RenewEnrolment):
                heard[command.lease] = turn.inputs.now
        save = turn.outputs.save
        if save is not None and save.lease is not None:
            assert turn.inputs.now - heard[save.lease] < 3.0


@thorough
@given(CONFIGS, SCRIPTS)
def test_nobody_becomes_admin_but_by_a_request_that_says_so(config: Config, script: list[Stretch]) -> None:
    """Neither the first person nor the last: an admin to be saved was asked for as one."""
    asked = False
    for turn in play(config, inputs_of(script)):
        asked |= any(isinstance(one, StartEnrolment) and one.admin for one in turn.inputs.commands)
        if turn.outputs.save is not None and turn.outputs.save.admin:
            assert asked


@thorough
@given(CONFIGS, SCRIPTS)
def test_nothing_keeps_the_door_unlocked_past_the_ceiling(config: Config, script: list[Stretch]) -> None:
    """From the first unlocked turn to the last of a run less than `max_unlock_seconds` pass."""
    first = None
    for turn in play(config, inputs_of(script)):
        first = (turn.inputs.now if first is None else first) if turn.unlocked else None
        if first is not None:
            assert turn.inputs.now - first < config.door.max_unlock_seconds


@thorough
@given(CONFIGS, SCRIPTS, THROTTLES)
def test_nothing_unlocks_while_locked_out(config: Config, script: list[Stretch], throttle: Throttle) -> None:
    """From the event that starts a lock-out, for as long as it says, no unlocking; after a restart too."""
    until = -1.0
    turns = play(config, inputs_of(script), throttle)
    if throttle.lockout_seconds:
        until = turns[0].inputs.now + min(throttle.lockout_seconds, config.session.max_lockout_seconds)
    for turn in turns:
        assert not (turn.unlocks and turn.inputs.now < until)
        for event in turn.outputs.events:
            if event.kind.value == "visit.lockout_started":
                until = turn.inputs.now + float(event.fields["SECONDS"])


@thorough
@given(CONFIGS, SCRIPTS, OBSERVATIONS)
def test_a_repeated_picture_is_never_evidence(
    config: Config, script: list[Stretch], other: Observation
) -> None:
    """Whatever the line says about a picture seen just before, everything goes on as without it."""
    given_turns, last = list(inputs_of(script)), None
    changed = []
    for inputs in given_turns:
        repeated = inputs.fingerprint is not None and inputs.fingerprint == last
        last = inputs.fingerprint if inputs.fingerprint is not None else last
        changed.append(replace(inputs, observation=other) if repeated else inputs)
    for one, two in zip(play(config, iter(given_turns)), play(config, iter(changed)), strict=True):
        assert one.outputs.lock is two.outputs.lock
        assert one.outputs.events == two.outputs.events
        assert one.outputs.throttle == two.outputs.throttle


@thorough
@given(CONFIGS, TROUBLED)
def test_after_a_fault_or_when_stopping_the_door_is_locked_for_good(
    config: Config, script: list[Stretch]
) -> None:
    """From the turn of the fault on, nothing unlocks and nothing is saved."""
    broken = False
    for turn in play(config, inputs_of(script)):
        inputs = turn.inputs
        stale = not inputs.frame_age_seconds <= config.camera.stale_after_seconds
        broken = broken or inputs.fault is not None or inputs.stopping or stale
        if broken:
            assert not turn.unlocked
            assert turn.outputs.save is None


@thorough
@given(CONFIGS, SCRIPTS)
def test_every_visit_has_exactly_one_outcome(config: Config, script: list[Stretch]) -> None:
    """Outcomes are grants, refusals and departures; a visit needs at least one new picture of its own."""
    outcomes = ("visit.granted", "visit.refused", "visit.abandoned")
    ended, pictures_at_end = 0, 0
    for turn, seen in evidence(play(config, inputs_of(script))):
        here = [event for event in turn.outputs.events if event.kind.value in outcomes]
        for event in here:
            ended += 1
            assert float(event.fields.get("COUNT", 0)) <= len(seen) - pictures_at_end
        pictures_at_end = len(seen) - 1 if here else pictures_at_end
    assert ended <= sum(stretch.turns for stretch in script)


FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@thorough
@given(
    CONFIGS,
    THROTTLES,
    SCRIPTS,
    st.lists(
        st.builds(
            Inputs,
            now=st.floats(0, 1e12),
            observation=OBSERVATIONS,
            fingerprint=st.none() | st.integers(),
            frame_age_seconds=FLOATS,
            edges=st.lists(st.builds(Edge, st.sampled_from(EdgeKind), FLOATS), max_size=4).map(tuple),
            commands=st.lists(
                st.builds(
                    StartEnrolment,
                    name=st.none() | st.text(),
                    admin=st.booleans(),
                    person=st.sampled_from([None, BEN]),
                    replace=st.booleans(),
                    lease=st.sampled_from([None, "a"]),
                )
                | st.builds(RenewEnrolment, st.sampled_from(["a", "b"]))
                | st.builds(AbortEnrolment, lease=st.sampled_from([None, "a", "b"])),
                max_size=3,
            ).map(tuple),
            saved=st.none() | st.builds(Saved, st.just(BEN), st.integers(1, 64)) | st.builds(SaveFailed, st.text()),
            fault=st.none() | st.none() | st.none() | st.text(),
            stopping=st.sampled_from([False] * 9 + [True]),
            people_enrolled=st.integers(0, 4),
            admins=st.frozensets(st.integers(1, 4)),
        ),
        max_size=30,
    ),
)
def test_step_never_raises(
    config: Config, throttle: Throttle, script: list[Stretch], wild: list[Inputs]
) -> None:
    """Any inputs in any order, time running backwards and edges from nowhere included, get an answer."""
    for turn in play(config, chain(inputs_of(script), wild), throttle):
        assert isinstance(turn.outputs.lock, LockLevel)
        assert turn.outputs.status
        assert all(event.message for event in turn.outputs.events)


@pytest.mark.parametrize(
    "happens",
    [
        lambda turn: turn.unlocks,
        lambda turn: any(event.kind.value == "visit.lockout_ended" for event in turn.outputs.events),
        lambda turn: turn.outputs.save is not None and len(turn.outputs.kept) > 1,
        lambda turn: turn.outputs.save is not None and turn.outputs.save.origin is Origin.BUTTON,
        lambda turn: turn.outputs.save is not None and turn.outputs.save.lease is not None,
        lambda turn: any(event.fields.get("REASON") == "client_gone" for event in turn.outputs.events),
        lambda turn: any(event.fields.get("REASON") == "not_confirmed" for event in turn.outputs.events),
        lambda turn: any(event.kind.value == "enrolment.authorised" for event in turn.outputs.events),
        lambda turn: any(event.kind.value == "enrolment.saved" for event in turn.outputs.events),
        lambda turn: turn.outputs.fault == "picture_frozen",
    ],
    ids=[
        *("unlocked", "lock-out served", "person to save", "by button", "by a client", "client gone"),
        *("not confirmed", "authorised", "saved", "frozen"),
    ],
)
def test_the_scripts_reach_what_the_properties_speak_of(happens: Callable[[Turn], bool]) -> None:
    """The properties are not true for want of anything happening."""
    config, script = find(
        st.tuples(CONFIGS, SCRIPTS),
        lambda pair: any(happens(turn) for turn in play(pair[0], inputs_of(pair[1]))),
        settings=settings(
            max_examples=5000, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
        ),
    )
    assert any(happens(turn) for turn in play(config, inputs_of(script)))
