"""The loop with real machines, line and gallery; only the world outside is played by fakes."""

from __future__ import annotations

import itertools
import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facelatch.adapters import fakes
from facelatch.api.intake import Asked, Refused, admitted
from facelatch.api.rights import ALL, Asker
from facelatch.app import loop
from facelatch.app.camera_identity import Trust
from facelatch.app.capture import EachFrame, NewestFrame
from facelatch.app.world import World
from facelatch.audit.events import EventKind
from facelatch.config.file import Config, parse
from facelatch.errors import CameraError, GalleryError, GpioError
from facelatch.gallery.store import GalleryStore
from facelatch.line.liveness import Check
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.machines.indicator import Pattern
from facelatch.ports import EndOfFrames
from facelatch.values.liveness import Aliveness
from facelatch.values.observations import Judged, Reason, Thresholds, Unusable
from facelatch.values.pictures import Box, Face, Frame, Image, Pose
from facelatch.values.records import NewPerson, Reference, Throttle
from facelatch.values.wires import LockLevel, Wire
from facelatch.vision.align import TEMPLATE

RATE = 10.0
LANDMARKS = (TEMPLATE + np.array([100, 60])).astype(np.float32)
FACE = Face(Box(100, 60, 112, 112), LANDMARKS, 0.9)
ALICE, STRANGER = (200, 90, 60), (60, 110, 190)


def frame(
    number: int, colour: tuple[int, int, int], *, seed: int | None = None, at: float | None = None
) -> Frame:
    """A textured picture in one colour: the fake verifier takes the colour for the person."""
    random = np.random.default_rng(number if seed is None else seed)
    noise = random.integers(-50, 51, (240, 320, 1), dtype=np.int16)
    image = np.clip(np.array(colour, np.int16) + noise, 0, 255).astype(np.uint8)
    return Frame(image, image, number / RATE if at is None else at, number)


def swaying(count: int = 4000) -> list[tuple[Face]]:
    """The face of somebody who does not stand quite still: found a little further left or right each time."""
    faces = []
    for number in range(count):
        shift = 12.0 * (number % 3 - 1)
        faces.append((Face(Box(100 + shift, 60, 112, 112), LANDMARKS + np.float32([shift, 0]), 0.9),))
    return faces


SWAYING = swaying()


def visit(colours: Iterable[tuple[int, int, int]]) -> list[Frame]:
    return [frame(number, colour) for number, colour in enumerate(colours)]


IMPATIENT = parse({"session": {"required_matches": 3, "refusals_before_lockout": 2}}, origin="test")
"""Somebody who stays is judged again after pauses that grow: the second refusal comes after a few seconds."""


class Door:
    """A door on a desk: everything the loop touches, and what came of it."""

    def __init__(
        self, folder: Path, frames: Iterable[Frame | Exception | None], config: Config | None = None
    ) -> None:
        self.config = config or parse({"session": {"required_matches": 3}}, origin="test")
        self.clock, self.audit = fakes.FakeClock(), fakes.FakeAudit()
        self.lock, self.indicator = fakes.FakeLock(self.clock), fakes.FakeIndicator()
        self.buttons, self.service = fakes.FakeButtons(self.clock), fakes.FakeServiceManager()
        self.verifier, self.finder = fakes.FakeVerifier(), fakes.FakeFinder(*SWAYING)
        self.store = GalleryStore.open(folder / "state")
        line = Line(
            finder=self.finder,
            verifier=self.verifier,
            quality=self.config.quality,
            thresholds=Thresholds(detection=0.5, verification=0.6, ambiguity_margin=0.2),
            similar_size_ratio=0.6,
            pace=Pace(busy_seconds=0.2, idle_seconds=1.0),
        )
        self.world = World(
            clock=self.clock,
            frames=EachFrame(fakes.FakeCamera([*frames, None]), self.clock),
            line=line,
            store=self.store,
            lock=self.lock,
            indicator=self.indicator,
            buttons=self.buttons,
            audit=self.audit,
            service=self.service,
        )

    def enrol(self, name: str, colour: tuple[int, int, int], *, admin: bool = False) -> None:
        crop = np.full((112, 112, 3), colour, np.uint8)
        reference = Reference(crop, self.verifier.embed(crop), Pose(0, 0, 0))
        self.store.add(NewPerson(name, admin, (reference,) * 4), self.verifier.model_sha256)

    def run(self, watch: Callable[[loop.Turn], None] = lambda _turn: None) -> None:
        loop.run(self.world, self.config, watch=watch)

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.audit.events]


def holding(door: Door) -> Callable[[loop.Turn], None]:
    """Somebody who holds the button early in the visit, and presses it again when the light asks for it."""

    def watch(turn: loop.Turn) -> None:
        if turn.frame is not None and turn.frame.number == 2:
            door.buttons.press()
        if turn.frame is not None and turn.frame.number == 15:
            door.buttons.release()
        if turn.outputs.pattern is Pattern.CONFIRM:
            door.buttons.press()
            door.buttons.release()

    return watch


