"""The bridge's own loop: asks the daemon every second, and hands on what is new. It is asked nothing by anybody."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from facelatch.control.client import ControlClient
from facelatch.errors import FacelatchError
from facelatch.fleet import homeassistant, notify
from facelatch.fleet.broker import Broker
from facelatch.fleet.feed import Feed
from facelatch.fleet.log import PRESENCE, LogSender
from facelatch.fleet.notify import Notifier
from facelatch.fleet.people import People
from facelatch.fleet.settings import Settings
from facelatch.streams import say

PAUSE_SECONDS = 1.0
LOG_PAUSE_SECONDS = 0.05
"""Between two batches of a log that has to catch up: the door has other things to do."""

ANSWER_SECONDS = 10.0
LAST_ROWS = 100
"""In which a bridge that starts looks for whoever came last."""

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
        self._began = False
        """Whether it is known who came last before the bridge was started."""
        self._published: dict[str, Any] | None = None
        self._complaints: dict[str, str] = {}
        self.log = LogSender(lambda action, **fields: self._ask(action, **fields), self._publish_log,
                             names=settings.publish_names)  # fmt: skip
        self._newest: int | None = None
        """The last row of the door's ledger."""

    def forget_published(self) -> None:
        """The broker may know nothing any more: all is published anew with the next turn."""
        self._published = None

    def turn(self) -> None:
        """Looks once. Never raises for a door that does not answer."""
        status: dict[str, Any] | None = None
        rows: list[dict[str, Any]] = []
        try:
            status = self._ask("status")
            self._newest = status.get("ledger", {}).get("seq")
            if not self._began:
                before = self._ask("history", most=LAST_ROWS)["events"]
                self._last_person, self._began = homeassistant.last_person(self._settings, before), True
            rows = self._feed.new()
            if self._newest is not None and rows:  # written since
                self._newest = max(self._newest, rows[-1]["seq"])
            self._complain("door", "")
        except FacelatchError as error:
            self._complain("door", f"{error} ({error.hint})")
        self._last_person = homeassistant.last_person(self._settings, rows[::-1]) or self._last_person
        self._publish_state(homeassistant.state(status, self._last_person))
        self._hand_on(rows)

    def log_turn(self) -> None:
        """Sends what is due of the ledger. Never raises for a door that does not answer."""
        if self._broker is None or not self._settings.log or self._newest is None:
            return
        try:
            self.log.turn(self._newest, time.monotonic())
            self._complain("log", "")
        except FacelatchError as error:
            self._complain("log", f"{error} ({error.hint})")

    def _publish_log(self, message: Mapping[str, Any]) -> bool:
        assert self._broker is not None
        return self._broker.publish_alone(homeassistant.topic(self._settings, "log"), message)

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

    def _complain(self, about: str, text: str) -> None:
        """What hinders, once each time it changes."""
        if text and text != self._complaints.get(about):
            say(text)
        self._complaints[about] = text


def run(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises ConfigError."""
    over, wake = threading.Event(), threading.Event()

    def end(*_: object) -> None:
        over.set()
        wake.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, end)
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
        if broker is not None and settings.log:
            _collected(bridge, settings, broker, wake)
        with _sharing(settings, broker, end):
            due = time.monotonic()
            while not over.is_set():
                if time.monotonic() >= due:
                    due = time.monotonic() + PAUSE_SECONDS
                    bridge.turn()
                bridge.log_turn()
                if wake.wait(max(0.0, due - time.monotonic())):
                    wake.clear()
                    over.wait(LOG_PAUSE_SECONDS)


@contextmanager
def _sharing(settings: Settings, broker: Broker | None, end: Callable[[], None]) -> Iterator[None]:
    """Envelopes of people, on a thread of their own: a revocation waits for no visit to be delivered.

    `end` is called when that thread ends, also by a fault: the bridge then begins anew, and does not look well
    without it.
    """
    if broker is None or settings.people == "none":
        yield
        return
    client = ControlClient(Path(settings.socket))

    def ask(action: str, bulk: bytes | None, **fields: Any) -> tuple[dict[str, Any], bytes]:
        with ASKING:
            return client.fetch({"action": action, **fields}, bulk, timeout_seconds=APPLY_SECONDS)

    one, over = People(settings.door, ask, broker), threading.Event()

    def shared() -> None:
        try:
            one.run(over)
        finally:
            end()

    thread = threading.Thread(target=shared, name="people", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        one.woken.set()
        thread.join(ANSWER_SECONDS)


def _collected(bridge: Bridge, settings: Settings, broker: Broker, wake: threading.Event) -> None:
    """Lets the bridge hear its collector."""

    def acknowledged(_topic: str, message: bytes) -> None:
        bridge.log.heard(message)
        wake.set()

    def begun(*_: object) -> None:
        bridge.log.connected()
        wake.set()

    broker.listen(homeassistant.topic(settings, "log", "ack"), acknowledged, begun)
    broker.listen(PRESENCE, begun, begun)
