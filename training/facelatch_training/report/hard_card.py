"""What the model card says of covered and turned faces, and of groups of people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SETS = {
    "london": "London Set (frontal, neutral and smiling)",
    "utk": "UTKFace (names tell no person: each picture counts as one)",
}


def hard_lines(hard: Mapping[str, Any] | None) -> list[str]:
    """A section of Markdown, from the manifest's `extra.hard`; empty where that was not measured."""
    if not hard:
        return []
    slices = hard["slices"]
    lines = [
        "## Where it is hard",
        "",
        f"At the detection threshold, whose promise is an FMR of {hard['promise']:.2%}: people of {hard['data']}, none "
        "of whom was trained on or had a part in choosing the threshold. What the door refuses to judge, as unfamiliar "
        f"or as turned away, counts as a false non-match. Worst is '{hard['worst']}': "
        f"{hard['times_the_promise']:.1f} times the promise.",
        "",
        "    facelatch-train hard models/siamese.tflite --data DATA --more MORE --london TABLE --write",
        "",
        "| slice | FMR | FNMR | refused | identities | genuine | impostors |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {_cell(each['fmr'], 4)} | {_cell(each['fnmr'], 1)} | {each['refused']:.1%} | {each['identities']} "
        f"| {each['genuine']:,} | {each['impostors']:,} |"
        for name, each in slices.items()
    ]
    lines.append("")
    for pictures, attributes in hard["groups"].items():
        lines += _group_lines(_SETS.get(pictures, pictures), attributes)
    return lines


def _group_lines(title: str, attributes: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{title}, impostors of one's own group:",
        "",
        "| group | people | FMR (false matches of comparisons) | FNMR (of genuine comparisons) |",
        "|---|---|---|---|",
    ]
    for attribute, groups in attributes.items():
        for name, rates in groups["rates"].items():
            of_genuine = f"({rates['false_non_matches']} of {rates['genuine']:,})"
            fnmr = "-" if rates["fnmr"] is None else f"{rates['fnmr']:.1%} {of_genuine}"
            fmr = f"{rates['fmr']:.4%} ({rates['false_matches']} of {rates['impostors']:,})"
            lines.append(f"| {attribute}: {name} | {rates['people']} | {fmr} | {fnmr} |")
    sentences = [
        f"{figure.upper()} by {attribute}: {_ratio(ratio)}."
        for attribute, groups in attributes.items()
        for figure, ratio in groups["ratios"].items()
    ]
    return [*lines, "", *([" ".join(sentences), ""] if sentences else [])]


def _ratio(ratio: Mapping[str, Any]) -> str:
    if ratio["ratio"] is None:
        return f"worst {ratio['worst']}, none at all for {ratio['best']}"
    return f"worst {ratio['worst']}, {ratio['ratio']:.1f} times {ratio['best']}"


def _cell(figure: Mapping[str, float], digits: int) -> str:
    return f"{figure['value']:.{digits}%} ({figure['low']:.{digits}%} to {figure['high']:.{digits}%})"
