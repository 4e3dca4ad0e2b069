"""The picture in which the face is looked for: smaller, the same shape, never empty."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facelatch.config.line import CameraConfig
from facelatch.vision.reduce import search_picture, search_size

CONFIG = CameraConfig()


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_the_search_size_fits_and_keeps_the_shape(width: int, height: int) -> None:
    """Within its bounds, never larger than the picture, the aspect right to the nearest pixel."""
    small_width, small_height = search_size(width, height, CONFIG)
    assert 1 <= small_width <= min(width, CONFIG.search_width_px)
    assert 1 <= small_height <= min(height, CONFIG.search_height_px)
    factor = min(1.0, CONFIG.search_width_px / width, CONFIG.search_height_px / height)
    assert abs(small_width - max(1, width * factor)) <= 0.5
    assert abs(small_height - max(1, height * factor)) <= 0.5


def test_a_picture_is_averaged_not_sampled() -> None:
    """A fine chequerboard becomes grey: reduced by area, nothing aliases."""
    board = np.indices((960, 1280)).sum(axis=0) % 2 * 255
    small = search_picture(np.repeat(board[..., np.newaxis], 3, axis=2).astype(np.uint8), CONFIG)
    assert small.shape == (240, 320, 3)
    assert 126 <= small.min() <= small.max() <= 129


def test_a_small_picture_is_not_copied() -> None:
    """It is its own search picture."""
    image = np.zeros((240, 320, 3), np.uint8)
    assert search_picture(image, CONFIG) is image
