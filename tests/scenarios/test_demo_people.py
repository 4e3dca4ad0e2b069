"""The bundled faces of nobody: the finders see them, the quality gate lets them pass, the model tells them apart."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import demo_bust
import demo_clip
import numpy as np
import pytest

from facelatch.adapters.models.finder_cascade import CascadeFinder
from facelatch.app import build, model_files
from facelatch.config.file import Config
from facelatch.config.shipped import shipped_file
from facelatch.line import stills
from facelatch.line.match import match
from facelatch.line.pipeline import Line
from facelatch.values.observations import Judged, Verdict
from facelatch.values.pictures import Face, Image
from facelatch.values.records import Gallery, Person
from facelatch.vision.references import embed_reference

NAMES = tuple(demo_bust.LOOKS)
SEED = 11
PICTURES = 8

needs_models = pytest.mark.skipif(
    not (
        model_files.siamese_path(Config().model).is_file() and shipped_file("models", "finder.tflite").is_file()
    ),
    reason="models/siamese.tflite or models/finder.tflite is not there",
)


@dataclass(frozen=True)
class Drawn:
    """Pictures of one person: some to enrol from, some of a visit in another light."""

    enrolment: list[Image]
    visit: list[Image]
    poses: list[demo_clip.Pose]
    """Of the visit."""


@pytest.fixture(scope="module")
def drawn() -> dict[str, Drawn]:
    """Everybody at the door."""
    return {name: _drawn(name, SEED + number) for number, name in enumerate(NAMES)}


def _drawn(name: str, seed: int) -> Drawn:
    rng = np.random.default_rng(seed)
    scene = demo_clip.porch(rng)
    bust = demo_bust.make_bust(demo_bust.load_face(name), demo_bust.LOOKS[name])
    near = list(demo_clip.visit(40, rng))[12:34]
    poses = near[:: len(near) // PICTURES][:PICTURES]
    visit = [demo_clip.draw(scene, [(bust, pose)], rng) for pose in poses]
    return Drawn(list(demo_clip.enrolment_pictures(name, PICTURES, seed)), visit, poses)


@pytest.fixture(scope="module")
def line() -> Line:
    """The line as shipped."""
    return build.build_line(Config())


@pytest.fixture(scope="module")
def judged(drawn: dict[str, Drawn], line: Line) -> dict[str, tuple[list[Judged], list[Judged]]]:
    """What the line makes of everybody's pictures, those to enrol from and those of the visit."""
    return {
        name: (_judged(line, pictures.enrolment), _judged(line, pictures.visit))
        for name, pictures in drawn.items()
    }


def _judged(line: Line, pictures: list[Image]) -> list[Judged]:
    nobody = Gallery(
        {}, (), np.zeros((0, line.verifier.embed(np.zeros((112, 112, 3), np.uint8)).size), np.float32)
    )
    seen = [stills.observe_image(line, picture, nobody) for picture in pictures]
    return [one for one in seen if isinstance(one, Judged)]


def test_every_face_is_a_small_aligned_picture() -> None:
    assert {path.stem for path in demo_bust.PEOPLE.iterdir()} == set(NAMES)
    for name in NAMES:
        assert demo_bust.load_face(name).shape == (112, 112, 3)
        assert (demo_bust.PEOPLE / f"{name}.png").stat().st_size < 30_000


def test_no_two_frames_are_equal_even_when_nobody_is_there() -> None:
    frames = list(demo_clip.clip([(None, 0.4), (NAMES[0], 0.4)], SEED))
    assert not any(np.array_equal(one, other) for one, other in itertools.combinations(frames, 2))


def test_the_same_seed_draws_the_same_clip() -> None:
    one, other = (list(demo_clip.clip([(NAMES[0], 0.3)], SEED)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_cascade_finds_the_face_and_nothing_else(name: str, drawn: dict[str, Drawn]) -> None:
    finder = CascadeFinder(Config().finder.score_threshold)
    for picture, pose in zip(drawn[name].visit, drawn[name].poses, strict=True):
        faces = finder.find(np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5), dtype=np.uint8))
        assert len(faces) == 1
        assert _is_at(faces[0], pose, scale=0.5)


@needs_models
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_finder_finds_the_face_and_nothing_else(
    name: str, drawn: dict[str, Drawn], line: Line
) -> None:
    for picture, pose in zip(drawn[name].visit, drawn[name].poses, strict=True):
        faces = line.finder.find(picture)
        assert len(faces) == 1
        assert _is_at(faces[0], pose, scale=1.0)


@needs_models
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_picture_is_good_enough_to_judge(
    name: str, judged: dict[str, tuple[list[Judged], list[Judged]]]
) -> None:
    enrolment, visit = judged[name]
    assert (len(enrolment), len(visit)) == (PICTURES, PICTURES)


@needs_models
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_model_knows_everybody_and_takes_nobody_for_somebody_else(
    name: str, judged: dict[str, tuple[list[Judged], list[Judged]]], line: Line
) -> None:
    everybody = _gallery(line, judged)
    verdicts = [_verdict(line, probe, everybody) for probe in judged[name][1]]
    matched = [verdict.person.name for verdict in verdicts if verdict.matched and verdict.person is not None]
    assert set(matched) == {name}
    assert len(matched) >= 0.75 * PICTURES


@needs_models
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_model_refuses_whoever_is_not_enrolled(
    name: str, judged: dict[str, tuple[list[Judged], list[Judged]]], line: Line
) -> None:
    others = _gallery(line, {other: seen for other, seen in judged.items() if other != name})
    assert not [verdict for probe in judged[name][1] if (verdict := _verdict(line, probe, others)).matched]


def _is_at(face: Face, pose: demo_clip.Pose, *, scale: float) -> bool:
    middle = face.box.x + face.box.width / 2, face.box.y + face.box.height / 2
    expected = pose.x_px * scale, pose.y_px * scale
    near = np.hypot(*np.subtract(middle, expected)) < 0.3 * pose.face_px * scale
    return bool(near and 0.6 < face.box.width / (pose.face_px * scale) < 1.6)


def _gallery(line: Line, judged: dict[str, tuple[list[Judged], list[Judged]]]) -> Gallery:
    people = {number: Person(number, name) for number, name in enumerate(judged, start=1)}
    rows = [
        (number, embed_reference(line.verifier.embed, one.crop))
        for number, (seen, _) in enumerate(judged.values(), start=1)
        for one in seen
    ]
    owners, embeddings = zip(*rows, strict=True)
    return Gallery(people, owners, np.stack(embeddings))


def _verdict(line: Line, probe: Judged, gallery: Gallery) -> Verdict:
    return match(line.verifier.compare(probe.embedding, gallery.embeddings), gallery, line.thresholds)
