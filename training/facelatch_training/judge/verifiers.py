"""Verifiers to be judged: the daemon's int8 file through the daemon's own adapter, a Keras file, a peer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from facelatch.errors import InputError, ModelError
from facelatch.ports import Verifier
from facelatch.values.pictures import Image
from facelatch.vision.manifest import load_manifest
from facelatch.vision.references import mean_of_sides
from facelatch_training.judge.protocols import Protocol

Embeddings = npt.NDArray[np.float32]

_BATCH = 128


def open_verifier(model: Path) -> Verifier:
    """The verifier in a `.tflite` file, a `.keras` file, or a folder with the reference network.

    Raises ModelError for a file that is missing, damaged or not a Siamese model, InputError for another kind.
    """
    if model.is_dir():
        return PeerVerifier(model)
    if model.suffix == ".tflite":
        from facelatch.adapters.models.verifier_tflite import TfliteVerifier

        return TfliteVerifier(model)
    if model.suffix == ".keras":
        return KerasVerifier(model)
    raise InputError(f"{model}: neither .tflite nor .keras", hint="name an exported or a saved Siamese model")


def default_threshold(model: Path) -> tuple[float | None, str]:
    """At which similarity a model is judged when nobody says, and why there; None for a peer, who has no sigmoid."""
    if model.suffix == ".tflite":
        return load_manifest(model).detection_threshold, "the manifest's detection threshold"
    return (None, "") if model.is_dir() else (0.5, "the middle of the sigmoid")


class KerasVerifier:
    """A saved Siamese model behind the port `Verifier`; embeds in batches."""

    def __init__(self, model: Path) -> None:
        """Raises ModelError when the file is missing, and as `load_siamese`."""
        if not model.is_file():
            raise ModelError(f"{model}: no such file", hint="train one with `facelatch-train fit`")
        from facelatch_training.model.siamese import load_siamese

        siamese = load_siamese(model)
        self._tower: Any = siamese.get_layer("tower")
        self._head: Any = siamese.get_layer("head")
        self.model_sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
        self.embedding_size = int(self._tower.output.shape[-1])

    def embed(self, crop: Image) -> Embeddings:
        """The embedding (D,) of one crop."""
        return np.asarray(self.embed_batch(crop[np.newaxis])[0])

    def embed_batch(self, crops: npt.NDArray[np.uint8]) -> Embeddings:
        """Embeddings (B, D) of crops (B, 112, 112, 3)."""
        return np.asarray(self._tower.predict_on_batch(crops), np.float32)

    def compare(self, probe: Embeddings, gallery: Embeddings) -> Embeddings:
        """Similarities (N,) of one embedding (D,) to N (N, D)."""
        if not len(gallery):
            return np.zeros(0, np.float32)
        from keras import ops

        similarity = self._head([probe[np.newaxis], gallery], training=False)
        return np.asarray(ops.convert_to_numpy(similarity), np.float32).reshape(-1)


class PeerVerifier:
    """The reference MobileFaceNet, to see what a set of pictures allows; similarity is (1 + cosine) / 2."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError when the network is not in `folder`."""
        from facelatch_training.batches.teacher import EMBEDDING_SIZE, Teacher

        self._teacher = Teacher(folder)
        self.embedding_size = EMBEDDING_SIZE
        self.model_sha256 = hashlib.sha256((folder / "mobilefacenet.bin").read_bytes()).hexdigest()

    def embed(self, crop: Image) -> Embeddings:
        """The unit embedding (128,)."""
        return np.asarray(self._teacher.embed(crop))

    def compare(self, probe: Embeddings, gallery: Embeddings) -> Embeddings:
        """Similarities (N,) in 0..1."""
        return np.asarray((1 + gallery @ probe) / 2, np.float32)


class Embedded(NamedTuple):
    """N pictures embedded twice, for the two parts they play in a comparison."""

    probes: Embeddings
    """(N, D), one look each, as at the door."""
    references: Embeddings
    """(N, D), from both sides, as the gallery keeps them."""


def embed_protocol(
    verifier: Verifier, protocol: Protocol, *, quiet: bool = False
) -> tuple[Embedded, npt.NDArray[np.bool_]]:
    """A protocol's N pictures, and (N,) whether there was a crop to embed; where not, the rows are zeros."""
    total = len(protocol.pictures)
    parts: list[Embedded] = []
    done: list[int] = []
    waiting: list[tuple[int, Image]] = []

    def embed_waiting() -> None:
        if waiting:
            done.extend(number for number, _ in waiting)
            parts.append(embed_both(verifier, np.stack([crop for _, crop in waiting])))
            waiting.clear()

    for number, crop in tqdm(
        protocol.crops(), total=total, desc="embed", unit="crop", mininterval=1, disable=quiet
    ):
        if crop is not None:
            waiting.append((number, crop))
        if len(waiting) == _BATCH:
            embed_waiting()
    embed_waiting()
    if not done:
        raise InputError(
            f"{protocol.name}: no face found in any of {total} pictures", hint="try another --finder"
        )
    present = np.zeros(total, bool)
    present[done] = True
    embedded = Embedded(*(np.zeros((total, parts[0].probes.shape[1]), np.float32) for _ in range(2)))
    embedded.probes[done] = np.concatenate([part.probes for part in parts])
    embedded.references[done] = np.concatenate([part.references for part in parts])
    return embedded, present


def embed_both(verifier: Verifier, crops: npt.NDArray[np.uint8]) -> Embedded:
    """Crops (N, 112, 112, 3) in memory, as probes and as references."""
    probes = embed_crops(verifier, crops)
    return Embedded(
        probes, mean_of_sides(probes, embed_crops(verifier, np.ascontiguousarray(crops[:, :, ::-1])))
    )


def embed_crops(verifier: Verifier, crops: npt.NDArray[np.uint8]) -> Embeddings:
    """Embeddings (N, D) of crops (N, 112, 112, 3) in memory, one look each."""
    if isinstance(verifier, KerasVerifier):
        return np.concatenate(
            [verifier.embed_batch(crops[start : start + _BATCH]) for start in range(0, len(crops), _BATCH)]
        )
    bar = tqdm(crops, desc="embed", unit="crop", mininterval=1, leave=False, disable=None)
    return np.stack([verifier.embed(crop) for crop in bar])
