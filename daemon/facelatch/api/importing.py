"""An import that takes several requests, and what becomes of it when the client goes."""

from __future__ import annotations

from dataclasses import dataclass

from facelatch.api import requests
from facelatch.api.answer import Answer
from facelatch.api.people import imported
from facelatch.errors import FacelatchError, InputError
from facelatch.gallery import staging
from facelatch.gallery.export import StoredPerson
from facelatch.gallery.store import GalleryStore

PATIENCE_SECONDS = 30.0
"""An import whose next part has not come by then is forgotten."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The import under way."""

    token: str
    uid: int
    parts: int
    people: int
    deadline: float


class Importing:
    """At most one import at a time takes several requests; the rows of those that came to nothing are cleared away."""

    def __init__(self) -> None:
        self._batch: Batch | None = None
        self._leftovers = True
        """There may be some from before a crash."""

    def execute(
        self,
        store: GalleryStore,
        request: requests.Import,
        people: tuple[StoredPerson, ...],
        *,
        uid: int,
        now: float,
    ) -> Answer:
        """Takes one request of an import; nobody is let in before the last.

        Raises InputError, GalleryError: then the whole import is forgotten; a part that belongs to no import is refused
        and changes nothing.
        """
        if request.batch is None:
            return imported(store.import_people(people, request.clash), store)
        batch = self._expected(request.batch, request.part, uid, now)
        self._batch, self._leftovers = None, True
        staging.stage(store, batch.token, people, request.clash)
        count = batch.people + len(people)
        if request.more:
            self._batch = Batch(
                token=batch.token,
                uid=uid,
                parts=batch.parts + 1,
                people=count,
                deadline=now + PATIENCE_SECONDS,
            )
            return Answer({"staged": count})
        done = staging.admit(store, batch.token, request.clash)
        store.wipe()
        return imported(done, store)

    def _expected(self, token: str, part: int, uid: int, now: float) -> Batch:
        """The batch that this part belongs to. Raises InputError when it belongs to none."""
        live = self._batch
        if part == 0:
            if live is not None and live.uid != uid and now < live.deadline:
                raise InputError("another import is under way", hint="try again in a minute")
            return Batch(token=token, uid=uid, parts=0, people=0, deadline=now)
        if live is None or (live.token, live.uid, live.parts) != (token, uid, part) or now >= live.deadline:
            raise InputError(
                f"part {part} belongs to no import under way: nobody was added", hint="begin it again"
            )
        return live

    def tidy(self, store: GalleryStore, now: float) -> None:
        """One short step of clearing away what nobody will finish. Raises GalleryError."""
        if self._batch is not None and now >= self._batch.deadline:
            self._batch = None
        if self._leftovers:
            try:
                self._leftovers = staging.discard(store, but=self._batch.token if self._batch else None)
            except FacelatchError:
                self._leftovers = False  # a full disk: the next start tries again
                raise
            # While an import is under way its own rows are left; then it must be looked at once more.
            self._leftovers |= self._batch is not None
