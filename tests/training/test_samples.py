"""The stream of samples: a function of the seed, whoever makes it, and no answer of a teacher about a spoilt crop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facelatch.errors import ConfigError
from facelatch_training.batches.makers import BatchMakers
from facelatch_training.batches.samples import Batch, MetricData, Samples
from facelatch_training.batches.teacher import graft, morph
from facelatch_training.data.crops import CROP_SIZE, MappedCrops
from facelatch_training.data.made_faces import draw_person
from facelatch_training.files import TrainingError
from facelatch_training.recipe import Recipe, load_recipe, tiny_recipe

PEOPLE, PICTURES = 6, 3
WIDTH = tiny_recipe().tower.core
CROPS = np.stack([draw_person(number // PICTURES, number % PICTURES) for number in range(PEOPLE * PICTURES)])
LABELS = np.repeat(np.arange(PEOPLE), PICTURES)
TEACHER_EMBEDDINGS = np.repeat(np.arange(1, len(CROPS) + 1, dtype=np.float32)[:, None], WIDTH, axis=1)
"""Of every crop something else, and never nothing."""
NO_MORPHS = np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)


def data(with_teacher: bool = True, shards: np.ndarray | None = None) -> MetricData:
    return MetricData(
        crops=CROPS,
        labels=LABELS,
        teacher=TEACHER_EMBEDDINGS if with_teacher else None,
        morphs=NO_MORPHS,
        morph_teacher=None,
        shards=shards,
    )


def recipe(mild: float = 1.0, grey: float = 0.0, seed: int = 7, **metric: object) -> Recipe:
    tiny = tiny_recipe()
    return tiny.model_copy(
        update={
            "seed": seed,
            "augment": tiny.augment.model_copy(update={"mild": mild, "grey": grey}),
            "metric": tiny.metric.model_copy(update=metric),
        }
    )


def batch(samples: Samples, number: int, size: int = 16) -> Batch:
    images = np.empty((size, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    return images, *samples.fill(images, number)


def test_the_stream_depends_on_the_seed_and_the_batch_alone() -> None:
    first, names, _ = batch(Samples(data(), recipe()), 4)
    second, same_names, _ = batch(Samples(data(), recipe()), 4)
    assert np.array_equal(first, second)
    assert np.array_equal(names, same_names)
    other, _, _ = batch(Samples(data(), recipe(seed=8)), 4)
    assert not np.array_equal(first, other)


def test_one_pass_of_the_stream_shows_every_crop_once() -> None:
    _, labels, teacher = batch(Samples(data(), recipe()), 0, len(CROPS))
    assert sorted(labels[:, 0]) == sorted(LABELS)
    assert np.array_equal(np.unique(teacher, axis=0), np.unique(TEACHER_EMBEDDINGS, axis=0))


def test_a_pass_has_one_order_whichever_others_were_asked_for() -> None:
    fresh = [Samples(data(), recipe()).order(turn).tolist() for turn in range(4)]
    used = Samples(data(), recipe())
    for turn in (3, 2, 3, 0, 1, 2):
        assert used.order(turn).tolist() == fresh[turn]


def test_a_streamed_pass_visits_one_shard_after_the_other() -> None:
    shards = np.arange(len(CROPS)) % 2
    order = Samples(data(shards=shards), recipe()).order(0)
    assert np.count_nonzero(np.diff(shards[order])) == 1
    assert sorted(order) == list(range(len(CROPS)))


def test_a_teacher_that_is_there_is_asked_about_whole_pictures_and_not_about_spoilt_ones() -> None:
    for spoiling in ({"mild": 0.0}, {"grey": 1.0}):
        _, labels, teacher = batch(Samples(data(), recipe(live_teacher=True, morph_share=0.0, **spoiling)), 0)
        assert ((teacher[:, 0] - 1) // PICTURES == labels[:, 0]).all()
    _, labels, teacher = batch(Samples(data(), recipe(live_teacher=True, morph_share=0.0)), 0)
    assert labels.min() >= 0
    assert not teacher.any()


def test_new_faces_have_no_name_and_are_never_spoilt() -> None:
    grey = Samples(data(), recipe(grey=1.0, live_teacher=True, morph_share=0.5))
    images, labels, teacher = batch(grey, 0, 100)
    assert 0.3 < np.mean(labels < 0) < 0.7
    assert np.array_equal(labels[:, 0] < 0, ~teacher.any(axis=1))
    assert np.array_equal(labels[:, 0] < 0, (np.ptp(images, axis=3) > 0).any(axis=(1, 2)))


def test_without_a_teacher_or_with_shards_read_one_by_one_there_are_no_new_faces() -> None:
    for other in (data(with_teacher=False), data(shards=np.zeros(len(CROPS), np.int64))):
        _, labels, _ = batch(Samples(other, recipe(live_teacher=True, morph_share=0.9)), 0, 64)
        assert labels.min() >= 0


TWO = np.stack([np.full_like(CROPS[0], 10), np.full_like(CROPS[0], 200)])


@pytest.mark.parametrize("seed", range(8))
def test_a_graft_is_one_face_on_one_side_and_the_other_on_the_other(seed: int) -> None:
    made = graft(TWO, 0, 1, np.random.default_rng(seed))
    assert made.min() < 20
    assert made.max() > 190
    assert np.mean((made < 20) | (made > 190)) > 0.5


@pytest.mark.parametrize("seed", range(8))
def test_a_morph_is_both_faces_everywhere(seed: int) -> None:
    made = morph(TWO, 0, 1, np.random.default_rng(seed))
    assert made.std() == 0
    assert 70 < made[0, 0, 0] < 140


def test_processes_make_the_batches_that_this_one_would(tmp_path: Path) -> None:
    np.save(tmp_path / "crops.npy", CROPS)
    mapped = MetricData(
        crops=MappedCrops(tmp_path / "crops.npy"),
        labels=LABELS,
        teacher=TEACHER_EMBEDDINGS,
        morphs=NO_MORPHS,
        morph_teacher=None,
    )
    samples = Samples(mapped, recipe(live_teacher=True, morph_share=0.3, mild=0.5))
    with closing(BatchMakers(samples, 16, 2)) as makers:
        for number in (0, 3, 1):
            for made, expected in zip(makers.make(number), batch(samples, number), strict=True):
                assert np.array_equal(made, expected)


def test_a_process_that_is_killed_is_a_clear_error() -> None:
    with closing(BatchMakers(Samples(data(), recipe()), 4, 1)) as makers:
        makers.make(0)
        (process,) = makers._pool._processes.values()
        process.kill()
        process.join()
        with pytest.raises(TrainingError, match="a process that makes batches has ended"):
            makers.make(1)


def test_an_interrupt_is_left_to_the_process_that_asked() -> None:
    with closing(BatchMakers(Samples(data(), recipe()), 4, 1)) as makers:
        makers.make(0)
        (process,) = makers._pool._processes.values()
        os.kill(process.pid, signal.SIGINT)
        assert len(makers.make(1)[0]) == 4


def test_a_stage_that_asks_for_no_batch_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", pytest.fail)
    BatchMakers(Samples(data(), recipe()), 1 << 20, 2).close()


PARENT = """
import sys, time
sys.path[:0] = {paths}
if __name__ == "__main__":
    import test_samples as t
    makers = t.BatchMakers(t.Samples(t.data(), t.recipe()), 4, 2)
    makers.make(0)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_killed_run_leaves_no_processes_behind(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(paths=[str(Path(__file__).parent)]))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.send_signal(signal.SIGKILL)
        # The pipe ends with the last process that holds it.
        rest, _ = parent.communicate(timeout=60)
        assert rest == ""


def test_too_little_shared_memory_is_told_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(64, 63, 1))
    makers = BatchMakers(Samples(data(), recipe()), 16, 2)
    with pytest.raises(TrainingError, match="1 MB needed for batches, 0 MB free") as caught:
        makers.make(0)
    assert "processes = false" in str(caught.value.hint)


def test_processes_that_would_each_read_all_shards_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text("processes = true\nstream = true\n")
    with pytest.raises(ConfigError, match=r"as a whole: .*processes = true does not go with stream = true"):
        load_recipe(file)
