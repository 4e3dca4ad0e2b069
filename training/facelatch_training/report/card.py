"""The model card: what a model is, was made of, does, and does not do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from facelatch.vision.manifest import Manifest
from facelatch_training.files import replacing
from facelatch_training.judge.metrics import reliability
from facelatch_training.judge.rates import in_words
from facelatch_training.report.at_a_door import door_lines
from facelatch_training.report.cohort_card import cohort_lines
from facelatch_training.report.gather import Findings
from facelatch_training.report.hard_card import hard_lines

LIMITS = (
    "It tells people apart, not a face from a picture of one: that is asked of another network, see liveness.md. "
    "Where this matters, add a second factor.",
    "Visits are simulated from still photographs of unseen people, as still and as varied visits; a camera "
    "at a real door, its light and its people have to be measured there (`facelatch-train evaluate --people`).",
    "Relatives and small children are confused far more often than strangers; see the row `relatives` and, for whole "
    "visits, `far_per_attempt_relatives`.",
    "Faces turned to a side are told apart worse than straight ones; see `turned`.",
    "The half of a face under a mask or scarf carries much of what the network knows; see `half-face`.",
    "The people in the training data are not a fair sample of mankind; rates for any one group may be worse.",
)
"""What holds whatever the figures say."""

SLICE_WORDS = {
    "whole": "the pictures as they are",
    "relatives": "impostors of the same family only",
    "turned": "only probes whose head is turned to a side, about 20 degrees or more",
    "dark": "probe at an eighth of the light, with shot noise",
    "blur": "probe moved by 7 px",
    "small": "probe reduced to a face about 30 px wide",
    "half-face": "lower half of the probe covered",
    "grey": "probe without colour",
    "misaligned": "landmarks off by 3 px, 5 degrees, 5 %",
}


PICTURE = "det.svg"
"""The curve's file, which stands beside the card."""


def write_card(findings: Findings, path: Path) -> Path:
    """The model card as a file, and its picture beside it. Raises TrainingError when they cannot be written."""
    with replacing(path.with_name(PICTURE)) as partial:
        partial.write_text(findings.det, encoding="utf-8")
    with replacing(path) as partial:
        partial.write_text(model_card(findings), encoding="utf-8")
    return path


