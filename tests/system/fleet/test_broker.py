"""A real bridge between a real daemon on drawn people and a real Mosquitto: what others in the house get to know."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import drawn
import pytest
from drawn import until
from tests.scenarios.several_doors import MOSQUITTO

pytestmark = pytest.mark.system

mqtt: Any = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is missing")

if MOSQUITTO is None:
    pytest.skip("apt's mosquitto is missing", allow_module_level=True)


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


class House(drawn.House):
    """Broker, door and bridge."""

    def __init__(self, work: Path) -> None:
        self.port = drawn.free_port()
        super().__init__(
            work,
            camera="rate_fps = 5.0",
            sections=f"""
[fleet]
door = "front"
broker = "127.0.0.1"
port = {self.port}
keepalive_seconds = 5
""",
        )
        (work / "mosquitto.conf").write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.start_broker()
        self.start_door()
        self.start("bridge", self.command("bridge", "--state", f"{work}/bridge"))

    def start_broker(self) -> None:
        self.start("broker", [str(MOSQUITTO), "-c", str(self.work / "mosquitto.conf")])

    def listener(self) -> Listener:
        def connected() -> Listener | None:
            with suppress(OSError):
                return Listener(self.port)
            return None

        found: Listener = until(connected, "the broker answers")
        return found


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
    assert house.resident_mb("bridge") < 40


def test_a_door_that_ends_is_a_fault_and_comes_back(house: House, listener: Listener) -> None:
    house.running["door"].kill()
    house.running["door"].wait()
    until(lambda: listener.last("facelatch/front/state")["fault"], "the fault")
    house.start_door()
    until(lambda: not listener.last("facelatch/front/state")["fault"], "no fault any more", 40)


def test_visits_while_the_broker_is_away_are_told_afterwards_in_order(house: House) -> None:
    """Whatever the door's own history has between the broker's death and now."""
    house.running["broker"].kill()
    house.running["broker"].wait()
    time.sleep(3)
    house.start_broker()
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
