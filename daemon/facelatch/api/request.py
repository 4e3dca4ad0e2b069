"""What every request of a local client has."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from facelatch.config.service import Right

Name = Annotated[str, Field(max_length=1024)]
"""What may be or become a person's name; the gallery says which is one."""

Actor = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
"""On whose behalf somebody with the right `acts_for` asks."""


AnyRight = Right | Literal["owner"]
"""Rights as the configuration gives them, and one that nobody can be given: root and the daemon's own user have it."""


class Request(BaseModel):
    """The base of all; what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    right: ClassVar[Right]
    """What whoever asks must be allowed."""
    most_bulk: ClassVar[int] = 0
    """How many bytes may come along by a descriptor; 0: none may."""
    action: str
    actor: Actor | None = None

    def needs(self) -> set[AnyRight]:
        """All rights that this very request takes."""
        acting: set[AnyRight] = {"acts_for"} if self.actor is not None else set()
        return acting | {self.right}
