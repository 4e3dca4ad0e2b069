"""The ledger as an audit sink: what the loop writes waits in a queue, and a thread of its own puts it on the card."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from facelatch.audit.chain import Moment
from facelatch.audit.events import Event, EventKind
from facelatch.errors import LedgerError
from facelatch.ledger.keyfile import NOT_NOTED_HINT
from facelatch.ledger.sightings import Sightings, sightings
from facelatch.ledger.store import Entry, LedgerStore
from facelatch.ports import AuditSink

T = TypeVar("T")

MOST_WAITING = 4096
"""Events in memory while the card takes none; what comes then is counted, and missing."""

BEHIND_SECONDS = 0.5
"""How long events are collected before they are written together: each writing wears the card."""

RETRY_SECONDS = 5.0
PRUNE_SECONDS = 3600.0
END_SECONDS = 3.0
"""How long the end of the daemon waits for the card."""


@dataclass(frozen=True, slots=True)
class Terms:
    """From the configuration."""

    anchor_events: int = 64
    anchor_seconds: float = 300.0
    events_days: int = 0
    """0: nothing is removed for its age."""


class Ledger:
    """Passes each event on to `journal` at once, and adds it to the ledger within a second.

    Nothing that the loop calls waits for the card, or raises.
    """

    def __init__(self, journal: AuditSink, directory: Path, terms: Terms, moment: Callable[[], Moment]) -> None:
        self._journal, self._directory, self._terms = journal, directory, terms
        self.moment = moment
        """Now, by every clock."""
        self._changed = threading.Condition()
        self._waiting: deque[Entry] = deque()
        self._jobs: deque[tuple[Callable[[LedgerStore], Any], Future[Any]]] = deque()
        self._lost = 0
        self._ending = False
        self._thread: threading.Thread | None = None
        self._store: LedgerStore | None = None
        self._failing = ""
        self._retry_from = self._prune_from = 0.0
        self._anchored, self._anchored_at = 0, time.monotonic()
        self._seen = Sightings()
        self._view: dict[str, Any] = {}

    def write(self, event: Event) -> None:
        """To the journal now, to the ledger soon. Never raises, never waits for the card."""
        self._journal.write(event)
        entry = event, self.moment()
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self._lost += 1
            else:
                self._waiting.append(entry)
            self._changed.notify()

    def start(self) -> None:
        """Lets the thread open the file; events from before wait for that. Once; later calls do nothing."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._serve, name="ledger", daemon=True)
        self._thread.start()

    def start_if_possible(self) -> None:
        """The same where the directory is there; otherwise there has never been a ledger to write to."""
        if self._directory.is_dir():
            self.start()

    def ask(self, job: Callable[[LedgerStore], T]) -> Future[T]:
        """What `job` finds, once all events so far are written; raises LedgerError where the ledger cannot be read."""
        answer: Future[T] = Future()
        with self._changed:
            if self._thread is None or self._ending:
                answer.set_exception(LedgerError("the ledger is not open", hint="[audit] chain in facelatch.toml"))
            else:
                self._jobs.append((job, answer))
                self._changed.notify()
        return answer

    def view(self) -> dict[str, Any]:
        """For `facelatch status`: the last row's number and hash, whether it is written, and the key noted."""
        return dict(self._view)

    def seen(self) -> Sightings:
        """Who came when, as far as the ledger goes back."""
        return self._seen

    def close(self) -> None:
        """Writes what waits, as far as the card takes it within `END_SECONDS`; never raises, may be called twice."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(END_SECONDS)

    # What follows runs on the ledger's thread

    def _serve(self) -> None:
        while not self._ending:
            self._wait()
            self.turn()
        self._retry_from = 0.0
        self.turn()
        if self._store is not None:
            self._anchor(at_end=True)
            self._store.close()

    def _wait(self) -> None:
        """Until there is something to do, then a little longer for what comes with it."""
        begin = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._jobs or self._ending, 60.0 if self._store else 0.0)
            if self._waiting and not self._failing:
                self._changed.wait_for(lambda: self._jobs or self._ending, BEHIND_SECONDS)
            if self._failing and not self._jobs and not self._ending:
                self._changed.wait_for(lambda: self._ending, max(0.0, self._retry_from - begin))

    def turn(self) -> None:
        """Writes what waits and answers who asks."""
        with self._changed:
            asked = len(self._jobs)  # who asks while this is written has to wait for what came before the question
        try:
            self._write()
        except LedgerError as error:
            self._fail(error)
        except Exception as error:  # unforeseen: told like any other, and the thread lives on
            self._fail(LedgerError(type(error).__name__, hint="please report it"))
        self._answer(asked)

    def _write(self) -> None:
        now = time.monotonic()
        if self._failing and now < self._retry_from:
            return
        if self._store is None:
            self._open()
        with self._changed:
            entries, lost = list(self._waiting), self._lost
        gap = Event(EventKind.LEDGER_RESTORED, {"COUNT": lost})
        marked = [*entries, (gap, self.moment())] if self._failing or lost else entries
        assert self._store is not None
        if marked:
            self._store.add(marked)
        with self._changed:
            for _ in entries:
                self._waiting.popleft()
            self._lost -= lost
        if len(marked) > len(entries):
            self._failing = ""
            self._journal.write(gap)
        for event, when in marked:
            self._seen = self._seen.with_event(event, when)
        if self._terms.events_days and now >= self._prune_from:
            self._prune_from = now + PRUNE_SECONDS
            self._prune()
        self._anchor()
        self._show()

    def _open(self) -> None:
        self._store = store = LedgerStore(self._directory, self.moment())
        self._seen = sightings(store.connection)
        if store.begun:
            self._journal.write(Event(EventKind.LEDGER_STARTED, {"REASON": store.begun}))
        if store.cut:
            self._tell(Event(EventKind.LEDGER_RESTORED, {"COUNT": store.cut}))
        if not store.key_noted:
            self._tell(Event(EventKind.LEDGER_KEY_NOT_NOTED, {"HINT": NOT_NOTED_HINT}))

    def _tell(self, event: Event) -> None:
        """An event of the ledger's own: into the journal and the ledger."""
        assert self._store is not None
        self._journal.write(event)
        self._store.add([(event, self.moment())])

    def _prune(self) -> None:
        now = self.moment()
        assert self._store is not None
        if now.trusted and (event := self._store.prune(self._terms.events_days, now)):
            self._journal.write(event)

    def _anchor(self, *, at_end: bool = False) -> None:
        store, now = self._store, time.monotonic()
        assert store is not None
        due = store.seq - self._anchored >= self._terms.anchor_events
        due |= now - self._anchored_at >= self._terms.anchor_seconds or at_end
        if due and store.seq > self._anchored:
            self._anchored, self._anchored_at = store.seq, now
            self._journal.write(Event(EventKind.LEDGER_ANCHOR, {"SEQ": store.seq, "HASH": store.hash.hex()}))

    def _show(self) -> None:
        store = self._store
        assert store is not None
        self._view = {"seq": store.seq, "hash": store.hash.hex(), "written": True, "key_noted": store.key_noted}

    def _fail(self, error: LedgerError) -> None:
        """Told once; tried again and again."""
        self._retry_from = time.monotonic() + RETRY_SECONDS
        self._view = {**self._view, "written": False}
        if not self._failing:
            fields = {"REASON": str(error), "HINT": error.hint}
            self._journal.write(Event(EventKind.LEDGER_FAILED, fields))
        self._failing = str(error)

    def _answer(self, asked: int) -> None:
        for _ in range(asked):
            with self._changed:
                job, answer = self._jobs.popleft()
            try:
                if self._store is None:
                    raise LedgerError(f"the ledger cannot be read: {self._failing}", hint="`facelatch check`")
                answer.set_result(job(self._store))
            except Exception as error:
                answer.set_exception(error)
