"""What the bridge carries between broker and daemon: everything once, again after a loss, and never without measure."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelatch.config.fleet import FleetConfig
from facelatch.errors import ControlError
from facelatch.fleet import bridge as running
from facelatch.fleet import people
from facelatch.fleet.people import TOPIC, People
from facelatch.fleet.settings import of_values

A, B = "a" * 32, "b" * 32


def sha(message: bytes) -> str:
    return hashlib.sha256(message).hexdigest()


class Daemon:
    """Has envelopes whose first byte is their version, and takes the higher one."""

    def __init__(self, *, enrols: bool = True) -> None:
        self.people: dict[str, bytes] = {}
        self.enrols, self.away, self.asked = enrols, False, list[tuple[str, dict[str, Any]]]()

    def ask(self, action: str, bulk: bytes | None, **fields: Any) -> tuple[dict[str, Any], bytes]:
        self.asked.append((action, fields))
        if self.away:
            raise ControlError("away")
        return (self._apply(bulk or b"", fields), b"") if action == "apply_people" else self._index(fields)

    def _apply(self, bulk: bytes, fields: dict[str, Any]) -> dict[str, Any]:
        results, position = [], 0
        for one in fields["envelopes"]:
            message, position = bulk[position : position + one["size"]], position + one["size"]
            outcome = "refused" if message.startswith(b"forged") else "old"
            if outcome == "old" and message > self.people.get(one["uuid"], b""):
                outcome, self.people[one["uuid"]] = ("revoked" if b"gone" in message else "added"), message
            results.append({"uuid": one["uuid"], "outcome": outcome, "version": 1})
        return {"results": results, "overwritten": True}

    def _index(self, fields: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        digest = sha(repr(sorted(self.people.items())).encode())
        rows = [{"uuid": u, "version": 1, "revoked": False, "sha256": sha(m)} for u, m in sorted(self.people.items())]
        fetched = [(u, self.people[u]) for u in fields.get("fetch", [])]
        return {
            "enrols": self.enrols,
            "count": len(rows),
            "revoked": 0,
            "held": 0,
            "digest": digest,
            "overwritten": True,
            "people": rows if fields.get("unless") != digest else [],
            "next": None,
            "envelopes": [{"uuid": u, "size": len(m)} for u, m in fetched],
        }, b"".join(m for _, m in fetched)


class Broker:
    """Keeps what is retained, and tells every listener at once."""

    def __init__(self) -> None:
        self.retained: dict[str, bytes] = {}
        self.listeners: list[Any] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.connected, self.sent = True, 0

    def listen(self, _topic: str, heard: Any, _begun: Any) -> None:
        self.listeners.append(heard)
        self.again(_topic)

    def again(self, _topic: str) -> None:
        for heard in self.listeners:
            for topic, message in list(self.retained.items()):
                heard(topic, message)

    def send(self, topic: str, message: bytes) -> None:
        self.sent += 1
        self.retained[topic] = message
        for heard in self.listeners:
            heard(topic, message)

    def publish(self, topic: str, message: dict[str, Any], *, retain: bool) -> None:
        assert retain
        self.told.append((topic, message))


class Site:
    """Doors on one broker, with a clock of its own."""

    def __init__(self, *doors: str) -> None:
        self.now, self.broker = 0.0, Broker()
        self.daemons = {name: Daemon(enrols=name != "garage") for name in doors}
        self.bridges = {
            name: People(name, daemon.ask, self.broker, lambda: self.now) for name, daemon in self.daemons.items()
        }

    def turns(self, count: int = 12) -> None:
        for _ in range(count):
            self.now += people.PAUSE_SECONDS
            for bridge in self.bridges.values():
                bridge.turn()


def test_what_one_daemon_has_gets_to_the_other_by_the_broker() -> None:
    site = Site("front", "garage")
    site.daemons["front"].people[A] = b"1"
    site.turns()
    assert site.daemons["garage"].people == {A: b"1"}
    assert ("facelatch/garage/people", "count") in {(topic, "count") for topic, _ in site.broker.told}


def test_a_change_is_published_with_the_next_turn() -> None:
    """A revocation does not wait until the broker has been silent."""
    site = Site("front", "garage")
    site.daemons["front"].people[A] = b"1"
    site.turns()
    site.daemons["front"].people[A] = b"2gone"
    site.turns(1)
    assert site.daemons["garage"].people == {A: b"2gone"}
    assert f"facelatch/garage/receipts/{A}" in [topic for topic, _ in site.broker.told]


def test_a_broker_restored_from_a_backup_gets_back_what_it_has_forgotten() -> None:
    site = Site("front", "garage")
    site.daemons["front"].people |= {A: b"1", B: b"1"}
    site.turns()
    site.daemons["front"].people[A] = b"2gone"
    site.turns()
    site.broker.retained = {f"{TOPIC}/{A}": b"1"}
    for bridge in site.bridges.values():
        bridge.connected()
    site.broker.again("")
    site.turns()
    assert site.daemons["garage"].people == {A: b"2gone", B: b"1"}
    assert site.broker.retained == {f"{TOPIC}/{A}": b"2gone", f"{TOPIC}/{B}": b"1"}


def test_a_door_that_only_follows_publishes_nobody() -> None:
    site = Site("garage")
    site.daemons["garage"].people[A] = b"1"
    site.turns()
    assert site.broker.retained == {}


def test_what_an_attacker_leaves_on_the_broker_is_replaced_but_not_in_a_race() -> None:
    """Once a minute: two doors that disagree must not shout each other down."""
    site = Site("front")
    site.daemons["front"].people[A] = b"1"
    site.turns()
    for _ in range(50):
        site.broker.retained[f"{TOPIC}/{A}"] = b"forged"
        site.broker.again("")
        site.turns(1)
    before = site.broker.sent
    assert before <= 2
    site.turns(4 * 61)
    assert site.broker.retained[f"{TOPIC}/{A}"] == b"1"
    site.turns(100)
    assert site.broker.sent <= before + 1


def test_a_daemon_that_is_away_gets_everything_when_it_is_back() -> None:
    site = Site("front", "garage")
    site.daemons["front"].people[A] = b"1"
    site.daemons["garage"].away = True
    site.turns()
    site.daemons["garage"].away = False
    site.turns(1)
    assert site.daemons["garage"].people == {A: b"1"}


def test_a_flood_takes_a_few_megabytes_at_most_and_everything_arrives_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(people, "MOST_WAITING_BYTES", 1000)
    monkeypatch.setattr(people, "BATCH_BYTES", 300)
    site = Site("garage")
    everybody = {f"{number:032x}": b"1" * 90 for number in range(100)}
    site.broker.retained = {f"{TOPIC}/{uuid}": message for uuid, message in everybody.items()}
    site.broker.again("")
    bridge = site.bridges["garage"]
    assert sum(map(len, bridge._waiting.values())) <= 1000
    site.turns(40)
    assert site.daemons["garage"].people == everybody


def test_what_a_daemon_could_not_open_is_brought_again_later() -> None:
    """It may have got the newer key meanwhile."""
    site = Site("garage")
    daemon, refuse = site.daemons["garage"], Daemon._apply
    daemon._apply = lambda bulk, fields: {  # type: ignore[method-assign]
        "results": [{"uuid": A, "outcome": "refused"}],
        "overwritten": True,
    }
    site.broker.retained = {f"{TOPIC}/{A}": b"1"}
    site.broker.again("")
    site.turns()
    assert daemon.people == {}
    daemon._apply = lambda bulk, fields: refuse(daemon, bulk, fields)  # type: ignore[method-assign]
    site.turns(int(people.LOOK_AGAIN_SECONDS / people.PAUSE_SECONDS) + 1)
    assert daemon.people == {A: b"1"}


@pytest.mark.parametrize(
    "topic", [f"{TOPIC}/{'A' * 32}", f"{TOPIC}/{A}/more", f"{TOPIC}/../{A}", f"{TOPIC}/{A}\n", "facelatch/front/state"]
)
def test_a_topic_that_is_none_of_ours_reaches_no_daemon(topic: str) -> None:
    site = Site("garage")
    site.bridges["garage"].heard(topic, b"1")
    site.bridges["garage"].heard(f"{TOPIC}/{A}", bytes(people.MOST_BYTES + 1))
    site.turns()
    assert all(action != "apply_people" for action, _ in site.daemons["garage"].asked)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.sampled_from(["front", "back", "garage"]), st.sampled_from([A, B]), st.integers(1, 9)), max_size=8
    ),
    st.lists(st.booleans(), min_size=8, max_size=8),
)
@settings(max_examples=40, deadline=None)
def test_whatever_changes_where_all_doors_come_to_the_same(
    changes: list[tuple[str, str, int]], restored: list[bool]
) -> None:
    """With a broker that forgets everything in between."""
    site = Site("front", "back", "garage")
    for (door, uuid, version), forgets in zip(changes, restored, strict=False):
        daemon = site.daemons[door]
        if daemon.enrols:
            daemon.people[uuid] = max(daemon.people.get(uuid, b""), str(version).encode())
        site.turns(1)
        if forgets:
            site.broker.retained.clear()
            for bridge in site.bridges.values():
                bridge.connected()
    site.turns(4 * 65)
    assert site.daemons["front"].people == site.daemons["back"].people == site.daemons["garage"].people


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bridge_whose_people_fail_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look well, and a revocation would never arrive."""

    def fails(_self: People, _over: threading.Event) -> None:
        raise RuntimeError("never foreseen")

    monkeypatch.setattr(People, "run", fails)
    told = FleetConfig(door="front", broker="localhost", people="follow", membership="/nowhere").model_dump()
    asked = of_values({**told, "socket": "/nowhere", "state_directory": "/nowhere", "version": "1"})
    ended = threading.Event()
    with running._sharing(asked, Broker(), ended.set):  # type: ignore[arg-type]
        assert ended.wait(10)
