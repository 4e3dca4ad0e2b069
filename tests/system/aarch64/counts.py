"""Counts AArch64 instructions of a face embedded, a look at its being alive, a picture searched; ours and the peers'.

    python counts.py INPUTS LOG OUT.json [PEERS]      under QEMU with count_instructions.c, whose output goes to LOG

One thread; after warm-up calls, the mean of several, less what asking costs. A picture's find depends on whether a
face is in it: the pictures of INPUTS have one. PEERS is a folder with yunet*.onnx and mobilefacenet.param and .bin.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from results import MODELS, RUNTIMES, SCORE, align, read_image

from facelatch.adapters.models import tflite
from facelatch.adapters.models.finder_cascade import CascadeFinder
from facelatch.adapters.models.finder_tflite import TfliteFinder
from facelatch.adapters.models.liveness_tflite import TfliteLiveness
from facelatch.adapters.models.verifier_tflite import TfliteVerifier
from facelatch.values.pictures import Box
from facelatch.vision.finder_manifest import FULL
from facelatch.vision.parallax import nose_parallax
from facelatch.vision.surroundings import compare

WARM_UP, CALLS = 2, 3
QUESTION = -4242


def executed(log: Path) -> int:
    """Instructions since the start of this process."""
    with suppress(OSError):
        os.close(QUESTION)
    return int(log.read_text().split()[-1])


def cost(call: Callable[[], object], log: Path) -> float:
    for _ in range(WARM_UP):
        call()
    begin = executed(log)
    for _ in range(CALLS):
        call()
    asked = executed(log)
    return (2 * asked - begin - executed(log)) / CALLS


def ours(picture: Any, crop: Any) -> Iterator[tuple[str, Callable[[], object]]]:
    pixels = np.ascontiguousarray(picture[np.newaxis])
    empty = np.full_like(picture, 128)
    for runtime in RUNTIMES:
        tflite.RUNTIMES = (runtime,)
        verifier = TfliteVerifier(MODELS / "siamese.tflite", runtime=runtime[1])
        finder = TfliteFinder(MODELS / "finder.tflite", SCORE)
        alive = TfliteLiveness(MODELS / "liveness.tflite")
        yield f"embed, {runtime[1]}", lambda v=verifier: v.embed(crop)
        yield f"alive?, two views, {runtime[1]}", lambda a=alive: a.look(picture, Box(120, 70, 80, 100))
        yield f"find, one face, {runtime[1]}", lambda f=finder: f.find(picture)
        yield f"find, no face, {runtime[1]}", lambda f=finder: f.find(empty)
        yield f"find, network at 320x240 only, {runtime[1]}", lambda f=finder: f._runners[FULL](image=pixels)


def peers(picture: Any, crop: Any, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    import ncnn

    yunet = cv2.FaceDetectorYN.create(str(next(folder.glob("yunet*.onnx"))), "", (320, 240))
    yield "find, YuNet", lambda: yunet.detect(picture)
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(str(folder / "mobilefacenet.param"))
    net.load_model(str(folder / "mobilefacenet.bin"))

    def embed() -> object:
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat.from_pixels(crop, ncnn.Mat.PixelType.PIXEL_RGB, 112, 112))
        return np.array(extractor.extract("fc1")[1])

    yield "embed, MobileFaceNet by ncnn", embed


def main(inputs: Path, log: Path, out: Path, folder: Path | None) -> None:
    cv2.setNumThreads(1)
    name, points = next(iter(json.loads((inputs / "landmarks.json").read_text()).items()))
    large = read_image(inputs / name)
    picture = cv2.resize(large, (320, 240), interpolation=cv2.INTER_AREA)
    crop = align(large, 2 * np.array(points, np.float32))
    assert crop is not None
    cascade = CascadeFinder(SCORE)
    here = np.array(points, np.float32)
    work = [
        *ours(picture, crop),
        ("surroundings, one comparison", lambda: compare(picture, here, picture, here + 5)),
        ("parallax of the nose", lambda: nose_parallax(here)),
        ("find, OpenCV's cascade", lambda: cascade.find(picture)),
    ]
    if folder is not None:
        work += peers(picture, crop, folder)
    out.write_text(json.dumps({name: cost(call, log) for name, call in work}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), Path(sys.argv[4]) if len(sys.argv) > 4 else None)
