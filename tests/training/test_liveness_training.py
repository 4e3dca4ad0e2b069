"""Living faces: what is rendered, what is never learnt from, how error rates and thresholds are counted."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from facelatch.errors import InputError, ModelError
from facelatch.values.pictures import Box, Face, Frame
from facelatch.vision.liveness import VIEW_PX
from facelatch.vision.liveness_manifest import Level, LivenessManifest, load_liveness
from facelatch_training.liveness.data import views as drawing
from facelatch_training.liveness.data.batches import MOST_LOGIT, Batches, targets
from facelatch_training.liveness.data.camera import seen_by_camera
from facelatch_training.liveness.data.collect import ROUNDS, collect_round
from facelatch_training.liveness.data.pictures import Picture, family_of, read_pixels, read_table
from facelatch_training.liveness.data.prepare import Prepared
from facelatch_training.liveness.data.render import CANVAS_PX, present
from facelatch_training.liveness.data.teacher import FEATURE_COUNT, MAP_SHAPE
from facelatch_training.liveness.data.views import bare, mixed, read_material, scene_views, shares
from facelatch_training.liveness.judge import evaluate, rates, tables
from facelatch_training.liveness.judge.card import fill
from facelatch_training.liveness.judge.levels import LeftOut, level
from facelatch_training.liveness.model.fit import left_out_of
from facelatch_training.liveness.recipe import Recipe, load_recipe

REPO = Path(__file__).resolve().parents[2]


def recipe() -> Recipe:
    return load_recipe(REPO / "config" / "liveness.toml")


def small_recipe(**fit: int) -> Recipe:
    return recipe().model_copy(update={"fit": recipe().fit.model_copy(update=fit)})


def noise(high: int, wide: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (high, wide, 3), dtype=np.uint8)


def views(count: int = 40) -> Prepared:
    rng = np.random.default_rng(1)
    return Prepared(
        images=rng.integers(0, 256, (count, VIEW_PX, VIEW_PX, 3), dtype=np.uint8),
        live=np.arange(count, dtype=np.int8) % 2,
        kind=(np.arange(count, dtype=np.int8) + 1) % 2 * 2,
        teacher=np.full(count, 0.5, np.float32),
        features=rng.normal(size=(count, FEATURE_COUNT)).astype(np.float16),
        maps=rng.normal(size=(count, *MAP_SHAPE)).astype(np.float16),
        source=np.array(["nuaa", "nuaa", "made", "made"] * (count // 4)),
        fingerprint="x",
    )


@given(seed=st.integers(0, 40))
def test_a_made_attack_shows_the_face_where_its_box_says(seed: int) -> None:
    """Whatever is drawn: a picture of one size, the face's box about its middle, one of two kinds."""
    rng = np.random.default_rng(seed)
    made = present(noise(120, 100), Box(30, 30, 40, 50), noise(60, 80, 1), rng)
    assert made.image.shape == (CANVAS_PX, CANVAS_PX, 3)
    assert made.kind in ("print", "screen")
    centre = made.box.x + made.box.width / 2, made.box.y + made.box.height / 2
    assert all(CANVAS_PX * 0.1 < place < CANVAS_PX * 0.9 for place in centre)


def test_the_same_seed_makes_the_same_attack() -> None:
    """So that what was trained on can be made again."""
    one, two = (
        seen_by_camera(present(noise(120, 100), Box(30, 30, 40, 50), noise(60, 80), rng).image, rng)
        for rng in (np.random.default_rng(5), np.random.default_rng(5))
    )
    assert (one == two).all()


def test_padding_is_cut_off_and_never_the_face() -> None:
    """Rows that repeat the border's were made up; they tell attacks from the living in these data."""
    image = np.pad(noise(40, 40), ((10, 0), (0, 20), (0, 0)), mode="edge")
    cut, box = bare(image, Box(5, 15, 20, 20))
    assert cut.shape == (40, 40, 3)
    assert (box.x, box.y) == (5, 5)
    plain, box = bare(np.full((50, 50, 3), 9, np.uint8), Box(5, 5, 20, 20))
    assert plain.shape == (50, 50, 3)


