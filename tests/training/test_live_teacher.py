"""The teacher as a layer: the same network as ncnn's, read from the same two files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from facelatch.errors import InputError  # noqa: E402
from facelatch_training.live_teacher import LiveTeacher  # noqa: E402
from facelatch_training.made_faces import draw_person, write_crop_set  # noqa: E402
from facelatch_training.metric import build_metric_model  # noqa: E402
from facelatch_training.network import build_core  # noqa: E402
from facelatch_training.recipe import tiny_recipe  # noqa: E402
from facelatch_training.teacher import EMBEDDING_SIZE, Teacher  # noqa: E402
from facelatch_training.workflow import load_material, train  # noqa: E402

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "reference"

PARAM = f"""7767517
13 14
Input data 0 1 data
BinaryOp minus 1 1 data minus 0=1 1=1 2=127.5
BinaryOp times 1 1 minus times 0=2 1=1 2=0.0078125
Convolution conv 1 1 times conv 0=4 1=3 11=3 3=8 13=8 4=1 14=1 5=0 6=108
BatchNorm norm 1 1 conv norm 0=4
PReLU relu 1 1 norm relu 0=4
Split split 1 2 relu left right
ConvolutionDepthWise deep 1 1 left deep 0=4 1=3 11=3 3=1 13=1 4=1 14=1 5=0 6=36 7=4
BinaryOp sum 2 1 deep right sum 0=0
ConvolutionDepthWise half 1 1 sum half 0=4 1=3 11=3 3=2 13=2 4=1 14=1 5=0 6=36 7=4
ConvolutionDepthWise pool 1 1 half pool 0=4 1=7 11=7 3=1 13=1 4=0 14=0 5=0 6=196 7=4
InnerProduct line 1 1 pool line 0={EMBEDDING_SIZE} 1=1 2={4 * EMBEDDING_SIZE}
BatchNorm fc1 1 1 line fc1 0={EMBEDDING_SIZE}
"""
"""Every kind of layer that MobileFaceNet has."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small network of random weights."""
    rng, mark = np.random.default_rng(0), np.zeros(1, np.float32)

    def norm(width: int) -> list[np.ndarray]:
        return [rng.uniform(0.5, 2, width), rng.normal(size=width), rng.uniform(0.5, 2, width), rng.normal(size=width)]

    arrays = [
        *(mark, rng.normal(size=108), *norm(4), rng.uniform(0, 0.5, 4)),
        *(mark, rng.normal(size=36), mark, rng.normal(size=36), mark, rng.normal(size=196)),
        *(mark, rng.normal(size=4 * EMBEDDING_SIZE), rng.normal(size=EMBEDDING_SIZE), *norm(EMBEDDING_SIZE)),
    ]
    home = tmp_path / "teacher"
    home.mkdir()
    (home / "mobilefacenet.param").write_text(PARAM)
    (home / "mobilefacenet.bin").write_bytes(np.concatenate(arrays).astype("<f4").tobytes())
    return home


def pictures(count: int) -> np.ndarray:
    return np.stack([draw_person(number, 0) for number in range(count)])


def every_other_mirrored(ncnn: Teacher, crops: np.ndarray) -> np.ndarray:
    return np.stack([ncnn.embed(crop[:, :: 1 - 2 * (row % 2)]) for row, crop in enumerate(crops)])


def test_it_answers_as_ncnn_does_for_one_side_and_the_other_by_turns(folder: Path) -> None:
    some = pictures(5)
    expected = every_other_mirrored(Teacher(folder), some)
    assert np.std(expected @ expected.T) > 0.001
    assert np.asarray(LiveTeacher(folder)(some)) == pytest.approx(expected, abs=1e-3)


def test_the_reference_network_answers_as_in_ncnn() -> None:
    if not REFERENCE.is_dir():
        pytest.skip("no ../shared/data/reference beside the repository")
    some = pictures(4)
    expected = every_other_mirrored(Teacher(REFERENCE), some)
    assert np.asarray(LiveTeacher(REFERENCE)(some)) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("cut", [1, 4, 600])
def test_weights_that_are_cut_short_are_refused(folder: Path, cut: int) -> None:
    weights = folder / "mobilefacenet.bin"
    weights.write_bytes(weights.read_bytes()[:-cut])
    with pytest.raises(InputError, match="ends too early"):
        LiveTeacher(folder)


def test_weights_of_another_kind_are_refused(folder: Path) -> None:
    weights = folder / "mobilefacenet.bin"
    weights.write_bytes(b"\x47\x6b\x30\x01" + weights.read_bytes()[4:])
    with pytest.raises(InputError, match="not in 32 bits"):
        LiveTeacher(folder)


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
def test_layers_of_another_network_are_refused_with_their_line(folder: Path, line: str, instead: str) -> None:
    (folder / "mobilefacenet.param").write_text(PARAM.replace(line, instead))
    with pytest.raises(InputError, match=r"mobilefacenet.param:\d+: not a layer of MobileFaceNet"):
        LiveTeacher(folder)


@pytest.mark.parametrize("name", ["mobilefacenet.bin", "mobilefacenet.param"])
def test_files_that_ncnn_cannot_read_are_named(folder: Path, name: str) -> None:
    damaged = folder / name
    damaged.write_bytes(damaged.read_bytes()[:-600])
    with pytest.raises(InputError, match=f"{name}: not read by ncnn"):
        Teacher(folder)


def test_layers_that_are_cut_short_are_refused(folder: Path) -> None:
    (folder / "mobilefacenet.param").write_text("\n".join(PARAM.splitlines()[:-1]))
    with pytest.raises(InputError, match="ends too early"):
        LiveTeacher(folder)


def test_it_is_heard_only_where_no_other_answer_is_known(folder: Path) -> None:
    recipe = tiny_recipe()
    core = build_core(recipe.tower.model_copy(update={"core": EMBEDDING_SIZE}))
    live, some = LiveTeacher(folder), pictures(4)
    model = build_metric_model(core, recipe.metric, 4, None, live)
    known = np.zeros((4, EMBEDDING_SIZE), np.float32)
    known[2:, 0] = 1
    found = model({"image": some, "label": np.zeros((4, 1), np.int32), "teacher": known}, training=False)
    target = np.where(known.any(axis=1, keepdims=True), known, np.asarray(live(some)))
    expected = 1 - np.sum(np.asarray(core(some, training=False)) * target, axis=1)
    assert np.asarray(found["distill"])[:, 0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_a_run_with_a_live_teacher_in_processes_comes_closer_to_it(folder: Path, tmp_path: Path) -> None:
    tiny = tiny_recipe()
    recipe = tiny.model_copy(
        update={
            "processes": True,
            "tower": tiny.tower.model_copy(update={"core": EMBEDDING_SIZE, "blocks": (1,), "widths": (8,), "head": 0}),
            "metric": tiny.metric.model_copy(
                update={"live_teacher": True, "distill_weight": 20.0, "steps": 60, "morph_share": 0.3}
            ),
            "siamese": tiny.siamese.model_copy(update={"steps": 2, "round_steps": 2}),
        }
    )
    material = load_material(write_crop_set(tmp_path / "set"), tmp_path / "cache")
    train(material, tmp_path / "run", recipe, tmp_path / "cache", teacher=folder)
    lines = (tmp_path / "run" / "metric.csv").read_text().splitlines()
    gaps = [float(line.split(",")[lines[0].split(",").index("distill")]) for line in lines[1:]]
    assert gaps[0] > 0.5, "the teacher was not heard"
    assert gaps[-1] < 0.95 * gaps[0]
