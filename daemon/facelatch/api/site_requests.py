"""What a local client may ask of the site: its mode, its alarms."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from facelatch.api.request import AnyRight, Request


class Mode(Request):
    """The mode of the door; with `mode` another one."""

    right = "status"
    action: Literal["mode"]
    mode: Literal["normal", "locked", "free", "lockdown"] | None = None
    seconds: Annotated[float, Field(ge=1, le=86_400)] | None = None
    """For how long, of locked and free."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.seconds is not None and self.mode not in ("locked", "free"):
            raise ValueError("seconds go with locked and free only")
        return self

    def needs(self) -> set[AnyRight]:
        """To look is a matter of status, to change it is more."""
        more: set[AnyRight] = {"mode"} if self.mode is not None else set()
        return super().needs() | more


class Alarm(Request):
    """How the contact and the alarms stand; the alarm can be acknowledged, and an open door be let stand open."""

    right = "status"
    action: Literal["alarm"]
    acknowledge: bool = False
    prop: bool = False

    def needs(self) -> set[AnyRight]:
        """To look is a matter of status, to silence it is more."""
        more: set[AnyRight] = {"mode"} if self.acknowledge or self.prop else set()
        return super().needs() | more
