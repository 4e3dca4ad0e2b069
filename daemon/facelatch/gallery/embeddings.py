"""The embeddings of the stored crops: a cache for one model at a time, refilled when the model changes, or the way it
is asked.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import GalleryError, InputError
from facelatch.gallery.place import RESTORE
from facelatch.gallery.rows import VECTOR, insert_embedding
from facelatch.vision.align import ALIGN_VERSION
from facelatch.vision.png import decode_png
from facelatch.vision.references import Embed, embed_reference

BATCH = 64
"""Embeddings saved in one transaction: whoever is interrupted does not begin again from the first."""


NORMS = (1e-2, 1e3)
"""The Euclidean lengths an embedding may have; ours have about 1."""


def maker(model_sha256: str) -> str:
    """Under what the embeddings of one model are kept. The ending tells how the model is asked: it changes when
    `embed_reference` does, so that no gallery holds two kinds.
    """
    return f"{model_sha256}/both sides"


def refuse_other_alignment(connection: sqlite3.Connection, path: Path) -> None:
    """Raises GalleryError that names the people whose crops no model of this code fits."""
    found = connection.execute(
        "SELECT DISTINCT name, align_version FROM reference_images"
        " JOIN people ON people.id = person_id WHERE align_version <> ? ORDER BY name",
        (ALIGN_VERSION,),
    ).fetchall()
    if found:
        names = ", ".join(name for name, _ in found)
        raise GalleryError(
            f"{path}: images of alignment {found[0][1]}, this Facelatch has {ALIGN_VERSION}: {names}",
            hint="remove these people with `facelatch people remove`, then enrol them again",
        )


def complete(connection: sqlite3.Connection, path: Path, model_sha256: str, embed: Embed) -> int:
    """Makes up to BATCH of what is missing for this model, in the caller's transaction, over what other models made.

    Returns how many it made; less than BATCH: nothing is missing any more. Raises GalleryError for a crop that is no
    longer whole.
    """
    made_by = maker(model_sha256)
    missing = connection.execute(
        "SELECT id FROM reference_images WHERE id NOT IN"
        " (SELECT reference_id FROM embeddings WHERE made_by = ?) ORDER BY id LIMIT ?",
        (made_by, BATCH),
    ).fetchall()
    for (id_,) in missing:
        row = connection.execute("SELECT crop_png FROM reference_images WHERE id = ?", (id_,)).fetchone()
        try:
            crop = decode_png(row[0])
        except InputError as error:
            raise GalleryError(f"{path}: damaged: image {id_}: {error}", hint=RESTORE) from error
        insert_embedding(connection, id_, made_by, embed_reference(embed, crop))
    return len(missing)


def stacked(
    connection: sqlite3.Connection, path: Path, size: int | None
) -> tuple[tuple[int, ...], NDArray[np.float32]]:
    """The owner of each embedding, and all of them (N, D); (0, 0) without any.

    Raises GalleryError for what no model can have made: another length than `size` (None: than each other), a number
    that is not finite, a vector of next to nothing, which would be near to everybody, or one out of all bounds.
    """
    rows = connection.execute(
        "SELECT person_id, vector FROM reference_images JOIN embeddings"
        " ON reference_id = reference_images.id ORDER BY reference_images.id"
    ).fetchall()
    if not rows:
        return (), np.zeros((0, 0), dtype=np.float32)
    try:
        embeddings = np.stack([np.frombuffer(vector, dtype=VECTOR) for _, vector in rows]).astype(np.float32)
    except ValueError as error:
        raise GalleryError(f"{path}: damaged: embeddings of several lengths", hint=RESTORE) from error
    if size is not None and embeddings.shape[1] != size:
        raise GalleryError(
            f"{path}: damaged: embeddings of {embeddings.shape[1]} numbers, the model makes {size}", hint=RESTORE
        )
    lengths = np.linalg.norm(embeddings, axis=1)
    # Written so that a length that is not a number is out of bounds.
    sound = (lengths >= NORMS[0]) & (lengths <= NORMS[1])
    if not sound.all():
        raise GalleryError(
            f"{path}: damaged: {int((~sound).sum())} embeddings that no model has made", hint=RESTORE
        )
    return tuple(owner for owner, _ in rows), embeddings
