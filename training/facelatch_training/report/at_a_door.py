"""What a model does at a door, for whoever fits one: a few sentences and one table, from the manifest's rates."""

from __future__ import annotations

from collections.abc import Mapping

from facelatch.vision.manifest import Manifest, Rate
from facelatch_training.judge.rates import RELATIVES, SECONDS, STILL, VARIED
from facelatch_training.judge.slice_rates import SliceRates

_VISITS = {
    "far_per_attempt": ("a stranger is let in", 1000),
    VARIED: ("somebody enrolled, who moves about, is refused", 100),
    STILL: ("somebody enrolled, who holds still, is refused", 100),
    RELATIVES: ("a relative of somebody enrolled is let in", 100),
}
"""Rate -> what happened, and of how many visits it is told."""

_SHOWN = {
    "whole": "as they are",
    "dark": "in the dark",
    "turned": "with the head turned",
    "half-face": "with the lower half of the face covered",
}


def door_lines(manifest: Manifest, slices: Mapping[str, SliceRates]) -> list[str]:
    """Markdown: the sentences, then the table of visits."""
    said = (f"- {one}" for one in _sentences(manifest, slices))
    return ["## What it does at a door", "", *said, "", *_table(manifest.rates)]


def _sentences(manifest: Manifest, slices: Mapping[str, SliceRates]) -> list[str]:
    rates, said = manifest.rates, []
    if "far_per_attempt" in rates:
        people = manifest.calibrated_for.enrolled if manifest.calibrated_for else "the"
        let_in = _of(rates, "far_per_attempt")
        said.append(f"At a door with {people} people enrolled, it lets in {let_in} by strangers.")
    if VARIED in rates and STILL in rates:
        said.append(
            f"Of those enrolled it refuses {_of(rates, VARIED)} where they move about, and "
            f"{_of(rates, STILL)} where they hold still."
        )
    if SECONDS in rates:
        said.append(
            f"Half of those it lets in wait less than {rates[SECONDS].value:.2g} s from the first picture that "
            "can be used."
        )
    if RELATIVES in rates:
        let_in = _of(rates, RELATIVES)
        said.append(f"Parents, children, brothers and sisters of somebody enrolled are let in at {let_in}.")
    known = {words: 1 - slices[name].fnmr.value for name, words in _SHOWN.items() if name in slices}
    said.append(
        "Of 100 single pictures it recognises "
        + ", ".join(f"{100 * share:.0f} {words}" for words, share in known.items())
        + "; a visit has many, which are judged together."
    )
    if not rates:
        said.append("No visits were measured yet: run `facelatch-train calibrate`.")
    return said


def _of(rates: Mapping[str, Rate], name: str) -> str:
    rate, among = rates[name], _VISITS[name][1]
    if rate.low is None or rate.high is None:
        return f"{_count(rate.value, among)} of {among:,} visits"
    span = f"{_count(rate.low, among)} to {_count(rate.high, among)}"
    return f"{_count(rate.value, among)} ({span}) of {among:,} visits"


def _count(share: float, among: int) -> str:
    return f"{share * among:.2g}"


def _table(rates: Mapping[str, Rate]) -> list[str]:
    told = {name: rates[name] for name in _VISITS if name in rates}
    if not told:
        return []
    rows = [
        f"| {_VISITS[name][0]} | {rate.value:.2%} | {_interval(rate)} "
        f"| {rate.comparisons:,} by {rate.identities} people |"
        for name, rate in told.items()
    ]
    return ["| of visits | share | 95 % interval | measured on |", "|---|---|---|---|", *rows, ""]


def _interval(rate: Rate) -> str:
    return "" if rate.low is None or rate.high is None else f"{rate.low:.2%} to {rate.high:.2%}"
