"""What the bridge makes of the door's history: entities, events, notifications. The broker has its own tests."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.audit.events import EventKind
from facelatch.config.fleet import FleetConfig
from facelatch.errors import ControlError
from facelatch.fleet import homeassistant, notify
from facelatch.fleet.bridge import Bridge
from facelatch.fleet.feed import PAGE, Feed
from facelatch.fleet.notify import Notifier
from facelatch.fleet.settings import loads, of_values

SETTINGS = of_values(
    {
        **FleetConfig().model_dump(),
        "socket": "/nowhere/control.sock",
        "state_directory": "/nowhere",
        "version": "1",
    }
)
STATUS = {"door": "locked: 2 people enrolled", "people": 2, "lockout": {"refusals": 0, "seconds": 0.0}}


def row(seq: int, event: str = "visit.granted", person: str | None = "Anna", **fields: Any) -> dict[str, Any]:
    fields = {"PERSON_ID": 1, **fields} if person else fields
    text = f"{person} was let in"
    return {
        "seq": seq,
        "time": "2026-11-27T18:00:00Z",
        "event": event,
        "person": person,
        "text": text,
        "fields": fields,
    }


class Door:
    """Answers as the daemon does, from a list of rows, oldest first."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows, self.away = rows, False

    def ask(self, action: str, *, most: int = 250, before: int | None = None, **_: Any) -> dict[str, Any]:
        if self.away:
            raise ControlError("away")
        if action == "status":
            return STATUS
        found = [one for one in reversed(self.rows) if before is None or one["seq"] < before]
        page = found[:most]
        return {"events": page, "next": page[-1]["seq"] if len(found) > most else None}


def test_settings_survive_their_way_to_the_bridge() -> None:
    told = dataclasses.replace(SETTINGS, notify=("fault",), command=("a", "b c"))
    assert loads(told.dumps()) == told


def test_a_new_bridge_begins_with_what_happens_from_now_on(tmp_path: Path) -> None:
    door = Door([row(1), row(2)])
    feed = Feed(tmp_path, door.ask)
    assert feed.new() == []
    door.rows.append(row(3))
    assert [one["seq"] for one in feed.new()] == [3]


