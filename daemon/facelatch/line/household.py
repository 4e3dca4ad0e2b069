"""A gallery as the line compares with it: references with what is chance taken out, and who has a look-alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facelatch.line.alike import middles
from facelatch.line.pipeline import Line
from facelatch.ports import Verifier
from facelatch.values.records import Gallery
from facelatch.vision import fusion


def prepared(line: Line, gallery: Gallery) -> Gallery:
    """`gallery` (references as the model made them) for a line that judges pictures together; otherwise unchanged.

    To be called whenever a gallery was loaded: who is a look-alike depends on everybody in it.
    """
    if line.thresholds.likeness is None or not gallery.ids:
        return gallery
    return replace(
        gallery,
        embeddings=fusion.halfway(gallery.embeddings, gallery.codes),
        lookalikes=lookalikes(gallery, line.verifier, line.thresholds.lookalike),
    )


def lookalikes(gallery: Gallery, verifier: Verifier, threshold: float | None) -> frozenset[int]:
    """The people in `gallery` who have a look-alike in it: what their references have in common is that similar."""
    if threshold is None:
        return frozenset()
    means = middles(gallery)
    found: set[int] = set()
    for code, middle in enumerate(means):
        alike = verifier.compare(middle, means) >= np.float32(threshold)
        alike[code] = False
        if alike.any():
            found.add(gallery.ids[code])
    return frozenset(found)
