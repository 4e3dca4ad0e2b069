"""The cohort beside a model: embeddings of people who do not exist, and the points on which unreadable crops fall.

People made of several others, each as they are and covered and turned, tell whether somebody's references
distinguish: references that would let in many of them let in anybody. The points are where the model puts crops it
was never trained to read (turned, empty), whoever is on them. `facelatch-train cohort` makes both with each model.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import ModelError
from facelatch.ports import Verifier
from facelatch.values.observations import Thresholds
from facelatch.vision.manifest import Manifest, checked_bytes

KINDS = ("bare", "sunglasses", "mask", "sunglasses and mask", "turned")
"""How each person of the cohort is shown."""

SUFFIX = ".cohort"
"""Of the file beside the model: a NumPy archive of `vectors` int8 (N, D), `scales` float32 (N,), `kinds` uint8 (N,) and
`points` float32 (P, D)."""

_AGAIN = "fetch model, manifest and cohort again together, or make it anew with `facelatch-train cohort`"

Floats = NDArray[np.float32]

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """What comes with a model to judge embeddings by themselves."""

    vectors: Floats = field(repr=False)
    """(N, D) of people who do not exist."""
    kinds: NDArray[np.uint8] = field(repr=False)
    """(N,) places in KINDS."""
    points: Floats = field(repr=False)
    """(P, D), unit length."""
    unfamiliar_from: float
    """Cosine to the nearest point from which an embedding says nothing of who it is."""
    most_let_in: float
    """Share of the cohort, shown in any one kind, that a person's references may let in."""


NO_COHORT = Cohort(np.zeros((0, 0), np.float32), np.zeros(0, np.uint8), np.zeros((0, 0), np.float32), 1.0, 1.0)
"""Finds everything familiar and every reference distinct; for models that open no door."""


def load_cohort(model: Path, manifest: Manifest) -> Cohort:
    """The cohort of `model` (`siamese.tflite` -> `siamese.cohort`), checked against its manifest.

    Raises ModelError: none in the manifest, file missing, of another model, or not what it should be.
    """
    path, entry = model.with_suffix(SUFFIX), manifest.cohort
    if entry is None:
        raise ModelError(f"{model}: made without a cohort, it cannot tell whether references distinguish", hint=_AGAIN)
    if not path.is_file():
        raise ModelError(f"{path}: no such file", hint=_AGAIN)
    content = checked_bytes(path, entry.sha256)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            vectors = archive["vectors"].astype(np.float32) * archive["scales"][:, None]
            kinds, points = archive["kinds"], archive["points"]
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"{path}: not a cohort: {error}", hint=_AGAIN) from error
    size = manifest.embedding_size
    shapes = (vectors.shape[1:], points.shape[1:], kinds.shape)
    sound = shapes == ((size,), (size,), vectors.shape[:1]) and len(vectors) and len(points)
    if not (sound and np.isfinite(vectors).all() and np.isfinite(points).all() and kinds.max() < len(KINDS)):
        raise ModelError(f"{path}: not a cohort of a model with embeddings of {size}", hint=_AGAIN)
    return Cohort(vectors, kinds, points, entry.unfamiliar_from, entry.most_let_in)


@dataclass(frozen=True, slots=True)
class LetIn:
    """What somebody's references do to people who do not exist."""

    share: float
    """Of the cohort as it is shown in `kind`, that they would let in."""
    kind: str
    """One of KINDS: the one of which they let in most."""


def let_in(references: Floats, verifier: Verifier, cohort: Cohort, thresholds: Thresholds) -> LetIn:
    """How much of the cohort the references (R, D) of one person would let in at these thresholds, at the worst."""
    if not len(cohort.vectors):
        return LetIn(0.0, KINDS[0])
    similarities = np.stack([verifier.compare(one, cohort.vectors) for one in references])
    detected = np.mean(similarities >= thresholds.detection, axis=0)
    passed = (detected > 0) & (detected >= thresholds.verification - _ROUNDING)
    sizes = np.bincount(cohort.kinds, minlength=len(KINDS))
    shares = np.bincount(cohort.kinds, passed, minlength=len(KINDS)) / np.maximum(sizes, 1)
    return LetIn(float(shares.max()), KINDS[int(shares.argmax())])


def unfamiliarity(embedding: Floats, cohort: Cohort) -> float:
    """The greatest cosine of `embedding` (D,) to a point on which unreadable crops fall; -1 without points."""
    if not len(cohort.points):
        return -1.0
    vector = embedding.astype(np.float64)
    length = float(np.linalg.norm(vector))
    return float((cohort.points @ vector).max()) / length if length > 0 else 0.0


def is_familiar(embedding: Floats, cohort: Cohort) -> bool:
    """Whether an embedding (D,) may say who somebody is. A cohort of no points finds everything familiar."""
    return unfamiliarity(embedding, cohort) < cohort.unfamiliar_from
