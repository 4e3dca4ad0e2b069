"""What every section of `facelatch.toml` shares: strictness, and the bounded types of its keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

Pin = Annotated[int, Field(ge=0, le=27)]


def _pin_or_none(value: object) -> object:
    """Said in one sentence: pydantic would tell the faults of both alternatives, as if both had to be mended."""
    if value == "none" or (type(value) is int and 0 <= value <= 27):
        return value
    raise ValueError('must be a GPIO number from 0 to 27 without quotes, or "none"')


OptionalPin = Annotated[Pin | Literal["none"], BeforeValidator(_pin_or_none)]
"""A pin of something that may be missing."""


class Section(BaseModel):
    """A section that refuses unknown keys, converts nothing and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
