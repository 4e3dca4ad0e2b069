"""Which pictures are one and the same, cut, coloured or encoded otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from facelatch.values.pictures import Image

SAME_PICTURE = 0.985
"""Correlation of two small grey faces from which they are one picture, cut or coloured otherwise."""

_THUMB_PX = 24
_FACE = (slice(20, 104), slice(16, 96))
"""The face in a crop: black corners would make all crops alike."""


class Duplicates:
    """Small grey faces of everything kept, to tell whether a picture was seen before."""

    def __init__(self) -> None:
        self._rows: dict[str, list[npt.NDArray[np.float32]]] = {}
        self._numbers: dict[str, list[int]] = {}
        self._count = 0

    def is_repeat(self, identity: str, crop: Image) -> bool:
        """Whether `identity` has this very picture; remembers it otherwise, numbered from 0 over all people."""
        face = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[_FACE]
        small = cv2.resize(face, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
        row = small.ravel() - small.mean()
        row /= max(float(np.linalg.norm(row)), 1e-6)
        earlier = self._rows.setdefault(identity, [])
        if earlier and float((np.stack(earlier) @ row).max()) > SAME_PICTURE:
            return True
        earlier.append(row)
        self._numbers.setdefault(identity, []).append(self._count)
        self._count += 1
        return False

    def shared(self) -> list[tuple[int, int, float]]:
        """Pairs of pictures that are one picture under two identities. N^2 products, 1,024 rows at a time."""
        owners = np.array([identity for identity, rows in self._rows.items() for _ in rows])
        numbers = [number for group in self._numbers.values() for number in group]
        if len(numbers) < 2:
            return []
        table = np.concatenate([np.stack(rows) for rows in self._rows.values() if rows])
        pairs = []
        for start in range(0, len(table), 1024):
            correlations = table[start : start + 1024] @ table[start:].T
            for left, right in zip(*np.nonzero(correlations > SAME_PICTURE), strict=True):
                if right > left and owners[start + left] != owners[start + right]:
                    pairs.append(
                        (numbers[start + left], numbers[start + right], float(correlations[left, right]))
                    )
        return pairs


def across_splits(shared: Sequence[tuple[int, int, float]], splits: Sequence[str]) -> dict[int, int]:
    """Training picture -> the validation picture that it is, of pairs (picture, picture, correlation)."""
    leaks: dict[int, int] = {}
    for left, right, _ in shared:
        if splits[left] != splits[right]:
            train, validation = (left, right) if splits[left] == "train" else (right, left)
            leaks.setdefault(train, validation)
    return leaks
