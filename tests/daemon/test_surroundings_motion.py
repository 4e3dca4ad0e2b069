"""What is around a face says whether it is part of a picture: rooms stay, sheets of paper come along."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import sightings
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facelatch.line.liveness import Check, Evidence, examine
from facelatch.line.surroundings import Surroundings, move_along, watch
from facelatch.values.liveness import Aliveness, Proof
from facelatch.values.observations import Judged, Reason, Verdict
from facelatch.values.pictures import Box, Face, Frame, Image
from facelatch.values.records import Person
from facelatch.vision.align import TEMPLATE
from facelatch.vision.surroundings import compare

START = (TEMPLATE * 0.6 + np.array([125.0, 80.0])).astype(np.float32)
SWAY = [0.0, 6.0, -5.0, 4.0, -6.0, 5.0, 0.0]
"""Where the face is, px to the right, in frames 0.2 s apart."""


def room(seed: int = 1) -> Image:
    """Shelves, doors and lamps, as far as a grid of grey patches has any."""
    patches = np.random.default_rng(seed).integers(20, 235, (12, 16, 1), dtype=np.uint8)
    large = cv2.resize(patches, (320, 240), interpolation=cv2.INTER_CUBIC)
    return np.repeat(np.asarray(large, np.uint8)[..., np.newaxis], 3, axis=2)


def shifted(image: Image, across: float) -> Image:
    matrix = np.array([[1, 0, across], [0, 1, 0]], np.float32)
    return np.asarray(cv2.warpAffine(image, matrix, (320, 240), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def with_face(surroundings: Image, across: float) -> Image:
    """The head alone, moved: an ellipse with something in it."""
    mask = np.zeros((240, 320, 1), np.uint8)
    cv2.ellipse(mask, (round(160 + across), 125), (28, 38), 0, 0, 360, (1,), cv2.FILLED)
    return np.asarray(np.where(mask > 0, shifted(room(9), across), surroundings), np.uint8)


def at(across: float) -> Face:
    return Face(Box(130 + across, 90, 60, 76), START + np.float32([across, 0]), 0.9)


def watched(pictures: list[Image], sway: list[float], *, step: float = 0.2) -> bool | None:
    known = Surroundings()
    for number, (picture, across) in enumerate(zip(pictures, sway, strict=True)):
        known = watch(known, Frame(picture, picture, number * step, number), at(across), 1)
    return move_along(known)


def noisy(image: Image, seed: int, strength: float) -> Image:
    noise = np.random.default_rng(seed).normal(0, strength, image.shape)
    return np.asarray(np.clip(image + noise, 0, 255), np.uint8)


LIVE = [with_face(room(), across) for across in SWAY]
SHEET = [shifted(with_face(room(), 0.0), across) for across in SWAY]


def test_somebody_who_sways_in_a_room_leaves_it_where_it_is() -> None:
    """Also seen by a noisy camera."""
    assert watched(LIVE, SWAY) is False
    assert watched([noisy(one, n, 6.0) for n, one in enumerate(LIVE)], SWAY) is False


def test_a_picture_takes_its_surroundings_along() -> None:
    """Also seen by a noisy camera."""
    assert watched(SHEET, SWAY) is True
    assert watched([noisy(one, n, 6.0) for n, one in enumerate(SHEET)], SWAY) is True


@pytest.mark.parametrize(
    ("pictures", "sway"),
    [
        (LIVE[:1] * 7, [0.0, 0.4, -0.4, 0.0, 0.4, -0.4, 0.0]),
        ([np.full((240, 320, 3), 90, np.uint8)] * 7, SWAY),
        ([room(seed) for seed in range(7)], SWAY),
        ([noisy(np.full((240, 320, 3), 90, np.uint8), seed, 25.0) for seed in range(7)], SWAY),
        (LIVE[:2], SWAY[:2]),
    ],
    ids=["a face that keeps still", "a plain wall", "cuts of a film", "noise", "two frames"],
)
def test_what_shows_nothing_decides_nothing(pictures: list[Image], sway: list[float]) -> None:
    """Neither alive nor a picture by this."""
    assert watched(pictures, sway) is None


def test_a_slow_camera_decides_nothing_and_a_fast_one_no_more_often() -> None:
    """Pictures a second apart are not compared, and thirty a second cost no more than five."""
    assert watched(SHEET, SWAY, step=1.0) is None
    known = Surroundings()
    for number in range(60):
        picture = SHEET[number // 10]
        known = watch(known, Frame(picture, picture, number / 30, number), at(SWAY[number // 10]), 1)
    assert len(known.comparisons) <= 10


def test_another_track_begins_anew() -> None:
    """Nobody inherits what was seen around somebody else."""
    known = Surroundings()
    for number, (picture, across) in enumerate(zip(SHEET, SWAY, strict=True)):
        known = watch(known, Frame(picture, picture, number * 0.2, number), at(across), 1)
    assert move_along(known) is True
    known = watch(known, Frame(SHEET[0], SHEET[0], 1.5, 9), at(0.0), 2)
    assert move_along(known) is None


class Says:
    def look(self, image: Image, box: Box) -> Aliveness:
        return Aliveness(alive=9.0, screen=-1.0)


def test_a_face_that_looks_alive_in_a_moving_picture_is_flat() -> None:
    """The network is sure, and the surroundings speak against it: that decides."""
    check = Check(network=Says(), threshold=0.0, enrolment_threshold=0.0, seconds=1.0, pictures=5)
    match = Verdict(reason=Reason.MATCHED, person=Person(1, "ada"), share=1.0, detections=8, references=8)
    for pictures, known in [(SHEET, Proof.FLAT), (LIVE, Proof.LIVE)]:
        evidence = Evidence()
        for number, (picture, across) in enumerate(zip(pictures, SWAY, strict=True)):
            frame = Frame(picture, picture, number * 0.2, number)
            judged = sightings.judged(match, face=at(across))
            seen, evidence = examine(check, evidence, frame, judged, enrolling=False)
        assert isinstance(seen, Judged)
        assert seen.proof is known


@settings(max_examples=50)
@given(
    st.lists(st.floats(width=32), min_size=20, max_size=20), st.tuples(st.integers(4, 40), st.integers(4, 40))
)
def test_any_landmarks_in_any_picture_are_compared_or_not(values: list[float], size: tuple[int, int]) -> None:
    """It never raises, and what it says are numbers."""
    points: NDArray[np.float32] = np.array(values, np.float32).reshape(2, 5, 2)
    picture = room()[: size[0], : size[1]]
    found = compare(picture, points[0], picture, points[1])
    assert found is None or np.isfinite([found.stayed, found.moved, found.detail]).all()
