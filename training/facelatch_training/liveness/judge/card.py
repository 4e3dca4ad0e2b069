"""The tables of a liveness network's card, from the figures in its manifest; the words around them stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facelatch.errors import InputError
from facelatch.vision.liveness_manifest import LivenessManifest
from facelatch_training.files import replacing
from facelatch_training.liveness.judge import evaluate

LEVELS = ("basic", "strict")


def fill(card: Path, manifest: LivenessManifest) -> None:
    """Puts each table between its marks in `card`. Raises InputError: no such file, or a mark is missing."""
    if not card.is_file():
        raise InputError(f"{card}: no such file", hint="the tables are put into a card that is there")
    text = card.read_text(encoding="utf-8")
    for name, lines in tables(manifest).items():
        begin, end = f"<!-- table: {name} -->\n", "<!-- end -->"
        before, mark, rest = text.partition(begin)
        _, last, after = rest.partition(end)
        if not (mark and last):
            raise InputError(f"{card}: no place for {name}", hint=f"write {begin.strip()} and {end} there")
        text = before + begin + "".join(f"{line}\n" for line in lines) + end + after
    with replacing(card) as partial:
        partial.write_text(text, encoding="utf-8")


def tables(manifest: LivenessManifest) -> dict[str, list[str]]:
    """Lines of each table by its name; tables of what was not measured are left out."""
    figures = manifest.figures
    found = {"levels": list(_levels(manifest))}
    if "left out" in figures:
        found["left out"] = list(_left_out(figures["left out"]))
    for split in ("judge", "validation"):
        if split in figures:
            found[split] = list(_split(figures[split]))
    return found


def _levels(manifest: LivenessManifest) -> Iterator[str]:
    yield "| level | threshold | attacks that pass a look | living faces that do not |"
    yield "|---|---|---|---|"
    for extra in (False, True):
        for name in LEVELS:
            level = manifest.level(name, extra=extra)
            if level is not None:
                title = f"{name}, with an extra model" if extra else name
                yield f"| {title} | {level.threshold:.2f} | {level.apcer:.1%} | {level.bpcer:.1%} |"


def _left_out(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| left out | pictures | live / attacks | own | MiniFASNet | sum |"
    yield "|---|---|---|---|---|---|"
    for own, peer, both in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        cells = (f"{row['auc']:.3f}, {row['apcer_bpcer5']:.1%}" for row in (own, peer, both))
        head = f"| {own['family']} | {own['pictures']} | {own['live']} / {own['attack']} "
        yield f"{head}| {' | '.join(cells)} |"


def _split(figures: dict[str, Any]) -> Iterator[str]:
    for title, rows in figures.items():
        if isinstance(rows, list):
            yield f"Pictures {title}:"
            yield ""
            yield evaluate.HEADER
            yield from (evaluate.line(row) for row in rows)
            yield ""
            for level in LEVELS:
                found = figures[f"{title}, {level}"]
                yield f"- at `{level}`, single looks: APCER {found['apcer']:.1%}, BPCER {found['bpcer']:.1%}"
            yield ""
