"""Who of the visitors of before is still in view: neither granted again, nor judged again at once.

| what is seen                                                  | of whoever was granted     | of whoever was refused |
|---------------------------------------------------------------|----------------------------|------------------------|
| the same track                                                | in view; not judged        | not judged until then  |
| a match of the same person on another track                   | in view; not judged        | judged                 |
| their face among the background (it has not moved since)      | in view                    | not judged             |
| anything else, for `rearm_seconds`                            | gone: may be granted again | may be judged          |
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from facelatch.machines.session_states import Idle, Pausing, Session
from facelatch.values.observations import Judged, Observation, Unusable

if TYPE_CHECKING:
    from facelatch.config.machines import SessionConfig

PAUSE_FACTOR = 5.0
"""By how much each further pause of a visitor who stays is longer."""


def watch_present(
    session: Session,
    observation: Observation | None,
    now: float,
    settings: SessionConfig,
    background: Collection[int],
) -> Session:
    """Who was granted and is still in view, by track or by person."""
    present = []
    for one in session.present:
        match observation:
            case Judged(track=track, verdict=verdict):
                person = verdict.person if verdict.matched else None
                here = track == one.track or (person is not None and person.id == one.person.id)
            case Unusable(track=track):
                here = track == one.track
            case _:
                here = False
        if here or one.track in background:
            one = replace(one, seen=now, said=one.said or isinstance(session.phase, Idle))
        if now - one.seen <= settings.rearm_seconds:
            present.append(one)
    return replace(session, present=tuple(present))


def may_be_judged(session: Session, observation: Judged, now: float) -> bool:
    """Whether this picture counts: not that of somebody granted who has not been away, or of a visitor in a pause."""
    matched = observation.verdict.person if observation.verdict.matched else None
    for one in session.present:
        if observation.track == one.track or (matched is not None and matched.id == one.person.id):
            return False
    pausing = session.pausing
    return pausing is None or pausing.track != observation.track or now >= pausing.until


def pause(before: Pausing | None, track: int, now: float, settings: SessionConfig) -> Pausing:
    """The pause of the visitor on `track`, refused just now: the longer the more often in a row."""
    refusals = before.refusals + 1 if before is not None and before.track == track else 1
    growth = PAUSE_FACTOR ** min(refusals - 1, 32)
    longest = max(settings.retry_seconds, settings.fade_seconds)
    return Pausing(track, refusals, now + min(settings.retry_seconds * growth, longest))
