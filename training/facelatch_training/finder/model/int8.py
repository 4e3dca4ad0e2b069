"""From trained Keras networks to one int8 TFLite file: the steps that the small networks share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np


def unscaled(model: Any, network: Any) -> Any:
    """`network` with the weights of `model`, the division by 255 folded into the stem: zero stays zero."""
    for layer in network.layers:
        if layer.weights:  # by name: padding layers, which depend on the size, change the order
            layer.set_weights(model.get_layer(layer.name).get_weights())
    stem = network.get_layer("stem")
    stem.kernel.assign(stem.kernel / 255)
    return network


def quantized(
    archive: Any, signatures: Sequence[str], pictures: Mapping[str, Iterable[np.ndarray[Any, Any]]]
) -> bytes:
    """The `signatures` of a Keras export archive in full int8, with uint8 pictures in and floats out.

    `pictures` (H, W, 3) of each signature set its ranges.
    """
    import tensorflow as tf

    def representative() -> Iterator[tuple[str, dict[str, Any]]]:
        for name, batch in pictures.items():
            for picture in batch:
                yield name, {"image": picture[np.newaxis].astype(np.float32)}

    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.float32
        return bytes(converter.convert())
