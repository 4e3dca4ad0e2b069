"""Machine: a request to turn the head, to sides drawn at random. It holds back a grant, and has none to give.

| state    | input                                               | next (result)                                      |
|----------|-----------------------------------------------------|----------------------------------------------------|
| idle     | a grant held back, with random bits                 | straight                                           |
| idle     | the same without                                    | idle (not_asked)                                   |
| straight | the same face, straight, for the pause drawn        | asked for the next side                            |
| straight | the same face, moving or turned                     | straight; the pause begins anew                    |
| asked    | the same face, turned to that side                  | straight; after the last: idle (answered)          |
| asked    | the same face, turned to the other side             | idle (wrong_side)                                  |
| asked    | turned either way within `REACTION_SECONDS`         | straight; the pause begins anew, the side stays    |
| either   | the face, but unusable or not recognised            | as it was                                          |
| either   | a picture of it that is clearly not alive           | idle (flat, screen, not_live)                      |
| either   | another face or person, or several faces            | idle (another_face)                                |
| either   | no face for `LOST_SECONDS`                          | idle (lost)                                        |
| either   | `ANSWER_SECONDS` (beyond the pause) are over        | idle (too_late)                                    |
| either   | an enrolment, a lock-out, a fault, the end          | idle (interrupted)                                 |

The same face is one track that matches the person recognised; only such pictures count. Turned means that the nose's
parallax (vision/parallax.py) has changed by `TURN` since the face looked straight, which a flat picture's does not do.
Each side is one bit that the face cannot know before it is asked, and the first turn after that decides. So a recording
that does not see the light, however it was made, passes `n` turns with a probability of at most 2 ** -n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from facelatch.machines.session_states import Outcome
from facelatch.values.observations import Judged, NoFace, Observation, Reason, SeveralFaces, Unusable
from facelatch.values.records import Person

TURN = 0.3
"""By how much the parallax has to change, in half eye distances: about 20 degrees."""
STILL = 0.15
"""A face whose parallax stays within this looks straight on."""
MOST_STRAIGHT = 0.5
"""A face turned further at the beginning is not straight: beyond it and `TURN` no picture is usable any more."""
REACTION_SECONDS = 0.25
"""Nobody answers sooner; whoever turns before that was turning anyway."""
ANSWER_SECONDS = 5.0
"""How long a side is asked for."""
MOST_SECONDS = 12.0
"""How long a request may take for each side, pauses that begin anew included."""
LOST_SECONDS = 1.5
"""A face not seen for longer is gone, as it is for its track (`line/track.py`). More than a second, so that a camera of
one picture a second can ask; with less of a margin, one whose pictures come somewhat late refused whoever answered."""
PAUSES = (0.5, 0.8, 1.1, 1.4)
"""Seconds to look straight before a side is asked for; two bits draw one. They keep a rhythm from fitting, no more."""
LEAST_STRAIGHT = 2
"""How many pictures a pause needs, whatever it lasts."""


class Side(StrEnum):
    """Of the person, not of the picture."""

    LEFT = "left"
    RIGHT = "right"


class Result(StrEnum):
    """How a request ended; stable codes."""

    ANSWERED = "answered"
    WRONG_SIDE = "wrong_side"
    TOO_LATE = "too_late"
    ANOTHER_FACE = "another_face"
    LOST = "lost"
    FLAT = "flat"
    SCREEN = "screen"
    NOT_LIVE = "not_live"
    NOT_ASKED = "not_asked"
    INTERRUPTED = "interrupted"

    @property
    def refuses(self) -> bool:
        """Whether it counts as a refused attempt."""
        return self not in (Result.ANSWERED, Result.INTERRUPTED)

    @property
    def reason(self) -> Reason:
        """What the visitor is told: less than is written down."""
        return _REASONS.get(self, Reason.NOT_LIVE)


_REASONS = {
    Result.TOO_LATE: Reason.NO_MOTION,
    Result.FLAT: Reason.FLAT,
    Result.SCREEN: Reason.SCREEN,
}


@dataclass(frozen=True, slots=True)
class Held:
    """The grant that is held back."""

    person: Person
    track: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """What was drawn, and how far the answer has come."""

    held: Held
    sides: tuple[Side, ...]
    pauses: tuple[float, ...]
    began: float
    """Monotonic seconds, as all times here."""
    seen: float
    """When the face was last in view."""
    answered: int = 0

    @property
    def side(self) -> Side:
        """The side to turn to next."""
        return self.sides[self.answered]


@dataclass(frozen=True, slots=True)
class Idle:
    """Nobody is asked."""


@dataclass(frozen=True, slots=True)
class Straight:
    """The face is to look straight on before a side is asked for."""

    request: TurnRequest
    until: float
    """By then a side has to be asked for."""
    rest: float | None = None
    """Parallax of the straight face, from its first pause on."""
    parallaxes: tuple[float, ...] = ()
    """Of the pictures of this pause."""
    since: float = 0.0
    """When the first of them was taken."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The face is to turn to `request.side`."""

    request: TurnRequest
    rest: float
    since: float


