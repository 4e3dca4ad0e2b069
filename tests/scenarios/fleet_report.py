"""What several doors cost and how fast they are told of, with a real Mosquitto and real bridges. Prints a table.

    python tests/scenarios/fleet_report.py [BRIDGES] [SIMULATED]

20 bridges are processes before toy doors; 500 doors more are simulated on the wire, each with a connection of its own
to the broker, by one process. What a person's envelope takes to all of them is measured with a message of its size.
"""

from __future__ import annotations

import json
import os
import random
import selectors
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from several_doors import SeveralDoors, resident_mb, until

from facelatch.audit.chain import NOTHING, Row, link
from facelatch.audit.collecting import wire
from facelatch.errors import LedgerError
from facelatch.fleet.log import LogSender
from facelatch.ledger import collected

VISITS = 300
CATCH_UP = 3_000
ROWS_OF_EACH = 200
ENVELOPE_BYTES = 16 * 1024
PEOPLE = 500

Table = list[tuple[str, str]]


def client(port: int, name: str) -> mqtt.Client:
    one = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
    one.max_inflight_messages_set(1000)
    one.connect("127.0.0.1", port, keepalive=600)
    return one


def quantiles(seconds: list[float]) -> str:
    found = statistics.quantiles(seconds, n=100)
    return f"{found[49]:.2f} s, {found[98]:.2f} s"


def rows_collected(path: Path) -> int:
    with suppress(LedgerError), collected.reading(path) as connection:
        return sum(one.head.seq for one in collected.doors(connection))
    return 0


# ---- Real bridges


