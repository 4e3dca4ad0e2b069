"""Who may become somebody's references: one rule for pictures of every origin.

Pictures must be of one person (cluster.py), tell that person from others (the tests of the line, such as one against a
cohort), and show nobody who is enrolled already. What does not fit is left out and named, or the whole set is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from shlex import quote

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import AdmissionError
from facelatch.line.cluster import alike, cluster
from facelatch.line.pipeline import Line
from facelatch.line.stills import spread
from facelatch.values.observations import Reason, Verdict
from facelatch.values.pictures import Image, Pose
from facelatch.values.records import Gallery, Person, Reference
from facelatch.vision.references import embed_reference, with_other_side

Embeddings = Sequence[NDArray[np.float32]]
"""Of one person's pictures, each (D,)."""

DUPLICATE_SHARE = 0.25
"""From this share of a set that the door would take for one enrolled person, it is that person. Chosen on one half of
the validation people and measured on the other (tests/scenarios/references_report.py)."""


class LeftOutReason(StrEnum):
    """Why a picture of a set that was taken is not among the references."""

    ANOTHER_FACE = "another_face"
    COPY = "copy"

    @property
    def hint(self) -> str:
        """In words."""
        return {
            LeftOutReason.ANOTHER_FACE: "does not look like the person on the other pictures",
            LeftOutReason.COPY: "a copy of another picture",
        }[self]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that is not among the references."""

    number: int
    """Which picture of the set, from 1."""
    reason: LeftOutReason


@dataclass(frozen=True, slots=True, eq=False)
class Admitted:
    """The references that may be saved."""

    references: tuple[Reference, ...]
    left_out: tuple[LeftOut, ...]
    nearest: Verdict | None
    """Whoever is enrolled and looks like them, if anybody does."""
    duplicate: bool
    """Whether the door takes them for `nearest`; only where that is wanted knowingly."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a set."""

    most: int
    """How many references are kept; of more those that differ most in pose."""
    knowingly: bool = False
    """Whether a face that is enrolled already under another name is wanted all the same: twins."""
    person: Person | None = None
    """Whose references they become; None: somebody new."""
    replace: bool = False
    """Whether they come in place of the references of `person`."""
    unheeded: Collection[int] = ()
    """Ids of people in the gallery who do not count, besides `person`: they go, or are not let in yet."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Looks at pictures as the door does."""

    line: Line
    lookalike_share: float
    """From this share of an enrolled person's references a picture is close enough to be told of."""
    keep_busy: Callable[[], None] = lambda: None
    """Called before each picture is looked at: many take longer than a watchdog waits."""

    @property
    def model_sha256(self) -> str:
        """By which model."""
        return self.line.verifier.model_sha256

    def embed(self, crop: Image) -> NDArray[np.float32]:
        """One look at a crop (112, 112, 3): its embedding (D,)."""
        self.keep_busy()
        return self.line.verifier.embed(crop)

    def compare(self, probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
        """Similarities (N,) of one embedding (D,) to others (N, D)."""
        self.keep_busy()
        return self.line.verifier.compare(probe, gallery)

    def reference(self, crop: Image, pose: Pose) -> Reference:
        """A crop (112, 112, 3) as a reference."""
        return Reference(crop, embed_reference(self.embed, crop), pose)

    def completed(self, seen: Reference) -> Reference:
        """A picture of which one side was looked at already, as a reference."""
        return Reference(seen.crop, with_other_side(self.embed, seen.crop, seen.embedding), seen.pose)


def duplicate_hint(name: str) -> str:
    """What to do when the pictures show `name`, who is enrolled; the command can be pasted."""
    add = f"facelatch enroll {quote(name)} --add"
    return f"new pictures of {name}: `{add}`; another person who looks the same: --force"


def admit(judge: Judge, pictures: Sequence[Reference], gallery: Gallery, terms: Terms) -> Admitted:
    """The references that `pictures` make, beside the people of `gallery`.

    Raises AdmissionError: of more than one person, of another person than `terms.person`, of nobody in particular, or
    of somebody who is enrolled already.
    """
    numbered, left_out = _without_copies(pictures)
    inside, outside = _of_one_person(judge, {n: pictures[n - 1] for n in numbered}, gallery, terms)
    left_out += [LeftOut(number, LeftOutReason.ANOTHER_FACE) for number in outside]
    kept = [pictures[number - 1] for number in inside]
    embeddings = np.stack([one.embedding for one in kept])
    for test in judge.line.set_tests:
        if problem := test(embeddings):
            raise AdmissionError(problem, code="indistinct")
    nearest, share = _nearest(judge, embeddings, gallery, terms)
    duplicate = share >= DUPLICATE_SHARE
    if duplicate and not terms.knowingly:
        assert nearest is not None
        assert nearest.person is not None
        name = nearest.person.name
        raise AdmissionError(
            f"this face is already enrolled as {name}",
            hint=duplicate_hint(name),
            code="duplicate",
            person=name,
        )
    return Admitted(
        references=tuple(spread(kept, terms.most)),
        left_out=tuple(sorted(left_out, key=lambda one: one.number)),
        nearest=nearest,
        duplicate=duplicate,
    )


def _without_copies(pictures: Sequence[Reference]) -> tuple[list[int], list[LeftOut]]:
    """The numbers of the pictures that are no copy of one before; a copy would vote twice."""
    crops = [one.crop.tobytes() for one in pictures]
    copies = [number for number, crop in enumerate(crops, 1) if crop in crops[: number - 1]]
    numbered = [number for number in range(1, len(pictures) + 1) if number not in copies]
    return numbered, [LeftOut(number, LeftOutReason.COPY) for number in copies]


def _of_one_person(
    judge: Judge, pictures: Mapping[int, Reference], gallery: Gallery, terms: Terms
) -> tuple[list[int], list[int]]:
    """The numbers of the pictures inside and outside. Raises AdmissionError."""
    limits, settled = judge.line.thresholds, _references_of(terms.person, gallery)
    numbers, new = list(pictures), [one.embedding for one in pictures.values()]
    before = [] if terms.replace else settled
    together = np.stack([*before, *new])
    found = cluster(alike(judge.compare, together, limits.detection), limits.verification, len(before))
    outside = [numbers[place] for place in found.outside]
    if found.split and before:
        raise AdmissionError(
            f"these pictures do not look like {_name(terms.person)}",
            hint="--add takes pictures of the same person only; --replace takes new ones in place of all",
            code="another_person",
        )
    if found.split:
        raise AdmissionError(
            f"the pictures are not of one person: {', '.join(map(str, outside))} are unlike the others",
            hint="give pictures of one person only, and more of them that look alike: in good light, from the front",
            code="another_person",
        )
    if settled and terms.replace and not terms.knowingly:
        share = np.mean([judge.compare(new[place], np.stack(settled)) >= limits.detection for place in found.inside])
        if share < limits.verification:
            raise AdmissionError(
                f"these pictures do not look like those of {_name(terms.person)} that they would replace",
                hint="--force if the face has changed that much",
                code="another_person",
            )
    return [numbers[place] for place in found.inside], outside


def _references_of(person: Person | None, gallery: Gallery) -> list[NDArray[np.float32]]:
    if person is None:
        return []
    return [row for owner, row in zip(gallery.owners, gallery.embeddings, strict=True) if owner == person.id]


def _name(person: Person | None) -> str:
    return person.name if person is not None else "?"


def _nearest(
    judge: Judge, embeddings: NDArray[np.float32], gallery: Gallery, terms: Terms
) -> tuple[Verdict | None, float]:
    """The enrolled person most of the pictures (N, D) look like, and the share of them the door takes for that person.

    None and 0 when no picture comes close to anybody.
    """
    own = () if terms.person is None else (terms.person.id,)
    heeded = ~np.isin(np.array(gallery.ids, dtype=np.int64), [*terms.unheeded, *own])
    if not heeded.any():
        return None, 0.0
    limits, counts = judge.line.thresholds, np.bincount(gallery.codes, minlength=len(gallery.ids))
    detections = np.stack(
        [
            np.bincount(
                gallery.codes[judge.compare(one, gallery.embeddings) >= np.float32(limits.detection)],
                minlength=len(gallery.ids),
            )
            for one in embeddings
        ]
    )
    shares = np.where(heeded, detections / counts, 0.0)
    matches = (shares >= limits.verification).mean(axis=0)
    # By the share of pictures taken for that person, then by the picture that comes closest.
    code = int(np.lexsort((shares.max(axis=0), matches))[-1])
    closest = int(shares[:, code].argmax())
    if matches[code] == 0 and shares[closest, code] < max(judge.lookalike_share, np.finfo(np.float64).tiny):
        return None, 0.0
    verdict = Verdict(
        reason=Reason.MATCHED if matches[code] else Reason.TOO_FEW_DETECTIONS,
        person=gallery.people[gallery.ids[code]],
        share=float(shares[closest, code]),
        detections=int(detections[closest, code]),
        references=int(counts[code]),
    )
    return verdict, float(matches[code])


def beside(gallery: Gallery, newcomers: Sequence[tuple[Person, Embeddings]]) -> Gallery:
    """`gallery` with people who are not in it yet, each with embeddings, to compare others with."""
    if not newcomers:
        return gallery
    rows = [np.stack(embeddings) for _, embeddings in newcomers]
    return Gallery(
        people={**gallery.people, **{person.id: person for person, _ in newcomers}},
        owners=gallery.owners + tuple(person.id for person, embeddings in newcomers for _ in embeddings),
        embeddings=np.concatenate([gallery.embeddings, *rows] if gallery.owners else rows),
    )
