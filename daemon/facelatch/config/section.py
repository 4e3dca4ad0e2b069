"""What every section of `facelatch.toml` shares: strictness, and the bounded types of its keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

Pin = Annotated[int, Field(ge=0, le=27)]


class Section(BaseModel):
    """A section that refuses unknown keys, converts nothing and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
