"""Where the loop answers local clients, and works on what they leave to be done: a little each turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from facelatch.api import door
from facelatch.api.importing import Importing
from facelatch.api.traces import Traces
from facelatch.audit.events import Event, fault
from facelatch.controller.situation import EnrolmentView
from facelatch.controller.state import Command
from facelatch.errors import GalleryError
from facelatch.gallery.store import GalleryStore
from facelatch.line.pipeline import Line
from facelatch.ports import AuditSink, Clock, Control
from facelatch.vision.references import Embed

WORK_SECONDS = 0.1
"""How long a turn may work on new images, so that the next frame is still judged in time."""

EVENTS_A_TURN = 50
"""An import of thousands of people has an event for each."""


class Desk:
    """Local clients, and the gallery as the loop has it in memory."""

    def __init__(self, *, store: GalleryStore, line: Line, audit: AuditSink, clock: Clock, embed: Embed) -> None:
        """Loads the gallery, which may take long where the model is new. Raises GalleryError."""
        self._store, self._line, self._audit, self._clock, self._embed = store, line, audit, clock, embed
        self._importing, self._traces = Importing(), Traces()
        self._missing: deque[int] = deque()
        self._untold: deque[Event] = deque()
        self.gallery = store.load(line.verifier.model_sha256, embed)
        """Everybody whose images are all embedded."""

    def reload(self) -> None:
        """Takes the gallery as it is on disk; the turns to come embed what is not embedded. Raises GalleryError."""
        model = self._line.verifier.model_sha256
        self.gallery = self._store.loaded(model)
        self._missing = deque(self._store.missing(model))

    def serve(
        self, control: Control, enrolment: Callable[[], EnrolmentView], status: Mapping[str, Any]
    ) -> tuple[Command, ...]:
        """Answers who has asked, works for a moment on what is due, and returns what is for the machines.

        Raises GalleryError when the gallery cannot be read any more.
        """
        commands: list[Command] = []
        changed = False
        for request in control.requests():
            answer = door.answer(request.asked, self._door(enrolment(), status))
            self._untold.extend(answer.events)
            if answer.trace is not None:
                self._untold.extend(filter(None, [self._traces.worth_writing(answer.trace, self._clock.now())]))
            self._tell()
            request.reply(answer.reply, answer.bulk)
            changed |= answer.gallery_changed
            if answer.command is not None:
                commands.append(answer.command)
        if changed:
            self.reload()
        self._work()
        return tuple(commands)

    def _door(self, enrolment: EnrolmentView, status: Mapping[str, Any]) -> door.Door:
        return door.Door(
            store=self._store,
            importing=self._importing,
            line=self._line,
            gallery=self.gallery,
            enrolment=enrolment,
            status=status,
            now=self._clock.now(),
        )

    def _work(self) -> None:
        """Some events, some embeddings, some rows of an import that came to nothing."""
        self._tell()
        if self._missing:
            self._embed_some()
        elif self._store.wipe_due:
            until = self._clock.now() + WORK_SECONDS
            self._store.wipe(lambda: self._clock.now() < until)
        try:
            self._importing.tidy(self._store, self._clock.now())
        except GalleryError as error:
            self._audit.write(fault("leftovers_not_cleared", str(error)))

    def _tell(self) -> None:
        for _ in range(min(EVENTS_A_TURN, len(self._untold))):
            self._audit.write(self._untold.popleft())

    def _embed_some(self) -> None:
        model = self._line.verifier.model_sha256
        try:
            self._store.embed(self._for_a_moment(), model, self._embed)
        except GalleryError as error:
            # A full disk, a damaged picture: somebody new is not recognised. Everybody else still is.
            self._missing.clear()
            self._audit.write(fault("images_not_embedded", str(error)))
        if not self._missing:
            self.gallery = self._store.loaded(model)

    def _for_a_moment(self) -> Iterator[int]:
        """What is missing, as long as this turn may take: all of it in one transaction, whose end is the slow part."""
        until = self._clock.now() + WORK_SECONDS
        while self._missing and self._clock.now() <= until:
            yield self._missing.popleft()

    def close(self) -> None:
        """Writes what is left for the audit."""
        while self._untold:
            self._audit.write(self._untold.popleft())
