"""Pairs of crops: balanced, seeded, with the impostors that are hard: relatives and nearest strangers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
NEAREST = 20
"""How many of the most similar strangers of a person count as hard."""


@dataclass(frozen=True)
class Pairs:
    """Row numbers of both sides and whether they show one person; all of length P."""

    anchor: Rows
    validation: Rows
    same: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.same)


class PairSampler:
    """Draws pairs from labelled rows. `labels` (N,) name the person, `families` (N,) the family of each
    row.
    """

    def __init__(
        self, labels: Rows, families: Rows, embeddings: npt.NDArray[np.float32] | None = None
    ) -> None:
        self._labels, self._families = labels, families
        self._members = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
        self._pairable = np.array([label for label, rows in enumerate(self._members) if len(rows) > 1])
        kin: dict[int, list[int]] = {}
        for label, rows in enumerate(self._members):
            if len(rows):
                kin.setdefault(int(families[rows[0]]), []).append(label)
        self._relatives = {
            label: [k for k in group if k != label] for group in kin.values() for label in group
        }
        self._with_relatives = np.array([label for label, group in self._relatives.items() if group])
        self._nearest = (
            None if embeddings is None else _nearest_strangers(self._members, families, embeddings)
        )

    def draw(
        self, count: int, rng: np.random.Generator, relatives: float = 0.25, nearest: float = 0.25
    ) -> Pairs:
        """`count` pairs, half of them genuine; `relatives` and `nearest` are shares of the impostor half."""
        genuine = count // 2
        anchor, other = np.empty(count, np.int64), np.empty(count, np.int64)
        for slot in range(count):
            if slot < genuine:
                rows = self._members[int(rng.choice(self._pairable))]
                anchor[slot], other[slot] = rng.choice(rows, 2, replace=False)
            else:
                anchor[slot], other[slot] = self._impostor(rng, relatives, nearest)
        order = rng.permutation(count)  # so that every part of a batch has both kinds
        return Pairs(anchor[order], other[order], order < genuine)

    def _impostor(self, rng: np.random.Generator, relatives: float, nearest: float) -> tuple[int, int]:
        dice = rng.random()
        if dice < relatives and len(self._with_relatives):
            label = int(rng.choice(self._with_relatives))
            other = int(rng.choice(self._relatives[label]))
        elif self._nearest is not None and self._nearest.size and dice < relatives + nearest:
            label = int(rng.integers(len(self._members)))
            other = int(rng.choice(self._nearest[label]))
        else:
            row, stranger = (int(value) for value in rng.integers(len(self._labels), size=2))
            while self._labels[row] == self._labels[stranger]:
                stranger = int(rng.integers(len(self._labels)))
            return row, stranger
        return int(rng.choice(self._members[label])), int(rng.choice(self._members[other]))


def _nearest_strangers(members: list[Rows], families: Rows, embeddings: npt.NDArray[np.float32]) -> Rows:
    """For every person the NEAREST (or fewer) people outside the family with the most similar mean (C, K)."""
    centres = np.stack([embeddings[rows].mean(axis=0) for rows in members])
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    _, kin = np.unique([families[rows[0]] for rows in members], return_inverse=True)
    count = min(NEAREST, len(members) - int(np.bincount(kin.reshape(-1)).max()))
    nearest = np.empty((len(members), count), np.int64)
    if count:
        for start in range(0, len(members), 1024):
            block = slice(start, start + 1024)
            cosines = centres[block] @ centres.T
            cosines[kin[block, None] == kin[None, :]] = -2.0
            nearest[block] = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    return nearest
