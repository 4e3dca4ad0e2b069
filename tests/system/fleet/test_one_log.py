"""One log of several doors, with a real Mosquitto, real bridges and a real collector, all of which are killed."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.scenarios.several_doors import MOSQUITTO, SeveralDoors, until

from facelatch.errors import LedgerError
from facelatch.ledger import collected, tables

pytestmark = pytest.mark.system

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is missing")
if MOSQUITTO is None:
    pytest.skip("apt's mosquitto is missing", allow_module_level=True)

SECONDS = float(os.environ.get("FACELATCH_KILLING_SECONDS", "45"))
PATIENCE = float(os.environ.get("FACELATCH_PATIENCE", "1"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SeveralDoors]:
    several = SeveralDoors(tmp_path, 4)
    try:
        several.start_all()
        yield several
    finally:
        several.close()


def heads(site: SeveralDoors) -> dict[str, int]:
    with suppress(LedgerError), collected.reading(site.collected) as connection:
        return {one.name: one.head.seq for one in collected.doors(connection)}
    return {}


def test_nothing_is_lost_or_doubled_when_broker_bridges_collector_and_doors_are_killed(site: SeveralDoors) -> None:
    """Then the logs are the same, row by row, nothing is said to be wrong, and each is an anchor for its door."""
    seed = random.randrange(2**32)
    killed = site.kill_at_random(SECONDS, random.Random(seed), every=2.0, visits=40.0)
    last = site.last_rows()
    sys.stdout.write(f"measured: seed {seed}, killed {killed}, {sum(last.values())} rows\n")
    seconds = until(lambda: heads(site) == last, 60 * PATIENCE, f"all is collected, {last}")
    sys.stdout.write(f"measured: complete {seconds:.1f} s after the last kill\n")
    with collected.reading(site.collected) as connection:
        doors = collected.doors(connection)
        assert [one.findings for one in doors] == [()] * len(site.names)
        for door in doors:
            everything = tables.Query(discreet=True, most=10**9)
            ours = [row for _, row in collected.selected(connection, everything, door=door.id)]
            path = site.folder / door.name / "state" / tables.NAME
            with closing(tables.open_to_read(path)) as theirs:
                assert sorted(ours, key=lambda row: row.seq) == list(tables.all_rows(theirs))
    anchor(site, "door-000", expected=0)


def anchor(site: SeveralDoors, door: str, *, expected: int) -> None:
    """What the collector has of a door, tried against the door's own file."""
    facelatch = [sys.executable, "-m", "facelatch", "--config", str(site.folder / f"{door}.toml")]
    words = ["fleet", "collected", "--file", str(site.collected), "--door", door]
    told = subprocess.run([*facelatch, *words], capture_output=True, text=True, check=False)
    file = site.folder / "anchor"
    file.write_text(told.stdout)
    ledger = site.folder / door / "state" / tables.NAME
    copy = site.folder / "copy.sqlite"
    copy.write_bytes(ledger.read_bytes())
    verify = ["ledger", "verify", "--file", str(copy), "--anchor", str(file)]
    done = subprocess.run([*facelatch, *verify], capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stdout + done.stderr


DOCUMENT = Path(__file__).parents[3] / "deploy" / "several-doors.md"


def test_with_certificates_and_the_documented_access_list_each_may_what_it_should(tmp_path: Path) -> None:
    """Doors are collected; none can write another one's log, and Home Assistant cannot read one."""
    import paho.mqtt.client as mqtt

    access_list = DOCUMENT.read_text().split("## Who may read what")[1].split("```")[1]
    site = SeveralDoors(tmp_path, 2, access_list)
    heard: dict[str, set[str]] = {"door-000": set(), "homeassistant": set()}
    clients = []
    with closing(site):
        site.start_all()
        for name, topics in heard.items():
            one = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"test-{name}", protocol=mqtt.MQTTv5)
            one.tls_set(f"{tmp_path}/ca.crt", f"{tmp_path}/{name}.crt", f"{tmp_path}/{name}.key")
            one.on_message = lambda _client, _data, message, topics=topics: topics.add(message.topic)
            one.connect("127.0.0.1", site.port)
            one.subscribe("#", qos=1)
            one.loop_start()
            one.publish("facelatch/door-001/log", b"forged", qos=1)
            clients.append(one)
        last = site.last_rows()
        until(lambda: heads(site) == last, 40 * PATIENCE, "all is collected")
        site.tell("visit door-001 1")
        until(lambda: "facelatch/door-001/event" in heard["homeassistant"], 20 * PATIENCE, "the event is seen")
        last = site.last_rows()
        until(lambda: heads(site) == last, 20 * PATIENCE, "the visit is collected")
        for one in clients:
            one.disconnect()
            one.loop_stop()
    assert "no log" not in (tmp_path / "collector.log").read_text()
    assert not [topic for topic in heard["homeassistant"] if "/log" in topic]
    assert not [topic for topic in heard["door-000"] if "door-001" in topic]
    assert "facelatch/door-001/availability" in heard["homeassistant"]


def test_a_tail_cut_off_at_a_door_is_told_by_the_collector_and_found_by_its_anchor(site: SeveralDoors) -> None:
    """Somebody with the door's disk in hand removes the last rows and their key."""
    for number in range(20):
        site.tell(f"visit door-001 {number + 1}")
    last = site.last_rows()
    until(lambda: heads(site) == last, 40 * PATIENCE, "all is collected")
    site.running["doors"].terminate()
    site.running["doors"].wait()
    ledger = site.folder / "door-001" / "state" / tables.NAME
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("DELETE FROM rows WHERE seq > ?", (last["door-001"] - 5,))
    (ledger.parent / "ledger.key").unlink()
    anchor(site, "door-001", expected=1)
    site.start_again("doors")

    def told() -> bool:
        with collected.reading(site.collected) as connection:
            return any(one.name == "door-001" and one.findings for one in collected.doors(connection))

    until(told, 40 * PATIENCE, "the collector tells it")
    assert "door-001:" in (site.folder / "collector.log").read_text()
