"""What the camera sees, for whoever aims it: who is given it, when, how much of it, and what is not in it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sightings import judged
from test_loop import ALICE, FACE, Door, frame

from facelatch.adapters.fakes import FakeCamera
from facelatch.api import aim, parsing, rights
from facelatch.api.aim import Preview
from facelatch.api.aim_requests import Aim as AimRequest
from facelatch.api.aim_requests import Preview as PreviewRequest
from facelatch.api.intake import Asked, Refused, admitted, intake
from facelatch.api.rights import ALL, Asker, policy
from facelatch.app.capture import EachFrame
from facelatch.config.file import Config, parse
from facelatch.config.service import ControlConfig, Right
from facelatch.control.client import ControlClient
from facelatch.control.server import ControlServer
from facelatch.errors import InputError
from facelatch.line.background import Background, Still
from facelatch.machines.aiming import AIM_SECONDS, Aim, Aiming
from facelatch.values.observations import NoFace, Reason, SeveralFaces, Unusable, Verdict
from facelatch.values.pictures import Box, Face, Frame
from facelatch.values.records import Person
from facelatch.vision import preview

ROOT = Asker(uid=0, pid=1, rights=ALL)
CONSOLE = Asker(uid=990, pid=2, rights=frozenset({"status", "preview", "acts_for"}), actor="alice")
ARMED = Aiming(until=100.0 + AIM_SECONDS, since=100.0, origin="button")
SEEN = judged(Verdict(reason=Reason.MATCHED, person=Person(7, "Anna"), share=1.0, detections=8, references=8))
LOOK = PreviewRequest(action="preview")
LIMITS = Config().quality


def picture(number: int = 0) -> Frame:
    return frame(number, ALICE)


def armed(now: float = 100.0) -> Preview:
    """One that has made a picture, because somebody asked."""
    made = Preview(LIMITS)
    made.allow(ARMED)
    made.look(LOOK, CONSOLE, now)
    made.see(picture(), Unusable(Reason.TOO_SMALL, FACE), Background(), now)
    return made


# What is shown


def test_a_picture_is_a_small_jpeg_with_the_face_marked_and_every_limit_beside_it() -> None:
    found = preview.shown(picture(), FACE, None, LIMITS)
    image = cv2.imdecode(np.frombuffer(found.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (240, 320, 3)
    assert found.values["size"] == [320, 240]
    assert found.values["box"] == [100, 60, 112, 112]
    assert len(found.values["landmarks"]) == 5
    names = [one["name"] for one in found.values["limits"]]
    expected = ["cut_off", "eye_distance_px", "yaw", "pitch", "roll", "brightness", "contrast", "sharpness"]
    assert names == expected
    assert found.values["reach"] == pytest.approx(35.2 / LIMITS.min_eye_distance_px, rel=0.05)


def test_a_large_frame_is_made_small_and_its_face_moved_with_it() -> None:
    large = np.zeros((960, 1280, 3), np.uint8)
    face = Face(Box(400, 240, 448, 448), FACE.landmarks * np.float32(4), 0.9)
    found = preview.shown(Frame(large, large, 0.0, 0), face, Reason.TOO_DARK, LIMITS)
    assert found.values["size"] == [320, 240]
    assert found.values["box"] == [100, 60, 112, 112]
    assert found.values["reason"] == "too_dark"
    assert [one["name"] for one in found.values["limits"] if one["reason"] == "too_dark"] == ["brightness"]
    assert large.max() == 0, "what the line sees has nothing drawn into it"


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_of_a_face_that_does_not_stand_upright_only_that_is_told(turn: int) -> None:
    reason = Reason.UPSIDE_DOWN if turn == 180 else Reason.SIDEWAYS
    found = preview.shown(picture(), replace(FACE, turn=turn), reason, LIMITS)
    assert (found.values["reason"], found.values["limits"], found.values["reach"]) == (reason.value, [], None)


def test_the_worst_picture_stays_under_the_limit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    found = preview.shown(Frame(noise, noise, 0.0, 0), None, Reason.NO_FACE, LIMITS)
    assert 0 < len(found.jpeg) <= preview.MOST_BYTES


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)


@pytest.mark.slow
@given(st.lists(NUMBERS, min_size=14, max_size=14), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=50)
def test_no_face_and_no_frame_breaks_it_and_what_it_says_is_json(numbers: list[float], high: int, wide: int) -> None:
    image = np.zeros((high, wide, 3), np.uint8)
    points = np.array(numbers[4:], np.float32).reshape(5, 2)
    found = preview.shown(Frame(image, image, 0.0, 0), Face(Box(*numbers[:4]), points, 0.5), None, LIMITS)
    json.dumps(found.values, allow_nan=False)


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(reason=Reason.MATCHED, person=Person(7, "Anna"), share=1.0, detections=8, references=8),
        Verdict(reason=Reason.NOT_RECOGNISED),
        Verdict(reason=Reason.TOO_FEW_DETECTIONS, person=Person(7, "Anna"), share=0.1, detections=1, references=8),
    ],
)
def test_nothing_tells_who_it_is_or_whether_anybody_was_recognised(verdict: Verdict) -> None:
    """The same picture with any verdict is the same to the last byte."""
    made, other = Preview(LIMITS), Preview(LIMITS)
    answers = []
    for one, seen in ((made, judged(verdict)), (other, SEEN)):
        one.allow(ARMED)
        one.look(LOOK, CONSOLE, 100.0)
        one.see(picture(), seen, Background(), 100.0)
        answers.append(one.look(LOOK, CONSOLE, 100.1))
    assert answers[0].reply == answers[1].reply
    assert answers[0].bulk == answers[1].bulk
    assert "Anna" not in json.dumps(answers[0].reply)


def test_whoever_stands_still_after_a_visit_is_still_shown() -> None:
    """The line leaves them out, but an installer who aims the camera stands still."""
    made = armed()
    still = Background(faces=(Still(track=1, face=FACE, since=99.0, seen=101.0),))
    made.see(picture(), NoFace(), still, 101.0)
    assert made.look(LOOK, CONSOLE, 101.0).reply["box"] is not None
    made.see(picture(), SeveralFaces(2), still, 102.0)
    assert made.look(LOOK, CONSOLE, 102.0).reply["reason"] == "several_faces"


def test_a_fault_in_making_the_picture_is_no_fault_of_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_given: object) -> None:
        raise RuntimeError

    made = armed()
    monkeypatch.setattr(preview, "shown", broken)
    made.see(picture(), NoFace(), Background(), 101.0)
    assert made.look(LOOK, CONSOLE, 101.0).bulk is None


# When it is shown


def test_unarmed_there_is_no_picture_and_none_is_made() -> None:
    made = Preview(LIMITS)
    made.see(picture(), NoFace(), Background(), 100.0)
    answer = made.look(LOOK, ROOT, 100.0)
    assert answer.bulk is None
    assert (answer.reply["armed"], answer.reply["number"], answer.reply["limits"]) == (False, 0, [])
    assert not answer.events


@pytest.mark.slow
def test_no_picture_is_made_while_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    made, calls = Preview(LIMITS), []
    monkeypatch.setattr(preview, "shown", lambda *given: calls.append(given) or preview.Shown(jpeg=b"x", values={}))
    made.allow(ARMED)
    for turn in range(100):
        made.see(picture(), NoFace(), Background(), 100.0 + turn * 0.1)
    assert not calls
    made.look(LOOK, CONSOLE, 110.0)
    for turn in range(100):
        made.see(picture(), NoFace(), Background(), 110.0 + turn * 0.05)
    assert 8 <= len(calls) <= 11, "five a second, for two seconds"


def test_after_the_end_there_is_none_whatever_was_made_before() -> None:
    """By the clock as well as by the machine, which hears of it a turn later; and a new arming begins without one."""
    made = armed()
    assert made.look(LOOK, CONSOLE, 100.1).bulk
    assert made.look(LOOK, CONSOLE, ARMED.until or 0.0).bulk is None
    made.allow(Aiming(ended="expired"))
    assert made.look(LOOK, CONSOLE, 100.2).bulk is None
    made.allow(replace(ARMED, since=100.3))
    assert made.look(LOOK, CONSOLE, 100.3).bulk is None


def test_a_picture_that_is_old_is_not_shown_for_a_new_one() -> None:
    made = armed()
    assert made.look(LOOK, CONSOLE, 101.9).reply["number"] == 1
    assert made.look(LOOK, CONSOLE, 102.1).reply["number"] == 0


def test_the_same_picture_does_not_travel_twice() -> None:
    made = armed()
    assert made.look(PreviewRequest(action="preview", after=0), CONSOLE, 100.1).bulk
    assert made.look(PreviewRequest(action="preview", after=1), CONSOLE, 100.1).bulk is None


def test_each_who_looks_is_written_down_once_in_each_arming() -> None:
    made = armed()
    other = replace(CONSOLE, actor="ben")
    assert not made.look(LOOK, CONSOLE, 100.1).events
    told = made.look(LOOK, other, 100.1).events
    assert [(one.kind.value, one.fields["ACTOR"], one.fields["UID"]) for one in told] == [
        ("preview.watched", "ben", 990)
    ]
    made.allow(replace(ARMED, since=101.0))
    assert made.look(LOOK, CONSOLE, 101.0).events


def test_nobody_looks_without_being_written_down_however_many_names_are_made_up() -> None:
    made = armed()
    for number in range(aim.MOST_LOOKERS - 1):
        assert made.look(LOOK, replace(CONSOLE, actor=f"a{number}"), 100.1).events
    with pytest.raises(InputError, match="too many"):
        made.look(LOOK, replace(CONSOLE, actor="one-more"), 100.1)


@pytest.mark.parametrize("barred", ["enrolment", "lockdown", "alarm", "stopping", "fault"])
def test_what_bars_it_is_said_to_whoever_arms_it(barred: str) -> None:
    made = Preview(LIMITS)
    made.allow(Aiming(barred=barred))
    with pytest.raises(InputError, match=barred):
        made.aim(AimRequest(action="aim", on=True), (), 100.0)
    assert made.aim(AimRequest(action="aim", on=False), (), 100.0).command == Aim(False)


# Who may


def came(message: dict[str, Any], *given_rights: Right, uid: int = 990) -> Asked | Refused:
    return admitted(message, Asker(uid=uid, pid=1, rights=frozenset(given_rights)))


def test_nobody_arms_it_by_rights_that_the_configuration_can_give() -> None:
    """All of them together are not enough: a web page with every right shows no picture by itself."""
    every = ControlConfig(rights={"root": list(rights.get_args(Right))})
    given_ = policy(every, own_uid=12345)
    console = Asker(uid=990, pid=1, rights=frozenset(rights.get_args(Right)))
    found = admitted({"action": "aim", "on": True}, console)
    assert isinstance(found, Refused)
    assert found.missing == "owner"
    assert "owner" not in frozenset().union(*given_.groups.values(), *given_.users.values())
    assert isinstance(admitted({"action": "aim", "on": True}, ROOT), Asked)


def test_root_does_not_arm_it_on_behalf_of_somebody() -> None:
    """What serves the console as the daemon's own user, on a desk, cannot either: it always says for whom it asks."""
    with pytest.raises(InputError, match="behalf"):
        admitted({"action": "aim", "on": True, "actor": "alice"}, ROOT)


