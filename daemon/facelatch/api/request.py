"""What every request of a local client has."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from facelatch.config.service import Right

Name = Annotated[str, Field(max_length=1024)]
"""What may be or become a person's name; the gallery says which is one."""

Actor = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
"""On whose behalf somebody with the right `acts_for` asks."""


class Request(BaseModel):
    """The base of all; what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    right: ClassVar[Right]
    """What whoever asks must be allowed."""
    most_bulk: ClassVar[int] = 0
    """How many bytes may come along by a descriptor; 0: none may."""
    action: str
    actor: Actor | None = None

    def needs(self) -> set[Right]:
        """All rights that this very request takes."""
        return {self.right} | ({"acts_for"} if self.actor is not None else set())
