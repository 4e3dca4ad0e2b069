"""A run folder: what is being trained, from what, and how far it is. Nothing in it is lost to a kill or a
full disk.

recipe.json       recipe, hash, seed, versions, data fingerprint: written before the first step
<stage>.npz       the latest checkpoint: all variables, the optimiser's too, and the state
<stage>.csv       one line per round        <stage>.png   the same as a picture
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facelatch.errors import FacelatchError
from facelatch_training.recipe import Recipe, recipe_hash


class TrainingError(FacelatchError):
    """A training run cannot start, go on or be saved; what was saved before is still there."""

    exit_code = 11


class RunFolder:
    """Opens (or starts) the run in `folder`. Raises TrainingError if another recipe or other data live
    there.
    """

    def __init__(self, folder: Path, recipe: Recipe, data: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "recipe.json"
        wanted = {"recipe_sha256": recipe_hash(recipe), "data": data}
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            for key, value in wanted.items():
                if found.get(key) != value:
                    raise TrainingError(
                        f"{path}: {key} is {str(found.get(key))[:12]}, this run's is {value[:12]}",
                        hint="resume with the recipe and data of the run, or choose another run folder",
                    )
            return
        about = {
            **wanted,
            "seed": recipe.seed,
            "versions": versions(),
            "recipe": recipe.model_dump(mode="json"),
        }
        _replace(path, json.dumps(about, indent=2).encode())

    def save(self, stage: str, variables: Sequence[Any], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint of `stage` in one step. Raises TrainingError, old checkpoint intact, on a
        full disk.
        """
        arrays = {f"{number:04d}": np.asarray(variable) for number, variable in enumerate(variables)}
        arrays["state"] = np.frombuffer(json.dumps(dict(state)).encode(), np.uint8)
        target = self.folder / f"{stage}.npz"
        partial = target.with_suffix(".partial")
        try:
            buffer = io.BytesIO()
            np.savez(buffer, **arrays)
            with partial.open("wb") as stream:
                stream.write(buffer.getbuffer())
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise TrainingError(
                f"{target}: cannot write the checkpoint ({error.strerror})",
                hint="the previous checkpoint is untouched; free some space and run the same command again",
            ) from error

    def load(self, stage: str, variables: Sequence[Any]) -> dict[str, Any] | None:
        """Fill `variables` from the checkpoint of `stage` and return its state; None when there is none."""
        path = self.folder / f"{stage}.npz"
        if not path.is_file():
            return None
        with np.load(path) as arrays:
            names = [name for name in arrays.files if name != "state"]
            if len(names) != len(variables):
                raise TrainingError(f"{path}: holds {len(names)} variables, the model has {len(variables)}")
            for name, variable in zip(sorted(names), variables, strict=True):
                variable.assign(arrays[name])
            state: dict[str, Any] = json.loads(arrays["state"].tobytes())
        return state

    def log(self, stage: str, line: Mapping[str, float]) -> None:
        """Append one line to the stage's csv; lines of rounds that are being repeated after a kill are
        dropped.
        """
        lines = [old for old in self.history(stage) if old["step"] < line["step"]]
        lines.append(dict(line))
        columns = list(dict.fromkeys(column for old in lines for column in old))
        text = [",".join(columns)]
        text += [",".join(f"{old[c]:.6g}" if c in old else "" for c in columns) for old in lines]
        _replace(self.folder / f"{stage}.csv", ("\n".join(text) + "\n").encode())

    def history(self, stage: str) -> list[dict[str, float]]:
        """The lines logged so far."""
        path = self.folder / f"{stage}.csv"
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as stream:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(stream)]

    def draw(self, stage: str) -> None:
        """The learning curves of a stage: every column over the steps."""
        from matplotlib.figure import Figure

        lines = self.history(stage)
        columns = [
            c for c in dict.fromkeys(c for line in lines for c in line) if c not in ("step", "seconds")
        ]
        figure = Figure(figsize=(9, 2.2 * ((len(columns) + 1) // 2)), layout="constrained")
        for number, column in enumerate(columns, start=1):
            axes = figure.add_subplot((len(columns) + 1) // 2, 2, number)
            points = [(line["step"], line[column]) for line in lines if column in line]
            axes.plot([x for x, _ in points], [y for _, y in points])
            axes.set_title(column, fontsize=9)
            axes.grid(alpha=0.3)
        figure.savefig(self.folder / f"{stage}.png", dpi=90)


def versions() -> dict[str, str]:
    """What a result may depend on beside recipe and data."""
    import cv2
    import keras

    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "machine": platform.machine(),
    }


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)
