"""What the door says to one face, and from which figures: for `facelatch verify` and whoever tries a picture."""

from __future__ import annotations

from typing import Any

from facelatch.errors import InputError
from facelatch.gallery.names import clean_name, name_key
from facelatch.line.match import closest, match, needed_share
from facelatch.line.pipeline import Line
from facelatch.values.pictures import Image
from facelatch.values.records import Gallery

MOST_PEOPLE = 50
"""In the reply: those who came closest."""


def judge(
    line: Line, gallery: Gallery, crop: Image, *, person: str | None = None, similarities: bool = False
) -> dict[str, Any]:
    """The verdict on an aligned crop (112, 112, 3), as JSON: both thresholds, and the counts of those who came closest.

    `person`: compared with this one only. `similarities`: every single one of them as well, by which somebody could
    find out step by step what an enrolled face looks like to the model. Raises InputError.
    """
    if person is not None:
        gallery = _only(gallery, person)
    seen = line.verifier.compare(line.verifier.embed(crop), gallery.embeddings)
    verdict = match(seen, gallery, line.thresholds)
    rows: list[dict[str, Any]] = []
    for one in closest(seen, gallery, line.thresholds.detection, MOST_PEOPLE):
        row = {"name": one.person.name, "detections": one.detections, "references": len(one.similarities)}
        rows.append({**row, **({"similarities": one.similarities} if similarities else {})})
    return {
        "matched": verdict.matched,
        "reason": verdict.reason.value,
        "hint": verdict.reason.hint,
        "person": verdict.person.name if verdict.person is not None else None,
        "share": verdict.share,
        "detection_threshold": line.thresholds.detection,
        "verification_threshold": line.thresholds.verification
        if verdict.person is None
        else needed_share(verdict.person.id, gallery, line.thresholds),
        "people": rows,
    }


def _only(gallery: Gallery, name: str) -> Gallery:
    wanted = name_key(clean_name(name))
    found = gallery.only({id_ for id_, one in gallery.people.items() if name_key(one.name) == wanted})
    if not found.people:
        raise InputError(f"{clean_name(name)}: not enrolled", hint="`facelatch people list` shows who is")
    return found
