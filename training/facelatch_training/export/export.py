"""Writes the int8 file and its manifest, both or neither."""

from __future__ import annotations

import datetime
import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from facelatch.vision.align import ALIGN_VERSION
from facelatch.vision.manifest import SIGNATURES, Manifest
from facelatch_training.data.crops import Crops, RowsOf
from facelatch_training.export.origin import Origin, about_model, code_commit
from facelatch_training.export.parity import Parity, compare_with_float
from facelatch_training.export.quantize import calibration_crops, even_out_head, quantize_tower, to_tflite
from facelatch_training.fitting.material import Material, make_material_yardstick
from facelatch_training.fitting.validation import Yardstick
from facelatch_training.model.siamese import load_siamese


def export_trained(
    model: Path,
    origin: Origin,
    material: Material,
    target: Path,
    *,
    about_data: str,
    calibrate: Callable[[Path], None],
) -> Parity:
    """Writes `target` and its manifest from `model` (siamese.keras), which has this `origin`.

    Training crops of `material` set the ranges, its validation people are the yardstick; `about_data` says in one
    sentence which pictures these are. Raises as `export` and `load_siamese`.
    """
    return export(
        load_siamese(model),
        RowsOf(material.crops, material.train),
        make_material_yardstick(material),
        target,
        about_model(origin, about_data),
        seed=origin.recipe.seed,
        calibrate=calibrate,
    )


def export(
    siamese: keras.Model,
    crops: Crops,
    yardstick: Yardstick,
    target: Path,
    about: dict[str, Any],
    *,
    seed: int,
    calibrate: Callable[[Path], None] | None = None,
) -> Parity:
    """Write `target` (`siamese.tflite`) and the manifest beside it, both or neither.

    `crops` are training crops; `about` are fields of the manifest, see `about_model`.
    `calibrate` sets thresholds and rates in the manifest of the file it is given, or raises; without it the
    thresholds are the yardstick's, there are no rates, and no door opens. Raises ModelError when int8 loses
    more than MAX_LOSS of accuracy or embeds otherwise than float, or a runtime cannot run the file or makes
    something else of it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    tower, head = siamese.get_layer("tower"), siamese.get_layer("head")
    sample = calibration_crops(crops, seed)
    # All of them: `verify` looks by ranges of its own, and where these differ its similarity does.
    half = len(sample) // 2
    pairs = (np.arange(half), np.arange(half, 2 * half))
    even_out_head(tower, sample)
    model = quantize_tower(to_tflite(tower, head), sample, pairs)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        draft = Path(folder) / target.name
        draft.write_bytes(model)
        _write_manifest(draft, model, int(tower.output.shape[-1]), about, threshold=0.5)
        parity = compare_with_float(draft, siamese, yardstick)
        threshold = float(np.clip(parity.int8_figures["threshold@0.0001"], 1e-6, 1 - 1e-6))
        _write_manifest(draft, model, int(tower.output.shape[-1]), about, threshold)
        if calibrate is not None:
            calibrate(draft)
        draft.replace(target)
        draft.with_suffix(".json").replace(target.with_suffix(".json"))
    return parity


def _write_manifest(model: Path, data: bytes, width: int, about: dict[str, Any], threshold: float) -> None:
    manifest = Manifest(
        format=1,
        kind="siamese",
        model_sha256=hashlib.sha256(data).hexdigest(),
        align_version=ALIGN_VERSION,
        embedding_size=width,
        signatures={n: {"inputs": [*i], "outputs": [*o]} for n, (i, o) in SIGNATURES.items()},
        detection_threshold=threshold,
        verification_threshold=0.5,
        rates={},
        commit=code_commit(),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **about,
    )
    text = json.dumps(manifest.model_dump(mode="json"), indent=2)
    model.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