@pytest.mark.parametrize(
    ("message", "right"),
    [
        ({"action": "preview"}, "preview"),
        ({"action": "aim", "on": False}, "preview"),
        ({"action": "aim"}, "status"),
    ],
)
def test_each_request_takes_its_right(message: dict[str, Any], right: Right) -> None:
    others = frozenset(rights.get_args(Right)) - {right}
    assert isinstance(came(message, *others), Refused)
    assert isinstance(came(message, "status", right), Asked)


PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats()
VALUES = PLAIN | st.lists(st.integers(), max_size=2)


@pytest.mark.slow
@given(
    st.sampled_from(["aim", "preview"]),
    st.dictionaries(st.sampled_from(["on", "after", "actor", "x"]), VALUES, max_size=4),
)
def test_whatever_is_sent_is_a_request_or_an_error(action: str, fields: dict[str, Any]) -> None:
    try:
        parsed = parsing.parse({"action": action, **fields})
    except InputError:
        return
    assert isinstance(parsed, AimRequest | PreviewRequest)
    assert not (isinstance(parsed, AimRequest) and parsed.on and parsed.actor)


# The whole daemon, by its socket


class Running:
    """A real loop on drawn frames, ten a second by its own clock, with a real control socket."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stopped, self.ready = folder, threading.Event(), threading.Event()
        self.client = ControlClient(folder / "s")
        self.turns, self.longest, self.step = 0, 0.0, 0.1
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self.ready.wait(10)

    def _frames(self) -> Iterator[Frame]:
        drawn, at = frame(0, ALICE).image, 0.0
        for number in range(100_000):
            if self.stopped.is_set():
                return
            time.sleep(0.002)
            image = drawn.copy()
            image[0, 0] = number % 256, number // 256, 0  # a camera that repeats itself is a fault
            at += self.step
            yield Frame(image, image, at, number)

    def _run(self) -> None:
        self.door = Door(self.folder, [], parse({"control": {"socket": str(self.folder / "s")}}, origin="test"))
        door = self.door
        server = ControlServer(self.folder / "s", "", intake(door.config.control), client_seconds=0.5)
        frames = EachFrame(FakeCamera(self._frames()), door.clock)
        door.world = replace(door.world, control=server, frames=frames)
        door.enrol("alice", ALICE)
        self.ready.set()
        began = time.monotonic()

        def count(_turn: object) -> None:
            nonlocal began
            self.turns += 1
            self.longest, began = max(self.longest, time.monotonic() - began), time.monotonic()

        door.run(count)

    def arm(self, on: bool | None = True) -> dict[str, Any]:
        return self.client.ask({"action": "aim", **({"on": on} if on is not None else {})})

    def look(self, **fields: Any) -> tuple[dict[str, Any], bytes]:
        return self.client.fetch({"action": "preview", **fields})

    def shown(self) -> tuple[dict[str, Any], bytes]:
        """The first picture there is."""
        for _ in range(200):
            reply, jpeg = self.look()
            if jpeg:
                return reply, jpeg
        raise AssertionError(reply)

    def told(self) -> list[str]:
        return [event.kind.value for event in self.door.audit.events if event.kind.value.startswith("preview.")]

    def close(self) -> None:
        self.stopped.set()
        self.thread.join(10)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    door = Running(tmp_path)
    yield door
    door.close()


def test_a_picture_comes_while_it_is_armed_and_none_before_and_after(running: Running, tmp_path: Path) -> None:
    """And nothing of it is left behind: no file, no word in the audit but that it was looked at."""
    assert running.look() == ({**running.look()[0], "armed": False, "number": 0}, b"")
    assert running.arm() == {"armed": True, "seconds": AIM_SECONDS, "origin": "command"}
    reply, jpeg = running.shown()
    assert jpeg.startswith(b"\xff\xd8")
    assert reply["armed"]
    assert running.arm(None)["armed"]
    running.arm(False)
    assert running.look()[1] == b""
    assert not running.arm(None)["armed"]
    assert running.told() == ["preview.started", "preview.watched", "preview.ended"]
    running.close()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert b"\xff\xd8\xff" not in file.read_bytes(), file
    assert "ffd8" not in str([dict(event.fields) for event in running.door.audit.events])


def test_it_ends_by_itself_after_five_minutes(running: Running) -> None:
    """On the door's own clock, which the drawn frames move."""
    running.arm()
    running.shown()
    running.step = 20.0
    began = running.turns
    while running.turns - began < AIM_SECONDS / 20 + 5 and running.thread.is_alive():
        time.sleep(0.01)
    assert running.look()[1] == b""
    assert running.told()[-1] == "preview.ended"


