"""The one way into the gallery: whoever comes by button, camera, pictures or import is admitted here."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from facelatch.api.answer import about
from facelatch.audit.events import Event, EventKind
from facelatch.errors import InputError
from facelatch.gallery.export import StoredReference
from facelatch.gallery.store import GalleryStore
from facelatch.line import admission
from facelatch.line.admission import Admitted, Judge, Terms
from facelatch.values.records import Gallery, NewPerson, Person, Reference
from facelatch.vision.png import decode_png


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose references pictures are to become."""

    name: str | None
    """Of somebody new; None: the next free `person-NNN`."""
    admin: bool = False
    person: Person | None = None
    """Somebody enrolled, who gets new references; None: somebody new."""
    replace: bool = False
    """Whether they come in place of those that `person` has."""
    knowingly: bool = False
    """Whether a face that is enrolled under another name is wanted all the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """What an enrolment came to."""

    person: Person
    references: int
    """How many the person has now."""
    admitted: Admitted
    events: tuple[Event, ...]
    warnings: tuple[str, ...]
    """For whoever asked."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The gallery, and what looks at pictures for it. Made when they are needed: loading a model takes its time."""

    store: GalleryStore
    judge: Callable[[], Judge]
    gallery: Callable[[], Gallery]
    """Everybody enrolled, as the door compares them."""
    references: int
    """How many are kept of a new person."""
    consent: str = ""
    """The text that people agree to, where it is recorded that they do; empty: it is not."""
    pictures: bool = True
    """Whether pictures that prove no living face may become references."""

    def refuse_pictures(self) -> None:
        """Raises InputError where people are enrolled by the camera only."""
        if not self.pictures:
            raise InputError(
                "this door takes no pictures and no imports", hint="use the camera, or set enrolment.pictures = true"
            )

    def enrol(self, wanted: Wanted, pictures: Sequence[Reference]) -> Enrolled:
        """Saves pictures, looked at from both sides, as somebody's references.

        Raises AdmissionError, InputError for the name, GalleryError; then nothing has changed.
        """
        judge = self.judge()
        terms = Terms(
            most=self.references, knowingly=wanted.knowingly, person=wanted.person, replace=wanted.replace
        )
        admitted = admission.admit(judge, pictures, self.gallery(), terms)
        references = admitted.references
        if wanted.person is not None:
            person = wanted.person
            count = self.store.change_references(
                person, references, judge.model_sha256, replace=wanted.replace
            )
        else:
            newcomer = NewPerson(wanted.name, wanted.admin, references)
            person = self.store.add(newcomer, judge.model_sha256, knowingly=wanted.knowingly)
            count = len(references)
        wiped = traces(self.store) if wanted.replace else ()
        return Enrolled(
            person=person,
            references=count,
            admitted=admitted,
            events=events_of(person.name, admitted) + wiped,
            warnings=warnings_of(person.name, admitted),
        )

    def looking(self, references: Sequence[StoredReference]) -> Generator[None, None, list[Reference]]:
        """Stored pictures as the door sees them; yields after each, so that the caller can do something else.

        Raises InputError that names a picture by its number.
        """
        judge, seen = self.judge(), []
        for number, reference in enumerate(references, start=1):
            try:
                seen.append(judge.reference(decode_png(reference.crop_png), reference.pose))
            except InputError as error:
                raise InputError(f"picture {number}: {error}", hint=error.hint) from error
            yield
        return seen


def require_consent(admission: Admission, given: str | None) -> None:
    """Raises InputError where it is recorded how people agreed, and for somebody new nobody says it."""
    if admission.consent and given is None:
        raise InputError(
            "nobody says how this person agreed to be enrolled",
            hint=f"--consent paper, spoken or screen, to text {admission.consent}; enrolment.consent asks for it",
        )


def consent_events(admission: Admission, person: Person, how: str) -> tuple[Event, ...]:
    """What is recorded of a new person's consent, where it is."""
    if not admission.consent:
        return ()
    return (about(person, EventKind.CONSENT_RECORDED, TEXT_VERSION=admission.consent, REASON=how),)


def traces(store: GalleryStore) -> tuple[Event, ...]:
    """What can be said of what was removed: overwritten, not overwritten, or nothing yet as it is still going on."""
    if reason := store.traces:
        hint = "free some space; keep the gallery on a file system that stays: storage.state_directory"
        return (Event(EventKind.GALLERY_NOT_WIPED, {"REASON": reason, "HINT": hint}),)
    return () if store.wipe_due else (Event(EventKind.GALLERY_WIPED),)


def wiped(store: GalleryStore) -> bool:
    """Whether nothing is left of whoever was removed. Raises GalleryError."""
    return not store.traces and not store.wipe_due


def events_of(name: str, admitted: Admitted) -> tuple[Event, ...]:
    """What the audit says of a set beside that it was saved."""
    found = []
    if admitted.left_out:
        count, hint = len(admitted.left_out), "; ".join(left_out_lines(admitted))
        found.append(Event(EventKind.ENROLMENT_LEFT_OUT, {"PERSON": name, "COUNT": count, "HINT": hint}))
    nearest = admitted.nearest
    if nearest is not None and nearest.person is not None:
        found.append(
            Event(
                EventKind.ENROLMENT_LOOKALIKE,
                {
                    "NEAREST": nearest.person.name,
                    "DETECTIONS": nearest.detections,
                    "REFERENCES": nearest.references,
                    "SIMILARITY_SHARE": round(nearest.share, 3),
                },
            )
        )
    return tuple(found)


def left_out_lines(admitted: Admitted) -> list[str]:
    """One line for each picture that is not among the references."""
    return [f"picture {one.number}: {one.reason.hint}" for one in admitted.left_out]


def warnings_of(name: str, admitted: Admitted) -> tuple[str, ...]:
    """What whoever asked should know about a face that looks like somebody's."""
    nearest = admitted.nearest
    if nearest is None or nearest.person is None:
        return ()
    other = nearest.person.name
    if admitted.duplicate:
        return (
            f"{name} and {other} look the same to the door: where both match it is a tie, and a tie opens for"
            f" neither of them",
        )
    return (f"{name} looks like {other} on some pictures: where both match it is a tie, which opens for neither",)
