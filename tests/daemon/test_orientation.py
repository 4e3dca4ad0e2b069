"""Which way up a face stands: scores of the finder at each quarter, and the shipped finder on faces of nobody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from facelatch.adapters.models.finder_tflite import TfliteFinder
from facelatch.config.shipped import shipped_file
from facelatch.line.orientation import turn_of, turn_of_picture
from facelatch.values.pictures import Box, Face, Image
from facelatch.vision.align import TEMPLATE
from facelatch.vision.turn import QUARTERS, turned

PEOPLE = sorted((Path(__file__).resolve().parents[1] / "scenarios" / "people").glob("nobody-*.png"))


class Compass:
    """Finds a face whose score is that of the side on which the picture's white row lies; counts its looks."""

    def __init__(self, top: float, right: float, bottom: float, left: float) -> None:
        self.scores, self.looks = (top, right, bottom, left), 0

    def find_near(self, image: Image, region: Box) -> Sequence[Face]:
        del region
        self.looks += 1
        sides = (image[0], image[:, -1], image[-1], image[:, 0])
        score = self.scores[int(np.argmax([side.mean() for side in sides]))]
        return [Face(Box(0, 0, 9, 9), TEMPLATE, score)] if score else []

    find = find_near


def compass_picture() -> Image:
    image = np.zeros((60, 60, 3), np.uint8)
    image[0] = 255
    return image


def face(score: float) -> Face:
    return Face(Box(5, 5, 50, 50), TEMPLATE, score)


@pytest.mark.parametrize("turn", QUARTERS)
def test_the_best_score_says_how_to_turn_the_picture(turn: int) -> None:
    """Sure of the picture turned by `turn`, half sure as it is."""
    scores = [0.0, 0.0, 0.0, 0.0]
    scores[turn // 90] = 0.99
    whole = Face(Box(0, 0, 60, 60), TEMPLATE, 0.7 if turn else 0.99)
    assert turn_of(Compass(*scores), compass_picture(), whole) == turn


def test_a_clear_lead_takes_three_looks_and_a_doubt_seven() -> None:
    """The second square is looked at only where the first does not tell."""
    sure = Compass(0.9, 0.5, 0.5, 0.5)
    whole = Face(Box(0, 0, 60, 60), TEMPLATE, 0.9)
    assert (turn_of(sure, compass_picture(), whole), sure.looks) == (0, 3)
    doubtful = Compass(0.95, 0.5, 0.85, 0.5)
    assert (turn_of(doubtful, compass_picture(), Face(Box(0, 0, 60, 60), TEMPLATE, 0.8)), doubtful.looks) == (0, 7)


def test_a_finder_that_finds_nothing_turned_leaves_every_face_upright() -> None:
    """The cascade knows frontal faces only."""
    assert turn_of(Compass(0.0, 0.0, 0.0, 0.0), compass_picture(), face(0.6)) == 0


@pytest.mark.parametrize(
    "box", [Box(-500, -500, 3, 3), Box(900, 900, 3, 3), Box(3, 3, 0.1, 0.1), Box(-9, -9, 999, 999)]
)
def test_a_box_anywhere_raises_nothing(box: Box) -> None:
    """Outside, tiny, larger than the picture: there is always a part to look at."""
    assert turn_of(Compass(0.9, 0.9, 0.9, 0.9), compass_picture(), Face(box, TEMPLATE, 0.9)) == 0


@pytest.fixture(scope="module")
def finder() -> TfliteFinder:
    return TfliteFinder(shipped_file("models", "finder.tflite"), 0.6)


@pytest.mark.parametrize("path", PEOPLE, ids=lambda path: path.stem)
@pytest.mark.parametrize("turn", QUARTERS)
def test_faces_of_nobody_are_told_in_every_position(finder: TfliteFinder, path: Path, turn: int) -> None:
    """By the shipped finder, in a picture that hangs so that it has to be turned by `turn`."""
    upright = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
    assert turn_of_picture(finder, turned(upright, (360 - turn) % 360)) == turn


def test_a_picture_of_nobody_says_nothing(finder: TfliteFinder) -> None:
    """No face, no answer."""
    assert turn_of_picture(finder, np.full((120, 160, 3), 90, np.uint8)) is None
