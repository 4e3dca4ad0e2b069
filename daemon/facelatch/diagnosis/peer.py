"""What a stage of ours costs beside the same stage of a public pair of networks, timed in turns.

One after the other the two would be timed under whatever else the machine did meanwhile. A call of ours and one of the
peer's, some milliseconds apart, are slowed alike; and what counts is processor time, so that a call that had to wait
for the processor is not taken for a slow one.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from facelatch.config.file import Config
from facelatch.diagnosis.bench import EMBED, FIND, GALLERY_SIZES, WHOLE, Call, pictures
from facelatch.errors import InputError
from facelatch.values.pictures import Image
from facelatch.vision.align import CROP_SIZE_PX, TEMPLATE, align

FILES = ("*yunet*.onnx", "mobilefacenet.param", "mobilefacenet.bin")
IN_A_ROW = 4


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much of the peer's processor time a stage of ours takes: median and quartiles of the pairs' ratios."""

    stage: str
    ours_ms: float
    """The median of ours, ms of processor time."""
    peer_ms: float
    median: float
    lower_quartile: float
    upper_quartile: float


def require(folder: Path) -> None:
    """Raises InputError when `folder` lacks a file of the peer's, or the library that runs it is not installed."""
    lacking = [pattern for pattern in FILES if not any(folder.glob(pattern))]
    if lacking:
        raise InputError(f"{folder}: no {', no '.join(lacking)}", hint="`facelatch bench --help` says what is needed")
    if importlib.util.find_spec("ncnn") is None:
        pip = f"{quote(sys.executable)} -m pip install ncnn"
        raise InputError("--peer needs ncnn, which is not installed here", hint=f"`{pip}`")


def ratios(ours: Mapping[str, Call], peers: Mapping[str, Call], repeats: int) -> list[Ratio]:
    """Every stage of the peer's against ours of the same name, `repeats` pairs of calls each."""
    return [_ratio(stage, ours[stage], call, repeats) for stage, call in peers.items()]


def _ratio(stage: str, ours: Call, peer: Call, repeats: int) -> Ratio:
    pairs = np.array([(_processor_ms(ours), _processor_ms(peer)) for _ in range(repeats)])
    lower, median, upper = np.percentile(pairs[:, 0] / pairs[:, 1], (25, 50, 75))
    medians = np.median(pairs, axis=0)
    return Ratio(
        stage=stage,
        ours_ms=float(medians[0]),
        peer_ms=float(medians[1]),
        median=float(median),
        lower_quartile=float(lower),
        upper_quartile=float(upper),
    )


def _processor_ms(call: Call) -> float:
    """The shortest of a few calls: in the first the other one's weights lie in the caches, in any another program's."""
    return min(_once_ms(call) for _ in range(IN_A_ROW))


def _once_ms(call: Call) -> float:
    begin = time.process_time()
    call()
    return (time.process_time() - begin) * 1e3


def stages(config: Config, folder: Path) -> dict[str, Call]:
    """YuNet and MobileFaceNet (ncnn) from `folder`, one thread each, on pictures of the same size.

    Raises what `require` raises.
    """
    require(folder)
    import cv2
    import ncnn

    image, search = pictures(config)
    cv2.setNumThreads(1)
    (onnx,) = sorted(folder.glob(FILES[0]))[:1]
    yunet = cv2.FaceDetectorYN.create(str(onnx), "", search.shape[1::-1], 0.6)
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(str(folder / "mobilefacenet.param"))
    net.load_model(str(folder / "mobilefacenet.bin"))
    crop = np.ascontiguousarray(image[:CROP_SIZE_PX, :CROP_SIZE_PX])
    landmarks = (TEMPLATE * 2 + 50).astype(np.float32)
    references = np.random.default_rng(2).normal(size=(GALLERY_SIZES[0], 128)).astype(np.float32)

    def embed(picture: Image) -> Any:
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat.from_pixels(picture, ncnn.Mat.PixelType.PIXEL_RGB, 112, 112))
        return np.array(extractor.extract("fc1")[1])

    def whole() -> None:
        yunet.detect(search)
        crop = align(image, landmarks)
        assert crop is not None
        references @ embed(crop)

    return {FIND: lambda: yunet.detect(search), EMBED: lambda: embed(crop), WHOLE: whole}
