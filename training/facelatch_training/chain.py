"""The whole chain: prepare, fit, export, calibrate, evaluate, report. Without data it draws people of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from facelatch.errors import InputError
from facelatch.vision.manifest import load_manifest
from facelatch_training.data.cropping import Finder
from facelatch_training.data.made_faces import draw_person
from facelatch_training.data.prepare import Options, prepare
from facelatch_training.files import TrainingError, keep_out_of_git, write_png
from facelatch_training.judge.calibrate import calibrate_on, write
from facelatch_training.judge.cohort import write_cohort
from facelatch_training.judge.evaluate import evaluate
from facelatch_training.judge.halves import unmeasurable_targets
from facelatch_training.judge.protocols import prepared
from facelatch_training.judge.table import evaluation_table
from facelatch_training.judge.verifiers import open_verifier
from facelatch_training.recipe import TOY_NAME, Recipe, Targets, recipe_hash, tiny_recipe
from facelatch_training.report.card import write_card
from facelatch_training.report.gather import Findings, gather_findings
from facelatch_training.report.html import write_html
from facelatch_training.report.plots import write_plots

DRAWN_PEOPLE, DRAWN_PICTURES = 80, 4

_TOY_TARGETS = Targets(fmr=0.01, far_per_attempt=0.05, enrolled=4, households=30)
"""What so few drawn people allow to measure."""

_HINT = (
    "more people, or the same command with other targets (--target-fmr, --target-far, --enrolled), or with "
    "--accept-unmet"
)

TOY = (
    "trained on drawn faces of people who do not exist, to show the chain; it recognises nobody, and the daemon "
    "refuses to open a door with it"
)


@dataclass(frozen=True)
class Chain:
    """What `run_all` makes, and of what."""

    out: Path
    sources: tuple[Path, ...] = ()
    """Folders of people or crop sets; empty: drawn people."""
    about_data: str = TOY
    recipe: Recipe | None = None
    teacher: Path | None = None
    initial: Path | None = None
    """A model to fine-tune."""
    finder: Finder | None = None
    """None: the sources are aligned crops."""
    finder_named: str = ""
    """Which finder that is, so that a chain does not go on with another."""
    options: Options = field(default_factory=Options)
    """Of `prepare`; a toy has its own."""
    accept_unmet: bool = False
    """Whether thresholds are written although the error rates asked for cannot be had."""

    @property
    def toy(self) -> bool:
        """Whether there is nothing but drawn people, so that the model must open no door."""
        return not self.sources


def run_all(chain: Chain, *, say: Callable[[str], None], quiet: bool = False) -> Findings:
    """Runs every step, telling `say` what it does; everything lies in `chain.out` afterwards.

    Steps whose result is there already are not repeated, so a chain that was cut off goes on. Raises what
    the steps raise.
    """
    keep_out_of_git(chain.out)
    recipe = _recipe(chain, say)
    _refuse_another(chain, recipe)
    data = _crop_set(chain, say, quiet)
    _refuse_unmeasurable(chain, recipe, data)
    target = _exported_model(chain, recipe, data, say)
    if load_manifest(target).opens_doors and load_manifest(target).cohort is None:
        say("cohort: people who do not exist, by whom the door knows references that do not distinguish")
        write_cohort(target, data)
    say("evaluate: the int8 file through the daemon's adapter")
    threshold = load_manifest(target).detection_threshold
    judged = evaluate(
        open_verifier(target), prepared(data), threshold=threshold, threshold_origin="calibrated", quiet=quiet
    )
    write_plots({"model": judged}, chain.out / "evaluation")
    say(evaluation_table(judged))
    say("report")
    findings = gather_findings(target, data, run=chain.out / "run", quiet=quiet)
    write_html(findings, chain.out / "report.html")
    write_card(findings, target.with_name("README.md"))
    return findings


def draw_people(folder: Path) -> Path:
    """One folder per drawn person, aligned crops as PNG: nobody real, free to ship."""
    for person in range(DRAWN_PEOPLE):
        for picture in range(DRAWN_PICTURES):
            write_png(folder / f"drawn-{person:03d}" / f"{picture}.png", draw_person(person, picture))
    return folder


def _recipe(chain: Chain, say: Callable[[str], None]) -> Recipe:
    """The recipe that can be followed with what there is; a toy's is called one, whatever it was."""
    recipe = chain.recipe or tiny_recipe()
    if recipe.metric.distill_weight > 0 and chain.teacher is None and chain.initial is None:
        say("fit: no --teacher given, so the network learns from names alone, which takes far more people")
        metric = recipe.metric.model_copy(update={"distill_weight": 0.0, "morphs": 0, "morph_share": 0.0})
        recipe = recipe.model_copy(update={"metric": metric})
    if chain.toy:
        return recipe.model_copy(update={"name": TOY_NAME, "calibration": _TOY_TARGETS})
    return recipe


