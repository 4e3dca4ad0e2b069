"""A real bridge between a real daemon on drawn people and a real Mosquitto: what others in the house get to know."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.system

REPO = Path(__file__).resolve().parents[3]
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PATIENCE = float(os.environ.get("FACELATCH_PATIENCE", "1"))

mqtt: Any = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is missing")

if MOSQUITTO is None:
    pytest.skip("apt's mosquitto is missing", allow_module_level=True)


def until(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds * PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return found


class Listener:
    """Anybody in the house: keeps what it has heard."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, Any, bool]] = []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _on_message(self, _client: Any, _data: object, message: Any) -> None:
        text = message.payload.decode()
        with suppress(ValueError):
            text = json.loads(text)
        self.heard.append((message.topic, text, bool(message.retain)))

    def last(self, topic: str) -> Any:
        return next((message for heard, message, _ in reversed(self.heard) if heard == topic), None)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class House:
    """Broker, door and bridge."""

    def __init__(self, work: Path) -> None:
        self.work = work
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        (work / "mosquitto.conf").write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.config = work / "facelatch.toml"
        self.config.write_text(f"""
[camera]
source = "files"
device = "{work}/demo/clip"
rate_fps = 5.0
[gpio]
pin_factory = "mock"
[storage]
state_directory = "{work}/state"
[control]
socket = "{work}/control.sock"
group = ""
[fleet]
door = "front"
broker = "127.0.0.1"
port = {self.port}
keepalive_seconds = 5
""")
        subprocess.run([sys.executable, "tests/scenarios/demo_clip.py", work / "demo"], cwd=REPO, check=True)
        enrol = self.command("enroll", "robin", "--images", f"{work}/demo/enrol")
        subprocess.run(enrol, cwd=REPO, check=True, capture_output=True)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.start("broker", [str(MOSQUITTO), "-c", str(work / "mosquitto.conf")])
        self.start("door", self.command("run", "--dry-run", "--loop"))
        self.start("bridge", self.command("bridge", "--state", f"{work}/bridge"))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "facelatch", "--config", str(self.config), *words]

    def start(self, name: str, command: list[str]) -> None:
        with (self.work / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(command, cwd=REPO, stdout=log, stderr=log)

    def listener(self) -> Listener:
        def connected() -> Listener | None:
            with suppress(OSError):
                return Listener(self.port)
            return None

        found: Listener = until(connected, "the broker answers")
        return found

    def close(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(20)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    running = House(tmp_path_factory.mktemp("fleet"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def listener(house: House) -> Iterator[Listener]:
    one = house.listener()
    yield one
    one.close()


def test_a_visit_is_told_once_and_not_retained(listener: Listener) -> None:
    """robin comes to the door in the drawn clip."""

    def granted() -> bool:
        return any(
            topic == "facelatch/front/event" and message["event_type"] == "granted"
            for topic, message, _ in listener.heard
        )

    until(granted, "robin is let in", 60)
    events = [
        (message["time"], retained) for topic, message, retained in listener.heard if topic.endswith("/event")
    ]
    assert not any(retained for _, retained in events)
    until(lambda: listener.last("facelatch/front/state")["last_person"] == "#1", "the last person")


def test_whoever_comes_later_finds_entities_and_state(house: House) -> None:
    late = house.listener()
    try:
        config = until(lambda: late.last("homeassistant/device/facelatch_front/config"), "the entities")
        assert config["device"]["identifiers"] == ["facelatch_front"]
        state = until(lambda: late.last("facelatch/front/state"), "the state")
        assert (state["fault"], state["people"]) == (False, 1)
        assert late.last("facelatch/front/availability") == "online"
        assert "robin" not in json.dumps(late.heard), "names stay on the device"
    finally:
        late.close()


def test_everything_is_published_anew_when_home_assistant_starts(house: House, listener: Listener) -> None:
    before = len([topic for topic, *_ in listener.heard if topic.endswith("/config")])
    listener.client.publish("homeassistant/status", "online", qos=1)
    until(
        lambda: len([topic for topic, *_ in listener.heard if topic.endswith("/config")]) > before,
        "the entities again",
    )


def test_the_bridge_stays_small(house: House) -> None:
    """Resident memory in MB."""
    status = Path(f"/proc/{house.running['bridge'].pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
    sys.stdout.write(f"measured: bridge's resident memory {resident:.0f} MB\n")
    assert resident < 40


def test_a_door_that_ends_is_a_fault_and_comes_back(house: House, listener: Listener) -> None:
    house.running["door"].kill()
    house.running["door"].wait()
    until(lambda: listener.last("facelatch/front/state")["fault"], "the fault")
    house.start("door", house.command("run", "--dry-run", "--loop"))
    until(lambda: not listener.last("facelatch/front/state")["fault"], "no fault any more", 40)


def test_visits_while_the_broker_is_away_are_told_afterwards_in_order(house: House) -> None:
    """Whatever the door's own history has between the broker's death and now."""
    house.running["broker"].kill()
    house.running["broker"].wait()
    time.sleep(3)
    house.start("broker", [str(MOSQUITTO), "-c", str(house.work / "mosquitto.conf")])
    late = house.listener()
    try:
        until(lambda: late.last("facelatch/front/state"), "the state is there again", 60)
        until(lambda: any(topic.endswith("/event") for topic, *_ in late.heard), "visits are told again", 60)
        times = [message["time"] for topic, message, _ in late.heard if topic.endswith("/event")]
        assert times == sorted(times)
    finally:
        late.close()


def test_a_bridge_that_is_killed_is_unavailable_by_its_last_will(house: House) -> None:
    listener = house.listener()
    try:
        until(lambda: listener.last("facelatch/front/availability") == "online", "available")
        house.running["bridge"].kill()
        until(lambda: listener.last("facelatch/front/availability") == "offline", "unavailable", 20)
    finally:
        listener.close()