def turning(count: int) -> fakes.FakeFinder:
    """One face a frame, in another pose each time."""
    yaws = itertools.cycle([0.0, 0.15, -0.15, 0.3, -0.3])
    turned = []
    for _ in range(count):
        landmarks = LANDMARKS.copy()
        landmarks[2, 0] += next(yaws) * 17
        turned.append((Face(FACE.box, landmarks, 0.9),))
    return fakes.FakeFinder(*turned)


def test_an_enrolled_person_opens_the_door_once_and_it_locks_again(tmp_path: Path) -> None:
    """Three frames unlock; unlock_seconds later it is locked, although the person still stands there."""
    door = Door(tmp_path, visit([ALICE] * 80))
    door.enrol("alice", ALICE)
    door.run()
    (unlocked_at, first), (locked_at, second) = door.lock.changes[:2]
    assert (first, second) == (LockLevel.UNLOCKED, LockLevel.LOCKED)
    assert unlocked_at == pytest.approx(0.2)
    assert locked_at - unlocked_at == pytest.approx(door.config.door.unlock_seconds, abs=0.2)
    granted = next(event for event in door.audit.events if event.kind is EventKind.VISIT_GRANTED)
    assert granted.fields["PERSON"] == "alice"


def test_a_stranger_never_moves_the_lock(tmp_path: Path) -> None:
    """A stranger is refused with a reason, again and again, until a lock-out."""
    door = Door(tmp_path, visit([STRANGER] * 160), IMPATIENT)
    door.enrol("alice", ALICE)
    door.run()
    assert door.lock.changes == []
    assert EventKind.VISIT_REFUSED in door.kinds()
    assert EventKind.LOCKOUT_STARTED in door.kinds()


def test_the_lock_out_survives_a_restart(tmp_path: Path) -> None:
    """Whoever pulls the plug during a lock-out waits again: even the right face does not open."""
    door = Door(tmp_path, visit([STRANGER] * 130), IMPATIENT)
    door.enrol("alice", ALICE)
    door.run()
    assert EventKind.LOCKOUT_STARTED in door.kinds()
    again = Door(tmp_path, visit([ALICE] * 100))
    assert again.store.throttle() != Throttle()
    again.run()
    assert again.lock.changes == []


def test_a_repeated_picture_opens_nothing_and_is_a_fault(tmp_path: Path) -> None:
    """A frozen camera showing the right face for ever: one frame of evidence at most, then the process ends."""
    door = Door(tmp_path, [frame(number, ALICE, seed=7) for number in range(200)])
    door.enrol("alice", ALICE)
    with pytest.raises(CameraError, match="picture_frozen"):
        door.run()
    assert door.lock.changes == []
    assert EventKind.FAULT in door.kinds()


def test_a_camera_that_stops_locks_an_unlocked_door(tmp_path: Path) -> None:
    """The fault turn itself locks; nobody waits for the end of the unlock time."""
    frames: list[Frame | Exception | None] = [*visit([ALICE] * 6), CameraError("unplugged")]
    door = Door(tmp_path, frames)
    door.enrol("alice", ALICE)
    with pytest.raises(CameraError, match="unplugged"):
        door.run()
    assert [level for _, level in door.lock.changes] == [LockLevel.UNLOCKED, LockLevel.LOCKED]
    assert door.lock.closed


def test_no_frame_for_long_is_a_stale_camera(tmp_path: Path) -> None:
    """Without new frames the age of the last one decides, and the watchdog is not fed."""
    door = Door(tmp_path, visit([ALICE] * 6))
    door.enrol("alice", ALICE)
    source = door.world.frames

    class Drying:
        def next(self, timeout_seconds: float) -> Frame | None:
            try:
                return source.next(timeout_seconds)
            except Exception:
                door.clock.advance(timeout_seconds)
                return None

        def close(self) -> None:
            source.close()

    door.world = World(
        **{name: getattr(door.world, name) for name in World.__dataclass_fields__} | {"frames": Drying()}
    )
    with pytest.raises(CameraError, match="camera_stale"):
        door.run()
    assert door.lock.level is LockLevel.LOCKED
    assert door.clock.now() < 0.5 + door.config.camera.stale_after_seconds + 0.3
    assert door.service.messages.count("WATCHDOG=1") == 6


@pytest.mark.slow
def test_a_camera_that_never_delivers_is_a_stale_camera(tmp_path: Path) -> None:
    """Its driver blocks in the first read: the loop still turns, never feeds the watchdog, and ends by itself."""
    door = Door(tmp_path, [])
    release = threading.Event()

    class Blocked:
        def read(self) -> Frame | None:
            release.wait()
            return None

        def close(self) -> None: ...

    frames = NewestFrame(Blocked(), door.clock)
    door.world = replace(door.world, frames=frames)
    with pytest.raises(CameraError, match="camera_stale"):
        door.run(watch=lambda _turn: door.clock.advance(0.5))
    release.set()
    assert 2.0 < door.clock.now() <= 3.0
    assert door.lock.changes == []
    assert "WATCHDOG=1" not in door.service.messages
    assert door.audit.events[-1].fields["REASON"] == "camera_stale"


def black(number: int, *, noise: int) -> Frame:
    image = np.random.default_rng(number).integers(0, noise + 1, (240, 320, 3), dtype=np.uint8)
    return Frame(image, image, number / RATE, number)


