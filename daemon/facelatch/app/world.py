"""Everything the loop touches."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from facelatch.app.camera_identity import Trust
from facelatch.app.entrance import EntranceDesk
from facelatch.app.health import HealthWatch
from facelatch.gallery.store import GalleryStore
from facelatch.ledger.writer import Ledger
from facelatch.line import pipeline
from facelatch.ports import (
    AuditSink,
    Buttons,
    Clock,
    Control,
    FrameSource,
    Indicator,
    Lock,
    ModeMemory,
    ServiceManager,
    SiteWires,
)
from facelatch.sharing.membership import Membership

RANDOM_BITS = 64
"""Enough for the longest request (three for each turn)."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything the loop touches, made by the room app and closed by the loop."""

    clock: Clock
    frames: FrameSource
    line: pipeline.Line
    store: GalleryStore
    lock: Lock
    indicator: Indicator
    buttons: Buttons
    audit: AuditSink
    service: ServiceManager
    control: Control | None = None
    health: HealthWatch | None = None
    ledger: Ledger | None = None
    """Where it is kept `audit` leads to it, too. Whoever opened it closes it, after the last event."""
    entrance: EntranceDesk | None = None
    site: SiteWires | None = None
    modes: ModeMemory | None = None
    trust: Trust = field(default_factory=Trust)
    """Whether the camera is the one of before."""
    member: Membership | None = None
    """The door's part in a fleet, if it is in one."""
    draw: Callable[[], int] = lambda: secrets.randbits(RANDOM_BITS)
    """Random bits nobody can foresee, RANDOM_BITS of them."""
    reopen: Callable[[], None] | None = None
    """Opens the camera of `frames` again; returns at once. Without it every fault of the camera ends the loop."""
