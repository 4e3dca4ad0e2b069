"""The network: small enough for the door, honest about its parts, and the same after saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

import keras  # noqa: E402
from training_doubles import REPO, ramp  # noqa: E402

from facelatch.errors import ConfigError  # noqa: E402
from facelatch_training.model.cost import multiply_adds  # noqa: E402
from facelatch_training.model.layers import FusedNorm, L1Distance  # noqa: E402
from facelatch_training.model.siamese import build_head, build_siamese, load_siamese  # noqa: E402
from facelatch_training.model.tower import (  # noqa: E402
    LIKENESS_STRENGTH,
    LONGEST,
    MAGNITUDE_STRENGTH,
    SHORTEST,
    before_lengths,
    before_turn,
    begin_core,
    build_core,
    centre_tower,
    core_of,
    level_covers,
    set_lengths,
    unit_length,
    widen_tower,
)
from facelatch_training.recipe import Recipe, load_recipe, recipe_hash, tiny_recipe  # noqa: E402

TINY = tiny_recipe().tower


@pytest.fixture(scope="module")
def siamese() -> keras.Model:
    keras.utils.set_random_seed(0)
    tower = widen_tower(build_core(TINY), TINY.embedding)
    return build_siamese(tower, build_head(TINY.embedding))


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["training.toml", "training-gpu.toml", "training-hard.toml"])
def test_the_shipped_recipes_fit_the_door(name: str) -> None:
    recipe = load_recipe(REPO / "config" / name)
    tower = widen_tower(build_core(recipe.tower), recipe.tower.embedding, mirror=recipe.tower.mirror)
    assert tower.count_params() < 2_400_000
    assert multiply_adds(tower) < 350e6


def test_the_shipped_network_loads_and_embeds_as_it_always_did() -> None:
    """It names a module that is no more, `facelatch_training.network`: it is loaded by registered names."""
    tower = load_siamese(REPO / "models" / "siamese.keras").get_layer("tower")
    (embedding,) = np.asarray(tower(ramp(112, 112)[None], training=False))
    assert embedding.shape == (384,)
    assert embedding[:4] == pytest.approx([-0.03957, -0.01214, 0.03455, -0.04337], abs=1e-4)
    assert np.abs(embedding).sum() == pytest.approx(13.9813, abs=1e-2)


def test_embeddings_have_unit_length_and_the_recipe_s_size(siamese: keras.Model) -> None:
    embeddings = np.asarray(siamese.get_layer("tower")(crops(4), training=False))
    assert embeddings.shape == (4, TINY.embedding)
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.fixture(scope="module")
def mirroring() -> keras.Model:
    return widen_tower(build_core(TINY), TINY.embedding, mirror=True)


def test_widening_keeps_every_angle(siamese: keras.Model) -> None:
    tower, some = siamese.get_layer("tower"), crops(5)
    wide = np.asarray(tower(some, training=False))
    narrow = np.asarray(core_of(tower)(some, training=False))
    assert narrow.shape == (5, TINY.core)
    assert wide @ wide.T == pytest.approx(narrow @ narrow.T, abs=1e-4)


def test_a_mirroring_tower_keeps_every_angle_between_the_means_of_both_sides(mirroring: keras.Model) -> None:
    core, some = core_of(mirroring), crops(5)
    wide = np.asarray(mirroring(some, training=False))
    mean = np.asarray(core(some, training=False)) + np.asarray(core(some[:, :, ::-1], training=False))
    narrow = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    assert wide @ wide.T == pytest.approx(narrow @ narrow.T, abs=1e-4)


def test_to_a_mirroring_tower_a_mirrored_crop_is_the_same_for_twice_the_arithmetic(
    siamese: keras.Model, mirroring: keras.Model
) -> None:
    some = crops(3)
    assert np.asarray(mirroring(some[:, :, ::-1], training=False)) == pytest.approx(
        np.asarray(mirroring(some, training=False)), abs=1e-5
    )
    assert 1.9 < multiply_adds(mirroring) / multiply_adds(siamese.get_layer("tower")) < 2


def test_a_centred_tower_puts_the_mean_of_its_people_at_nothing() -> None:
    keras.utils.set_random_seed(0)
    tower, some = widen_tower(build_core(TINY), TINY.embedding), crops(7)
    unit = np.asarray(before_turn(tower)(some, training=False))
    centre_tower(tower, unit.mean(axis=0))
    off = unit - unit.mean(axis=0)
    off /= np.linalg.norm(off, axis=1, keepdims=True)
    wide = np.asarray(tower(some, training=False))
    assert wide @ wide.T == pytest.approx(off @ off.T, abs=1e-4)


def test_a_levelled_tower_does_not_see_what_all_covered_faces_share() -> None:
    """Two directions are taken out: along them nothing is left, across them all is as it was."""
    keras.utils.set_random_seed(0)
    tower, rng = widen_tower(build_core(TINY), TINY.embedding), np.random.default_rng(0)
    mean, shifts = rng.normal(size=TINY.core) / 9, rng.normal(size=(2, TINY.core))
    centre_tower(tower, mean)
    before = np.asarray(tower.get_layer("widen").kernel)
    level_covers(tower, shifts.astype(np.float32))
    kernel, bias = (np.asarray(weight) for weight in tower.get_layer("widen").weights)
    assert shifts @ kernel == pytest.approx(0, abs=1e-5)
    across = np.linalg.svd(shifts)[2][2:]
    assert across @ kernel == pytest.approx(across @ before, abs=1e-5)
    assert bias == pytest.approx(-mean @ kernel, abs=1e-5)


def set_lengths_by(tower: keras.Model, some: np.ndarray) -> None:
    set_lengths(tower, np.asarray(before_lengths(tower)(some, training=False)))


def length_of(tower: keras.Model, unit: np.ndarray, magnitudes: np.ndarray) -> np.ndarray:
    """By the layers of the tower, for vectors that no crop gives."""
    likeness = tower.get_layer("likeness")(tower.get_layer("kinds")(unit))
    raw_length = tower.get_layer("length")(np.hstack([likeness, magnitudes]))
    return np.asarray(tower.get_layer("bounded_length")(raw_length))


def test_lengths_vary_around_one_and_directions_stay() -> None:
    keras.utils.set_random_seed(0)
    tower, some = widen_tower(build_core(TINY), TINY.embedding), crops(60)
    before = np.asarray(tower(some, training=False))
    set_lengths_by(tower, some)
    after = np.asarray(tower(some, training=False))
    length = np.linalg.norm(after, axis=1)
    assert after / length[:, None] == pytest.approx(before, abs=1e-5)
    assert length.mean() == pytest.approx(1, abs=1e-3)
    assert LIKENESS_STRENGTH - MAGNITUDE_STRENGTH < length.std() < LIKENESS_STRENGTH + MAGNITUDE_STRENGTH


def test_the_magnitude_is_what_the_core_divides_by() -> None:
    keras.utils.set_random_seed(0)
    tower, some = widen_tower(build_core(TINY), TINY.embedding), crops(3)
    core = core_of(tower)
    whole = np.asarray(keras.Model(core.input, core.get_layer("core").input)(some, training=False))
    features = np.asarray(before_lengths(tower)(some, training=False))
    assert features[:, -1] == pytest.approx(np.linalg.norm(whole, axis=1))
    assert features[:, :-1] == pytest.approx(np.asarray(before_turn(tower)(some, training=False)))


def test_whoever_is_like_many_others_gets_a_longer_embedding_and_so_does_a_clear_face() -> None:
    tower, rng = widen_tower(build_core(TINY), TINY.embedding), np.random.default_rng(0)
    kinds = np.abs(rng.normal(size=(20, TINY.core)))  # all in one corner of the space
    people = np.repeat(kinds, 10, axis=0) + rng.normal(scale=0.1, size=(200, TINY.core))
    others = rng.normal(size=(50, TINY.core))
    people, others = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (people, others))
    magnitudes = rng.normal(10, 2, size=(200, 1))
    set_lengths(tower, np.hstack([people, magnitudes]).astype(np.float32))
    same = np.full((50, 1), 10.0)
    assert length_of(tower, people[:50], same).min() > length_of(tower, others, same).max()
    assert length_of(tower, others, same - 9).min() == pytest.approx(SHORTEST), "near to everybody"
    assert length_of(tower, people[:50], same + 99).max() == pytest.approx(LONGEST)
    clearer = length_of(tower, people[:50], same + 2) - length_of(tower, people[:50], same)
    assert clearer == pytest.approx(MAGNITUDE_STRENGTH, rel=0.2)


def test_covered_faces_are_kinds_of_face_too_and_so_are_asked_for_more() -> None:
    rng = np.random.default_rng(0)
    bare, covered = rng.normal(size=(200, TINY.core)), rng.normal(size=TINY.core) + rng.normal(0, 0.3, (200, TINY.core))
    bare, covered = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (bare, covered))
    magnitudes = rng.normal(10, 2, size=(200, 1))
    lengths = []
    for kinds in (None, np.hstack([covered, magnitudes]).astype(np.float32)):
        tower = widen_tower(build_core(TINY), TINY.embedding)
        set_lengths(tower, np.hstack([bare, magnitudes]).astype(np.float32), kinds)
        lengths.append(length_of(tower, covered[:50], np.full((50, 1), 10.0)).mean())
    assert lengths[1] > lengths[0] + 0.01


def test_the_lengths_of_few_faces_are_bounded_for_others_too() -> None:
    keras.utils.set_random_seed(0)
    tower, some = widen_tower(build_core(TINY), TINY.embedding), crops(3)
    set_lengths_by(tower, some)
    length = np.linalg.norm(np.asarray(tower(crops(60), training=False)), axis=1)
    assert length.min() > SHORTEST - 1e-4
    assert length.max() < LONGEST + 1e-4


def test_inside_unit_length_lengths_are_one_and_afterwards_they_are_back() -> None:
    keras.utils.set_random_seed(0)
    tower, some = widen_tower(build_core(TINY), TINY.embedding), crops(40)
    set_lengths_by(tower, some)
    before = np.asarray(tower(some, training=False))
    with unit_length(tower):
        inside = np.linalg.norm(np.asarray(tower(some, training=False)), axis=1)
        assert inside == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(np.asarray(tower(some, training=False)), before)


def test_a_tower_with_further_blocks_begins_as_the_one_it_grew_from_and_learns_in_them() -> None:
    keras.utils.set_random_seed(0)
    saved, some = build_core(TINY), crops(8)
    taller = TINY.model_copy(update={"blocks": tuple(number + 1 for number in TINY.blocks)})
    grown = begin_core(taller, saved)
    assert grown is not None
    assert grown.count_params() > saved.count_params()
    before = np.asarray(saved(some, training=False))
    assert np.asarray(grown(some, training=False)) == pytest.approx(before, abs=1e-5)
    grown.compile(optimizer="sgd", loss="mse")
    grown.fit(some, np.random.default_rng(0).normal(size=before.shape), epochs=2, verbose=0)
    assert np.abs(np.asarray(grown.get_layer(f"stage1_{TINY.blocks[0]}_b_norm").gamma)).max() > 0


@pytest.mark.parametrize(
    "other",
    [{"blocks": (2,)}, {"widths": (8, 16), "blocks": (1, 1)}, {"widths": (16,)}, {"head": 8}],
    ids=["fewer blocks", "a stage more", "wider", "with a head"],
)
def test_a_tower_of_another_shape_is_not_begun(other: dict[str, Any]) -> None:
    start = TINY.model_copy(update={"widths": (8,), "blocks": (3,), "head": 0})
    assert begin_core(start.model_copy(update=other), build_core(start)) is None


def test_one_probe_meets_every_reference() -> None:
    anchor, others = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [4.0, 2.5]])
    distance = np.asarray(L1Distance()(anchor, others))
    assert distance == pytest.approx(np.array([[0.0, 2.0], [3.0, 0.5]]))


def test_a_crop_is_itself_and_similarity_has_no_order(siamese: keras.Model) -> None:
    some = crops(6)
    same = np.asarray(siamese([some, some], training=False))
    one_way = np.asarray(siamese([some[:3], some[3:]], training=False))
    other_way = np.asarray(siamese([some[3:], some[:3]], training=False))
    assert (same > 0.9).all()
    assert one_way == pytest.approx(other_way, abs=1e-5)
    assert (one_way <= same[:3]).all()


def test_a_saved_model_loads_to_the_same_similarities(siamese: keras.Model, tmp_path: Path) -> None:
    siamese.save(tmp_path / "siamese.keras")
    again = keras.saving.load_model(tmp_path / "siamese.keras", compile=False)
    some = crops(4)
    expected = np.asarray(siamese([some[:2], some[2:]], training=False))
    assert np.asarray(again([some[:2], some[2:]], training=False)) == pytest.approx(expected, abs=1e-6)


def test_unknown_and_wrong_keys_are_named_together(tmp_path: Path) -> None:
    path = tmp_path / "training.toml"
    path.write_text("speed = 3\n[tower]\nwidths = [8]\nblocks = [1, 2]\n[metric]\nrate = -1\n")
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert all(word in str(caught.value) for word in ("speed = 3", "tower", "metric.rate = -1", str(path)))


def test_the_hash_of_a_recipe_follows_its_values_alone() -> None:
    assert recipe_hash(Recipe()) == recipe_hash(Recipe())
    assert recipe_hash(Recipe()) != recipe_hash(Recipe(seed=8))


def test_who_makes_the_batches_is_no_part_of_a_recipe_s_hash() -> None:
    assert recipe_hash(Recipe(workers=16, processes=True)) == recipe_hash(Recipe())


@pytest.mark.parametrize("training", [True, False])
def test_the_fused_norm_does_what_keras_s_own_does(training: bool) -> None:
    rng = np.random.default_rng(0)
    features = tf.constant(rng.normal(1, 3, (8, 16, 16, 4)), tf.float32)
    weights = [rng.uniform(0.5, 2, 4), rng.normal(size=4), rng.normal(size=4), rng.uniform(0.5, 2, 4)]
    results = []
    for norm in (FusedNorm(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)):
        norm.build(features.shape)
        norm.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(features)
            out = norm(features, training=training)
            loss = tf.reduce_mean(out**3)
        gradients = tape.gradient(loss, [features, norm.gamma.value, norm.beta.value])
        results.append([np.asarray(value) for value in (out, *gradients, *norm.get_weights())])
    for ours, theirs in zip(*results, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)
