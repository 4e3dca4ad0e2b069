"""Guided capture on scripted cameras: what is asked for, what is kept, where it lies."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facelatch.adapters.fakes import FakeCamera
from facelatch.align import TEMPLATE
from facelatch.config import QualityConfig
from facelatch.errors import CameraError, InputError
from facelatch.quality import Measures
from facelatch.values import Box, Face, Frame, Image, Pose
from facelatch_training.collect import WANTED, Guide, collect_round

EASY = QualityConfig(min_sharpness=0.0)


def looks(yaw: float = 0.0, pitch: float = 0.0, eyes: float = 50.0) -> Measures:
    return Measures(eyes, 120.0, 40.0, 50.0, Pose(yaw, pitch, 0.0), False)


def test_the_guide_asks_in_order_until_nothing_is_missing() -> None:
    guide = Guide()
    poses = {
        "straight": looks(), "left": looks(yaw=-0.3), "right": looks(yaw=0.3), "up": looks(pitch=-0.3),
        "down": looks(pitch=0.3), "near": looks(eyes=80), "far": looks(eyes=30),
    }  # fmt: skip
    asked = []
    while guide.missing:
        wanted = guide.missing[0]
        asked.append(wanted.name)
        assert wanted.ask in guide.sentence()
        found = guide.fills(poses[wanted.name])
        assert found == wanted.name
        guide.keep(found)
    assert asked == [kind.name for kind in WANTED for _ in range(kind.count)]
    assert "done" in guide.sentence()


def test_more_of_the_same_adds_nothing() -> None:
    guide = Guide()
    for _ in range(WANTED[0].count):
        guide.keep("straight")
    assert guide.fills(looks()) is None
    assert guide.fills(looks(yaw=-0.5)) == "left"


def picture(number: int) -> Image:
    coarse = np.random.default_rng(number).integers(40, 220, (24, 32, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)


def frames(count: int, rate: float = 2.0) -> list[Frame]:
    return [Frame(picture(n), picture(n), n / rate, n) for n in range(count)]


class TurningHead:
    """One face whose nose moves from frame to frame, or none."""

    def __init__(self, noses: list[tuple[float, float] | None]) -> None:
        self._noses = list(noses)

    def find(self, image: Image) -> list[Face]:
        nose = self._noses.pop(0) if self._noses else None
        if nose is None:
            return []
        marks = TEMPLATE * 1.5 + np.float32([230, 150])
        marks[2] += np.float32(nose)
        return [Face(Box(240, 160, 150, 170), marks.astype(np.float32), 0.9)]


def test_straight_looks_become_anchors_and_turned_ones_positives(tmp_path: Path) -> None:
    noses = [(0, 0), (-8, 0), (8, 0), (0, -6), (0, 6), None, (0, 0)]
    said: list[str] = []
    done = collect_round(
        FakeCamera(frames(7)), TurningHead(noses), tmp_path / "ann",
        round_name="as you are", timeout_seconds=60, say=said.append, quality=EASY,
    )  # fmt: skip
    anchors = sorted(file.name for file in (tmp_path / "ann" / "anchors").iterdir())
    positives = sorted(file.name for file in (tmp_path / "ann" / "positives").iterdir())
    assert anchors == ["0-straight-000000.png", "0-straight-000006.png"]
    assert [name.split("-")[1] for name in positives] == ["down", "left", "right", "up"]
    assert done.kept == 6
    assert "4 straight" in done.missing
    assert "no face in view" in said[5]
    crop = cv2.imread(str(tmp_path / "ann" / "anchors" / anchors[0]))
    assert crop is not None
    assert crop.shape == (112, 112, 3)
    assert cv2.imread(str(tmp_path / "ann" / "preview.png")) is not None


def test_what_the_door_would_refuse_is_not_kept_and_its_hint_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    strict = QualityConfig(min_brightness=250.0, max_brightness=255.0)
    done = collect_round(
        FakeCamera(frames(3)), TurningHead([(0, 0)] * 3), tmp_path / "ann",
        round_name="as you are", timeout_seconds=60, say=said.append, quality=strict,
    )  # fmt: skip
    assert done.kept == 0
    assert "too dark" in said[0]
    assert not (tmp_path / "ann" / "anchors").exists()


def test_nearly_the_same_moment_is_kept_once(tmp_path: Path) -> None:
    done = collect_round(
        FakeCamera(frames(6, rate=20)), TurningHead([(0, 0)] * 6), tmp_path / "ann",
        round_name="as you are", timeout_seconds=60, say=lambda line: None, quality=EASY,
    )  # fmt: skip
    assert done.kept == 2


def test_time_runs_out_by_the_frames_clock(tmp_path: Path) -> None:
    done = collect_round(
        FakeCamera(frames(100)), TurningHead([(0, 0)] * 100), tmp_path / "ann",
        round_name="as you are", timeout_seconds=2.0, say=lambda line: None, quality=EASY,
    )  # fmt: skip
    assert done.kept == 5


def test_a_camera_without_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no frame"):
        collect_round(
            FakeCamera([None]), TurningHead([]), tmp_path / "ann",
            round_name="as you are", timeout_seconds=2.0, say=lambda line: None,
        )  # fmt: skip


def test_faces_are_not_collected_into_a_checkout(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(InputError, match="git checkout"):
        collect_round(
            FakeCamera(frames(1)), TurningHead([]), tmp_path / "ann",
            round_name="as you are", timeout_seconds=2.0, say=lambda line: None,
        )  # fmt: skip
