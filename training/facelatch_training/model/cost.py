"""What one forward pass costs."""

from __future__ import annotations

import keras
from keras import layers

from facelatch_training.model.layers import BothSides
from facelatch_training.model.tower import core_of


def multiply_adds(tower: keras.Model) -> int:
    """Multiplications of one forward pass through the convolutions and dense layers of a tower made by
    `widen_tower`.
    """
    sides = 2 if any(isinstance(layer, BothSides) for layer in tower.layers) else 1
    return sides * _multiply_adds(core_of(tower)) + _multiply_adds(tower)


def _multiply_adds(model: keras.Model) -> int:
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            places = int(layer.output.shape[1]) * int(layer.output.shape[2])
            total += places * int(layer.count_params())
        elif isinstance(layer, layers.Dense):
            total += int(layer.count_params())
    return total
