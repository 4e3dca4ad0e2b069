"""The bridge's part in one gallery for all doors: carries envelopes between broker and daemon, and opens none.

What comes from the broker goes to the daemon, which verifies it. Where the daemon enrols, what the broker lacks of the
daemon's envelopes is published, retained, so that a broker that was restored from a backup gets back what it has
forgotten. Each door tells in a retained message how its gallery stands, and gives a receipt for each revocation.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from facelatch.control.client import every_page
from facelatch.errors import FacelatchError
from facelatch.streams import say

TOPIC = "facelatch/fleet/people"
_TOPIC = re.compile(rf"{TOPIC}/([0-9a-f]{{32}})")

MOST_BYTES = 256 * 1024
"""Of one message; others are left out."""
MOST_WAITING_BYTES = 4 * 1024 * 1024
"""Of messages that the daemon has not got yet; of more the broker is asked again."""
MOST_KNOWN = 40_000
"""People on the broker whose envelopes are remembered by their sha256."""

BATCH, BATCH_BYTES, FETCHED = 64, 1024 * 1024, 16
PAUSE_SECONDS = 0.25
SETTLED_SECONDS = 2.0
"""How long the broker must be silent after a connection until it has told all it has."""
AGAIN_SECONDS = 60.0
"""Before the same envelope is published once more: two doors that disagree must not shout each other down."""

LOOK_AGAIN_SECONDS = 600.0
"""How often the broker is asked for everything while the daemon has not taken it all: it may have a newer key now."""

Ask = Callable[..., tuple[dict[str, Any], bytes]]
"""Asks the daemon: (action, bulk, **fields) to reply and what came along. Raises FacelatchError."""


class Wire(Protocol):
    """What is needed of the broker."""

    @property
    def connected(self) -> bool:
        """Whether it can be reached now."""

    def listen(self, topic: str, heard: Callable[[str, bytes], None], begun: Callable[[], None]) -> None:
        """From every connection on, before which `begun()` is called; `heard(topic, message)`; from another thread."""

    def again(self, topic: str) -> None:
        """Asks for what is retained once more."""

    def send(self, topic: str, message: bytes) -> None:
        """Publishes retained bytes."""

    def publish(self, topic: str, message: dict[str, Any], *, retain: bool) -> object:
        """Publishes JSON."""


class People:
    """Between one daemon and one broker. `turn` is for one thread; what is heard may come from another."""

    def __init__(self, door: str, ask: Ask, wire: Wire, clock: Callable[[], float] = time.monotonic) -> None:
        self._door, self._ask, self._wire, self._clock = door, ask, wire, clock
        self._lock, self.woken = threading.Lock(), threading.Event()
        self._waiting: dict[str, bytes] = {}
        self._on_broker: dict[str, str] = {}
        self._overflown = False
        self._quiet_since, self._settled = clock(), False
        self._index: dict[str, tuple[str, int]] = {}
        self._digest = ""
        self._published: dict[str, tuple[str, float]] = {}
        self._told: dict[str, Any] | None = None
        self._looked = clock()
        self._complaint = ""
        wire.listen(f"{TOPIC}/+", self.heard, self.connected)

    def connected(self) -> None:
        """The broker may have forgotten everything."""
        with self._lock:
            self._on_broker.clear()
            self._published.clear()
            self._told, self._quiet_since, self._settled = None, self._clock(), False
        self.woken.set()

    def heard(self, topic: str, message: bytes) -> None:
        """Takes a message of the broker; what is none of ours is left out."""
        found = _TOPIC.fullmatch(topic)
        if found is None or len(message) > MOST_BYTES:
            return
        uuid, digest = found[1], hashlib.sha256(message).hexdigest()
        with self._lock:
            self._quiet_since = self._clock()
            if uuid in self._on_broker or len(self._on_broker) < MOST_KNOWN:
                self._on_broker[uuid] = digest
            if not message or self._index.get(uuid, ("", 0))[0] == digest:
                return
            size = sum(map(len, self._waiting.values())) - len(self._waiting.get(uuid, b""))
            if size + len(message) > MOST_WAITING_BYTES:
                self._overflown = True
                return
            self._waiting[uuid] = message
        self.woken.set()

    def turn(self) -> None:
        """Hands over what was heard, and publishes what lacks. Never raises for a door that does not answer."""
        try:
            while self._apply():
                pass
            self._compare()
            self._complain("")
        except FacelatchError as error:
            self._complain(f"{error} ({error.hint})")

    def _apply(self) -> bool:
        """Hands one batch over; whether more waits. Messages that the daemon did not get stay."""
        with self._lock:
            batch, size = dict[str, bytes](), 0
            for uuid, message in self._waiting.items():
                if batch and (size + len(message) > BATCH_BYTES or len(batch) == BATCH):
                    break
                batch[uuid], size = message, size + len(message)
        if not batch:
            return False
        told = [{"uuid": uuid, "size": len(message)} for uuid, message in batch.items()]
        reply, _ = self._ask("apply_people", b"".join(batch.values()), envelopes=told)
        with self._lock:
            for uuid, message in batch.items():
                if self._waiting.get(uuid) is message:
                    del self._waiting[uuid]
            again, self._overflown = self._overflown and not self._waiting, self._overflown and bool(self._waiting)
            more = bool(self._waiting)
        for one in reply["results"]:
            if one["outcome"] == "revoked":
                receipt = {"revoked": True, "version": one["version"], "overwritten": reply["overwritten"]}
                self._wire.publish(f"facelatch/{self._door}/receipts/{one['uuid']}", receipt, retain=True)
        if again:
            self._wire.again(f"{TOPIC}/+")
        return more

    def _compare(self) -> None:
        reply, _ = self._ask("fleet_people", None, unless=self._digest)
        if reply["digest"] != self._digest:
            self._read_index(reply)
        told = {key: reply[key] for key in ("count", "revoked", "held", "digest", "overwritten")}
        if told != self._told and self._wire.connected:
            self._wire.publish(f"facelatch/{self._door}/people", told, retain=True)
            self._told = told
        if reply["enrols"] and self._wire.connected:
            self._publish_what_lacks()
        self._look_again()

    def _look_again(self) -> None:
        with self._lock:
            if self._clock() - self._looked < LOOK_AGAIN_SECONDS:
                return
            self._looked = self._clock()
            same = all(self._index.get(uuid, ("", 0))[0] == digest for uuid, digest in self._on_broker.items())
        if not same:
            self._wire.again(f"{TOPIC}/+")

    def _read_index(self, first: dict[str, Any]) -> None:
        def page(begin: dict[str, Any]) -> dict[str, Any]:
            return self._ask("fleet_people", None, **begin)[0] if begin else first

        rows = [row for reply in every_page(page, "after") for row in reply["people"]]
        with self._lock:
            self._index = {row["uuid"]: (row["sha256"], row["version"]) for row in rows}
        self._digest = first["digest"]

    def _publish_what_lacks(self) -> None:
        now = self._clock()
        with self._lock:
            if self._waiting or self._overflown:
                return
            self._settled |= now - self._quiet_since >= SETTLED_SECONDS
            lacking = [
                uuid
                for uuid, (digest, _) in self._index.items()
                if self._on_broker.get(uuid) != digest and self._may_publish(uuid, digest, now)
            ][:FETCHED]
        if not lacking:
            return
        reply, bulk = self._ask("fleet_people", None, unless=self._digest, fetch=lacking)
        position = 0
        for one in reply["envelopes"]:
            message = bulk[position : position + one["size"]]
            position += one["size"]
            self._published[one["uuid"]] = (hashlib.sha256(message).hexdigest(), now)
            self._wire.send(f"{TOPIC}/{one['uuid']}", message)

    def _may_publish(self, uuid: str, digest: str, now: float) -> bool:
        """At once what is newer than on the broker; what seems to lack there only when it has told all it has."""
        before, when = self._published.get(uuid, ("", float("-inf")))
        if digest == before:
            return self._settled and now - when >= AGAIN_SECONDS
        return self._settled or uuid in self._on_broker

    def _complain(self, text: str) -> None:
        if text and text != self._complaint:
            say(f"people of the fleet: {text}")
        self._complaint = text

    def run(self, over: threading.Event) -> None:
        """Turns until `over`: at once when something was heard, else four times a second."""
        while not over.is_set():
            self.woken.clear()
            self.turn()
            self.woken.wait(PAUSE_SECONDS)
