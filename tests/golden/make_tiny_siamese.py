"""Makes tiny_siamese.tflite: an untrained Siamese model with the real signatures, for tests of the loader.

    python tests/golden/make_tiny_siamese.py

Needs TensorFlow. It looks at colours in a coarse grid: it tells pictures apart, not people.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from facelatch_training.export.quantize import to_tflite

EMBEDDING_SIZE = 16


def main() -> None:
    keras.utils.set_random_seed(1)
    image = keras.Input((112, 112, 3), batch_size=1, dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = keras.layers.AveragePooling2D(28)(x)
    x = keras.layers.Dense(EMBEDDING_SIZE)(keras.layers.Flatten()(x))
    tower = keras.Model(image, keras.layers.UnitNormalization(axis=-1)(x))

    probe, gallery = keras.Input((EMBEDDING_SIZE,)), keras.Input((EMBEDDING_SIZE,))
    distance = keras.ops.abs(probe - gallery)
    similarity = keras.layers.Dense(1, activation="sigmoid", name="decide")
    head = keras.Model([probe, gallery], similarity(distance))
    # As a trained head would: the closer, the more alike.
    similarity.set_weights([np.full((EMBEDDING_SIZE, 1), -4.0, np.float32), np.array([4.0], np.float32)])

    (Path(__file__).parent / "tiny_siamese.tflite").write_bytes(to_tflite(tower, head))


if __name__ == "__main__":
    main()
