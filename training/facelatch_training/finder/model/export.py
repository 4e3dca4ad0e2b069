"""The trained network as one int8 TFLite file with a signature per input size, and its manifest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facelatch.vision.align import CROP_SIZE_PX, halved
from facelatch.vision.finder_manifest import REFINE, FinderManifest, signature_name
from facelatch_training.files import file_sha256, replacing, write_manifest
from facelatch_training.finder.data.patches import SPARE, Patches
from facelatch_training.finder.data.prepare import Prepared
from facelatch_training.finder.model.fit import FINAL, REFINER_FINAL
from facelatch_training.finder.model.int8 import quantized, unscaled
from facelatch_training.finder.model.network import build_network, parts_of
from facelatch_training.finder.model.refiner import build_refiner
from facelatch_training.finder.model.runs import save
from facelatch_training.finder.recipe import SIZES, Recipe

DATA_STATEMENT = (
    "Photographs with people and aligned crops from CelebA (non-commercial research only) and Families in "
    "the Wild, labelled by YuNet; backgrounds from Open Images and MCIndoor20000 through DoorDetect."
)


def export(
    model: Any, refiner: Any, recipe: Recipe, data: Prepared, patches: Patches, out: Path, *, commit: str
) -> Path:
    """Writes finder.tflite, its manifest without figures yet, finder.keras and refiner.keras into `out`."""
    path = out / "finder.tflite"
    with replacing(path) as partial:
        partial.write_bytes(
            to_tflite(model, refiner, {**calibration(data), REFINE: calibration_patches(patches)})
        )
    for network, plain, name in (
        (model, build_network(*SIZES[0]), FINAL),
        (refiner, build_refiner(), REFINER_FINAL),
    ):
        plain.set_weights(network.get_weights())  # without the optimizer's state
        save(plain, out / name)
    manifest = FinderManifest(
        format=1,
        kind="finder",
        model_sha256=file_sha256(path),
        signatures=[*(signature_name(size) for size in SIZES), REFINE],
        score_threshold=0.5,
        data=DATA_STATEMENT,
        recipe_sha256=recipe.sha256,
        commit=commit,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        figures={},
    )
    write_manifest(path, manifest)
    return path


def to_tflite(model: Any, refiner: Any, pictures: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """Full int8 with uint8 pictures in and floats out; static shapes, since only those are accelerated.

    `pictures` are the ones to calibrate each signature by.
    """
    import tensorflow as tf
    from keras.export import ExportArchive

    networks = {
        signature_name(size): parts_of(unscaled(model, build_network(*size, scaled=False))) for size in SIZES
    }
    networks[REFINE] = _named(unscaled(refiner, build_refiner(scaled=False)))
    archive = ExportArchive()
    for name, network in networks.items():
        archive.track(network)
        spec = tf.TensorSpec((1, *network.input_shape[1:]), tf.float32, name="image")
        archive.add_endpoint(name, network.__call__, [spec])
    return quantized(archive, list(networks), pictures)


def calibration_patches(patches: Patches) -> np.ndarray[Any, Any]:
    """Evenly chosen patches as the refining network sees them."""
    chosen = np.linspace(0, len(patches.images) - 1, min(200, len(patches.images))).astype(int)
    end = SPARE + CROP_SIZE_PX
    return np.stack([halved(patches.images[row, SPARE:end, SPARE:end]) for row in chosen])


def calibration(data: Prepared) -> dict[str, np.ndarray[Any, Any]]:
    """Evenly chosen composed pictures for each input size: the middle, and for the smaller size a part."""
    chosen = np.linspace(0, len(data.images) - 1, min(150, len(data.images))).astype(int)
    pictures: dict[str, np.ndarray[Any, Any]] = {}
    for width, height in SIZES:
        rows = []
        for index in chosen:
            image = np.array(data.images[index])
            if width < SIZES[0][0]:
                image = np.asarray(cv2.resize(image, None, fx=2 / 3, fy=2 / 3, interpolation=cv2.INTER_AREA))
            top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
            rows.append(image[top : top + height, left : left + width])
        pictures[signature_name((width, height))] = np.stack(rows)
    return pictures


def _named(refiner: Any) -> Any:
    import keras

    return keras.Model(refiner.input, {"landmarks": refiner.output}, name="refiner_parts")