def test_a_covered_camera_neither_opens_nor_is_a_fault(tmp_path: Path) -> None:
    """A sensor in the dark is noisy; even a finder that imagines a face there gives nothing to judge."""
    door = Door(tmp_path, [black(number, noise=3) for number in range(200)])
    door.enrol("alice", ALICE)
    seen: set[str] = set()
    door.run(
        watch=lambda turn: seen.add(turn.observation.reason if isinstance(turn.observation, Unusable) else "")
    )
    assert Reason.TOO_DARK in seen
    assert door.lock.changes == []
    assert EventKind.FAULT not in door.kinds()


def test_a_night_of_pure_black_opens_nothing_and_is_no_fault(tmp_path: Path) -> None:
    """A sensor that clips to zero in the dark must not restart the daemon until systemd gives up."""
    door = Door(tmp_path, [black(number, noise=0) for number in range(200)])
    door.enrol("alice", ALICE)
    door.run()
    assert door.lock.changes == []
    assert EventKind.FAULT not in door.kinds()


def test_a_camera_that_changes_its_size_midway_goes_on(tmp_path: Path) -> None:
    """Half way through the visit the picture grows; the visitor comes in all the same."""

    def grown(small: Frame) -> Frame:
        image = np.pad(small.image, ((0, 240), (0, 320), (0, 0)))
        return Frame(image, image, small.captured, small.number)

    frames = visit([ALICE] * 20)
    door = Door(tmp_path, [*frames[:2], *map(grown, frames[2:])])
    door.enrol("alice", ALICE)
    door.run()
    assert [level for _, level in door.lock.changes] == [LockLevel.UNLOCKED, LockLevel.LOCKED]
    assert EventKind.FAULT not in door.kinds()


def test_an_hour_back_on_the_wall_clock_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While unlocked the clock is set back (no battery, then NTP): the door locks when it would have."""
    told = []
    for step in (0.0, -3600.0):
        wall = itertools.chain([1.8e9] * 3, itertools.repeat(1.8e9 + step))
        monkeypatch.setattr(time, "time", lambda wall=wall: next(wall))
        door = Door(tmp_path / str(step), visit([ALICE] * 80))
        door.world = replace(door.world, clock=door.clock)
        door.enrol("alice", ALICE)
        door.run(watch=lambda _turn: time.time())
        told.append([(event.kind, event.fields.get("SECONDS")) for event in door.audit.events])
    assert told[0] == told[1]
    assert EventKind.DOOR_UNLOCKED in [kind for kind, _ in told[0]]


def test_only_what_is_shown_to_people_reads_the_wall_clock() -> None:
    """Deciding by it would let a clock that steps back hold the door unlocked, or end a lock-out."""
    package = Path(loop.__file__).parent
    readers = {
        path.name
        for path in package.rglob("*.py")
        if re.search(r"\btime\.time\(|\bdatetime\b|\blocaltime\(", path.read_text(encoding="utf-8"))
    }
    assert readers <= {"check.py"}


def test_a_stuck_button_is_told_once_and_the_door_serves_on(tmp_path: Path) -> None:
    """Pressed and never released: what it began is dropped, then alice comes in while it is still down."""
    config = parse({"enrolment": {"hold_seconds": 1.0, "stuck_after_seconds": 10.0}}, origin="test")
    door = Door(tmp_path, visit([ALICE] * 220), config)
    door.enrol("alice", ALICE)

    def press(turn: loop.Turn) -> None:
        if turn.frame is not None and turn.frame.number == 0:
            door.buttons.press()

    door.run(watch=press)
    kinds = door.kinds()
    assert kinds.count(EventKind.BUTTON_STUCK) == 1
    assert EventKind.ENROLMENT_SAVED not in kinds
    assert EventKind.DOOR_UNLOCKED in kinds[kinds.index(EventKind.BUTTON_STUCK) :]


def test_a_lockout_that_cannot_be_saved_is_in_force_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full: only a restart would forget it."""

    def full(*_: object) -> None:
        raise GalleryError("disk full")

    door = Door(tmp_path, visit([STRANGER] * 200), IMPATIENT)
    door.enrol("alice", ALICE)
    monkeypatch.setattr(GalleryStore, "save_throttle", full)
    door.run()
    assert EventKind.LOCKOUT_STARTED in door.kinds()
    told = [event.fields.get("REASON") for event in door.audit.events if event.kind is EventKind.FAULT]
    assert set(told) == {"throttle_not_saved"}


@pytest.mark.parametrize("broken", ["line", "audit", "indicator"])
def test_whatever_raises_the_door_ends_locked(tmp_path: Path, broken: str) -> None:
    """An exception anywhere in the turn, while unlocked, locks before anything else happens."""
    door = Door(tmp_path, visit([ALICE] * 30))
    door.enrol("alice", ALICE)

    def explode(turn: loop.Turn) -> None:
        if turn.outputs.lock is LockLevel.UNLOCKED:
            target = {
                "line": (door.verifier, "embed"),
                "audit": (door.audit, "write"),
                "indicator": (door.indicator, "show"),
            }[broken]
            setattr(*target, _raise)

    with pytest.raises(RuntimeError, match="broken"):
        door.run(watch=explode)
    assert [level for _, level in door.lock.changes] == [LockLevel.UNLOCKED, LockLevel.LOCKED]
    assert door.lock.closed


