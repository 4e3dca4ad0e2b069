"""What a round of capture needs: kinds of pictures, how many of each, and which one is asked for next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from facelatch.vision.quality import Measures

_TURN = 0.12
"""Pose.yaw and pitch beyond which a head counts as turned."""


@dataclass(frozen=True)
class PictureKind:
    """One kind of picture that a round needs, how the person is asked for it, and how many of them."""

    name: str
    ask: str
    count: int
    fits: Callable[[Measures], bool] = field(repr=False)


def _straight(measures: Measures) -> bool:
    return abs(measures.pose.yaw) < _TURN and abs(measures.pose.pitch) < _TURN


KINDS = (
    PictureKind(name="straight", ask="look straight at the camera", count=6, fits=_straight),
    PictureKind(
        name="left",
        ask="turn a little to your right",
        count=4,
        fits=lambda measures: measures.pose.yaw <= -_TURN,
    ),
    PictureKind(
        name="right",
        ask="turn a little to your left",
        count=4,
        fits=lambda measures: measures.pose.yaw >= _TURN,
    ),
    PictureKind(
        name="up",
        ask="look up a little",
        count=3,
        fits=lambda measures: measures.pose.pitch <= -_TURN,
    ),
    PictureKind(
        name="down",
        ask="look down a little",
        count=3,
        fits=lambda measures: measures.pose.pitch >= _TURN,
    ),
    PictureKind(
        name="near",
        ask="come closer",
        count=3,
        fits=lambda measures: measures.eye_distance_px >= 60,
    ),
    PictureKind(
        name="far",
        ask="take a step back",
        count=3,
        fits=lambda measures: measures.eye_distance_px < 40,
    ),
)
"""In the order in which they are asked for. Left and right are the picture's."""


@dataclass
class Guide:
    """What was kept so far in one round, and which kind of picture is asked for next."""

    kinds: tuple[PictureKind, ...] = KINDS
    kept: dict[str, int] = field(default_factory=dict)

    def fills(self, measures: Measures) -> str | None:
        """The first kind still missing that this picture is one of; None when it adds nothing."""
        for kind in self.kinds:
            if self.kept.get(kind.name, 0) < kind.count and kind.fits(measures):
                return kind.name
        return None

    def keep(self, name: str) -> None:
        """Counts one more picture of the kind `name`."""
        self.kept[name] = self.kept.get(name, 0) + 1

    @property
    def missing(self) -> list[PictureKind]:
        """Kinds of which there are too few."""
        return [kind for kind in self.kinds if self.kept.get(kind.name, 0) < kind.count]

    def sentence(self) -> str:
        """What the person should do next, with the share that is done."""
        missing = self.missing
        total = sum(kind.count for kind in self.kinds)
        done = sum(min(self.kept.get(kind.name, 0), kind.count) for kind in self.kinds)
        return f"[{done:2}/{total}] " + (missing[0].ask if missing else "done, thank you")
