"""Whether references tell their owner from other people: a test of the line that every set of them has to pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facelatch.line.pipeline import SetTest
from facelatch.ports import Verifier
from facelatch.values.observations import Thresholds
from facelatch.vision.cohort import Cohort, is_familiar, let_in

_MENDED_BY = {
    "bare": "look straight at the camera in even light",
    "sunglasses": "take off the sunglasses",
    "mask": "take off mask or scarf",
    "sunglasses and mask": "take off sunglasses, mask and scarf",
    "turned": "the camera does not hang upright: see camera.rotation_degrees and `facelatch check`",
}


def distinct_test(verifier: Verifier, cohort: Cohort, thresholds: Thresholds) -> SetTest:
    """The test of one door: given references (R, D), why they do not distinguish and what to take off, or None.

    So many of them show no readable face that these alone could let somebody in, or together they would let in more of
    the cohort than its limit allows.
    """

    def test(references: NDArray[np.float32]) -> str | None:
        unread = float(np.mean([not is_familiar(one, cohort) for one in references]))
        if unread > 0 and unread >= thresholds.verification:
            return (
                f"{unread:.0%} of the images show no face that can be read: take off what covers it;"
                " if so with everybody, see camera.rotation_degrees"
            )
        found = let_in(references, verifier, cohort, thresholds)
        if found.share <= cohort.most_let_in:
            return None
        return (
            f"the images do not distinguish: {_MENDED_BY[found.kind]} (of people who do not exist, shown"
            f" {found.kind}, they would let in {found.share:.1%}, and at most {cohort.most_let_in:.1%} is allowed)"
        )

    return test
