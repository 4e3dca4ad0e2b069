"""The teacher as a layer, on whatever device the student trains: it answers for pictures made a moment ago.

ncnn's runtime answers for 300 crops per second on two cores, which is enough to ask about every crop once and
keep the answers. On a GPU the same network, read from the same two files, keeps up with the student.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import layers, ops

from facelatch.errors import InputError
from facelatch_training.batches.teacher import ANSWER, teacher_weights

Floats = npt.NDArray[np.float32]
RAW = 0
"""ncnn's mark of weights in 32 bits."""
DILATION, BIAS, GROUPS, ACTIVATION = 2, 5, 7, 9
"""ncnn's numbers of what convolutions may have and MobileFaceNet's have not."""
OPERATIONS = {0: ops.add, 1: ops.subtract, 2: ops.multiply}
"""ncnn's numbers of what BinaryOp may be."""


@dataclass(frozen=True)
class Step:
    """One layer of the network: its kind, the names of its inputs and output, ncnn's parameters by number, and its
    arrays.
    """

    kind: str
    inputs: list[str]
    outputs: list[str]
    numbers: dict[int, float]
    arrays: list[Floats]


def read_network(folder: Path) -> list[Step]:
    """The layers of `folder/mobilefacenet.param` with their weights from `.bin`, in order.

    Raises InputError for files that are not there or cut, and for a layer or a kind of weights that MobileFaceNet does
    not have.
    """
    weights_file = teacher_weights(folder)
    weights, layers_file = _Weights(weights_file), weights_file.with_suffix(".param")
    steps = []
    for number, line in enumerate(
        layers_file.read_text(encoding="ascii", errors="replace").splitlines()[2:], start=3
    ):
        try:
            steps.append(_read_step(line.split(), weights))
        except InputError:
            raise
        except (ValueError, LookupError) as error:
            raise InputError(
                f"{layers_file}:{number}: not a layer of MobileFaceNet: {line[:60]!r}",
                hint="copy it again, together with its .bin, as ncnn's converter wrote it",
            ) from error
    if not steps or steps[-1].outputs != [ANSWER]:
        raise InputError(f"{layers_file}: ends too early", hint="copy it again, together with its .bin")
    return steps


def _read_step(words: list[str], weights: _Weights) -> Step:
    """One line of the .param file. Raises ValueError or LookupError for what is no layer of MobileFaceNet."""
    kind, _, ins, outs, *rest = words
    names = rest[: int(ins) + int(outs)]
    numbers = {int(key): float(value) for key, value in (pair.split("=") for pair in rest[len(names) :])}
    width = int(numbers.get(0, 0))
    arrays: list[Floats] = []
    if kind in ("Convolution", "ConvolutionDepthWise"):
        one_each = numbers.get(GROUPS, width) == width
        if numbers.get(BIAS) or numbers.get(ACTIVATION) or numbers.get(DILATION, 1) != 1 or not one_each:
            raise ValueError(kind)
        size = int(numbers[1])
        # (out, in, height, width) there, (height, width, in, out) here; depthwise has no `in`.
        arrays = [weights.marked(int(numbers[6])).reshape(width, -1, size, size).transpose(2, 3, 1, 0)]
    elif kind == "InnerProduct":
        arrays = [weights.marked(int(numbers[2])).reshape(width, -1).T]
        arrays += [weights.plain(width)] if numbers.get(1) else []
    elif kind == "BatchNorm":
        gamma, mean, variance, beta = (weights.plain(width) for _ in range(4))
        scale = gamma / np.sqrt(variance + np.float32(numbers.get(1, 0)))
        arrays = [scale, beta - mean * scale]
    elif kind == "PReLU":
        arrays = [weights.plain(width)]
    elif kind == "BinaryOp":
        if numbers[0] not in OPERATIONS:
            raise ValueError(kind)
    elif kind not in ("Input", "Split"):
        raise ValueError(kind)
    return Step(
        kind=kind,
        inputs=names[: int(ins)],
        outputs=names[int(ins) :],
        numbers=numbers,
        arrays=arrays,
    )


