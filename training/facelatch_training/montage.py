"""Labelled pictures side by side on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from facelatch.private_files import write_private_file
from facelatch.values.pictures import Image

_LABEL_PX = 18


def write_montage(cells: Sequence[tuple[str, Sequence[Image]]], path: Path, *, columns: int) -> Path:
    """One labelled cell per entry, its crops side by side, in a PNG of `columns` cells a row.

    These are faces: nobody else may read it (0600). Raises InputError when it cannot be written.
    """
    if not cells:
        cells = [("nothing", [np.zeros((112, 112, 3), np.uint8)])]
    drawn = [_cell(label, crops) for label, crops in cells]
    height, width = max(cell.shape[0] for cell in drawn), max(cell.shape[1] for cell in drawn)
    columns = min(columns, len(drawn))
    sheet = np.full((math.ceil(len(drawn) / columns) * height, columns * width, 3), 255, np.uint8)
    for number, cell in enumerate(drawn):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    _, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))  # of such pictures it always can
    write_private_file(path, data.tobytes())
    return path


class ContactSheet:
    """Labelled pictures for one montage at `path`: the first `most`, the others only counted."""

    def __init__(self, path: Path, most: int = 240) -> None:
        self.path = path
        self.not_shown = 0
        self._most = most
        self._cells: list[tuple[str, list[Image]]] = []

    def add(self, label: str, picture: Image) -> None:
        """One more cell; `picture` is (112, 112, 3)."""
        if len(self._cells) < self._most:
            self._cells.append((label, [picture]))
        else:
            self.not_shown += 1

    def write(self) -> bool:
        """Whether there was anything to show. Raises InputError when it cannot be written."""
        if self._cells:
            write_montage(self._cells, self.path, columns=10)
        return bool(self._cells)


def _cell(label: str, crops: Sequence[Image]) -> Image:
    strip = np.hstack(crops)
    cell = np.full((strip.shape[0] + _LABEL_PX, strip.shape[1] + 6, 3), 255, np.uint8)
    cell[_LABEL_PX:, : strip.shape[1]] = strip
    cv2.putText(cell, label, (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return cell
