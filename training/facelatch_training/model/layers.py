"""Layers that Keras does not have. Saved models name them `facelatch>CLASS`, wherever they are defined."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

REGISTERED = keras.saving.register_keras_serializable(package="facelatch")


@REGISTERED
class UnitLength(layers.Layer):  # type: ignore[misc]
    """Scales every row of (B, D) to length one."""

    def call(self, inputs: Any) -> Any:
        """(B, D) -> (B, D)."""
        norm = ops.sqrt(ops.sum(ops.square(inputs), axis=-1, keepdims=True) + 1e-12)
        return inputs / norm

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Same as the input."""
        return input_shape


@REGISTERED
class Magnitude(layers.Layer):  # type: ignore[misc]
    """The length of every row: (B, D) -> (B, 1)."""

    def call(self, inputs: Any) -> Any:
        """The Euclidean length; the least squared length is above zero, so that the root has a gradient there."""
        return ops.sqrt(ops.maximum(ops.sum(ops.square(inputs), axis=-1, keepdims=True), 1e-12))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One number a row."""
        return (input_shape[0], 1)


@REGISTERED
class LogSumExp(layers.Layer):  # type: ignore[misc]
    """(B, N) -> (B, 1): the largest of a row, softly. For numbers up to 80, beyond which float32 ends."""

    def call(self, inputs: Any) -> Any:
        """Without Keras' way around large numbers, whose sum the exporter would make int8."""
        return ops.log(ops.sum(ops.exp(inputs), axis=-1, keepdims=True))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One number a row."""
        return (input_shape[0], 1)


@REGISTERED
class Bounded(layers.Layer):  # type: ignore[misc]
    """Clips its input to `low` .. `high`."""

    def __init__(self, low: float, high: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low, self.high = low, high

    def call(self, inputs: Any) -> Any:
        """Clipped, in the same shape."""
        return ops.clip(inputs, self.low, self.high)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Same as the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What rebuilds this layer."""
        return {**super().get_config(), "low": self.low, "high": self.high}


@REGISTERED
class L1Distance(layers.Layer):  # type: ignore[misc]
    """|a - b| per embedding dimension: ((B, D), (N, D)) -> (max(B, N), D); a single row meets every other
    row.
    """

    def call(self, anchor: Any, validation: Any) -> Any:
        """The absolute difference, broadcast over rows."""
        return ops.abs(anchor - validation)

    def compute_output_shape(self, anchor_shape: Any, validation_shape: Any) -> Any:
        """The shape of the longer side."""
        return validation_shape if anchor_shape[0] == 1 else anchor_shape


@REGISTERED
class FusedNorm(layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation; in training under TensorFlow by its one kernel, where Keras' own takes a dozen
    passes over the features: a step of the metric stage in three quarters of the time.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Features (B, H, W, C) -> the same shape and type."""
        if keras.backend.backend() != "tensorflow" or not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        features, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=[],
            variance=[],
            epsilon=self.epsilon,
        )
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1 - self.momentum))
        return features


@REGISTERED
class BothSides(layers.Layer):  # type: ignore[misc]
    """Crops (B, H, W, 3) -> the same crops and then their mirror images (2 B, H, W, 3)."""

    def call(self, crops: Any) -> Any:
        """Stacked along the batch, so that a tower looks at both in one go."""
        return ops.concatenate([crops, ops.flip(crops, axis=2)], axis=0)

    def compute_output_shape(self, crops_shape: Any) -> Any:
        """Twice as many crops."""
        count = crops_shape[0]
        return (None if count is None else 2 * count, *crops_shape[1:])


@REGISTERED
class MeanOfSides(layers.Layer):  # type: ignore[misc]
    """Embeddings (2 B, D) of `BothSides` -> the mean of each crop's two (B, D)."""

    def call(self, both: Any) -> Any:
        """Both halves of the batch averaged."""
        return ops.mean(ops.reshape(both, (2, -1, both.shape[-1])), axis=0)

    def compute_output_shape(self, both_shape: Any) -> Any:
        """Half as many embeddings."""
        count = both_shape[0]
        return (None if count is None else count // 2, *both_shape[1:])