def _raise(*_: object) -> None:
    raise RuntimeError("broken")


def test_stopping_locks_and_says_so(tmp_path: Path) -> None:
    """A stop while unlocked locks in the last turn; the events tell both."""
    door = Door(tmp_path, visit([ALICE] * 6))
    door.enrol("alice", ALICE)
    door.run()
    assert door.lock.level is LockLevel.LOCKED
    assert door.kinds()[-2:] == [EventKind.DAEMON_STOPPING, EventKind.DOOR_LOCKED]


def test_the_button_enrols_a_new_person_who_is_then_let_in(tmp_path: Path) -> None:
    """Hold, look around, done: person-001 in the gallery and, after a walk round the block, through the door."""
    config = parse({"enrolment": {"references": 3, "hold_seconds": 1.0}}, origin="test")
    door = Door(tmp_path, visit([ALICE] * 150), config)
    door.finder = turning(150)
    object.__setattr__(door.world.line, "finder", door.finder)

    door.run(watch=holding(door))
    saved = door.kinds().index(EventKind.ENROLMENT_SAVED)
    unlocked = door.kinds().index(EventKind.DOOR_UNLOCKED)
    assert saved < unlocked
    assert door.audit.events[unlocked].fields["PERSON"] == "person-001"
    with GalleryStore.open(tmp_path / "state") as store:
        assert [record.person.name for record in store.people()] == ["person-001"]
        assert not store.people()[0].person.admin


def test_references_that_do_not_distinguish_are_not_saved_and_it_is_said_why(tmp_path: Path) -> None:
    """Not a fault of the gallery: the enrolment was refused, and the light tells it apart from a full disk."""
    config = parse(
        {"enrolment": {"references": 1, "hold_seconds": 1.0, "confirm": False}}, origin="test"
    )
    door = Door(tmp_path, visit([ALICE] * 60), config)
    choosy = replace(door.world.line, set_tests=(lambda _references: "take off the mask",))
    door.world = replace(door.world, line=choosy)
    patterns, hold = set(), holding(door)

    def watch(turn: loop.Turn) -> None:
        patterns.add(turn.outputs.pattern)
        hold(turn)

    door.run(watch=watch)
    aborted = next(event for event in door.audit.events if event.kind is EventKind.ENROLMENT_ABORTED)
    assert (aborted.fields["REASON"], aborted.fields["HINT"]) == ("indistinct", "take off the mask")
    assert EventKind.ENROLMENT_SAVE_FAILED not in door.kinds()
    assert Pattern.NOT_READABLE in patterns


def test_a_full_disk_while_enrolling_is_told_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gallery's error becomes an event and an LED pattern; the door goes on."""
    config = parse({"enrolment": {"references": 1, "hold_seconds": 1.0}}, origin="test")
    door = Door(tmp_path, visit([ALICE] * 60), config)

    def full(*_: object, **__: object) -> None:
        raise GalleryError("disk full")

    monkeypatch.setattr(GalleryStore, "add", full)

    door.run(watch=holding(door))
    assert EventKind.ENROLMENT_SAVE_FAILED in door.kinds()
    assert door.lock.changes == []
    with GalleryStore.open(tmp_path / "state") as store:
        assert store.people() == []


def test_ready_comes_before_the_first_turn_and_the_watchdog_only_after_fresh_frames(tmp_path: Path) -> None:
    """systemd hears READY once, then one ping a frame."""
    door = Door(tmp_path, visit([STRANGER] * 5))
    door.run()
    assert door.service.messages.index("READY=1") < door.service.messages.index("WATCHDOG=1")
    assert door.service.messages.count("READY=1") == 1
    assert door.service.messages.count("WATCHDOG=1") == 5


class Clients:
    """Local clients: what they ask, on which turn, and what they hear."""

    def __init__(self, *asked: tuple[int, dict[str, object]]) -> None:
        self.messages, self.turns, self.closed = dict(asked), 0, False
        self.heard: list[dict[str, object]] = []

    def requests(self) -> list[Clients]:
        self.turns += 1
        return [self] if self.turns - 1 in self.messages else []

    @property
    def asked(self) -> Asked | Refused:
        return admitted(self.messages[self.turns - 1], Asker(uid=0, pid=1, rights=ALL))

    taken = True

    def reply(self, answer: dict[str, object], bulk: bytes | None = None) -> None:
        self.heard.append(answer)

    def close(self) -> None:
        self.closed = True


def with_parts(door: Door, **parts: object) -> None:
    door.world = World(
        **{name: getattr(door.world, name) for name in World.__dataclass_fields__} | parts
    )


