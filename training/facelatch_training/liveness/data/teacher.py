"""MiniFASNet, the teacher and the peer: how alive a face is, for the very view the student sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import InputError
from facelatch.values.pictures import Box, Image
from facelatch.vision.liveness import VIEW_PX, view

SCALES = (2.7, 4.0)
"""Context that each of the pair was trained with, as a multiple of the face's box; its files are named by it."""
LIVE = 1
"""Which of its three classes is alive."""
MAPS, FEATURES = "add_blob12", "batch_norm_blob50_bn_scale50"
"""What both networks call their last maps of 5x5 places, and the features that their answer is a linear function of."""
FEATURE_COUNT = len(SCALES) * 128
MAP_SHAPE = (5, 5, len(SCALES) * 128)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the pair makes of one view: far more than one number, so a student needs far fewer views."""

    share: float
    """The mean share of `alive`, 0 to 1."""
    features: NDArray[np.float16]
    """(FEATURE_COUNT,), of both networks."""
    maps: NDArray[np.float16]
    """MAP_SHAPE, of both networks."""


class MiniFasNet:
    """The pair of networks in ncnn. Raises InputError when its files are not in `folder`."""

    def __init__(self, folder: Path) -> None:
        import ncnn

        self._ncnn: Any = ncnn
        self._nets: list[Any] = []
        for scale in SCALES:
            net = ncnn.Net()
            net.opt.num_threads = 1
            for load, name in (
                (net.load_param, f"minifasnet_{scale}.param"),
                (net.load_model, f"minifasnet_{scale}.bin"),
            ):
                if not (folder / name).is_file() or load(str(folder / name)) != 0:
                    raise InputError(
                        f"{folder / name}: not there, or not read by ncnn", hint="copy the pair again"
                    )
            self._nets.append(net)

    def teach(self, seen: Image) -> Lesson:
        """What both networks make of one view (80, 80, 3) RGB."""
        parts = []
        for net in self._nets:
            extractor = self._asked(net, seen)
            maps, features, shares = (
                np.array(extractor.extract(name)[1]) for name in (MAPS, FEATURES, "softmax")
            )
            parts.append((float(shares[LIVE]), features, maps.transpose(1, 2, 0)))
        shares, features, maps = zip(*parts, strict=True)
        return Lesson(
            share=float(np.mean(shares)),
            features=np.concatenate(features).astype(np.float16),
            maps=np.concatenate(maps, axis=2).astype(np.float16),
        )

    def judge(self, image: Image, box: Box) -> float:
        """The pair as its makers use it: each network gets its own context."""
        parts = [view(image, box, scale) for scale in SCALES]
        return float(np.mean([self._ask(net, part) for net, part in zip(self._nets, parts, strict=True)]))

    def _ask(self, net: Any, seen: Image) -> float:
        return float(np.array(self._asked(net, seen).extract("softmax")[1])[LIVE])

    def _asked(self, net: Any, seen: Image) -> Any:
        extractor = net.create_extractor()
        pixels = self._ncnn.Mat.from_pixels(
            np.ascontiguousarray(seen[..., ::-1]), self._ncnn.Mat.PixelType.PIXEL_BGR, VIEW_PX, VIEW_PX
        )
        extractor.input("data", pixels)
        return extractor
