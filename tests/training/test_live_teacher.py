"""The teacher as a layer: the same network as ncnn's, read from the same two files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from facelatch.errors import InputError  # noqa: E402
from facelatch_training.batches.live_teacher import LiveTeacher  # noqa: E402
from facelatch_training.batches.teacher import EMBEDDING_SIZE, Teacher  # noqa: E402
from facelatch_training.data.made_faces import draw_person, write_crop_set  # noqa: E402
from facelatch_training.fitting.material import load_material  # noqa: E402
from facelatch_training.fitting.metric import build_metric_model  # noqa: E402
from facelatch_training.fitting.workflow import train  # noqa: E402
from facelatch_training.model.tower import build_core  # noqa: E402
from facelatch_training.recipe import tiny_recipe  # noqa: E402

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "reference"


def pictures(count: int) -> np.ndarray:
    return np.stack([draw_person(number, 0) for number in range(count)])


def every_other_mirrored(ncnn: Teacher, crops: np.ndarray) -> np.ndarray:
    return np.stack([ncnn.embed(crop[:, ::-1] if row % 2 else crop) for row, crop in enumerate(crops)])


def test_it_answers_as_ncnn_does_for_one_side_and_the_other_by_turns(small_teacher: Path) -> None:
    some = pictures(5)
    expected = every_other_mirrored(Teacher(small_teacher), some)
    assert np.std(expected @ expected.T) > 0.001
    assert np.asarray(LiveTeacher(small_teacher)(some)) == pytest.approx(expected, abs=1e-3)


def test_the_reference_network_answers_as_in_ncnn() -> None:
    if not REFERENCE.is_dir():
        pytest.skip("no ../shared/data/reference beside the repository")
    some = pictures(4)
    expected = every_other_mirrored(Teacher(REFERENCE), some)
    assert np.asarray(LiveTeacher(REFERENCE)(some)) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("cut", [1, 4, 600])
def test_weights_that_are_cut_short_are_refused(small_teacher: Path, cut: int) -> None:
    weights = small_teacher / "mobilefacenet.bin"
    weights.write_bytes(weights.read_bytes()[:-cut])
    with pytest.raises(InputError, match="ends too early"):
        LiveTeacher(small_teacher)


def test_weights_of_another_kind_are_refused(small_teacher: Path) -> None:
    weights = small_teacher / "mobilefacenet.bin"
    weights.write_bytes(b"\x47\x6b\x30\x01" + weights.read_bytes()[4:])
    with pytest.raises(InputError, match="not in 32 bits"):
        LiveTeacher(small_teacher)


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("PReLU relu 1 1 norm relu 0=4", "Swish relu 1 1 norm relu"),
        ("4=1 14=1 5=0 6=108", "4=1 14=1 5=1 6=108"),
        ("4=1 14=1 5=0 6=108", "4=1 14=1 9=1 6=108"),
        ("4=1 14=1 5=0 6=108", "4=1 14=1 2=2 6=108"),
        ("5=0 6=36 7=4", "5=0 6=36 7=2"),
        ("sum 0=0", "sum 0=3"),
        ("Split split 1 2 relu left right", "Split split"),
    ],
)
def test_layers_of_another_network_are_refused_with_their_line(
    small_teacher: Path, line: str, instead: str
) -> None:
    layers = small_teacher / "mobilefacenet.param"
    layers.write_text(layers.read_text().replace(line, instead))
    with pytest.raises(InputError, match=r"mobilefacenet.param:\d+: not a layer of MobileFaceNet"):
        LiveTeacher(small_teacher)


@pytest.mark.parametrize("name", ["mobilefacenet.bin", "mobilefacenet.param"])
def test_files_that_ncnn_cannot_read_are_named(small_teacher: Path, name: str) -> None:
    damaged = small_teacher / name
    damaged.write_bytes(damaged.read_bytes()[:-600])
    with pytest.raises(InputError, match=f"{name}: not read by ncnn"):
        Teacher(small_teacher)


def test_layers_that_are_cut_short_are_refused(small_teacher: Path) -> None:
    layers = small_teacher / "mobilefacenet.param"
    layers.write_text("\n".join(layers.read_text().splitlines()[:-1]))
    with pytest.raises(InputError, match="ends too early"):
        LiveTeacher(small_teacher)


def test_it_is_heard_only_where_no_other_answer_is_known(small_teacher: Path) -> None:
    recipe = tiny_recipe()
    core = build_core(recipe.tower.model_copy(update={"core": EMBEDDING_SIZE}))
    live, some = LiveTeacher(small_teacher), pictures(4)
    model = build_metric_model(core, recipe.metric, 4, None, live)
    answers = np.zeros((4, EMBEDDING_SIZE), np.float32)
    answers[2:, 0] = 1
    losses = model({"image": some, "label": np.zeros((4, 1), np.int32), "teacher": answers}, training=False)
    target = np.where(answers.any(axis=1, keepdims=True), answers, np.asarray(live(some)))
    expected = 1 - np.sum(np.asarray(core(some, training=False)) * target, axis=1)
    assert np.asarray(losses["distill"])[:, 0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_a_run_with_a_live_teacher_in_processes_comes_closer_to_it(
    small_teacher: Path, tmp_path: Path
) -> None:
    tiny = tiny_recipe()
    recipe = tiny.model_copy(
        update={
            "processes": True,
            "tower": tiny.tower.model_copy(
                update={"core": EMBEDDING_SIZE, "blocks": (1,), "widths": (8,), "head": 0}
            ),
            "metric": tiny.metric.model_copy(
                update={"live_teacher": True, "distill_weight": 20.0, "steps": 60, "morph_share": 0.3}
            ),
            "siamese": tiny.siamese.model_copy(update={"steps": 2, "round_steps": 2}),
        }
    )
    material = load_material(write_crop_set(tmp_path / "set"), tmp_path / "cache")
    train(material, tmp_path / "run", recipe, tmp_path / "cache", teacher=small_teacher)
    lines = (tmp_path / "run" / "metric.csv").read_text().splitlines()
    gaps = [float(line.split(",")[lines[0].split(",").index("distill")]) for line in lines[1:]]
    assert gaps[0] > 0.5, "the teacher was not heard"
    assert gaps[-1] < 0.95 * gaps[0]