class Enrolling:
    """A client that asks for an enrolment on one turn, and for the status while it lives."""

    def __init__(self, request: dict[str, object], *, until: float = math.inf) -> None:
        self.request, self.until, self.turn = request, until, 0
        self.heard: list[dict[str, object]] = []
        self.closed = False

    def requests(self) -> list[Enrolling]:
        self.turn += 1
        return [self] if self.turn >= 5 and self.turn % 3 == 2 and self.turn < self.until else []

    @property
    def asked(self) -> Asked | Refused:
        return admitted(self.message, Asker(uid=0, pid=1, rights=ALL))

    @property
    def message(self) -> dict[str, object]:
        if self.turn == 5:
            return self.request
        return {"action": "status", "lease": self.heard[0].get("lease")}

    taken = True

    def reply(self, answer: dict[str, object], bulk: bytes | None = None) -> None:
        self.heard.append(answer)

    def close(self) -> None:
        self.closed = True


class Later:
    """A finder that sees nobody before its time."""

    def __init__(self, finder: fakes.FakeFinder, clock: fakes.FakeClock, since: float) -> None:
        self.finder, self.clock, self.since = finder, clock, since

    def find(self, image: np.ndarray) -> Sequence[Face]:
        return self.finder.find(image) if self.clock.now() >= self.since else ()

    def find_near(self, image: np.ndarray, region: Box) -> Sequence[Face]:
        return self.finder.find_near(image, region) if self.clock.now() >= self.since else ()


@pytest.mark.parametrize(("until", "saved"), [(math.inf, ["dora"]), (20, [])])
def test_the_next_comer_is_not_enrolled_for_a_client_that_has_gone(
    tmp_path: Path, until: float, saved: list[str]
) -> None:
    """The command line was killed while the door waited: nobody is there for 6 s, then a stranger."""
    config = parse({"enrolment": {"references": 3}}, origin="test")
    door = Door(tmp_path, visit([STRANGER] * 160), config)
    object.__setattr__(door.world.line, "finder", Later(turning(100), door.clock, 6.0))
    client = Enrolling({"action": "enroll", "name": "dora"}, until=until)
    with_parts(door, control=client)
    door.run()
    with GalleryStore.open(tmp_path / "state") as store:
        assert [record.person.name for record in store.people()] == saved
    reasons = [e.fields["REASON"] for e in door.audit.events if e.kind is EventKind.ENROLMENT_ABORTED]
    assert reasons == ([] if saved else ["client_gone"])


def test_somebody_enrolled_gets_more_pictures_by_the_camera(tmp_path: Path) -> None:
    """Under the same number, and the door knows them at once."""
    config = parse({"enrolment": {"references": 3}}, origin="test")
    door = Door(tmp_path, visit([ALICE] * 60), config)
    door.enrol("alice", ALICE, admin=True)
    object.__setattr__(door.world.line, "finder", turning(100))
    client = Enrolling({"action": "enroll", "name": "ALICE", "add": True})
    with_parts(door, control=client)
    door.run()
    changed = [e.fields for e in door.audit.events if e.kind is EventKind.REFERENCES_CHANGED]
    assert [(one["PERSON"], one["COUNT"], one["REASON"]) for one in changed] == [("alice", 7, "added")]
    with GalleryStore.open(tmp_path / "state") as store:
        (record,) = store.people()
        assert (record.person.id, record.person.admin, record.references) == (1, True, 7)


def test_two_clients_that_ask_on_one_turn_get_one_enrolment(tmp_path: Path) -> None:
    """The second is told that one is under way, and does not take the first one's person for its own."""
    door = Door(tmp_path, visit([STRANGER] * 10))
    clients = Clients((2, {"action": "enroll", "name": "dora"}))
    both = clients.requests
    clients.requests = lambda: both() * 2  # type: ignore[method-assign]
    with_parts(door, control=clients)
    door.run()
    first, second = clients.heard
    assert "lease" in first
    assert "under way" in str(second["error"])


def test_somebody_removed_just_before_the_last_frame_stays_outside(tmp_path: Path) -> None:
    """Once the client has heard that a person is removed, no frame opens for that person."""
    door = Door(tmp_path, visit([ALICE] * 30))
    door.enrol("alice", ALICE)
    clients = Clients((2, {"action": "remove", "name": "alice"}))
    with_parts(door, control=clients)
    door.run()
    assert clients.heard == [{"name": "alice", "wiped": True}]
    assert door.lock.changes == []


def test_a_request_that_takes_long_is_no_camera_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import of many people makes the loop wait, not the camera: the next frame is a fresh one."""
    door = Door(
        tmp_path, [*visit([STRANGER] * 3), *(frame(n, STRANGER, at=9 + n / RATE) for n in range(3, 6))]
    )
    remove = GalleryStore.remove

    def slowly(store: GalleryStore, name: str) -> object:
        door.clock.advance(9.0)
        return remove(store, name)

    monkeypatch.setattr(GalleryStore, "remove", slowly)
    door.enrol("alice", ALICE)
    with_parts(door, control=Clients((3, {"action": "remove", "name": "alice"})))
    door.run()
    assert EventKind.FAULT not in door.kinds()


def test_a_pin_that_fails_is_told_and_everything_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locking itself raises, now and in the end: the audit says so, and no other part is forgotten."""
    door = Door(tmp_path, visit([ALICE] * 30))
    clients = Clients()
    with_parts(door, control=clients)

    def fail(*_: object) -> None:
        raise GpioError("GPIO17: gone", hint="check the wire")

    monkeypatch.setattr(door.lock, "set", fail)
    monkeypatch.setattr(door.lock, "close", lambda: setattr(door.lock, "closed", True))
    with pytest.raises(GpioError, match="GPIO17"):
        door.run()
    fault = next(event for event in door.audit.events if event.kind is EventKind.FAULT)
    assert fault.fields == {"REASON": "gpio", "HINT": "GPIO17: gone; check the wire"}
    assert door.lock.closed
    assert door.indicator.closed
    assert door.buttons.closed
    assert clients.closed
    assert door.service.messages[-1] == "STOPPING=1"
    GalleryStore.open(tmp_path / "state").close()


