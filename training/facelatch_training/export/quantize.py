"""From a Keras model to one TFLite file: three signatures, int8 tower, float head.

The head stays float on purpose: a quantized `compare` is twenty times slower over a large gallery, and
rounding an embedding once more only to subtract it loses accuracy. The tower has a static batch of one,
without which the runtimes fall back to their slow kernels.
"""

from __future__ import annotations

import tempfile
from typing import Any

import keras
import numpy as np

from facelatch_training.batches.pairs import Rows
from facelatch_training.data.crops import CROP_SIZE, CropArray, Crops
from facelatch_training.model.tower import core_of

CALIBRATION_CROPS = 300

HEADROOM = 1.3
"""How much wider the ranges are made: they are means over pictures, and half of all pictures reach further. On 600
training crops the mean and the least cosine between int8 and float were 0.9951 and 0.968 without, 0.9967 and 0.983 at
1.15, 0.9968 and 0.987 at 1.3, 0.9963 and 0.990 at 1.5.
"""


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


def even_out_head(tower: keras.Model, crops: CropArray) -> None:
    """Let every channel of the head reach as far as any other on `crops` (N, 112, 112, 3), and the pooling's weights
    undo it: the tower embeds as before.

    In int8 all channels share one scale, in which one that reaches a tenth as far is rounded ten times as coarsely;
    pooling stays float, so undoing it costs nothing. On 600 training crops the mean cosine between int8 and float was
    0.9957 before, 0.9968 after. A tower without a head is left as it is.
    """
    core = core_of(tower)
    if not any(layer.name == "head_relu" for layer in core.layers):
        return
    features = keras.Model(core.input, core.get_layer("head_relu").output)
    reach = features.predict(crops, verbose=0).max(axis=(1, 2)).mean(axis=0)
    reach = np.maximum(reach, reach.mean() / 10)  # one that is silent on these crops may speak on others
    norm, pool = core.get_layer("head_norm"), core.get_layer("pool_conv")
    norm.gamma.assign(norm.gamma / reach)
    norm.beta.assign(norm.beta / reach)
    pool.kernel.assign(pool.kernel * reach[:, None])


def quantize_tower(model: bytes, crops: CropArray, pairs: tuple[Rows, Rows]) -> bytes:
    """Int8 weights and activations for every convolution and every sum; all else stays float.

    Pooling and projection are a thousandth of the arithmetic, and in int8 they cost more than all the rest: on a tower
    of 95 M multiply-adds the mean cosine to the float embedding was 0.979 with them, 0.999 without.

    `crops` (N, 112, 112, 3) are training crops that set the ranges; `pairs` their row numbers for `verify`.
    """
    from ai_edge_quantizer import qtyping, quantizer

    names = qtyping.TFLOperationName
    maker = quantizer.Quantizer(model)
    for operation in (names.CONV_2D, names.ADD):
        maker.add_static_config(".*", operation, activation_num_bits=8, weight_num_bits=8)
    sides = zip(*pairs, strict=True)
    ranges = maker.calibrate(
        {
            "embed": [{"image": crop[None]} for crop in crops],
            "verify": [{"anchor": crops[a][None], "validation": crops[b][None]} for a, b in sides],
        }
    )
    for span in ranges.values():
        for end in ("min", "max"):
            span[end] = span[end] * HEADROOM
    return bytes(maker.quantize(ranges).quantized_model)


def calibration_crops(crops: Crops, seed: int) -> CropArray:
    """A seeded handful of training crops for the ranges."""
    rng = np.random.default_rng([seed, 0x716E74])
    rows = rng.choice(len(crops), min(CALIBRATION_CROPS, len(crops)), replace=False)
    return np.stack([crops[int(row)] for row in np.sort(rows)])  # shard by shard, should they be streamed
