"""`facelatch-train liveness prepare`: views of faces, each with what the teacher makes of that very view."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facelatch.errors import InputError
from facelatch.vision.liveness import VIEW_PX
from facelatch_training.files import keep_out_of_git, replacing
from facelatch_training.liveness.data import views as drawing
from facelatch_training.liveness.data.teacher import FEATURE_COUNT, MAP_SHAPE, MiniFasNet
from facelatch_training.liveness.data.views import MADE, Material, Seen, read_material
from facelatch_training.liveness.recipe import Recipe

VIEWS, FEATURES, MAPS, TABLE, ABOUT = "views.npy", "features.npy", "maps.npy", "table.npz", "about.json"
KINDS = ("", "print", "screen", "mask")
SHARE_OF_JOB = 25
"""Scenes that a worker makes at a time."""

Row = tuple[str, int, int, float]
"""Source, live, kind, the teacher's share."""


@dataclass(frozen=True)
class Prepared:
    """The views (N, 80, 80, 3) and, for each, what is known of it."""

    images: NDArray[np.uint8]
    live: NDArray[np.int8]
    """1 alive, 0 an attack, -1 nobody knows."""
    kind: NDArray[np.int8]
    """Index in KINDS."""
    teacher: NDArray[np.float32]
    """The teacher's share of alive, 0 to 1."""
    features: NDArray[np.float16]
    """The teacher's features (N, FEATURE_COUNT)."""
    maps: NDArray[np.float16]
    """Its last maps (N, *MAP_SHAPE)."""
    source: NDArray[np.str_]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Job:
    """Scenes `first` to `last` of a part, whose views begin at `row`."""

    part: int
    first: int
    last: int
    row: int


class _Worker:
    """What each process has: pictures, teacher, and the files that all of them write their own rows of."""

    def __init__(self, recipe: Recipe, data: Path, teacher: Path, out: Path, own: Path | None) -> None:
        cv2.setNumThreads(1)
        self._recipe, self._teacher = recipe, MiniFasNet(teacher)
        self._material: Material = read_material(recipe, data, own)
        self._files = [np.load(_partial(out / name), mmap_mode="r+") for name in (VIEWS, FEATURES, MAPS)]

    def make(self, job: _Job) -> list[Row]:
        """Writes the views of a job and what the teacher makes of them; returns the rest of their rows."""
        rows = []
        images, features, maps = self._files
        for row, seen in enumerate(self._seen(job), start=job.row):
            lesson = self._teacher.teach(seen.image)
            images[row], features[row], maps[row] = seen.image, lesson.features, lesson.maps
            rows.append((seen.source, seen.live, KINDS.index(seen.kind), lesson.share))
        return rows

    def _seen(self, job: _Job) -> Iterator[Seen]:
        for number in range(job.first, job.last):
            if job.part != drawing.MIXED:
                yield from drawing.scene_views(self._recipe, self._material, job.part, number)
                continue
            rng = np.random.default_rng([self._recipe.seed, job.part, number])
            for _ in range(self._recipe.data.views_each):
                one, other = rng.integers(self._recipe.data.real_views, _mixed_from(self._recipe), 2)
                yield Seen(drawing.mixed(self._files[0][one], self._files[0][other], rng), MADE, -1)


_worker: _Worker | None = None
"""Read once, before the processes of the pool part from this one."""


def _make(job: _Job) -> list[Row]:
    assert _worker is not None
    return _worker.make(job)


def prepare(
    recipe: Recipe, data: Path, teacher: Path, out: Path, *, own: Path | None = None, workers: int = 1
) -> Prepared:
    """Writes the views into `out`. `data` is the folder with liveness/, scenes/ and faces/, `own` one of `collect`.

    Raises InputError.
    """
    keep_out_of_git(out)
    out.mkdir(parents=True, exist_ok=True)
    MiniFasNet(teacher)  # says what is missing before any work is done
    _lay_out(out, recipe.data.total)
    rows = _made(_Worker(recipe, data, teacher, out, own), recipe, workers)
    source, live, kind, says = zip(*rows, strict=True)
    with replacing(out / TABLE) as partial, partial.open("wb") as stream:
        np.savez(
            stream,
            source=np.array(source),
            live=np.array(live, np.int8),
            kind=np.array(kind, np.int8),
            teacher=np.array(says, np.float32),
        )
    for name in (VIEWS, FEATURES, MAPS):
        _partial(out / name).replace(out / name)
    about = {"data_sha256": recipe.data_sha256, "views": recipe.data.total}
    with replacing(out / ABOUT) as partial:
        partial.write_text(json.dumps(about), encoding="utf-8")
    return load(out, recipe)


def _lay_out(out: Path, total: int) -> None:
    """Empty files for all views, so that every worker can write its own rows."""
    for name, kind, shape in (
        (VIEWS, np.uint8, (VIEW_PX, VIEW_PX, 3)),
        (FEATURES, np.float16, (FEATURE_COUNT,)),
        (MAPS, np.float16, MAP_SHAPE),
    ):
        path = _partial(out / name)
        np.lib.format.open_memmap(path, "w+", kind, (total, *shape))  # type: ignore[no-untyped-call]


def _made(worker: _Worker, recipe: Recipe, workers: int) -> list[Row]:
    """The rows of all views, in their order."""
    global _worker
    _worker = worker
    rows: list[Row] = []
    with (
        ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool,
        tqdm(total=recipe.data.total, desc="views", mininterval=5) as bar,
    ):
        for some in (False, True):  # what is mixed comes from what lies there
            jobs = [job for job in _jobs(recipe) if (job.part == drawing.MIXED) == some]
            for made in pool.map(_make, jobs):
                rows += made
                bar.update(len(made))
    return rows


def load(folder: Path, recipe: Recipe) -> Prepared:
    """What `prepare` wrote. Raises InputError when it is not there, or was made by another recipe."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        table = np.load(folder / TABLE)
        images, features, maps = (np.load(folder / name, mmap_mode="r") for name in (VIEWS, FEATURES, MAPS))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder}: not prepared ({error})", hint="run `facelatch-train liveness prepare`"
        ) from error
    if about["data_sha256"] != recipe.data_sha256:
        raise InputError(f"{folder}: prepared by another recipe", hint="prepare again, or give that recipe")
    return Prepared(
        images=images,
        live=table["live"],
        kind=table["kind"],
        teacher=table["teacher"],
        features=features,
        maps=maps,
        source=table["source"],
        fingerprint=about["data_sha256"],
    )


def _jobs(recipe: Recipe) -> Iterator[_Job]:
    plan, row = recipe.data, 0
    counts = (plan.real_views, plan.made_attacks, plan.made_live, plan.faces, plan.mixed)
    for part, count in enumerate(counts):
        scenes = count // plan.views_each
        for first in range(0, scenes, SHARE_OF_JOB):
            last = min(first + SHARE_OF_JOB, scenes)
            yield _Job(part=part, first=first, last=last, row=row + first * plan.views_each)
        row += count


def _mixed_from(recipe: Recipe) -> int:
    """The row that ends what may be mixed: of labelled pictures nothing, so that leaving a source out leaves it out."""
    return recipe.data.total - recipe.data.mixed


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")
