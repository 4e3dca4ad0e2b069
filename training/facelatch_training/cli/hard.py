"""`facelatch-train hard`: does a model keep its promise on covered and turned faces, and for everybody alike?"""

from __future__ import annotations

from pathlib import Path

import click

from facelatch_training.cli.options import FILE, FOLDER
from facelatch_training.cli.output import say


@click.command()
@click.argument("model", type=FILE)
@click.option("--data", type=FOLDER, required=True, help="Prepared crops: half B of their validation people.")
@click.option("--more", type=FOLDER, required=True, help="Pictures beside them, with more.csv: profiles, other groups.")
@click.option("--london", type=FILE, help="london_faces_info.csv of the London Set.")
@click.option("--most", type=click.IntRange(2), help="At most so many pictures of half B.  [default: all]")
@click.option("--write", is_flag=True, help="Into the manifest.")
def hard(model: Path, data: Path, more: Path, london: Path | None, most: int | None, write: bool) -> None:
    """Measure MODEL (.tflite, calibrated, with its cohort) where it is hard, at its own detection threshold.

    Faces with drawn sunglasses, scarf, mask and cap, on the probe, the reference and both; heads turned to a side; and
    people of one age, sex or ethnic group. What the door would refuse to judge counts as a false non-match.
    """
    from facelatch_training.judge.hard import judge_hard, write_hard
    from facelatch_training.report.hard_card import hard_lines

    measured = judge_hard(model, data, more, london=london, most=most)
    for line in hard_lines(measured.as_json()):
        say(line)
    if write:
        write_hard(measured, model)
