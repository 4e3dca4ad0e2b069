"""Error rates by age, sex and ethnic group, wherever those who took the pictures say them.

A guess from a picture is no label: what is used here stands in the names of UTKFace's files or in the table that comes
with the Face Research Lab London Set. Impostors are of one's own group, who are the ones most often taken for each
other. UTKFace's names tell no person, so it tells false matches only, and two pictures of one person are one.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facelatch.errors import InputError
from facelatch.ports import Verifier
from facelatch_training.judge.hard_slices import Looked
from facelatch_training.judge.metrics import FAILED

Labels = Mapping[str, str]
"""Of one person: `age`, `sex` and `ethnic group`, those that are known."""

_UTK = re.compile(r"u(\d{1,3})_([01])_([0-4])_")
_UTK_SEX = ("male", "female")
_UTK_GROUP = ("white", "black", "asian", "indian", "other")
_AGES = ((12, "under 13"), (19, "13 to 19"), (35, "20 to 35"), (59, "36 to 59"))
_OLDEST = "60 and over"
FEWEST_PEOPLE = 10
"""Below it a group is not reported: a figure of so few people says more of them than of the group."""
_LONDON_COLUMNS = ("face_id", "face_age", "face_sex", "face_eth")


@dataclass(frozen=True)
class GroupRates:
    """One group at the detection threshold; impostors are of the same group, and refusals count as in a slice."""

    people: int
    genuine: int
    impostors: int
    false_matches: int
    false_non_matches: int

    @property
    def fmr(self) -> float:
        """False match rate among people of the group."""
        return self.false_matches / self.impostors

    @property
    def fnmr(self) -> float | None:
        """None where there is one picture of each person."""
        return self.false_non_matches / self.genuine if self.genuine else None


@dataclass(frozen=True)
class Ratio:
    """How far apart the groups of one attribute are."""

    best: str
    worst: str
    ratio: float | None
    """Rate of the worst over that of the best; None where the best made no error at all."""


def age_band(age: int) -> str:
    """The band an age in years falls into."""
    return next((name for last, name in _AGES if age <= last), _OLDEST)


def utkface_labels(identity: str) -> dict[str, str]:
    """What the name of a UTKFace picture says (`u30_0_1_2017...`: age, sex, group); empty where it says nothing."""
    match = _UTK.match(identity)
    if match is None:
        return {}
    age, sex, group = (int(number) for number in match.groups())
    return {"age": age_band(age), "sex": _UTK_SEX[sex], "ethnic group": _UTK_GROUP[group]}


def london_labels(table: Path) -> dict[str, dict[str, str]]:
    """By identity (`l001`) what the London Set's own table says, in its own words. Raises InputError."""
    try:
        with table.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{table}: {error}", hint="give london_faces_info.csv of the set") from error
    if not rows or any(row.get(column) is None for row in rows for column in _LONDON_COLUMNS):
        raise InputError(f"{table}: not the columns {', '.join(_LONDON_COLUMNS)}", hint="give london_faces_info.csv")
    return {
        f"l{row['face_id'].lstrip('X')}": {
            "sex": row["face_sex"],
            "ethnic group": row["face_eth"],
            **({"age": age_band(int(row["face_age"]))} if row["face_age"].isdecimal() else {}),
        }
        for row in rows
    }


def group_rates(
    verifier: Verifier, looked: Looked, identities: Sequence[str], labels: Mapping[str, Labels], threshold: float
) -> dict[str, dict[str, GroupRates]]:
    """Attribute -> group -> its rates, of N pictures looked at; `identities` (N,) and what is known of each.

    A comparison is of a picture as probe with another as reference.
    """
    names = np.array(identities)
    rates: dict[str, dict[str, GroupRates]] = {}
    for attribute in ("age", "sex", "ethnic group"):
        groups = np.array([labels.get(name, {}).get(attribute, "") for name in identities])
        for group in sorted(set(groups.tolist()) - {""}):
            members = groups == group
            if len(np.unique(names[members])) >= FEWEST_PEOPLE:
                counted = _counted(verifier, looked.some(members), names[members], threshold)
                rates.setdefault(attribute, {})[group] = counted
    return rates


def ratios(groups: Mapping[str, GroupRates], figure: str) -> Ratio | None:
    """Worst over best of `fmr` or `fnmr` among groups; None where fewer than two have the figure, or no errors."""
    values = {name: value for name, rates in groups.items() if (value := getattr(rates, figure)) is not None}
    if len(values) < 2 or not any(values.values()):
        return None
    best, worst = min(values, key=lambda name: values[name]), max(values, key=lambda name: values[name])
    return Ratio(best, worst, values[worst] / values[best] if values[best] > 0 else None)


def _counted(verifier: Verifier, looked: Looked, names: npt.NDArray[np.str_], threshold: float) -> GroupRates:
    genuine = impostors = false_matches = false_non_matches = 0
    for place, similarity in _similarities(verifier, looked):
        same, others = names == names[place], np.arange(len(names)) != place
        genuine += int((same & others).sum())
        impostors += int((~same).sum())
        false_matches += int((~same & (similarity >= threshold)).sum())
        false_non_matches += int((same & others & (similarity < threshold)).sum())
    return GroupRates(
        people=len(np.unique(names)),
        genuine=genuine,
        impostors=impostors,
        false_matches=false_matches,
        false_non_matches=false_non_matches,
    )


def _similarities(verifier: Verifier, looked: Looked) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Every probe with its similarities to all references, FAILED where the line refuses one of the two."""
    for place, probe in enumerate(looked.probes):
        similarity = verifier.compare(probe, looked.references)
        similarity = np.where(looked.judged & looked.judged[place], similarity, FAILED)
        yield place, np.asarray(similarity, np.float32)
