"""The section on what a door far away dies of."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facelatch.config.section import Section


class HealthConfig(Section):
    """When `facelatch status` and the audit log call the machine unwell. None of it ever moves the lock.

    Under-voltage, a throttled processor, errors of the card and a clock that is not set need no limit: they are told
    wherever the machine knows.
    """

    interval_seconds: Annotated[float, Field(ge=0.5, le=600)] = 2.0
    """How often the machine is looked at. The kernel shows a short under-voltage for two seconds."""
    settle_seconds: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    """What was wrong counts as over only after having been well for this long, so that a fault that comes and goes
    fills no log."""
    temperature_celsius: Annotated[float, Field(ge=40, le=120)] = 80.0
    """Too hot from here; well again 5 degrees below. The Pi holds itself back from 80 on."""
    free_mb: Annotated[int, Field(ge=10, le=1_000_000)] = 200
    """Less free space than this where the gallery lies is too little; well again with a quarter more."""
    swap_mb: Annotated[int, Field(ge=1, le=100_000)] = 100
    """More memory than this in swap is too much, as swapping is slow and wears the card; well again at half of it."""
