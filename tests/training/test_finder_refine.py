"""What the refining network learns from: steady labels, patches cut along rough landmarks; and its figures."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from training_doubles import CROP_LABEL, DISC_COLOURS, NO_BOXES, crop_with_discs, finder_recipe

from facelatch.errors import InputError
from facelatch.vision.align import TEMPLATE, similarity_transform
from facelatch_training.finder.data.faces import Photo
from facelatch_training.finder.data.labels import move
from facelatch_training.finder.data.patches import SIDE, compose_patches, load_patches, on_ground, patch
from facelatch_training.finder.data.steady import steadied, steady
from facelatch_training.finder.judge.landmark_figures import agreement

RECIPE = finder_recipe()


def made_photo(degrees: float = 0.0, scale: float = 1.0) -> Photo:
    """A grey face with a pure-coloured disc on each landmark, turned in a larger picture."""
    matrix = np.asarray(cv2.getRotationMatrix2D((56, 56), degrees, scale), np.float64)
    matrix[:, 2] += 100
    image = cv2.warpAffine(crop_with_discs(), matrix, (320, 320))
    return Photo(
        name="p", image=np.asarray(image, np.uint8), faces=move(CROP_LABEL[None], matrix), ignore=NO_BOXES
    )


class Lazy:
    """A teacher that finds the discs, but shows only a third of a turn, as the real one does."""

    def find(self, image: np.ndarray) -> np.ndarray:
        points = np.zeros((5, 2))
        for number, colour in enumerate(DISC_COLOURS):
            rows, columns = np.nonzero(np.abs(image.astype(int) - colour).max(axis=2) < 90)
            if not len(rows):
                return np.zeros((0, 15), np.float32)
            points[number] = columns.mean(), rows.mean()
        if points[0, 0] > points[1, 0]:  # in the mirror the other eye is image-left
            points = points[[1, 0, 2, 4, 3]]
        middle, turn = points.mean(axis=0), -2 / 3 * roll_of(points)
        matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        lazy = (points - middle) @ matrix.T + middle
        side = np.hypot(*(points[0] - points[1])) * 2.4
        row = [*(middle - side / 2), side, side, *lazy.reshape(-1), 0.95]
        return np.array([row], np.float32)


def roll_of(points: np.ndarray) -> float:
    transform = similarity_transform(points.astype(np.float32))
    assert transform is not None
    return -math.atan2(transform[1, 0], transform[0, 0])


@pytest.mark.parametrize("degrees", [-24, 0, 9])
def test_a_lazy_teacher_is_made_steady(degrees):
    photo = made_photo(degrees)
    truth = photo.faces[0, 4:].reshape(5, 2)
    single = Lazy().find(photo.image)[0, 4:14].reshape(5, 2)
    better = steadied(photo, Lazy()).faces[0, 4:].reshape(5, 2)  # type: ignore[arg-type]
    assert np.hypot(*(better - truth).T).mean() < 0.03 * 35
    if degrees:
        assert np.hypot(*(single - truth).T).mean() > 2 * np.hypot(*(better - truth).T).mean()


def test_a_face_the_teacher_does_not_see_again_keeps_its_landmarks():
    photo = made_photo()
    blank = Photo(name="b", image=np.zeros_like(photo.image), faces=photo.faces, ignore=NO_BOXES)
    assert steady(blank.image, blank.faces[0], Lazy()) is None  # type: ignore[arg-type]
    np.testing.assert_array_equal(steadied(blank, Lazy()).faces, photo.faces)  # type: ignore[arg-type]


def test_patches_show_the_face_about_where_the_network_expects_it_and_labels_lie_on_it():
    plain = RECIPE.refine.model_copy(update={"degrade_share": 0.0, "least_eyes_px": 30.0})
    right = wrong = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        photo = on_ground(
            Photo(
                name="s",
                image=made_photo().image[100:212, 100:212],
                faces=CROP_LABEL[None],
                ignore=NO_BOXES,
            ),
            rng,
        )
        image, points = patch(photo if seed % 2 else made_photo(seed), 0, plain, rng)
        assert image.shape == (SIDE, SIDE, 3)
        assert np.abs(points - TEMPLATE - (SIDE - 112) / 2).mean() < 15
        for (x, y), colour in zip(points, DISC_COLOURS, strict=True):
            hit = np.abs(image[round(float(y)), round(float(x))].astype(int) - colour).max() < 90
            right, wrong = right + hit, wrong + (not hit)
    assert right > 150
    assert wrong < 0.15 * right  # one in ten is occluded


def test_patches_are_the_same_for_the_same_seed_and_missing_ones_are_named(tmp_path):
    first, again = (
        compose_patches([made_photo()], [], RECIPE, 5, tmp_path / name) for name in ("one", "two")
    )
    np.testing.assert_array_equal(first.images, again.images)
    assert first.fingerprint == again.fingerprint
    with pytest.raises(InputError, match=r"patches\.json"):
        load_patches(tmp_path / "three", RECIPE)


def test_landmarks_drawn_to_the_mean_face_show_in_the_slopes():
    """Perfect landmarks have slopes of one; half way to the template, half of every turn is left."""
    rng = np.random.default_rng(0)
    truth = (TEMPLATE + rng.normal(0, 1.5, (60, 5, 2))).reshape(60, 10).astype(np.float32)
    sides = np.full(60, 90, np.float32)
    perfect = agreement(sides, truth, truth)
    assert perfect["nme_percent"]["mean"] == 0
    assert perfect["slope"] == {"yaw": 1.0, "pitch": 1.0, "roll": 1.0}
    shrunk = agreement(sides, (truth + TEMPLATE.reshape(-1)) / 2, truth)
    assert shrunk["nme_percent"]["by_size"]["80+"]["median"] > 1
    assert all(0.4 < slope < 0.6 for slope in shrunk["slope"].values())
