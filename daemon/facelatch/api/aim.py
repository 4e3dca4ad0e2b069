"""What the camera sees, for whoever aims it: made while it may be seen and somebody asks, five times a second at most.

One picture is kept, the newest, and none of them is written anywhere.
"""

from __future__ import annotations

from typing import Any

from facelatch.api.aim_requests import Aim as AimRequest
from facelatch.api.aim_requests import Preview as PreviewRequest
from facelatch.api.answer import Answer
from facelatch.api.rights import Asker
from facelatch.audit.events import Event, EventKind
from facelatch.config.line import QualityConfig
from facelatch.errors import InputError
from facelatch.line.background import Background
from facelatch.machines.aiming import AIM_SECONDS, COMMAND, Aim, Aiming
from facelatch.values.observations import Judged, NoFace, Observation, Reason, Unusable
from facelatch.values.pictures import Face, Frame
from facelatch.vision import preview
from facelatch.vision.preview import Shown

LEAST_SECONDS = 0.2
"""Between two pictures."""

ASKED_SECONDS = 2.0
"""So long after a client asked pictures are made."""

OLD_SECONDS = 2.0
"""An older picture is not shown: the camera has stopped."""

MOST_LOOKERS = 16
"""Users, and whom they ask for, in the time of one arming: each is written down."""

_HINTS = {
    "enrolment": "wait for its end, `facelatch enroll --abort` aborts it",
    "lockdown": "`facelatch mode normal` ends it",
    "alarm": "`facelatch alarm --acknowledge` silences it",
}


class Preview:
    """The newest picture, who has looked, and until when that is allowed."""

    def __init__(self, limits: QualityConfig) -> None:
        self._limits = limits
        self._aiming = Aiming()
        self._shown: Shown | None = None
        self._number, self._made, self._asked = 0, float("-inf"), float("-inf")
        self._lookers: set[tuple[int, str]] = set()

    def allow(self, aiming: Aiming) -> None:
        """What the machine says after a turn; with the end of it the picture is gone, and who has looked."""
        if aiming.until is None:
            self._shown, self._asked = None, float("-inf")
        if aiming.until is None or aiming.since != self._aiming.since:
            self._lookers = set()
        self._aiming = aiming

    def see(self, frame: Frame, observation: Observation, background: Background, now: float) -> None:
        """Makes a picture of the turn's frame if somebody waits for one, and the last is old enough."""
        if self._left(now) is None or now - self._asked > ASKED_SECONDS or now - self._made < LEAST_SECONDS:
            return
        face, reason = _told(observation, background)
        self._made = now
        try:
            self._shown = preview.shown(frame, face, reason, self._limits)
        except Exception:  # whatever it is: the door goes on without a picture
            self._shown = None
        else:
            self._number += 1

    def aim(self, request: AimRequest, told: tuple[Event, ...], now: float) -> Answer:
        """How it stands, and what of it is to change. Raises InputError where it must not be shown now."""
        if request.on and (barred := self._aiming.barred):
            hint = _HINTS.get(barred, "ask again later")
            raise InputError(f"the camera's picture is not shown now: {barred}", hint=hint)
        view = self._view(now)
        if request.on:
            view = {"armed": True, "seconds": AIM_SECONDS, "origin": COMMAND}
        elif request.on is not None:
            view = _OFF
        return Answer(view, events=told, command=Aim(request.on) if request.on is not None else None)

    def look(self, request: PreviewRequest, asker: Asker, now: float) -> Answer:
        """The newest picture, to whoever has the right; who looks for the first time is written down before.

        Raises InputError when too many look.
        """
        left = self._left(now)
        if left is None:
            return Answer({**self._view(now), "number": 0, **_NOTHING})
        looker = (asker.uid, asker.actor)
        events: tuple[Event, ...] = ()
        if looker not in self._lookers:
            if len(self._lookers) >= MOST_LOOKERS:
                raise InputError("too many look at the picture already", hint="ask again when it was armed anew")
            self._lookers.add(looker)
            events = (Event(EventKind.PREVIEW_WATCHED, asker.fields()),)
        self._asked = now
        found = self._shown if now - self._made <= OLD_SECONDS else None
        values = found.values if found is not None else _NOTHING
        bulk = found.jpeg if found is not None and self._number > request.after else b""
        number = self._number if found is not None else 0
        return Answer({**self._view(now), "number": number, **values}, events=events, bulk=bulk or None)

    def _left(self, now: float) -> float | None:
        """For how many seconds it may still be seen; None: it may not."""
        until = self._aiming.until
        return until - now if until is not None and now < until else None

    def _view(self, now: float) -> dict[str, Any]:
        left = self._left(now)
        if left is None:
            return _OFF
        return {"armed": True, "seconds": round(left, 1), "origin": self._aiming.origin}


_OFF: dict[str, Any] = {"armed": False, "seconds": 0.0, "origin": ""}

_NOTHING: dict[str, Any] = {
    "size": None,
    "reason": None,
    "box": None,
    "landmarks": [],
    "limits": [],
    "reach": None,
}


def _told(observation: Observation, background: Background) -> tuple[Face | None, Reason | None]:
    """Where a face is and what is wrong with its picture; not a word on whose it is.

    Whoever stands still after a visit is left out by the line, but has to be seen here: an installer stands still.
    """
    match observation:
        case Judged(face=face):
            return face, None
        case Unusable(face=face, reason=reason):
            return face, reason
        case NoFace() if background.faces:
            return max(background.faces, key=lambda still: still.seen).face, None
    return None, observation.reason