def test_a_large_source_is_drawn_more_often_but_not_in_proportion() -> None:
    """One camera with a thousand pictures must not be all that is learnt."""
    drawn = shares([("large", True)] * 100 + [("small", True)] * 4)
    assert drawn.sum() == pytest.approx(1)
    assert drawn[:100].sum() / drawn[100:].sum() == pytest.approx(5)


def table(folder: Path, splits: list[str]) -> None:
    """A folder as the shared data are, of one picture a split."""
    columns = [
        "path",
        "shard",
        "label",
        "kind",
        "source",
        "person",
        "split",
        "context",
        "box",
        "detail",
        "pad_frac",
    ]
    with (
        (folder / "pictures.csv").open("w", newline="") as file,
        tarfile.open(folder / "a.tar", "w") as archive,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for number, split in enumerate(splits):
            name = f"{number}.png"
            row = dict.fromkeys(columns, "") | {
                "path": name,
                "shard": "a.tar",
                "label": "live",
                "source": split,
            }
            writer.writerow(row | {"split": split, "box": "10 10 30 30", "context": "yes"})
            stream = io.BytesIO()
            Pillow.fromarray(noise(60, 60, number)).save(stream, "png")
            info = tarfile.TarInfo(name)
            info.size = len(stream.getvalue())
            archive.addfile(info, io.BytesIO(stream.getvalue()))


def test_the_split_for_the_verdict_is_never_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owners allow nothing that ships to be derived from it: `prepare` reads the training split only."""
    (tmp_path / "liveness").mkdir()
    table(tmp_path / "liveness", ["judge", "train", "validation", "train"])
    monkeypatch.setattr(drawing, "read_scenes", lambda _folder: [])
    monkeypatch.setattr(drawing, "read_tar", lambda _path: iter(()))
    material = read_material(recipe(), tmp_path)
    assert {one.split for one in material.pictures} == {"train"}
    seen = [one for number in range(20) for one in scene_views(recipe(), material, drawing.REAL, number)]
    assert len(seen) == 20 * recipe().data.views_each
    assert {one.source for one in seen} == {"train"}


@given(seed=st.integers(0, 40))
def test_what_is_mixed_is_made_of_both_views(seed: int) -> None:
    """Each pixel lies between those of the two, but for rounding, or is one of them."""
    one, other = noise(VIEW_PX, VIEW_PX, 1), noise(VIEW_PX, VIEW_PX, 2)
    made = mixed(one, other, np.random.default_rng(seed)).astype(int)
    assert (made >= np.minimum(one, other).astype(int) - 1).all()
    assert (made <= np.maximum(one, other)).all()
    assert not (made == other).all()


def test_a_picture_that_is_in_no_shard_is_named(tmp_path: Path) -> None:
    """Half a download is told, not trained on."""
    table(tmp_path, ["train"])
    (picture,) = read_table(tmp_path)
    assert read_pixels(tmp_path, [picture])["0.png"].shape == (60, 60, 3)
    with tarfile.open(tmp_path / "a.tar", "w"):
        pass
    with pytest.raises(InputError, match=r"0\.png is missing"):
        read_pixels(tmp_path, [picture])


def test_sources_that_share_cameras_or_people_are_one_family() -> None:
    """What is left out has to be left out whole."""
    assert family_of("celeba_spoof_crop") == family_of("celeba_spoof_scene") == "celeba_spoof"
    assert family_of("student_a") == family_of("video_b") == "amateur"


def test_a_batch_shows_nothing_of_what_is_left_out() -> None:
    """However the views are distributed: as many attacks as living faces, and the same again for the same number."""
    data = views()
    data = replace(data, live=np.where(np.arange(40) < 8, -1, data.live).astype(np.int8))
    batches = Batches(data, small_recipe(batch=8, steps=3), left_out=("nuaa", "amateur"))
    images, wanted = batches[0]
    assert images.shape == (8, VIEW_PX, VIEW_PX, 3)
    assert len(batches) == 3
    assert wanted["logits"][:, 1].sum() == 6, "a quarter is known to nobody but the teacher"
    assert wanted["logits"][:, 0].sum() == 3
    assert wanted["features"].shape == (8, FEATURE_COUNT)
    assert wanted["maps"].shape == (8, *MAP_SHAPE)
    made = {image.tobytes() for image in data.images[data.source == "made"]}
    assert all(image.tobytes() in made for image in images)
    assert (batches[0][0] == images).all()


def test_the_targets_are_the_label_the_kind_and_the_teachers_logit() -> None:
    """A living face has no kind of attack, and what only the teacher judges has no label."""
    data = replace(
        views(4), live=np.array([0, 1, 0, -1], np.int8), teacher=np.array([0.5, 1, 0, 0.5], np.float32)
    )
    wanted = targets(data)
    assert wanted[:, 0].tolist() == [0, 1, 0, 0]
    assert wanted[:, 1].tolist() == [1, 1, 1, 0]
    assert wanted[:, 3].tolist() == [1, 0, 1, 0]
    assert wanted[:, 4].tolist() == [0, MOST_LOGIT, -MOST_LOGIT, 0]


scores = st.lists(st.integers(-5, 5), min_size=3, max_size=30).map(lambda one: np.array(one, np.float64))


@given(live=scores, attack=scores, share=st.sampled_from([0.0, 0.01, 0.05, 0.3]))
def test_rates_are_those_of_the_definition(live: np.ndarray, attack: np.ndarray, share: float) -> None:
    """At the threshold of a BPCER no more of the living are refused, and so with APCER; AUC counts pairs."""
    assert rates.bpcer(live, rates.threshold_at_bpcer(live, share)) <= share
    assert rates.apcer(attack, rates.threshold_at_apcer(attack, share)) <= share
    pairs = (live[:, None] > attack).mean() + 0.5 * (live[:, None] == attack).mean()
    assert rates.auc(live, attack) == pytest.approx(pairs)
    assert 0 <= rates.eer(live, attack) <= 1


def test_where_no_attack_passes_the_interval_says_how_little_that_proves() -> None:
    """Three over the number of people, not zero."""
    live, attack = np.full(20, 9.0), np.full(20, -9.0)
    people = np.array([str(number % 10) for number in range(20)])
    assert rates.interval(live, attack, (people, people), 0.05) == (0.0, 0.3)


def test_a_level_meets_its_target_on_the_mean_of_the_families() -> None:
    """A family of few pictures counts as much as one of many, and the cost to the living is told."""
    families = [
        LeftOut("few", np.array([1.0, 3.0]), np.array([0.0, 2.0])),
        LeftOut("many", np.full(100, 3.0), np.full(100, -1.0)),
    ]
    found = level(families, 0.25)
    assert found.apcer == 0.25
    assert 0.0 < found.threshold <= 2.0
    strict = level(families, 0.05)
    assert (strict.apcer, strict.bpcer) == (0.0, 0.25)


def test_the_table_has_the_peer_the_sum_and_padding_alone(tmp_path: Path) -> None:
    """Whoever does not beat `padding alone` has learnt nothing."""
    table(tmp_path, ["judge"] * 2)
    pictures = read_table(tmp_path)
    live = [pictures[0]] * 12
    attacks = [replace(pictures[1], live=False, kind="print", padding=0.5)] * 12
    live = [replace(one, padding=0.0) for one in live]
    found = evaluate.score(
        tmp_path, [*live, *attacks], {"own": lambda image, _: float(image[0, 0, 0]), "peer": lambda *_: 1.0}
    )
    assert list(found) == ["own", "peer", "sum", "padding alone"]
    rows = list(evaluate.rows([*live, *attacks], found))
    assert [row["of"] for row in rows[:5]] == ["all"] * 4 + ["kind print"]
    assert rows[3]["auc"] == 1.0
    assert "| all | own |" in evaluate.line(rows[0])


def test_what_is_unseen_are_the_families_left_out_and_sources_of_which_nothing_was_learnt(tmp_path: Path) -> None:
    """Each with its figures, by own network, peer and sum; the split for the verdict is not among them."""
    table(tmp_path, ["train"])
    (picture,) = read_table(tmp_path)

    def many(source: str, split: str) -> list[Picture]:
        return [replace(picture, source=source, split=split, live=n % 2 == 0) for n in range(24)]

    pictures = [*many("nuaa", "train"), *many("student", "train"), *many("video", "validation"), *many("x", "judge")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "read_table", lambda _folder: pictures)
        judges = {"own": lambda *_: 1.0, "peer": lambda *_: 2.0}
        found = tables.unseen(tmp_path, ("nuaa",), judges, echo=lambda _line: None)
    assert [one.family for one in found.own] == ["nuaa", "other sources"]
    assert [len(one.live) for one in found.summed] == [12, 12]
    assert [row["judge"] for row in found.rows] == ["own", "peer", "sum"] * 2


def measured() -> LivenessManifest:
    """A manifest with figures of everything."""
    some = Level(threshold=0.5, apcer=0.2, bpcer=0.1)
    rates_of = dict.fromkeys(evaluate.FIELDS, 0.25) | {"live": 10, "attack": 12}
    row = rates_of | {"of": "all", "judge": "own", "people": 3, "interval": (0.1, 0.4)}
    split = {"tight": [row], "tight, basic": {"apcer": 0.3, "bpcer": 0.1}, "tight, strict": {"apcer": 0, "bpcer": 1}}
    left_out = [rates_of | {"family": "nuaa", "pictures": "tight", "judge": one} for one in ("own", "peer", "sum")]
    return LivenessManifest(
        **{"format": 1, "kind": "liveness", "model_sha256": "0" * 64, "view_px": VIEW_PX, "looks": [2.7]},
        **{"seconds": 1, "pictures": 5, "basic": some, "strict": some, "data": "", "recipe_sha256": "", "commit": ""},
        **{"created": "", "figures": {"judge": split, "validation": split, "left out": left_out}},
    )


def test_the_cards_tables_are_the_manifests_figures(tmp_path: Path) -> None:
    """Between its marks, again and again the same; the words around them stay, and a missing mark is named."""
    card = tmp_path / "liveness.md"
    names = ("levels", "left out", "judge", "validation")
    card.write_text("".join(f"before {name}\n<!-- table: {name} -->\nstale\n<!-- end -->\n" for name in names))
    fill(card, measured())
    text = card.read_text()
    assert "stale" not in text
    assert all(f"before {name}\n<!-- table: {name} -->\n" in text for name in names)
    assert "| basic | 0.50 | 20.0% | 10.0% |" in text
    assert "| nuaa | tight | 10 / 12 | 0.250, 25.0% | 0.250, 25.0% | 0.250, 25.0% |" in text
    assert "- at `basic`, single looks: APCER 30.0%, BPCER 10.0%" in text
    fill(card, measured())
    assert card.read_text() == text
    card.write_text("nothing")
    with pytest.raises(InputError, match="levels"):
        fill(card, measured())


def test_a_run_that_saw_everything_sets_no_threshold(tmp_path: Path) -> None:
    """Thresholds come from sources that were left out."""
    with pytest.raises(InputError):
        left_out_of(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"left_out": ["nuaa"]}))
    assert left_out_of(tmp_path) == ("nuaa",)


def test_a_missing_or_foreign_model_is_refused(tmp_path: Path) -> None:
    """With exit code 4: no door runs on a network of which nobody knows what it was judged by."""
    model = tmp_path / "liveness.tflite"
    with pytest.raises(ModelError):
        load_liveness(model)
    model.write_bytes(b"no model")
    with pytest.raises(ModelError):
        load_liveness(model)
    (tmp_path / "liveness.json").write_text("{}")
    with pytest.raises(ModelError, match="not a liveness network"):
        load_liveness(model)
    assert ModelError.exit_code == 4


@pytest.mark.slow
def test_what_is_exported_answers_as_the_network_does(tmp_path: Path) -> None:
    """int8 against float, through the door's own adapter."""
    from facelatch.adapters.models.liveness_tflite import TfliteLiveness
    from facelatch_training.liveness.judge.levels import Levels
    from facelatch_training.liveness.model.export import export
    from facelatch_training.liveness.model.network import HintLoss, LivenessLoss, build_network, door_network

    network, data = build_network(recipe().network), views()
    network.compile("sgd", {"logits": LivenessLoss(), "features": HintLoss(), "maps": HintLoss()})
    network.fit(Batches(data, small_recipe(batch=8, steps=1)), verbose=0)
    any_level = Level(threshold=0.0, apcer=0.1, bpcer=0.1)
    path = export(network, recipe(), data, levels=Levels(any_level, any_level), out=tmp_path, commit="x")
    door = TfliteLiveness(path)
    views_seen = data.images[:8].astype(np.float32)
    wanted = np.asarray(door_network(network, recipe().network, recipe().fit.label_share)(views_seen, training=False))
    learnt = np.asarray(network(views_seen, training=False)["logits"])
    share = recipe().fit.label_share
    assert np.allclose(share * learnt[:, 0] + (1 - share) * learnt[:, 2], wanted[:, 0], atol=1e-4)
    assert np.abs(door.logits(data.images[:8]) - wanted).max() < 0.25 * max(1.0, np.abs(wanted).max())
    assert np.isfinite(door.look(noise(90, 90), Box(20, 20, 40, 40)).alive)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelError):
        TfliteLiveness(path)


