"""From a Keras model to the file at the door: one TFLite file, three signatures, int8 tower, float head.

The head stays float on purpose: a quantized `compare` is twenty times slower over a large gallery, and
rounding an embedding once more only to subtract it loses accuracy. The tower has a static batch of one,
without which the runtimes fall back to their slow kernels.
"""

from __future__ import annotations

import tempfile
from typing import Any

import keras
import numpy as np

from facelatch_training.dataset import CROP_SIZE, CropArray
from facelatch_training.pairs import Rows

CALIBRATION_CROPS = 300


def to_tflite(tower: keras.Model, head: keras.Model) -> bytes:
    """The float TFLite file with the signatures embed, compare and verify."""
    import tensorflow as tf

    width = int(tower.output.shape[-1])
    image = tf.TensorSpec((1, CROP_SIZE, CROP_SIZE, 3), tf.uint8)
    embedding, gallery = tf.TensorSpec((1, width), tf.float32), tf.TensorSpec((None, width), tf.float32)

    def named(spec: Any, name: str) -> Any:
        return tf.TensorSpec(spec.shape, spec.dtype, name=name)

    def embed(image: Any) -> Any:
        return {"embedding": tower(image, training=False)}

    def compare(probe: Any, gallery: Any) -> Any:
        return {"similarity": head([probe, gallery], training=False)}

    def verify(anchor: Any, validation: Any) -> Any:
        sides = [tower(anchor, training=False), tower(validation, training=False)]
        return {"similarity": head(sides, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(tower)
    archive.track(head)
    archive.add_endpoint("embed", embed, [named(image, "image")])
    archive.add_endpoint("compare", compare, [named(embedding, "probe"), named(gallery, "gallery")])
    archive.add_endpoint("verify", verify, [named(image, "anchor"), named(image, "validation")])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["embed", "compare", "verify"]
        )
        return bytes(converter.convert())


def quantize_tower(model: bytes, crops: CropArray, pairs: tuple[Rows, Rows]) -> bytes:
    """Int8 weights and activations for every convolution and the projection; all else stays float.

    `crops` (N, 112, 112, 3) are training crops that set the ranges; `pairs` their row numbers for `verify`.
    """
    from ai_edge_quantizer import qtyping, quantizer

    names = qtyping.TFLOperationName
    maker = quantizer.Quantizer(model)
    for operation in (names.CONV_2D, names.DEPTHWISE_CONV_2D, names.ADD, names.RESHAPE):
        maker.add_static_config(".*", operation, activation_num_bits=8, weight_num_bits=8)
    maker.add_static_config(".*project.*", names.FULLY_CONNECTED, activation_num_bits=8, weight_num_bits=8)
    sides = zip(*pairs, strict=True)
    ranges = maker.calibrate(
        {
            "embed": [{"image": crop[None]} for crop in crops],
            "verify": [{"anchor": crops[a][None], "validation": crops[b][None]} for a, b in sides],
        }
    )
    return bytes(maker.quantize(ranges).quantized_model)


def calibration_crops(crops: CropArray, seed: int) -> CropArray:
    """A seeded handful of training crops for the ranges."""
    rows = np.random.default_rng([seed, 0x716E74]).choice(
        len(crops), min(CALIBRATION_CROPS, len(crops)), replace=False
    )
    return np.stack([crops[int(row)] for row in rows])
