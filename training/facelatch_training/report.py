"""What a model was made of and what it does: gathered once, told as a model card and as one HTML page."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from facelatch.errors import InputError
from facelatch.ports import Verifier
from facelatch.vision.manifest import Manifest, load_manifest
from facelatch_training.data.cropping import open_finder
from facelatch_training.data.dataset import fingerprint, read_index
from facelatch_training.files import replacing
from facelatch_training.finder_card import finder_card
from facelatch_training.judge.evaluate import Evaluation, evaluate
from facelatch_training.judge.metrics import reliability
from facelatch_training.judge.protocols import gather, prepared
from facelatch_training.judge.slice_rates import SliceRates, measure_slices
from facelatch_training.judge.slices import is_turned
from facelatch_training.judge.verifiers import open_verifier

LIMITS = (
    "There is no liveness test: a good photograph or a screen of an enrolled person is that person to it. "
    "Where this matters, add a second factor.",
    "Visits are simulated from still photographs of unseen people, as still and as varied visits; a camera "
    "at a real door, its light and its people have to be measured there (`facelatch-train evaluate --people`).",
    "Relatives and small children are confused far more often than strangers; see the row `relatives` and, for whole "
    "visits, `far_per_attempt_relatives`.",
    "Faces turned to a side are told apart worse than straight ones; see `turned`.",
    "The half of a face under a mask or scarf carries much of what the network knows; see `half-face`.",
    "The people in the training data are not a fair sample of mankind; rates for any one group may be worse.",
)
"""What holds whatever the figures say."""

SLICE_WORDS = {
    "whole": "the pictures as they are",
    "relatives": "impostors of the same family only",
    "turned": "only probes whose head is turned to a side, about 20 degrees or more",
    "dark": "probe at an eighth of the light, with shot noise",
    "blur": "probe moved by 7 px",
    "small": "probe reduced to a face about 30 px wide",
    "half-face": "lower half of the probe covered",
    "grey": "probe without colour",
    "misaligned": "landmarks off by 3 px, 5 degrees, 5 %",
}


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything a report says."""

    model: str
    size_bytes: int
    manifest: Manifest
    evaluation: Evaluation = field(repr=False)
    slices: dict[str, SliceRates]
    peer: Evaluation | None = field(repr=False)
    peer_slices: dict[str, SliceRates]
    """The same slices by the peer, whose thresholds are its own; empty without one."""
    recipe: dict[str, Any]
    """`recipe.json` of the run; empty when no run folder was given."""
    curves: dict[str, Path]
    """Stage -> picture of its learning curves."""
    unseen: bool = False
    """Whether this is the crop set of the training run, so that its validation people were kept from it."""
    calibrated_here: bool = False
    """Whether the thresholds were chosen on half of these people."""
    finder: tuple[str, ...] = ()
    """The finder's part of the card; empty when none lies beside the model."""


def gather_findings(
    model: Path, data: Path, *, run: Path | None = None, peer: Path | None = None, quiet: bool = False
) -> Findings:
    """Evaluates `model` (.tflite with manifest) on the validation split of `data`, whole and by slice.

    Raises ModelError for a model that does not load, InputError for faulty data and for a `run` that is not
    the model's.
    """
    manifest = load_manifest(model)
    recipe = {} if run is None else _recipe_of(run, manifest)
    mark = fingerprint(read_index(data))
    unseen = manifest.extra.get("trained_on") == mark
    calibrated_here = manifest.extra.get("calibration", {}).get("data_fingerprint") == mark
    verifier: Verifier = open_verifier(model)
    protocol = prepared(data)
    threshold = manifest.detection_threshold
    origin = "the manifest's detection threshold"
    judged = evaluate(verifier, protocol, threshold=threshold, threshold_origin=origin, quiet=quiet)
    by_slice = partial(
        measure_slices,
        crops=gather(protocol),
        identities=protocol.identities,
        threshold=threshold,
        families=protocol.families,
        turned=partial(is_turned, finder=open_finder("network")),
    )
    slices = by_slice(verifier)
    beside, beside_slices = None, {}
    if peer is not None:
        other = open_verifier(peer)
        beside, beside_slices = evaluate(other, protocol, quiet=quiet), by_slice(other)
    curves = {} if run is None else {file.stem: file for file in sorted(run.glob("*.png"))}
    finder = tuple(finder_card(model.with_name("finder.tflite")))
    size = model.stat().st_size
    return Findings(
        model=model.name,
        size_bytes=size,
        manifest=manifest,
        evaluation=judged,
        slices=slices,
        peer=beside,
        peer_slices=beside_slices,
        recipe=recipe,
        curves=curves,
        unseen=unseen,
        calibrated_here=calibrated_here,
        finder=finder,
    )