def _refuse_another(chain: Chain, recipe: Recipe) -> None:
    """Raises InputError when `chain.out` was begun with other people, another recipe or otherwise."""
    settings = {
        "sources": [str(source.resolve()) for source in chain.sources],
        "recipe_sha256": recipe_hash(recipe),
        "finder": chain.finder_named,
        "init": None if chain.initial is None else str(chain.initial.resolve()),
        "about_data": chain.about_data,
        "prepare": repr(chain.options),
    }
    path = chain.out / "chain.json"
    if not path.is_file():
        chain.out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        return
    begun_with = json.loads(path.read_text(encoding="utf-8"))
    for key, value in settings.items():
        before = begun_with.get(key, value)  # a chain from before a key was kept goes on without it
        if before != value:
            raise InputError(
                f"{path}: {key} is {before or 'nothing'}, this time it is {value or 'nothing'}",
                hint="choose another --out, or remove that folder to begin anew",
            )


def _crop_set(chain: Chain, say: Callable[[str], None], quiet: bool) -> Path:
    data = chain.out / "crops"
    if (data / "faces.csv").is_file():
        say(f"prepare: {data} is there already")
        return data
    sources: Sequence[Path] = chain.sources
    options = chain.options
    if chain.toy:
        say(f"prepare: no data given, drawing {DRAWN_PEOPLE} people. THE MODEL WILL OPEN NO DOOR.")
        sources = [draw_people(chain.out / "drawn-people")]
        options = Options(validation_share=0.4)
    report = prepare(sources, data, finder=chain.finder, options=options, quiet=quiet)
    thrown = sum(map(len, report.thrown.values()))
    say(f"prepare: {report.kept} crops of {report.identities} people, {thrown} thrown away")
    return data


def _refuse_unmeasurable(chain: Chain, recipe: Recipe, data: Path) -> None:
    """Raises before the training what calibration would raise after it: there are too few people for the targets."""
    people = prepared(data)
    unmeasurable = unmeasurable_targets(people.identities, people.families, recipe.calibration, people.name)
    if unmeasurable and not (chain.toy or chain.accept_unmet):
        raise TrainingError(f"{people.name}: {'; '.join(unmeasurable)}", hint=_HINT)


def _exported_model(chain: Chain, recipe: Recipe, data: Path, say: Callable[[str], None]) -> Path:
    """The exported, calibrated file: the one that is there already, with the targets of now, or a new one."""
    target = chain.out / "models" / "siamese.tflite"
    if not (target.is_file() and target.with_suffix(".json").is_file()):
        _train_and_export(chain, recipe, data, target, say)
        return target
    say(f"fit, export, calibrate: {target} is there already")
    targets_before = load_manifest(target).extra.get("calibration", {}).get("asked")
    if targets_before != recipe.calibration.model_dump(mode="json"):
        _calibrate(chain, target, data, recipe.calibration, say)
    return target


def _train_and_export(
    chain: Chain, recipe: Recipe, data: Path, target: Path, say: Callable[[str], None]
) -> None:
    # Imported here, so that a chain that has its model already does not load TensorFlow.
    from facelatch_training.export.export import export_trained
    from facelatch_training.export.origin import origin_of
    from facelatch_training.fitting.material import load_material
    from facelatch_training.fitting.workflow import train

    say("fit")
    cache = chain.out / "cache"
    material = load_material(data, cache, stream=recipe.stream)
    threads = cv2.getNumThreads()
    outcome = train(material, chain.out / "run", recipe, cache, teacher=chain.teacher, initial=chain.initial)
    cv2.setNumThreads(threads)  # training has set it to one
    say("export: one int8 file, tried in every TFLite runtime there is")
    export_trained(
        outcome.model,
        origin_of(outcome.model, None),
        material,
        target,
        about_data=chain.about_data,
        calibrate=lambda draft: _calibrate(chain, draft, data, recipe.calibration, say),
    )


def _calibrate(chain: Chain, draft: Path, data: Path, targets: Targets, say: Callable[[str], None]) -> None:
    """Writes thresholds and rates into the manifest of `draft`. Raises TrainingError for targets that are not met."""
    say("calibrate: thresholds on one half of the validation people, rates on the other")
    calibration = calibrate_on(draft, data, targets)
    if calibration.unmet and not (chain.toy or chain.accept_unmet):
        raise TrainingError(f"{draft.name}: {'; '.join(calibration.unmet)}", hint=_HINT)
    if calibration.unmet:
        say("calibrate: the targets are NOT met; the safest thresholds tried were written")
    write(calibration, draft)
