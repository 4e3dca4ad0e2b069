"""Everything that a report on a model says, measured once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from facelatch.errors import InputError
from facelatch.vision.manifest import Manifest, load_manifest
from facelatch_training.data.cropping import open_finder
from facelatch_training.data.dataset import fingerprint, read_index
from facelatch_training.judge.evaluate import Evaluation, evaluate
from facelatch_training.judge.protocols import gather, prepared
from facelatch_training.judge.slice_rates import SliceRates, measure_slices
from facelatch_training.judge.slices import is_turned
from facelatch_training.judge.verifiers import open_verifier
from facelatch_training.report.finder_card import finder_card
from facelatch_training.report.plots import det_picture


@dataclass(frozen=True, eq=False)
class Findings:
    """All that model card and HTML page are made of."""

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

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """The model's, and the peer's where there is one, as the plots take them."""
        return {"model": self.evaluation, **({} if self.peer is None else {"peer": self.peer})}

    @cached_property
    def det(self) -> str:
        """The DET curve as the text of an SVG, for card and page: its band is resampled hundreds of times."""
        return det_picture(self.evaluations)


def gather_findings(
    model: Path, data: Path, *, run: Path | None = None, peer: Path | None = None, quiet: bool = False
) -> Findings:
    """Evaluates `model` (.tflite with manifest) on the validation split of `data`, whole and by slice.

    Raises ModelError for a model that does not load, InputError for faulty data and for a `run` that is not
    the model's.
    """
    manifest = load_manifest(model)
    recipe = {} if run is None else _recipe_of(run, manifest)
    data_fingerprint = fingerprint(read_index(data))
    protocol = prepared(data)
    verifier = open_verifier(model)
    evaluation = evaluate(
        verifier,
        protocol,
        threshold=manifest.detection_threshold,
        threshold_origin="the manifest's detection threshold",
        quiet=quiet,
    )
    by_slice = partial(
        measure_slices,
        crops=gather(protocol),
        identities=protocol.identities,
        threshold=manifest.detection_threshold,
        families=protocol.families,
        turned=partial(is_turned, finder=open_finder("network")),
    )
    peer_verifier = None if peer is None else open_verifier(peer)
    return Findings(
        model=model.name,
        size_bytes=model.stat().st_size,
        manifest=manifest,
        evaluation=evaluation,
        slices=by_slice(verifier),
        peer=None if peer_verifier is None else evaluate(peer_verifier, protocol, quiet=quiet),
        peer_slices={} if peer_verifier is None else by_slice(peer_verifier),
        recipe=recipe,
        curves={} if run is None else {file.stem: file for file in sorted(run.glob("*.png"))},
        unseen=manifest.extra.get("trained_on") == data_fingerprint,
        calibrated_here=manifest.extra.get("calibration", {}).get("data_fingerprint") == data_fingerprint,
        finder=tuple(finder_card(model.with_name("finder.tflite"))),
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
