"""What one item of `facelatch check` comes to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One item of the check."""

    item: str
    ok: bool
    detail: str
    hint: str = ""
    warning: bool = False
    """It works, but a person should know."""
