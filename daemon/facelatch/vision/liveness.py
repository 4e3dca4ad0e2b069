"""What the liveness network looks at: a face with its surroundings, where edges of paper, hands and bezels show.

The same in training and at the door. A change of these functions asks for a new model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facelatch.values.pictures import Box, Image

VIEW_PX = 80
"""Side of what the network sees."""

LOOKS = (2.7, 1.7)
"""How many times the face's box each look at it shows; their logits are averaged."""


LEAST_SHARE = 1e-6


def view(image: Image, box: Box, scale: float) -> Image:
    """The part of `image` (H, W, 3) that is `scale` times `box`, as (VIEW_PX, VIEW_PX, 3); its shape is not kept.

    Where the picture ends, the part is as large as fits and moved inside: nothing is made up beyond the border. A box
    that lies outside is moved to the border as well.
    """
    high, wide = image.shape[:2]
    width, height = min(max(box.width, 1.0), wide), min(max(box.height, 1.0), high)
    scale = min(scale, wide / width, high / height)
    width, height = width * scale, height * scale
    left = min(max(box.x + box.width / 2 - width / 2, 0.0), wide - width)
    top = min(max(box.y + box.height / 2 - height / 2, 0.0), high - height)
    x, y = min(round(left), wide - 1), min(round(top), high - 1)
    part = image[y : max(y + 1, round(top + height)), x : max(x + 1, round(left + width))]
    shrinks = part.shape[0] * part.shape[1] > VIEW_PX * VIEW_PX
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(part, (VIEW_PX, VIEW_PX), interpolation=how), dtype=np.uint8)


def logit(share: float) -> float:
    """The logit of a share of 0 to 1, kept from running off where a network is all too sure."""
    kept = min(max(share, LEAST_SHARE), 1 - LEAST_SHARE)
    return math.log(kept / (1 - kept))


def views(image: Image, box: Box, scales: Sequence[float] = LOOKS) -> NDArray[np.uint8]:
    """One view for each scale, (N, VIEW_PX, VIEW_PX, 3)."""
    return np.stack([view(image, box, scale) for scale in scales])