def test_images_to_embed_anew_keep_the_start_from_timing_out(tmp_path: Path) -> None:
    """A new model and many people: systemd hears of both sides of every image, and READY only afterwards."""
    door = Door(tmp_path, visit([STRANGER] * 2))
    door.enrol("alice", ALICE)
    door.verifier.model_sha256 = "ab" * 32
    door.run()
    assert door.service.messages[:9] == ["BUSY"] * 8 + ["READY=1"]


def test_a_person_on_disk_is_never_called_unsaved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gallery cannot be read again after the saving: that is a fault, not a failed enrolment."""
    config = parse({"enrolment": {"references": 1, "hold_seconds": 1.0}}, origin="test")
    door = Door(tmp_path, visit([ALICE] * 60), config)
    loaded = GalleryStore.loaded

    def damaged_once_somebody_is_there(store: GalleryStore, *arguments: object) -> object:
        if store.people():
            raise GalleryError("damaged", hint="restore it")
        return loaded(store, *arguments)

    monkeypatch.setattr(GalleryStore, "loaded", damaged_once_somebody_is_there)

    with pytest.raises(GalleryError, match="damaged"):
        door.run(watch=holding(door))
    assert EventKind.ENROLMENT_SAVE_FAILED not in door.kinds()
    assert door.audit.events[-1].fields == {"REASON": "gallery", "HINT": "damaged; restore it"}
    assert door.lock.changes == []


@pytest.mark.parametrize(
    ("flag", "kind"), [("ceiling_fired", EventKind.DOOR_CEILING), ("lapsed", EventKind.DOOR_LAPSED)]
)
def test_an_unlocking_that_the_lock_ended_is_told_once(tmp_path: Path, flag: str, kind: EventKind) -> None:
    """By its ceiling, or because a turn took too long; the next unlocking is another matter."""
    door = Door(tmp_path, visit([ALICE] * 40))
    door.enrol("alice", ALICE)
    marks = {10: True, 20: False, 30: True}

    def watch(turn: loop.Turn) -> None:
        if turn.frame is not None and turn.frame.number in marks:
            setattr(door.lock, flag, marks[turn.frame.number])

    door.run(watch)
    assert door.kinds().count(kind) == 2


def test_forgiven_refusals_are_written_when_the_door_is_locked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes its time must not keep the loop from renewing the lock's lease."""
    door = Door(tmp_path, visit([STRANGER] * 10 + [ALICE] * 100))
    door.enrol("alice", ALICE)
    saved: list[tuple[LockLevel, int]] = []
    monkeypatch.setattr(
        door.store, "save_throttle", lambda throttle: saved.append((door.lock.level, throttle.refusals))
    )
    door.run()
    assert LockLevel.UNLOCKED in {level for _, level in door.lock.changes}
    assert saved[0] == (LockLevel.LOCKED, 1)
    assert (LockLevel.LOCKED, 0) in saved
    assert {level for level, _ in saved} == {LockLevel.LOCKED}


class Says:
    """A liveness network that always says the same of everybody."""

    def __init__(self, alive: float) -> None:
        self.alive = alive

    def look(self, image: Image, box: Box) -> Aliveness:
        return Aliveness(alive=self.alive, screen=-1.0)


def asking(door: Door, alive: float) -> Door:
    """The door asks whether visitors are alive, and its network says so."""
    check = Check(network=Says(alive), threshold=0.0, enrolment_threshold=1.0, seconds=1.0, pictures=5)
    door.world = replace(door.world, line=replace(door.world.line, liveness=check))
    return door


def test_a_living_face_is_granted_once_a_second_has_proven_it(tmp_path: Path) -> None:
    """Three matches are not enough by themselves any more."""
    door = asking(Door(tmp_path, visit([ALICE] * 30)), alive=3.0)
    door.enrol("alice", ALICE)
    unlocked: list[float] = []
    door.run(watch=lambda turn: unlocked.append(turn.now) if turn.outputs.lock is LockLevel.UNLOCKED else None)
    assert 1.0 <= unlocked[0] <= 1.5


@pytest.mark.parametrize(("rate", "seconds"), [(15.0, 1.5), (5.0, 1.5), (1.0, 5.0)])
def test_how_long_a_living_face_waits(tmp_path: Path, rate: float, seconds: float) -> None:
    """A second and a half at 15 frames a second and at 5; a camera of one picture a second needs five looks."""
    door = asking(Door(tmp_path, [frame(n, ALICE, at=n / rate) for n in range(30)]), alive=3.0)
    door.enrol("alice", ALICE)
    unlocked: list[float] = []
    door.run(watch=lambda turn: unlocked.append(turn.now) if turn.outputs.lock is LockLevel.UNLOCKED else None)
    assert unlocked[0] <= seconds


