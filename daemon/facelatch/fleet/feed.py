"""What is new in the door's history, each row once: the cursor is on disk, and moves when its rows are delivered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from facelatch.control.client import every_page

MOST_ROWS = 1000
"""Of a feed that has not been read for long: older rows are in the history."""

PAGE = 100

Ask = Callable[..., dict[str, Any]]


class Feed:
    """The rows after the cursor. A new bridge begins with what happens from now on."""

    def __init__(self, directory: Path, ask: Ask) -> None:
        """`ask(action, **fields)` asks the daemon."""
        self._file, self._ask = directory / "cursor", ask
        self._cursor = self._read()

    def new(self) -> list[dict[str, Any]]:
        """Rows not delivered yet, oldest first. Raises FacelatchError when the daemon does not answer."""
        if self._cursor is None:
            newest = self._ask("history", most=1)["events"]
            self.delivered(newest[0]["seq"] if newest else 0)
            return []
        rows: list[dict[str, Any]] = []
        for page in every_page(lambda begin: self._ask("history", most=PAGE, **begin), "before"):
            newer = [row for row in page["events"] if row["seq"] > self._cursor]
            rows += newer
            if len(newer) < len(page["events"]) or len(rows) >= MOST_ROWS:
                break
        return rows[::-1]

    def delivered(self, seq: int) -> None:
        """Up to this row, whatever happens now."""
        if seq != self._cursor:
            self._cursor = seq
            new = self._file.with_suffix(".new")
            new.write_text(f"{seq}\n")
            new.replace(self._file)

    def _read(self) -> int | None:
        try:
            return int(self._file.read_text())
        except (OSError, ValueError):
            return None