@pytest.mark.slow
def test_training_goes_on_from_the_shipped_weights() -> None:
    """Which know nothing of a teacher's features: what they answer stays, whatever the share; another shape is told."""
    import keras

    from facelatch_training.liveness.model.fit import _begin_with
    from facelatch_training.liveness.model.network import build_network, door_network

    shipped = REPO / "models" / "liveness.keras"
    network, seen = build_network(recipe().network), views().images[:4].astype(np.float32)
    _begin_with(network, shipped)
    wanted = np.asarray(keras.models.load_model(shipped, compile=False)(seen, training=False))
    for share in (0.0, 0.3):
        answer = np.asarray(door_network(network, recipe().network, share)(seen, training=False))
        assert np.allclose(answer, wanted, atol=1e-4)
    wide = load_recipe(REPO / "config" / "liveness-wide.toml").network
    with pytest.raises(InputError, match="shape"):
        _begin_with(build_network(wide), shipped)


PARAM = """7767517
14 18
Input data 0 1 data 0=80 1=80 2=3
Convolution conv 1 1 data a 0=4 1=3 2=1 3=2 4=1 5=1 6=108
BatchNorm norm 1 1 a b 0=4
Scale scale 1 1 b c 0=4 1=1
PReLU prelu 1 1 c d 0=4
Split split 1 2 d e f
ConvolutionDepthWise deep 1 1 e g 0=4 1=3 2=1 3=1 4=1 5=0 6=36 7=4
Eltwise add 2 1 f g h 0=1 -23301=0
Split split2 1 2 h i j
Pooling pool 1 1 i k 0=1 1=40 2=40 3=0 4=0
Sigmoid gate 1 1 k l
Scale times 2 1 j l m 0=-233
Pooling pool2 1 1 m n 0=1 1=40 2=40 3=0 4=0
Flatten flat 1 1 n o
InnerProduct dense 1 1 o p 0=3 1=1 2=12
Softmax softmax 1 1 p softmax 0=0
"""


