"""What the model card says of the cohort."""

from __future__ import annotations

from facelatch.vision.cohort import KINDS
from facelatch.vision.manifest import CohortEntry


def cohort_lines(entry: CohortEntry | None) -> list[str]:
    """A section of Markdown."""
    if entry is None:
        return ["## Cohort", "", "None: `facelatch-train cohort` makes one. Without it the model serves no door.", ""]
    unfamiliar = entry.figures.get("probes_unfamiliar", 0.0)
    lines = [
        "## Cohort",
        "",
        f"{entry.people} people who do not exist, each made of four training people and like none of them, as they "
        "are, with drawn sunglasses, mask and both, and turned. References that would let in more than "
        f"{entry.most_let_in:.1%} of them, shown in any one of these ways, are refused at enrolment. From a cosine of "
        f"{entry.unfamiliar_from:.3f} to a point on which turned or empty crops fall, a face is called unfamiliar: "
        f"{unfamiliar:.2%} of the upright pictures of half B of the validation families.",
        "",
        "    facelatch-train cohort models/siamese.tflite --data DATA",
        "",
        "Of the people of half B, by how they are shown: the similarity of two strangers, the share of pairs of them "
        "that are a detection (which only training can mend), and the sets of references that are refused.",
        "",
        "| shown | median of two strangers | detections | 8 references refused | 1 reference refused |",
        "|---|---|---|---|---|",
    ]
    for kind in KINDS:
        name = kind.replace(" ", "_")
        cells = [_cell(entry, f"strangers_median_{name}", ".3f"), _cell(entry, f"strangers_detected_{name}", ".3%")]
        cells += [_cell(entry, f"sets_refused_{name}_{count}", ".2%") for count in (8, 1)]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _cell(entry: CohortEntry, figure: str, form: str) -> str:
    return format(entry.figures[figure], form) if figure in entry.figures else "-"
