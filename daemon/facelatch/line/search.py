"""Where to look for a face next: the whole picture, the region about the last one, or nowhere.

A search of the whole picture costs four times as much as following a face, and most of the day nobody
is there. Hence:

| before    | input                                | next plan                                             |
|-----------|--------------------------------------|-------------------------------------------------------|
| following | the last search found the face       | region about it; whole each `busy_seconds`            |
| following | ... and others of similar size       | whole: a region would hide them                       |
| following | the last search did not find it      | whole at every frame, for `lost_seconds`; then nobody |
| nobody    | motion in the last `linger_seconds`  | whole each `busy_seconds`, otherwise nowhere          |
| nobody    | no motion                            | whole each `idle_seconds`, otherwise nowhere          |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from facelatch.values.pictures import Box, Face, Image

THUMBNAIL = (40, 30)
"""Width and height of the grey picture in which motion is looked for."""

_FORGET_SHARE = 0.05  # of the difference, per frame: a moved chair is background after a few seconds
_MOVED_LEVELS, _MOVED_SHARE = 18.0, 0.01  # a pixel changed by more than; motion when so many did
_REGION_SIDES = 2.4  # the region's height in sides of the face: it may move 0.7 of a side between frames


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to search; the first two are the configuration's search rates, inverted."""

    busy_seconds: float = 0.2
    """Between searches of the whole picture while somebody is in view or something moves."""
    idle_seconds: float = 1.0
    """Between searches of the whole picture while nothing moves."""
    lost_seconds: float = 1.0
    """How long a face that vanished is looked for with every frame."""
    linger_seconds: float = 2.0
    """How long the scene counts as moving after motion."""
    upright_seconds: float = 1.0
    """How long what was seen of a followed face's orientation holds; a new face is looked at at once."""


class Where(StrEnum):
    """Which part of the picture the next frame is searched in."""

    WHOLE = "whole"
    REGION = "region"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to search in this frame; `region` (px of the search picture) only with REGION."""

    where: Where
    region: Box | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What is remembered between frames."""

    last_face: Box | None = None
    seen: float = -np.inf
    """When the last face was seen; monotonic seconds, as all times here."""
    moved: float = -np.inf
    whole: float = -np.inf
    """When the whole picture was searched last."""
    lost: bool = False
    """Whether the last search did not find the face that was followed."""
    turn: int = 0
    """How the face that is followed stands, as `Face.turn`."""
    turn_asked: float = -np.inf
    """When that was looked at."""
    background: NDArray[np.float32] | None = field(default=None, repr=False)


def plan(state: Search, image: Image, now: float, pace: Pace) -> tuple[Search, Plan]:
    """Takes note of motion in `image` (H, W, 3) and says what of it to search."""
    state = _watch(state, image, now)
    if state.last_face is not None and now - state.seen > pace.lost_seconds:
        state = replace(state, last_face=None, lost=False, turn_asked=-np.inf)
    since_whole = now - state.whole
    if state.last_face is not None:
        if state.lost or since_whole >= pace.busy_seconds:
            return state, Plan(Where.WHOLE)
        return state, Plan(Where.REGION, region_about(state.last_face, image.shape[1], image.shape[0]))
    moving = now - state.moved <= pace.linger_seconds
    due = since_whole >= (pace.busy_seconds if moving else pace.idle_seconds)
    return state, Plan(Where.WHOLE if due else Where.NOWHERE)


def after_search(state: Search, plan: Plan, faces: Sequence[Face], now: float) -> Search:
    """What is remembered once the search of `plan` brought `faces`; the largest face is the one to follow."""
    if plan.where is Where.NOWHERE:
        return state
    if plan.where is Where.WHOLE:
        state = replace(state, whole=now)
    if not faces:
        return replace(state, lost=state.last_face is not None)
    largest = max(faces, key=lambda face: face.box.width * face.box.height)
    return replace(state, last_face=largest.box, seen=now, lost=False)


def look_around(state: Search) -> Search:
    """The next search is one of the whole picture."""
    return replace(state, whole=-np.inf)


def turn_is_due(state: Search, now: float, pace: Pace) -> bool:
    """Whether to look again which way up the face stands that is followed."""
    return now - state.turn_asked >= pace.upright_seconds


def turn_seen(state: Search, turn: int, now: float) -> Search:
    """Takes note of which way up it stands."""
    return replace(state, turn=turn, turn_asked=now)


def region_about(box: Box, width: int, height: int) -> Box:
    """A 4:3 part of a picture (width, height) px about `box`, shifted inside at the border."""
    tall = min(max(box.width, box.height, 8.0) * _REGION_SIDES, float(height))
    wide = min(tall * 4 / 3, float(width))
    x = min(max(box.x + box.width / 2 - wide / 2, 0.0), width - wide)
    y = min(max(box.y + box.height / 2 - tall / 2, 0.0), height - tall)
    return Box(x, y, wide, tall)


def thumbnail(image: Image) -> NDArray[np.float32]:
    """A grey picture of at most 40x30: the green channel at even steps, averaged a little against noise."""
    rows, columns = (
        np.linspace(0, n - 1, min(n, small * 4)).astype(int)
        for n, small in zip(image.shape[:2], (THUMBNAIL[1], THUMBNAIL[0]), strict=True)
    )
    grey = np.asarray(image[rows][:, columns, 1], np.float32)
    high, wide = grey.shape[0] // 4 * 4, grey.shape[1] // 4 * 4
    if not (high and wide):
        return grey
    return np.asarray(grey[:high, :wide].reshape(high // 4, 4, wide // 4, 4).mean(axis=(1, 3)), np.float32)


def _watch(state: Search, image: Image, now: float) -> Search:
    """Compares with the slow background. A change of the whole picture's brightness is motion too."""
    small = thumbnail(image)
    before = state.background
    if before is None or before.shape != small.shape:
        return replace(state, background=small, moved=now)
    share = float(np.mean(np.abs(small - before) > _MOVED_LEVELS))
    background = before + _FORGET_SHARE * (small - before)
    return replace(state, background=background, moved=now if share > _MOVED_SHARE else state.moved)
