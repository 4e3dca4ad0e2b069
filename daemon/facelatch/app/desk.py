"""Where the loop answers local clients, and works on what they leave to be done: a little each turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from facelatch.api import door, generation, retention
from facelatch.api.admission import Admission, traces
from facelatch.api.aim import Preview
from facelatch.api.answer import Answer, Work, about
from facelatch.api.exports import Exports
from facelatch.api.fleet_people import Fleet, started
from facelatch.api.importing import Importing
from facelatch.api.traces import Traces
from facelatch.audit.events import Event, EventKind, fault
from facelatch.config.file import Config, in_force
from facelatch.controller.situation import EnrolmentView
from facelatch.controller.state import Command
from facelatch.errors import GalleryError
from facelatch.gallery.store import GalleryStore
from facelatch.ledger.writer import Ledger
from facelatch.line import household
from facelatch.line.admission import Judge
from facelatch.machines.enrolment_states import StartEnrolment
from facelatch.ports import AuditSink, Clock, Control, ModeMemory, Request
from facelatch.sharing.membership import Membership
from facelatch.values.records import Gallery

WORK_SECONDS = 0.1
"""How long a turn may work on what takes longer, so that the next frame is still judged in time."""

EVENTS_A_TURN = 50
"""An import of thousands of people has an event for each."""

UNUSED_SECONDS = 3600.0
"""How often is looked for people who do not come any more."""

WIPE_AGAIN_SECONDS = 600.0
"""After a wipe that failed."""


class Desk:
    """Local clients, and the gallery as the loop has it in memory."""

    def __init__(
        self,
        *,
        store: GalleryStore,
        judge: Judge,
        audit: AuditSink,
        clock: Clock,
        config: Config,
        ledger: Ledger | None = None,
        modes: ModeMemory | None = None,
        member: Membership | None = None,
    ) -> None:
        """Loads the gallery, which may take long where the model is new. Raises GalleryError.

        `member` is the door's part in a fleet, if it is in one.
        """
        self._store, self._judge, self._audit, self._clock = store, judge, audit, clock
        self._settings = {"settings": in_force(config)}
        self._modes = modes
        self.preview = Preview(config.quality)
        self._importing, self._traces, self._exports = Importing(), Traces(), Exports()
        self._work: deque[tuple[Request, Work]] = deque()
        self._untold: deque[Event] = deque()
        self._wipe_from = 0.0
        self._ledger, self._unused_days = ledger, config.retention.unused_person_days
        self._unused_from = self._generation_from = 0.0
        consent = config.enrolment.consent_text if config.enrolment.consent == "recorded" else ""
        self._loaded: Gallery | None = None
        self.gallery: Gallery
        """Everybody enrolled, as the line compares with them."""
        self.admission = Admission(
            store=store,
            judge=lambda: judge,
            gallery=lambda: self.gallery,
            references=config.enrolment.references,
            consent=consent,
            pictures=config.enrolment.pictures,
        )
        self._fleet = Fleet(member) if member is not None else None
        started(self.admission, member)
        self._take(self._first_loaded())

    def reload(self) -> None:
        """Takes the gallery as it is on disk. Raises GalleryError."""
        self._take(self._embedded())

    def _first_loaded(self) -> Gallery:
        loaded = self._embedded()
        # Not before: people of this door alone whom this model has not embedded yet would look like nobody.
        events = self._fleet.settled(self.admission) if self._fleet is not None else []
        if not events:
            return loaded
        self._untold.extend(events)
        return self._store.loaded(self._judge.model_sha256, self._judge.line.verifier.embedding_size)

    def _embedded(self) -> Gallery:
        size = self._judge.line.verifier.embedding_size
        return self._store.load(self._judge.model_sha256, self._judge.embed, size)

    def _take(self, loaded: Gallery) -> None:
        if self._loaded is not None and self._loaded.embeddings is loaded.embeddings:
            # Another name, right or hour: nothing to compare anew.
            self.gallery = replace(self.gallery, people=loaded.people, access=loaded.access)
        else:
            self.gallery = household.prepared(self._judge.line, loaded)
        self._loaded = loaded
        self._generation_from = 0.0

    def serve(
        self, control: Control, enrolment: EnrolmentView, status: Callable[[], Mapping[str, Any]]
    ) -> tuple[Command, ...]:
        """Answers who has asked, works for a moment on what is due, and returns what is for the machines.

        `status` is only asked on a turn with requests. Raises GalleryError when the gallery cannot be read any more.
        """
        commands: list[Command] = []
        asked = control.requests()
        told = status() if asked else {}
        for request in asked:
            if any(isinstance(command, StartEnrolment) for command in commands):
                enrolment = replace(enrolment, state="armed")  # asked for on this turn by another client
            place = door.Door(
                admission=self.admission,
                importing=self._importing,
                enrolment=enrolment,
                status=told,
                settings=self._settings,
                now=self._clock.now(),
                preview=self.preview,
                ledger=self._ledger,
                modes=self._modes,
                fleet=self._fleet,
            )
            answer = door.answer(request.asked, place)
            if isinstance(answer, Answer):
                self._give(request, answer)
                if answer.command is not None:
                    commands.append(answer.command)
            else:
                self._work.append((request, answer))
        self._work_on()
        self._untold.extend(self._exports.told(self._clock.now()))
        self._tell()
        return tuple(commands)

    def _give(self, request: Request, answer: Answer) -> None:
        """The answer to its client, once it is in the audit and the door goes by it."""
        self._untold.extend(answer.events)
        if answer.trace is not None:
            self._untold.extend(filter(None, [self._traces.worth_writing(answer.trace, self._clock.now())]))
        self._tell()
        if answer.gallery_changed:
            self.reload()
        request.reply(answer.reply, answer.bulk)
        if answer.given is not None:
            self._exports.give(request, answer.given, last=answer.last)

    def _work_on(self) -> None:
        """First what a client waits for, then traces of people removed, or rows of an import that came to nothing."""
        until = self._clock.now() + WORK_SECONDS
        while self._work and self._clock.now() <= until:
            request, work = self._work[0]
            try:
                next(work)
            except StopIteration as end:
                self._work.popleft()
                self._give(request, end.value)
        if not self._work:
            self._tidy(until)

    def _tidy(self, until: float) -> None:
        now = self._clock.now()
        try:
            self._importing.tidy(self._store, now)
            if self._store.wipe_due and now >= self._wipe_from:
                if self._store.wipe(lambda: self._clock.now() < until):
                    self._untold.extend(traces(self._store))
                elif self._store.wipe_failed:
                    self._untold.extend(traces(self._store))
                    self._wipe_from = now + WIPE_AGAIN_SECONDS
            if now >= self._generation_from:
                self._generation_from = now + generation.TOLD_SECONDS
                self._untold.extend(generation.told(self._store))
            if self._unused_days and self._ledger is not None and now >= self._unused_from:
                self._unused_from = now + UNUSED_SECONDS
                self._forget_unused(self._ledger)
        except GalleryError as error:
            self._audit.write(fault("leftovers_not_cleared", str(error)))

    def _forget_unused(self, ledger: Ledger) -> None:
        """Warns of whoever has not come for long, and forgets one of those who were warned of."""
        # Of people of the fleet nobody here knows whether they come to another door.
        ours = [record for record in self._store.people() if not record.fleet]
        now = retention.due(ours, ledger.seen(), ledger.moment(), self._unused_days)
        hint = f"a visit is enough; retention.unused_person_days = {self._unused_days}"
        for record, days in now.warn:
            self._untold.append(about(record.person, EventKind.PERSON_UNUSED, DAYS=days, HINT=hint))
        for record in now.forget[:1]:
            gone = self._store.remove(record.person.name)
            self._untold.extend((about(gone, EventKind.PERSON_REMOVED), *traces(self._store)))
            self.reload()
            self._unused_from = 0.0 if len(now.forget) > 1 else self._unused_from

    def _tell(self) -> None:
        for _ in range(min(EVENTS_A_TURN, len(self._untold))):
            self._audit.write(self._untold.popleft())

    def close(self) -> None:
        """Writes what is left for the audit."""
        self._untold.extend((*self._exports.told(self._clock.now(), ending=True), *generation.told(self._store)))
        while self._untold:
            self._audit.write(self._untold.popleft())