def test_somebody_who_does_not_read_holds_up_nobody(running: Running) -> None:
    """Neither the loop nor the other lookers, of whom one user has two places."""
    running.arm()
    running.shown()
    with socket.socket(socket.AF_UNIX) as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        stalled.connect(str(running.folder / "s"))
        stalled.sendall(b'{"action": "preview"}\n')
        before = running.turns
        for _ in range(20):
            assert running.look()[0]["armed"]
        assert running.turns > before
    assert running.longest < 1.0


@pytest.mark.slow
def test_two_look_at_once_and_see_the_same(running: Running) -> None:
    running.arm()
    running.shown()
    found: list[dict[str, tuple[int, bytes]]] = []

    def looks() -> None:
        found.append({str(reply["number"]): (reply["number"], jpeg) for reply, jpeg in map(_look(running), range(30))})

    both = [threading.Thread(target=looks) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(20)
    shared = found[0].keys() & found[1].keys()
    assert shared
    assert all(found[0][number] == found[1][number] for number in shared)


def _look(running: Running) -> Callable[[int], tuple[dict[str, Any], bytes]]:
    return lambda _number: running.look()


def test_an_enrolment_ends_it(running: Running) -> None:
    running.arm()
    running.client.ask({"action": "enroll", "name": "bob"})
    while running.arm(None)["armed"]:
        time.sleep(0.001)
    assert running.look()[1] == b""
    ended = next(event for event in running.door.audit.events if event.kind.value == "preview.ended")
    assert ended.fields["REASON"] == "enrolment"


def test_the_door_opens_for_whoever_it_knows_while_it_shows(running: Running) -> None:
    running.arm()
    running.shown()
    deadline = time.monotonic() + 10
    while not any(event.kind.value == "visit.granted" for event in running.door.audit.events):
        assert time.monotonic() < deadline
        running.look()
