"""A MiniFASNet pair of the owner's, from ncnn's files to one TFLite file that the door can ask as well."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from facelatch.errors import InputError
from facelatch.vision.liveness import VIEW_PX
from facelatch.vision.liveness_manifest import ExtraManifest, extra_signature
from facelatch_training.files import file_sha256, replacing, write_manifest
from facelatch_training.liveness.data.teacher import LIVE, SCALES

RAW = 0
"""ncnn's mark of weights in 32 bits."""
BOTH = -233
"""ncnn's size of a Scale whose factors are its second input."""


@dataclass(frozen=True)
class _Step:
    """One line of a .param file."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    numbers: dict[int, float]

    def number(self, key: int, default: int = 0) -> int:
        """ncnn's parameter of this number."""
        return int(self.numbers.get(key, default))


def convert(folder: Path, out: Path) -> Path:
    """Writes `out` (.tflite, 32 bits) and its manifest from the pair in `folder`. Raises InputError."""
    import tensorflow as tf
    from keras.export import ExportArchive

    archive = ExportArchive()
    spec = tf.TensorSpec((1, VIEW_PX, VIEW_PX, 3), tf.float32, name="image")
    names = []
    for scale in SCALES:
        network = read_ncnn(folder / f"minifasnet_{scale}.param")
        archive.track(network)
        names.append(extra_signature(scale))
        archive.add_endpoint(names[-1], _answering(network), [spec])
    with tempfile.TemporaryDirectory() as saved:
        archive.write_out(saved, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=names)
        with replacing(out) as partial:
            partial.write_bytes(converter.convert())
    manifest = ExtraManifest(
        format=1, kind="liveness-extra", model_sha256=file_sha256(out), scales=list(SCALES), live=LIVE
    )
    write_manifest(out, manifest)
    return out


def _answering(network: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda image: {"shares": network(image)}


def read_ncnn(param: Path) -> Any:
    """A Keras model of the network: float RGB (B, 80, 80, 3) in 0..255 -> shares of its classes (B, 3).

    Raises InputError for files that are not there or cut, and for layers that MiniFASNet does not have.
    """
    binary = param.with_suffix(".bin")
    for path in (param, binary):
        if not path.is_file():
            raise InputError(f"{path}: no such file", hint="copy both files of the network")
    weights = _Weights(np.frombuffer(binary.read_bytes(), "<f4"))
    image = keras.Input((VIEW_PX, VIEW_PX, 3), name="image")
    made: dict[str, Any] = {}
    answer: Any = None
    for number, text in enumerate(
        param.read_text(encoding="ascii", errors="replace").splitlines()[2:], start=3
    ):
        try:
            step = _parsed(text)
            inputs = [made[name] for name in step.inputs]
            answer = image[..., ::-1] if step.kind == "Input" else _run(step, inputs, weights)
        except (ValueError, LookupError) as error:
            raise InputError(f"{param}:{number}: not a layer of MiniFASNet: {text[:60]!r}") from error
        made |= dict.fromkeys(step.outputs, answer)
    return keras.Model(image, layers.Flatten()(answer))


def _parsed(text: str) -> _Step:
    kind, _, ins, outs, *rest = text.split()
    names = rest[: int(ins) + int(outs)]
    numbers = {
        int(key): float(value)
        for key, value in (pair.split("=") for pair in rest[len(names) :])
        if int(key) >= 0
    }
    return _Step(kind, names[: int(ins)], names[int(ins) :], numbers)


def _run(step: _Step, inputs: list[Any], weights: _Weights) -> Any:
    x, width = inputs[0], step.number(0)
    match step.kind:
        case "Split" | "Dropout":
            return x
        case "Flatten":
            if x.shape[1:3] != (1, 1):
                raise ValueError(x.shape)
            return x
        case "Convolution" | "ConvolutionDepthWise" | "InnerProduct":
            return _convolved(step, x, weights)
        case "BatchNorm":
            gamma, mean, variance, beta = (weights.plain(width) for _ in range(4))
            factor = gamma / np.sqrt(variance + np.float32(step.numbers.get(1, 0)))
            return layers.Rescaling(factor, beta - mean * factor)(x)
        case "Scale" if width == BOTH:
            return layers.Multiply()(inputs)
        case "Scale":
            factor = weights.plain(width)
            return layers.Rescaling(factor, weights.plain(width) if step.number(1) else 0.0)(x)
        case "PReLU":
            slopes = layers.PReLU(shared_axes=[1, 2])
            result = slopes(x)
            slopes.set_weights([weights.plain(width).reshape(1, 1, -1)])
            return result
        case "Eltwise" if width == 1:
            return layers.Add()(inputs)
        case "Pooling" if width == 1 and step.number(1) == x.shape[1]:
            return layers.GlobalAveragePooling2D(keepdims=True)(x)
        case "ReLU" | "Sigmoid" | "Softmax":
            return layers.Activation(step.kind.lower())(x)
    raise ValueError(step.kind)


def _convolved(step: _Step, x: Any, weights: _Weights) -> Any:
    """A convolution; a dense layer is one of a single pixel."""
    width, dense = step.number(0), step.kind == "InnerProduct"
    size, stride, pad = (1, 1, 0) if dense else (step.number(1), step.number(3, 1), step.number(4))
    bias, count = (step.number(1), step.number(2)) if dense else (step.number(5), step.number(6))
    if not dense and (step.number(2, 1) != 1 or step.number(9)):
        raise ValueError(step.kind)
    kernel = weights.marked(count).reshape(width, -1, size, size).transpose(2, 3, 1, 0)
    each = step.kind == "ConvolutionDepthWise"
    if each and step.number(7) != width:
        raise ValueError(step.kind)
    layer = (
        layers.DepthwiseConv2D(size, stride, use_bias=bool(bias))
        if each
        else layers.Conv2D(width, size, stride, use_bias=bool(bias))
    )
    result = layer(layers.ZeroPadding2D(pad)(x) if pad else x)
    arrays = [kernel.transpose(0, 1, 3, 2) if each else kernel]
    layer.set_weights(arrays + ([weights.plain(width)] if bias else []))
    return result


class _Weights:
    """Reads ncnn's file of weights from front to end. Raises ValueError at its end."""

    def __init__(self, data: NDArray[np.float32]) -> None:
        self._data, self._at = data, 0

    def marked(self, count: int) -> NDArray[np.float32]:
        """Weights that begin with a mark of their kind."""
        if self.plain(1).view(np.uint32)[0] != RAW:
            raise ValueError("weights are not in 32 bits")
        return self.plain(count)

    def plain(self, count: int) -> NDArray[np.float32]:
        """The next `count` numbers."""
        if self._at + count > len(self._data):
            raise ValueError("the file of weights ends too early")
        self._at += count
        return np.array(self._data[self._at - count : self._at], np.float32)
