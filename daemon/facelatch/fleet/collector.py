"""The collector: takes the logs of all doors from the broker, and answers each batch once it is on the disk."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Protocol

from facelatch.audit.collecting import Batch, Head, batch_of
from facelatch.errors import InputError
from facelatch.streams import say

LOG = re.compile(r"facelatch/([a-z0-9-]{1,32})/log")
"""Topics of logs, with the name of the door, which the broker's rights bind to its certificate."""

TOPICS = "facelatch/+/log"

MOST_BYTES = 256 * 1024
"""Of a message; a batch has half of it."""

MOST_COMPLAINTS = 1_000
PRUNE_MS = 3_600_000


class Outcome(Protocol):
    """What became of a batch."""

    seq: int
    taken: bool
    findings: tuple[str, ...]


class Store(Protocol):
    """Where rows are kept."""

    def head(self, door: str) -> Head:
        """The last row of a door."""

    def take(self, door: str, batch: Batch, now_ms: int) -> Any:
        """Adds a batch; gives an Outcome."""

    def prune(self, now_ms: int) -> int:
        """Removes what is too old."""


class Collector:
    """Between the broker and the file."""

    def __init__(self, store: Store, now_ms: Callable[[], int]) -> None:
        """`now_ms` is the wall clock, Unix time in milliseconds."""
        self._store, self._now_ms = store, now_ms
        self._complained: set[str] = set()
        self._prune_from = 0

    def answer(self, topic: str, payload: bytes) -> tuple[str, dict[str, int]] | None:
        """Topic and message of the answer; None where there is none. Raises LedgerError: the disk takes nothing."""
        found = LOG.fullmatch(topic)
        if found is None:
            return None
        door, now_ms = found[1], self._now_ms()
        if now_ms >= self._prune_from:
            self._prune_from = now_ms + PRUNE_MS
            self._store.prune(now_ms)
        try:
            if len(payload) > MOST_BYTES:
                raise ValueError("too large")
            message = json.loads(payload)
            if message == {"ask": True}:
                return f"{topic}/ack", {"head": self._store.head(door).seq}
            batch = batch_of(message)
        except (ValueError, RecursionError) as error:
            self._complain(f"{door}: sent what is no log: {error}")
            return None
        try:
            outcome: Outcome = self._store.take(door, batch, now_ms)
        except InputError as error:
            self._complain(f"{error} ({error.hint})")
            return None
        for finding in outcome.findings:
            say(f"{door}: {finding}")
        return f"{topic}/ack", {"taken" if outcome.taken else "head": outcome.seq}

    def _complain(self, text: str) -> None:
        """Once each."""
        if text not in self._complained and len(self._complained) < MOST_COMPLAINTS:
            self._complained.add(text)
            say(text)
