"""Sections for the machines: session, door, enrolment."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from facelatch.config.section import Seconds, Section, Share


class SessionConfig(Section):
    """How single frames become a grant or a refusal."""

    required_matches: Annotated[int, Field(ge=1, le=50)] = 3
    """Consecutive frames that must match the same person."""
    refusal_frames: Annotated[int, Field(ge=1, le=500)] = 8
    """Judged frames without a grant that make one refused attempt."""
    bridge_seconds: Annotated[float, Field(ge=0, le=5)] = 0.6
    """Frames without a usable face (a blink of the light, a lost frame) for at most this long erase nothing."""
    retry_seconds: Seconds = 2.0
    """After a refused attempt, no new one begins for this long. Whoever stays in view waits five times longer after
    each further refusal, up to fade_seconds; others do not."""
    silence_seconds: Seconds = 2.0
    """Nobody in view for this long ends the attempt."""
    cooldown_seconds: Seconds = 5.0
    """After a grant, no new attempt begins for this long."""
    rearm_seconds: Annotated[float, Field(ge=0.5, le=60)] = 2.0
    """Whoever was granted is not granted again before having been out of view for this long."""
    fade_seconds: Annotated[float, Field(ge=10, le=86_400)] = 120.0
    """Every so often one refused attempt is forgotten. Longer slows strangers down and shuts out more of the others."""
    refusals_before_lockout: Annotated[int, Field(ge=1, le=100)] = 5
    """Refused attempts not yet forgotten that start a lock-out."""
    lockout_seconds: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """The first lock-out; every further refusal makes it longer."""
    lockout_factor: Annotated[float, Field(ge=1, le=10)] = 2.0
    """By how much each further lock-out is longer."""
    max_lockout_seconds: Annotated[float, Field(ge=1, le=86_400)] = 900.0
    """No lock-out is longer."""


class DoorConfig(Section):
    """The door."""

    unlock_seconds: Annotated[float, Field(ge=0.5, le=120)] = 5.0
    """How long a grant unlocks it."""
    max_unlock_seconds: Annotated[float, Field(ge=0.5, le=300)] = 10.0
    """Hard ceiling of one unlocking, kept by a process of its own."""
    relock: Literal["time", "opened", "closed"] = "time"
    """When it locks before its time. opened: as soon as the door opens, for a strike with a latch. closed: as soon as
    it is shut again, and not while it is open, for a bolt; at max_unlock_seconds it locks all the same. Both need
    inputs.contact_pin."""
    open_within_seconds: Annotated[float, Field(ge=0.5, le=120)] = 5.0
    """A door not opened so long after a grant, and locked by then, was not taken; opened later it is forced."""
    held_warning_seconds: Annotated[float, Field(ge=1, le=3600)] = 20.0
    """A door open for so long warns by the buzzer."""
    held_seconds: Annotated[float, Field(ge=1, le=3600)] = 40.0
    """A door open for so long is an alarm."""
    prop_seconds: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    """How long `facelatch alarm --prop` lets it stand open."""

    @model_validator(mode="after")
    def _ceiling_above(self) -> Self:
        if self.max_unlock_seconds < self.unlock_seconds:
            raise ValueError(
                f"max_unlock_seconds = {self.max_unlock_seconds} must be at least "
                f"unlock_seconds = {self.unlock_seconds}"
            )
        if self.held_seconds < self.held_warning_seconds:
            raise ValueError(
                f"held_seconds = {self.held_seconds} must be at least "
                f"held_warning_seconds = {self.held_warning_seconds}"
            )
        return self


class EnrolmentConfig(Section):
    """Enrolment by the on-device button."""

    authorisation: Literal["button", "admin"] = "button"
    """Who may enrol: whoever reaches the button (put it inside), or only after an admin's face."""
    confirm: bool = True
    """What a long press began is kept only after one more press, within 10 s of the last image."""
    references: Annotated[int, Field(ge=1, le=64)] = 8
    """Images kept of a person."""
    pictures: bool = True
    """Whether people may be enrolled from pictures and imports, which prove no living face. Otherwise by the camera
    only."""
    hold_seconds: Annotated[float, Field(ge=0.5, le=30)] = 3.0
    """How long the button is held to begin."""
    timeout_seconds: Annotated[float, Field(ge=5, le=600)] = 60.0
    """An enrolment not finished by then is dropped, nothing is written."""
    min_pose_step: Annotated[float, Field(ge=0, le=1)] = 0.02
    """How far the head must have turned from every image kept so far. 0 for the cascade: it sees no turn."""
    min_interval_seconds: Annotated[float, Field(ge=0, le=10)] = 0.3
    """Least time between two images kept."""
    lookalike_share: Share = 0.25
    """From this share of another person's references a warning names the look-alike."""
    stuck_after_seconds: Annotated[float, Field(ge=10, le=600)] = 20.0
    """A button held longer is reported as stuck and ignored until released."""
    consent: Literal["none", "recorded"] = "none"
    """recorded: the ledger keeps when and how each new person agreed, and to which text, until the person is forgotten.
    `facelatch enroll --consent` then says how; by the button, standing before it counts."""
    consent_text: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,31}$")] = "1"
    """Which text people agree to: its version as you call it."""

    @model_validator(mode="after")
    def _hold_comes_before_stuck(self) -> Self:
        if self.hold_seconds >= self.stuck_after_seconds:
            raise ValueError(
                f"hold_seconds = {self.hold_seconds} must be below stuck_after_seconds = {self.stuck_after_seconds}"
            )
        return self