def test_whoever_is_asked_to_turn_is_asked_by_bits_drawn_on_that_turn(tmp_path: Path) -> None:
    """The loop draws anew on every turn, from what nobody can foresee; until the answer is there it stays locked."""
    config = parse({"session": {"required_matches": 3}, "liveness": {"ask": "always"}}, origin="test")
    door = Door(tmp_path, visit([ALICE] * 30), config)
    door.enrol("alice", ALICE)
    draws = itertools.count(7)
    door.world = replace(door.world, draw=lambda: next(draws))
    shown: set[Pattern] = set()
    door.run(watch=lambda turn: shown.add(turn.outputs.pattern))
    assert EventKind.LIVENESS_ASKED in door.kinds()
    assert EventKind.DOOR_UNLOCKED not in door.kinds()
    assert Pattern.LOOK_STRAIGHT in shown
    assert next(draws) > 7 + 29
    assert len({World.__dataclass_fields__["draw"].default() for _ in range(5)}) == 5


@pytest.mark.parametrize("measures", [False, True])
def test_how_far_a_head_is_turned_is_measured_where_somebody_may_be_asked_only(tmp_path: Path, measures: bool) -> None:
    """On every other door it would be work on each frame that decides nothing."""
    door = Door(tmp_path, visit([ALICE] * 3))
    door.world = replace(door.world, line=replace(door.world.line, measures_turns=measures))
    seen = []
    door.run(watch=lambda turn: seen.append(turn.observation))
    assert {one.parallax is not None for one in seen if isinstance(one, Judged)} == {measures}


def test_a_picture_of_somebody_enrolled_is_refused_and_unlocks_nothing(tmp_path: Path) -> None:
    """However often it matches; the refusal says why, and counts like a stranger's."""
    door = asking(Door(tmp_path, visit([ALICE] * 60), IMPATIENT), alive=-3.0)
    door.enrol("alice", ALICE)
    door.run()
    refused = [event for event in door.audit.events if event.kind is EventKind.VISIT_REFUSED]
    assert {event.fields["REASON"] for event in refused} == {"flat"}
    assert EventKind.DOOR_UNLOCKED not in door.kinds()


def test_a_picture_is_not_enrolled_and_a_living_face_is(tmp_path: Path) -> None:
    """By the button: nothing is kept of what is not proven alive, and the audit says what was proven."""
    config = parse({"liveness": {"level": "basic"}, "enrolment": {"hold_seconds": 1.0, "references": 3}}, origin="test")
    kinds = {}
    for alive in (0.5, 3.0):  # the first would do for the door, not for an enrolment
        door = asking(Door(tmp_path / str(alive), visit([ALICE] * 120), config), alive)
        door.world = replace(door.world, line=replace(door.world.line, finder=turning(120)))
        door.run(watch=holding(door))
        kinds[alive] = door.kinds()
        saved = [event for event in door.audit.events if event.kind is EventKind.ENROLMENT_SAVED]
        assert [event.fields["LIVENESS"] for event in saved] == ["proven"] * (alive > 1)
    assert EventKind.ENROLMENT_PROGRESS not in kinds[0.5]


def test_nobody_is_judged_before_another_camera_is_trusted(tmp_path: Path) -> None:
    """And that it is trusted is remembered once, when the time is over."""
    door = Door(tmp_path, visit([ALICE] * 60))
    door.enrol("alice", ALICE)
    trusted: list[float] = []
    door.world = replace(door.world, trust=Trust(3.0, lambda: trusted.append(door.clock.now())))
    unlocked: list[float] = []
    door.run(watch=lambda turn: unlocked.append(turn.now) if turn.outputs.lock is LockLevel.UNLOCKED else None)
    assert unlocked[0] >= 3.0
    assert trusted == [3.0]


def test_a_picture_that_hangs_in_view_is_one_event_and_stands_in_the_status(tmp_path: Path) -> None:
    """A minute after its visit has ended; not again while it hangs there."""
    door = Door(tmp_path, visit([STRANGER] * 700))
    door.enrol("alice", ALICE)
    object.__setattr__(door.world.line, "finder", fakes.FakeFinder(*[(FACE,)] * 4000))
    clients = Clients((100, {"action": "status"}), (690, {"action": "status"}))
    with_parts(door, control=clients)
    door.run()
    assert door.kinds().count(EventKind.STILL_FACE) == 1
    assert door.kinds().count(EventKind.VISIT_REFUSED) == 1
    assert [reply["still_faces"] for reply in clients.heard] == [0, 1]


class Replugged:
    """A camera that fails after its frames, and delivers others once it is opened again."""

    def __init__(self, clock: fakes.FakeClock, *scripts: list[Frame | Exception]) -> None:
        self.clock, self.scripts, self.opened = clock, list(scripts), 0
        self.script = iter(self.scripts.pop(0))

    def reopen(self) -> None:
        self.opened += 1
        self.script = iter(self.scripts.pop(0))

    def next(self, timeout_seconds: float) -> Frame | None:
        item = next(self.script, None)
        if isinstance(item, Exception):
            raise item
        if item is None and not self.scripts:
            raise EndOfFrames
        if item is None:
            self.clock.advance(timeout_seconds)
        else:
            self.clock.advance_to(item.captured)
        return item

    def close(self) -> None: ...


