"""Sections for what is written down, and for how long it is kept."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from facelatch.config.section import Section


class AuditConfig(Section):
    """What is written down of what happens at the door, besides the journal."""

    chain: bool = True
    """Keep a ledger beside the gallery: every event in a chain that nobody changes unseen. `facelatch history` and
    retention.unused_person_days need it."""
    names: bool = True
    """Whether the journal has people's names. false, or with a sealed gallery: it says "person 3"; `facelatch history`
    knows who that is."""
    anchor_events: Annotated[int, Field(ge=1, le=100_000)] = 64
    """After so many events the journal gets the hash of the ledger's last row: by it an end that is cut off shows."""
    anchor_seconds: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    """The same after so long, if there were events."""


class RetentionConfig(Section):
    """How long what is written down is kept. Goes by a clock that was set since the start, and does nothing before."""

    events_days: Annotated[int, Field(ge=0, le=36_500)] = 90
    """Older events are removed from the ledger; 0: never. The journal's own limit is journald's MaxRetentionSec."""
    unused_person_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """Whoever has not come for so long is forgotten, with a warning before (`gallery.person_unused`: a week, or half
    the time where that is shorter); 0: nobody. Admins stay."""

    @model_validator(mode="after")
    def _visits_are_known_for_as_long(self) -> Self:
        if self.events_days and self.unused_person_days > self.events_days:
            raise ValueError(
                f"unused_person_days = {self.unused_person_days} must be at most events_days = {self.events_days}: "
                "by the events it is known who came"
            )
        return self
