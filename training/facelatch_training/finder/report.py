"""One measuring run: every set, every peer, speed and verification accuracy, as one dictionary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2

from facelatch_training.finder.evaluate import (
    clip_views,
    compare,
    empty_views,
    small_views,
    timing,
    whole_views,
)
from facelatch_training.finder.faces import Teacher, load_empty, load_photos, split
from facelatch_training.finder.peers import FindRows, cascade, ours, yunet
from facelatch_training.finder.realign import verification
from facelatch_training.finder.recipe import Recipe, is_validation


def measure(
    model: Path, recipe: Recipe, data: Path, teacher: Path, *, reference: Path | None, pairs: int
) -> dict[str, Any]:
    """Everything `finder evaluate` reports. The clips are measured and never used for anything else."""
    cv2.setNumThreads(1)
    net = Teacher(teacher)
    photos = split(load_photos(data, net), recipe)[1]
    empty = [image for name, image in load_empty(data) if is_validation(name, recipe)]
    finders: dict[str, FindRows] = {
        "facelatch": ours(model),
        "yunet": yunet(teacher),
        "cascade": cascade(),
    }
    scenes = whole_views(photos) + small_views(photos, empty, recipe.seed) + empty_views(empty)
    figures: dict[str, Any] = {"scenes": compare(finders, scenes)}
    if (data / "clips.tar").is_file():
        figures["clips"] = compare(finders, clip_views(data / "clips.tar", net))
    at_work = {"facelatch": ours(model, 0.5), "yunet": yunet(teacher, 0.6), "cascade": cascade()}
    figures["time"] = timing(at_work, scenes[::8])
    if reference is not None:
        from facelatch_training.teacher import Teacher as Recogniser

        with_landmarks = {name: finders[name] for name in ("facelatch", "yunet")}
        figures["verification"] = verification(
            with_landmarks, Recogniser(reference).embed, data, empty, pairs=pairs, seed=recipe.seed
        )
    return figures
