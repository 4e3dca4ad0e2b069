"""Made run-0.1: a run folder that version 0.1 trained on drawn people, for the test that later versions go on with it.

    python tests/golden/make_run.py

Needs TensorFlow. Do not make it anew with a later version: that it is old is what it is for. The pictures of the curves
are left out.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from facelatch_training.data.made_faces import write_crop_set
from facelatch_training.fitting.material import load_material
from facelatch_training.fitting.workflow import train
from facelatch_training.recipe import tiny_recipe


def main() -> None:
    recipe = tiny_recipe()
    tower = {"stem": 4, "widths": (4,), "blocks": (1,), "head": 8, "core": 8, "embedding": 16}
    recipe = recipe.model_copy(
        update={
            "tower": recipe.tower.model_copy(update=tower),
            "metric": recipe.metric.model_copy(update={"steps": 20}),
            "siamese": recipe.siamese.model_copy(update={"steps": 10}),
        }
    )
    target = Path(__file__).with_name("run-0.1")
    target.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        train(
            load_material(write_crop_set(Path(folder) / "data"), cache), Path(folder) / "run", recipe, cache
        )
        for file in (Path(folder) / "run").iterdir():
            if file.suffix != ".png":
                shutil.copy(file, target)


if __name__ == "__main__":
    main()
