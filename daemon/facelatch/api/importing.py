"""An import, of one request or several: everybody is looked at and admitted one by one, and let in all at once."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from facelatch.api import requests
from facelatch.api.admission import Admission, events_of, traces, warnings_of, wiped
from facelatch.api.answer import Answer, Work, about, done, yes_or_no
from facelatch.audit.events import Event, EventKind
from facelatch.errors import AdmissionError, FacelatchError, InputError
from facelatch.gallery import staging
from facelatch.gallery.embeddings import maker
from facelatch.gallery.export import MAX_REFERENCES, StoredPerson
from facelatch.gallery.names import name_key
from facelatch.gallery.saving import Clash, Imported, Terms
from facelatch.gallery.store import GalleryStore
from facelatch.line import admission as line
from facelatch.line.admission import Embeddings
from facelatch.values.records import Gallery, NewPerson, Person

PATIENCE_SECONDS = 30.0
"""An import whose next part has not come by then is forgotten."""

MOST_NAMED = 50
"""In the reply, of each list."""

_ALONE = "0" * staging.TOKEN_DIGITS
"""The token of an import of one request."""


@dataclass(slots=True, eq=False)
class Batch:
    """The import under way."""

    token: str
    uid: int
    deadline: float = 0.0
    """When it is forgotten; it does not count while a part is worked on."""
    working: bool = False
    parts: int = 0
    people: int = 0
    """How many have come."""
    staged: list[tuple[Person, Embeddings]] = field(default_factory=list)
    """Who waits, to compare the next ones with; under ids that nobody has."""
    names: set[str] = field(default_factory=set)
    refused: list[tuple[str, str]] = field(default_factory=list)
    admins: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Importing:
    """At most one import at a time; the rows of those that came to nothing are cleared away."""

    def __init__(self) -> None:
        self._batch: Batch | None = None
        self._leftovers = True
        """There may be some from before a crash."""

    def execute(
        self,
        admission: Admission,
        request: requests.Import,
        people: tuple[StoredPerson, ...],
        *,
        uid: int,
        now: float,
    ) -> Work:
        """Works on one request of an import, and yields often. Nobody is let in before the last request is done.

        All or none or, with `skip`, all but those who are refused. Raises AdmissionError, InputError, GalleryError:
        then the whole import is forgotten; a part that belongs to no import is refused and changes nothing.
        """
        admission.refuse_pictures()
        batch = self._expected(request, uid, now)
        self._batch, self._leftovers, batch.working = batch, True, True
        try:
            yield from self._staged(admission, request, people, batch)
            if request.more:
                batch.working, batch.deadline = False, now + PATIENCE_SECONDS
                return Answer({"staged": len(batch.staged)})
            imported = staging.admit(admission.store, batch.token, _terms(admission, request))
            self._batch = None
            if imported.replaced:
                admission.store.wipe_if_short()
            return _told(batch, imported, admission.store)
        except BaseException:
            self._batch = None
            raise

    def _expected(self, request: requests.Import, uid: int, now: float) -> Batch:
        """The batch that this part belongs to. Raises InputError when it belongs to none."""
        live, token = self._batch, request.batch or _ALONE
        if live is not None and now >= live.deadline and not live.working:
            live = None
        if request.part == 0:
            if live is not None and (live.uid != uid or live.working):
                raise InputError("another import is under way", hint="try again in a minute")
            return Batch(token=token, uid=uid)
        if live is None or live.working or (live.token, live.uid, live.parts) != (token, uid, request.part):
            raise InputError(
                f"part {request.part} belongs to no import under way: nobody was added", hint="begin it again"
            )
        return live

    def _staged(
        self,
        admission: Admission,
        request: requests.Import,
        people: tuple[StoredPerson, ...],
        batch: Batch,
    ) -> Generator[None, None, None]:
        if batch.parts == 0:
            while staging.discard(admission.store):
                yield
        terms, everybody = _terms(admission, request), line.beside(admission.gallery(), batch.staged)
        batch.names |= {name_key(person.name) for person in people}
        for person in people:
            batch.people += 1
            if terms.clash is Clash.REFUSE:  # before every picture is looked at
                admission.store.free_name(person.name, knowingly=request.force)
            pictures = yield from admission.looking(person.references)
            try:
                admitted = line.admit(
                    admission.judge(), pictures, everybody, _heeding(request, everybody, batch.names)
                )
            except AdmissionError as error:
                batch.refused.append((person.name, str(error)))
                continue
            admin = person.admin and request.keep_admins
            newcomer = NewPerson(person.name, admin, admitted.references, person.access)
            staging.stage(admission.store, batch.token, newcomer, terms)
            # The arrays that the gallery remembers as well, and no crops: thousands of people may wait.
            waiting = (Person(-batch.people, person.name), [one.embedding for one in admitted.references])
            batch.staged.append(waiting)
            everybody = line.beside(everybody, [waiting])
            batch.events += events_of(person.name, admitted)
            batch.warnings += warnings_of(person.name, admitted)
            batch.admins += [person.name] if person.admin and not request.keep_admins else []
        batch.parts += 1
        if batch.refused and not request.skip:
            names = "; ".join(f"{name}: {reason}" for name, reason in batch.refused[:20])
            raise AdmissionError(
                f"{len(batch.refused)} of {batch.people} people refused, nobody imported: {names}",
                hint="--skip leaves them out; --force takes faces that are enrolled already under another name",
            )

    def at_once(
        self, admission: Admission, request: requests.Import, people: tuple[StoredPerson, ...]
    ) -> Answer:
        """The same for a caller who has nothing else to do; when it fails nothing is left of the import."""
        try:
            return done(self.execute(admission, request, people, uid=0, now=0.0))
        except BaseException:
            while staging.discard(admission.store):
                pass
            raise

    def tidy(self, store: GalleryStore, now: float) -> None:
        """One short step of clearing away what nobody will finish. Raises GalleryError."""
        live = self._batch
        if live is not None and not live.working and now >= live.deadline:
            self._batch = live = None
        if self._leftovers:
            try:
                self._leftovers = staging.discard(store, but=live.token if live else None)
            except FacelatchError:
                self._leftovers = False  # a full disk: the next start tries again
                raise
            # While an import is under way its own rows are left; then it must be looked at once more.
            self._leftovers |= live is not None


def _terms(admission: Admission, request: requests.Import) -> Terms:
    return Terms(maker(admission.judge().model_sha256), request.clash, request.force)


def _heeding(request: requests.Import, everybody: Gallery, names: set[str]) -> line.Terms:
    """What is asked of a newcomer's pictures. People who go in exchange for somebody of their name do not count."""
    going = (
        {id_ for id_, one in everybody.people.items() if id_ > 0 and name_key(one.name) in names}
        if request.clash is Clash.REPLACE
        else set()
    )
    return line.Terms(most=MAX_REFERENCES, knowingly=request.force, unheeded=frozenset(going))


def _told(batch: Batch, done: Imported, store: GalleryStore) -> Answer:
    """The answer to the last request of an import."""
    events = [Event(EventKind.GALLERY_IMPORTED, {"COUNT": len(done.added)}), *batch.events]
    events += [about(one, EventKind.PERSON_REMOVED) for one in done.replaced]
    events += traces(store) if done.replaced else ()
    events += [
        about(one, EventKind.PERSON_ADDED, ADMIN=yes_or_no(one.admin), LIVENESS="unproven") for one in done.added
    ]
    reply = {
        "count": len(done.added),
        "names": [person.name for person in done.added[:MOST_NAMED]],
        "replaced": [person.name for person in done.replaced[:MOST_NAMED]],
        "skipped": [{"name": name, "reason": reason} for name, reason in batch.refused[:MOST_NAMED]],
        "admins": batch.admins[:MOST_NAMED],
        "warnings": batch.warnings[:MOST_NAMED],
        "wiped": wiped(store),
    }
    return Answer(reply, True, tuple(events))
