"""The face finder's numbers become faces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelatch.vision.finder_decode import (
    BASE_CELLS,
    STRIDES,
    agreed,
    cells,
    decode,
    merge,
    mirrored,
    moved,
    to_faces,
)

SIZE = (320, 240)
GRID = cells(*SIZE)
COUNT = len(GRID[0])


def quiet() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Raw outputs in which no cell claims a face."""
    return (
        np.full(COUNT, -20, np.float32),
        np.zeros((COUNT, 4), np.float32),
        np.zeros((COUNT, 10), np.float32),
    )


def cell_at(stride: int, column: int, row: int) -> int:
    centre = (np.array([column, row]) + 0.5) * stride
    return int(np.flatnonzero((GRID[0] == centre).all(axis=1) & (GRID[1][:, 0] == stride))[0])


def test_the_cells_tile_the_picture_finest_level_first():
    assert [int((GRID[1] == s).sum()) for s in STRIDES] == [40 * 30, 20 * 15, 10 * 8]
    assert GRID[0][0].tolist() == [4, 4]
    assert GRID[0][1].tolist() == [12, 4]
    assert GRID[0][1200].tolist() == [8, 8]
    assert len(cells(160, 120)[0]) == 20 * 15 + 10 * 8 + 5 * 4


def test_a_known_cell_gives_the_face_worked_out_by_hand():
    score, box, landmarks = quiet()
    index = cell_at(16, 5, 3)  # its centre is (88, 56)
    score[index] = 2.0
    box[index] = [0.25, -0.5, np.log(40 / 64), np.log(56 / 64)]
    landmarks[index] = [-0.5, -0.5, 0.5, -0.5, 0, 0, -0.25, 0.75, 0.25, 0.75]
    faces = to_faces(moved(merge(decode(score, box, landmarks, GRID, 0.5)), (2.0, 2.0), (10.0, 20.0)))
    assert len(faces) == 1
    face = faces[0]
    assert face.score == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)
    # centre (92, 48) and sides 40 x 56 in the input, then doubled and shifted
    assert (face.box.x, face.box.y, face.box.width, face.box.height) == pytest.approx(
        (154, 60, 80, 112), abs=1e-3
    )
    np.testing.assert_allclose(
        face.landmarks, [[170, 116], [202, 116], [186, 132], [178, 156], [194, 156]], atol=1e-3
    )
    assert face.landmarks.dtype == np.float32


def test_what_scores_below_the_threshold_is_no_face():
    score, box, landmarks = quiet()
    score[7] = 0.0
    assert len(decode(score, box, landmarks, GRID, 0.51)) == 0
    assert len(decode(score, box, landmarks, GRID, 0.49)) == 1


def test_the_extreme_thresholds_mean_everything_and_only_the_certain():
    score, box, landmarks = quiet()
    score[5], score[6] = -10, 40
    assert len(decode(score, box, landmarks, GRID, 0.0)) == 2
    assert len(decode(score, box, landmarks, GRID, 1.0)) == 1


def test_neighbouring_cells_of_one_face_are_averaged_by_score():
    score, box, landmarks = quiet()
    for column, logit in ((10, 3.0), (11, 0.0)):
        index = cell_at(8, column, 10)
        score[index] = logit
        box[index] = [10.5 - column, 0, 0, 0]  # both mean the same centre
        landmarks[index, ::2] = 10.5 - column
        landmarks[index, 0] += 0.1 if column == 10 else -0.1  # but they differ about the left eye
    rows = merge(decode(score, box, landmarks, GRID, 0.1))
    assert len(rows) == 1
    high, low = 1 / (1 + np.exp(-3)), 0.5
    assert rows[0, 14] == pytest.approx(high, abs=1e-6)
    assert rows[0, 4] == pytest.approx(88 + 0.8 * (high - low) / (high + low), abs=1e-3)


def test_two_faces_side_by_side_stay_two():
    score, box, landmarks = quiet()
    for column in (8, 14):  # 48 px apart, sides of 32 px
        index = cell_at(8, column, 10)
        score[index] = 3.0
    assert BASE_CELLS * 8 == 32
    assert len(merge(decode(score, box, landmarks, GRID, 0.5))) == 2


raw = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, COUNT - 1), st.lists(raw, min_size=15, max_size=15)), max_size=30))
def test_no_outputs_whatever_give_anything_but_finite_faces_in_order(rows):
    score, box, landmarks = quiet()
    for index, numbers in rows:
        score[index], box[index], landmarks[index] = numbers[0], numbers[1:5], numbers[5:]
    faces = to_faces(moved(merge(decode(score, box, landmarks, GRID, 0.3)), (1.5, 1.5), (0.0, 0.0)))
    scores = [face.score for face in faces]
    assert scores == sorted(scores, reverse=True)
    for face in faces:
        numbers = [face.box.x, face.box.y, face.box.width, face.box.height, face.score]
        assert np.isfinite(numbers).all()
        assert np.isfinite(face.landmarks).all()
        assert face.box.width > 0
        assert face.box.height > 0
        assert 0.3 <= face.score <= 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(*[st.floats(0, 300, width=32)] * 4, st.floats(0.25, 1, width=32)), max_size=25))
def test_merging_keeps_the_best_and_never_adds_a_face(rows):
    candidates = np.zeros((len(rows), 15), np.float32)
    for number, (x, y, w, h, score) in enumerate(rows):
        candidates[number, :4] = x, y, w + 1, h + 1
        candidates[number, 14] = score
    candidates = candidates[np.argsort(-candidates[:, 14], kind="stable")]
    kept = merge(candidates)
    assert (len(kept) == 0) == (len(rows) == 0)
    assert len(kept) <= len(rows)
    if rows:
        assert kept[0, 14] == candidates[0, 14]


def row_at(x: float, score: float) -> np.ndarray:
    points = np.array([[10, 12], [30, 12], [20, 20], [12, 30], [28, 30]], np.float32) + np.array([x, 0])
    return np.concatenate([[x, 0, 40, 45], points.reshape(-1), [score]]).astype(np.float32)


def test_looks_that_agree_are_averaged_and_one_that_sees_nothing_lowers_the_score():
    nothing = np.zeros((0, 15), np.float32)
    row = agreed(row_at(0, 0.9), [np.stack([row_at(200, 0.99), row_at(4, 0.6)]), nothing])
    np.testing.assert_allclose(row[:14], (row_at(0, 1) + row_at(4, 1))[:14] / 2, atol=1e-5)
    assert row[14] == pytest.approx(0.5)


def test_a_further_look_never_makes_a_find_surer():
    assert agreed(row_at(0, 0.4), [row_at(1, 0.9)[None], row_at(0, 0.8)[None]])[14] == pytest.approx(0.4)


def test_a_find_in_the_mirror_is_put_back_with_left_on_the_left():
    row = row_at(50, 0.7)
    back = mirrored(mirrored(row[None], 160), 160)[0]
    np.testing.assert_allclose(back, row, atol=1e-4)
    points = mirrored(row[None], 160)[0, 4:14].reshape(5, 2)
    assert points[0, 0] < points[1, 0]
    assert points[0, 0] == pytest.approx(159 - row[6])