def test_a_camera_that_is_opened_again_lets_in_and_the_process_goes_on(tmp_path: Path) -> None:
    """Meanwhile the watchdog is fed, the siren sounds for a forced door, and whoever leaves is let out."""
    config = parse(
        {
            "session": {"required_matches": 3},
            "inputs": {"contact_pin": 5, "exit_pin": 6},
            "exit": {"action": "unlock"},
        },
        origin="test",
    )
    door = Door(tmp_path, [], config)
    door.enrol("alice", ALICE)
    later = [frame(number, ALICE, at=3 + number / RATE) for number in range(10, 40)]
    camera = Replugged(door.clock, [frame(0, STRANGER), CameraError("unplugged")], later)
    wires = fakes.FakeSite(door.clock)
    with_parts(door, frames=camera, reopen=camera.reopen, site=wires)
    wires.put(Wire.CONTACT, False)
    wires.put(Wire.EXIT, False)
    levels, sirens = [], []

    def watch(turn: loop.Turn) -> None:
        levels.append(door.lock.level)
        sirens.append(wires.sounding)
        if len(levels) == 4:
            wires.put(Wire.EXIT, True)
        if len(levels) == 6:
            wires.put(Wire.CONTACT, True)

    door.run(watch=watch)
    kinds = door.kinds()
    assert camera.opened == 1
    assert levels[4] is LockLevel.UNLOCKED
    order = [EventKind.FAULT, EventKind.EXIT_REQUESTED, EventKind.DOOR_OPENED, EventKind.CAMERA_RECOVERED]
    assert [kind for kind in kinds if kind in order] == order
    assert EventKind.VISIT_GRANTED in kinds[kinds.index(EventKind.CAMERA_RECOVERED) :]
    assert door.service.messages.count("WATCHDOG=1") == len(levels) - 1
    assert not any(sirens)
    assert wires.closed


def test_a_camera_given_up_ends_the_process_with_its_own_words(tmp_path: Path) -> None:
    config = parse({"camera": {"reopen_attempts": 1, "reopen_pause_seconds": 0.1}}, origin="test")
    door = Door(tmp_path, [], config)
    gone: list[Frame | Exception] = [CameraError("unplugged")]
    camera = Replugged(door.clock, [frame(0, STRANGER), *gone], gone, [])
    with_parts(door, frames=camera, reopen=camera.reopen)
    with pytest.raises(CameraError, match="unplugged"):
        door.run()
    assert door.lock.closed


def test_a_lapse_of_free_passage_is_told_and_it_begins_anew(tmp_path: Path) -> None:
    """The keeper wants to hear LOCKED before it grants another lease."""
    door = Door(tmp_path, visit([STRANGER] * 12))
    with_parts(door, control=Clients((2, {"action": "mode", "mode": "free", "seconds": 60})))

    def watch(turn: loop.Turn) -> None:
        if turn.frame is not None and turn.frame.number in (5, 6):
            door.lock.lapsed = turn.frame.number == 5

    door.run(watch=watch)
    free, locked = LockLevel.FREE, LockLevel.LOCKED
    assert [level for _, level in door.lock.changes] == [free, locked, free, locked]
    assert door.kinds().count(EventKind.DOOR_LAPSED) == 1


class Disk:
    """Where a lockdown is written down, or cannot be."""

    def __init__(self, lock: fakes.FakeLock, *, full: bool = False) -> None:
        self.lock, self.full = lock, full
        self.saved: list[tuple[bool, LockLevel]] = []

    def load(self) -> bool:
        return bool(self.saved and self.saved[-1][0])

    def save(self, lockdown: bool) -> None:
        self.saved.append((lockdown, self.lock.level))
        if self.full:
            raise GalleryError("lockdown: no space", hint="df")


@pytest.mark.parametrize("full", [False, True])
def test_a_lockdown_is_written_before_it_is_obeyed_and_obeyed_even_if_it_cannot_be(tmp_path: Path, full: bool) -> None:
    door = Door(tmp_path, visit([ALICE] * 60))
    door.enrol("alice", ALICE)
    modes = Disk(door.lock, full=full)
    clients = Clients((5, {"action": "mode", "mode": "lockdown"}))
    with_parts(door, control=clients, modes=modes)
    door.run()
    assert modes.saved == [(True, LockLevel.UNLOCKED)]
    assert door.lock.changes[-1][0] < 1.0
    assert ("error" in clients.heard[0]) == full
    assert (EventKind.MODE_NOT_SAVED in door.kinds()) == full
    assert [e.fields["VALUE"] for e in door.audit.events if e.kind is EventKind.CONTROL_REQUEST] == ["lockdown"]
    again = Door(tmp_path, visit([ALICE] * 20))
    with_parts(again, modes=modes)
    again.run()
    assert again.lock.changes == []
