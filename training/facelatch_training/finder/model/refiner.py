"""The refining network: an aligned crop at half size -> where its five landmarks lie.

    crop (56, 56, 3), 0..255
      stem 28 x 12 - 14 x 24 (twice) - 7 x 32 (twice) - 1x1 7 x 16 - dense 10

It sees every face upright and centred, so a dense layer may know the places: `facelatch.vision.finder_refine` is
the reading of its numbers.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from facelatch.vision.finder_refine import INPUT_PX

WIDTHS = (12, 24, 32)
THIN = 16


def build_refiner(*, scaled: bool = True) -> Any:
    """A Keras model: float crop (B, 56, 56, 3) in 0..255 -> (B, 10).

    `scaled=False` leaves out the division by 255, for the export, which folds it into the stem.
    """
    image = keras.Input((INPUT_PX, INPUT_PX, 3), name="image")
    x = layers.Rescaling(1 / 255, name="unit")(image) if scaled else image
    x = _block(x, WIDTHS[0], 2, "stem")
    x = _block(_block(x, WIDTHS[1], 2, "refine2a"), WIDTHS[1], 1, "refine2b")
    x = _block(_block(x, WIDTHS[2], 2, "refine3a"), WIDTHS[2], 1, "refine3b")
    x = layers.Conv2D(THIN, 1, use_bias=False, name="thin")(x)
    x = layers.Activation("relu")(layers.BatchNormalization(name="thin_norm")(x))
    x = layers.Dense(10, kernel_initializer="zeros", name="landmarks")(layers.Flatten()(x))
    return keras.Model(image, x, name="refiner")


def _block(x: Any, width: int, stride: int, name: str) -> Any:
    """Convolution 3x3, batch norm, ReLU; with a shortcut where the shape stays."""
    y = layers.Conv2D(width, 3, stride, padding="same", use_bias=False, name=name)(x)
    y = layers.BatchNormalization(name=f"{name}_norm")(y)
    if stride == 1:
        y = layers.Add()([x, y])
    return layers.Activation("relu")(y)
