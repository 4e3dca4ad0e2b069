"""Several pictures of one person as one: of a visitor the probe, of somebody enrolled what the references share.

What two pictures of a person differ in is chance, and the mean has less of it than each of them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from facelatch.vision.quality import Measures

Floats = NDArray[np.float32]

SPREAD_STRENGTH = 0.3
"""How much longer a mean is made for what its pictures differ in. The mean of unlike pictures is nearer to everybody
than each of them, strangers included, that of like ones is not. At 0.3 strangers who come with one photograph and those
who come with several reach the same similarity in one of 1,000 visits (chosen on half A of the validation people).
"""

LEAST_LIKE_THE_REST = 0.5
"""A picture whose cosine with the mean of all is less than this share of their median's is an outlier. On half A of the
validation people 0.3 and 0.7 did the same; it is there for the frame in which the finder was wrong.
"""

MOST_PICTURES = 8
"""The newest pictures of a visitor that count: half a second at 15 frames a second."""

_SHARP, _BLURRED = 12.0, 3.0
"""Sharpness from which more does not count more, and what even the most blurred picture counts."""
_LARGE_PX = 30.0
"""Eye distance likewise: crops of larger faces are reduced."""


def weight(seen: Measures) -> float:
    """How much a picture counts in a mean, 0 to 1: less when blurred, small, or turned.

    How clear a face is to the model, the length of its embedding, comes in by itself: a mean adds longer ones as such.
    """
    sharp = min(max(seen.sharpness, _BLURRED), _SHARP) / _SHARP
    large = min(max(seen.eye_distance_px, 1.0) / _LARGE_PX, 1.0)
    turned = min(math.hypot(seen.pose.yaw, seen.pose.pitch), 1.0)
    return sharp * large * (1 - turned / 2)


def fused(embeddings: Floats, weights: NDArray[np.float64]) -> Floats:
    """The mean (..., D) of embeddings (..., K, D), each with its weight (..., K) of more than 0.

    Its direction is the mean's. It is as long as they are on average, and longer by what they differ in. Pictures that
    cancel out have no mean: then the first counts.
    """
    shares = (weights / weights.sum(axis=-1, keepdims=True))[..., None].astype(np.float32)
    lengths = np.maximum(np.linalg.norm(embeddings, axis=-1, keepdims=True), np.finfo(np.float32).tiny)
    mean = (embeddings * shares).sum(axis=-2)
    along = np.linalg.norm(mean, axis=-1, keepdims=True)
    length = (lengths * shares).sum(axis=-2)
    alike = np.linalg.norm((embeddings / lengths * shares).sum(axis=-2), axis=-1, keepdims=True)
    longer = length * (1 + SPREAD_STRENGTH * (1 - np.minimum(alike, 1.0)))
    one = mean * (longer / np.maximum(along, np.finfo(np.float32).tiny))
    return np.where(along > 1e-3 * length, one, embeddings[..., 0, :]).astype(np.float32)


def belonging(embeddings: Floats, weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the embeddings (K, D) are no outliers, (K,). Of two nobody can tell which is the odd one."""
    if len(embeddings) < 3:
        return np.ones(len(embeddings), dtype=np.bool_)
    units = embeddings / np.maximum(np.linalg.norm(embeddings, axis=-1, keepdims=True), np.finfo(np.float32).tiny)
    mean = weights @ units
    cosines = units @ mean / max(float(np.linalg.norm(mean)), float(np.finfo(np.float32).tiny))
    return np.asarray(cosines >= LEAST_LIKE_THE_REST * np.median(cosines), dtype=np.bool_)


def halfway(references: Floats, owners: NDArray[np.intp]) -> Floats:
    """Each of the references (N, D) moved half of the way to the mean of all that have its owner (N,).

    A reference keeps what is its own, and loses half of what is chance. On half A of the validation people this, and
    the mean alone, refused a third fewer of the enrolled than the references as they are.
    """
    moved = np.array(references, dtype=np.float32)
    for owner in np.unique(owners):
        rows = np.flatnonzero(owners == owner)
        mean = middle(references[rows])
        both = np.stack([references[rows], np.broadcast_to(mean, references[rows].shape)], axis=1)
        moved[rows] = _plain_mean(both)
    return moved


def middle(references: Floats) -> Floats:
    """The mean (D,) of references (N, D), as long as they are on average."""
    return np.asarray(_plain_mean(references[np.newaxis])[0])


def _plain_mean(embeddings: Floats) -> Floats:
    """(..., K, D) -> (..., D): the mean's direction, the average length."""
    mean, lengths = embeddings.mean(axis=-2), np.linalg.norm(embeddings, axis=-1)
    along, length = np.linalg.norm(mean, axis=-1), lengths.mean(axis=-1)
    scale = (length / np.maximum(along, np.finfo(np.float32).tiny))[..., None]
    return np.where((along > 1e-3 * length)[..., None], mean * scale, embeddings[..., 0, :]).astype(np.float32)