def _recipe_of(run: Path, manifest: Manifest) -> dict[str, Any]:
    path = run / "recipe.json"
    if not path.is_file():
        raise InputError(f"{path}: not found", hint="--run is the folder that `facelatch-train fit` made")
    recipe: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if recipe["recipe_sha256"] != manifest.recipe_sha256:
        raise InputError(
            f"{path}: recipe_sha256 is {recipe['recipe_sha256'][:12]}, the model's manifest says "
            f"{manifest.recipe_sha256[:12] or 'nothing'}",
            hint="give the run this model was exported from",
        )
    return recipe


def write_card(found: Findings, path: Path) -> Path:
    """The model card as a file. Raises TrainingError when it cannot be written."""
    with replacing(path) as partial:
        partial.write_text(model_card(found), encoding="utf-8")
    return path


def model_card(found: Findings) -> str:
    """`models/README.md`: what the model is, is made of, does, and does not do."""
    manifest = found.manifest
    lines = [
        "# Models",
        "",
        "Written by `facelatch-train report`; figures are not edited by hand.",
        "",
        f"## {found.model}",
        "",
        "A Siamese network: int8 embedding tower, L1 distance, sigmoid; signatures `embed`, `compare`, `verify`. "
        f"Input: aligned RGB crops of 112x112 (alignment version {manifest.align_version}); embedding of "
        f"{manifest.embedding_size} numbers; {found.size_bytes / 1e6:.2f} MB.",
        "",
        *(
            []
            if manifest.opens_doors
            else ["**A toy: trained on made data. The daemon refuses to open a door with it.**", ""]
        ),
        f"- data and terms: {manifest.data}",
        f"- detection threshold {manifest.detection_threshold:.4f}, verification threshold "
        f"{manifest.verification_threshold:.4f}",
        f"- sha256 `{manifest.model_sha256}`",
        f"- recipe `{manifest.recipe_sha256[:16]}`, commit {manifest.commit}, made {manifest.created}",
        "",
        *_evaluation_lines(found),
        *_slice_lines(found),
        *_rate_lines(manifest),
        *_recipe_lines(found.recipe),
        "## Known limits",
        "",
        *(f"- {limit}" for limit in LIMITS),
        *(["", *found.finder] if found.finder else []),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _evaluation_lines(found: Findings) -> list[str]:
    judged = found.evaluation
    lines = [
        "## On people kept from its training" if found.unseen else "## On validation people",
        "",
        f"{judged.protocol}: {judged.pictures} pictures of {judged.identities} identities, "
        f"{judged.genuine:,} genuine and {judged.impostors:,} impostor comparisons, "
        + ("none of them trained on in its run" if found.unseen else "**maybe trained on: the model does not tell**")
        + (
            f"; accuracy on {judged.fold_pairs:,} balanced pairs in {judged.folds} folds"
            if judged.folds
            else ""
        )
        + ". Intervals: 95 %, bootstrap over identities.",
        "",
        f"    facelatch-train evaluate models/{found.model} --data DATA",
        "",
        "| figure | value | interval |" + (" reference network, same crops |" if found.peer else ""),
        "|---|---|---|" + ("---|" if found.peer else ""),
    ]
    thresholded = {"precision", "recall", "fmr", "fnmr"}
    for name, figure in judged.figures.items():
        row = f"| {name} | {figure.value:.3%} | {figure.low:.3%} to {figure.high:.3%} |"
        if found.peer is not None:
            other = found.peer.figures.get(name)
            row += " |" if other is None or name in thresholded else f" {other.value:.3%} |"
        lines.append(row)
    note = (
        f"precision, recall, fmr and fnmr at {judged.threshold:.4f}, {judged.threshold_origin}; precision at"
    )
    note += f" one genuine to {judged.impostors / max(1, judged.genuine):,.0f} impostors."
    if found.calibrated_here:
        note += " Half of these people chose that threshold; rates on the other half alone stand below."
    gap = reliability(judged.comparisons).error
    said = "Read as a probability, with as many genuine as impostor comparisons, the similarity is on average "
    said += f"{gap:.3f} off."
    return [*lines, "", note, "", said, ""]


def _slice_lines(found: Findings) -> list[str]:
    whole, peer = found.slices["whole"], found.peer_slices
    fewer = [
        f"{name}: {found.slices[name].genuine:,} and {found.slices[name].impostors:,}"
        for name in ("relatives", "turned")
        if name in found.slices
    ]
    lines = [
        "## By slice",
        "",
        f"Spoiled probes against whole references, at the detection threshold; {whole.identities} identities, "
        f"{whole.genuine:,} genuine and {whole.impostors:,} impostor comparisons a slice"
        + (f" ({', '.join(fewer)})" if fewer else "")
        + ".",
        "",
        "| slice | what | FMR | FNMR | TAR at FAR 1e-3 |" + (" reference network's |" if peer else ""),
        "|---|---|---|---|---|" + ("---|" if peer else ""),
    ]
    for name, rates in found.slices.items():
        cells = " | ".join(
            f"{figure.value:.3%} ({figure.low:.3%} to {figure.high:.3%})"
            for figure in (rates.fmr, rates.fnmr, rates.tar_at_1e3)
        )
        beside = f" {peer[name].tar_at_1e3.value:.3%} |" if peer else ""
        lines.append(f"| {name} | {SLICE_WORDS.get(name, '')} | {cells} |{beside}")
    return [*lines, ""]


def _rate_lines(manifest: Manifest) -> list[str]:
    lines, rates = ["## Calibrated rates in the manifest", ""], manifest.rates
    asked = manifest.extra.get("calibration", {}).get("targets")
    if asked:
        lines += ["Asked for: " + ", ".join(f"{name} {value:g}" for name, value in asked.items()) + ".", ""]
    if not rates:
        return [*lines, "None yet: run `facelatch-train calibrate`.", ""]
    lines += ["| rate | value | interval | identities | comparisons | data |", "|---|---|---|---|---|---|"]
    for name, rate in rates.items():
        span = "" if rate.low is None or rate.high is None else f"{rate.low:.4%} to {rate.high:.4%}"
        lines.append(
            f"| {name} | {rate.value:.4%} | {span} | {rate.identities} | {rate.comparisons:,} | {rate.data} |"
        )
    return [*lines, ""]


def _recipe_lines(recipe: dict[str, Any]) -> list[str]:
    if not recipe:
        return []
    versions = ", ".join(f"{name} {version}" for name, version in recipe.get("versions", {}).items())
    return [
        "## Recipe",
        "",
        f"Seed {recipe.get('seed')}, data fingerprint `{str(recipe.get('data'))[:16]}`, {versions}."
        + _beginning(recipe),
        "",
        "```json",
        json.dumps(recipe.get("recipe", {}), indent=1),
        "```",
        "",
    ]


def _beginning(recipe: dict[str, Any]) -> str:
    said = ""
    for key, words in (
        ("initial", "Fine-tuned, by the Siamese stage alone, from"),
        ("start_from", "The metric stage began with the tower of"),
        ("teacher", "Its teacher was"),
    ):
        if recipe.get(key):
            said += f" {words} a `{recipe[key]['file']}`, sha256 `{recipe[key]['sha256'][:16]}`."
    if recipe.get("finish_in"):
        said += f" It was told to finish in {recipe['finish_in']} steps."
    return said
