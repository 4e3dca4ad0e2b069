"""Everything that a report on a model says, measured once."""

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
from facelatch_training.judge.evaluate import Evaluation, evaluate
from facelatch_training.judge.protocols import gather, prepared
from facelatch_training.judge.slice_rates import SliceRates, measure_slices
from facelatch_training.judge.slices import is_turned
from facelatch_training.judge.verifiers import open_verifier
from facelatch_training.report.finder_card import finder_card


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
