"""What is known of whether a face is alive or a picture of one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Aliveness:
    """What one frame says of it."""

    alive: float
    """Logit of a living face; any finite number."""
    screen: float
    """Logit of a screen rather than a print, should it be no living face."""


class Proof(StrEnum):
    """What all looks at a visitor say together."""

    NOT_ASKED = "not_asked"
    """The door does not ask: `liveness.level` is off."""
    GATHERING = "gathering"
    """There are too few looks yet, or they have gone on for too short a time."""
    LIVE = "live"
    DOUBT = "doubt"
    """Not sure enough to be alive, nor clearly a picture; whoever is in doubt is asked to turn the head."""
    FLAT = "flat"
    """A print, a mask of paper."""
    SCREEN = "screen"
    NOT_LIVE = "not_live"
    """Not sure enough to be alive, nor clearly a print or a screen, and nobody is asked for more."""

    @property
    def passes(self) -> bool:
        """Whether a match may count for more than waiting."""
        return self in (Proof.NOT_ASKED, Proof.LIVE)

    @property
    def may_be_recognised(self) -> bool:
        """Whether a visitor is recognised; one in doubt is let in only after an answer to a request."""
        return self.passes or self is Proof.DOUBT

    @property
    def speaks_against(self) -> bool:
        """Whether it is evidence against the visitor."""
        return self in (Proof.FLAT, Proof.SCREEN, Proof.NOT_LIVE)
