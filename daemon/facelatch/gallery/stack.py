"""The embeddings of a gallery in memory, side by side as the matcher needs them: what is there is not read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import GalleryError
from facelatch.gallery.embeddings import BATCH, maker, missing, owners_of_images, refuse_unsound
from facelatch.gallery.place import RESTORE
from facelatch.gallery.rows import EMBEDDING, VECTOR
from facelatch.gallery.seal import Tables

Rows = NDArray[np.float32]

_WATCHED = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}


class Stack:
    """For one connection. At a door with 5,000 people the embeddings are 60 MB, which take seconds to read."""

    def __init__(self, connection: Tables, path: Path) -> None:
        """Raises sqlite3.Error."""
        self._connection, self._path, self._made_by = connection, path, ""
        self._ids: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._matrix: Rows = np.zeros((0, 0), dtype=np.float32)
        self._new: dict[int, Rows] = {}
        self._changed: set[int] = set()
        # SQLite gives the id of a deleted image to another one. So whoever changes a row, by whatever statement or
        # cascade, is heard: nobody may be let in by the embedding of somebody who was removed.
        connection.create_function("facelatch_changed", 1, self._note_change)
        for action, row in _WATCHED.items():
            connection.execute(
                f"CREATE TEMP TRIGGER facelatch_{action.lower()} AFTER {action} ON embeddings"
                f" BEGIN SELECT facelatch_changed({row}.reference_id); END"
            )

    def _note_change(self, id_: int) -> None:
        self._changed.add(id_)
        self._new.pop(id_, None)

    def remember(self, made: dict[int, Rows]) -> None:
        """Takes the embeddings (D,) of reference images that were just saved, of this model."""
        self._new |= made
        self._changed |= made.keys()

    def arranged(self, model_sha256: str) -> tuple[tuple[int, ...], Rows]:
        """The owner of each embedding of this model, and all of them (N, D); (0, 0) without any. Raises GalleryError.

        Without those of people who have a reference image not embedded yet: with one of eight a person would be
        recognised by that one alone.
        """
        if self._made_by != maker(model_sha256):
            self._made_by, self._ids = maker(model_sha256), self._ids[:0]
        owners = owners_of_images(self._connection)
        partial = {owners[id_] for id_ in missing(self._connection, model_sha256)}
        chosen = np.array(sorted(id_ for id_, owner in owners.items() if owner not in partial), dtype=np.int64)
        if self._changed or not np.array_equal(chosen, self._ids):
            self._matrix, self._ids = self._rows(chosen, owners), chosen
            arranged = set(chosen.tolist())
            self._new = {id_: row for id_, row in self._new.items() if id_ not in arranged}
            self._changed = set(self._new)
        return tuple(owners[id_] for id_ in chosen.tolist()), self._matrix

    def _rows(self, chosen: NDArray[np.int64], owners: dict[int, int]) -> Rows:
        kept = np.isin(chosen, self._ids) & ~np.isin(chosen, np.array(sorted(self._changed), dtype=np.int64))
        fresh = chosen[~kept].tolist()
        found = {id_: self._new[id_] for id_ in fresh if id_ in self._new}
        found |= _read(self._connection, {id_: owners[id_] for id_ in fresh if id_ not in found})
        widths = {len(vector) for vector in found.values()} | ({self._matrix.shape[1]} if kept.any() else set())
        if len(widths) > 1:
            raise GalleryError(f"{self._path}: damaged: embeddings of several lengths", hint=RESTORE)
        matrix = np.empty((len(chosen), max(widths, default=0)), dtype=np.float32)
        places, source = np.flatnonzero(kept), np.searchsorted(self._ids, chosen[kept])
        if len(places) and places[-1] < len(places):
            # What is new comes last, as its ids are the highest: then there is no second copy in between.
            np.take(self._matrix, source, axis=0, out=matrix[: len(places)], mode="clip")
        elif len(places):
            matrix[places] = self._matrix[source]
        for row, id_ in zip(np.flatnonzero(~kept).tolist(), fresh, strict=True):
            matrix[row] = found[id_]
        refuse_unsound(self._path, matrix)
        return matrix


def _read(connection: Tables, owners: dict[int, int]) -> dict[int, Rows]:
    """Embeddings of these images and their persons from the disk: few by their ids, many in one go through the table.

    Raises GalleryError for one that was altered, or is another's.
    """
    query, chosen = "SELECT reference_id, made_by, vector FROM embeddings", tuple(owners) if len(owners) < BATCH else ()
    if len(owners) < BATCH:
        query += f" WHERE reference_id IN ({','.join('?' * len(chosen))})"
    unseal = connection.seal.open
    return {
        id_: np.frombuffer(unseal(vector, EMBEDDING, id_, owners[id_], made_by), dtype=VECTOR)
        for id_, made_by, vector in connection.execute(query, chosen)
        if id_ in owners
    }
