"""From a Keras model to the file at the door: one TFLite file, three signatures, int8 tower, float head.

The head stays float on purpose: a quantized `compare` is twenty times slower over a large gallery, and
rounding an embedding once more only to subtract it loses accuracy. The tower has a static batch of one,
without which the runtimes fall back to their slow kernels.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from pydantic import ValidationError

from facelatch.errors import InputError, ModelError
from facelatch.vision.align import ALIGN_VERSION
from facelatch.vision.manifest import SIGNATURES, Manifest
from facelatch_training.batches.pairs import Rows
from facelatch_training.data.crops import CROP_SIZE, CropArray, Crops
from facelatch_training.fitting.fit import embed as embed_crops
from facelatch_training.fitting.validation import Yardstick
from facelatch_training.model.siamese import refuse_other_alignment
from facelatch_training.model.tower import core_of
from facelatch_training.recipe import TOY_NAME, Recipe, load_recipe, recipe_hash

CALIBRATION_CROPS = 300
HEADROOM = 1.3
"""How much wider the ranges are made: they are means over pictures, and half of all pictures reach further. On 600
training crops the mean and the least cosine between int8 and float were 0.9951 and 0.968 without, 0.9967 and 0.983 at
1.15, 0.9968 and 0.987 at 1.3, 0.9963 and 0.990 at 1.5.
"""
MAX_LOSS = 0.002
"""Accuracy on the yardstick's pairs that int8 may lose against float."""
CHANCE_PAIRS = 10
"""Or so many pairs, where there are few: a lost pair more or less is chance."""
MIN_COSINE = 0.99
"""Mean cosine between one crop's embeddings in two runtimes; below, one of them computes something else."""
MIN_INT8_COSINE = 0.98
"""The same between int8 and float, which few people are enough to see; 0.997 to 0.999 are usual for a trained
tower.
"""
MAX_LENGTH_OFF = 0.01
"""Share by which the mean length of embeddings may be off, between int8 and float, or between two runtimes."""
RUNTIMES = ("ai-edge-litert", "tflite-runtime")


