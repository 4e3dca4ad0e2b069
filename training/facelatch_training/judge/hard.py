"""The promise where it is hard: covered and turned faces, and groups of people, at a model's own threshold.

Nobody in these pictures was trained on or had a part in choosing the threshold: half B of the validation families, and
of the pictures beside the crop set those people who are not in it. Covers are drawn; profiles are photographs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facelatch.config.line import QualityConfig
from facelatch.ports import Verifier
from facelatch.vision.cohort import Cohort, load_cohort
from facelatch.vision.manifest import Manifest, Rate, load_manifest
from facelatch_training.data.cropping import open_finder
from facelatch_training.data.crops import CropArray
from facelatch_training.data.more import MorePictures, also_in_faces, read_more, second_names
from facelatch_training.files import replacing
from facelatch_training.judge.groups import GroupRates, group_rates, london_labels, ratios, utkface_labels
from facelatch_training.judge.halves import calibration_half
from facelatch_training.judge.hard_slices import (
    HardRates,
    covered_slices,
    crossed,
    hard_rates,
    look,
    worst,
)
from facelatch_training.judge.protocols import gather, prepared
from facelatch_training.judge.rates import WORST_SLICE
from facelatch_training.judge.slices import TURNED_YAW, yaw_in
from facelatch_training.judge.verifiers import open_verifier

IN_PROFILE = "cfp"
"""The source whose people were photographed from the side, too."""

LONDON, UTKFACE = "london", "utk"


@dataclass(frozen=True)
class Hard:
    """What a model does where it is hard, at its manifest's detection threshold."""

    slices: dict[str, HardRates]
    groups: dict[str, dict[str, dict[str, GroupRates]]]
    """Set of pictures -> attribute -> group."""
    promise: float
    """The FMR that was asked for when it was calibrated."""
    data: str

    @property
    def times_the_promise(self) -> float:
        """The FMR of the worst slice over the one promised."""
        return self.slices[worst(self.slices)].fmr.value / self.promise

    def as_json(self) -> dict[str, Any]:
        """For the manifest's `extra`: all figures with what they rest on."""
        return {
            "promise": self.promise,
            "worst": worst(self.slices),
            "times_the_promise": self.times_the_promise,
            "data": self.data,
            "slices": {
                name: {
                    "fmr": vars(rates.fmr),
                    "fnmr": vars(rates.fnmr),
                    "refused": rates.refused,
                    "identities": rates.identities,
                    "genuine": rates.genuine,
                    "impostors": rates.impostors,
                }
                for name, rates in self.slices.items()
            },
            "groups": {
                pictures: {name: _groups_as_json(groups) for name, groups in attributes.items()}
                for pictures, attributes in self.groups.items()
            },
        }


def judge_hard(
    model: Path, data: Path, more: Path, *, london: Path | None = None, most: int | None = None, seed: int = 0
) -> Hard:
    """Measures the calibrated `.tflite` file `model` on the crop set `data` and the pictures beside it in `more`.

    `london` is the London Set's table of age, sex and group (None: that set is left out). `most`: at most so many
    pictures of half B, drawn by `seed` (None: all). Raises ModelError and InputError as loading does.
    """
    manifest, verifier = load_manifest(model), open_verifier(model)
    cohort = load_cohort(model, manifest)
    crops, identities = _half_b(data, most, seed)
    left_out = also_in_faces(more).keys() | second_names(more)
    sources = {IN_PROFILE, UTKFACE} | ({LONDON} if london is not None else set())
    beside = read_more(more, lambda identity, source: identity not in left_out and source in sources)
    threshold = manifest.detection_threshold
    slices = {}
    for name, probes, references in covered_slices(verifier, cohort, crops, seed=seed):
        slices[name] = hard_rates(crossed(verifier, probes, references, identities, identities), threshold, seed=seed)
    for name, compared in _turned(verifier, cohort, beside):
        slices[name] = hard_rates(compared, threshold, seed=seed)
    return Hard(
        slices=slices,
        groups=_groups(verifier, cohort, beside, threshold, {} if london is None else london_labels(london)),
        promise=_promise(manifest),
        data=f"{len(identities):,} pictures of half B of the validation families of {data.name}, and people of "
        f"{more.name} who are not in it",
    )


def write_hard(hard: Hard, model: Path) -> None:
    """Into the manifest beside `model`: the worst slice among its rates, all figures in `extra`."""
    manifest = load_manifest(model).model_dump()
    name = worst(hard.slices)
    rates = hard.slices[name]
    manifest["rates"][WORST_SLICE] = Rate(
        value=rates.fmr.value,
        low=rates.fmr.low,
        high=rates.fmr.high,
        identities=rates.identities,
        comparisons=rates.impostors,
        data=f"slice '{name}' of {hard.data}",
    ).model_dump()
    manifest["extra"]["hard"] = hard.as_json()
    with replacing(model.with_suffix(".json")) as partial_file:
        partial_file.write_text(Manifest(**manifest).model_dump_json(indent=2) + "\n", encoding="utf-8")


def _half_b(data: Path, most: int | None, seed: int) -> tuple[CropArray, list[str]]:
    protocol = prepared(data)
    rows = np.flatnonzero(~calibration_half(protocol.families))
    if most is not None:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
    return gather(protocol)[rows], [protocol.identities[row] for row in rows]


def _turned(verifier: Verifier, cohort: Cohort, beside: MorePictures) -> Iterator[tuple[str, Any]]:
    """The slices of turned heads, by what the door's own finder says of them."""
    finder = open_finder("network")
    chosen = np.array([source == IN_PROFILE for source in beside.sources])
    if not chosen.any():
        return
    crops, names = beside.crops[chosen], np.array(beside.identities)[chosen]
    yaws = np.array([yaw_in(crop, finder) for crop in crops])
    looked = look(verifier, cohort, crops, yaws <= QualityConfig().max_yaw)
    turned = yaws >= TURNED_YAW
    straight, profile = ((looked.some(side), names[side].tolist()) for side in (~turned, turned))
    for name, (probes, of_probes), (references, of_references) in (
        ("turned on probe", profile, straight),
        ("turned on reference", straight, profile),
        ("turned on both", profile, profile),
    ):
        yield name, crossed(verifier, probes, references, of_probes, of_references)


def _groups(
    verifier: Verifier, cohort: Cohort, beside: MorePictures, threshold: float, london: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, dict[str, GroupRates]]]:
    rates = {}
    for source in (LONDON, UTKFACE):
        chosen = np.array([name == source for name in beside.sources])
        if not chosen.any():
            continue
        names = np.array(beside.identities)[chosen].tolist()
        labels = london if source == LONDON else {name: utkface_labels(name) for name in names}
        looked = look(verifier, cohort, beside.crops[chosen])
        rates[source] = group_rates(verifier, looked, names, labels, threshold)
    return rates


def _promise(manifest: Manifest) -> float:
    return float(manifest.extra.get("calibration", {}).get("targets", {}).get("fmr", 1e-4))


def _groups_as_json(groups: Mapping[str, GroupRates]) -> dict[str, Any]:
    compared = {figure: ratios(groups, figure) for figure in ("fmr", "fnmr")}
    return {
        "rates": {name: {**vars(rates), "fmr": rates.fmr, "fnmr": rates.fnmr} for name, rates in groups.items()},
        "ratios": {figure: vars(ratio) for figure, ratio in compared.items() if ratio is not None},
    }
