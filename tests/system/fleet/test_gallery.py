"""Three real doors with their bridges on one real Mosquitto, by TLS, with the files that `facelatch fleet` makes."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import drawn
import pytest
from drawn import REPO, until
from tests.scenarios.several_doors import MOSQUITTO

pytestmark = pytest.mark.system

mqtt: Any = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is missing")

if MOSQUITTO is None:
    pytest.skip("apt's mosquitto is missing", allow_module_level=True)

PEOPLE = "facelatch/fleet/people"


def fleet(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "facelatch", "fleet", *words], cwd=REPO, check=True, capture_output=True)


class Site:
    """Broker, doors by name, and whoever has a certificate."""

    def __init__(self, work: Path) -> None:
        self.work, self.port, self.files = work, drawn.free_port(), work / "fleet"
        fleet("init", str(self.files), "--broker", "127.0.0.1")
        for name, part in {"front": "--enroller", "back": "--enroller", "home": "--reader"}.items():
            fleet("join", name, part, "--fleet", str(self.files))
        fleet("join", "garage", "--fleet", str(self.files))
        self.doors = {
            name: drawn.House(
                self._folder(name),
                camera="rate_fps = 5.0",
                sections=self._sections(name, people),
                seen=None if name == "front" else work / "front",
            )
            for name, people in {"front": "enroller", "back": "enroller", "garage": "follow"}.items()
        }
        self.broker: subprocess.Popen[bytes] | None = None
        self.start_broker()
        for name in self.doors:
            self.start(name)
        for door in self.doors.values():
            until((door.work / "control.sock").exists, "the daemon answers", 60)

    def _folder(self, name: str) -> Path:
        folder = self.work / name
        folder.mkdir()
        return folder

    def _sections(self, name: str, people: str) -> str:
        mine = self.files / "doors" / name
        return f"""
