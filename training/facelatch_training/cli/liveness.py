"""`facelatch-train liveness`: prepare, fit, evaluate, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelatch_training.cli.options import FILE, FOLDER
from facelatch_training.cli.output import say

if TYPE_CHECKING:
    from facelatch_training.liveness.data.prepare import Prepared
    from facelatch_training.liveness.judge.evaluate import Judge
    from facelatch_training.liveness.judge.tables import Unseen
    from facelatch_training.liveness.recipe import Recipe

FAMILIES = ("nuaa", "celeba_spoof", "amateur", "axon")

_recipe = click.option("--recipe", type=FILE, default=Path("config/liveness.toml"), show_default=True)
_data = click.option("--data", type=FOLDER, required=True, help="Folder with liveness/, scenes/ and faces/.")
_teacher = click.option("--teacher", type=FOLDER, required=True, help="Folder of the MiniFASNet pair.")
_prepared = click.option("--prepared", type=FOLDER, default=Path("runs/liveness-data"), show_default=True)
_run = click.option("--run", type=FOLDER, default=Path("runs/liveness"), show_default=True)
_model = click.option("--model", type=FILE, default=Path("models/liveness.tflite"), show_default=True)


@click.group()
def liveness() -> None:
    """Train the network that tells a living face from a picture of one."""


@liveness.command()
@_recipe
@_data
@_teacher
@_prepared
@click.option("--own", type=FOLDER, help="A folder of `collect`, to be learnt from besides.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes at work.")
def prepare(
    recipe: Path, data: Path, teacher: Path, prepared: Path, own: Path | None, workers: int
) -> None:
    """Make views of real and rendered faces, and ask the teacher about each. Never uses the split `judge`."""
    from facelatch_training.liveness.data import prepare as stage

    views = stage.prepare(_load(recipe), data, teacher, prepared, own=own, workers=workers)
    say(f"{len(views.images)} views in {prepared}")


@liveness.command()
@click.argument("person")
@click.option("--out", type=FOLDER, required=True, help="Folder for pictures and their table.")
@click.option(
    "--source", type=click.Choice(["picamera2", "v4l2", "files"]), default="v4l2", show_default=True
)
@click.option("--device", default="0", show_default=True, help="Number, /dev/video..., folder or file.")
@click.option("--seconds", type=click.FloatRange(1), default=60.0, show_default=True, help="Of each round.")
@click.option(
    "--round", "only", type=click.IntRange(1, 6), help="One only: 1, 2 live; 3, 4 prints; 5, 6 screens."
)
def collect(person: str, out: Path, source: str, device: str, seconds: float, only: int | None) -> None:
    """Record PERSON, prints and screens before the door's camera: about ten minutes, for `prepare --own`."""
    from facelatch_training.data.collect import open_camera
    from facelatch_training.data.cropping import open_finder
    from facelatch_training.liveness.data.collect import ROUNDS, collect_round

    finder = open_finder("network", None, 0.6)
    for wanted in ROUNDS if only is None else ROUNDS[only - 1 : only]:
        if source != "files" and not click.confirm(
            f"Next: {wanted.ask}. Ready? (n leaves it out)", default=True
        ):
            continue
        with open_camera(source, device) as camera:
            count = collect_round(
                camera,
                finder,
                out,
                wanted,
                person=person,
                seconds=seconds,
                say=lambda line: click.echo(f"\r{line[:78]:<78}", nl=False),
            )
        say(f"\n{count} pictures")


@liveness.command()
@_recipe
@_prepared
@_run
@click.option("--init", type=FILE, help="A liveness.keras whose weights to begin with.")
@click.option("--leave-out", multiple=True, type=click.Choice(FAMILIES), help="Sources it is not to see.")
@click.option("--epochs", type=click.IntRange(1), help="Instead of the recipe's.")
def fit(
    recipe: Path, prepared: Path, run: Path, init: Path | None, leave_out: tuple[str, ...], epochs: int | None
) -> None:
    """Train; run it again to go on where it was cut off."""
    from facelatch_training.liveness.model import fit as stage

    loaded = _load(recipe)
    views = _prepared_views(prepared, loaded)
    if epochs is not None:
        loaded = loaded.model_copy(update={"fit": loaded.fit.model_copy(update={"epochs": epochs})})
    stage.fit(loaded, views, run, start=init, left_out=leave_out)
    say(f"trained: {run / stage.FINAL}")


