"""Batches of prepared views, drawn by what is known of them; seeded."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from facelatch_training.liveness.data.pictures import family_of
from facelatch_training.liveness.data.prepare import KINDS, Prepared
from facelatch_training.liveness.recipe import Recipe

PARTS = {0: 0.375, 1: 0.375, -1: 0.25}
"""Shares of a batch: attacks, living faces, what only the teacher judges."""
MOST_LOGIT = 6.0
"""The teacher's logit beyond which it is merely sure."""
SAMPLE = 2000


class Batches(keras.utils.PyDataset):  # type: ignore[misc, unused-ignore]
    """(views uint8 (B, 80, 80, 3), targets of the network's outputs); epoch and index decide everything in it.

    `left_out` names families of sources that are not shown. Views are shown as they lie there: the teacher has answered
    to these very pixels.
    """

    def __init__(
        self, data: Prepared, recipe: Recipe, *, left_out: tuple[str, ...] = (), first_epoch: int = 0
    ) -> None:
        super().__init__(workers=1)
        self._data, self._recipe, self._epoch = data, recipe, first_epoch
        shown = np.array([family_of(str(name)) not in left_out for name in data.source])
        parts = {live: np.flatnonzero(shown & (data.live == live)) for live in PARTS}
        self._rows = {live: rows for live, rows in parts.items() if len(rows)}
        self._logits = targets(data)
        sample = np.flatnonzero(shown)[:: max(1, int(shown.sum()) // SAMPLE)]
        self._features, self._maps = _Unit(data.features[sample]), _Unit(data.maps[sample])

    def __len__(self) -> int:
        return self._recipe.fit.steps

    def __getitem__(self, index: int) -> tuple[Any, dict[str, Any]]:
        rng = np.random.default_rng([self._recipe.seed, self._epoch, index])
        whole = sum(PARTS[live] for live in self._rows)
        drawn = [
            rng.choice(rows, round(self._recipe.fit.batch * PARTS[live] / whole))
            for live, rows in self._rows.items()
        ]
        chosen = np.sort(np.concatenate(drawn))
        return np.asarray(self._data.images[chosen]), {
            "logits": self._logits[chosen],
            "features": self._features.of(self._data.features[chosen]),
            "maps": self._maps.of(self._data.maps[chosen]),
        }

    def on_epoch_end(self) -> None:
        """Other views come in the next epoch."""
        self._epoch += 1


class _Unit:
    """Brings each channel to mean 0 and variance 1, as it is in a sample (N, ..., C)."""

    def __init__(self, sample: NDArray[np.float16]) -> None:
        values = sample.astype(np.float32).reshape(-1, sample.shape[-1])
        self._mean, self._spread = values.mean(axis=0), values.std(axis=0) + 1e-3

    def of(self, values: NDArray[np.float16]) -> NDArray[np.float32]:
        return np.asarray((values.astype(np.float32) - self._mean) / self._spread, np.float32)


def targets(data: Prepared) -> NDArray[np.float32]:
    """(N, 5) as LivenessLoss takes them."""
    kind_known = np.isin(data.kind, [KINDS.index(kind) for kind in ("print", "screen", "mask")])
    share = np.clip(data.teacher.astype(np.float64), 1e-6, 1 - 1e-6)
    taught = np.clip(np.log(share / (1 - share)), -MOST_LOGIT, MOST_LOGIT)
    known = data.live >= 0
    return np.asarray(
        np.stack([data.live == 1, known, data.kind == KINDS.index("screen"), kind_known, taught], axis=1),
        np.float32,
    )
