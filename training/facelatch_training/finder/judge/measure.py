"""One measuring run: every set, every peer, speed and verification accuracy, as one dictionary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2

from facelatch_training.finder.data.faces import Teacher, load_empty, load_photos
from facelatch_training.finder.data.steady import steadied
from facelatch_training.finder.judge.evaluate import (
    clip_views,
    compare,
    empty_views,
    small_views,
    timing,
    whole_views,
)
from facelatch_training.finder.judge.landmark_figures import single_answers
from facelatch_training.finder.judge.peers import FindRows, cascade, ours, yunet
from facelatch_training.finder.judge.realign import verification
from facelatch_training.finder.recipe import Recipe, is_validation


def measure(
    model: Path, recipe: Recipe, data: Path, teacher: Path, *, reference: Path | None, pairs: int
) -> dict[str, Any]:
    """Everything `finder evaluate` reports. The clips are measured and never used for anything else.

    Landmarks are judged by the teacher made steady; how far they are from its single answers on the full
    photos, and from the mean of seven, is reported beside it.
    """
    cv2.setNumThreads(1)
    net = Teacher(teacher)
    photos = load_photos(data, net, lambda name: is_validation(name, recipe))
    truths = {
        "steady": [steadied(photo, net) for photo in photos],
        "averaged": photos,
        "single": [single_answers(photo, net) for photo in photos],
    }
    empty = [image for name, image in load_empty(data) if is_validation(name, recipe)]
    finders: dict[str, FindRows] = {
        "facelatch": ours(model),
        "yunet": yunet(teacher),
        "cascade": cascade(),
    }
    views = {
        name: whole_views(truth) + small_views(truth, empty, recipe.seed) + empty_views(empty)
        for name, truth in truths.items()
    }
    scenes = views["steady"]
    figures: dict[str, Any] = {"scenes": compare(finders, scenes, views)}
    if (data / "clips.tar").is_file():
        clips = clip_views(data / "clips.tar", net)
        figures["clips"] = compare(finders, clips, {"steady": clips})
    at_work = {"facelatch": ours(model, 0.5), "yunet": yunet(teacher, 0.6), "cascade": cascade()}
    figures["time"] = timing(at_work, scenes[::8])
    if reference is not None:
        from facelatch_training.batches.teacher import Teacher as Recogniser

        with_landmarks = {name: finders[name] for name in ("facelatch", "yunet")}
        figures["verification"] = verification(
            with_landmarks, Recogniser(reference).embed, data, empty, pairs=pairs, seed=recipe.seed
        )
    return figures
