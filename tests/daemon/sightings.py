"""What the line says of a picture, for tests of what comes after it: nothing there looks at pixels or embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from facelatch.values.observations import Judged, Verdict
from facelatch.values.pictures import Box, Face, Pose

FACE = Face(Box(0, 0, 50, 50), np.zeros((5, 2), np.float32), 0.9)
CROP = np.zeros((112, 112, 3), np.uint8)
NOTHING = np.zeros(0, np.float32)


def judged(
    verdict: Verdict, track: int = 1, *, yaw: float = 0.0, share: float | None = None, **others: Any
) -> Judged:
    """One picture with this verdict; `share` is that of an enrolment's draft."""
    usual: dict[str, Any] = {"face": FACE, "crop": CROP, "embedding": NOTHING, "similarities": NOTHING}
    return Judged(
        frame=0,
        track=track,
        frames=1,
        seconds=0.0,
        pose=Pose(yaw, 0.0, 0.0),
        verdict=verdict,
        draft_share=share,
        **{**usual, **others},
    )
