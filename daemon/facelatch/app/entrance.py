"""What the loop needs of hours, readers and hashes, beside the machines: the world behind `Inputs.entrance`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from facelatch.app.free_hours import FreeHours
from facelatch.app.guests import Guests
from facelatch.audit.events import Event, EventKind, fault
from facelatch.controller.state import Entrance
from facelatch.errors import FacelatchError
from facelatch.gallery import credentials
from facelatch.gallery.credentials import Hasher
from facelatch.gallery.store import GalleryStore
from facelatch.ports import AuditSink, Clock, Reader, Wall
from facelatch.site.mode import Window
from facelatch.values.hours import Schedules
from facelatch.values.readers import Check, Checked, Result, Signal
from facelatch.values.records import Gallery

AGAIN_SECONDS = 10.0
"""After a reader could not be opened or read."""

Openers = Mapping[str, Callable[[], Reader]]
"""How each reader is opened, by the key that names it in the configuration."""


class EntranceDesk:
    """Reads readers and the clock, and has PINs compared on a thread of its own: that is slow on purpose."""

    def __init__(
        self,
        *,
        store: GalleryStore,
        audit: AuditSink,
        clock: Clock,
        wall: Wall,
        schedules: Schedules,
        openers: Openers,
        hasher: Callable[[], Hasher],
        guests: Guests,
        free: FreeHours | None = None,
    ) -> None:
        """`hasher` is made with the first PIN or card that is read. Readers are opened with the first turn."""
        self._store, self._audit, self._clock, self._wall = store, audit, clock, wall
        self._openers, self._hasher, self._guests = openers, hasher, guests
        self.schedules, self._free = schedules, free
        self._readers: dict[str, Reader] = {}
        self._lost: dict[str, float] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._answers: list[tuple[Check, Future[Result]]] = []
        self._at_once: list[Checked] = []

    def inputs(self, gallery: Gallery) -> Entrance:
        """What this turn brings in."""
        return Entrance(
            people=gallery.people,
            access=gallery.access,
            time=self._wall.local_time() if gallery.access else None,
            schedules=self.schedules,
            signals=tuple(self._signals()),
            checked=tuple(self._checked()),
        )

    def window(self) -> Window | None:
        """The time of free passage that the schedule names, if now is one."""
        if self._free is None:
            return None
        return self._free.window(self.schedules, self._wall.local_time(), self._clock.now())

    def check(self, checks: Sequence[Check]) -> None:
        """Begins to compare what was entered; the answers come with later turns."""
        for one in checks:
            try:
                self._begin(one)
            except FacelatchError as error:
                self._audit.write(fault("factor_not_checked", f"{error}; {error.hint}"))
                self._at_once.append(Checked(serial=one.serial, result=Result.FAILED, card=one.person is None))

    def changed(self, gallery: Gallery) -> bool:
        """Whether the gallery has to be loaded again, because a guest whose time was over was forgotten just now."""
        if not any(access.valid_until for access in gallery.access.values()):
            return False
        return self._guests.look(self._store, self._audit, self._wall.local_time(), self._clock.now())

    def view(self, gallery: Gallery) -> dict[str, Any]:
        """For the status: whether the clock that people with hours need can be trusted, and which readers are gone."""
        needed = any(access.needs_clock for access in gallery.access.values())
        trusted = self._wall.local_time().trusted
        clock = "not needed" if not needed else "trusted" if trusted else "not trusted"
        return {"clock": clock, "readers_lost": sorted(self._lost)}

    def close(self) -> None:
        """Gives the readers back; never raises."""
        for reader in self._readers.values():
            reader.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, check: Check) -> None:
        hasher = self._hasher()
        if check.person is None:
            holder = credentials.card_holder(self._store, *hasher.cards(check.code))
            self._at_once.append(Checked(serial=check.serial, result=Result.WRONG, holder=holder, card=True))
            return
        pins = credentials.pins_of(self._store, check.person)
        self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="hashing")
        self._answers.append((check, self._pool.submit(hasher.check, pins, check.code)))

    def _checked(self) -> list[Checked]:
        done, self._at_once = self._at_once, []
        waiting = []
        for check, future in self._answers:
            if future.done():
                done.append(Checked(serial=check.serial, result=self._result(future)))
            else:
                waiting.append((check, future))
        self._answers = waiting
        return done

    def _result(self, future: Future[Result]) -> Result:
        error = future.exception()
        if error is None:
            return future.result()
        said = f"{error}; {error.hint}" if isinstance(error, FacelatchError) else type(error).__name__
        self._audit.write(fault("factor_not_checked", said))
        return Result.FAILED

    def _signals(self) -> list[Signal]:
        found: list[Signal] = []
        for name, opened in self._openers.items():
            if self._lost.get(name, 0.0) > self._clock.now():
                continue
            try:
                if name not in self._readers:
                    self._readers[name] = opened()
                    if self._lost.pop(name, None) is not None:
                        self._audit.write(Event(EventKind.READER_BACK, {"DEVICE": name}))
                found += self._readers[name].signals()
            except (FacelatchError, OSError) as error:
                self._lose(name, error)
        return found

    def _lose(self, name: str, error: Exception) -> None:
        if (reader := self._readers.pop(name, None)) is not None:
            reader.close()
        if name not in self._lost:
            hint = error.hint if isinstance(error, FacelatchError) else "look at plug and cable"
            fields = {"DEVICE": name, "REASON": str(error), "HINT": hint}
            self._audit.write(Event(EventKind.READER_LOST, fields))
        self._lost[name] = self._clock.now() + AGAIN_SECONDS
