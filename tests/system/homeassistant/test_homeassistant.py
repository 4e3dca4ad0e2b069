"""A real Home Assistant, a real Mosquitto and real bridges of toy doors: what people see in their house.

Needs FACELATCH_HOMEASSISTANT, the folder that make.sh made.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios.several_doors import MOSQUITTO, SeveralDoors, until

PATIENCE = float(os.environ.get("FACELATCH_PATIENCE", "1"))
HOME = os.environ.get("FACELATCH_HOMEASSISTANT", "")

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        MOSQUITTO is None or not (Path(HOME) / "bin" / "python").exists(),
        reason="no Mosquitto, or FACELATCH_HOMEASSISTANT names no Home Assistant: NOT tested",
    ),
]

KEYS = ("lock_state", "contact", "alarm", "tamper", "problem", "locked_out", "visit", "last_person")
DOOR, OTHER = "door-000", "door-001"


class HomeAssistant:
    """The process of house.py."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        folder.mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        program = Path(__file__).with_name("house.py")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [f"{HOME}/bin/python", str(program), str(self.folder), str(self.port)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self.answer() == {"ready": True}

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "log").read_text()[-2000:]
        return json.loads(line)

    def ask(self, words: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()
        return self.answer()

    def entities(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("entities")
        return found

    def state(self, key: str, door: str = DOOR) -> Any:
        return self.entities().get(f"facelatch_{door}_{key}", {}).get("state")

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeveralDoors]:
    several = SeveralDoors(tmp_path_factory.mktemp("site"), 2)
    try:
        for name in ("broker", "doors", *several.names):
            several.start_again(name)
        yield several
    finally:
        several.close()


@pytest.fixture(scope="module")
def home(site: SeveralDoors) -> Iterator[HomeAssistant]:
    one = HomeAssistant(site.folder / "home", site.port)
    yield one
    one.end()


def wait(home: HomeAssistant, key: str, state: str, door: str = DOOR, seconds: float = 20.0) -> None:
    what = f"{door} {key} is {state}, before {home.state(key, door)}"
    until(lambda: home.state(key, door) == state, seconds * PATIENCE, what)


def test_each_door_becomes_one_device_with_its_entities(site: SeveralDoors, home: HomeAssistant) -> None:
    for door in site.names:
        wait(home, "lock_state", "off", door)
        wait(home, "last_person", "nobody", door)
    found = home.entities()
    assert set(found) == {f"facelatch_{door}_{key}" for door in site.names for key in KEYS}
    classes = {key: found[f"facelatch_{DOOR}_{key}"]["attributes"].get("device_class") for key in KEYS}
    assert classes == {
        "lock_state": "lock", "contact": "door", "alarm": "safety", "tamper": "tamper", "problem": "problem",
        "locked_out": "problem", "visit": None, "last_person": None,
    }  # fmt: skip
    assert {found[f"facelatch_{DOOR}_{key}"]["category"] for key in ("problem", "locked_out")} == {"diagnostic"}
    assert {one["device"] for one in found.values()} == {"Front door"}


def test_a_visit_is_an_event_and_the_last_person_a_number(site: SeveralDoors, home: HomeAssistant) -> None:
    site.tell(f"visit {DOOR} 7")
    wait(home, "last_person", "#7")
    until(lambda: bool(home.ask("events")), 10 * PATIENCE, "the event")
    (event,) = home.ask("events")
    assert (event["event_type"], event["person"]) == ("granted", "#7")
    assert home.state("last_person", OTHER) == "nobody"


def test_what_somebody_was_forced_to_is_seen_nowhere(site: SeveralDoors, home: HomeAssistant) -> None:
    site.tell(f"duress {DOOR} 8")
    site.tell(f"visit {DOOR} 9")
    wait(home, "last_person", "#9")
    shown = json.dumps([home.entities(), home.ask("events")])
    assert "duress" not in shown
    assert "#8" not in shown


def test_a_bridge_that_is_killed_makes_its_door_unavailable_and_no_other(
    site: SeveralDoors, home: HomeAssistant
) -> None:
    """By its last will; and back."""
    site.kill(DOOR)
    wait(home, "lock_state", "unavailable")
    assert home.state("lock_state", OTHER) == "off"
    site.start_again(DOOR)
    wait(home, "lock_state", "off")


def test_a_broker_that_forgot_everything_is_told_again(site: SeveralDoors, home: HomeAssistant) -> None:
    site.kill("broker")
    wait(home, "lock_state", "unavailable")
    site.start_again("broker")
    for door in site.names:
        wait(home, "lock_state", "off", door, 40)


def test_a_home_assistant_that_starts_anew_has_the_state_at_once_and_no_old_visit(
    site: SeveralDoors, home: HomeAssistant
) -> None:
    """What is retained, and what the bridge publishes when it hears that Home Assistant has started."""
    home.end()
    home.start()
    for door in site.names:
        wait(home, "lock_state", "off", door)
    wait(home, "last_person", "#9")
    assert home.ask("events") == []
    site.tell(f"visit {OTHER} 3")
    wait(home, "last_person", "#3", OTHER)
    assert [one["person"] for one in home.ask("events")] == ["#3"]


def test_its_own_schemas_take_every_component(site: SeveralDoors, home: HomeAssistant) -> None:
    """And refuse a lock that cannot be operated, which is why there is none."""
    from facelatch.config.fleet import FleetConfig
    from facelatch.fleet import homeassistant
    from facelatch.fleet.settings import of_values

    ours = {"socket": "", "state_directory": "", "version": "1"}
    _, message = homeassistant.discovery(of_values({**FleetConfig().model_dump(), **ours}))
    assert home.ask(f"checked {json.dumps(message)}") == dict.fromkeys(KEYS)
    lock = {"platform": "lock", "name": "Lock", "state_topic": "facelatch/door/state", "unique_id": "x"}
    (fault,) = home.ask(f"checked {json.dumps({**message, 'components': {'lock': lock}})}").values()
    assert "command_topic" in fault
