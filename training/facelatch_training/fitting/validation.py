"""The yardstick of a run: figures on people it never trains on, the same comparisons every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from facelatch_training.batches.pairs import Pairs, PairSampler
from facelatch_training.data.crops import CropArray
from facelatch_training.judge.evaluate import FALSE_RATES
from facelatch_training.judge.metrics import Ranked, best_threshold

PAIR_SEED = 20_240_229


@dataclass(frozen=True)
class Yardstick:
    """Validation crops with the person and the family of each, and one fixed list of balanced pairs among
    them.
    """

    crops: CropArray
    labels: npt.NDArray[np.int64]
    families: npt.NDArray[np.int64]
    pairs: Pairs

    def __str__(self) -> str:
        """How many people and comparisons the figures rest on."""
        count, pictures = len(np.unique(self.labels)), len(self.labels)
        genuine = int(sum(n * (n - 1) // 2 for n in np.bincount(self.labels)))
        impostor = pictures * (pictures - 1) // 2 - genuine
        return f"{count} people, {genuine} genuine and {impostor} impostor pairs of {pictures} pictures"

    def measure(self, embeddings: npt.NDArray[np.float32]) -> dict[str, float]:
        """Figures for unit embeddings (N, D) of the crops.

        `tar@F`: share of all genuine comparisons above the similarity that a share F of all impostor
        comparisons reaches. `kin@0.001`: share of comparisons between relatives above the threshold of
        tar@0.001. `accuracy` and `auc` on the list of pairs, half of whose impostors are relatives or
        nearest strangers.
        """
        return self._figures(embeddings @ embeddings.T)

    def judge(self, embeddings: npt.NDArray[np.float32], head: Any) -> dict[str, float]:
        """The same figures by the similarity that `head` ([(1, D), (N, D)] -> (N, 1)) gives, and its log
        loss.
        """
        rows = [ops.convert_to_numpy(head([row[None], embeddings], training=False)) for row in embeddings]
        similarities = np.stack(rows)[:, :, 0].astype(np.float32)
        values = similarities[self.pairs.anchor, self.pairs.validation].clip(1e-6, 1 - 1e-6)
        loss = -np.mean(np.where(self.pairs.same, np.log(values), np.log1p(-values)))
        return {**self._figures(similarities), "log_loss": float(loss)}

    def _figures(self, similarities: npt.NDArray[np.float32]) -> dict[str, float]:
        upper = np.triu_indices(len(self.labels), 1)
        same = (self.labels[:, None] == self.labels)[upper]
        kin = (self.families[:, None] == self.families)[upper] & ~same
        values = similarities[upper]
        genuine, impostor = values[same], values[~same]
        figures: dict[str, float] = {}
        for rate in FALSE_RATES:
            threshold = float(np.quantile(impostor, 1 - rate))
            figures[f"tar@{rate:g}"] = float(np.mean(genuine > threshold))
            figures[f"threshold@{rate:g}"] = threshold
            if rate == 1e-3 and kin.any():
                figures["kin@0.001"] = float(np.mean(values[kin] > threshold))
        pair_values = similarities[self.pairs.anchor, self.pairs.validation]
        best = best_threshold(pair_values, self.pairs.same)
        figures["accuracy"] = float(np.mean((pair_values >= best) == self.pairs.same))
        figures["auc"] = Ranked(pair_values[self.pairs.same], pair_values[~self.pairs.same]).auc()
        return figures


def make_yardstick(
    crops: CropArray, labels: Any, families: Any, hard: npt.NDArray[np.float32] | None
) -> Yardstick:
    """A yardstick with 6,000 pairs at most; `hard` (N, D) are embeddings that say which strangers are
    alike.
    """
    sampler = PairSampler(labels, families, hard)
    pairs = sampler.draw(min(6000, 4 * len(labels)), np.random.default_rng(PAIR_SEED))
    return Yardstick(crops=crops, labels=labels, families=families, pairs=pairs)
