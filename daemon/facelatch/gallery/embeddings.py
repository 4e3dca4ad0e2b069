"""The embeddings of the stored crops on disk: a cache for one model at a time, refilled when the model changes, or the
way it is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import GalleryError, InputError
from facelatch.gallery.place import RESTORE
from facelatch.gallery.rows import insert_embedding
from facelatch.vision.align import ALIGN_VERSION
from facelatch.vision.png import decode_png
from facelatch.vision.references import Embed, embed_reference

BATCH = 64
"""Embeddings saved in one transaction: whoever is interrupted does not begin again from the first."""


NORMS = (1e-2, 1e3)
"""The Euclidean lengths an embedding may have; ours have about 1."""


def refuse_unsound(vectors: NDArray[np.float32], path: Path) -> None:
    """Raises GalleryError for embeddings (N, D) that no model can have made.

    Not finite, next to nothing (which would be near to everybody), or out of all bounds.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    # Written so that a length that is not a number is out of bounds.
    sound = (lengths >= NORMS[0]) & (lengths <= NORMS[1])
    if not sound.all():
        raise GalleryError(f"{path}: damaged: {int((~sound).sum())} embeddings that no model has made", hint=RESTORE)


def refuse_other_length(vectors: NDArray[np.float32], size: int | None, path: Path) -> None:
    """Raises GalleryError when embeddings (N, D) are not of the `size` the model makes; None: nobody knows it."""
    if size is not None and len(vectors) and vectors.shape[1] != size:
        fault = f"embeddings of {vectors.shape[1]} numbers, the model makes {size}"
        raise GalleryError(f"{path}: damaged: {fault}", hint=RESTORE)


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
    have = connection.execute("SELECT reference_id FROM embeddings WHERE made_by = ?", (maker(model_sha256),))
    known = {id_ for (id_,) in have}
    return sorted(id_ for id_ in owners_of_images(connection) if id_ not in known)


def owners_of_images(connection: sqlite3.Connection) -> dict[int, int]:
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
) -> dict[int, NDArray[np.float32]]:
    """Makes the embeddings of these images, in the caller's transaction, over what other models made. Returns them.

    An image that has gone meanwhile is left out. Raises GalleryError for a crop that is no longer whole.
    """
    made_by, made = maker(model_sha256), dict[int, NDArray[np.float32]]()
    for id_ in ids:
        row = connection.execute("SELECT crop_png FROM reference_images WHERE id = ?", (id_,)).fetchone()
        if row is None:
            continue
        try:
            crop = decode_png(row[0])
        except InputError as error:
            raise GalleryError(f"{path}: damaged: image {id_}: {error}", hint=RESTORE) from error
        made[id_] = embed_reference(embed, crop)
        insert_embedding(connection, id_, made_by, made[id_])
    return made
