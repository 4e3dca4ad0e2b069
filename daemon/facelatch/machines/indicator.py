"""What the light and the buzzer say. One table; nowhere else is a colour or a rhythm known.

A plain LED tells the states apart by rhythm alone, an RGB LED by colour and rhythm. Rows stand in order
of priority: of all patterns that apply the first is shown. `card()` is the same table for people.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from facelatch.values.wires import Lamp

Led = Literal["none", "single", "rgb"]


class Pattern(StrEnum):
    """Everything the indicator can say, most urgent first."""

    FAULT = "fault"
    ALARM = "alarm"
    FIRE = "fire"
    CAMERA_LOST = "camera_lost"
    NOT_ENROLLED = "not_enrolled"
    ALREADY_ENROLLED = "already_enrolled"
    MOVE_MORE = "move_more"
    SECOND_PERSON = "second_person"
    NOT_AUTHORISED = "not_authorised"
    NOT_SAVED = "not_saved"
    NOT_READABLE = "not_readable"
    ENROLLED = "enrolled"
    CONFIRM = "confirm"
    SAVING = "saving"
    KEPT = "kept"
    CAPTURING = "capturing"
    ARMED = "armed"
    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    LOOK_STRAIGHT = "look_straight"
    AUTHORISING = "authorising"
    BUTTON_STUCK = "button_stuck"
    CLOSE_THE_DOOR = "close_the_door"
    AIMING = "aiming"
    FREE = "free"
    UNLOCKED = "unlocked"
    ASKS_FACTOR = "asks_factor"
    NOT_NOW = "not_now"
    REFUSED = "refused"
    LOCKDOWN = "lockdown"
    NOBODY_LET_IN = "nobody_let_in"
    LOCKED_OUT_LONGER = "locked_out_longer"
    LOCKED_OUT_LONG = "locked_out_long"
    LOCKED_OUT = "locked_out"
    UNCLEAR = "unclear"
    LOOKING = "looking"
    NOBODY_ENROLLED = "nobody_enrolled"
    READY = "ready"


class Colour(StrEnum):
    """Of an RGB LED."""

    RED = "red"
    GREEN = "green"
    BLUE = "blue"
    YELLOW = "yellow"


_CHANNELS: Mapping[Colour, tuple[bool, bool, bool]] = {
    Colour.RED: (True, False, False),
    Colour.GREEN: (False, True, False),
    Colour.BLUE: (False, False, True),
    Colour.YELLOW: (True, True, False),
}


@dataclass(frozen=True, slots=True)
class Row:
    """How one pattern looks and sounds. Nothing is shorter than 0.15 s: the loop turns every 0.1 s."""

    meaning: str
    words: str
    """The rhythm, for people."""
    rhythm: tuple[float, ...]
    """Seconds lit, dark, lit, dark ...; repeated for ever. A single value is lit without a break."""
    colour: Colour
    beeps: tuple[float, ...] = ()
    """Seconds sounding, silent, sounding ...; once, when the pattern begins."""


def _blinks(number: int) -> tuple[float, ...]:
    return (*((0.25, 0.25) * number)[:-1], 1.5)


_LOW = (0.15, 0.15, 0.15, 0.15, 0.15)
_SHORT = (0.15,)

ROWS: Mapping[Pattern, Row] = {
    Pattern.FAULT: Row("fault, the door stays locked", "flickers", (0.15, 0.15), Colour.RED),
    Pattern.ALARM: Row("alarm: door or case", "quick, more lit than dark", (0.3, 0.15), Colour.RED),
    Pattern.FIRE: Row("the fire panel releases the doors", "even, more lit than dark", (0.6, 0.3), Colour.YELLOW),
    Pattern.CAMERA_LOST: Row(
        "camera failed: nobody is recognised", "two flickers, long", (0.15, 0.15, 0.15, 0.15, 0.9, 0.3), Colour.RED
    ),
    Pattern.NOT_ENROLLED: Row(
        "not enrolled: aborted or too late", "1 blink, pause", _blinks(1), Colour.RED, _LOW
    ),
    Pattern.ALREADY_ENROLLED: Row(
        "not enrolled: already is", "2 blinks, pause", _blinks(2), Colour.RED, _LOW
    ),
    Pattern.MOVE_MORE: Row(
        "not enrolled: move the head more", "3 blinks, pause", _blinks(3), Colour.RED, _LOW
    ),
    Pattern.SECOND_PERSON: Row(
        "not enrolled: somebody else came into view", "4 blinks, pause", _blinks(4), Colour.RED, _LOW
    ),
    Pattern.NOT_AUTHORISED: Row(
        "not enrolled: no admin authorised it", "5 blinks, pause", _blinks(5), Colour.RED, _LOW
    ),
    Pattern.NOT_SAVED: Row(
        "not enrolled: could not be saved", "6 blinks, pause", _blinks(6), Colour.RED, _LOW
    ),
    Pattern.NOT_READABLE: Row(
        "not enrolled: face covered, or camera not upright", "7 blinks, pause", _blinks(7), Colour.RED, _LOW
    ),
    Pattern.ENROLLED: Row("enrolled", "long, with short gaps", (1.0, 0.2), Colour.GREEN, (0.6,)),
    Pattern.CONFIRM: Row(
        "press the button to keep this person",
        "long, long, short",
        (0.8, 0.3, 0.8, 0.3, 0.2, 0.3),
        Colour.GREEN,
        (0.15, 0.15, 0.15),
    ),
    Pattern.SAVING: Row("saving", "very long, with short gaps", (2.0, 0.2), Colour.BLUE),
    Pattern.KEPT: Row("an image was kept", "one longer flash", (0.6, 0.2), Colour.GREEN, _SHORT),
    Pattern.CAPTURING: Row("move the head a little", "quick, even", (0.3, 0.3), Colour.BLUE),
    Pattern.ARMED: Row("waiting for the new face", "slow, even", (0.8, 0.8), Colour.BLUE, _SHORT),
    Pattern.TURN_LEFT: Row(
        "turn your head to your left", "long, as long dark", (0.65, 0.65), Colour.BLUE, (0.6,)
    ),
    Pattern.TURN_RIGHT: Row(
        "turn your head to your right",
        "three quick, pause",
        (0.15, 0.15, 0.15, 0.15, 0.15, 0.55),
        Colour.YELLOW,
        (0.15, 0.15, 0.15, 0.15, 0.15),
    ),
    Pattern.LOOK_STRAIGHT: Row(
        "look straight at the camera", "lit, a wink every second", (0.85, 0.15), Colour.BLUE
    ),
    Pattern.AUTHORISING: Row(
        "waiting for an admin's face", "long, short", (0.8, 0.3, 0.2, 0.3), Colour.YELLOW, _SHORT
    ),
    Pattern.BUTTON_STUCK: Row(
        "the button is stuck", "short, short, long", (0.2, 0.3, 0.2, 0.3, 0.8, 0.8), Colour.YELLOW
    ),
    Pattern.CLOSE_THE_DOOR: Row("close the door", "flicker, long", (0.15, 0.15, 0.6, 0.3), Colour.YELLOW),
    Pattern.AIMING: Row(
        "the camera's picture is shown on the console",
        "long, short, short, pause",
        (0.8, 0.2, 0.2, 0.2, 0.2, 1.4),
        Colour.YELLOW,
        _SHORT,
    ),
    Pattern.FREE: Row("free passage", "lit, a wink every 3 s", (2.85, 0.15), Colour.GREEN),
    Pattern.UNLOCKED: Row("unlocked", "steady", (1.0,), Colour.GREEN, (0.3,)),
    Pattern.ASKS_FACTOR: Row(
        "enter your PIN, or hold up your card",
        "short, short, long, even",
        (0.2, 0.2, 0.2, 0.2, 0.8, 0.2),
        Colour.BLUE,
        (0.15, 0.15, 0.15),
    ),
    Pattern.NOT_NOW: Row(
        "recognised, but not at this time, or without PIN or card",
        "lit, blinks off three times",
        (0.7, 0.15, 0.15, 0.15, 0.15, 0.15),
        Colour.RED,
        (0.3, 0.15, 0.3),
    ),
    Pattern.REFUSED: Row(
        "not recognised", "lit, blinks off twice", (0.7, 0.15, 0.15, 0.15), Colour.RED, (0.15, 0.15, 0.15)
    ),
    Pattern.LOCKDOWN: Row("lockdown", "very long, short", (2.0, 0.3, 0.2, 0.3), Colour.RED),
    Pattern.NOBODY_LET_IN: Row("locked by request", "very slow, even", (1.5, 1.5), Colour.RED),
    Pattern.LOCKED_OUT_LONGER: Row(
        "no attempts for over 5 minutes", "3 short, every 3 s", (0.3, 0.2, 0.3, 0.2, 0.3, 1.7), Colour.RED
    ),
    Pattern.LOCKED_OUT_LONG: Row(
        "no attempts for 1 to 5 minutes", "2 short, every 2.5 s", (0.3, 0.2, 0.3, 1.7), Colour.RED
    ),
    Pattern.LOCKED_OUT: Row("no attempts for up to a minute", "short, every 2 s", (0.3, 1.7), Colour.RED),
    Pattern.UNCLEAR: Row(
        "cannot see you well: alone, closer, in the light",
        "short, short, pause",
        (0.15, 0.15, 0.15, 0.7),
        Colour.YELLOW,
    ),
    Pattern.LOOKING: Row("looking at you", "very quick", (0.15, 0.3), Colour.BLUE),
    Pattern.NOBODY_ENROLLED: Row(
        "ready, but nobody is enrolled", "two ticks every 4 s", (0.15, 0.35, 0.15, 3.35), Colour.BLUE
    ),
    Pattern.READY: Row("ready", "one tick every 4 s", (0.15, 3.85), Colour.GREEN),
}


def choose(applicable: Collection[Pattern]) -> Pattern:
    """The most urgent of the patterns that apply; READY when none does."""
    return next((pattern for pattern in Pattern if pattern in applicable), Pattern.READY)


def lamp(pattern: Pattern, now: float, led: Led, since: float = 0.0) -> Lamp:
    """What to drive at `now` when `pattern` has been shown since `since` (both monotonic seconds)."""
    row = ROWS[pattern]
    elapsed = max(0.0, now - since)
    sounding = elapsed < sum(row.beeps) and _is_on(row.beeps, elapsed)
    if led == "none" or not _is_on(row.rhythm, elapsed):
        return Lamp(buzzer=sounding)
    red, green, blue = _CHANNELS[row.colour] if led == "rgb" else (True, True, True)
    return Lamp(red, green, blue, sounding)


def _is_on(rhythm: tuple[float, ...], elapsed: float) -> bool:
    """Whether a rhythm of alternating on and off times is on after `elapsed` seconds."""
    if len(rhythm) == 1:
        return True
    left = elapsed % sum(rhythm)
    for index, seconds in enumerate(rhythm):
        if left < seconds:
            return index % 2 == 0
        left -= seconds
    return False


def card() -> list[tuple[str, str, str]]:
    """The card for people: what it means, the rhythm, the colour of an RGB LED."""
    return [(row.meaning, row.words, row.colour.value) for row in ROWS.values()]
