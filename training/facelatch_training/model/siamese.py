"""The whole Siamese network: two crops, one tower, the L1 distance of their embeddings, a sigmoid."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras import layers

from facelatch.errors import ModelError
from facelatch.vision.align import ALIGN_VERSION
from facelatch_training.data.crops import CROP_SIZE
from facelatch_training.model.layers import L1Distance


def build_head(embedding: int) -> keras.Model:
    """(anchor (B, D), validation (N, D)) -> similarity (N, 1): L1 distance, dense, sigmoid."""
    anchor = keras.Input((embedding,), name="anchor")
    validation = keras.Input((embedding,), name="validation")
    distance = L1Distance(name="l1")(anchor, validation)
    # Unlike from the first step on is what lies further apart than unit vectors of cosine 0.3 do on average.
    slope = 1.5 * np.sqrt(128 / embedding)
    similarity = layers.Dense(
        1,
        activation="sigmoid",
        kernel_initializer=keras.initializers.Constant(-slope),
        bias_initializer=keras.initializers.Constant(slope * 0.94 * np.sqrt(embedding)),
        name="similarity",
    )(distance)
    return keras.Model([anchor, validation], similarity, name="head")


def build_siamese(tower: keras.Model, head: keras.Model) -> keras.Model:
    """Two crops -> similarity (B, 1); both sides share the one tower."""
    shape = (CROP_SIZE, CROP_SIZE, 3)
    anchor = keras.Input(shape, dtype="uint8", name="anchor")
    validation = keras.Input(shape, dtype="uint8", name="validation")
    return keras.Model([anchor, validation], head([tower(anchor), tower(validation)]), name="siamese")


def load_siamese(path: Path) -> keras.Model:
    """A saved Siamese network. Raises ModelError when the file holds something else, or was trained on crops that
    this program does not make.
    """
    refuse_other_alignment(path)
    hint = "give the siamese.keras of a run"
    if not zipfile.is_zipfile(path):  # of which Keras would say that it is not there
        raise ModelError(
            f"{path}: {'not a saved Keras model' if path.is_file() else 'no such file'}", hint=hint
        )
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise ModelError(f"{path}: not a Siamese model: {error}", hint=hint) from error
    if not {"tower", "head"} <= {layer.name for layer in model.layers}:
        raise ModelError(f"{path}: not a Siamese model: it has no tower and head", hint=hint)
    return model


def refuse_other_alignment(model: Path) -> None:
    """Raises ModelError when the run folder or the manifest of a saved network tells of another alignment."""
    for beside in (model.with_name("recipe.json"), model.with_suffix(".json")):
        if beside.is_file():
            version = json.loads(beside.read_text(encoding="utf-8")).get("align_version", ALIGN_VERSION)
            if version != ALIGN_VERSION:
                raise ModelError(
                    f"{beside}: trained on crops of align_version {version}, this program aligns by version "
                    f"{ALIGN_VERSION}",
                    hint="prepare the crops again and train on them",
                )