@dataclass(frozen=True, slots=True)
class Challenge:
    """The request now, and how one ended on this turn."""

    phase: Idle | Straight | Asked = Idle()
    result: Result | None = None
    ended: TurnRequest | None = None
    """The request that ended with `result`."""

    @property
    def request(self) -> TurnRequest | None:
        """The request under way."""
        return None if isinstance(self.phase, Idle) else self.phase.request


def begin(held: Held, draw: int | None, turns: int, now: float) -> Challenge:
    """The request for a grant held back; `draw` holds at least 3 * `turns` random bits."""
    if draw is None:
        empty = TurnRequest(held=held, sides=(), pauses=(), began=now, seen=now)
        return Challenge(result=Result.NOT_ASKED, ended=empty)
    bits = [draw >> number & 1 for number in range(3 * turns)]
    sides = tuple(Side.RIGHT if bit else Side.LEFT for bit in bits[:turns])
    pauses = tuple(PAUSES[2 * bits[turns + n] + bits[2 * turns + n]] for n in range(turns))
    request = TurnRequest(held=held, sides=sides, pauses=pauses, began=now, seen=now)
    return Challenge(_straight(request, None, now))


def advance(challenge: Challenge, observation: Observation | None, now: float) -> Challenge:
    """The state after this turn; `observation` is None when no new frame came or it proves nothing."""
    challenge = Challenge(challenge.phase)
    request = challenge.request
    if request is None or isinstance(challenge.phase, Idle):
        return challenge
    if now - request.seen > LOST_SECONDS:
        return _end(request, Result.LOST)
    match observation:
        case None | NoFace():
            return _pass_time(challenge.phase, now)
        case SeveralFaces():
            return _end(request, Result.ANOTHER_FACE)
        case Unusable(track=track) | Judged(track=track) if track != request.held.track:
            return _end(request, Result.ANOTHER_FACE)
        case Unusable():
            return _pass_time(_seen(challenge.phase, now), now)
    verdict, proof = observation.verdict, observation.proof
    if verdict.matched and (verdict.person is None or verdict.person.id != request.held.person.id):
        return _end(request, Result.ANOTHER_FACE)
    if verdict.matched and proof.speaks_against:
        return _end(request, Result(proof.value))
    phase = _seen(challenge.phase, now)
    if not verdict.matched or observation.parallax is None or not math.isfinite(observation.parallax):
        return _pass_time(phase, now)
    if isinstance(phase, Straight):
        return _pass_time(_look_straight(phase, observation.parallax, now), now)
    return _turn(phase, observation.parallax, now)


def dropped(challenge: Challenge) -> Challenge:
    """The state when something else takes over."""
    request = challenge.request
    return challenge if request is None else _end(request, Result.INTERRUPTED)


def _look_straight(phase: Straight, parallax: float, now: float) -> Straight | Asked:
    rest = phase.rest if phase.rest is not None else _mean(phase.parallaxes, parallax)
    if abs(parallax) > MOST_STRAIGHT:
        return replace(phase, parallaxes=())
    if abs(parallax - rest) > STILL:
        # Before the first side is asked for, another posture is as good as the one before.
        return replace(phase, parallaxes=(parallax,) if phase.rest is None else (), since=now)
    since = phase.since if phase.parallaxes else now
    phase = replace(phase, parallaxes=(*phase.parallaxes, parallax), since=since)
    pause = phase.request.pauses[phase.request.answered]
    if now - since < pause or len(phase.parallaxes) < LEAST_STRAIGHT:
        return phase
    return Asked(request=phase.request, rest=phase.rest if phase.rest is not None else rest, since=now)


def _turn(phase: Asked, parallax: float, now: float) -> Challenge:
    turned = parallax - phase.rest
    if abs(turned) < TURN:
        return _pass_time(phase, now)
    if now - phase.since < REACTION_SECONDS:
        return Challenge(_straight(phase.request, phase.rest, now))
    # Who turns to the own left moves the nose to the picture's right: no camera mirrors.
    if (Side.LEFT if turned > 0 else Side.RIGHT) is not phase.request.side:
        return _end(phase.request, Result.WRONG_SIDE)
    request = replace(phase.request, answered=phase.request.answered + 1)
    if request.answered == len(request.sides):
        return _end(request, Result.ANSWERED)
    return Challenge(_straight(request, phase.rest, now))


def _straight(request: TurnRequest, rest: float | None, now: float) -> Straight:
    until = now + request.pauses[request.answered] + ANSWER_SECONDS
    return Straight(request=request, until=until, rest=rest)


def _pass_time(phase: Straight | Asked, now: float) -> Challenge:
    until = phase.until if isinstance(phase, Straight) else phase.since + ANSWER_SECONDS
    longest = phase.request.began + MOST_SECONDS * len(phase.request.sides)
    return _end(phase.request, Result.TOO_LATE) if now >= min(until, longest) else Challenge(phase)


def _seen(phase: Straight | Asked, now: float) -> Straight | Asked:
    return replace(phase, request=replace(phase.request, seen=now))


def _mean(parallaxes: tuple[float, ...], otherwise: float) -> float:
    return sum(parallaxes) / len(parallaxes) if parallaxes else otherwise


def _end(request: TurnRequest, result: Result) -> Challenge:
    return Challenge(result=result, ended=request)
