"""Requests about the people whom the doors of a fleet share, as schemas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from facelatch.api.request import Name, Request
from facelatch.sharing.envelope import MAX_BYTES

MOST_ENVELOPES = 64
"""In one request."""

MOST_FETCHED = 16
MOST_BULK = 4 * 1024 * 1024

Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Arriving(BaseModel):
    """An envelope that came along."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    uuid: Uuid
    """Whose it says it is."""
    size: Annotated[int, Field(ge=1, le=MAX_BYTES)]
    """How many bytes of what came along; the envelopes lie one behind the other."""


class ApplyPeople(Request):
    """Envelopes from other doors, for this one to verify and put into effect."""

    right = "apply_people"
    most_bulk = MOST_BULK
    action: Literal["apply_people"]
    envelopes: Annotated[list[Arriving], Field(min_length=1, max_length=MOST_ENVELOPES)]


class FleetPeople(Request):
    """What this door knows of the fleet's people, as envelopes; what changed here is sealed first."""

    right = "apply_people"
    action: Literal["fleet_people"]
    unless: Annotated[str, Field(max_length=64)] = ""
    """No list where `digest` is still this one."""
    after: Annotated[str, Field(max_length=32)] = ""
    """`next` of the page before; empty: the first."""
    fetch: Annotated[list[Uuid], Field(max_length=MOST_FETCHED)] = []  # noqa: RUF012  (pydantic copies it)
    """Whose envelopes come in a memory file beside the reply."""


class Share(Request):
    """Makes somebody of this door known to all doors of the fleet; with `stop` to this one alone again."""

    right = "people.write"
    action: Literal["share"]
    name: Name
    stop: bool = False


class Resolve(Request):
    """Says that two people who look alike are two: whoever is held comes in beside the other."""

    right = "people.write"
    action: Literal["resolve"]
    name: Name
    beside: Name
