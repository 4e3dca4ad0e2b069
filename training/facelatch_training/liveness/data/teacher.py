"""MiniFASNet, the teacher and the peer: how alive a face is, for the very view the student sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from facelatch.errors import InputError
from facelatch.values.pictures import Box, Image
from facelatch.vision.liveness import VIEW_PX, view

SCALES = (2.7, 4.0)
"""Context that each of the pair was trained with, as a multiple of the face's box; its files are named by it."""
LIVE = 1
"""Which of its three classes is alive."""


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

    def teach(self, seen: Image) -> float:
        """The mean share of `alive` of both networks for one view (80, 80, 3) RGB, 0 to 1."""
        return float(np.mean([self._ask(net, seen) for net in self._nets]))

    def judge(self, image: Image, box: Box) -> float:
        """The pair as its makers use it: each network gets its own context."""
        parts = [view(image, box, scale) for scale in SCALES]
        return float(np.mean([self._ask(net, part) for net, part in zip(self._nets, parts, strict=True)]))

    def _ask(self, net: Any, seen: Image) -> float:
        extractor = net.create_extractor()
        pixels = self._ncnn.Mat.from_pixels(
            np.ascontiguousarray(seen[..., ::-1]), self._ncnn.Mat.PixelType.PIXEL_BGR, VIEW_PX, VIEW_PX
        )
        extractor.input("data", pixels)
        return float(np.array(extractor.extract("softmax")[1])[LIVE])
