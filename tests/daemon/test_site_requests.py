"""What clients may ask of the site: by which right, what is written down before it is obeyed, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from facelatch.api import parsing, site
from facelatch.api.intake import Refused, admitted
from facelatch.api.rights import OF_THE_GROUP, Asker
from facelatch.api.site_requests import Alarm, Mode
from facelatch.audit.events import EventKind
from facelatch.cli.site import site_text
from facelatch.errors import GalleryError, InputError, NotAllowedError
from facelatch.site.alarm import Acknowledge
from facelatch.site.mode import Mode as DoorMode
from facelatch.site.mode import SetMode
from facelatch.site.passage import Prop

VIEW: dict[str, Any] = {
    "mode": "normal",
    "mode_seconds": None,
    "door": "open",
    "alarm": True,
    "fire": False,
    "tamper": False,
    "unstable": ["exit"],
}
LOCKDOWN = VIEW | {"mode": "lockdown"}


class Disk:
    """Where a lockdown is written down."""

    def __init__(self, *, full: bool = False) -> None:
        self.full, self.saved = full, list[bool]()

    def load(self) -> bool:
        return bool(self.saved) and self.saved[-1]

    def save(self, lockdown: bool) -> None:
        if self.full:
            raise GalleryError("no space", hint="df")
        self.saved.append(lockdown)


def asked(**fields: Any) -> Any:
    return parsing.parse({"action": "mode", **fields})


@pytest.mark.parametrize(
    ("message", "missing"),
    [
        ({"action": "mode"}, None),
        ({"action": "alarm"}, None),
        ({"action": "mode", "mode": "lockdown"}, "mode"),
        ({"action": "alarm", "acknowledge": True}, "mode"),
        ({"action": "alarm", "prop": True}, "mode"),
    ],
)
def test_the_group_may_look_and_only_the_right_mode_may_change(message: dict[str, Any], missing: str | None) -> None:
    found = admitted(message, Asker(uid=1000, pid=1, rights=OF_THE_GROUP))
    assert (found.missing if isinstance(found, Refused) else None) == missing


def test_only_a_lockdown_and_its_end_are_written_down() -> None:
    disk = Disk()
    for mode, view in (("locked", VIEW), ("free", VIEW), ("normal", VIEW), ("lockdown", VIEW), ("normal", LOCKDOWN)):
        answer = site.change_mode(asked(mode=mode), view, (), disk)
        assert answer.command == SetMode(DoorMode(mode))
    assert disk.saved == [True, False]


def test_a_lockdown_that_cannot_be_written_is_obeyed_and_its_end_is_not() -> None:
    answer = site.change_mode(asked(mode="lockdown"), VIEW, (), Disk(full=True))
    assert answer.command == SetMode(DoorMode.LOCKDOWN)
    assert "error" in answer.reply
    assert [event.kind for event in answer.events] == [EventKind.MODE_NOT_SAVED]
    with pytest.raises(GalleryError):
        site.change_mode(asked(mode="normal"), LOCKDOWN, (), Disk(full=True))


@pytest.mark.parametrize("mode", ["free", "locked"])
def test_a_lockdown_is_left_to_the_normal_mode_only(mode: str) -> None:
    with pytest.raises(InputError, match="in lockdown"):
        site.change_mode(asked(mode=mode), LOCKDOWN, (), None)


def test_seconds_go_with_modes_that_end() -> None:
    assert asked(mode="locked", seconds=60).needs() == {"status", "mode"}
    for mode in (None, "normal", "lockdown"):
        with pytest.raises(InputError, match="locked and free"):
            asked(**({"mode": mode} if mode else {}), seconds=60)


def test_an_alarm_is_looked_at_acknowledged_or_the_door_let_stand_open() -> None:
    assert site.alarm(Alarm(action="alarm"), VIEW, ()).command is None
    assert site.alarm(Alarm(action="alarm", acknowledge=True), VIEW, ()).command == Acknowledge()
    assert site.alarm(Alarm(action="alarm", prop=True), VIEW, ()).command == Prop()
    with pytest.raises(InputError, match="not open"):
        site.alarm(Alarm(action="alarm", prop=True), VIEW | {"door": "shut"}, ())
    with pytest.raises(InputError, match="exclude"):
        site.alarm(Alarm(action="alarm", prop=True, acknowledge=True), VIEW, ())


def test_a_change_by_the_socket_is_audited_with_who_asked(served: Callable[..., Any]) -> None:
    door = served()
    assert door.client.ask({"action": "mode"}) == {"mode": "normal", "mode_seconds": None}
    door.client.ask({"action": "mode", "mode": "locked", "seconds": 60})
    door.client.ask({"action": "alarm", "acknowledge": True})
    door.close()
    told = [event.fields for event in door.audit.events if event.kind is EventKind.CONTROL_REQUEST]
    assert [(one["ACTION"], one.get("VALUE")) for one in told] == [("mode", "locked"), ("alarm", None)]
    assert all("UID" in one for one in told)
    assert door.commands == [SetMode(DoorMode.LOCKED, 60.0), Acknowledge()]


def test_whoever_has_not_the_right_hears_so(served: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facelatch.api.rights.Policy.rights_of", lambda *_: OF_THE_GROUP)
    with pytest.raises(NotAllowedError, match="right mode"):
        served().client.ask({"action": "mode", "mode": "lockdown"})


def test_the_site_is_one_line_for_people() -> None:
    assert site_text(VIEW | {"camera": "opening"}) == "mode normal, door open, camera opening, ALARM, exit unstable"
    assert Mode(action="mode").right == "status"
