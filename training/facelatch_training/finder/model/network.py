"""The face finder's network: one stage, no anchors, three strides, one head shared by all of them.

    image (H, W, 3), 0..255
      stem    H/2  x  8
      stage 2 H/4  x 16
      stage 3 H/8  x 32 --------------------(+)-- head -> (H/8  * W/8,  15)
      stage 4 H/16 x 48 ---------(+)-- up --' `-- head -> (H/16 * W/16, 15)
      stage 5 H/32 x 64 -- 1x1 --'`---------------- head -> (H/32 * W/32, 15)

Per cell: a score (logit), four numbers of a box, ten of the landmarks, all in units of the cell's stride
(`facelatch.vision.finder_decode` is the reading of them). Plain 3x3 convolutions: they train several times faster
on a CPU than depthwise ones and quantize better.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

WIDTHS = (8, 16, 32, 48, 64)
HEAD_WIDTH = 32


def build_network(width: int, height: int, *, scaled: bool = True) -> Any:
    """A Keras model: float image (B, height, width, 3) in 0..255 -> (B, cells, 15), finest stride first.

    `scaled=False` leaves out the division by 255, for the export, which folds it into the stem.
    Sides must be multiples of 8; a level of odd size is padded at its end, so that cell (i, j) of a level
    sees the same pixels whatever the size of the picture.
    """
    image = keras.Input((height, width, 3), name="image")
    x = layers.Rescaling(1 / 255, name="unit")(image) if scaled else image
    x = _block(x, WIDTHS[0], 2, "stem")
    x = _block(x, WIDTHS[1], 2, "stage2")
    third = _block(_block(x, WIDTHS[2], 2, "stage3a"), WIDTHS[2], 1, "stage3b")
    fourth = _block(_block(third, WIDTHS[3], 2, "stage4a"), WIDTHS[3], 1, "stage4b")
    fifth = _block(_block(fourth, WIDTHS[4], 2, "stage5a"), WIDTHS[4], 1, "stage5b")
    top = _lateral(fifth, "lateral5")
    middle = layers.Activation("relu")(layers.Add()([_lateral(fourth, "lateral4"), _up(top, fourth)]))
    bottom = layers.Activation("relu")(layers.Add()([_lateral(third, "lateral3"), _up(middle, third)]))
    hidden = layers.Conv2D(HEAD_WIDTH, 3, padding="same", use_bias=False, name="head_conv")
    score = layers.Conv2D(1, 1, name="score", bias_initializer=keras.initializers.Constant(-4.0))
    box = layers.Conv2D(4, 1, name="box")
    points = layers.Conv2D(10, 1, name="landmarks")
    outputs = []
    for level, feature in enumerate((bottom, middle, layers.Activation("relu")(top))):
        shared = layers.BatchNormalization(name=f"head_norm{level}")(hidden(feature))
        shared = layers.Activation("relu")(shared)
        parts = [
            layers.Reshape((-1, part.filters), name=f"{part.name}{level}")(part(shared))
            for part in (score, box, points)
        ]
        outputs.append(parts)
    joined = [
        layers.Concatenate(axis=1, name=f"all_{name}")([level[part] for level in outputs])
        for part, name in enumerate(_PARTS)
    ]
    return keras.Model(image, layers.Concatenate(axis=2, name="cells")(joined), name="finder")


_PARTS = ("score", "box", "landmarks")


def parts_of(model: Any) -> Any:
    """The same network with three outputs (score, box, landmarks), each quantized on its own scale."""
    outputs = {name: model.get_layer(f"all_{name}").output for name in _PARTS}
    return keras.Model(model.input, outputs, name="finder_parts")


def multiply_adds(model: Any) -> int:
    """Multiply-adds of one pass: convolutions, the shared head counted once per level, and dense layers."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            per_cell = math.prod(layer.kernel.shape)
            for node in layer._inbound_nodes:
                _, rows, columns, _ = node.outputs[0].shape
                total += per_cell * rows * columns
        elif isinstance(layer, layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total


def _block(x: Any, width: int, stride: int, name: str) -> Any:
    """Convolution 3x3, batch norm, ReLU; with a shortcut where the shape stays."""
    if stride == 2:
        x = _even(x)
    y = layers.Conv2D(width, 3, stride, padding="same", use_bias=False, name=name)(x)
    y = layers.BatchNormalization(name=f"{name}_norm")(y)
    if stride == 1:
        y = layers.Add()([x, y])
    return layers.Activation("relu")(y)


def _lateral(x: Any, name: str) -> Any:
    return layers.BatchNormalization(name=f"{name}_norm")(
        layers.Conv2D(HEAD_WIDTH, 1, use_bias=False, name=name)(x)
    )


def _even(x: Any) -> Any:
    rows, columns = x.shape[1] % 2, x.shape[2] % 2
    return layers.ZeroPadding2D(((0, rows), (0, columns)))(x) if rows or columns else x


def _up(x: Any, like: Any) -> Any:
    """Twice the size by repetition, cut to the size of `like`."""
    y = layers.UpSampling2D(2)(x)
    rows, columns = y.shape[1] - like.shape[1], y.shape[2] - like.shape[2]
    return layers.Cropping2D(((0, rows), (0, columns)))(y) if rows or columns else y