def ncnn_pair(folder: Path) -> None:
    """A pair of small networks with every kind of layer, in ncnn's files."""
    rng = np.random.default_rng(3)
    mark = np.zeros(1, np.float32)
    sizes = [-108, 4, 4, 4, 4, 4, 4, 4, 4, -36, -12, 3]
    parts = []
    for size in sizes:
        values = rng.uniform(0.2, 0.9, abs(size)).astype(np.float32) * (0.01 if size == -108 else 1)
        parts += [mark, values] if size < 0 else [values]
    for scale in ("2.7", "4.0"):
        (folder / f"minifasnet_{scale}.param").write_text(PARAM.replace("14 18", "16 18"))
        (folder / f"minifasnet_{scale}.bin").write_bytes(np.concatenate(parts).astype("<f4").tobytes())


@pytest.mark.slow
def test_a_converted_pair_answers_as_ncnn_does(tmp_path: Path) -> None:
    """Layer for layer; and a damaged pair is named, not used."""
    pytest.importorskip("ncnn")
    from facelatch.adapters.models.liveness_tflite import ExtraLiveness, Together
    from facelatch.values.liveness import Aliveness
    from facelatch_training.liveness.data.teacher import MiniFasNet
    from facelatch_training.liveness.model.convert import convert, read_ncnn

    ncnn_pair(tmp_path)
    extra = ExtraLiveness(convert(tmp_path, tmp_path / "extra.tflite"))
    peer, image, box = MiniFasNet(tmp_path), noise(200, 200), Box(60, 60, 40, 40)
    assert extra.share(image, box) == pytest.approx(peer.judge(image, box), abs=1e-4)

    class Sure:
        def look(self, image: np.ndarray, box: Box) -> Aliveness:
            return Aliveness(2.0, -1.0)

    share = peer.judge(image, box)
    both = Together(Sure(), extra).look(image, box)
    assert both.alive == pytest.approx(2.0 + np.log(share / (1 - share)), abs=0.05)
    cut = tmp_path / "minifasnet_4.0.bin"
    cut.write_bytes(cut.read_bytes()[:-40])
    with pytest.raises(InputError, match="minifasnet_4"):
        read_ncnn(cut.with_suffix(".param"))


