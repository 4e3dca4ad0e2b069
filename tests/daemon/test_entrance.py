"""Hours and second factors joined with the session and the door: lists of turns, lists of events."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sightings import judged

from facelatch.audit.events import EventKind
from facelatch.audit.spec import Priority
from facelatch.config.file import Config, parse
from facelatch.controller.state import Entrance, Inputs, Outputs, State, initial
from facelatch.controller.step import step
from facelatch.machines.enrolment_states import Authorising, Origin, StartEnrolment
from facelatch.machines.indicator import Pattern
from facelatch.machines.wiegand import encoded
from facelatch.site.mode import Mode, SetMode
from facelatch.values.hours import Access, LocalTime, Rule, Schedules, Window
from facelatch.values.observations import Judged, NoFace, Observation, Reason, Verdict
from facelatch.values.readers import Check, Checked, Pulse, Result, Stroke
from facelatch.values.records import Person, Throttle
from facelatch.values.wires import LockLevel

ADA, BEN = Person(1, "ada", admin=True), Person(2, "ben")
READERS = {"wiegand_pins": [5, 6], "hid_keypad": "/dev/input/by-id/keypad"}
OFFICE = Schedules(windows={"office": (Window(frozenset(range(7)), 8 * 60, 18 * 60),)})
TODAY = date(2026, 11, 30)


def match(person: Person) -> Judged:
    verdict = Verdict(reason=Reason.MATCHED, person=person, share=0.875, detections=7, references=8)
    return judged(verdict, track=person.id)


STRANGER = judged(Verdict(reason=Reason.NOT_RECOGNISED), track=9)


def config(**factors: Any) -> Config:
    return parse({"session": {"required_matches": 3}, "factors": {**READERS, **factors}}, origin="test")


class Door:
    """Turns of 0.1 s, with a clock on the wall, two people and readers."""

    def __init__(
        self, settings: Config | None = None, *, hour: int = 12, trusted: bool = True, **access: Access
    ) -> None:
        self.config = settings or config()
        self.state: State = initial(Throttle())
        self.now, self.picture, self.pulse = 1000.0, 0, 0
        self.access = {{"ada": 1, "ben": 2}[name]: one for name, one in access.items()}
        self.people = {person.id: person for person in (ADA, BEN)}
        self.time = LocalTime(day=TODAY, minute=hour * 60, trusted=trusted)
        self.blind = False
        self.events: list[Any] = []
        self.checks: list[Check] = []
        self.signals: list[Pulse | Stroke] = []
        self.checked: tuple[Checked, ...] = ()
        self.turn(NoFace())

    def turn(self, observation: Observation | None = None, **others: Any) -> Outputs:
        self.now += 0.1
        self.picture += 1
        entrance = Entrance(
            people=self.people, access=self.access, time=self.time, schedules=OFFICE, signals=tuple(self.signals),
            checked=self.checked,
        )  # fmt: skip
        self.signals, self.checked = [], ()
        seen = {"observation": observation, "fingerprint": self.picture if observation is not None else None}
        if self.blind:
            seen, others = {"observation": None, "fingerprint": None}, {"fault": "camera_failed", **others}
        inputs = Inputs(
            reopenable=self.blind, now=self.now, frame_age_seconds=0.04, people_enrolled=2, admins=frozenset({ADA.id}),
            entrance=entrance, **{**seen, **others},
        )  # fmt: skip
        self.state, outputs = step(self.state, inputs, self.config)
        self.events += outputs.events
        self.checks += outputs.checks
        return outputs

    def shows(self, person: Person) -> Outputs:
        for _ in range(2):
            self.turn(match(person))
        return self.turn(match(person))

    def types(self, text: str) -> Outputs:
        self.signals += [Stroke(device="keypad", symbol=symbol, at=self.now) for symbol in text]
        return self.turn(NoFace())

    def holds_up(self, number: int) -> Outputs:
        for bit in encoded(number, 34):
            self.pulse += 1
            self.signals.append(Pulse(line=bit, at=self.now + 0.001 * len(self.signals), number=self.pulse))
        self.turn(NoFace())
        self.turn(NoFace())
        return self.turn(NoFace())

    def answer(
        self, result: Result = Result.WRONG, *, holder: int | None = None, card: bool = False
    ) -> Outputs:
        self.checked = (Checked(serial=self.checks[-1].serial, result=result, holder=holder, card=card),)
        return self.turn(NoFace())

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]

    def last(self, kind: EventKind) -> dict[str, Any]:
        return dict(next(event for event in reversed(self.events) if event.kind is kind).fields)


def test_within_the_hours_the_door_opens_as_ever() -> None:
    door = Door(ada=Access(schedule="office"))
    assert door.shows(ADA).lock is LockLevel.UNLOCKED
    assert EventKind.VISIT_GRANTED in door.kinds()


@pytest.mark.parametrize(
    ("access", "hour", "trusted", "reason"),
    [
        (Access(schedule="office"), 19, True, "outside_hours"),
        (Access(schedule="office"), 12, False, "clock_unknown"),
        (Access(valid_until=date(2026, 11, 29)), 12, True, "expired"),
        (Access(valid_from=date(2026, 12, 1)), 12, True, "not_yet_valid"),
        (Access(suspended=True), 12, True, "suspended"),
    ],
)
def test_otherwise_it_stays_locked_and_says_why(
    access: Access, hour: int, trusted: bool, reason: str
) -> None:
    door = Door(ada=access, hour=hour, trusted=trusted)
    outputs = door.shows(ADA)
    assert outputs.lock is LockLevel.LOCKED
    assert outputs.pattern is Pattern.NOT_NOW
    denied = door.last(EventKind.SCHEDULE_DENIED)
    assert (denied["PERSON"], denied["REASON"]) == ("ada", reason)
    assert EventKind.VISIT_GRANTED not in door.kinds()
    for _ in range(100):  # who stays is not told again and again
        assert door.turn(match(ADA)).lock is LockLevel.LOCKED
    assert door.kinds().count(EventKind.SCHEDULE_DENIED) == 1
    assert door.shows(BEN).lock is LockLevel.UNLOCKED, "others are not concerned"


def test_whoever_is_denied_authorises_no_enrolment() -> None:
    """A suspended admin is none."""
    settings = parse({"enrolment": {"authorisation": "admin"}}, origin="test")
    door = Door(settings, ada=Access(suspended=True))
    door.turn(NoFace(), commands=(StartEnrolment(origin=Origin.BUTTON),))
    assert isinstance(door.state.enrolment, Authorising)
    door.shows(ADA)
    assert isinstance(door.state.enrolment, Authorising)


def test_being_denied_does_not_forget_the_refusals_of_others() -> None:
    door = Door(ada=Access(suspended=True))
    for _ in range(8):
        door.turn(STRANGER)
    for _ in range(30):
        door.turn(NoFace())
    assert door.state.session.throttle.refusals == 1
    door.shows(ADA)
    assert door.state.session.throttle.refusals == 1
    for _ in range(60):
        door.turn(NoFace())
    door.shows(BEN)
    assert door.state.session.throttle.refusals == 0


def test_face_then_pin_opens_and_neither_alone() -> None:
    door = Door(config(rule="face+pin"), ada=Access(has_pin=True))
    outputs = door.shows(ADA)
    assert (outputs.lock, outputs.pattern) == (LockLevel.LOCKED, Pattern.ASKS_FACTOR)
    assert outputs.status == "locked: waiting for a PIN or a card"
    door.types("135790#")
    assert (door.checks[-1].person, door.checks[-1].code) == (ADA.id, "135790")
    outputs = door.answer(Result.RIGHT)
    assert (outputs.lock, outputs.pattern) == (LockLevel.UNLOCKED, Pattern.UNLOCKED)
    told = [kind for kind in door.kinds() if kind is not EventKind.VISIT_STAYS]
    assert told == [EventKind.FACTOR_AWAITED, EventKind.FACTOR_ACCEPTED, EventKind.DOOR_UNLOCKED]
    assert door.last(EventKind.DOOR_UNLOCKED)["PERSON"] == "ada"


def test_a_pin_without_a_face_is_not_even_looked_at() -> None:
    door = Door(config(rule="face+pin"), ada=Access(has_pin=True))
    door.types("135790#")
    assert door.checks == []


def test_under_duress_all_is_as_ever_at_the_door_and_one_event_more_is_written() -> None:
    def opened(result: Result) -> tuple[Door, Outputs]:
        door = Door(config(rule="face+pin"), ada=Access(has_pin=True))
        door.shows(ADA)
        door.types("135790#")
        return door, door.answer(result)

    (calm, as_ever), (forced, quiet) = opened(Result.RIGHT), opened(Result.DURESS)
    for part in ("lock", "pattern", "status"):
        assert getattr(as_ever, part) == getattr(quiet, part)
    assert [kind for kind in forced.kinds() if kind is not EventKind.DURESS] == calm.kinds()
    assert [kind for kind in EventKind if kind.spec.discreet] == [EventKind.DURESS]
    assert EventKind.DURESS.spec.priority is Priority.ALERT


@pytest.mark.slow
def test_a_face_does_not_clear_the_way_for_guessing_pins() -> None:
    """A photograph of ada, all night: the throttle shuts after five wrong ones, and stays shut longer each time."""
    door = Door(config(rule="face+pin", tries=1), ada=Access(has_pin=True))
    guesses = 0
    for _ in range(12_000):  # twenty minutes
        outputs = door.turn(match(ADA) if door.picture % 60 < 20 else NoFace())
        assert outputs.lock is LockLevel.LOCKED
        if outputs.pattern is Pattern.ASKS_FACTOR and not door.state.factors.serial > len(door.checks):
            before = len(door.checks)
            door.types("000000#")
            if len(door.checks) > before:
                door.answer(Result.WRONG)
                guesses += 1
    assert 5 <= guesses <= 16
    assert EventKind.LOCKOUT_STARTED in door.kinds()


def test_a_right_pin_forgets_the_refusals() -> None:
    door = Door(config(rule="face+pin"), ada=Access(has_pin=True))
    door.shows(ADA)
    door.types("1#")
    door.answer(Result.WRONG)
    assert door.state.session.throttle.refusals == 1
    door.types("135790#")
    door.answer(Result.RIGHT)
    assert door.state.session.throttle.refusals == 0


@pytest.mark.parametrize(
    ("result", "reason", "refusals"), [(Result.WRONG, "wrong_card", 1), (Result.FAILED, "not_checked", 0)]
)
def test_a_card_that_could_not_be_looked_up_is_no_attempt(result: Result, reason: str, refusals: int) -> None:
    """A failing disk shuts out nobody."""
    door = Door(config(without_camera="card+pin"), ada=Access(has_pin=True, has_card=True))
    door.holds_up(4711)
    door.answer(result, card=True)
    assert door.last(EventKind.FACTOR_REFUSED)["REASON"] == reason
    assert door.state.session.throttle.refusals == refusals


def test_card_and_pin_open_without_a_camera_only_if_that_is_configured() -> None:
    for without, works, opens in (
        ("card+pin", False, True),
        ("card+pin", True, False),
        ("none", False, False),
    ):
        door = Door(config(without_camera=without), ada=Access(has_pin=True, has_card=True))
        door.blind = not works
        door.holds_up(4711)
        assert (door.checks[-1].person, door.checks[-1].code) == (None, "4711")
        door.answer(holder=ADA.id, card=True)
        door.types("135790#")
        if not opens:
            assert len(door.checks) == 1
            assert door.last(EventKind.FACTOR_REFUSED)["REASON"] == "needs_face"
            continue
        assert door.answer(Result.RIGHT).lock is LockLevel.UNLOCKED
        assert door.last(EventKind.FACTOR_ACCEPTED)["RULE"] == "card+pin"


@pytest.mark.parametrize(("person", "opens"), [(ADA, True), (BEN, False)], ids=["admin", "another"])
def test_in_a_lockdown_admins_are_asked_for_their_pin_and_others_never_let_in(
    person: Person, opens: bool
) -> None:
    """`mode.lockdown_admins`: by card and PIN, which no face has to precede, the door stays shut to others, too."""
    both = Access(has_pin=True, has_card=True)
    door = Door(
        parse({"mode": {"lockdown_admins": True}, "factors": {**READERS, "rule": "card+pin"}}, origin="test"),
        ada=both,
        ben=both,
    )
    door.state = initial(Throttle(), lockdown=True)
    door.holds_up(4711)
    door.answer(holder=person.id, card=True)
    door.types("135790#")
    assert (door.answer(Result.RIGHT).lock is LockLevel.UNLOCKED) is opens
    shut = Door(config(rule="card+pin"), ada=both)
    shut.state = initial(Throttle(), lockdown=True)
    shut.holds_up(4711)
    assert shut.checks == [], "nobody is asked at a door that would not open"


def test_without_a_camera_the_hours_hold_as_ever() -> None:
    door = Door(
        config(without_camera="card+pin"), hour=20, ada=Access(schedule="office", has_pin=True, has_card=True)
    )
    door.blind = True
    door.holds_up(4711)
    door.answer(holder=ADA.id, card=True)
    assert door.last(EventKind.FACTOR_REFUSED)["REASON"] == "needs_face"


def test_whoever_is_suspended_or_removed_while_the_pin_is_checked_is_not_let_in() -> None:
    for gone in (True, False):
        door = Door(config(rule="face+pin"), ada=Access(has_pin=True))
        door.shows(ADA)
        door.types("135790#")
        if gone:
            door.people = {BEN.id: BEN}
        else:
            door.access = {ADA.id: Access(has_pin=True, suspended=True)}
        assert door.answer(Result.RIGHT).lock is LockLevel.LOCKED
        assert EventKind.SCHEDULE_DENIED in door.kinds()


def test_an_enrolment_ends_the_wait_for_a_pin() -> None:
    door = Door(config(rule="face+pin"), ada=Access(has_pin=True))
    door.shows(ADA)
    door.types("135790#")
    door.turn(NoFace(), commands=(StartEnrolment(name="new"),))
    assert door.answer(Result.RIGHT).lock is LockLevel.LOCKED


def test_a_fault_ends_the_wait_for_a_pin() -> None:
    door = Door(config(rule="face+pin"), ada=Access(has_pin=True))
    door.shows(ADA)
    door.types("135790#")
    door.turn(None, fault="camera_failed")
    assert door.answer(Result.RIGHT).lock is LockLevel.LOCKED


def test_card_and_pin_open_while_a_camera_that_failed_is_opened_again() -> None:
    """No frame comes; the door goes on by the other way, and only where that is configured."""
    for without, level in (("card+pin", LockLevel.UNLOCKED), ("none", LockLevel.LOCKED)):
        door = Door(config(without_camera=without), ada=Access(has_pin=True, has_card=True))
        door.blind = True
        door.turn(None, fault="camera_failed")
        door.holds_up(4711)
        door.answer(holder=ADA.id, card=True)
        door.types("135790#")
        assert door.answer(Result.RIGHT).lock is level
        assert door.state.fault is None


def test_while_locked_by_request_and_in_a_lockdown_no_second_factor_is_asked_for() -> None:
    for mode in (Mode.LOCKED, Mode.LOCKDOWN):
        door = Door(config(rule="card+pin"), ada=Access(has_pin=True, has_card=True))
        door.turn(NoFace(), commands=(SetMode(mode),))
        door.holds_up(4711)
        assert door.checks == []
        door.turn(NoFace(), commands=(SetMode(Mode.NORMAL),))
        door.holds_up(4711)
        assert len(door.checks) == 1


def test_a_frame_that_is_not_whole_is_told() -> None:
    door = Door(config())
    door.signals = [Pulse(line=0, at=door.now, number=1)]
    for _ in range(3):
        door.turn(NoFace())
    assert door.last(EventKind.READER_UNREADABLE) == {"COUNT": 1}


def test_the_clock_may_jump_while_the_door_is_open_and_locks_or_opens_nothing() -> None:
    door = Door(ada=Access(schedule="office"))
    door.shows(ADA)
    door.time = LocalTime(day=date(2099, 1, 1), minute=0, trusted=True)
    levels = [door.turn(NoFace()).lock for _ in range(60)]
    assert levels.count(LockLevel.UNLOCKED) in (48, 49, 50)
    assert levels[-1] is LockLevel.LOCKED


def test_rules_have_words_for_what_they_ask() -> None:
    assert [rule.keypad for rule in Rule] == [False, True, False, True]
    assert [rule.card for rule in Rule] == [False, False, True, True]


accesses = st.builds(
    Access,
    valid_until=st.sampled_from([None, date(2026, 11, 29), TODAY]),
    schedule=st.sampled_from([None, "office", "gone"]),
    suspended=st.booleans(),
    has_pin=st.booleans(),
    has_card=st.booleans(),
)
turns = st.one_of(
    st.tuples(st.just("face"), st.sampled_from([ADA, BEN])),
    st.tuples(st.just("types"), st.sampled_from(["135790#", "1", "*", "#"])),
    st.tuples(st.just("card"), st.integers(1, 3)),
    st.tuples(
        st.just("answer"), st.tuples(st.sampled_from(Result), st.sampled_from([None, 1, 2]), st.booleans())
    ),
    st.tuples(st.just("time"), st.tuples(st.integers(0, 23), st.booleans())),
    st.tuples(st.just("camera"), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 40)),
)


def may_come(access: Access, time: LocalTime) -> bool:
    """The oracle: the table of schedule.py, said otherwise."""
    if access.suspended or (access.needs_clock and not time.trusted):
        return False
    in_time = access.valid_until is None or access.valid_until >= TODAY
    return in_time and (
        access.schedule is None or (access.schedule == "office" and 480 <= time.minute < 1080)
    )


@given(
    rule=st.sampled_from(Rule), without=st.sampled_from(["none", "card+pin"]), ada=accesses, ben=accesses,
    script=st.lists(turns, max_size=30),
)  # fmt: skip
def test_whatever_happens_nobody_is_let_in_but_by_the_rule_and_in_time(
    rule: Rule, without: str, ada: Access, ben: Access, script: list[tuple[str, Any]]
) -> None:
    """Every unlocking is a face where the rule is face, or a second factor right on that very turn; and in time."""
    door = Door(
        config(rule=rule.value, without_camera=without, hid_card_reader="/dev/card"), ada=ada, ben=ben
    )
    for what, value in script:
        seen, level = len(door.events), door.state.door.level
        match what:
            case "face":
                outputs = door.shows(value)
            case "types":
                outputs = door.types(value)
            case "card":
                outputs = door.holds_up(value)
            case "answer" if door.checks:
                outputs = door.answer(value[0], holder=value[1], card=value[2])
            case "time":
                door.time = LocalTime(day=TODAY, minute=value[0] * 60, trusted=value[1])
                continue
            case "camera":
                door.blind = not value
                continue
            case _:
                outputs = [door.turn(NoFace()) for _ in range(value if what == "wait" else 1)][-1]
        told = [event for event in door.events[seen:] if event.kind is EventKind.DOOR_UNLOCKED]
        assert told or level is LockLevel.UNLOCKED or outputs.lock is LockLevel.LOCKED
        for event in told:
            person = {"ada": ada, "ben": ben}[str(event.fields["PERSON"])]
            assert may_come(person, door.time)
            causes = {one.kind for one in door.events[seen:]}
            by_face = EventKind.VISIT_GRANTED in causes
            assert by_face or EventKind.FACTOR_ACCEPTED in causes
            assert what == ("face" if by_face else "answer")
            assert not by_face or rule is Rule.FACE