@liveness.command()
@_recipe
@_data
@_teacher
@_prepared
@_run
@click.option("--left-out", type=FOLDER, multiple=True, required=True, help="Runs of `fit --leave-out`.")
@click.option("--out", type=FOLDER, default=Path("models"), show_default=True)
def export(
    recipe: Path, data: Path, teacher: Path, prepared: Path, run: Path, left_out: tuple[Path, ...], out: Path
) -> None:
    """Write liveness.tflite, its manifest with the levels' thresholds, and the float weights.

    The thresholds are set on the sources that the runs in `--left-out` have not seen.
    """
    from facelatch_training.export.origin import code_commit
    from facelatch_training.finder.model import runs
    from facelatch_training.liveness.judge.levels import levels
    from facelatch_training.liveness.model import export as stage
    from facelatch_training.liveness.model.fit import FINAL

    loaded = _load(recipe)
    network = runs.averaged(run, FINAL)
    views = _prepared_views(prepared, loaded)
    found = _unseen(data, teacher, loaded, left_out)
    path = stage.export(
        network,
        loaded,
        views,
        out=out,
        levels=levels(found.own, found.summed),
        figures={"left out": found.rows},
        commit=code_commit(),
    )
    say(f"{path}: {path.stat().st_size / 1000:.0f} kB")


@liveness.command()
@_data
@_teacher
@_model
@click.option("--split", type=click.Choice(["validation", "judge"]), default="validation", show_default=True)
@click.option("--write/--no-write", default=False, help="Put the figures into the manifest.")
def evaluate(data: Path, teacher: Path, model: Path, split: str, write: bool) -> None:
    """Measure the exported file beside its peer and `padding alone`, by source and by kind of attack."""
    from facelatch.adapters.models.liveness_tflite import TfliteLiveness
    from facelatch_training.files import write_manifest
    from facelatch_training.liveness.data.teacher import MiniFasNet
    from facelatch_training.liveness.judge import evaluate as judge
    from facelatch_training.liveness.judge.tables import measure

    network = TfliteLiveness(model)
    judges = {"own": judge.by_views(network.logits), "peer": judge.by_peer(MiniFasNet(teacher))}
    figures = measure(data / "liveness", split, judges, network.manifest, echo=say)
    if write:
        kept = {**network.manifest.figures, split: figures}
        write_manifest(model, network.manifest.model_copy(update={"figures": kept}))


@liveness.command()
@_recipe
@_data
@_model
@click.option("--run", "keras_run", type=FOLDER, help="Judge this run's float network instead.")
def visits(recipe: Path, data: Path, model: Path, keras_run: Path | None) -> None:
    """Judge the recorded sequences as visits to a door, at the levels of the manifest."""
    from facelatch.adapters.models.liveness_tflite import TfliteLiveness
    from facelatch_training.liveness.judge import evaluate as judge
    from facelatch_training.liveness.judge.tables import measure_visits

    network = TfliteLiveness(model)
    by = _float_judge(keras_run, _load(recipe)) if keras_run else judge.by_views(network.logits)
    measure_visits(data / "liveness" / "sequences.tar", by, network.manifest, echo=say)


@liveness.command()
@_model
@click.option("--card", type=FILE, help="[default: the .md beside the model]")
def card(model: Path, card: Path | None) -> None:
    """Put the figures of the manifest into the tables of the model's card."""
    from facelatch.vision.liveness_manifest import load_liveness
    from facelatch_training.liveness.judge.card import fill

    card = card or model.with_suffix(".md")
    fill(card, load_liveness(model)[0])
    say(f"tables written: {card}")


@liveness.command()
@click.argument("folder", type=FOLDER)
@click.argument("out", type=FILE)
def convert(folder: Path, out: Path) -> None:
    """Make the file for `liveness.extra_model` from a MiniFASNet pair of ncnn's in FOLDER."""
    from facelatch_training.liveness.model.convert import convert as stage

    say(f"{stage(folder, out)}: {out.stat().st_size / 1e6:.1f} MB")


def _unseen(data: Path, teacher: Path, recipe: Recipe, runs: tuple[Path, ...]) -> Unseen:
    from facelatch_training.liveness.data.teacher import MiniFasNet
    from facelatch_training.liveness.judge.evaluate import by_peer
    from facelatch_training.liveness.judge.tables import Unseen, unseen
    from facelatch_training.liveness.model.fit import left_out_of

    peer, everything = by_peer(MiniFasNet(teacher)), Unseen([], [], [])
    for run in runs:
        judges = {"own": _float_judge(run, recipe), "peer": peer}
        found = unseen(data / "liveness", left_out_of(run), judges, echo=say)
        everything.own.extend(found.own)
        everything.summed.extend(found.summed)
        everything.rows.extend(found.rows)
    return everything


def _float_judge(run: Path, recipe: Recipe) -> Judge:
    from facelatch_training.finder.model import runs
    from facelatch_training.liveness.judge.evaluate import by_views
    from facelatch_training.liveness.model.fit import FINAL
    from facelatch_training.liveness.model.network import door_network

    door = door_network(runs.averaged(run, FINAL), recipe.network, recipe.fit.label_share)
    return by_views(door.predict_on_batch)


def _prepared_views(folder: Path, recipe: Recipe) -> Prepared:
    from facelatch_training.liveness.data.prepare import load

    return load(folder, recipe)


def _load(path: Path) -> Recipe:
    from facelatch_training.liveness.recipe import load_recipe

    return load_recipe(path)
