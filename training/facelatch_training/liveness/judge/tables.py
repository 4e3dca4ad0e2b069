"""What the commands print and write down: tables of pictures and of visits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facelatch.vision.liveness_manifest import LivenessManifest
from facelatch_training.data.cropping import PREPARE_SCORE, open_finder
from facelatch_training.liveness.data.pictures import JUDGE, Picture, read_table
from facelatch_training.liveness.judge import evaluate, rates
from facelatch_training.liveness.judge.evaluate import Judge
from facelatch_training.liveness.judge.levels import LeftOut
from facelatch_training.liveness.judge.visits import scores_of, visits

Echo = Callable[[str], object]


def measure(
    folder: Path, split: str, judges: dict[str, Judge], manifest: LivenessManifest, *, echo: Echo
) -> dict[str, Any]:
    """Prints the tables of a split, of pictures with context and of tight ones; returns their rows."""
    figures: dict[str, Any] = {}
    table = read_table(folder)
    for context, title in ((True, "with context"), (False, "tight")):
        pictures = [one for one in table if one.split == split and one.context == context]
        if not pictures:
            continue
        echo(f"\nPictures {title}, split {split}\n\n{evaluate.HEADER}")
        scores = evaluate.score(folder, pictures, judges)
        rows = list(evaluate.rows(pictures, scores))
        for row in rows:
            echo(evaluate.line(row))
        figures[title] = rows
        live = np.array([one.live for one in pictures])
        for name in ("basic", "strict"):
            threshold = getattr(manifest, name).threshold
            passed = rates.apcer(scores["own"][~live], threshold)
            refused = rates.bpcer(scores["own"][live], threshold)
            echo(f"at {name} (threshold {threshold:.2f}): APCER {passed:.1%}, BPCER {refused:.1%}")
            figures[f"{title}, {name}"] = {"apcer": passed, "bpcer": refused}
    return figures


@dataclass(frozen=True)
class Unseen:
    """What networks make of the families of sources that they have not seen."""

    own: list[LeftOut]
    summed: list[LeftOut]
    """The same with the peer."""
    rows: list[dict[str, Any]]
    """Figures of each family, of pictures with context and of tight ones: by own network, peer, and their sum."""


def unseen(
    folder: Path, families: tuple[str, ...], judges: dict[str, Judge], *, echo: Echo
) -> Unseen:
    """The scores of sources that a network has not seen, of all splits but `judge`: the families left out, and those
    of the split `validation` of which nothing is in `train`.

    `own` and `summed` are of pictures with context only, as the door always sees a face's surroundings.
    """
    found = Unseen([], [], [])
    table = [one for one in read_table(folder) if one.split != JUDGE]
    for family, unknown in _unknown(table, families).items():
        for context, title in ((True, "with context"), (False, "tight")):
            pictures = [one for one in unknown if one.context == context]
            live = np.array([one.live for one in pictures], bool)
            if min(live.sum(), (~live).sum()) < evaluate.LEAST:
                continue
            scores = evaluate.score(folder, pictures, judges)
            counts = {"live": int(live.sum()), "attack": int((~live).sum())}
            for name in ("own", "peer", "sum"):
                row: dict[str, Any] = {"family": family, "pictures": title, "judge": name, **counts}
                row |= evaluate.figures(scores[name][live], scores[name][~live])
                echo(
                    f"{family} left out, {title}, {name}: {row['live']} live, {row['attack']} attacks, "
                    f"AUC {row['auc']:.3f}, APCER at BPCER 5 % {row['apcer_bpcer5']:.1%}"
                )
                found.rows.append(row)
            if context:
                found.own.append(LeftOut(family, scores["own"][live], scores["own"][~live]))
                found.summed.append(LeftOut(family, scores["sum"][live], scores["sum"][~live]))
    return found


def _unknown(table: list[Picture], families: tuple[str, ...]) -> dict[str, list[Picture]]:
    found = {family: [one for one in table if one.family == family] for family in families}
    shown = {one.source for one in table if one.split == "train"}
    others = [one for one in table if one.source not in shown and one.family not in families]
    return {**found, "other sources": others}


def measure_visits(path: Path, judge: Judge, manifest: LivenessManifest, *, echo: Echo) -> None:
    """Prints how many visits of the recorded sequences are let in at each level."""
    made = visits(path, open_finder("network", score_threshold=PREPARE_SCORE), judge)
    live, attack = scores_of(made)
    people = len({one.person for one in made})
    echo(
        f"{people} people, {len(live)} living visits, {len(attack)} of prints: AUC {rates.auc(live, attack):.3f}"
    )
    echo(f"at BPCER 5 %: APCER {rates.apcer_at_bpcer(live, attack, 0.05):.1%}")
    for name in ("basic", "strict"):
        threshold = getattr(manifest, name).threshold
        echo(
            f"at {name}: prints let in {int((attack >= threshold).sum())} of {len(attack)}, "
            f"living {int((live >= threshold).sum())} of {len(live)}"
        )
