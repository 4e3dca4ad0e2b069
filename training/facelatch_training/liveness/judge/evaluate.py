"""`facelatch-train liveness evaluate`: one table by source and kind, the peer and the shortcuts beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facelatch.values.pictures import Box, Image
from facelatch.vision.liveness import logit, views
from facelatch_training.liveness.data.pictures import Picture, read_pixels
from facelatch_training.liveness.data.teacher import MiniFasNet
from facelatch_training.liveness.judge import rates

Scores = NDArray[np.float64]
Judge = Callable[[Image, Box], float]
"""From a picture and the box of its face to how alive it is; higher is more so."""

FIELDS = ("auc", "eer", "apcer_bpcer1", "apcer_bpcer5", "bpcer_apcer1", "bpcer_apcer5")
LEAST = 10
"""Pictures of either label that a row needs."""


def by_views(logits: Callable[[NDArray[np.uint8]], Any]) -> Judge:
    """A judge of a network that takes views (N, 80, 80, 3) and gives logits (N, 2)."""
    return lambda image, box: float(np.asarray(logits(views(image, box)))[:, 0].mean())


def by_peer(peer: MiniFasNet) -> Judge:
    """The logit of what the peer says."""
    return lambda image, box: logit(peer.judge(image, box))


def score(folder: Path, pictures: Sequence[Picture], judges: dict[str, Judge]) -> dict[str, Scores]:
    """Each judge's scores of all pictures; `padding alone` where the table knows it, `sum` of `own` and `peer`."""
    pixels = read_pixels(folder, pictures)
    scores = {
        name: np.array([judge(pixels[one.path], one.box) for one in pictures])
        for name, judge in judges.items()
    }
    if "own" in scores and "peer" in scores:
        scores["sum"] = scores["own"] + scores["peer"]
    if all(one.padding is not None for one in pictures):
        padding = np.array([one.padding for one in pictures], np.float64)
        scores["padding alone"] = padding if rates.auc(*_labelled(pictures, padding)) > 0.5 else -padding
    return scores


def _labelled(pictures: Sequence[Picture], scores: Scores) -> tuple[Scores, Scores]:
    live = np.array([one.live for one in pictures])
    return scores[live], scores[~live]


def rows(pictures: Sequence[Picture], scores: dict[str, Scores]) -> Iterator[dict[str, Any]]:
    """Figures of all pictures, of each source and of each kind of attack, for every judge."""
    live = np.array([one.live for one in pictures])
    people = np.array([one.person or one.path for one in pictures])
    sources = np.array([one.source for one in pictures])
    kinds = np.array([one.kind for one in pictures])
    everything = np.ones(len(pictures), bool)
    slices = [("all", everything)]
    slices += [(f"kind {kind}", live | (kinds == kind)) for kind in np.unique(kinds[~live]) if kind]
    if len(np.unique(sources)) > 1:
        slices += [(str(source), sources == source) for source in np.unique(sources)]
    for name, inside in slices:
        alive, attacks = inside & live, inside & ~live
        if min(alive.sum(), attacks.sum()) < LEAST:
            continue
        for judge, all_scores in scores.items():
            yield {
                "of": name,
                "judge": judge,
                "people": len(np.unique(people[inside])),
                "live": int(alive.sum()),
                "attack": int(attacks.sum()),
                **figures(all_scores[alive], all_scores[attacks]),
                "interval": rates.interval(
                    all_scores[alive], all_scores[attacks], (people[alive], people[attacks]), 0.05
                ),
            }


def figures(live: Scores, attack: Scores) -> dict[str, float]:
    """The rates of one row, by FIELDS."""
    return {
        "auc": rates.auc(live, attack),
        "eer": rates.eer(live, attack),
        "apcer_bpcer1": rates.apcer_at_bpcer(live, attack, 0.01),
        "apcer_bpcer5": rates.apcer_at_bpcer(live, attack, 0.05),
        "bpcer_apcer1": rates.bpcer_at_apcer(live, attack, 0.01),
        "bpcer_apcer5": rates.bpcer_at_apcer(live, attack, 0.05),
    }


HEADER = (
    "| of | judge | people | live / attacks | AUC | EER | APCER at BPCER 1 % | 5 % (95 % interval) "
    "| BPCER at APCER 1 % | 5 % |\n|---|---|---|---|---|---|---|---|---|---|"
)


def line(row: dict[str, Any]) -> str:
    """A row of the table, rates in per cent."""
    low, high = row["interval"]
    shares = {name: f"{100 * row[name]:.1f}" for name in FIELDS[1:]}
    return (
        f"| {row['of']} | {row['judge']} | {row['people']} | {row['live']} / {row['attack']} | {row['auc']:.3f} "
        f"| {shares['eer']} | {shares['apcer_bpcer1']} | {shares['apcer_bpcer5']} "
        f"({100 * low:.0f} to {100 * high:.0f}) "
        f"| {shares['bpcer_apcer1']} | {shares['bpcer_apcer5']} |"
    )