@hypothesis.settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 7, PAGE - 1, PAGE, PAGE + 1]), max_size=4), st.data())
def test_every_row_is_told_once_whenever_the_bridge_looks_and_however_often_it_starts(
    tmp_path_factory: pytest.TempPathFactory, arriving: list[int], data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("bridge")
    door = Door([row(1)])
    Feed(directory, door.ask).new()
    told: list[int] = []
    for count in arriving:
        door.rows += [row(len(door.rows) + 1 + number) for number in range(count)]
        feed = Feed(directory, door.ask)
        rows = feed.new()
        taken = data.draw(st.integers(min_value=0, max_value=len(rows)))
        for one in rows[:taken]:
            told.append(one["seq"])
            feed.delivered(one["seq"])
    told += [one["seq"] for one in Feed(directory, door.ask).new()]
    assert told == [one["seq"] for one in door.rows[1:]]


def test_the_entities_are_of_this_door_and_none_of_them_can_open_it() -> None:
    topic, message = homeassistant.discovery(dataclasses.replace(SETTINGS, door="back"))
    assert topic == "homeassistant/device/facelatch_back/config"
    ids = [one["unique_id"] for one in message["components"].values()]
    assert len(ids) == len(set(ids))
    assert all(one.startswith("facelatch_back_") for one in ids)
    assert "command_topic" not in json.dumps(message)
    assert {one["platform"] for one in message["components"].values()} == {"binary_sensor", "event", "sensor"}


@pytest.mark.parametrize(
    ("door", "unlocked"), [("locked: 2 people enrolled", False), ("unlocked for Anna", True), ("", False)]
)
def test_the_state_says_unlocked_only_when_the_door_does(door: str, unlocked: bool) -> None:
    assert homeassistant.state({**STATUS, "door": door}, None)["unlocked"] is unlocked


@pytest.mark.parametrize(
    ("site", "opened", "alarm", "fault"),
    [
        ({"door": "unwatched", "alarm": False, "camera": "seeing"}, False, False, False),
        ({"door": "shut", "alarm": True, "camera": "opening"}, False, True, True),
        ({"door": "held", "alarm": True, "camera": "seeing"}, True, True, False),
    ],
)
def test_contact_alarm_and_camera_are_told(site: dict[str, Any], opened: bool, alarm: bool, fault: bool) -> None:
    told = homeassistant.state({**STATUS, "site": site}, None)
    assert (told["open"], told["alarm"], told["fault"]) == (opened, alarm, fault)


def test_an_open_case_is_told() -> None:
    assert homeassistant.state({**STATUS, "site": {"tamper": True}}, None)["tamper"] is True
    assert homeassistant.state(STATUS, None)["tamper"] is False


def test_every_event_that_is_told_as_a_visit_is_one_of_the_door_s() -> None:
    assert set(homeassistant.VISITS) <= {kind.value for kind in EventKind}


def test_a_door_that_does_not_answer_is_a_fault_and_not_unlocked() -> None:
    assert homeassistant.state(None, None)["fault"]
    assert not homeassistant.state(None, None)["unlocked"]


def test_names_stay_on_the_device_unless_they_may_leave_it() -> None:
    shown = json.dumps([homeassistant.visit(SETTINGS, row(1)), homeassistant.told(SETTINGS, row(1))])
    assert "Anna" not in shown
    assert "#1" in shown
    may = dataclasses.replace(SETTINGS, publish_names=True)
    assert homeassistant.visit(may, row(1)) == {
        "event_type": "granted",
        "person": "Anna",
        "time": row(1)["time"],
    }
    assert homeassistant.told(may, row(1))["text"] == "Anna was let in"


def test_what_is_no_visit_is_no_event_for_home_assistant() -> None:
    assert homeassistant.visit(SETTINGS, row(1, "config.loaded", None)) is None
    refused = homeassistant.visit(SETTINGS, row(1, "visit.refused", None, REASON="no_match"))
    assert refused == {"event_type": "refused", "person": None, "time": row(1)["time"], "reason": "no_match"}


def test_who_came_last_is_the_newest_who_was_let_in() -> None:
    """Also for a bridge that was started since."""
    rows = [row(4, "visit.refused"), row(3, PERSON_ID=3), row(2, PERSON_ID=2)]
    assert homeassistant.last_person(SETTINGS, rows) == "#3"
    assert homeassistant.last_person(SETTINGS, rows[:1]) is None


@pytest.fixture
def notifier() -> Iterator[Callable[..., tuple[Notifier, list[Mapping[str, Any]]]]]:
    open_: list[Notifier] = []

    def make(most: int = 10, failures: int = 0) -> tuple[Notifier, list[Mapping[str, Any]]]:
        got: list[Mapping[str, Any]] = []

        def send(message: Mapping[str, Any]) -> None:
            got.append(message)
            if len(got) <= failures:
                raise OSError("nobody takes it")

        open_.append(Notifier(dataclasses.replace(SETTINGS, notify_per_minute=most), send))
        return open_[-1], got

    yield make
    for one in open_:
        one.close()


def wait_for(condition: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(500):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not happen within 5 s")


def test_at_most_so_many_notifications_a_minute_and_the_next_says_how_many_were_left_out(
    notifier: Any,
) -> None:
    one, got = notifier(most=2)
    assert [one.tell({"seq": number}, 100.0) for number in range(4)] == [True, True, False, False]
    assert one.tell({"seq": 4}, 161.0)
    wait_for(lambda: len(got) == 3)
    assert got[-1] == {"seq": 4, "left_out": 2}


def test_a_notification_that_is_not_taken_is_tried_again(
    notifier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "FIRST_RETRY_SECONDS", 0.01)
    one, got = notifier(failures=2)
    one.tell({"seq": 1}, 0.0)
    wait_for(lambda: len(got) == 3)


def test_a_webhook_and_a_command_get_the_message_as_json(tmp_path: Path) -> None:
    posted: list[Any] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kept = tmp_path / "kept"
    program = f"import sys, pathlib; pathlib.Path({str(kept)!r}).write_text(sys.stdin.read())"
    settings = dataclasses.replace(
        SETTINGS,
        notify=("*",),
        webhook=f"http://127.0.0.1:{server.server_port}/hook",
        command=(sys.executable, "-c", program),
    )
    one = Notifier(settings)
    try:
        assert notify.wanted(settings, "anything")
        one.tell(homeassistant.told(settings, row(7)), 0.0)
        wait_for(lambda: kept.exists() and kept.read_text() != "")
    finally:
        one.close()
        server.shutdown()
        server.server_close()
    assert posted == [json.loads(kept.read_text())]
    assert posted[0]["seq"] == 7


def test_nothing_is_told_of_events_that_nobody_asked_for(tmp_path: Path, notifier: Any) -> None:
    one, got = notifier()
    settings = dataclasses.replace(
        SETTINGS, state_directory=str(tmp_path), notify=("fault",), webhook="http://x"
    )
    bridge, door = Bridge(settings, None, one), Door([row(1)])
    bridge._ask = door.ask
    bridge._feed = Feed(tmp_path, door.ask)
    bridge.turn()
    door.rows += [row(2), row(3, "fault", None, REASON="camera_stale"), row(4)]
    bridge.turn()
    wait_for(lambda: len(got) == 1)
    assert (got[0]["event"], got[0]["reason"]) == ("fault", "camera_stale")


def test_a_door_that_is_away_is_complained_about_once(
    tmp_path: Path, notifier: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = dataclasses.replace(
        SETTINGS, state_directory=str(tmp_path), socket=str(tmp_path / "none.sock")
    )
    bridge = Bridge(settings, None, notifier()[0])
    for _ in range(3):
        bridge.turn()
    assert capsys.readouterr().err.count("not running") == 1


@pytest.mark.parametrize(
    "values", [{"broker": "hub.local"}, {"certificate": "c"}, {"door": "Front Door"}, {"webhook": "ftp://x"}]
)
def test_a_broker_elsewhere_needs_its_authority(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"needs `ca`|belong together|pattern"):
        FleetConfig.model_validate(values)
