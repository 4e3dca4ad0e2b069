"""Embed crops with one TFLite runtime, in a process of its own: RUNTIME MODEL CROPS.npy ANSWER.npy.

Two runtimes in one process may clash, so the exporter starts this module once for each.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from facelatch.adapters.models.verifier_tflite import TfliteVerifier


def main(runtime: str, model: str, crops_file: str, answer: str) -> None:
    """Write the embeddings (N, D) and say which runtime made them; fail if its three signatures disagree."""
    verifier = TfliteVerifier(Path(model), runtime=runtime)
    crops = np.load(crops_file)
    embeddings = np.stack([verifier.embed(crop) for crop in crops])
    both = verifier.compare(embeddings[0], embeddings[1:2])[0]
    at_once = verifier.verify(crops[0], crops[1])
    if abs(both - at_once) > 0.02:
        raise SystemExit(f"compare says {both:.4f}, verify {at_once:.4f} for the same two crops")
    np.save(answer, embeddings)
    sys.stdout.write(verifier.runtime)


if __name__ == "__main__":
    main(*sys.argv[1:5])