def latency(site: SeveralDoors, seconds: float) -> tuple[list[float], list[float]]:
    """From a visit at a door to its event, and its row, at whoever listens to the broker."""
    wrote: dict[int, float] = {}
    event, row = dict[int, float](), dict[int, float]()

    def heard(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        told, now = json.loads(message.payload), time.monotonic()
        if message.topic.endswith("/event"):
            event.setdefault(int(told["person"][1:]), now)
        for one in told.get("rows", ()):
            if one[5] == "visit.granted":
                row.setdefault(json.loads(one[6])["PERSON_ID"], now)

    listener = client(site.port, "listener")
    listener.on_message = heard
    listener.subscribe([("facelatch/+/event", 1), ("facelatch/+/log", 1)])
    listener.loop_start()
    time.sleep(1)
    for number in range(1, VISITS + 1):
        wrote[number] = time.monotonic()
        site.tell(f"visit {random.choice(site.names)} {number}")
        time.sleep(seconds / VISITS * random.uniform(0.5, 1.5))
    until(lambda: len(event) == len(row) == VISITS, 30, "all visits are told")
    listener.disconnect()
    listener.loop_stop()
    return [event[one] - begin for one, begin in wrote.items()], [row[one] - begin for one, begin in wrote.items()]


def with_bridges(folder: Path, count: int) -> Table:
    site = SeveralDoors(folder, count)
    with closing(site):
        site.start_all()
        last = dict.fromkeys(site.names, 1)
        until(lambda: rows_collected(site.collected) >= sum(last.values()), 120, "every bridge is there")
        events, rows = latency(site, 30.0)
        bridges = [resident_mb(site.running[name].pid) for name in site.names]
        processes = {name: resident_mb(site.running[name].pid) for name in ("broker", "collector")}
        before = rows_collected(site.collected)
        begin = time.monotonic()
        for number in range(CATCH_UP):
            site.tell(f"visit {site.names[0]} {number % 500 + 1}")
        until(lambda: rows_collected(site.collected) >= before + CATCH_UP, 120, "the collector has caught up")
        rate = CATCH_UP / (time.monotonic() - begin)
        return [
            (f"a bridge's memory, {count} of them, smallest and largest", f"{min(bridges):.1f}, {max(bridges):.1f} MB"),
            (f"the broker's memory with {count} bridges", f"{processes['broker']:.1f} MB"),
            ("the collector's memory", f"{processes['collector']:.1f} MB"),
            ("from a visit to its event at the broker, p50, p99", quantiles(events)),
            ("from a visit to its row at the broker, p50, p99", quantiles(rows)),
            (f"a door that writes {CATCH_UP:,} rows at once is collected at", f"{rate:,.0f} rows/s"),
        ]


# ---- Simulated doors


class Wire:
    """Many doors of one process, each with its connection."""

    def __init__(self, port: int, names: list[str], heard: Callable[[str, mqtt.MQTTMessage], None]) -> None:
        self.clients: dict[str, mqtt.Client] = {}
        self.selector = selectors.DefaultSelector()
        for name in names:
            one = client(port, name)
            one.on_message = lambda _client, _data, message, name=name: heard(name, message)
            self.clients[name] = one
            self.selector.register(one.socket(), selectors.EVENT_READ, one)
        self.turn(lambda: all(one.is_connected() for one in self.clients.values()), 60)

    def turn(self, over: Callable[[], bool], seconds: float) -> float:
        """Reads and writes until `over`; returns how long it took."""
        begin = time.monotonic()
        while not over():
            assert time.monotonic() - begin < seconds, "the simulated doors do not get on"
            for key, _ in self.selector.select(0.01):
                key.data.loop_read()
            for one in self.clients.values():
                if one.want_write():
                    one.loop_write()
        return time.monotonic() - begin

    def close(self) -> None:
        for one in self.clients.values():
            one.disconnect()


def chain(count: int) -> list[list[Any]]:
    """Rows as they travel."""
    digest, rows = NOTHING, []
    for seq in range(1, count + 1):
        fields = '{"COUNT":5,"DETECTIONS":7,"FRAME_AGE_MS":71,"PERSON_ID":7,"PURPOSE":"door","SIMILARITY_SHARE":0.875}'
        row = Row(
            seq=seq, wall_ms=1_790_000_000_000 + seq, trusted=True, mono_ms=seq, boot="b007b007", kind="visit.granted",
            fields=fields, tag=bytes(16),
        )  # fmt: skip
        digest = link(digest, row.record)
        rows.append(wire(replace(row, hash=digest)))
    return rows


def logs_of(site: SeveralDoors, names: list[str]) -> Table:
    """Every simulated door has its rows collected, all at the same time."""
    rows = chain(ROWS_OF_EACH)
    senders: dict[str, LogSender] = {}

    def ask(_action: str, *, after: int, **_: Any) -> dict[str, Any]:
        before = rows[after - 1][7] if after else NOTHING.hex()
        plain = {"after": after, "before": before, "last": ROWS_OF_EACH, "base": [0, NOTHING.hex()]}
        return {**plain, "rows": rows[after : after + 250]}

    doors = Wire(site.port, names, lambda name, message: senders[name].heard(bytes(message.payload)))
    for name, one in doors.clients.items():

        def publish(message: Any, one: mqtt.Client = one, name: str = name) -> bool:
            one.publish(f"facelatch/{name}/log", json.dumps(message), qos=1)
            return True

        one.subscribe(f"facelatch/{name}/log/ack", qos=1)
        senders[name] = LogSender(ask, publish, names=False)
    all_rows = len(names) * ROWS_OF_EACH
    checked = [0.0, 0.0]

    def over() -> bool:
        now = time.monotonic()
        for one in senders.values():
            one.turn(ROWS_OF_EACH, now)
        if now - checked[0] > 0.25:
            checked[:] = [now, rows_collected(site.collected)]
        return checked[1] >= all_rows

    took = doors.turn(over, 120)
    table = [
        (f"{len(names)} doors send {ROWS_OF_EACH} rows each at once, all collected after", f"{took:.1f} s"),
        ("that is", f"{all_rows / took:,.0f} rows/s"),
        ("the collector's memory then", f"{resident_mb(site.running['collector'].pid):.1f} MB"),
        ("the broker's memory then", f"{resident_mb(site.running['broker'].pid):.1f} MB"),
        ("a row in the collector's file", f"{site.collected.stat().st_size / all_rows:.0f} bytes"),
    ]
    doors.close()
    return table


def envelopes_to(site: SeveralDoors, names: list[str]) -> Table:
    """A message of an envelope's size to all who are connected; and all that is retained to one who comes."""
    arrived: dict[str, float] = {}
    doors = Wire(site.port, names, lambda name, _message: arrived.setdefault(name, time.monotonic()) and None)
    for one in doors.clients.values():
        one.subscribe("facelatch/fleet/people/#", qos=1)
    settle = time.monotonic() + 2
    doors.turn(lambda: time.monotonic() > settle, 60)
    first, last = [], []
    enroller = client(site.port, "enroller")
    enroller.loop_start()
    for number in range(5):
        arrived.clear()
        begin = time.monotonic()
        enroller.publish(f"facelatch/fleet/people/{number}", os.urandom(ENVELOPE_BYTES), qos=1)
        doors.turn(lambda: len(arrived) == len(names), 60)
        first.append(min(arrived.values()) - begin)
        last.append(max(arrived.values()) - begin)
    doors.close()
    for number in range(PEOPLE):
        topic = f"facelatch/fleet/people/{number}"
        enroller.publish(topic, os.urandom(ENVELOPE_BYTES), qos=1, retain=True).wait_for_publish()
    count, done = [0], threading.Event()

    def heard(*_: object) -> None:
        count[0] += 1
        if count[0] == PEOPLE:
            done.set()

    fresh = client(site.port, "fresh")
    fresh.on_message = heard
    begin = time.monotonic()
    fresh.subscribe("facelatch/fleet/people/#", qos=1)
    fresh.loop_start()
    assert done.wait(60)
    took = time.monotonic() - begin
    fresh.loop_stop()
    enroller.loop_stop()
    return [
        (f"16 KiB to {len(names)} connected doors: the first, the last (median of 5)",
         f"{statistics.median(first):.2f} s, {statistics.median(last):.2f} s"),
        (f"{PEOPLE} retained messages of 16 KiB to one that comes", f"{took:.2f} s"),
        ("the broker's memory with these", f"{resident_mb(site.running['broker'].pid):.1f} MB"),
    ]  # fmt: skip


def simulated(folder: Path, count: int) -> Table:
    site = SeveralDoors(folder, 0)
    names = [f"far-{number:03d}" for number in range(count)]
    with closing(site):
        site.start_again("broker")
        until(lambda: "running" in (folder / "broker.log").read_text(), 10, "the broker listens")
        site.start_again("collector")
        until(lambda: "collector" in (folder / "broker.log").read_text(), 20, "the collector is there")
        return [*logs_of(site, names), *envelopes_to(site, names)]


def main() -> None:
    bridges, far = (int(sys.argv[at]) if len(sys.argv) > at else default for at, default in ((1, 20), (2, 500)))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as another:
        for left, right in (*with_bridges(Path(one), bridges), *simulated(Path(another), far)):
            print(f"{left:<72} {right:>18}")


if __name__ == "__main__":
    main()
