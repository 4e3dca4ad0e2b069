"""Pictures of an evaluation: ROC, DET, similarities, reliability, and the hardest pairs as a montage."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facelatch.errors import InputError
from facelatch.private_files import what_to_do
from facelatch_training.files import keep_out_of_git
from facelatch_training.judge.evaluate import Evaluation, hardest
from facelatch_training.judge.intervals import MIN_ERRORS, bootstrap
from facelatch_training.judge.metrics import FAILED, Floats, Ranked, ranked, reliability
from facelatch_training.judge.protocols import Protocol
from facelatch_training.montage import write_montage

CURVE_POINTS = 300
BAND_POINTS, BAND_RESAMPLES = 40, 200
LEAST_MISSED = 1e-5  # below it nothing can be drawn on a logarithmic axis

_NAMELESS = {"Date": None, "Creator": None}
"""What an SVG would say besides: when, and by which version of Matplotlib."""

_CURVES = {"model": "this model", "peer": "the reference network"}


def write_plots(evaluations: Mapping[str, Evaluation], folder: Path) -> list[Path]:
    """`roc.png`, `det.png`, `similarities.png`, `reliability.png`; several evaluations share the curves."""
    folder.mkdir(parents=True, exist_ok=True)
    curves = {name: ranked(evaluation.comparisons).curve()[1:] for name, evaluation in evaluations.items()}
    drawings = {
        "roc": _roc(evaluations, curves),
        "det": _det(evaluations, curves),
        "similarities": _similarities(evaluations),
        "reliability": _reliability(evaluations),
    }
    return [_saved(drawing, folder / f"{name}.png") for name, drawing in drawings.items()]


def write_det(evaluations: Mapping[str, Evaluation], file: Path) -> Path:
    """The DET curve alone, drawn from figures, as .svg or .png. The same evaluations give the same SVG.

    Raises InputError for another suffix and when it cannot be written.
    """
    if file.suffix not in (".svg", ".png"):
        raise InputError(f"{file}: drawn are .svg and .png", hint="name it with one of these endings")
    try:
        if file.suffix == ".svg":
            file.write_text(det_picture(evaluations), encoding="utf-8")
        else:
            _det_for_readers(evaluations).savefig(file, dpi=120)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}", hint=what_to_do(error)) from error
    return file


def det_picture(evaluations: Mapping[str, Evaluation]) -> str:
    """The DET curve as the text of an SVG, the same for the same evaluations."""
    import matplotlib as mpl

    drawn = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "det", "svg.fonttype": "none", "font.family": "sans-serif"}):
        _det_for_readers(evaluations).savefig(drawn, format="svg", metadata=_NAMELESS)
    return drawn.getvalue()


def _det_for_readers(evaluations: Mapping[str, Evaluation]) -> Any:
    from matplotlib.ticker import FuncFormatter

    drawing, axes = figure(6.4, 3.8)
    for name, evaluation in evaluations.items():
        _, fmr, tmr = ranked(evaluation.comparisons).curve()
        # Where fewer than MIN_ERRORS make a rate, chance draws the curve; more points than pixels tell nothing.
        lowest = max(MIN_ERRORS / max(1, evaluation.impostors), 1e-12)
        at = np.geomspace(lowest, 1, CURVE_POINTS)
        miss = 1 - tmr[np.searchsorted(fmr, at, side="right") - 1]
        axes.loglog(at, np.maximum(miss, LEAST_MISSED), label=_named(name))
        if evaluation.threshold is not None:
            rates, low, high = _band(evaluation, lowest)
            axes.fill_between(rates, low, high, alpha=0.2, linewidth=0, label="its 95 % interval")
            rates = [evaluation.figures[rate].value for rate in ("fmr", "fnmr")]
            axes.plot(*rates, "o", color="black", label="where its threshold is set")
    axes.set(
        xlabel="strangers taken for somebody, of single comparisons",
        ylabel="genuine ones missed",
        title=_title("DET", evaluations),
        ylim=(0.005, 1),
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:g} %"))
    axes.legend()
    return drawing


def _band(evaluation: Evaluation, lowest: float) -> tuple[list[float], list[float], list[float]]:
    """False match rates, and at each the ends of the interval of the missed share."""
    rates = np.geomspace(lowest, 1, BAND_POINTS).tolist()
    figures = {f"{rate}": partial(_missed_at, rate) for rate in rates}
    found = bootstrap(evaluation.comparisons, figures, resamples=BAND_RESAMPLES).values()
    return rates, [max(one.low, LEAST_MISSED) for one in found], [max(one.high, LEAST_MISSED) for one in found]


def _missed_at(rate: float, curve: Ranked) -> float:
    return 1 - curve.tar_at(rate)


def write_hardest(evaluation: Evaluation, protocol: Protocol, folder: Path) -> Path:
    """`hardest-pairs.png`: faces of real people. Raises InputError for a folder in a git checkout."""
    keep_out_of_git(folder)
    worst = hardest(evaluation, protocol)
    numbers = {number for pairs in worst.values() for left, right, _ in pairs for number in (left, right)}
    crops = {number: crop for number, crop in protocol.crops() if number in numbers and crop is not None}
    rows = [
        (f"{similarity:.3f} {kind}", [crops[left], crops[right]])
        for kind, pairs in worst.items()
        for left, right, similarity in pairs
    ]
    folder.mkdir(parents=True, exist_ok=True)
    return write_montage(rows, folder / "hardest-pairs.png", columns=4)


def figure(width: float = 5.5, height: float = 4.2) -> tuple[Any, Any]:
    """A figure and its axes, drawn without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.add_subplot()
    axes.grid(alpha=0.3)
    return drawing, axes


