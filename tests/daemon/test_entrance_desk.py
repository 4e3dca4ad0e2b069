"""Readers, clocks and hashes around the machines: what the loop's desk for them does when things break."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facelatch.adapters import fakes
from facelatch.adapters.readers.hid import HidReader
from facelatch.adapters.readers.wiegand import BUFFER, WiegandReader
from facelatch.app import loop
from facelatch.app.build_entrance import build_entrance, reader_openers
from facelatch.app.capture import EachFrame
from facelatch.app.entrance import AGAIN_SECONDS, EntranceDesk
from facelatch.app.free_hours import FreeHours
from facelatch.app.guests import LOOK_SECONDS, SETTLED_SECONDS, Guests
from facelatch.app.world import World
from facelatch.audit.events import EventKind
from facelatch.config.file import Config, parse
from facelatch.diagnosis import hours
from facelatch.diagnosis.wiring import drawing
from facelatch.errors import ConfigError, FacelatchError, GpioError
from facelatch.gallery import credentials
from facelatch.gallery.credentials import Hashed, Hasher, Pins, device_hasher
from facelatch.gallery.store import GalleryStore
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.site import mode
from facelatch.values.hours import Access, LocalTime, Schedules, Window
from facelatch.values.observations import Thresholds
from facelatch.values.pictures import Box, Face, Frame, Pose
from facelatch.values.readers import Check, Checked, Pulse, Result, Signal, Stroke
from facelatch.values.records import NewPerson, Reference
from facelatch.values.wires import LockLevel
from facelatch.vision.align import TEMPLATE

REPO = Path(__file__).resolve().parents[2]
TODAY = date(2026, 11, 30)
HASHER = Hasher(b"k" * 32)


class FakeWall:
    def __init__(self) -> None:
        self.time = LocalTime(day=TODAY, minute=600, trusted=True)

    def local_time(self) -> LocalTime:
        return self.time


class FakeReader:
    def __init__(self, script: list[Sequence[Signal] | OSError]) -> None:
        self.script, self.closed = script, False

    def signals(self) -> Sequence[Signal]:
        item = self.script.pop(0) if self.script else ()
        if isinstance(item, OSError):
            raise item
        return item

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(credentials, "TIME_COST", 1)
    monkeypatch.setattr(credentials, "MEMORY_KIB", 8)
    made = SimpleNamespace(
        store=GalleryStore.in_memory(), audit=fakes.FakeAudit(), clock=fakes.FakeClock(100.0), wall=FakeWall()
    )
    made.desk = lambda **openers: EntranceDesk(
        store=made.store,
        audit=made.audit,
        clock=made.clock,
        wall=made.wall,
        schedules=Schedules(),
        openers=openers,
        hasher=lambda: HASHER,
        guests=Guests(3),
    )
    return made


def add(store: GalleryStore, name: str, access: Access | None = None) -> None:
    verifier = fakes.FakeVerifier()
    crop = np.full((112, 112, 3), 90, np.uint8)
    reference = Reference(crop, verifier.embed(crop), Pose(0, 0, 0))
    store.add(NewPerson(name, False, (reference,), access or Access()), verifier.model_sha256)


def loaded(world: Any) -> Any:
    return world.store.loaded(fakes.FakeVerifier.model_sha256)


def answers(desk: EntranceDesk, gallery: Any) -> list[Checked]:
    """The next answers; a PIN takes a moment on its thread."""
    for _ in range(10_000):
        if found := desk.inputs(gallery).checked:
            return list(found)
        for _, future in desk._answers:
            future.exception(timeout=10)
    return []


def test_a_pin_is_compared_with_that_persons_only_and_a_card_is_looked_up(world: Any) -> None:
    add(world.store, "ada")
    add(world.store, "ben")
    pins = Pins(pin=HASHER.pin("493817"), duress=HASHER.pin("820561"))
    credentials.set_credentials(world.store, "ada", Hashed(pins=pins, card=HASHER.card("4711")))
    desk, gallery = world.desk(), loaded(world)

    def said(code: str, person: int | None) -> Checked:
        desk.check([Check(7, code, person)])
        (answer,) = answers(desk, gallery)
        assert answer.serial == 7
        return answer

    assert said("493817", 1).result is Result.RIGHT
    assert said("820561", 1).result is Result.DURESS
    assert said("111222", 1).result is Result.WRONG
    assert said("493817", 2).result is Result.WRONG
    assert said("4711", None) == Checked(serial=7, result=Result.WRONG, holder=1, card=True)
    assert said("4712", None).holder is None
    assert said("493817", None).holder is None, "a PIN is no card"
    desk.close()


def test_what_cannot_be_checked_is_failed_and_said_without_the_pin(world: Any) -> None:
    add(world.store, "ada")
    credentials.set_credentials(world.store, "ada", Hashed(pins=Pins(pin="$argon2id$damaged")))
    desk = world.desk()
    desk.check([Check(1, "493817", 1)])
    assert answers(desk, loaded(world))[0].result is Result.FAILED
    (told,) = world.audit.events
    assert (told.kind, told.fields["REASON"]) == (EventKind.FAULT, "factor_not_checked")
    assert "493817" not in repr(told)
    desk.close()


def test_without_its_key_nothing_passes(world: Any) -> None:
    def lost() -> Hasher:
        raise FacelatchError("no key", hint="set all PINs again")

    desk = EntranceDesk(
        store=world.store, audit=world.audit, clock=world.clock, wall=world.wall, schedules=Schedules(), openers={},
        hasher=lost, guests=Guests(3),
    )  # fmt: skip
    desk.check([Check(1, "1", 1), Check(2, "1", None)])
    assert [one.result for one in answers(desk, loaded(world))] == [Result.FAILED] * 2


def test_a_reader_that_is_gone_is_said_once_and_tried_again(world: Any) -> None:
    """Unplugged, missing when tried again, plugged in: everything else goes on meanwhile."""
    stroke = Stroke(device="keypad", symbol="1", at=1.0)
    first, second = FakeReader([[stroke], OSError("gone")]), FakeReader([[stroke]])
    script: list[FakeReader | Exception] = [first, GpioError("missing", hint="plug it in"), second]

    def opened() -> FakeReader:
        item = script.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    desk, gallery = world.desk(hid_keypad=opened), loaded(world)
    assert desk.inputs(gallery).signals == (stroke,)
    assert desk.inputs(gallery).signals == ()
    assert first.closed
    for _ in range(25):
        world.clock.advance(1.0)
        desk.inputs(gallery)
    told = [event.kind for event in world.audit.events]
    assert told == [EventKind.READER_LOST, EventKind.READER_BACK]
    assert AGAIN_SECONDS * 2 < 25
    desk.close()
    assert second.closed


def test_the_clock_is_looked_at_only_for_people_with_hours(world: Any) -> None:
    add(world.store, "ada")
    assert world.desk().inputs(loaded(world)).time is None
    credentials.set_access(world.store, "ada", {"schedule": "office"})
    assert world.desk().inputs(loaded(world)).time == world.wall.time


def test_a_face_and_a_pin_open_a_whole_door(tmp_path: Path, world: Any) -> None:
    """The real loop, machines, gallery and hashes; the frames go on while the PIN is compared."""
    config = parse(
        {
            "session": {"required_matches": 3},
            "storage": {"state_directory": str(tmp_path)},
            "factors": {"rule": "face+pin", "hid_keypad": "/dev/keypad"},
        },
        origin="test",
    )
    verifier, clock, audit = fakes.FakeVerifier(), fakes.FakeClock(), fakes.FakeAudit()
    store = GalleryStore.open(tmp_path)
    crop = np.full((112, 112, 3), (200, 90, 60), np.uint8)
    reference = Reference(crop, verifier.embed(crop), Pose(0, 0, 0))
    store.add(NewPerson("ada", False, (reference,) * 4), verifier.model_sha256)
    hasher = device_hasher(tmp_path, create=True)
    credentials.set_credentials(store, "ada", Hashed(pins=Pins(pin=hasher.pin("493817"))))
    keys = [Stroke(device="keypad", symbol=symbol, at=0.0) for symbol in "493817#"]
    reader, lock = FakeReader([()] * 10 + [keys]), fakes.FakeLock(clock)
    desk = EntranceDesk(
        store=store, audit=audit, clock=clock, wall=world.wall, schedules=Schedules(),
        openers={"hid_keypad": lambda: reader}, hasher=lambda: hasher, guests=Guests(0),
    )  # fmt: skip

    def watch(turn: loop.Turn) -> None:
        for _, future in desk._answers:
            future.result(timeout=10)  # so that the answer is there on the next turn

    landmarks = (TEMPLATE + np.array([100, 60])).astype(np.float32)
    faces = [(Face(Box(100 + n % 3, 60, 112, 112), landmarks + np.float32([n % 3 * 9, 0]), 0.9),) for n in range(60)]
    line = Line(
        finder=fakes.FakeFinder(*faces), verifier=verifier, quality=config.quality, similar_size_ratio=0.6, pace=Pace(),
        thresholds=Thresholds(detection=0.5, verification=0.6, ambiguity_margin=0.2),
    )  # fmt: skip
    noise = np.random.default_rng(1).integers(-50, 51, (60, 240, 320, 1), dtype=np.int16)
    pictures = [np.clip(np.array((200, 90, 60), np.int16) + one, 0, 255).astype(np.uint8) for one in noise]
    frames = [Frame(image, image, n / 10, n) for n, image in enumerate(pictures)]
    made = World(
        clock=clock, frames=EachFrame(fakes.FakeCamera([*frames, None]), clock), line=line, store=store, lock=lock,
        indicator=fakes.FakeIndicator(), buttons=fakes.FakeButtons(clock), audit=audit,
        service=fakes.FakeServiceManager(), entrance=desk,
    )  # fmt: skip
    loop.run(made, config, watch=watch)
    assert [level for _, level in lock.changes][:2] == [LockLevel.UNLOCKED, LockLevel.LOCKED]
    assert lock.changes[0][0] >= 1.0, "not by the face"
    told = [event.kind for event in audit.events]
    steps = [EventKind.FACTOR_AWAITED, EventKind.FACTOR_ACCEPTED, EventKind.DOOR_UNLOCKED]
    assert [kind for kind in told if kind in steps] == steps
    assert reader.closed


# ---- Free passage


def test_free_passage_by_schedule_has_one_end_whatever_the_clock_does(world: Any) -> None:
    """It ends when the clock on the wall said so at its beginning, and does not begin without a trusted clock."""
    shop = Schedules(windows={"shop": (Window(frozenset(range(7)), 540, 600), Window(frozenset(range(7)), 1380, 60))})
    free = FreeHours("shop", after_first=True)

    def at(minute: int, now: float, *, trusted: bool = True, second: float = 0.0) -> mode.Window | None:
        return free.window(shop, LocalTime(day=TODAY, minute=minute, trusted=trusted, second=second), now)

    assert at(539, 0.0) is None
    assert at(545, 0.0, trusted=False) is None
    begun = at(540, 100.0, second=30.0)
    assert begun == mode.Window(until=100.0 + 59.5 * 60, after_first=True)
    assert at(550, 700.0) is begun
    assert at(541, 900.0) is begun, "a clock that is set back makes it no longer"
    assert at(600, 3800.0) is None
    night = at(1439, 10_000.0)
    assert night is not None
    assert night.until == 10_000.0 + 61 * 60
    assert at(30, 12_000.0) is night
    assert FreeHours("", after_first=False).window(shop, LocalTime(TODAY, 545, trusted=True), 0.0) is None


def test_a_schedule_of_free_passage_that_is_not_there_is_told(tmp_path: Path, world: Any) -> None:
    config = configured(tmp_path)
    config = config.model_copy(update={"mode": config.mode.model_copy(update={"free_schedule": "gone"})})
    with pytest.raises(ConfigError, match=r"mode\.free_schedule = 'gone': not in"):
        build_entrance(config, world.store, world.clock, world.audit)
    with pytest.raises(ConfigError, match=r"mode\.free_schedule = 'gone': not in"):
        hours.schedules(config, [])


# ---- Guests


def days_of(world: Any, guests: Guests, *steps: tuple[float, LocalTime]) -> list[str]:
    """What is told while the clocks go on by `(seconds, time on the wall)`."""
    for seconds, time in steps:
        world.clock.advance(seconds)
        guests.look(world.store, world.audit, time, world.clock.now())
    return [f"{event.kind} {event.fields.get('DAYS_LEFT', '')}".strip() for event in world.audit.events]


def on(day: int, *, trusted: bool = True) -> LocalTime:
    return LocalTime(day=date(2026, 12, day), minute=600, trusted=trusted)


def test_a_guest_is_told_before_and_forgotten_after(world: Any) -> None:
    add(world.store, "guest", Access(valid_until=date(2026, 12, 10), forget=True))
    add(world.store, "other", Access(valid_until=date(2026, 12, 10)))
    steps = [(LOOK_SECONDS, on(7)), (LOOK_SECONDS, on(8)), (LOOK_SECONDS, on(8)), (90_000.0, on(10))]
    told = days_of(world, Guests(3), *steps, (LOOK_SECONDS, on(11)))
    assert told == ["access.expiring 2"] * 2 + ["access.expiring 0"] * 2 + ["access.expired"]
    assert [record.person.name for record in world.store.people()] == ["other"]


def test_a_clock_that_is_not_trusted_or_has_just_jumped_forgets_nobody(world: Any) -> None:
    add(world.store, "guest", Access(valid_until=date(2026, 12, 1), forget=True))
    days_of(world, Guests(0), (0.0, on(2, trusted=False)), (SETTLED_SECONDS * 2, on(2, trusted=False)), (0.0, on(9)))
    assert len(world.store.people()) == 1, "an hour has to pass first"
    days_of(world, Guests(0), (0.0, on(9)), (SETTLED_SECONDS, on(9)))
    assert world.store.people() == []


def test_nothing_is_said_where_that_is_not_wanted(world: Any) -> None:
    add(world.store, "guest", Access(valid_until=date(2026, 12, 10)))
    assert days_of(world, Guests(0), (LOOK_SECONDS, on(10)), (LOOK_SECONDS, on(20))) == []


# ---- Adapters


class FakeGpiod:
    """The part of gpiod 2 that is used; `script` holds the edges that are waiting, some at a time."""

    line = SimpleNamespace(
        Direction=SimpleNamespace(INPUT="in"),
        Edge=SimpleNamespace(FALLING="falling"),
        Bias=SimpleNamespace(PULL_UP="up"),
        Clock=SimpleNamespace(MONOTONIC="monotonic"),
    )

    def __init__(self, script: list[list[tuple[int, int, int]]]) -> None:
        self.script, self.asked, self.released = script, list[Any](), False

    def LineSettings(self, **settings: Any) -> dict[str, Any]:  # noqa: N802
        return settings

    def request_lines(self, path: str, **how: Any) -> FakeGpiod:
        self.asked.append((path, how))
        return self

    def wait_edge_events(self, timeout: Any) -> bool:
        assert timeout.total_seconds() == 0
        return bool(self.script)

    def read_edge_events(self, most: int) -> list[Any]:
        return [
            SimpleNamespace(line_offset=pin, timestamp_ns=at, global_seqno=number)
            for pin, at, number in self.script.pop(0)
        ]

    def release(self) -> None:
        self.released = True


def test_both_wiegand_lines_are_one_request_of_falling_edges_with_a_large_buffer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpiod = FakeGpiod([[(6, 1_000_000_000, 1)], [(5, 1_002_000_000, 2)]])
    monkeypatch.setattr("facelatch.adapters.readers.wiegand._import_gpiod", lambda: gpiod)
    monkeypatch.setattr("facelatch.adapters.readers.wiegand.header_chip", lambda _gpiod: Path("/dev/gpiochip0"))
    reader = WiegandReader(parse({"factors": {"wiegand_pins": [5, 6]}}, origin="test").factors)
    ((_, how),) = gpiod.asked
    assert how["event_buffer_size"] == BUFFER == 1024
    ((lines, settings),) = how["config"].items()
    assert (lines, settings["edge_detection"]) == ((5, 6), "falling")
    assert reader.signals() == [Pulse(line=1, at=1.0, number=1), Pulse(line=0, at=1.002, number=2)]
    assert reader.signals() == []
    reader.close()
    assert gpiod.released


def test_a_usb_device_is_grabbed_and_its_keys_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    evdev = pytest.importorskip("evdev")
    codes, grabbed = evdev.ecodes, list[bool]()

    def event(kind: int, code: int, value: int = 1) -> Any:
        return SimpleNamespace(type=kind, code=code, value=value)

    script = [
        event(codes.EV_KEY, codes.KEY_4), event(codes.EV_KEY, codes.KEY_4, 0), event(codes.EV_KEY, codes.KEY_KP2),
        event(codes.EV_SYN, codes.SYN_DROPPED), event(codes.EV_KEY, codes.KEY_MUTE),
        event(codes.EV_KEY, codes.KEY_ENTER),
    ]  # fmt: skip
    device = SimpleNamespace(
        grab=lambda: grabbed.append(True), ungrab=lambda: None, close=lambda: None,
        read_one=lambda: script.pop(0) if script else None,
    )  # fmt: skip
    monkeypatch.setattr(evdev, "InputDevice", lambda path: device)
    reader = HidReader("/dev/input/by-id/keypad", "keypad")
    assert [stroke.symbol for stroke in reader.signals()] == ["4", "2", "", "#"]
    assert grabbed == [True]
    assert reader.signals() == []


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({"factors": {"rule": "face+pin"}}, "factors: rule = 'face\\+pin' needs a keypad"),
        ({"factors": {"rule": "face+card", "hid_keypad": "/dev/x"}}, "needs a card reader"),
        ({"factors": {"without_camera": "card+pin", "hid_keypad": "/dev/x"}}, "without_camera .* needs a card reader"),
        ({"factors": {"wiegand_pins": [5]}}, "two different pins"),
        ({"factors": {"wiegand_pins": [14, 5]}}, "serial console"),
        ({"factors": {"wiegand_pins": [5, 27]}}, "a pin of its own"),
        ({"factors": {"hid_keypad": "/dev/x", "hid_card_reader": "/dev/x"}}, "must be two devices"),
    ],
)
def test_readers_that_cannot_be_are_told(section: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        parse(section, origin="test")


def test_a_door_without_these_keys_opens_no_reader_and_imports_no_library(tmp_path: Path) -> None:
    assert reader_openers(Config()) == {}
    program = (
        "import sys; from facelatch.app import build_entrance, loop, run; from facelatch.config.file import Config\n"
        "from facelatch.adapters import fakes; from facelatch.gallery.store import GalleryStore\n"
        "desk = build_entrance.build_entrance(Config(), GalleryStore.in_memory(), fakes.FakeClock(), None)\n"
        "print(*[name for name in ('gpiod', 'evdev', 'argon2') if name in sys.modules])"
    )
    environment = {"PYTHONPATH": str(REPO / "daemon")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == []


# ---- What check says


def configured(tmp_path: Path, text: str = "", **factors: Any) -> Config:
    file = tmp_path / "schedules.toml"
    file.write_text(text or '[schedules.office]\nwindows = [{ days = ["daily"], from = "00:00", to = "24:00" }]\n')
    sections = {"schedule": {"file": str(file), "clock": "assumed"}, "factors": factors}
    return parse(sections, origin="test")


def test_check_names_a_schedule_that_is_missing_and_a_clock_that_was_never_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path)
    ada = {"name": "ada", "access": {"schedule": "office"}}
    assert hours.schedules(config, [ada]) == "1 schedules, 1 people with hours, the clock is trusted"
    with pytest.raises(ConfigError, match="ada has the schedule 'nights', which is not in"):
        hours.schedules(config, [{"name": "ada", "access": {"schedule": "nights"}}])
    monkeypatch.setattr("facelatch.adapters.system.wall.wall_clock_is_set", lambda *, assumed: assumed)
    checked = config.model_copy(update={"schedule": config.schedule.model_copy(update={"clock": "checked"})})
    with pytest.raises(FacelatchError, match="1 people with a schedule or a date are refused"):
        hours.schedules(checked, [ada])
    assert hours.schedules(checked, []).endswith("the clock is not trusted")
    faulty = configured(tmp_path, 'schedules.s.windows = [{ days = ["mon"], from = "01:00", to = "25:00" }]')
    with pytest.raises(ConfigError, match="to = '25:00'"):
        hours.schedules(faulty, [])


def test_check_says_how_readers_are_wired_and_opens_them(tmp_path: Path) -> None:
    assert hours.readers(Config(), open_them=True) == "no keypad and no card reader"
    config = configured(tmp_path, wiegand_pins=[5, 6], rule="face+pin")
    expected = "wiegand: DATA0 on GPIO 5, DATA1 on GPIO 6; asks for face+pin"
    assert "pin 29  GPIO  5 <- wiegand: DATA0 is the first of factors.wiegand_pins; 3.3 V at most" in drawing(config)
    assert hours.readers(config, open_them=False) == expected
    with pytest.raises(GpioError, match=r"factors\.hid_keypad: "):
        hours.readers(configured(tmp_path, hid_keypad=str(tmp_path / "none")), open_them=True)


def test_the_desk_is_built_from_the_configuration(tmp_path: Path, world: Any) -> None:
    config = configured(tmp_path)
    desk = build_entrance(config, world.store, world.clock, world.audit)
    assert set(desk.schedules.windows) == {"office"}
    assert replace(desk.inputs(loaded(world)), people={}).access == {}


