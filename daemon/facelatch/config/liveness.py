"""Section for telling faces from pictures of faces."""

from __future__ import annotations

from typing import Literal

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