def to_tflite(tower: keras.Model, head: keras.Model) -> bytes:
    """The float TFLite file with the signatures embed, compare and verify."""
    import tensorflow as tf

    width = int(tower.output.shape[-1])
    image = tf.TensorSpec((1, CROP_SIZE, CROP_SIZE, 3), tf.uint8)
    embedding, gallery = tf.TensorSpec((1, width), tf.float32), tf.TensorSpec((None, width), tf.float32)

    def named(spec: Any, name: str) -> Any:
        return tf.TensorSpec(spec.shape, spec.dtype, name=name)

    def embed(image: Any) -> Any:
        return {"embedding": tower(image, training=False)}

    def compare(probe: Any, gallery: Any) -> Any:
        return {"similarity": head([probe, gallery], training=False)}

    def verify(anchor: Any, validation: Any) -> Any:
        sides = [tower(anchor, training=False), tower(validation, training=False)]
        return {"similarity": head(sides, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(tower)
    archive.track(head)
    archive.add_endpoint("embed", embed, [named(image, "image")])
    archive.add_endpoint("compare", compare, [named(embedding, "probe"), named(gallery, "gallery")])
    archive.add_endpoint("verify", verify, [named(image, "anchor"), named(image, "validation")])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["embed", "compare", "verify"]
        )
        return bytes(converter.convert())


def even_out_head(tower: keras.Model, crops: CropArray) -> None:
    """Let every channel of the head reach as far as any other on `crops` (N, 112, 112, 3), and the pooling's weights
    undo it: the tower embeds as before.

    In int8 all channels share one scale, in which one that reaches a tenth as far is rounded ten times as coarsely;
    pooling stays float, so undoing it costs nothing. On 600 training crops the mean cosine between int8 and float was
    0.9957 before, 0.9968 after. A tower without a head is left as it is.
    """
    core = core_of(tower)
    if not any(layer.name == "head_relu" for layer in core.layers):
        return
    features = keras.Model(core.input, core.get_layer("head_relu").output)
    reach = features.predict(crops, verbose=0).max(axis=(1, 2)).mean(axis=0)
    reach = np.maximum(reach, reach.mean() / 10)  # one that is silent on these crops may speak on others
    norm, pool = core.get_layer("head_norm"), core.get_layer("pool_conv")
    norm.gamma.assign(norm.gamma / reach)
    norm.beta.assign(norm.beta / reach)
    pool.kernel.assign(pool.kernel * reach[:, None])


def quantize_tower(model: bytes, crops: CropArray, pairs: tuple[Rows, Rows]) -> bytes:
    """Int8 weights and activations for every convolution and every sum; all else stays float.

    Pooling and projection are a thousandth of the arithmetic, and in int8 they cost more than all the rest: on a tower
    of 95 M multiply-adds the mean cosine to the float embedding was 0.979 with them, 0.999 without.

    `crops` (N, 112, 112, 3) are training crops that set the ranges; `pairs` their row numbers for `verify`.
    """
    from ai_edge_quantizer import qtyping, quantizer

    names = qtyping.TFLOperationName
    maker = quantizer.Quantizer(model)
    for operation in (names.CONV_2D, names.ADD):
        maker.add_static_config(".*", operation, activation_num_bits=8, weight_num_bits=8)
    sides = zip(*pairs, strict=True)
    ranges = maker.calibrate(
        {
            "embed": [{"image": crop[None]} for crop in crops],
            "verify": [{"anchor": crops[a][None], "validation": crops[b][None]} for a, b in sides],
        }
    )
    for span in ranges.values():
        for end in ("min", "max"):
            span[end] = span[end] * HEADROOM
    return bytes(maker.quantize(ranges).quantized_model)


def calibration_crops(crops: Crops, seed: int) -> CropArray:
    """A seeded handful of training crops for the ranges."""
    rng = np.random.default_rng([seed, 0x716E74])
    rows = rng.choice(len(crops), min(CALIBRATION_CROPS, len(crops)), replace=False)
    return np.stack([crops[int(row)] for row in np.sort(rows)])  # shard by shard, should they be streamed


@dataclass(frozen=True)
class Parity:
    """How the int8 file compares with the Keras model it came from, on the yardstick."""

    float_figures: dict[str, float]
    int8_figures: dict[str, float]
    cosine: float
    """Mean cosine between the float and the int8 embedding of a crop."""
    runtimes: dict[str, str]
    """Per runtime its version and the largest difference of an embedding from the first runtime's."""


@dataclass(frozen=True)
class Origin:
    """What a model was made by and of, as far as its run folder tells."""

    recipe: Recipe
    recipe_sha256: str
    trained_on: str | None
    """Fingerprint of the crop set whose training part it saw; None when there is no run folder to tell."""


def origin_of(model: Path, recipe_file: Path | None) -> Origin:
    """The origin of `model` (siamese.keras) by the run folder it lies in.

    `recipe_file` stands in where no `recipe.json` lies beside the model. Raises InputError when neither is
    there or they disagree, ModelError for a run that belongs to another version of this program.
    """
    path = model.with_name("recipe.json")
    given = None if recipe_file is None else load_recipe(recipe_file)
    if not path.is_file():
        if given is None:
            raise InputError(
                f"{path}: not there, so nobody knows which recipe made {model.name}",
                hint="export the siamese.keras of a run folder, or name the recipe with --recipe",
            )
        return Origin(given, recipe_hash(given), None)
    found = json.loads(path.read_text(encoding="utf-8"))
    refuse_other_alignment(model)
    if given is not None and recipe_hash(given) != found["recipe_sha256"]:
        raise InputError(
            f"{path}: recipe_sha256 is {found['recipe_sha256'][:12]}, that of {recipe_file} is "
            f"{recipe_hash(given)[:12]}",
            hint="leave out --recipe: the run knows its own",
        )
    try:
        recipe = given or Recipe.model_validate(found["recipe"])
    except ValidationError as error:
        raise ModelError(
            f"{path}: not a recipe of this version: {error.errors()[0]['loc']}", hint="name it with --recipe"
        ) from error
    return Origin(recipe, found["recipe_sha256"], found["data"])


def about_model(origin: Origin, data: str) -> dict[str, Any]:
    """What the manifest says of a model's origin; `data` in one sentence."""
    return {
        "data": data,
        "recipe_sha256": origin.recipe_sha256,
        "opens_doors": origin.recipe.name != TOY_NAME,
        "extra": {"trained_on": origin.trained_on},
    }


def export(
    siamese: keras.Model,
    crops: Crops,
    yardstick: Yardstick,
    target: Path,
    about: dict[str, Any],
    seed: int,
    calibrate: Callable[[Path], None] | None = None,
) -> Parity:
    """Write `target` (`siamese.tflite`) and the manifest beside it, both or neither.

    `crops` are training crops; `about` are fields of the manifest, see `about_model`.
    `calibrate` sets thresholds and rates in the manifest of the file it is given, or raises; without it the
    thresholds are the yardstick's, there are no rates, and no door opens. Raises ModelError when int8 loses
    more than MAX_LOSS of accuracy or embeds otherwise than float, or a runtime cannot run the file or makes
    something else of it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    tower, head = siamese.get_layer("tower"), siamese.get_layer("head")
    some = calibration_crops(crops, seed)
    half = len(some) // 8
    pairs = (np.arange(half), np.arange(half, 2 * half))
    even_out_head(tower, some)
    model = quantize_tower(to_tflite(tower, head), some, pairs)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        draft = Path(folder) / target.name
        draft.write_bytes(model)
        _write_manifest(draft, model, int(tower.output.shape[-1]), about, threshold=0.5)
        parity = compare_with_float(draft, siamese, yardstick)
        threshold = float(np.clip(parity.int8_figures["threshold@0.0001"], 1e-6, 1 - 1e-6))
        _write_manifest(draft, model, int(tower.output.shape[-1]), about, threshold)
        if calibrate is not None:
            calibrate(draft)
        draft.replace(target)
        draft.with_suffix(".json").replace(target.with_suffix(".json"))
    return parity


def compare_with_float(model: Path, siamese: keras.Model, yardstick: Yardstick) -> Parity:
    """Run the file in every runtime there is and judge it. Raises ModelError when it is not good enough."""
    tower, head = siamese.get_layer("tower"), siamese.get_layer("head")
    exact = embed_crops(tower, yardstick.crops)
    rounded, runtimes = _in_all_runtimes(model, yardstick.crops)
    parity = Parity(
        yardstick.judge(exact, head),
        yardstick.judge(rounded, head),
        _mean_cosine(exact, rounded),
        runtimes,
    )
    lost = parity.float_figures["accuracy"] - parity.int8_figures["accuracy"]
    allowed = max(MAX_LOSS, CHANCE_PAIRS / len(yardstick.pairs.same))
    if lost > allowed:
        raise ModelError(
            f"int8 loses {100 * lost:.2f} points of pair accuracy, {100 * allowed:.2f} are allowed",
            hint="more calibration crops, or train longer with a lower final rate",
        )
    if not parity.cosine >= MIN_INT8_COSINE:  # also for embeddings that are no numbers
        raise ModelError(
            f"int8 embeds otherwise than float: mean cosine {parity.cosine:.3f}, {MIN_INT8_COSINE} is the least",
            hint="more calibration crops, or train longer with a lower final rate",
        )
    _refuse_other_lengths(rounded, exact, "int8 against float")
    return parity


def _in_all_runtimes(model: Path, crops: CropArray) -> tuple[Any, dict[str, str]]:
    """Embeddings by the first runtime, and what every runtime said. A process each: two in one may clash.

    tflite-runtime ends with Python 3.11: where it cannot be had it is said to be unchecked.
    """
    first: Any = None
    said: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        crops_file, answer = Path(folder) / "crops.npy", Path(folder) / "answer.npy"
        for runtime in RUNTIMES:
            if runtime == "tflite-runtime" and sys.version_info >= (3, 12):
                said[runtime] = (
                    f"{runtime} NOT CHECKED: there is none for this Python; export under 3.11 to check"
                )
                continue
            np.save(crops_file, crops if first is None else crops[:64])
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "facelatch_training.runtime_check",
                    runtime,
                    model,
                    crops_file,
                    answer,
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise ModelError(f"{runtime} cannot run {model.name}: {done.stderr.strip()[-500:]}")
            embeddings = np.load(answer)
            first = embeddings if first is None else first
            gap = float(np.abs(first[: len(embeddings)] - embeddings).max())
            alike = _mean_cosine(first[: len(embeddings)], embeddings)
            if not alike >= MIN_COSINE:  # also for embeddings that are no numbers
                raise ModelError(
                    f"{runtime} and {RUNTIMES[0]} disagree about {model.name}: mean cosine {alike:.3f}",
                    hint="is one of the two runtimes damaged? pip install --force-reinstall " + runtime,
                )
            _refuse_other_lengths(embeddings, first[: len(embeddings)], f"{runtime} against {RUNTIMES[0]}")
            said[runtime] = f"{done.stdout.strip()}, largest difference {gap:.4f}"
    return first, said


def _refuse_other_lengths(one: Any, other: Any, what: str) -> None:
    """Raises ModelError when embeddings (N, D) are longer or shorter by the one than by the other."""
    off = float(np.mean(np.linalg.norm(one, axis=1)) / np.mean(np.linalg.norm(other, axis=1)) - 1)
    if not abs(off) <= MAX_LENGTH_OFF:  # also for embeddings that are no numbers
        raise ModelError(
            f"{what}: embeddings are {100 * off:+.1f} % off in length, {100 * MAX_LENGTH_OFF:.0f} % are allowed",
            hint="more calibration crops; or is a runtime damaged?",
        )


def _mean_cosine(one: Any, other: Any) -> float:
    """Mean cosine between the rows of two (N, D); not a number where a row is nothing or no numbers."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.mean(np.sum(one * other, axis=1) / lengths))


def _write_manifest(model: Path, data: bytes, width: int, about: dict[str, Any], threshold: float) -> None:
    manifest = Manifest(
        format=1,
        kind="siamese",
        model_sha256=hashlib.sha256(data).hexdigest(),
        align_version=ALIGN_VERSION,
        embedding_size=width,
        signatures={n: {"inputs": [*i], "outputs": [*o]} for n, (i, o) in SIGNATURES.items()},
        detection_threshold=threshold,
        verification_threshold=0.5,
        rates={},
        commit=code_commit(),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **about,
    )
    text = json.dumps(manifest.model_dump(mode="json"), indent=2)
    model.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def code_commit() -> str:
    """The commit of the code that exported, `-dirty` when the tree differs, or `unknown` outside of a
    checkout.
    """
    here = Path(__file__).parent
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
