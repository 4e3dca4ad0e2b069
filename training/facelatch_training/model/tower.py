"""The embedding tower: crops to embeddings.

A plain residual net of 3x3 convolutions: on two cores it trains seven times as fast as depthwise designs of the
same arithmetic, and in int8 at the door it runs four times as fast. Batch normalisation follows every convolution
without a bias, so the exporter folds it away; the only activation is ReLU. Pixels enter as uint8, and scaling
to -1..1 is the first layer, so that no caller has to do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from facelatch_training.data.crops import CROP_SIZE, Crops
from facelatch_training.model.layers import (
    BothSides,
    Bounded,
    FusedNorm,
    LogSumExp,
    Magnitude,
    MeanOfSides,
    UnitLength,
)
from facelatch_training.recipe import TowerRecipe

KINDS = 32
"""Kinds of face that every face is likened to. 16 to 512 did the same."""

KINDS_SHARPNESS = 32.0
"""How much more the kinds count that a face resembles most. 16 and 64 did the same."""

LIKENESS_STRENGTH = 0.025
"""How much longer an embedding gets for one standard deviation more of likeness; 0.02 to 0.03 were best on 6,000
training people.
"""

MAGNITUDE_STRENGTH = 0.01
"""The same for magnitude. 0.01 to 0.02 were best on those people, but from 0.015 on darkened and half-covered faces of
validation people were falsely matched more often than without lengths.
"""

COVERED_STRENGTH = 0.04
"""The same where covered faces are among the kinds. With it 200 training people keep a TAR of 67 % at a threshold at
which the worst slice of covered faces has an FMR of 0.03 %, with 0.025 63 %, with 0.06 69 %; from there on bare faces
lose more than a point at FAR 1e-3.
"""

SHORTEST, LONGEST = 0.92, 1.08
"""Three standard deviations: what no training face resembles must not come near to everybody by being short."""


def _conv(features: Any, width: int, kernel: int, stride: int, name: str) -> Any:
    features = layers.Conv2D(
        width,
        kernel,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(features)
    return FusedNorm(momentum=0.95, epsilon=1e-3, name=f"{name}_norm")(features)


def _block(features: Any, width: int, stride: int, name: str) -> Any:
    shortcut = features
    if stride != 1 or features.shape[-1] != width:
        shortcut = _conv(features, width, 1 if stride == 1 else 2, stride, f"{name}_short")
    features = layers.ReLU(name=f"{name}_relu1")(_conv(features, width, 3, stride, f"{name}_a"))
    features = _conv(features, width, 3, 1, f"{name}_b")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([features, shortcut]))


def build_core(recipe: TowerRecipe) -> keras.Model:
    """uint8 RGB crops (B, 112, 112, 3) -> unit embeddings (B, recipe.core): the tower the metric stage
    trains.
    """
    image = keras.Input((CROP_SIZE, CROP_SIZE, 3), dtype="uint8", name="image")
    features = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    features = layers.ReLU(name="stem_relu")(_conv(features, recipe.stem, 3, 2, "stem"))
    for stage, (width, blocks) in enumerate(zip(recipe.widths, recipe.blocks, strict=True), start=1):
        for block in range(blocks):
            features = _block(features, width, 2 if block == 0 else 1, f"stage{stage}_{block}")
    if recipe.head:
        features = layers.ReLU(name="head_relu")(_conv(features, recipe.head, 1, 1, "head"))
    # One weight per place: in an aligned face the place says which part of the face it is.
    features = layers.DepthwiseConv2D(features.shape[1:3], use_bias=False, name="pool_conv")(features)
    features = FusedNorm(momentum=0.95, epsilon=1e-3, name="pool_norm")(features)
    features = layers.Flatten(name="flat")(features)
    # Directions need all their digits, whatever the convolutions are trained in.
    features = layers.Dense(recipe.core, use_bias=False, dtype="float32", name="project")(features)
    features = layers.BatchNormalization(
        momentum=0.95, epsilon=1e-3, scale=False, dtype="float32", name="project_norm"
    )(features)
    return keras.Model(image, UnitLength(dtype="float32", name="core")(features), name="core_tower")


def begin_core(recipe: TowerRecipe, saved: keras.Model) -> keras.Model | None:
    """A core by `recipe` that computes what the core `saved` does: with its weights, and every residual block that
    it lacks begun as one that changes nothing. With another number of dimensions the last layer begins anew. None when
    they differ in more than that.
    """
    core = build_core(recipe)
    saved_layers = {layer.name: layer for layer in saved.layers}
    names = {layer.name for layer in core.layers}
    grown = names - saved_layers.keys()
    anew = {"project", "project_norm"} if core.output.shape != saved.output.shape else set()
    # The first block of a stage has a shortcut that computes, so it cannot change nothing.
    only_blocks = all(name.startswith("stage") and not name.endswith("_short_conv") for name in grown)
    if not (only_blocks and saved_layers.keys() <= names):
        return None
    for layer in core.layers:
        if layer.name in anew:
            continue
        if layer.name not in grown:
            weights = saved_layers[layer.name].get_weights()
            if [weight.shape for weight in weights] != [tuple(weight.shape) for weight in layer.weights]:
                return None
            layer.set_weights(weights)
        elif layer.name.endswith("_b_norm"):
            layer.gamma.assign(ops.zeros_like(layer.gamma))
    return core


def widen_tower(core: keras.Model, width: int, *, mirror: bool = False) -> keras.Model:
    """The tower of the Siamese network: the core's embedding in `width` dimensions, of length one before `set_lengths`.

    The metric stage compares by angle, the Siamese head by L1 distance. Turned at random into three times as
    many dimensions the L1 distance follows the angle (measured on the teacher's embeddings: 1.5 points of TAR
    at FAR 1e-3 lost in 128 dimensions, 0.3 in 384). The turn keeps lengths and angles; training may change
    it.

    With `mirror` the core looks at the mirror image, too, and the mean counts: twice the arithmetic for the same
    weights. On the validation people it was worth 2.4 points of TAR at FAR 1e-3 to a core of 95 M multiply-adds, 1.1 to
    one of 344 M, 0.4 to the teacher.
    """
    image = keras.Input((CROP_SIZE, CROP_SIZE, 3), dtype="uint8", name="image")
    inside = keras.Model(core.input, [core.output, core.get_layer("core").input], name="core_tower")
    if mirror:
        sides, whole_sides = inside(BothSides(name="both_sides")(image))
        narrow = UnitLength(name="unit_mean")(MeanOfSides(name="mean_of_sides")(sides))
        whole = MeanOfSides(name="mean_of_whole_sides")(whole_sides)
    else:
        narrow, whole = inside(image)
    turn = keras.initializers.Orthogonal(seed=128)
    # The bias is for `centre_tower`.
    wide = layers.Dense(width, kernel_initializer=turn, name="widen")(narrow)
    unit = UnitLength(name="unit")(wide)
    # Kinds and length are for `set_lengths`; no training moves them.
    kinds = layers.Dense(KINDS, use_bias=False, kernel_initializer="zeros", trainable=False, name="kinds")
    length = layers.Dense(
        1, kernel_initializer="zeros", bias_initializer="ones", trainable=False, name="length"
    )
    features = [LogSumExp(name="likeness")(kinds(narrow)), Magnitude(name="magnitude")(whole)]
    raw_length = length(layers.Concatenate(name="length_features")(features))
    bounded = Bounded(SHORTEST, LONGEST, name="bounded_length")(raw_length)
    return keras.Model(image, layers.Multiply(name="embedding")([unit, bounded]), name="tower")


def before_turn(tower: keras.Model) -> keras.Model:
    """Crops -> what a tower made by `widen_tower` turns and centres: unit vectors (B, core)."""
    return keras.Model(tower.input, tower.get_layer("widen").input, name="before_turn")


def centre_tower(tower: keras.Model, mean: Any) -> None:
    """Let a tower made by `widen_tower` count from `mean` (core,), the mean of `before_turn` over its
    training people: what all faces share says nothing about whose they are.

    On the validation people worth 0.9 points of TAR at FAR 1e-3 and 1.6 at 1e-4.
    """
    turn = tower.get_layer("widen")
    turn.bias.assign(-ops.matmul(ops.convert_to_tensor(mean, "float32"), turn.kernel))


def level_covers(tower: keras.Model, shifts: npt.NDArray[np.float32]) -> None:
    """Let a tower made by `widen_tower` leave out what everybody's face has in common once it is covered.

    `shifts` (K, core), K below core: how far on average each covering moves what `before_turn` says of a face. Two
    strangers in masks are alike along these directions and no other; what lies across them still tells who it is. (In
    speaker recognition: nuisance attribute projection.) On 200 training people whom the shifts are not of, four took
    the false matches of two masked faces from 0.75 to 0.36 % where bare ones have 0.01 %, and 0.7 points of their TAR
    at FAR 1e-4; what is lost with people it has never seen stands in training/README.md.
    """
    turn = tower.get_layer("widen")
    kernel, bias = (ops.convert_to_numpy(weight) for weight in (turn.kernel, turn.bias))
    across, _ = np.linalg.qr(shifts.T.astype(np.float64))
    level = np.eye(len(kernel)) - across @ across.T
    mean = -bias @ np.linalg.pinv(kernel)
    turn.kernel.assign((level @ kernel).astype(np.float32))
    turn.bias.assign((-mean @ level @ kernel).astype(np.float32))


def before_lengths(tower: keras.Model) -> keras.Model:
    """Crops -> (B, core + 1): what `before_turn` says, and how long it was before it was made a unit vector."""
    parts = [tower.get_layer("widen").input, tower.get_layer("magnitude").output]
    return keras.Model(tower.input, layers.Concatenate()(parts), name="before_lengths")


def set_lengths(
    tower: keras.Model,
    observations: npt.NDArray[np.float32],
    covered: npt.NDArray[np.float32] | None = None,
) -> None:
    """Let the length of an embedding say how near others have to come, for a tower made by `widen_tower`.

    `observations` (N, core + 1) is what `before_lengths` says of training people, `covered` (M, core + 1) what it says
    of them with drawn covers: then these are kinds of face, too, and covered ones are asked for more.

    Two things make an embedding longer, and so move it away from all others. *Likeness*: a face that resembles the
    kinds of face there are (centres of the N) is near to many strangers. Speaker recognition takes as much off its
    scores (cohort normalisation). *Magnitude*: it grows with how clear a face is, and a clear one can be asked for
    more. On the validation people, both together are worth 1.5 points of TAR at FAR 1e-3 and 1.8 at 1e-4; and at one
    threshold for all, at FMR 1e-4, the FMR within each quarter of their pictures by length is 0.9e-4 to 2.3e-4, where
    without lengths it was 0.3e-4 to 5.3e-4.
    """
    unit, magnitudes = observations[:, :-1], observations[:, -1:]
    faces = unit if covered is None else np.concatenate([unit, covered[:, :-1]])
    enough = np.resize(faces, (max(len(faces), KINDS), faces.shape[1]))
    cv2.setRNGSeed(KINDS)
    steps = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 20, 1e-4)
    _, _, kinds = cv2.kmeans(enough, KINDS, None, steps, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    kinds /= np.maximum(np.linalg.norm(kinds, axis=1, keepdims=True), 1e-6)
    kernel = KINDS_SHARPNESS * kinds.T
    features = np.hstack([ops.convert_to_numpy(LogSumExp()(unit @ kernel)), magnitudes])
    likeness = LIKENESS_STRENGTH if covered is None else COVERED_STRENGTH
    slopes = np.array([likeness, MAGNITUDE_STRENGTH]) / np.maximum(features.std(axis=0), 1e-3)
    tower.get_layer("kinds").set_weights([kernel])
    tower.get_layer("length").set_weights([slopes[:, None], np.array([1 - slopes @ features.mean(axis=0)])])


@contextmanager
def unit_length(tower: keras.Model) -> Iterator[None]:
    """Embeddings of length one inside, as before `set_lengths`: a Siamese stage levels lengths out, and all is lost
    that they were worth.
    """
    lengths = [layer for layer in tower.layers if layer.name == "length"]  # an older file has none
    kept = [layer.get_weights() for layer in lengths]
    for layer in lengths:
        layer.set_weights([np.zeros((2, 1)), np.ones(1)])
    try:
        yield
    finally:
        for layer, weights in zip(lengths, kept, strict=True):
            layer.set_weights(weights)


def core_of(tower: keras.Model) -> keras.Model:
    """The core inside a tower made by `widen_tower`, sharing its weights."""
    inside = tower.get_layer("core_tower")
    return keras.Model(inside.input, inside.get_layer("core").output, name="core_tower")


def embed(tower: Callable[..., Any], crops: Crops, batch: int = 256) -> npt.NDArray[np.float32]:
    """Crops (N, 112, 112, 3) -> embeddings (N, D), by a tower or a part of one, `batch` crops at a time."""
    parts = []
    for start in range(0, len(crops), batch):
        rows = range(start, min(start + batch, len(crops)))
        embeddings = tower(np.stack([crops[row] for row in rows]), training=False)
        parts.append(
            ops.convert_to_numpy(embeddings)
        )  # PyTorch refuses NumPy what a gradient may be asked of
    return np.asarray(np.concatenate(parts), dtype=np.float32)
