"""A run folder: what is being trained, from what, and how far it is. Its files
are replaced in one step, so that a kill or a full disk loses none.

recipe.json       recipe, hash, seed, versions, data fingerprint, how it began: written before the first step
<stage>.npz       the latest checkpoint: all variables, the optimiser's too, and the state
<stage>.csv       one line per round        <stage>.png   the same as a picture
"""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facelatch.vision.align import ALIGN_VERSION
from facelatch_training.files import TrainingError, file_sha256, replacing
from facelatch_training.recipe import Recipe, recipe_hash


class RunFolder:
    """Opens (or starts) the run in `folder`.

    `initial`, `start_from`, `teacher`: the files a run begins with and the weights it learns from, or None.
    Raises TrainingError if another recipe, other data, another alignment, beginning or teacher live there, or
    if it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        data: str,
        *,
        initial: Path | None = None,
        start_from: Path | None = None,
        teacher: Path | None = None,
    ) -> None:
        self.folder = folder
        self._about = folder / "recipe.json"
        this_run = {
            "recipe_sha256": recipe_hash(recipe),
            "data": data,
            "align_version": ALIGN_VERSION,
            "initial": _file_mark(initial),
            "start_from": _file_mark(start_from),
            "teacher": _file_mark(teacher),
        }
        if self._about.is_file():
            run_there = json.loads(self._about.read_text(encoding="utf-8"))
            for key, value in this_run.items():
                # A run from before a key was kept goes on without it.
                before, now = _content(run_there.get(key, value)), _content(value)
                if before != now:
                    raise TrainingError(
                        f"{self._about}: {key} is {before[:12]}, this run's is {now[:12]}",
                        hint="resume with the recipe, data, options and Facelatch version of the run, or "
                        "choose another run folder",
                    )
            return
        about = {
            **this_run,
            "seed": recipe.seed,
            "versions": versions(),
            "recipe": recipe.model_dump(mode="json"),
        }
        self._write_about(about)

    def note(self, key: str, value: object) -> None:
        """Keep in `recipe.json` something that was decided on the way. Raises TrainingError on a full disk."""
        self._write_about({**json.loads(self._about.read_text(encoding="utf-8")), key: value})

    def _write_about(self, about: Mapping[str, object]) -> None:
        with replacing(self._about) as partial:
            partial.write_text(json.dumps(about, indent=2), encoding="utf-8")

    def save(self, stage: str, variables: Sequence[Any], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint of `stage` in one step. Raises TrainingError, old checkpoint intact, on a
        full disk.
        """
        arrays = {f"{number:04d}": np.asarray(variable) for number, variable in enumerate(variables)}
        arrays["state"] = np.frombuffer(json.dumps(dict(state)).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        with replacing(self.folder / f"{stage}.npz") as partial:
            partial.write_bytes(buffer.getbuffer())

    def load(self, stage: str, variables: Sequence[Any], origin: str = "") -> dict[str, Any] | None:
        """Fill `variables` from the checkpoint of `stage` and return its state; None, with `variables` as
        they are, when there is none or the stage began elsewhere than at `origin`.
        """
        path = self.folder / f"{stage}.npz"
        if not path.is_file():
            return None
        with np.load(path) as arrays:
            state: dict[str, Any] = json.loads(arrays["state"].tobytes())
            if state.get("origin", "") != origin:
                return None
            names = [name for name in arrays.files if name != "state"]
            if len(names) != len(variables):
                raise TrainingError(
                    f"{path}: holds {len(names)} variables, the model has {len(variables)}",
                    hint="it was written by another version: remove it, and the stage begins anew",
                )
            for name, variable in zip(sorted(names), variables, strict=True):
                variable.assign(arrays[name])
        return state

    def log(self, stage: str, line: Mapping[str, float]) -> None:
        """Append one line to the stage's csv; lines of rounds that are being repeated after a kill are
        dropped. Raises TrainingError on a full disk.
        """
        lines = [old for old in self.history(stage) if old["step"] < line["step"]]
        lines.append(dict(line))
        columns = list(dict.fromkeys(column for old in lines for column in old))
        text = [",".join(columns)]
        text += [",".join(f"{old[c]:.6g}" if c in old else "" for c in columns) for old in lines]
        with replacing(self.folder / f"{stage}.csv") as partial:
            partial.write_text("\n".join(text) + "\n", encoding="utf-8")

    def history(self, stage: str) -> list[dict[str, float]]:
        """The lines logged so far."""
        path = self.folder / f"{stage}.csv"
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as stream:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(stream)]

    def draw(self, stage: str) -> None:
        """The learning curves of a stage. Raises TrainingError on a full disk."""
        drawing = learning_curves(stage, self.history(stage))
        with replacing(self.folder / f"{stage}.png") as partial:
            drawing.savefig(partial, dpi=90)


def learning_curves(stage: str, lines: Sequence[Mapping[str, float]]) -> Any:
    """A Matplotlib figure: every column of the logged lines over the steps of the stage.

    What was logged only once is no curve: its value stands in the title, with a dot where it was.
    """
    from matplotlib.figure import Figure

    columns = [c for c in dict.fromkeys(c for line in lines for c in line) if c not in ("step", "seconds")]
    figure = Figure(figsize=(9, 2.4 * ((len(columns) + 1) // 2)), layout="constrained")
    for number, column in enumerate(columns, start=1):
        axes = figure.add_subplot((len(columns) + 1) // 2, 2, number)
        points = [(line["step"], line[column]) for line in lines if column in line]
        once = len(points) == 1
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o" if once else "")
        axes.set_title(f"{column}: {points[0][1]:.4g}, measured once" if once else column, fontsize=9)
        axes.set_xlabel(f"steps of the {stage} stage", fontsize=8)
        axes.set_ylabel(column, fontsize=8)
        axes.grid(alpha=0.3)
    return figure


def versions() -> dict[str, str]:
    """Versions and machine, on which a result may depend besides recipe and data."""
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


def _file_mark(file: Path | None) -> dict[str, str] | None:
    """Name and SHA-256 of a file, as `recipe.json` keeps them."""
    if file is None:
        return None
    return {"file": file.name, "sha256": file_sha256(file)}


def _content(value: Any) -> str:
    """What a value of `recipe.json` is compared by: a file may have moved or have another name."""
    return str(value["sha256"] if isinstance(value, dict) else value)
