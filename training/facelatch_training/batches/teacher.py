"""The teacher: embeddings of the reference MobileFaceNet, and morphs that ask it about faces no one has.

It is asked about the clean crop, however the student's copy was augmented, so that the student learns to embed a bad
picture as the good one. It is asked about blends of two people (morphs), too: more samples of the function that the
student has to learn than there are photographs.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from facelatch.errors import InputError
from facelatch_training.data.crops import CROP_SIZE, CropArray, Crops

EMBEDDING_SIZE = 128
ANSWER = "fc1"
"""The network's output that is the embedding."""
Embeddings = npt.NDArray[np.float32]


def teacher_weights(folder: Path) -> Path:
    """The file that makes one teacher another. Raises InputError when the network is not in `folder`."""
    for name in ("mobilefacenet.param", "mobilefacenet.bin"):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder / name}: not found", hint="set metric.distill_weight = 0 to do without"
            )
    return folder / "mobilefacenet.bin"


class Teacher:
    """MobileFaceNet in ncnn: uint8 RGB crop (112, 112, 3) -> unit vector (128,).

    Raises InputError when the network is not in the folder or its files are damaged.
    """

    def __init__(self, folder: Path) -> None:
        import ncnn

        weights = teacher_weights(folder)
        self._ncnn: Any = ncnn
        self._net: Any = ncnn.Net()
        self._net.opt.num_threads = 1
        for load, file in (
            (self._net.load_param, folder / "mobilefacenet.param"),
            (self._net.load_model, weights),
        ):
            if load(str(file)) != 0:
                raise InputError(f"{file}: not read by ncnn", hint="copy both files of the network again")

    def embed(self, crop: CropArray) -> Embeddings:
        """One crop -> the reference network's own unit embedding."""
        pixels = self._ncnn.Mat.from_pixels(
            np.ascontiguousarray(crop), self._ncnn.Mat.PixelType.PIXEL_RGB, CROP_SIZE, CROP_SIZE
        )
        extractor = self._net.create_extractor()
        extractor.input("data", pixels)
        return _unit(np.array(extractor.extract(ANSWER)[1], dtype=np.float32))

    def teach(self, crop: CropArray) -> Embeddings:
        """One crop -> the unit mean of the embeddings of it and its mirror image.

        The student sees either side and is asked for one thing, and the mean is the better answer.
        """
        return _unit(self.embed(crop) + self.embed(crop[:, ::-1]))

    def teach_all(self, crops: Crops, title: str = "teacher") -> Embeddings:
        """What it teaches of crops (N, 112, 112, 3) -> (N, 128), one thread per core, with a progress bar."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            answers = tqdm(
                pool.map(lambda number: self.teach(crops[number]), range(len(crops))),
                total=len(crops),
                desc=title,
                unit="crop",
            )
            return np.stack(list(answers))


def _unit(vector: Embeddings) -> Embeddings:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), dtype=np.float32)


def morph(crops: Crops, first: int, second: int, rng: np.random.Generator) -> CropArray:
    """Blend two aligned crops: a face between two people, as sharp as they are where they agree."""
    share, right = float(rng.uniform(0.35, 0.65)), crops[second]
    if rng.random() < 0.5:
        right = np.asarray(cv2.flip(right, 1), np.uint8)
    return np.asarray(cv2.addWeighted(crops[first], share, right, 1 - share, 0), np.uint8)


def graft(crops: Crops, first: int, second: int, rng: np.random.Generator) -> CropArray:
    """Two aligned crops joined along a soft line somewhere through the face: one's eyes and the other's mouth."""
    angle, offset = rng.uniform(0, 2 * np.pi), rng.normal(0, 14)
    places = np.arange(CROP_SIZE, dtype=np.float32) - CROP_SIZE / 2
    along = places[None] * np.float32(np.cos(angle)) + places[:, None] * np.float32(np.sin(angle))
    share = 1 / (1 + np.exp((along - np.float32(offset)) / np.float32(rng.uniform(2, 8))))
    return np.asarray(cv2.blendLinear(crops[first], crops[second], share, 1 - share), np.uint8)


def make_morphs(crops: Crops, count: int, seed: int) -> CropArray:
    """`count` seeded morphs (count, 112, 112, 3) of random pairs of `crops`."""
    rng = np.random.default_rng([seed, 0x6D6F7270])
    morphs = np.empty((count, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    for number in range(count):
        first, second = rng.integers(0, len(crops), 2)
        morphs[number] = morph(crops, int(first), int(second), rng)
    return morphs
