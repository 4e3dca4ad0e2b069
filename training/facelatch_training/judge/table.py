"""What was measured, as lines of text."""

from __future__ import annotations

import math

from facelatch_training.judge import intervals
from facelatch_training.judge.calibrate import Calibration
from facelatch_training.judge.evaluate import Evaluation
from facelatch_training.judge.rates import in_words


def evaluation_table(evaluation: Evaluation) -> str:
    """All figures of an evaluation, with what they rest on."""
    lines = [
        f"data        {evaluation.protocol}",
        f"model       sha256 {evaluation.model_sha256[:16]}",
        f"pictures    {evaluation.pictures} of {evaluation.identities} identities; {len(evaluation.failed)} without "
        "a found face (their comparisons count as refused, and as wrong in the accuracy)",
        f"comparisons {evaluation.genuine} genuine, {evaluation.impostors} impostor",
    ]
    if evaluation.folds:
        lines.append(
            f"folds       {evaluation.folds}, {evaluation.fold_pairs} pairs; threshold chosen on the other folds"
        )
    if evaluation.threshold is not None:
        lines.append(
            f"threshold   {evaluation.threshold:.4f} ({evaluation.threshold_origin}) for precision, recall, fmr, fnmr"
        )
    lines.append(f"{'figure':<16}{'value':>10}   95 % interval over identities")
    for name, value in evaluation.figures.items():
        low, high = (f"{100 * side:.3f}" for side in (value.low, value.high))
        lines.append(f"{name:<16}{100 * value.value:>8.3f} %   {low} to {high}")
    for rate in evaluation.unmeasurable_rates:
        lines.append(
            f"far = {rate:g} cannot be told from {evaluation.impostors:,} impostor comparisons: "
            f"{math.ceil(intervals.MIN_ERRORS / rate):,} are needed"
        )
    return "\n".join(lines)


def calibration_table(calibration: Calibration) -> str:
    """Thresholds, rates and what to set at the door, for people."""
    setting = calibration.setting
    lines = [
        f"detection threshold     {calibration.detection_threshold:.4f}",
        f"verification threshold  {setting.verification_threshold:.4f} of {setting.references} references, "
        f"{setting.frames} consecutive frames",
        "at the door             "
        f"enrolment.references = {setting.references}, session.required_matches = {setting.frames}",
        "targets                 "
        + ("met" if calibration.met else "NOT MET: " + "; ".join(calibration.unmet)),
        f"chosen on               {calibration.about['chosen_on']}",
    ]
    for name, rate in calibration.rates.items():
        lines.append(
            f"{name:<26}{in_words(name, rate.value):>9}  ({in_words(name, rate.low)} to {in_words(name, rate.high)}; "
            f"{rate.identities} identities, {rate.comparisons} comparisons)"
        )
    return "\n".join(lines)
