"""A replay told in lines: every event, and on request every frame, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from facelatch.values.observations import Judged, NoFace, SeveralFaces, Unusable

if TYPE_CHECKING:
    from facelatch.app.loop import Turn


def lines(turn: Turn, *, frames: bool, as_json: bool) -> Iterator[str]:
    """The lines one turn is worth."""
    if frames and turn.frame is not None:
        seen = frame_record(turn)
        yield json.dumps(seen) if as_json else _frame_text(seen)
    for event in turn.outputs.events:
        record = {"type": "event", "at": round(turn.now, 3), "event": event.kind.value, **event.fields}
        yield json.dumps(record) if as_json else f"{turn.now:8.2f}s  {event.message}"


def frame_record(turn: Turn) -> dict[str, Any]:
    """What a frame came to: reason, person and share, LED pattern, lock level. No image, no vector."""
    observation, outputs = turn.observation, turn.outputs
    record: dict[str, Any] = {
        "type": "frame",
        "at": round(turn.now, 3),
        "frame": turn.frame.number if turn.frame is not None else None,
        "reason": None,
        "person": None,
        "share": None,
        "led": outputs.pattern.value,
        "lock": outputs.lock.value,
    }
    if isinstance(observation, Judged):
        verdict = observation.verdict
        record["reason"] = verdict.reason.value
        record["person"] = verdict.person.name if verdict.person is not None else None
        record["share"] = round(verdict.share, 3)
    elif isinstance(observation, NoFace | SeveralFaces | Unusable):
        record["reason"] = observation.reason.value
    return record


def _frame_text(record: dict[str, Any]) -> str:
    share = "" if record["share"] is None else f"{record['share']:.0%} of {record['person'] or 'anybody'}"
    return (
        f"{record['at']:8.2f}s  frame {record['frame']:>4}  {record['reason'] or '-':<18} {share:<22} "
        f"LED {record['led']:<14} {record['lock']}"
    )
