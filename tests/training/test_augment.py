"""Augmentation: seeded, always a crop, and about as rough as the recipe says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch_training.batches.augment import TROUBLES, augment, compress, grey, misalign
from facelatch_training.data.made_faces import draw_person
from facelatch_training.recipe import AugmentRecipe

RECIPE = AugmentRecipe()
CROP = draw_person(3, 0)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_sample_and_it_is_a_crop(seed: int) -> None:
    first, second = (augment(CROP, np.random.default_rng(seed), RECIPE) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.shape == (112, 112, 3)
    assert first.dtype == np.uint8


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_every_trouble_changes_the_crop_and_leaves_the_original_alone(trouble: object) -> None:
    before = CROP.copy()
    changed = [trouble(CROP, np.random.default_rng(seed)) for seed in range(20)]  # type: ignore[operator]
    assert np.array_equal(CROP, before)
    assert all(one.shape == CROP.shape and one.dtype == np.uint8 for one in changed)
    assert sum(not np.array_equal(one, CROP) for one in changed) >= 18


def test_black_and_white_crops_survive_every_trouble() -> None:
    for value in (0, 255):
        flat = np.full_like(CROP, value)
        for number, trouble in enumerate(TROUBLES):
            assert trouble(flat, np.random.default_rng(number)).shape == CROP.shape


def test_jpeg_spoils_blue_details_more_than_red_ones() -> None:
    """As a camera does, which knows which channel is which."""
    rng = np.random.default_rng(0)
    left = []
    for channel in (0, 2):
        crop = np.full_like(CROP, 128)
        crop[..., channel] += rng.integers(0, 100, CROP.shape[:2], dtype=np.uint8)
        spoiled = compress(crop, np.random.default_rng(1))
        left.append(np.corrcoef(spoiled[..., channel].ravel(), crop[..., channel].ravel())[0, 1])
    assert left[0] > 1.5 * left[1]


def test_grey_has_equal_channels() -> None:
    one = grey(CROP, np.random.default_rng(0))
    assert np.array_equal(one[..., 0], one[..., 1])
    assert np.array_equal(one[..., 0], one[..., 2])


def test_alignment_errors_are_as_large_as_the_recipe_says() -> None:
    dot = np.zeros_like(CROP)
    dot[55:58, 55:58] = 255
    recipe = AugmentRecipe(wild=0.0, jitter=0.04)
    places = []
    for seed in range(300):
        moved = misalign(dot, np.random.default_rng(seed), recipe)[..., 0]
        rows, columns = np.nonzero(moved > 64)
        places.append((columns.mean(), rows.mean()))
    spread = np.std(np.array(places), axis=0)
    assert spread == pytest.approx(0.04 * 35.2, rel=0.25)


def test_a_recipe_without_roughness_changes_nothing_but_the_light() -> None:
    calm = AugmentRecipe(flip=0.0, mild=1.0, jitter=0.0, wild=0.0, grey=0.0)
    changed = augment(CROP, np.random.default_rng(1), calm).astype(float)
    assert np.corrcoef(changed.ravel(), CROP.astype(float).ravel())[0, 1] > 0.9
