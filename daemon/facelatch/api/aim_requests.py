"""What a local client may ask about the picture by which somebody aims the camera."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from facelatch.api.request import AnyRight, Request


class Aim(Request):
    """Whether the picture may be seen; with `on` from now on, or not any more."""

    right = "status"
    action: Literal["aim"]
    on: bool | None = None

    @model_validator(mode="after")
    def _oneself(self) -> Self:
        if self.on and self.actor is not None:
            raise ValueError("nobody shows the picture on behalf of somebody else")
        return self

    def needs(self) -> set[AnyRight]:
        """Whoever may look may also stop it; to begin takes what nobody can be given."""
        more: set[AnyRight] = set() if self.on is None else {"owner" if self.on else "preview"}
        return super().needs() | more


class Preview(Request):
    """The newest picture, and what was measured in it."""

    right = "preview"
    action: Literal["preview"]
    after: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """`number` of the picture that the client has: that one need not come again."""