def _saved(drawing: Any, path: Path) -> Path:
    drawing.savefig(path, dpi=120)
    return path


def _roc(evaluations: Mapping[str, Evaluation], curves: Mapping[str, tuple[Floats, Floats]]) -> Any:
    drawing, axes = figure()
    for name, evaluation in evaluations.items():
        fmr, tmr = curves[name]
        axes.semilogx(np.maximum(fmr, 1e-7), tmr, label=f"{_named(name)} (AUC {evaluation.figures['auc'].value:.4f})")
    axes.set(
        xlabel="false match rate", ylabel="true match rate", title=_title("ROC", evaluations), ylim=(0, 1.01)
    )
    axes.set_xlim(1e-6, 1)
    axes.legend(loc="lower right")
    return drawing


def _det(evaluations: Mapping[str, Evaluation], curves: Mapping[str, tuple[Floats, Floats]]) -> Any:
    drawing, axes = figure()
    for name, evaluation in evaluations.items():
        fmr, tmr = curves[name]
        axes.loglog(
            np.maximum(fmr, 1e-7),
            np.maximum(1 - tmr, 1e-5),
            label=f"{_named(name)} (EER {evaluation.figures['eer'].value:.2%})",
        )
    axes.set(xlabel="false match rate", ylabel="false non-match rate", title=_title("DET", evaluations))
    axes.set_xlim(1e-6, 1)
    axes.legend()
    return drawing


def _similarities(evaluations: Mapping[str, Evaluation]) -> Any:
    drawing, axes = figure()
    name, evaluation = next(iter(evaluations.items()))
    bins = np.linspace(0, 1, 61)
    for label, chosen in (
        ("genuine", evaluation.comparisons.genuine),
        ("impostor", ~evaluation.comparisons.genuine),
    ):
        values = evaluation.comparisons.similarity[chosen]
        counts, _ = np.histogram(values[values > FAILED], bins)
        axes.stairs(
            counts / max(1, len(values)), bins, fill=True, alpha=0.5, label=f"{len(values):,} {label}"
        )
    if evaluation.threshold is not None:
        axes.axvline(
            evaluation.threshold, color="black", linestyle="--", label=f"threshold {evaluation.threshold:.3f}"
        )
    axes.set(
        xlabel="similarity", ylabel="share of the class", yscale="log", title=f"{_named(name)}: {evaluation.protocol}"
    )
    axes.legend()
    return drawing


def _reliability(evaluations: Mapping[str, Evaluation]) -> Any:
    drawing, axes = figure()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for name, evaluation in evaluations.items():
        diagram = reliability(evaluation.comparisons)
        axes.plot(
            diagram.predicted, diagram.observed, marker="o", label=f"{_named(name)} (mean gap {diagram.error:.3f})"
        )
    axes.set(
        xlabel="similarity the model gives",
        ylabel="share that is one person (classes balanced)",
        title=_title("Reliability", evaluations),
    )
    axes.legend()
    return drawing


def _title(kind: str, evaluations: Mapping[str, Evaluation]) -> str:
    evaluation = next(iter(evaluations.values()))
    return f"{kind}: {evaluation.identities} identities, {evaluation.genuine + evaluation.impostors:,} comparisons"


def _named(name: str) -> str:
    return _CURVES.get(name, name)