def test_what_an_owner_collects_is_read_like_the_rest(tmp_path: Path) -> None:
    """Round after round: pictures about the face, with the box of the face in them."""
    box = Box(300, 200, 90, 120)

    class Once:
        def __init__(self) -> None:
            self.frames = [Frame(noise(480, 640, number), noise(4, 4), number / 8, number) for number in range(9)]

        def read(self) -> Frame | None:
            return self.frames.pop(0) if self.frames else None

        def close(self) -> None: ...

    class Finds:
        def find(self, image: np.ndarray) -> list[Face]:
            return [Face(box, np.zeros((5, 2), np.float32), 0.9)]

        def find_near(self, image: np.ndarray, region: Box) -> list[Face]:
            return self.find(image)

    for wanted in (ROUNDS[0], ROUNDS[2]):
        count = collect_round(Once(), Finds(), tmp_path, wanted, person="ada", seconds=9.0, say=lambda _line: None)
        assert count == 5, "one in two: frames closer together are nearly the same"
    pictures = read_table(tmp_path)
    assert [(one.live, one.kind, one.family) for one in pictures] == [(True, "", "amateur")] * 5 + [
        (False, "print", "amateur")
    ] * 5
    pixels = read_pixels(tmp_path, pictures)
    assert all(max(image.shape[:2]) <= 200 for image in pixels.values())
    assert pictures[0].box.width / pictures[0].box.height == pytest.approx(90 / 120, abs=0.02)
