"""Section for telling faces from pictures of faces."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from facelatch.config.section import Section


class LivenessConfig(Section):
    """Whether a photograph or a screen opens the door. models/liveness.md says what was measured."""

    level: Literal["off", "basic", "strict"] = "off"
    """How sure the door has to be that a face is alive. `off`: it does not ask. With the others a grant takes at least
    a second, and some honest people are refused: see the model's card."""
    model: str = ""
    """The .tflite file, its manifest beside it; empty: the one shipped."""
    extra_model: str = ""
    """A MiniFASNet pair of yours, converted by `facelatch-train liveness convert`, to be asked as well. Its errors are
    others: at the same level fewer of the living are refused. Empty: none."""
    ask: Literal["never", "doubt", "always"] = "never"
    """Who has to turn the head to the sides that the indicator asks for, before being let in. `doubt`: whoever is
    nearly proven alive, instead of being refused. `always`: everybody, at `off` too."""
    turns: Annotated[int, Field(ge=5, le=12)] = 5
    """How many turns. A recording guesses all of them once in 2 to the power of so many requests."""

    @model_validator(mode="after")
    def _can_be_in_doubt(self) -> Self:
        if self.ask == "doubt" and self.level == "off":
            raise ValueError('ask = "doubt" needs a level that can be in doubt: "off" never is')
        return self
