"""What the recogniser's manifest says of it, and its DET curve as points of a drawing: pure but for reading the file.

The axes are those of a DET curve, normal deviates: errors that are normally distributed make a straight line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

from facelatch.errors import ModelError

LEFT, TOP, WIDTH, HEIGHT = 56.0, 10.0, 480.0, 300.0
"""Of the plot inside its drawing, which has room for numbers to the left and below."""

LEAST, MOST = 1e-5, 0.5
TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.4)


@dataclass(frozen=True, slots=True)
class Rate:
    """One measured figure; `low` and `high` are the ends of its 95 % interval, where there is one."""

    name: str
    value: float
    low: float | None
    high: float | None
    identities: int
    comparisons: int
    data: str

    @property
    def text(self) -> str:
        """For people: seconds as such, everything else in per cent."""
        return self._shown(self.value)

    @property
    def interval(self) -> str:
        """For people; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"{self._shown(self.low)} – {self._shown(self.high)}"

    def _shown(self, value: float) -> str:
        if self.name.startswith("seconds"):
            return f"{value:.2f} s"
        return f"{100 * value:.4f} %" if value < 0.001 else f"{100 * value:.2f} %"


@dataclass(frozen=True, slots=True)
class Curve:
    """A drawing of `2 * LEFT + WIDTH` by `HEIGHT` and some; all numbers are its pixels."""

    line: str
    """The settings tried, as `points` of a polyline: people who decided which was chosen. Empty when too few."""
    chosen: tuple[float, float] | None
    """What was chosen, on people who did not decide it."""
    across: tuple[float, float]
    """From where to where its interval reaches, left and right."""
    upright: tuple[float, float]
    ticks: tuple[tuple[str, float, float], ...]
    """Text, x and y of each tick, of both axes."""


@dataclass(frozen=True, slots=True)
class Card:
    """A manifest for people."""

    facts: Mapping[str, Any]
    rates: tuple[Rate, ...]
    curve: Curve


def read(manifest: Path) -> Card:
    """The card of the model beside `manifest`. Raises ModelError."""
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        return card(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{manifest}: {error}", hint="`facelatch check` says whether the door has its model"
        ) from error


def card(manifest: Mapping[str, Any]) -> Card:
    """The card of what a manifest holds. Raises KeyError, TypeError, ValueError when it is none."""
    rates = tuple(_rate(name, entry) for name, entry in manifest["rates"].items())
    tried = (manifest.get("extra") or {}).get("calibration", {}).get("settings_tried", ())
    facts = {
        key: manifest[key]
        for key in (
            "model_sha256",
            "detection_threshold",
            "verification_threshold",
            "opens_doors",
            "data",
            "created",
        )
    }
    facts["calibrated_for"] = dict(manifest.get("calibrated_for") or {})
    return Card(facts=facts, rates=rates, curve=curve({rate.name: rate for rate in rates}, tried))


def curve(rates: Mapping[str, Rate], tried: Iterable[Mapping[str, Any]]) -> Curve:
    """False accepts to the right, false rejects upwards, per attempt."""
    points = sorted({(float(one["far_per_attempt"]), float(one["frr_per_attempt"])) for one in tried})
    line = " ".join(f"{_x(far):.1f},{_y(frr):.1f}" for far, frr in points) if len(points) > 1 else ""
    far, frr = rates.get("far_per_attempt"), rates.get("frr_per_attempt")
    across = upright = (0.0, 0.0)
    chosen = None
    if far is not None and frr is not None:
        chosen = (_x(far.value), _y(frr.value))
        across = (_x(_or(far.low, far.value)), _x(_or(far.high, far.value)))
        upright = (_y(_or(frr.high, frr.value)), _y(_or(frr.low, frr.value)))
    bottom = TOP + HEIGHT
    ticks = [(_percent(tick), _x(tick), bottom) for tick in TICKS]
    ticks += [(_percent(tick), LEFT, _y(tick)) for tick in TICKS]
    return Curve(line=line, chosen=chosen, across=across, upright=upright, ticks=tuple(ticks))


def _rate(name: str, entry: Mapping[str, Any]) -> Rate:
    return Rate(
        name=name,
        value=float(entry["value"]),
        low=entry.get("low"),
        high=entry.get("high"),
        identities=int(entry["identities"]),
        comparisons=int(entry["comparisons"]),
        data=str(entry["data"]),
    )


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _along(share: float) -> float:
    """0 for LEAST or less, 1 for MOST or more."""
    least, most, here = (NormalDist().inv_cdf(min(max(one, LEAST), MOST)) for one in (LEAST, MOST, share))
    return (here - least) / (most - least)


def _x(share: float) -> float:
    return LEFT + WIDTH * _along(share)


def _y(share: float) -> float:
    return TOP + HEIGHT * (1 - _along(share))
