"""What covered faces have in common, taken out of a trained tower in closed form: no step of training, no GPU."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from facelatch_training.data.covers import COVERINGS, IN_CROP, covered
from facelatch_training.data.crops import CropArray, Crops, RowsOf
from facelatch_training.files import replacing
from facelatch_training.fitting.fit import judge
from facelatch_training.fitting.material import Material, make_material_yardstick
from facelatch_training.fitting.runfolder import RunFolder
from facelatch_training.fitting.workflow import MODEL_NAME
from facelatch_training.model.siamese import build_siamese, load_siamese
from facelatch_training.model.tower import before_lengths, embed, level_covers, set_lengths
from facelatch_training.recipe import Recipe

SOME_CROPS = 1024
"""Training crops that are looked at bare and in every covering."""


def take_covers_out(tower: keras.Model, crops: Crops, seed: int) -> None:
    """Levels the coverings of a tower made by `widen_tower` and lets covered faces be asked for more.

    Of SOME_CROPS of the training `crops`, drawn by `seed`: each is embedded bare and with every covering drawn on it.
    """
    rng = np.random.default_rng([seed, 0x636F76657273])
    rows = np.sort(rng.choice(len(crops), min(len(crops), SOME_CROPS), replace=False))
    faces: CropArray = np.stack([crops[int(row)] for row in rows])
    part = before_lengths(tower)
    bare = embed(part, faces)
    dressed = [
        embed(part, np.stack([covered(face, covering, IN_CROP, rng) for face in faces])) for covering in COVERINGS
    ]
    level_covers(tower, np.stack([(each - bare)[:, :-1].mean(axis=0) for each in dressed]))
    set_lengths(tower, bare, np.concatenate(dressed))


def without_covers(material: Material, folder: Path, recipe: Recipe, initial: Path) -> tuple[Path, dict[str, float]]:
    """`initial` (siamese.keras) with the coverings taken out, saved in the run folder `folder`, and its figures on the
    validation people. Raises ModelError when `initial` does not load, TrainingError for a folder of another run.
    """
    siamese = load_siamese(initial)
    RunFolder(folder, recipe, material.fingerprint, initial=initial)
    tower, target = siamese.get_layer("tower"), folder / MODEL_NAME
    take_covers_out(tower, RowsOf(material.crops, material.train), recipe.seed)
    whole = build_siamese(tower, siamese.get_layer("head"))
    with replacing(target) as partial:
        whole.save(partial)
    return target, judge(whole, make_material_yardstick(material))
