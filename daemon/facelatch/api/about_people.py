"""What the running daemon tells of people besides: how old their pictures are, when they came, who has a look-alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facelatch.api.records import utc_text
from facelatch.gallery.reference_ages import ages
from facelatch.gallery.store import GalleryStore
from facelatch.values.records import Gallery


def with_more(
    reply: dict[str, Any], store: GalleryStore, gallery: Gallery, came: Mapping[int, int] | None
) -> dict[str, Any]:
    """`reply` to `list` or `show` with four more fields for each person. Raises GalleryError.

    `came` has when people came last, milliseconds of Unix time by id; None for whoever may not know.
    """
    rows = [reply["person"]] if "person" in reply else reply["people"]
    if not rows:
        return reply
    ids = [row["id"] for row in rows]
    with store.transaction() as connection:
        taken = ages(connection, min(ids), max(ids))
    more = [{**row, **_more(row["id"], taken, gallery, came or {})} for row in rows]
    return {**reply, "person": more[0]} if "person" in reply else {**reply, "people": more}


def _more(
    id_: int, taken: Mapping[int, tuple[str, str]], gallery: Gallery, came: Mapping[int, int]
) -> dict[str, Any]:
    oldest, newest = taken.get(id_, (None, None))
    return {
        "oldest": oldest,
        "newest": newest,
        "seen": utc_text(came[id_]) if id_ in came else None,
        "lookalike": id_ in gallery.lookalikes,
    }
