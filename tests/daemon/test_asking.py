"""A door that asks for a turn of the head: what its lock, its light and its audit do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sightings import FACE, judged

from facelatch.app.build import build_line
from facelatch.audit.events import Event, EventKind
from facelatch.config.file import Config, parse
from facelatch.controller import state
from facelatch.controller.state import Entrance, Inputs, Outputs
from facelatch.controller.step import step
from facelatch.errors import ConfigError
from facelatch.machines.challenge import Asked, Side
from facelatch.machines.enrolment_states import StartEnrolment
from facelatch.machines.indicator import Pattern
from facelatch.site.mode import Mode, SetMode
from facelatch.values.hours import Access
from facelatch.values.liveness import Proof
from facelatch.values.observations import NoFace, Observation, Reason, SeveralFaces, Unusable, Verdict
from facelatch.values.records import Person, Throttle
from facelatch.values.wires import Edge, EdgeKind, LockLevel

ADA, BEN = Person(1, "ada", admin=True), Person(2, "ben")
FRAME = 0.1
ALWAYS = parse({"liveness": {"ask": "always"}}, origin="test")
DOUBT = parse({"liveness": {"level": "basic", "ask": "doubt"}}, origin="test")
LEFT, RIGHT, STRAIGHT = 0.45, -0.45, 0.0


def face(parallax: float, proof: Proof = Proof.NOT_ASKED, person: Person = ADA, track: int = 1) -> Observation:
    verdict = Verdict(reason=Reason.MATCHED, person=person, share=1.0, detections=8, references=8)
    return replace(judged(verdict, track), parallax=parallax, proof=proof)


class Door:
    """The controller, driven as the loop drives it."""

    def __init__(self, config: Config, draw: int | None = 0b10110) -> None:
        self.config, self.draw = config, draw
        self.state = state.initial(Throttle())
        self.now, self.picture = 1000.0, 0
        self.events: list[Event] = []
        self.unlocked = False
        self.turn(NoFace())

    def turn(self, observation: Observation | None, **others: Any) -> Outputs:
        """One turn with a new frame, 0.1 s after the one before."""
        self.now, self.picture = self.now + FRAME, self.picture + 1
        usual: dict[str, Any] = {
            "now": self.now,
            "observation": observation,
            "fingerprint": self.picture,
            "frame_age_seconds": 0.04,
            "people_enrolled": 2,
            "admins": frozenset({ADA.id}),
            "draw": self.draw,
            "entrance": Entrance(people={ADA.id: ADA, BEN.id: BEN}),
        }
        self.state, outputs = step(self.state, Inputs(**{**usual, **others}), self.config)
        self.events += outputs.events
        self.unlocked |= outputs.lock is LockLevel.UNLOCKED
        return outputs

    def show(self, observation: Observation, seconds: float) -> None:
        """The same for so long, or until the door unlocks."""
        for _ in range(round(seconds / FRAME)):
            if not self.unlocked:
                self.turn(observation)

    def obey(self, seconds: float = 40.0, proof: Proof = Proof.NOT_ASKED) -> list[Pattern]:
        """Turns as the light asks; which patterns were shown."""
        shown: list[Pattern] = []
        wanted = {Pattern.TURN_LEFT: LEFT, Pattern.TURN_RIGHT: RIGHT}
        for _ in range(round(seconds / FRAME)):
            if self.unlocked or (shown and self.state.challenge.request is None):
                break
            # Somebody who sees the light of the turns before, and takes half a second.
            past = shown[-5] if len(shown) >= 5 else Pattern.LOOK_STRAIGHT
            shown.append(self.turn(face(wanted.get(past, STRAIGHT), proof)).pattern)
        return shown

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]


def test_nobody_is_let_in_before_having_turned_as_the_light_asked() -> None:
    """Three matches hold a grant back; five turns give it, and everything after it is as ever."""
    door = Door(ALWAYS)
    door.show(face(STRAIGHT), 0.5)
    assert not door.unlocked
    assert door.state.challenge.request is not None
    shown = door.obey()
    assert door.unlocked
    sides = [one for one, before in zip(shown[1:], shown, strict=False) if one is not before]
    left, right, straight = Pattern.TURN_LEFT, Pattern.TURN_RIGHT, Pattern.LOOK_STRAIGHT
    assert [one for one in sides if one is not straight][:5] == [left, right, right, left, right]
    assert door.kinds() == [
        EventKind.LIVENESS_ASKED,
        EventKind.LIVENESS_ANSWERED,
        EventKind.VISIT_GRANTED,
        EventKind.DOOR_UNLOCKED,
    ]
    assert door.events[-1].fields["PERSON"] == "ada"


def test_a_picture_is_refused_for_want_of_motion_and_fills_the_throttle() -> None:
    """What never turns is asked again only after a pause, the longer the more often it comes to nothing."""
    door = Door(ALWAYS)
    door.show(face(STRAIGHT), 90.0)
    assert not door.unlocked
    refused = [event for event in door.events if event.kind is EventKind.VISIT_REFUSED]
    assert len(refused) == 4
    assert door.state.session.throttle.refusals == 3  # one was forgotten meanwhile
    assert {event.fields["REASON"] for event in refused} == {"no_motion"}
    failed = [event for event in door.events if event.kind is EventKind.LIVENESS_FAILED]
    assert {event.fields["REASON"] for event in failed} == {"too_late"}


def test_the_wrong_side_is_a_refused_attempt() -> None:
    """The next request comes after the pause of a refused visitor, and draws anew."""
    door = Door(ALWAYS)
    door.show(face(STRAIGHT), 3.0)
    asked = door.state.challenge.phase
    assert isinstance(asked, Asked)
    outputs = door.turn(face(RIGHT if asked.request.side is Side.LEFT else LEFT))
    assert outputs.pattern is Pattern.REFUSED
    assert [event.kind for event in outputs.events] == [EventKind.LIVENESS_FAILED, EventKind.VISIT_REFUSED]
    assert outputs.throttle is not None
    assert outputs.throttle.refusals == 1
    door.draw = 0
    door.show(face(STRAIGHT), 4.0)
    request = door.state.challenge.request
    assert request is not None
    assert set(request.sides) == {Side.LEFT}


def test_only_who_is_in_doubt_is_asked_where_doubts_are_asked_about() -> None:
    """A face proven alive goes straight in, one in doubt turns its head, a picture is refused without being asked."""
    proven = Door(DOUBT)
    proven.show(face(STRAIGHT, Proof.LIVE), 1.0)
    assert proven.unlocked
    assert EventKind.LIVENESS_ASKED not in proven.kinds()
    doubtful = Door(DOUBT)
    doubtful.show(face(STRAIGHT, Proof.DOUBT), 1.0)
    assert not doubtful.unlocked
    doubtful.obey(proof=Proof.DOUBT)
    assert doubtful.unlocked
    flat = Door(DOUBT)
    flat.show(face(STRAIGHT, Proof.FLAT), 5.0)
    assert EventKind.LIVENESS_ASKED not in flat.kinds()
    assert EventKind.VISIT_REFUSED in flat.kinds()


def test_a_doubt_is_never_a_grant_even_where_nobody_is_asked() -> None:
    """A line that says `doubt` to a door that does not ask is a fault in between, and the door stays locked."""
    door = Door(parse({}, origin="test"), draw=None)
    door.show(face(STRAIGHT, Proof.DOUBT), 30.0)
    assert not door.unlocked
    assert EventKind.VISIT_GRANTED not in door.kinds()


def test_without_random_bits_the_door_stays_locked() -> None:
    """Whoever forgets to draw finds out at once."""
    door = Door(ALWAYS, draw=None)
    door.show(face(STRAIGHT), 10.0)
    assert not door.unlocked
    assert EventKind.VISIT_REFUSED in door.kinds()


@pytest.mark.parametrize(
    "others",
    [
        {"fault": "internal"},
        {"stopping": True},
        {"frame_age_seconds": 1e9},
        {"commands": (StartEnrolment(name="eve"),)},
    ],
)
def test_a_fault_an_enrolment_or_the_end_drops_the_request(others: dict[str, Any]) -> None:
    """Nobody is let in by it later on, and it is no refusal."""
    door = Door(ALWAYS)
    door.show(face(STRAIGHT), 1.0)
    assert door.state.challenge.request is not None
    door.turn(face(STRAIGHT), **others)
    assert door.state.challenge.request is None
    failed = [event for event in door.events if event.kind is EventKind.LIVENESS_FAILED]
    assert [event.fields["REASON"] for event in failed] == ["interrupted"]
    assert EventKind.VISIT_REFUSED not in door.kinds()
    assert not door.unlocked


def test_somebody_else_in_the_same_place_ends_it() -> None:
    """Who turns the head has to be who was recognised."""
    door = Door(ALWAYS)
    door.show(face(STRAIGHT), 1.0)
    door.turn(face(LEFT, person=BEN, track=2))
    failed = [event for event in door.events if event.kind is EventKind.LIVENESS_FAILED]
    assert [event.fields["REASON"] for event in failed] == ["another_face"]


def test_a_head_turned_too_far_is_no_other_visit() -> None:
    """Pictures that cannot be judged belong to the request; no visit is left undecided because of them."""
    door = Door(ALWAYS)
    door.show(face(STRAIGHT), 1.0)
    for _ in range(10):
        door.turn(Unusable(Reason.TURNED_AWAY, FACE, track=1))
    door.obey()
    assert door.unlocked
    assert EventKind.VISIT_ABANDONED not in door.kinds()


@pytest.mark.parametrize("apart", [1.0, 1.2, 1.4])
def test_whoever_answers_is_let_in_where_pictures_come_as_far_apart_as_a_track_may_be_followed(apart: float) -> None:
    """The request is not lost before the track is: where pictures have to be judged, one a second may be one in 1.2."""
    door, shown = Door(ALWAYS), [Pattern.READY]
    wanted, due = {Pattern.TURN_LEFT: LEFT, Pattern.TURN_RIGHT: RIGHT}, door.now
    while not door.unlocked and door.now < 1090.0:
        if door.now + FRAME < due:
            shown.append(door.turn(None, fingerprint=None, frame_age_seconds=0.5).pattern)
            continue
        due += apart
        # Somebody who sees the light of half a second ago.
        shown.append(door.turn(face(wanted.get(shown[-5:][0], STRAIGHT))).pattern)
    assert door.unlocked
    assert EventKind.LIVENESS_FAILED not in door.kinds()


def locked_down() -> Door:
    """A door in a lockdown that admins may pass, with a request to ADA, an admin, under way."""
    door = Door(parse({"liveness": {"ask": "always"}, "mode": {"lockdown_admins": True}}, origin="test"))
    door.turn(NoFace(), commands=(SetMode(Mode.LOCKDOWN, None),))
    door.show(face(STRAIGHT), 1.0)
    assert door.state.challenge.request is not None
    return door


def test_in_a_lockdown_pictures_of_an_admin_that_cannot_be_judged_belong_to_the_request_as_well() -> None:
    """Nobody is known by them, so the session gets none; the request ended as if nobody was there."""
    door = locked_down()
    for _ in range(15):
        door.turn(Unusable(Reason.TURNED_AWAY, FACE, track=1))
    door.obey()
    assert door.unlocked


def test_in_a_lockdown_somebody_else_ends_the_request_of_an_admin_as_well() -> None:
    """Whether it is several faces, or another person in the same place."""
    for other in (SeveralFaces(2), face(STRAIGHT, person=BEN)):
        door = locked_down()
        door.turn(other)
        failed = [event for event in door.events if event.kind is EventKind.LIVENESS_FAILED]
        assert [event.fields["REASON"] for event in failed] == ["another_face"]


def test_a_lockdown_that_begins_meanwhile_drops_the_request_of_whoever_it_keeps_out() -> None:
    """And it is no attempt of theirs."""
    door = Door(parse({"liveness": {"ask": "always"}, "mode": {"lockdown_admins": True}}, origin="test"))
    door.show(face(STRAIGHT, person=BEN), 1.0)
    assert door.state.challenge.request is not None
    door.turn(face(STRAIGHT, person=BEN), commands=(SetMode(Mode.LOCKDOWN, None),))
    door.show(face(STRAIGHT, person=BEN), 3.0)
    failed = [event for event in door.events if event.kind is EventKind.LIVENESS_FAILED]
    assert [event.fields["REASON"] for event in failed] == ["interrupted"]
    assert EventKind.VISIT_REFUSED not in door.kinds()


def test_an_admin_who_authorises_turns_the_head_as_well() -> None:
    """A picture of an admin must not open the way into the gallery either."""
    enrolment = {"authorisation": "admin", "hold_seconds": 1}
    config = parse({"liveness": {"ask": "always"}, "enrolment": enrolment}, origin="test")
    door = Door(config)
    door.turn(NoFace(), edges=(Edge(EdgeKind.PRESSED, door.now),))
    door.show(NoFace(), 2.0)
    door.turn(NoFace(), edges=(Edge(EdgeKind.RELEASED, door.now),))
    door.show(face(STRAIGHT), 0.6)
    assert EventKind.ENROLMENT_AUTHORISING in door.kinds()
    assert EventKind.ENROLMENT_AUTHORISED not in door.kinds()
    shown = door.obey()
    assert Pattern.TURN_LEFT in shown
    assert EventKind.ENROLMENT_AUTHORISED in door.kinds()
    assert not door.unlocked


def test_hours_are_asked_when_the_answer_is_there() -> None:
    """Who was suspended meanwhile is not let in, whatever the head did."""
    door = Door(ALWAYS)
    door.show(face(STRAIGHT), 1.0)
    suspended = Entrance(people={ADA.id: ADA}, access={ADA.id: Access(suspended=True)})
    wanted = {Side.LEFT: LEFT, Side.RIGHT: RIGHT}
    for _ in range(400):
        phase = door.state.challenge.phase
        late = isinstance(phase, Asked) and door.now - phase.since > 0.4
        door.turn(face(wanted[phase.request.side] if late else STRAIGHT), entrance=suspended)
        if EventKind.LIVENESS_ANSWERED in door.kinds():
            break
    assert EventKind.SCHEDULE_DENIED in door.kinds()
    assert not door.unlocked


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"liveness": {"ask": "doubt"}}, "needs a level"),
        ({"liveness": {"ask": "always"}, "gpio": {"led": "none"}}, "something to ask by"),
        ({"liveness": {"ask": "always", "turns": 4}}, "turns"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_the_start(sections: dict[str, Any], words: str) -> None:
    """A doubt without a level, a question without a light, a request that is easily guessed."""
    with pytest.raises(ConfigError, match=words):
        parse(sections, origin="test")


@pytest.mark.parametrize("ask", ["never", "always"])
def test_the_line_measures_how_far_a_head_is_turned_where_somebody_may_be_asked_to_turn_it(ask: str) -> None:
    """Without the measure nobody who is asked would come in."""
    assert build_line(parse({"liveness": {"ask": ask}}, origin="test")).measures_turns is (ask != "never")
