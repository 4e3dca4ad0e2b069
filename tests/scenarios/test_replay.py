"""Whole visits through the real command line: finder, aligner, model, machines and loop as shipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import demo_bust
import demo_clip
import demo_story
import numpy as np
import pytest

from facelatch.app import model_files
from facelatch.config.file import Config
from facelatch.config.shipped import shipped_file
from facelatch.values.pictures import Image

ROBIN, STRANGER, BYSTANDER = "nobody-1", "nobody-2", "nobody-3"
Record = dict[str, Any]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (
            model_files.siamese_path(Config().model).is_file()
            and shipped_file("models", "finder.tflite").is_file()
        ),
        reason="models/siamese.tflite or models/finder.tflite is not there",
    ),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A door of its own, with robin enrolled from pictures."""
    home = tmp_path_factory.mktemp("door")
    (home / "facelatch.toml").write_text(
        f"""
        [camera]
        rate_fps = {float(demo_clip.RATE_FPS)}
        [storage]
        state_directory = "{home}/state"
        [control]
        socket = "{home}/control.sock"
        group = ""
        """,
        encoding="utf-8",
    )
    demo_clip.save(demo_clip.enrolment_pictures(ROBIN, 8, 1), home / "enrol")
    _run(home, "enroll", "robin", "--images", home / "enrol")
    return home


def _run(home: Path, *arguments: object, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "facelatch", "--config", str(home / "facelatch.toml")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == exit_code, done.stderr
    return done


def _replay(home: Path, source: Path, *options: object) -> list[Record]:
    done = _run(home, "replay", source, "--json", "--frames", *options)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _levels(records: Iterable[Record]) -> set[str]:
    return {record["lock"] for record in records if record["type"] == "frame"}


def _reasons(records: Iterable[Record]) -> set[str]:
    return {record["reason"] for record in records if record["type"] == "frame"}


def _granted(records: Iterable[Record]) -> list[str]:
    return [record["PERSON"] for record in records if record.get("event") == "visit.granted"]


def test_a_stranger_stays_outside_then_robin_comes_in_once(home: Path, tmp_path: Path) -> None:
    demo_clip.save(demo_clip.clip(demo_clip.story(STRANGER, ROBIN), 2), tmp_path / "clip")
    records = _replay(home, tmp_path / "clip")
    assert list(demo_story.faults(records, "robin")) == []
    assert _granted(records) == ["robin"]


def test_a_video_file_is_as_good_as_a_folder(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "visit.mp4"
    size = demo_clip.WIDTH_PX, demo_clip.HEIGHT_PX
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), demo_clip.RATE_FPS, size)
    for frame in demo_clip.clip([(None, 0.5), (ROBIN, 4.0)], 3):
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    assert _granted(_replay(home, path)) == ["robin"]


def test_a_picture_that_never_changes_opens_nothing(home: Path, tmp_path: Path) -> None:
    (frame,) = demo_clip.enrolment_pictures(ROBIN, 1, 4)
    demo_clip.save(iter([frame] * 60), tmp_path / "clip")
    records = _replay(home, tmp_path / "clip")
    assert _levels(records) == {"locked"}
    assert not _granted(records)


def test_two_people_side_by_side_are_no_decision(home: Path, tmp_path: Path) -> None:
    demo_clip.save(_side_by_side(ROBIN, BYSTANDER, count=30), tmp_path / "clip")
    records = _replay(home, tmp_path / "clip")
    assert "several_faces" in _reasons(records)
    assert _levels(records) == {"locked"}


def _side_by_side(one: str, other: str, *, count: int) -> Iterator[Image]:
    rng = np.random.default_rng(5)
    scene = demo_clip.porch(rng)
    busts = [demo_bust.make_bust(demo_bust.load_face(name), demo_bust.LOOKS[name]) for name in (one, other)]
    for step in range(count):
        left = demo_clip.Pose(x_px=180 + step % 5, face_px=120)
        right = demo_clip.Pose(x_px=440 - step % 7, face_px=120)
        yield demo_clip.draw(scene, list(zip(busts, (left, right), strict=True)), rng)


