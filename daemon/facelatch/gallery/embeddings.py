"""The embeddings of the stored crops: a cache for one model at a time, refilled when the model changes, or the way it
is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
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


def maker(model_sha256: str) -> str:
    """Under what the embeddings of one model are kept. The ending tells how the model is asked: it changes when
    `embed_reference` does, so that no gallery holds two kinds.
    """
    return f"{model_sha256}/both sides"


def refuse_other_alignment(connection: sqlite3.Connection, path: Path) -> None:
    """Raises GalleryError that names the people whose crops no model of this code fits."""
    found = connection.execute(
        "SELECT DISTINCT name, align_version FROM reference_images"
        " JOIN people ON people.id = person_id WHERE align_version <> ? AND staged IS NULL ORDER BY name",
        (ALIGN_VERSION,),
    ).fetchall()
    if found:
        names = ", ".join(name for name, _ in found)
        raise GalleryError(
            f"{path}: images of alignment {found[0][1]}, this Facelatch has {ALIGN_VERSION}: {names}",
            hint="remove these people with `facelatch people remove`, then enrol them again",
        )


def missing(connection: sqlite3.Connection, model_sha256: str) -> list[int]:
    """The ids of the reference images that have no embedding of this model, without those of unfinished imports."""
    have = connection.execute("SELECT reference_id FROM embeddings WHERE model_sha256 = ?", (maker(model_sha256),))
    known = {id_ for (id_,) in have}
    return sorted(id_ for id_ in _owners(connection) if id_ not in known)


def _owners(connection: sqlite3.Connection) -> dict[int, int]:
    """The person of each reference image, without those of unfinished imports."""
    # By the index, not from the table, which has the pictures in it: to read its rows is to read them all.
    return dict(
        connection.execute(
            "SELECT reference_images.id, person_id FROM people JOIN reference_images"
            " INDEXED BY reference_images_of_person ON person_id = people.id WHERE staged IS NULL"
        )
    )


def complete(
    connection: sqlite3.Connection, path: Path, model_sha256: str, embed: Embed, ids: Iterable[int]
) -> None:
    """Makes the embeddings of these images, in the caller's transaction, over what other models made.

    An image that has gone meanwhile is left out. Raises GalleryError for a crop that is no longer whole.
    """
    made_by = maker(model_sha256)
    for id_ in ids:
        row = connection.execute("SELECT crop_png FROM reference_images WHERE id = ?", (id_,)).fetchone()
        if row is None:
            continue
        try:
            crop = decode_png(row[0])
        except InputError as error:
            raise GalleryError(f"{path}: damaged: image {id_}: {error}", hint=RESTORE) from error
        insert_embedding(connection, id_, made_by, embed_reference(embed, crop))


def stacked(
    connection: sqlite3.Connection, path: Path, model_sha256: str
) -> tuple[tuple[int, ...], NDArray[np.float32]]:
    """The owner of each embedding of this model, and all of them (N, D); (0, 0) without any. Raises GalleryError.

    Without those of people who have a reference image not embedded yet: with one of eight a person would be
    recognised by that one alone.
    """
    owners = _owners(connection)
    partial = {owners[id_] for id_ in missing(connection, model_sha256)}
    chosen = sorted(id_ for id_, owner in owners.items() if owner not in partial)
    stack: NDArray[np.float32] | None = None
    row, wanted = 0, frozenset(chosen)
    for id_, vector in connection.execute("SELECT reference_id, vector FROM embeddings ORDER BY reference_id"):
        if id_ not in wanted:
            continue
        if stack is None:
            stack = np.empty((len(chosen), len(vector) // VECTOR.itemsize), dtype=np.float32)
        if len(vector) != stack.shape[1] * VECTOR.itemsize:
            raise GalleryError(f"{path}: damaged: embeddings of several lengths", hint=RESTORE)
        stack[row] = np.frombuffer(vector, dtype=VECTOR)
        row += 1
    if stack is None:
        return (), np.zeros((0, 0), dtype=np.float32)
    return tuple(owners[id_] for id_ in chosen), stack
