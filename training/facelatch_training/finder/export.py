"""The trained network as one int8 TFLite file with a signature per input size, and its manifest."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facelatch.adapters.finder_tflite import FinderManifest, signature_name
from facelatch_training.finder.fit import save
from facelatch_training.finder.network import build_network, parts_of
from facelatch_training.finder.prepare import Prepared
from facelatch_training.finder.recipe import SIZES, Recipe

DATA_STATEMENT = (
    "Photographs with people and aligned crops from CelebA (non-commercial research only) and Families in "
    "the Wild, labelled by YuNet; backgrounds from Open Images and MCIndoor20000 through DoorDetect."
)


def export(model: Any, recipe: Recipe, data: Prepared, out: Path, *, commit: str) -> Path:
    """Writes finder.tflite, its manifest without figures yet, and finder.keras into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "finder.tflite"
    part = path.with_suffix(".part")
    part.write_bytes(to_tflite(model, calibration(data)))
    part.replace(path)
    plain = build_network(*SIZES[0])
    plain.set_weights(model.get_weights())  # without the optimizer's state
    save(plain, out / "finder.keras")
    write_manifest(path, recipe, commit=commit, threshold=0.5, figures={})
    return path


def write_manifest(
    model: Path, recipe: Recipe, *, commit: str, threshold: float, figures: dict[str, Any]
) -> None:
    """The manifest beside `model`, checked against its own schema before it is written."""
    manifest = FinderManifest(
        format=1,
        kind="finder",
        model_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        signatures=[signature_name(size) for size in SIZES],
        score_threshold=threshold,
        data=DATA_STATEMENT,
        recipe_sha256=recipe.sha256,
        commit=commit,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        figures=figures,
    )
    part = model.with_suffix(".json.part")
    part.write_text(json.dumps(manifest.model_dump(), indent=1) + "\n", encoding="utf-8")
    part.replace(model.with_suffix(".json"))


def to_tflite(model: Any, pictures: dict[tuple[int, int], np.ndarray[Any, Any]]) -> bytes:
    """Full int8 with uint8 pictures in and floats out; static shapes, since only those are accelerated."""
    import tensorflow as tf
    from keras.export import ExportArchive

    archive = ExportArchive()
    for size in SIZES:
        network = parts_of(_unscaled(model, size))
        archive.track(network)
        spec = tf.TensorSpec((1, size[1], size[0], 3), tf.float32, name="image")
        archive.add_endpoint(signature_name(size), network.__call__, [spec])

    def representative() -> Iterator[tuple[str, dict[str, Any]]]:
        for size, batch in pictures.items():
            for picture in batch:
                yield signature_name(size), {"image": picture[np.newaxis].astype(np.float32)}

    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[signature_name(size) for size in SIZES]
        )
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.float32
        return bytes(converter.convert())


def calibration(data: Prepared, count: int = 150) -> dict[tuple[int, int], np.ndarray[Any, Any]]:
    """Evenly chosen composed pictures for each input size: the middle, and for the smaller size a part."""
    chosen = np.linspace(0, len(data.images) - 1, min(count, len(data.images))).astype(int)
    pictures: dict[tuple[int, int], np.ndarray[Any, Any]] = {}
    for width, height in SIZES:
        rows = []
        for index in chosen:
            image = np.array(data.images[index])
            if width < SIZES[0][0]:
                image = np.asarray(cv2.resize(image, None, fx=2 / 3, fy=2 / 3, interpolation=cv2.INTER_AREA))
            top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
            rows.append(image[top : top + height, left : left + width])
        pictures[width, height] = np.stack(rows)
    return pictures


def _unscaled(model: Any, size: tuple[int, int]) -> Any:
    """The same weights at another size, the division by 255 folded into the stem: zero stays zero."""
    network = build_network(*size, scaled=False)
    for layer in network.layers:
        if layer.weights:  # by name: padding layers, which depend on the size, change the order
            layer.set_weights(model.get_layer(layer.name).get_weights())
    stem = network.get_layer("stem")
    stem.kernel.assign(stem.kernel / 255)
    return network
