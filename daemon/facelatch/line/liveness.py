"""Is the visitor alive? Looks are gathered over a track, and decide when there are enough of them.

| what the frame shows                                | then                                                   |
|-----------------------------------------------------|--------------------------------------------------------|
| a match, or anybody while somebody is being enrolled| one look more; those of another track are forgotten    |
| the same, more than LOST_SECONDS later              | the looks before are forgotten                         |
| surroundings that move along with the face           | what would be alive or in doubt is flat                |
| somebody else                                       | no look: it would cost time and decide nothing         |
| no usable face                                      | nothing changes                                        |

Fewer than `pictures` looks, or less than `seconds` between the first and the last, are no proof of anything. Looks
older than MOST_SECONDS count only as far as `pictures` are not reached without them: a camera of one picture a second
needs four seconds for five looks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean

from facelatch.line import surroundings
from facelatch.line.surroundings import Surroundings
from facelatch.ports import Liveness
from facelatch.values.liveness import Aliveness, Proof
from facelatch.values.observations import Judged, Observation
from facelatch.values.pictures import Frame

LOST_SECONDS = 1.5
"""After a pause evidence begins anew, as a track does (`track.LOST_SECONDS`), also where unusable pictures kept that
track. More than a second, or a camera of one picture a second could never prove anybody alive."""

MOST_SECONDS = 3.0
"""Older looks do not count any more where there are enough newer ones."""

DOUBT = 1.0
"""By how much of a logit a visitor may miss the threshold without being called flat or a screen."""


@dataclass(frozen=True, slots=True)
class Check:
    """How the door asks whether somebody is alive."""

    network: Liveness
    threshold: float
    """Least mean logit at the door."""
    enrolment_threshold: float
    """The same for whoever is being enrolled: never less strict."""
    seconds: float
    """How long the looks have to go on."""
    pictures: int
    """How many there have to be."""
    asks: bool = False
    """Whether a visitor in doubt is asked to turn the head, and not refused at once."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a visitor."""

    taken: float
    """Monotonic seconds."""
    said: Aliveness


@dataclass(frozen=True, slots=True)
class Evidence:
    """The looks at the visitor in view."""

    track: int = 0
    looks: tuple[Look, ...] = ()
    surroundings: Surroundings = Surroundings()  # noqa: RUF009  (frozen)


def examine(
    check: Check | None, evidence: Evidence, frame: Frame, seen: Observation, *, enrolling: bool
) -> tuple[Observation, Evidence]:
    """`seen` of `frame` with what is known of its being alive, and the evidence to go on with.

    Raises InferenceError when the network gives no answer.
    """
    if check is None or not isinstance(seen, Judged):
        return seen, evidence
    if evidence.track != seen.track:
        evidence = Evidence(seen.track)
    if not (seen.verdict.matched or enrolling):
        return replace(seen, proof=Proof.GATHERING), evidence
    look = Look(frame.captured, check.network.look(frame.image, seen.face.box))
    around = surroundings.watch(evidence.surroundings, frame, seen.face, seen.track)
    evidence = replace(evidence, looks=joined(evidence.looks, look, check.pictures), surroundings=around)
    threshold = check.enrolment_threshold if enrolling else check.threshold
    asks = check.asks and not enrolling
    known = proof(check, evidence.looks, threshold, asks=asks)
    if known.may_be_recognised and surroundings.move_along(around):
        known = Proof.FLAT
    return replace(seen, proof=known), evidence


def joined(looks: tuple[Look, ...], newest: Look, pictures: int) -> tuple[Look, ...]:
    """The looks that count, the newest last; older ones only where there would be fewer than `pictures`."""
    followed = (*looks, newest) if looks and newest.taken - looks[-1].taken <= LOST_SECONDS else (newest,)
    young = sum(newest.taken - one.taken <= MOST_SECONDS for one in followed)
    return followed[-max(young, pictures) :]


def proof(check: Check, looks: tuple[Look, ...], threshold: float, *, asks: bool = False) -> Proof:
    """What `looks` say together; `asks`: whether doubt is left to a request."""
    if len(looks) < check.pictures or looks[-1].taken - looks[0].taken < check.seconds:
        return Proof.GATHERING
    mean = fmean(look.said.alive for look in looks)
    if mean >= threshold:
        return Proof.LIVE
    if not mean < threshold - DOUBT:
        # A mean that is no number is neither a doubt nor a picture.
        return Proof.DOUBT if asks and mean >= threshold - DOUBT else Proof.NOT_LIVE
    return Proof.SCREEN if fmean(look.said.screen for look in looks) > 0 else Proof.FLAT
