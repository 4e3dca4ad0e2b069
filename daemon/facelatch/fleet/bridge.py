"""The bridge's own loop: asks the daemon every second, and hands on what is new. It is asked nothing by anybody."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from facelatch.control.client import ControlClient
from facelatch.errors import FacelatchError
from facelatch.fleet import homeassistant, notify
from facelatch.fleet.broker import Broker
from facelatch.fleet.feed import Feed
from facelatch.fleet.notify import Notifier
from facelatch.fleet.people import People
from facelatch.fleet.settings import Settings

PAUSE_SECONDS = 1.0
ANSWER_SECONDS = 10.0
DELIVERY_SECONDS = 5.0
APPLY_SECONDS = 60.0

ASKING = threading.Lock()
"""One thread asks at a time: the daemon has two places for a user, and one shall be left for a person at a terminal."""


class Bridge:
    """Between one door and one broker."""

    def __init__(self, settings: Settings, broker: Broker | None, notifier: Notifier) -> None:
        """Without a broker it only notifies."""
        client = ControlClient(Path(settings.socket))

        def ask(action: str, **fields: Any) -> dict[str, Any]:
            with ASKING:
                return client.ask({"action": action, **fields}, timeout_seconds=ANSWER_SECONDS)

        self._settings, self._ask, self._broker, self._notifier = settings, ask, broker, notifier
        self._feed = Feed(Path(settings.state_directory), ask)
        self._last_person: str | None = None
        self._published: dict[str, Any] | None = None
        self._complaint = ""

    def forget_published(self) -> None:
        """The broker may know nothing any more: all is published anew with the next turn."""
        self._published = None

    def turn(self) -> None:
        """Looks once. Never raises for a door that does not answer."""
        status: dict[str, Any] | None = None
        rows: list[dict[str, Any]] = []
        try:
            status = self._ask("status")
            rows = self._feed.new()
            self._complain("")
        except FacelatchError as error:
            self._complain(f"{error} ({error.hint})")
        for row in rows:
            if row["event"] == "visit.granted":
                self._last_person = homeassistant.who(self._settings, row)
        self._publish_state(homeassistant.state(status, self._last_person))
        self._hand_on(rows)

    def _publish_state(self, state: dict[str, Any]) -> None:
        if self._broker is None or state == self._published:
            return
        if self._published is None and self._settings.discovery_prefix:
            self._broker.publish(*homeassistant.discovery(self._settings), retain=True)
        self._broker.publish(homeassistant.topic(self._settings, "state"), state, retain=True)
        self._published = state

    def _hand_on(self, rows: list[dict[str, Any]]) -> None:
        """Each row to the broker and to whoever is notified; the cursor follows what the broker has taken."""
        for row in rows:
            visit = homeassistant.visit(self._settings, row)
            if self._broker is not None and visit is not None:
                handed = self._broker.publish(
                    homeassistant.topic(self._settings, "event"), visit, retain=False
                )
                try:
                    handed.wait_for_publish(DELIVERY_SECONDS)
                except (RuntimeError, ValueError):
                    return  # not connected, or too much waits: the same rows again with the next turn
                if not handed.is_published():
                    return
            if notify.wanted(self._settings, row["event"]):
                self._notifier.tell(homeassistant.told(self._settings, row), time.monotonic())
            self._feed.delivered(row["seq"])

    def _complain(self, text: str) -> None:
        """What hinders, once each time it changes."""
        if text and text != self._complaint:
            print(text, file=sys.stderr, flush=True)
        self._complaint = text


def run(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises ConfigError."""
    over = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: over.set())
    bridges: list[Bridge] = []

    def connected() -> None:
        for bridge in bridges:
            bridge.forget_published()

    with (
        closing(Notifier(settings)) as notifier,
        closing(Broker(settings, connected)) if settings.broker else nullcontext() as broker,
    ):
        bridge = Bridge(settings, broker, notifier)
        bridges.append(bridge)
        with _sharing(settings, broker):
            while not over.is_set():
                bridge.turn()
                over.wait(PAUSE_SECONDS)


@contextmanager
def _sharing(settings: Settings, broker: Broker | None) -> Iterator[None]:
    """Envelopes of people, on a thread of their own: a revocation waits for no visit to be delivered."""
    if broker is None or settings.people == "none":
        yield
        return
    client = ControlClient(Path(settings.socket))

    def ask(action: str, bulk: bytes | None, **fields: Any) -> tuple[dict[str, Any], bytes]:
        with ASKING:
            return client.fetch({"action": action, **fields}, bulk, timeout_seconds=APPLY_SECONDS)

    one, over = People(settings.door, ask, broker), threading.Event()
    thread = threading.Thread(target=one.run, args=(over,), name="people", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        one.woken.set()
        thread.join(ANSWER_SECONDS)