class _Weights:
    """Reads ncnn's file of weights from front to end."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        self._path, self._data, self._at = path, np.frombuffer(data, "<f4", len(data) // 4), 0

    def marked(self, count: int) -> Floats:
        """Weights that begin with a mark of their kind."""
        if self.plain(1).view(np.uint32)[0] != RAW:
            raise InputError(
                f"{self._path}: weights are not in 32 bits", hint="convert it without fp16 or int8"
            )
        return self.plain(count)

    def plain(self, count: int) -> Floats:
        """The next `count` numbers."""
        if self._at + count > len(self._data):
            raise InputError(f"{self._path}: ends too early", hint="copy it again, together with its .param")
        self._at += count
        return np.asarray(self._data[self._at - count : self._at], np.float32)


class LiveTeacher(layers.Layer):  # type: ignore[misc]
    """uint8 RGB crops (B, 112, 112, 3) -> unit embeddings (B, D) of the crops and, in every other row, of their mirror
    images.

    The loss is linear in the answer, so from many of them the student learns the mean of both sides, for half the work
    of asking for both each time; the embeddings of a crop's two sides have a cosine of 0.98.

    Raises InputError for files that are damaged or of another network.
    """

    def __init__(self, folder: Path, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self._steps = read_network(folder)

    def call(self, crops: Any) -> Any:
        """The embeddings, through which no gradient flows back."""
        pixels = ops.cast(crops, self.compute_dtype)
        every_other = ops.reshape(ops.arange(ops.shape(crops)[0]) % 2 == 1, (-1, 1, 1, 1))
        answers = self._embed(ops.where(every_other, ops.flip(pixels, axis=2), pixels))
        return ops.stop_gradient(ops.normalize(ops.cast(answers, "float32"), axis=-1))

    def compute_output_shape(self, crops_shape: Any) -> Any:
        """(B, D)."""
        return (crops_shape[0], self._steps[-1].arrays[0].shape[-1])

    def _embed(self, pixels: Any) -> Any:
        outputs = {self._steps[0].outputs[0]: pixels}
        for step in self._steps[1:]:
            features = self._run(step, [outputs[name] for name in step.inputs])
            outputs |= dict.fromkeys(step.outputs, features)
        return features

    def _run(self, step: Step, inputs: list[Any]) -> Any:
        features = inputs[0]
        arrays = [ops.convert_to_tensor(array, dtype=features.dtype) for array in step.arrays]
        if step.kind in ("Convolution", "ConvolutionDepthWise"):
            pad, stride = int(step.numbers.get(4, 0)), int(step.numbers.get(3, 1))
            padded = ops.pad(features, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
            convolve = ops.conv if step.kind == "Convolution" else self._depthwise
            return convolve(padded, arrays[0], stride)
        if step.kind == "BatchNorm":
            return features * arrays[0] + arrays[1]
        if step.kind == "PReLU":
            return ops.maximum(features, 0) + arrays[0] * ops.minimum(features, 0)
        if step.kind == "InnerProduct":
            flat = ops.reshape(features, (-1, arrays[0].shape[0]))
            return ops.matmul(flat, arrays[0]) + (arrays[1] if len(arrays) > 1 else 0)
        if step.kind == "BinaryOp":
            operand = inputs[1] if len(inputs) > 1 else step.numbers[2]
            return OPERATIONS[int(step.numbers[0])](features, ops.cast(operand, features.dtype))
        return features  # Split

    def _depthwise(self, padded: Any, kernel: Any, stride: int) -> Any:
        """As a sum of shifted pictures, which compilers turn into one pass over the features."""
        size, (_, high, wide, _) = kernel.shape[0], padded.shape
        total: Any = 0
        for row in range(size):
            for column in range(size):
                last_row, last_column = high - size + row + 1, wide - size + column + 1
                part = padded[:, row:last_row:stride, column:last_column:stride]
                total = total + part * kernel[row, column, 0]
        return total
