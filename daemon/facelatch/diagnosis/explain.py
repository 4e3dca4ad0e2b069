"""What the door would say to one picture, and from which figures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from facelatch.errors import InputError
from facelatch.line.match import needed_share
from facelatch.line.pipeline import Line
from facelatch.values.observations import Judged, Observation, Unusable
from facelatch.values.records import Gallery


def only(gallery: Gallery, name: str) -> Gallery:
    """The part of `gallery` that is this one person. Raises InputError when nobody has the name."""
    wanted = {key: one for key, one in gallery.people.items() if one.name.casefold() == name.casefold()}
    if not wanted:
        raise InputError(f"{name}: not enrolled", hint="`facelatch people list` shows who is")
    rows = [index for index, owner in enumerate(gallery.owners) if owner in wanted]
    return Gallery(
        people=wanted,
        owners=tuple(gallery.owners[index] for index in rows),
        embeddings=gallery.embeddings[rows],
        lookalikes=gallery.lookalikes,
    )


def explained(line: Line, gallery: Gallery, observation: Observation) -> dict[str, Any]:
    """What the line saw and compared, as JSON: thresholds, face, pose, and every similarity by person."""
    record: dict[str, Any] = {
        "matched": False,
        "reason": observation.verdict.reason if isinstance(observation, Judged) else observation.reason,
        "detection_threshold": line.thresholds.detection,
        "verification_threshold": line.thresholds.verification,
    }
    record["hint"] = record["reason"].hint
    if isinstance(observation, Judged | Unusable):
        record["face"] = {**asdict(observation.face.box), "score": round(observation.face.score, 3)}
    if isinstance(observation, Judged):
        verdict = observation.verdict
        record["matched"] = verdict.matched
        record["pose"] = asdict(observation.pose)
        record["person"] = verdict.person.name if verdict.person is not None else None
        if verdict.person is not None:
            record["verification_threshold"] = needed_share(verdict.person.id, gallery, line.thresholds)
        record["share"] = verdict.share
        per_person: dict[str, list[float]] = {}
        for owner, similarity in zip(gallery.owners, observation.similarities, strict=True):
            per_person.setdefault(gallery.people[owner].name, []).append(round(float(similarity), 4))
        record["similarities"] = per_person
    return record
