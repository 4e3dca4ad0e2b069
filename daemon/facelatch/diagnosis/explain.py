"""What the door would say to one picture, and from which figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from facelatch.line.pipeline import Line
from facelatch.values.observations import Judged, Observation, Unusable
from facelatch.values.pictures import Image

ONE_PICTURE = "one photograph cannot show life: the door judges that over a second of looking at a visitor"
"""What is said of liveness where there is a single picture."""


def explained(
    line: Line, observation: Observation, judge: Callable[[Image], dict[str, Any]]
) -> dict[str, Any]:
    """What the line saw in a picture, as JSON: face, pose, thresholds; and where there is a face to judge, what
    `judge` says to its crop.
    """
    if isinstance(observation, Judged):
        record: dict[str, Any] = {"liveness": ONE_PICTURE, "face": _face(observation), "pose": asdict(observation.pose)}
        return {**record, **judge(observation.crop)}
    record = {
        "matched": False,
        "reason": observation.reason,
        "hint": observation.reason.hint,
        "detection_threshold": line.thresholds.detection,
        "verification_threshold": line.thresholds.verification,
    }
    return {**record, **({"face": _face(observation)} if isinstance(observation, Unusable) else {})}


def _face(observation: Judged | Unusable) -> dict[str, Any]:
    return {**asdict(observation.face.box), "score": round(observation.face.score, 3)}
