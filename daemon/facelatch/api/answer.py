"""What a request of a local client came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from facelatch.audit.events import Event
from facelatch.controller.state import Command


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client is told, and what the loop has to do about it."""

    reply: dict[str, Any]
    """For the client; JSON."""
    gallery_changed: bool = False
    """Whether the gallery has to be loaded again."""
    events: Sequence[Event] = ()
    """For the audit."""
    command: Command | None = None
    """For the machines."""