[fleet]
door = "{name}"
broker = "127.0.0.1"
port = {self.port}
ca = "{mine}/bridge/ca.crt"
certificate = "{mine}/bridge/door.crt"
key = "{mine}/bridge/door.key"
keepalive_seconds = 5
people = "{people}"
membership = "{mine}/daemon/membership.json"
"""

    def start(self, name: str) -> None:
        door = self.doors[name]
        door.start_door()
        door.start("bridge", door.command("bridge", "--state", f"{door.work}/bridge"))

    def stop(self, name: str) -> None:
        for process in self.doors[name].running.values():
            process.kill()
            process.wait()

    def start_broker(self) -> None:
        place = self.files / "broker"
        (self.work / "store").mkdir(exist_ok=True)
        text = (place / "facelatch.conf").read_text().replace("/etc/mosquitto/facelatch", str(place))
        text = text.replace("listener 8883", f"listener {self.port} 127.0.0.1").replace("interval 30", "interval 1")
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")
        text += f"persistence_location {self.work}/store/\nuser {user}\n"
        (self.work / "mosquitto.conf").write_text(text)
        with (self.work / "broker.log").open("ab") as log:
            self.broker = subprocess.Popen([str(MOSQUITTO), "-c", self.work / "mosquitto.conf"], stdout=log, stderr=log)

    def stop_broker(self) -> None:
        assert self.broker is not None
        self.broker.kill()
        self.broker.wait()

    def client(self, name: str) -> Any:
        """Somebody with the certificate of a member."""
        one, mine = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5), self.files / "doors" / name
        one.tls_set(f"{mine}/bridge/ca.crt", f"{mine}/bridge/door.crt", f"{mine}/bridge/door.key")
        one.connect("127.0.0.1", self.port)
        return one

    def people(self, name: str) -> dict[str, str]:
        """Who is known at a door, and why somebody is held."""
        with suppress(AssertionError):
            return {one["name"]: one.get("held", "") for one in self._listed(name)}
        return {"?": "?"}

    def _listed(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.doors[name].facelatch("people", "list", "--json"))
        return found

    def history(self, name: str) -> str:
        return self.doors[name].facelatch("history", "--json", "--since", "1h")

    def everywhere(self, people: dict[str, str], *names: str, seconds: float = 30) -> None:
        for name in names or tuple(self.doors):
            until(lambda name=name: self.people(name) == people, f"{people} at {name}", seconds)  # type: ignore[misc]

    def close(self) -> None:
        for door in self.doors.values():
            door.close()
        self.stop_broker()


def admitted(connect: Callable[[], Any]) -> bool:
    """Whether the broker takes a client: it may say no at the handshake, or soon after."""
    try:
        one = connect()
        for _ in range(20):
            if one.loop(0.1) != 0:
                return False
            if one.is_connected():
                one.disconnect()
                return True
    except OSError:
        pass
    return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = Site(tmp_path_factory.mktemp("gallery"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def heard(site: Site) -> Iterator[dict[str, bytes]]:
    """The newest message of each topic, as Home Assistant would hear it."""
    found: dict[str, bytes] = {}
    one = until(lambda: site.client("home"), "the broker answers", passing=(OSError,))
    one.on_message = lambda _c, _d, message: found.__setitem__(message.topic, message.payload)
    one.on_connect = lambda client, *_: client.subscribe("facelatch/#", qos=1)
    one.loop_start()
    yield found
    one.disconnect()
    one.loop_stop()


def test_whoever_is_shared_at_one_door_comes_in_at_another(site: Site, heard: dict[str, bytes]) -> None:
    """robin is enrolled at the front, and stands before the garage."""
    site.doors["front"].facelatch("people", "share", "robin")
    began = time.monotonic()
    site.everywhere({"robin": ""})
    sys.stdout.write(f"measured: a person reaches two doors within {time.monotonic() - began:.1f} s\n")

    until(lambda: "visit.granted" in site.history("garage"), "robin is let in at the garage", 60)


def test_nothing_that_travels_says_a_name_and_doors_tell_that_they_know_the_same(
    site: Site, heard: dict[str, bytes]
) -> None:
    def digests() -> set[str]:
        return {json.loads(heard.get(f"facelatch/{name}/people", b'{"digest": 0}'))["digest"] for name in site.doors}

    until(lambda: len(digests()) == 1, "three doors, one gallery")
    (topic,) = [topic for topic in heard if topic.startswith(PEOPLE)]
    assert b"robin" not in heard[topic]
    assert len(heard[topic]) < 64 * 1024


def test_a_suspension_reaches_every_door(site: Site) -> None:
    site.doors["back"].facelatch("people", "set", "robin", "--suspend")
    for name in site.doors:
        until(
            lambda name=name: site._listed(name)[0]["access"].get("suspended"),  # type: ignore[misc]
            f"suspended at {name}",
        )
    site.doors["back"].facelatch("people", "set", "robin", "--resume")


def test_the_broker_lets_no_follower_write_and_nobody_in_without_a_certificate(site: Site) -> None:
    """A stolen bridge of the garage, and somebody on the network."""
    thief, said = site.client("garage"), []
    thief.on_publish = lambda _c, _d, _mid, reason, _p: said.append(str(reason))
    thief.loop_start()
    thief.publish(f"{PEOPLE}/{'e' * 32}", b"x", qos=1, retain=True)
    thief.publish("facelatch/front/people", b"{}", qos=1, retain=True)
    until(lambda: len(said) == 2, "the broker answers")
    thief.disconnect()
    thief.loop_stop()
    assert set(said) == {"Not authorized"}
    stranger = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    stranger.tls_set(f"{site.files}/doors/front/bridge/ca.crt", cert_reqs=ssl.CERT_REQUIRED)

    def connect() -> Any:
        stranger.connect("127.0.0.1", site.port)
        return stranger

    assert not admitted(connect)


def test_a_stolen_bridge_of_an_enroller_brings_nobody_in_and_is_told_of(site: Site) -> None:
    """It may write the people, and has no key to sign or seal with; huge messages, too.

    The door's own bridge is away: the broker has one connection for each certificate.
    """
    site.stop("back")
    thief = site.client("back")
    thief.loop_start()

    def refused() -> bool:
        for number in range(200):
            thief.publish(f"{PEOPLE}/{number:032x}", b"FLP1" + os.urandom(400), qos=1)
        thief.publish(f"{PEOPLE}/{'d' * 32}", bytes(1_000_000), qos=1).wait_for_publish(10)
        return "fleet.refused" in site.history("garage")

    until(refused, "the garage, whose connection another one has just ended, is back and refuses")
    thief.disconnect()
    thief.loop_stop()
    site.start("back")
    site.everywhere({"robin": ""}, seconds=60)


def test_a_revocation_reaches_every_door_also_one_that_was_away_and_a_broker_restored_from_a_backup(
    site: Site, heard: dict[str, bytes]
) -> None:
    site.stop("garage")
    (topic,) = [topic for topic in heard if topic.startswith(PEOPLE) and 2000 < len(heard[topic]) < 64 * 1024]
    began = time.monotonic()
    site.doors["front"].facelatch("people", "forget", "robin", "--yes")
    told = time.monotonic()
    uuid = topic.rpartition("/")[2]
    until(lambda: f"facelatch/back/receipts/{uuid}" in heard, "the back door's receipt")
    sys.stdout.write(
        f"measured: a revocation is receipted {time.monotonic() - told:.2f} s after, {time.monotonic() - began:.2f} s"
        " with the command\n"
    )
    site.stop_broker()
    shutil.rmtree(site.work / "store")
    site.start_broker()
    until(lambda: json.loads(heard[f"facelatch/back/receipts/{uuid}"])["revoked"], "a receipt")
    site.start("garage")
    site.everywhere({}, seconds=60)
    until(lambda: f"facelatch/garage/receipts/{uuid}" in heard, "the garage's receipt", 40)


def test_the_bridge_stays_small_with_people_to_carry(site: Site) -> None:
    """Resident memory in MB."""
    assert site.doors["garage"].resident_mb("bridge") < 40


def test_a_door_that_was_taken_out_gets_no_connection_any_more(site: Site) -> None:
    kept = site.work / "stolen"
    shutil.copytree(site.files / "doors" / "garage", kept)
    fleet("revoke-door", "garage", "--yes", "--fleet", str(site.files))
    site.stop("garage")
    site.stop_broker()
    site.start_broker()
    shutil.copytree(kept, site.files / "doors" / "garage")
    until(lambda: admitted(lambda: site.client("home")), "others are let in")
    assert not admitted(lambda: site.client("garage"))
