"""The trained liveness network as an int8 TFLite file, and its manifest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from facelatch.vision.liveness import LOOKS, VIEW_PX
from facelatch.vision.liveness_manifest import SIGNATURE, LivenessManifest
from facelatch_training.files import file_sha256, replacing, write_manifest
from facelatch_training.finder.model.int8 import quantized, unscaled
from facelatch_training.finder.model.runs import save
from facelatch_training.liveness.data.prepare import Prepared
from facelatch_training.liveness.judge.levels import Levels
from facelatch_training.liveness.model.fit import FINAL
from facelatch_training.liveness.model.network import build_door, build_network, door_network
from facelatch_training.liveness.recipe import Recipe

DATA_STATEMENT = (
    "CelebA-Spoof (samples; non-commercial research), an Axon sample set, small sets of amateurs without stated terms; "
    "rendered presentations of photographs from CelebA and Families in the Wild (non-commercial research) before rooms "
    "from Open Images and MCIndoor20000; taught besides by MiniFASNet (Minivision, Apache-2.0). Thresholds were set "
    "with NUAA (published for research)."
)
SECONDS, PICTURES = 1.0, 5
CALIBRATION_VIEWS = 400


def export(
    model: Any,
    recipe: Recipe,
    data: Prepared,
    *,
    levels: Levels,
    out: Path,
    commit: str,
    figures: dict[str, Any] | None = None,
) -> Path:
    """Writes liveness.tflite, its manifest with `figures`, and liveness.keras into `out`."""
    path = out / "liveness.tflite"
    with replacing(path) as partial:
        partial.write_bytes(to_tflite(door_network(model, recipe.network, recipe.fit.label_share), recipe, data))
    plain = build_network(recipe.network)
    plain.set_weights(model.get_weights())  # without the optimizer's state
    save(plain, out / FINAL)
    manifest = LivenessManifest(
        format=1,
        kind="liveness",
        model_sha256=file_sha256(path),
        view_px=VIEW_PX,
        looks=list(LOOKS),
        seconds=SECONDS,
        pictures=PICTURES,
        basic=levels.basic,
        strict=levels.strict,
        basic_with_extra=levels.basic_with_extra,
        strict_with_extra=levels.strict_with_extra,
        data=DATA_STATEMENT,
        recipe_sha256=recipe.sha256,
        commit=commit,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        figures=figures or {},
    )
    write_manifest(path, manifest)
    return path


def to_tflite(door: Any, recipe: Recipe, data: Prepared) -> bytes:
    """The network of `door_network` in full int8, with uint8 views in and float logits out."""
    import tensorflow as tf
    from keras.export import ExportArchive

    network = unscaled(door, build_door(recipe.network, scaled=False))
    archive = ExportArchive()
    archive.track(network)
    spec = tf.TensorSpec((1, VIEW_PX, VIEW_PX, 3), tf.float32, name="image")
    archive.add_endpoint(SIGNATURE, lambda image: {"logits": network(image)}, [spec])
    chosen = np.linspace(0, len(data.images) - 1, CALIBRATION_VIEWS).astype(int)
    return quantized(archive, [SIGNATURE], {SIGNATURE: data.images[chosen]})
