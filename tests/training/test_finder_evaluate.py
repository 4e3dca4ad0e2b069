"""The figures of the face finder, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from training_doubles import NO_BOXES

from facelatch_training.finder.data.faces import Photo
from facelatch_training.finder.data.labels import Labels
from facelatch_training.finder.judge.evaluate import compare, figures, small_views, whole_views
from facelatch_training.finder.judge.landmark_figures import landmark_error
from facelatch_training.finder.judge.realign import SCENE, render


def label(x: float, y: float, side: float) -> Labels:
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * side + [x, y]
    return np.concatenate([[x, y, side, side], points.reshape(-1)]).astype(np.float32)


def find_of(face: Labels, score: float, shift: float = 0.0) -> Labels:
    row = np.append(face, score).astype(np.float32)
    row[[0, *range(4, 14, 2)]] += shift
    return row


def view(*faces: Labels, ignore: Labels = NO_BOXES) -> Photo:
    return Photo(
        name="v",
        image=np.zeros((240, 320, 3), np.uint8),
        faces=np.array(faces, np.float32).reshape(-1, 14),
        ignore=ignore,
    )


def test_recall_counts_faces_by_size_at_the_threshold_that_allows_the_false_ones():
    big, middle, small = label(10, 10, 100), label(150, 20, 50), label(250, 200, 30)
    views = [view(big, middle), view(small)] + [view()] * 8  # ten pictures: one false face allowed at 0.1
    stray = np.append(label(200, 100, 40), 0.5).astype(np.float32)
    stray2 = np.append(label(20, 150, 40), 0.4).astype(np.float32)
    rows = [
        np.stack([find_of(big, 0.9), stray, find_of(middle, 0.45), stray2]),
        np.stack([find_of(small, 0.3)]),
        *[np.zeros((0, 15), np.float32)] * 8,
    ]
    result = figures(views, rows)
    assert result["threshold"] == {"0.01": 0.5, "0.1": pytest.approx(0.4), "1.0": 0.0}
    assert result["recall"]["80+"] == {"0.01": 1, "0.1": 1, "1.0": 1}
    assert result["recall"]["40-80"] == {"0.01": 0, "0.1": 1, "1.0": 1}
    assert result["recall"]["24-40"] == {"0.01": 0, "0.1": 0, "1.0": 1}
    assert result["faces"] == {"24-40": 1, "40-80": 1, "80+": 1}


def test_a_second_find_of_the_same_face_is_false_but_one_on_something_doubtful_is_not():
    face = label(10, 10, 60)
    doubtful = label(200, 100, 50)
    views = [view(face, ignore=doubtful[None, :4])]
    rows = [np.stack([find_of(face, 0.9), find_of(face, 0.8, 3), find_of(doubtful, 0.7)])]
    assert figures(views, rows)["threshold"]["0.01"] == pytest.approx(0.8)


def test_the_landmark_error_is_a_share_of_the_eye_distance():
    face = label(10, 10, 100)  # eyes 40 px apart
    assert landmark_error(find_of(face, 1, shift=4)[4:14], face[4:]) == pytest.approx(0.1, abs=1e-5)


def test_views_keep_labels_on_the_faces():
    """A bright disc marks the nose in the photo; the moved label must point to it in every view."""
    image = np.zeros((360, 270, 3), np.uint8)
    face = label(80, 120, 120)
    nose = face[8:10].astype(int)
    image[nose[1] - 12 : nose[1] + 13, nose[0] - 12 : nose[0] + 13] = 255
    photo = Photo(name="p", image=image, faces=face[None], ignore=NO_BOXES)
    empty = [np.zeros((200, 300, 3), np.uint8)]
    for view_of_photo in (*whole_views([photo]), *small_views([photo] * 5, empty, seed=3)):
        assert view_of_photo.image.shape == (240, 320, 3)
        rows, columns = np.nonzero(view_of_photo.image[..., 0] > 127)
        middle = np.array([columns.mean(), rows.mean()])
        np.testing.assert_allclose(view_of_photo.faces[0, 8:10], middle, atol=0.7)


def test_compare_gives_a_perfect_finder_full_marks_and_a_blind_one_none():
    face = label(100, 60, 90)
    views = [view(face)] * 12
    result = compare(
        {"perfect": lambda _: find_of(face, 0.9)[None], "blind": lambda _: np.zeros((0, 15), np.float32)},
        views,
    )
    assert result["perfect"]["recall"]["80+"]["0.01"] == 1
    assert result["perfect"]["nme_percent"]["mean"] == 0
    assert result["blind"]["recall"]["80+"]["1.0"] == 0
    assert "nme_percent" not in result["blind"]


def test_a_rendered_crop_lies_where_its_landmarks_say():
    crop = np.zeros((112, 112, 3), np.uint8)
    crop[66:78, 50:62] = 255  # about the template's nose (56.0, 71.7)
    for seed in range(10):
        scene, landmarks = render(crop, np.zeros((100, 100, 3), np.uint8), np.random.default_rng(seed))
        assert scene.shape == (SCENE[1], SCENE[0], 3)
        rows, columns = np.nonzero(scene[..., 0] > 127)
        np.testing.assert_allclose([columns.mean(), rows.mean()], landmarks[2], atol=1.5)
