"""The face finder's part of the model card, from the figures in its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facelatch.vision.finder_manifest import FinderManifest, load_finder_manifest

_RATE = "0.1"
"""False faces per picture at which recall is told."""


def finder_card(model: Path) -> list[str]:
    """Lines of Markdown on `model` (finder.tflite); none where there is no such file. Raises ModelError."""
    if not model.is_file():
        return []
    manifest: FinderManifest = load_finder_manifest(model)
    lines = [
        f"## {model.name}",
        "",
        "A one-stage int8 network: box, five landmarks and score at 320x240 and 160x120; a second one that sharpens "
        f"the landmarks on the aligned crop; {model.stat().st_size / 1e6:.2f} MB.",
        "",
        f"- data and terms: {manifest.data}",
        f"- score threshold {manifest.score_threshold:.3f}: one false face in ten validation pictures",
        f"- sha256 `{manifest.model_sha256}`",
        f"- recipe `{manifest.recipe_sha256[:16]}`, commit {manifest.commit[:12]}, made {manifest.created}",
        "",
        "    facelatch-train finder evaluate --data DATA --teacher YUNET.onnx",
        "",
        f"Recall at {_RATE} false faces per picture by face height in px; NME is the landmark error as a share of "
        "the eye distance. Truth: labels of YuNet made steady; more of both in `finder.md`.",
        "",
    ]
    for name in ("scenes", "clips"):
        if name in manifest.figures:
            lines += _recall_table(name, manifest.figures[name])
    return [*lines, *_more(manifest.figures)]


def _recall_table(name: str, finders: dict[str, Any]) -> list[str]:
    sizes = list(next(iter(finders.values()))["recall"])
    head = " | ".join(f"recall {size}" for size in sizes)
    lines = [
        f"| {name} | pictures | faces | {head} | NME median | NME mean |",
        "|---" * (5 + len(sizes)) + "|",
    ]
    for finder, figures in finders.items():
        recall = " | ".join(f"{figures['recall'][size][_RATE]:.1%}" for size in sizes)
        error = figures.get("nme_percent")  # a finder without landmarks has none
        nme = f"{error['median']:.1f} % | {error['mean']:.1f} %" if error else "- | -"
        pictures, faces = figures["images"], sum(figures["faces"].values())
        lines.append(f"| {finder} | {pictures} | {faces} | {recall} | {nme} |")
    return [*lines, ""]


def _more(figures: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for finder, time in figures.get("time", {}).items():
        ratio = f"{time['of_yunet']:.2f} of YuNet's" if finder != "yunet" else "the measure"
        lines.append(f"- time a picture, one thread, {finder}: {time['median_ms']:.1f} ms ({ratio})")
    verification = figures.get("verification", {})
    for finder, result in verification.items():
        if isinstance(result, dict) and "accuracy_percent" in result:
            lines.append(
                f"- verification accuracy with crops by {finder}: {result['accuracy_percent']:.2f} % of "
                f"{verification.get('pairs')} pairs (reference network)"
            )
    return [*lines, ""] if lines else []