def model_card(findings: Findings) -> str:
    """`models/README.md`: what the model does at a door, how it judges, what it does not do, how it was made."""
    manifest = findings.manifest
    lines = [
        f"# {findings.model}",
        "",
        *(
            []
            if manifest.opens_doors
            else ["**A toy: trained on made data. The daemon refuses to open a door with it.**", ""]
        ),
        *door_lines(manifest, findings.slices),
        *_curve_lines(findings),
        *_slice_lines(findings),
        *hard_lines(manifest.extra.get("hard")),
        "## Known limits",
        "",
        *(f"- {limit}" for limit in LIMITS),
        "",
        *cohort_lines(manifest.cohort),
        *(_folded("Every figure of single comparisons", _evaluation_lines(findings))),
        *_folded("Every rate in the manifest", _rate_lines(manifest)),
        *_folded("Where it comes from", _origin_lines(findings)),
        *(["", *findings.finder] if findings.finder else []),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _folded(title: str, lines: list[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "</details>", ""]


def _curve_lines(findings: Findings) -> list[str]:
    judged = findings.evaluation
    beside = ", a public network on the same crops beside it" if findings.peer else ""
    return [
        "## How it tells people apart",
        "",
        f"![share of genuine comparisons missed, by the share of strangers taken for somebody]({PICTURE})",
        "",
        f"Single comparisons of {judged.pictures:,} pictures of {judged.identities} people"
        + (", none of whom it has seen" if findings.unseen else ", **whom it may have been trained on**")
        + f"{beside}. The band is the 95 % interval, by resampling people; the dot is where the door's threshold is "
        "set. A door asks for several detections, in several pictures, before it opens.",
        "",
    ]


def _origin_lines(findings: Findings) -> list[str]:
    manifest = findings.manifest
    return [
        "A Siamese network: int8 embedding tower, L1 distance, sigmoid; signatures `embed`, `compare`, `verify`. "
        f"Input: aligned RGB crops of 112x112 (alignment version {manifest.align_version}); embedding of "
        f"{manifest.embedding_size} numbers; {findings.size_bytes / 1e6:.2f} MB.",
        "",
        f"- data and terms: {manifest.data}",
        f"- detection threshold {manifest.detection_threshold:.4f}, verification threshold "
        f"{manifest.verification_threshold:.4f}",
        f"- sha256 `{manifest.model_sha256}`",
        f"- recipe `{manifest.recipe_sha256[:16]}`, commit {manifest.commit}, made {manifest.created}",
        "- this page was written by `facelatch-train report`; no figure in it is edited by hand",
        "",
        *_recipe_lines(findings.recipe),
    ]


def _evaluation_lines(findings: Findings) -> list[str]:
    judged = findings.evaluation
    lines = [
        f"{judged.protocol}: {judged.pictures} pictures of {judged.identities} identities, "
        f"{judged.genuine:,} genuine and {judged.impostors:,} impostor comparisons, "
        + (
            "none of them trained on in its run"
            if findings.unseen
            else "**maybe trained on: the model does not tell**"
        )
        + (
            f"; accuracy on {judged.fold_pairs:,} balanced pairs in {judged.folds} folds"
            if judged.folds
            else ""
        )
        + ". Intervals: 95 %, bootstrap over identities.",
        "",
        f"    facelatch-train evaluate models/{findings.model} --data DATA",
        "",
        "| figure | value | interval |" + (" reference network, same crops |" if findings.peer else ""),
        "|---|---|---|" + ("---|" if findings.peer else ""),
    ]
    thresholded = {"precision", "recall", "fmr", "fnmr"}
    for name, figure in judged.figures.items():
        row = f"| {name} | {figure.value:.3%} | {figure.low:.3%} to {figure.high:.3%} |"
        if findings.peer is not None:
            other = findings.peer.figures.get(name)
            row += " |" if other is None or name in thresholded else f" {other.value:.3%} |"
        lines.append(row)
    note = (
        f"precision, recall, fmr and fnmr at {judged.threshold:.4f}, {judged.threshold_origin}; precision at"
    )
    note += f" one genuine to {judged.impostors / max(1, judged.genuine):,.0f} impostors."
    if findings.calibrated_here:
        note += " Half of these people chose that threshold; rates on the other half alone stand below."
    gap = reliability(judged.comparisons).error
    sentence = (
        "Read as a probability, with as many genuine as impostor comparisons, the similarity is on average "
    )
    sentence += f"{gap:.3f} off."
    return [*lines, "", note, "", sentence, ""]


def _slice_lines(findings: Findings) -> list[str]:
    whole, peer = findings.slices["whole"], findings.peer_slices
    fewer = [
        f"{name}: {findings.slices[name].genuine:,} and {findings.slices[name].impostors:,}"
        for name in ("relatives", "turned")
        if name in findings.slices
    ]
    lines = [
        "## Where it is better and worse",
        "",
        f"Spoiled probes against whole references, at the detection threshold; {whole.identities} identities, "
        f"{whole.genuine:,} genuine and {whole.impostors:,} impostor comparisons a slice"
        + (f" ({', '.join(fewer)})" if fewer else "")
        + ".",
        "",
        "| slice | what | FMR | FNMR | TAR at FAR 1e-3 |" + (" reference network's |" if peer else ""),
        "|---|---|---|---|---|" + ("---|" if peer else ""),
    ]
    for name, rates in findings.slices.items():
        cells = " | ".join(
            f"{figure.value:.3%} ({figure.low:.3%} to {figure.high:.3%})"
            for figure in (rates.fmr, rates.fnmr, rates.tar_at_1e3)
        )
        beside = f" {peer[name].tar_at_1e3.value:.3%} |" if peer else ""
        lines.append(f"| {name} | {SLICE_WORDS.get(name, '')} | {cells} |{beside}")
    return [*lines, ""]


def _rate_lines(manifest: Manifest) -> list[str]:
    lines: list[str] = []
    rates = manifest.rates
    about = manifest.extra.get("calibration", {})
    more = {name: about.get("asked", {}).get(name) for name in ("frr_varied", "frr_still", "seconds_to_grant")}
    targets = {**about.get("targets", {}), **{name: value for name, value in more.items() if value is not None}}
    if targets:
        lines += ["Asked for: " + ", ".join(f"{name} {value:g}" for name, value in targets.items()) + ".", ""]
    if not rates:
        return [*lines, "None yet: run `facelatch-train calibrate`.", ""]
    lines += ["| rate | value | interval | identities | comparisons | data |", "|---|---|---|---|---|---|"]
    for name, rate in rates.items():
        missing = rate.low is None or rate.high is None
        span = "" if missing else f"{in_words(name, rate.low)} to {in_words(name, rate.high)}"
        value = in_words(name, rate.value)
        lines.append(f"| {name} | {value} | {span} | {rate.identities} | {rate.comparisons:,} | {rate.data} |")
    return [*lines, ""]


def _recipe_lines(recipe: dict[str, Any]) -> list[str]:
    if not recipe:
        return []
    versions = ", ".join(f"{name} {version}" for name, version in recipe.get("versions", {}).items())
    return [
        f"Seed {recipe.get('seed')}, data fingerprint `{str(recipe.get('data'))[:16]}`, {versions}."
        + _beginning(recipe),
        "",
        "```json",
        json.dumps(recipe.get("recipe", {}), indent=1),
        "```",
        "",
    ]


def _beginning(recipe: dict[str, Any]) -> str:
    sentences = ""
    for key, words in (
        ("initial", "Fine-tuned, by the Siamese stage alone, from"),
        ("start_from", "The metric stage began with the tower of"),
        ("teacher", "Its teacher was"),
    ):
        if recipe.get(key):
            sentences += f" {words} a `{recipe[key]['file']}`, sha256 `{recipe[key]['sha256'][:16]}`."
    if recipe.get("finish_in"):
        sentences += f" It was told to finish in {recipe['finish_in']} steps."
    return sentences
