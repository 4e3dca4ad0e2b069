"""Requests about when somebody may come, and about PINs and cards, as schemas."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from facelatch.api.request import Name, Request
from facelatch.values.hours import SCHEDULE_PATTERN
from facelatch.values.readers import MOST_PIN_DIGITS


def _day(text: object) -> date:
    try:
        return date.fromisoformat(text if isinstance(text, str) and len(text) == 10 else "")
    except ValueError:
        raise ValueError("must be a day such as 2026-12-31") from None


Day = Annotated[date, BeforeValidator(_day)]
Code = Annotated[str, Field(pattern=rf"^[0-9]{{4,{MOST_PIN_DIGITS}}}$")]
"""A PIN; how many digits it takes at least, the configuration says."""


class Set(Request):
    """When a person may come; what is not named stays as it is."""

    right = "people.write"
    action: Literal["set"]
    name: Name
    schedule: Annotated[str, Field(pattern=SCHEDULE_PATTERN)] | None = None
    """Name of a schedule; null: none."""
    valid_from: Day | None = None
    """The first day; null: none."""
    valid_until: Day | None = None
    """The last day; null: none."""
    suspended: bool = False
    forget: bool = False
    """Whether the person is removed when the last day is over."""

    @property
    def changes(self) -> dict[str, Any]:
        """The fields that were named, with their values."""
        return {key: getattr(self, key) for key in self.model_fields_set - {"action", "actor", "name"}}


class Pin(Request):
    """A PIN for a person, in place of the one before."""

    right = "people.write"
    action: Literal["pin"]
    name: Name
    pin: Annotated[Code | None, Field(repr=False)] = None
    """Null: none any more."""
    duress: Annotated[Code | None, Field(repr=False)] = None
    """Another one, for an emergency; null: none."""

    @model_validator(mode="after")
    def _alone(self) -> Self:
        if self.duress is not None and self.pin is None:
            raise ValueError("a duress PIN goes with a PIN")
        return self


class Card(Request):
    """A card for a person, in place of the one before."""

    right = "people.write"
    action: Literal["card"]
    name: Name
    number: Annotated[Annotated[str, Field(max_length=64)] | None, Field(repr=False)] = None
    """As a reader types it, or `facility,number`; null: none any more."""
