"""What becomes of a grant of the session that is held back until a request is answered (challenge.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from facelatch.machines import session
from facelatch.machines.presence import pause
from facelatch.machines.session_states import (
    Cooling,
    Ending,
    Idle,
    LockedOut,
    Outcome,
    Present,
    Refused,
    Session,
)

if TYPE_CHECKING:
    from facelatch.config.machines import SessionConfig
    from facelatch.machines.challenge import Held
    from facelatch.values.observations import Reason


def hold_back(visit: Session, before: Session, held: Held) -> Session:
    """The session without the grant of this turn; nothing that was counted `before` is forgotten yet."""
    visit = session.put_off(visit, before, Ending.RECOGNISED, "challenge", "")
    return replace(
        visit,
        phase=Idle(),
        present=tuple(one for one in visit.present if one.person.id != held.person.id),
        ended_tracks=tuple(track for track in visit.ended_tracks if track != held.track),
    )


def release(visit: Session, held: Held, now: float, settings: SessionConfig) -> Session:
    """The session with the grant that was held back: as if it came on this turn."""
    others = tuple(one for one in visit.present if one.person.id != held.person.id)
    return replace(
        session.forgive(visit),
        phase=Cooling(held.person, now + settings.cooldown_seconds),
        present=(*others, Present(person=held.person, track=held.track, seen=now)),
        outcomes=(*visit.outcomes, held.outcome),
        ended_tracks=(*visit.ended_tracks, held.track),
    )


def refuse(visit: Session, held: Held, reason: Reason, now: float, settings: SessionConfig) -> Session:
    """The session after a request that came to nothing: a refused attempt, and this visitor pauses."""
    outcome = Outcome(
        ending=Ending.REFUSED,
        reason=reason,
        hint=reason.hint,
        verdict=held.outcome.verdict,
        frames=held.outcome.frames,
    )
    phase = visit.phase if isinstance(visit.phase, LockedOut) else Refused(now + settings.retry_seconds)
    refused = replace(
        visit,
        phase=phase,
        pausing=pause(visit.pausing, held.track, now, settings),
        outcomes=(*visit.outcomes, outcome),
        ended_tracks=(*visit.ended_tracks, held.track),
    )
    return session.count_attempt(refused, now, settings)
