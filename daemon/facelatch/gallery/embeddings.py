"""The embeddings of the stored crops on disk: a cache for one model at a time, refilled when the model changes, or the
way it is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import GalleryError, InputError
from facelatch.gallery.fleet_schema import WITHOUT_PICTURES
from facelatch.gallery.place import RESTORE
from facelatch.gallery.rows import insert_embedding, person_of
from facelatch.gallery.seal import Tables
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


def refuse_other_alignment(connection: Tables, path: Path) -> None:
    """Raises GalleryError that names the people whose crops no model of this code fits."""
    found = connection.execute(
        "SELECT DISTINCT people.id, name, admin, align_version FROM reference_images"
        " JOIN people ON people.id = person_id WHERE align_version <> ? AND staged IS NULL"
        f" AND people.id NOT IN ({WITHOUT_PICTURES})",
        (ALIGN_VERSION,),
    ).fetchall()
    if found:
        names = ", ".join(sorted(person_of(connection, (id_, name, admin)).name for id_, name, admin, _ in found))
        raise GalleryError(
            f"{path}: images of alignment {found[0][3]}, this Facelatch has {ALIGN_VERSION}: {names}",
            hint="remove these people with `facelatch people remove`, then enrol them again",
        )


def missing(connection: Tables, model_sha256: str) -> list[int]:
    """The ids of the reference images that have no embedding of this model, without those of unfinished imports."""
    have = connection.execute("SELECT reference_id FROM embeddings WHERE made_by = ?", (maker(model_sha256),))
    known = {id_ for (id_,) in have}
    return sorted(id_ for id_ in owners_of_images(connection) if id_ not in known)


def to_be_made(connection: Tables, model_sha256: str) -> list[int]:
    """Those of `missing` that have a picture: of people enrolled at other doors of the fleet no picture is here."""
    without = {id_ for (id_,) in connection.execute(WITHOUT_PICTURES)}
    owners = owners_of_images(connection) if without else {}
    return [id_ for id_ in missing(connection, model_sha256) if owners.get(id_) not in without]


def owners_of_images(connection: Tables) -> dict[int, int]:
    """The person of each reference image, without those of unfinished imports."""
    # By the index, not from the table, which has the pictures in it: to read its rows is to read them all.
    return dict(
        connection.execute(
            "SELECT reference_images.id, person_id FROM people JOIN reference_images"
            " INDEXED BY reference_images_of_person ON person_id = people.id WHERE staged IS NULL"
        )
    )


def complete(
    connection: Tables, path: Path, model_sha256: str, embed: Embed, ids: Iterable[int]
) -> dict[int, NDArray[np.float32]]:
    """Makes the embeddings of these images, in the caller's transaction, over what other models made. Returns them.

    An image that has gone meanwhile is left out. Raises GalleryError for a crop that is no longer whole.
    """
    made_by, made = maker(model_sha256), dict[int, NDArray[np.float32]]()
    for id_ in ids:
        row = connection.execute("SELECT crop_png, person_id FROM reference_images WHERE id = ?", (id_,)).fetchone()
        if row is None:
            continue
        stored, owner = row
        try:
            crop = decode_png(connection.seal.open(stored, "crops", id_, owner))
        except InputError as error:
            raise GalleryError(f"{path}: damaged: image {id_}: {error}", hint=RESTORE) from error
        made[id_] = embed_reference(embed, crop)
        insert_embedding(connection, id_, owner, made_by, made[id_])
    return made


def refuse_other_length(path: Path, embeddings: NDArray[np.float32], size: int | None) -> None:
    """Raises GalleryError for rows (N, D) of another length than the model's; None: of whatever length."""
    if len(embeddings) and size is not None and embeddings.shape[1] != size:
        raise GalleryError(
            f"{path}: damaged: embeddings of {embeddings.shape[1]} numbers, the model makes {size}", hint=RESTORE
        )


def refuse_unsound(path: Path, embeddings: NDArray[np.float32]) -> None:
    """Raises GalleryError for rows (N, D) that no model can have made: a number that is not finite, a vector of next to
    nothing, which would be near to everybody, or one out of all bounds.
    """
    lengths = np.linalg.norm(embeddings, axis=1)
    # Written so that a length that is not a number is out of bounds.
    unsound = int((~((lengths >= NORMS[0]) & (lengths <= NORMS[1]))).sum())
    if unsound:
        raise GalleryError(f"{path}: damaged: {unsound} embeddings that no model has made", hint=RESTORE)