def test_a_camera_that_changes_size_midway_is_no_fault(home: Path, tmp_path: Path) -> None:
    frames = list(demo_clip.clip([(ROBIN, 4.0)], 6))
    half = len(frames) // 2
    smaller = [np.asarray(cv2.resize(frame, (480, 360)), dtype=np.uint8) for frame in frames[half:]]
    demo_clip.save(iter(frames[:half] + smaller), tmp_path / "clip")
    records = _replay(home, tmp_path / "clip")
    assert _granted(records) == ["robin"]
    assert "fault" not in [record.get("event") for record in records]


def test_a_damaged_picture_is_left_out_of_the_replay_and_named(home: Path, tmp_path: Path) -> None:
    demo_clip.save(demo_clip.clip([(None, 0.3)], 7), tmp_path / "clip")
    (tmp_path / "clip" / "0002.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    done = _run(home, "replay", tmp_path / "clip")
    assert "skipped 0002.jpg: not a picture" in done.stderr


def test_a_replay_keeps_nothing(home: Path, tmp_path: Path) -> None:
    before = json.loads(_run(home, "people", "list", "--json").stdout)
    demo_clip.save(demo_clip.clip([(STRANGER, 3.0)], 8), tmp_path / "clip")
    _replay(home, tmp_path / "clip")
    assert json.loads(_run(home, "people", "list", "--json").stdout) == before
    assert [person["name"] for person in before] == ["robin"]


def test_no_event_holds_a_vector(home: Path, tmp_path: Path) -> None:
    demo_clip.save(demo_clip.clip([(STRANGER, 3.0), (ROBIN, 3.0)], 9), tmp_path / "clip")
    values = [value for record in _replay(home, tmp_path / "clip") for value in record.values()]
    assert all(value is None or isinstance(value, str | int | float) for value in values)


def test_enrolment_skips_and_names_what_it_cannot_use(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "enrol"
    demo_clip.save(demo_clip.enrolment_pictures(BYSTANDER, 5, 10), folder)
    (empty,) = demo_clip.clip([(None, 0.1)], 10)
    (stranger,) = demo_clip.enrolment_pictures(STRANGER, 1, 10)
    (both,) = _side_by_side(BYSTANDER, STRANGER, count=1)
    for name, picture in (("empty", empty), ("stranger", stranger), ("both", both)):
        cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    done = _run(home, "enroll", "sam", "--images", folder)
    assert all(f"skipped {name}.png" in done.stderr for name in ("empty", "both"))
    assert "skipped phone.heic: a HEIC picture, which is not read here: convert it to JPEG" in done.stderr
    assert "left out stranger.png: does not look like the person on the other pictures" in done.stderr
    assert "sam enrolled: 5 images kept, 9 pictures looked at\n" in done.stdout
    _run(home, "people", "remove", "sam", "--yes")


def test_of_many_good_pictures_eight_are_kept_and_the_rest_is_not_at_fault(home: Path, tmp_path: Path) -> None:
    demo_clip.save(demo_clip.enrolment_pictures(BYSTANDER, 10, 10), tmp_path / "enrol")
    done = _run(home, "enroll", "sam", "--images", tmp_path / "enrol")
    said = "8 images kept, 10 pictures looked at: the 8 that differ most in pose are enough of 10 good ones"
    assert said in done.stdout
    _run(home, "people", "remove", "sam", "--yes")


def test_a_single_picture_earns_a_warning_and_one_that_is_not_read_its_reason(home: Path, tmp_path: Path) -> None:
    demo_clip.save(demo_clip.enrolment_pictures(BYSTANDER, 1, 10), tmp_path / "enrol")
    done = _run(home, "enroll", "sam", "--images", tmp_path / "enrol")
    assert "sam enrolled: 1 image kept, 1 picture looked at\n" in done.stdout
    assert "warning: one picture shows one view in one light; about eight in several are better" in done.stderr
    _run(home, "people", "remove", "sam", "--yes")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    alone = _run(home, "enroll", "sam", "--images", tmp_path / "phone.heic", exit_code=9).stderr
    assert "  skipped phone.heic: a HEIC picture, which is not read here: convert it to JPEG\n" in alone


def test_a_face_already_enrolled_is_refused_under_another_name(home: Path, tmp_path: Path) -> None:
    demo_clip.save(demo_clip.enrolment_pictures(ROBIN, 4, 11), tmp_path / "enrol")
    assert "robin" in _run(home, "enroll", "alex", "--images", tmp_path / "enrol", exit_code=9).stderr


def test_a_replay_with_an_export_needs_no_gallery(home: Path, tmp_path: Path) -> None:
    """Whoever may not export from the door can still replay with a file that was given."""
    demo_clip.save(demo_clip.enrolment_pictures(ROBIN, 8, 1), tmp_path / "clip")
    _run(home, "people", "export", tmp_path / "people.facelatch", "--plain")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    text = (home / "facelatch.toml").read_text(encoding="utf-8")
    (elsewhere / "facelatch.toml").write_text(text.replace(str(home), str(elsewhere)), encoding="utf-8")
    given = _replay(elsewhere, tmp_path / "clip", "--people", tmp_path / "people.facelatch")
    assert given == _replay(home, tmp_path / "clip")
    assert any(record.get("person") == "robin" for record in given)


def test_verify_explains_a_photograph_of_a_real_person(home: Path, tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data", reason="scikit-image has the portrait of an astronaut")
    portrait = tmp_path / "astronaut.png"
    cv2.imwrite(str(portrait), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR))
    assert "NO: not_recognised" in _run(home, "verify", portrait, exit_code=1).stdout
    assert "warning: one picture" in _run(home, "enroll", "eileen", "--images", portrait).stderr
    assert "MATCH eileen" in _run(home, "verify", portrait).stdout
    _run(home, "people", "remove", "eileen", "--yes")


PORTRAIT_PX = {"half the visitor's size": 75.0, "the visitor's size": 150.0}


@pytest.mark.parametrize("size", PORTRAIT_PX)
def test_beside_a_portrait_ten_of_ten_visits_are_granted(home: Path, tmp_path: Path, size: str) -> None:
    """It hangs there before the first visitor comes, has its own visit, and is counted no more."""
    portrait = demo_clip.Pose(x_px=545, y_px=120, face_px=PORTRAIT_PX[size])
    demo_clip.save(_beside_a_portrait(ROBIN, STRANGER, portrait, visits=10), tmp_path / "clip")
    records = _replay(home, tmp_path / "clip")
    assert _granted(records) == ["robin"] * 10
    assert [record.get("event") for record in records].count("visit.refused") == 1


def _beside_a_portrait(visitor: str, painted: str, portrait: demo_clip.Pose, *, visits: int) -> Iterator[Image]:
    """Three seconds of the portrait alone, then each time a visit of three seconds and three without anybody."""
    rng = np.random.default_rng(12)
    scene = demo_clip.porch(rng)
    hung, bust = (demo_bust.make_bust(demo_bust.load_face(name), demo_bust.LOOKS[name]) for name in (painted, visitor))
    seconds = 3 * demo_clip.RATE_FPS
    for _ in range(seconds):
        yield demo_clip.draw(scene, [(hung, portrait)], rng)
    for _ in range(visits):
        for pose in [*demo_clip.visit(seconds, rng), *[None] * seconds]:
            people = [(hung, portrait), *([(bust, pose)] if pose is not None else [])]
            yield demo_clip.draw(scene, people, rng)
