"""Guided capture on scripted cameras: what is asked for, what is kept, where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from training_doubles import FixedFaces, straight_face

from facelatch.adapters.fakes import FakeCamera
from facelatch.config.line import QualityConfig
from facelatch.errors import CameraError, InputError
from facelatch.values.pictures import Box, Face, Frame, Image, Pose
from facelatch.vision.align import TEMPLATE
from facelatch.vision.quality import Measures
from facelatch_training.cli.root import commands
from facelatch_training.data.collect import ROUNDS, Collected, collect_round, open_camera, still_missing
from facelatch_training.data.cropping import Cropper
from facelatch_training.data.crops import iterate_shard
from facelatch_training.data.dataset import read_index
from facelatch_training.data.guide import KINDS, Guide
from facelatch_training.data.prepare import Options, prepare
from facelatch_training.files import write_png
from facelatch_training.judge.protocols import gather, people

EASY = QualityConfig(min_sharpness=0.0)


def looks(yaw: float = 0.0, pitch: float = 0.0, eyes: float = 50.0) -> Measures:
    return Measures(
        eye_distance_px=eyes,
        brightness=120.0,
        contrast=40.0,
        sharpness=50.0,
        pose=Pose(yaw, pitch, 0.0),
        cut_off=False,
    )


def test_the_guide_asks_in_order_until_nothing_is_missing() -> None:
    guide = Guide()
    poses = {
        "straight": looks(), "left": looks(yaw=-0.3), "right": looks(yaw=0.3), "up": looks(pitch=-0.3),
        "down": looks(pitch=0.3), "near": looks(eyes=80), "far": looks(eyes=30),
    }  # fmt: skip
    asked = []
    while guide.missing:
        kind = guide.missing[0]
        asked.append(kind.name)
        assert kind.ask in guide.sentence()
        assert guide.fills(poses[kind.name]) == kind.name
        guide.keep(kind.name)
    assert asked == [kind.name for kind in KINDS for _ in range(kind.count)]
    assert "done" in guide.sentence()


def test_more_of_the_same_adds_nothing() -> None:
    guide = Guide()
    for _ in range(KINDS[0].count):
        guide.keep("straight")
    assert guide.fills(looks()) is None
    assert guide.fills(looks(yaw=-0.5)) == "left"


def picture(number: int) -> Image:
    coarse = np.random.default_rng(number).integers(40, 220, (24, 32, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)


def frames(count: int, rate: float = 2.0) -> list[Frame]:
    return [Frame(image=picture(n), search=picture(n), captured=n / rate, number=n) for n in range(count)]


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
    messages: list[str] = []
    done = collect_round(
        FakeCamera(frames(7)), TurningHead(noses), tmp_path / "ann",
        round_name="as you are", timeout_seconds=60, say=messages.append, quality=EASY,
    )  # fmt: skip
    anchors = sorted(file.name for file in (tmp_path / "ann" / "anchors").iterdir())
    positives = sorted(file.name for file in (tmp_path / "ann" / "positives").iterdir())
    assert anchors == ["0-straight-000000.png", "0-straight-000006.png"]
    assert [name.split("-")[1] for name in positives] == ["down", "left", "right", "up"]
    assert done.kept == 6
    assert "4 straight" in done.missing
    assert "no face in view" in messages[5]
    crop = cv2.imread(str(tmp_path / "ann" / "anchors" / anchors[0]))
    assert crop is not None
    assert crop.shape == (112, 112, 3)
    assert cv2.imread(str(tmp_path / "ann-preview.png")) is not None
    assert sorted(entry.name for entry in (tmp_path / "ann").iterdir()) == ["anchors", "positives"]


def test_what_the_door_would_refuse_is_not_kept_and_its_hint_is_said(tmp_path: Path) -> None:
    messages: list[str] = []
    strict = QualityConfig(min_brightness=250.0, max_brightness=255.0)
    done = collect_round(
        FakeCamera(frames(3)), TurningHead([(0, 0)] * 3), tmp_path / "ann",
        round_name="as you are", timeout_seconds=60, say=messages.append, quality=strict,
    )  # fmt: skip
    assert done.kept == 0
    assert "too dark" in messages[0]
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


def collect_pictures(name: str, numbers: range, tmp_path: Path) -> list[Path]:
    """Collects `name` from a folder of pictures; returns the crops."""
    photos = tmp_path / f"photos-of-{name}"
    photos.mkdir(exist_ok=True)
    for number in numbers:
        assert cv2.imwrite(str(photos / f"{number}.png"), picture(number))
    with open_camera("files", str(photos)) as camera:
        collect_round(
            camera, FixedFaces(straight_face()), tmp_path / "people" / name,
            round_name="as you are", timeout_seconds=60, say=lambda line: None, quality=EASY, min_interval_seconds=0.0,
        )  # fmt: skip
    return sorted((tmp_path / "people" / name).rglob("*.png"))


@pytest.mark.slow
def test_what_was_collected_is_prepared_and_judged_as_it_is(tmp_path: Path) -> None:
    """No second finding and warping, and no portrait that is none."""
    written = {
        f"{file.parents[1].name}-{file.name}": cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        for person in range(8)
        for file in collect_pictures(f"p{person}", range(3 * person, 3 * person + 3), tmp_path)
    }
    assert len(written) == 24
    report = prepare(
        [tmp_path / "people"],
        tmp_path / "set",
        finder=FixedFaces(straight_face()),
        options=Options(0.5),
        quiet=True,
    )
    assert (report.pictures, report.kept) == (24, 24)
    index = read_index(tmp_path / "set")
    prepared = sorted(
        crop.tobytes() for shard in set(index.shards) for _, crop in iterate_shard(index, shard)
    )
    assert prepared == sorted(crop.tobytes() for crop in written.values())
    judged = gather(people(tmp_path / "people", Cropper(FixedFaces(straight_face()))))
    assert sorted(crop.tobytes() for crop in judged) == prepared


def test_a_second_run_asks_for_the_rest_and_overwrites_nothing(tmp_path: Path) -> None:
    def run(first: int, count: int) -> tuple[int, list[str], dict[str, bytes]]:
        messages: list[str] = []
        shot = [
            Frame(
                image=picture(first + n),
                search=picture(first + n),
                captured=n / 2,
                number=n,
            )
            for n in range(count)
        ]
        done = collect_round(
            FakeCamera(shot), TurningHead([(0, 0)] * count), tmp_path / "ann",
            round_name="as you are", timeout_seconds=60, say=messages.append, quality=EASY,
        )  # fmt: skip
        return done.kept, messages, {f.name: f.read_bytes() for f in (tmp_path / "ann" / "anchors").iterdir()}

    kept, _, before = run(0, 4)
    assert kept == 4
    kept, messages, after = run(50, 5)
    assert kept == 2
    assert messages[0].startswith("[ 5/")
    assert before.items() <= after.items()
    assert sorted(after) == [f"0-straight-{number:06d}.png" for number in range(6)]


def test_a_round_that_lacks_nothing_needs_no_camera(tmp_path: Path) -> None:
    for kind in KINDS:
        place = tmp_path / "ann" / ("anchors" if kind.name == "straight" else "positives")
        place.mkdir(parents=True, exist_ok=True)
        for number in range(kind.count):
            write_png(place / f"0-{kind.name}-{number:06d}.png", picture(number))
    done = collect_round(
        FakeCamera([None]), TurningHead([]), tmp_path / "ann",
        round_name="as you are", timeout_seconds=2.0, say=lambda line: None,
    )  # fmt: skip
    assert (done.kept, done.missing) == (0, "")


def test_a_round_can_be_left_out_and_each_begins_with_a_fresh_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[FakeCamera] = []

    @contextmanager
    def fresh(source: str, device: str) -> Iterator[FakeCamera]:
        del source, device
        opened.append(FakeCamera(frames(3)))
        yield opened[-1]

    monkeypatch.setattr("facelatch_training.data.collect.open_camera", fresh)
    monkeypatch.setattr(
        "facelatch_training.data.cropping.open_finder", lambda *_: FixedFaces(straight_face())
    )
    command = ["collect", "ann", "--out", str(tmp_path / "people")]
    outcome = CliRunner().invoke(commands, command, input="n\ny\n")
    assert len(opened) == 2
    assert [f"{name}: kept 0" in outcome.output for name in ROUNDS] == [True, False, True]
    assert isinstance(outcome.exception, InputError)
    assert "no picture that the door would judge" in str(outcome.exception)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_folder_is_the_round_it_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def round_as_asked(*_: object, round_name: str, **__: object) -> Collected:
        straight_look(tmp_path / "people" / "ann", ROUNDS.index(round_name), picture(1))
        return Collected(1, "")

    monkeypatch.setattr("facelatch_training.data.collect.open_camera", lambda *_: nullcontext(None))
    monkeypatch.setattr("facelatch_training.data.collect.collect_round", round_as_asked)
    monkeypatch.setattr(
        "facelatch_training.data.cropping.open_finder", lambda *_: FixedFaces(straight_face())
    )
    command = [
        "collect",
        "ann",
        "--out",
        str(tmp_path / "people"),
        "--source",
        "files",
        "--round",
        str(number),
    ]
    outcome = CliRunner().invoke(commands, command)
    assert outcome.exit_code == 0, outcome.output
    assert [f"missing: {name}" in outcome.output for name in ROUNDS] == [n != number for n in (1, 2, 3)]


def test_the_same_picture_once_more_counts_as_nothing_else(tmp_path: Path) -> None:
    """A folder is gone through twice."""
    first = collect_pictures("ann", range(3), tmp_path)
    assert len(first) == 3
    assert collect_pictures("ann", range(3), tmp_path) == first


def test_what_was_collected_is_for_its_owner_alone(tmp_path: Path) -> None:
    collect_pictures("ann", range(3), tmp_path)
    assert (tmp_path / "people" / "ann").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "people" / "ann-preview.png").stat().st_mode & 0o777 == 0o600


def straight_look(folder: Path, round_number: int, lit: Image) -> None:
    (folder / "anchors").mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / "anchors" / f"{round_number}-straight-000000.png"), lit)


def test_rounds_that_were_left_out_are_missing(tmp_path: Path) -> None:
    assert still_missing(tmp_path / "ann") == list(ROUNDS)
    straight_look(tmp_path / "ann", 0, picture(1))
    assert still_missing(tmp_path / "ann") == list(ROUNDS[1:])


def test_other_light_is_missing_until_some_part_of_the_face_is_lit_otherwise(tmp_path: Path) -> None:
    face = np.full((112, 112, 3), 120, np.uint8)
    for number in range(3):
        straight_look(tmp_path / "ann", number, face + np.uint8(number))
    (missing,) = still_missing(tmp_path / "ann")
    assert "in other light" in missing
    assert "lit as before" in missing
    from_the_side = face.copy()
    from_the_side[:, :56] -= 30
    from_the_side[:, 56:] += 30
    straight_look(tmp_path / "ann", 2, from_the_side)
    assert still_missing(tmp_path / "ann") == []


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", ".."])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    command = ["collect", name, "--out", str(tmp_path / "people"), "--source", "files", "--device", "nowhere"]
    outcome = CliRunner().invoke(commands, command)
    assert isinstance(outcome.exception, InputError)
    assert "name" in str(outcome.exception)
    assert list(tmp_path.iterdir()) == []
