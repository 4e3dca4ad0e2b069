"""What the camera sees, to aim it: the picture, how far each measure is from its limit, and what to do about it.

The daemon gives it only while somebody at the door, or root, has said so. Nothing here can say so, and no picture is
kept here for longer than it takes to send it.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console import words
from facelatch.console.pages.page import Visit, go, route
from facelatch.console.words import Say
from facelatch.errors import ControlError

NARROW = 1.3
"""A measure less than so many times its least passes now, and may not at another hour."""

SCALES = {"yaw": (-1.5, 1.5), "pitch": (-1.5, 1.5), "roll": (-60.0, 60.0), "brightness": (0.0, 255.0)}
"""Of the bars; those of the others begin at 0 and end at MOST_TIMES their least."""

MOST_TIMES = 5.0


NO_PICTURE = 2**63 - 1
"""As `after` of the request: no picture has a larger number, so the figures come without one, which comes apart."""


def routes() -> list[Route]:
    """Those of this module."""
    return [route("/aim", aim, "enroller"), route("/aim/end", end, "enroller", post=True)]


def aim(visit: Visit) -> Response:
    """The picture, or how to get it."""
    return visit.draw("aim.html", "page.aim", **now(visit))


def end(visit: Visit) -> Response:
    """Nobody is to see the picture any more."""
    visit.ask("aim", on=False)
    return go("/aim")


def now(visit: Visit) -> dict[str, Any]:
    """What `aim_now.html` is drawn from; a door that does not answer is shown as that."""
    say = words.speaker(visit.language)
    try:
        seen = visit.ask("preview", after=NO_PICTURE)
    except ControlError:
        return {"state": "away", "advice": say("door.away"), "seen": None, "bars": [], "remarks": []}
    if not seen["armed"]:
        return {"state": "off", "advice": say("aim.off"), "seen": seen, "bars": [], "remarks": []}
    bars = [bar(one, say) for one in seen["limits"]]
    return {"state": "on", "advice": advice(seen, say), "seen": seen, "bars": bars, "remarks": remarks(seen, say)}


def advice(seen: dict[str, Any], say: Say) -> str:
    """What to do first, in a sentence."""
    if not seen["number"]:
        return say("aim.waiting")
    if seen["reason"] is not None:
        return say("advice." + seen["reason"])
    return say("advice.good" if seen["box"] is not None else "advice.no_face")


def remarks(seen: dict[str, Any], say: Say) -> list[str]:
    """On distance and light, where there is a face that could be measured."""
    found, reach = [], seen["reach"]
    if reach is not None:
        found.append(say("aim.farther" if reach >= 1 else "aim.nearer", times=f"{reach:.1f}"))
    for one in seen["limits"]:
        if one["name"] == "brightness" and one["passes"] and one["least"]:
            found.append(say("aim.dim" if one["value"] < NARROW * one["least"] else "aim.light"))
    return found


def bar(limit: dict[str, Any], say: Say) -> dict[str, Any]:
    """One measure as it is drawn; `scale` is None where there is nothing between yes and no."""
    name, value, least, most = limit["name"], limit["value"], limit["least"], limit["most"]
    label = say("measure." + name)
    said = say("people.yes" if limit["passes"] else "people.no")
    drawn: dict[str, Any] = {"label": label, "passes": limit["passes"], "value": said, "limit": "", "scale": None}
    drawn["wrong"] = say("advice." + limit["reason"]) if limit["reason"] is not None else ""
    if name == "cut_off" or value is None:
        return drawn
    begin, over = SCALES.get(name, (0.0, MOST_TIMES * (least or 1.0)))
    low, high = (begin if least is None else least), (over if most is None else most)
    key = "aim.between" if least is not None and most is not None else "aim.least" if most is None else "aim.most"
    text = "{:.2f}" if name in ("yaw", "pitch") else "{:.0f}"
    return drawn | {
        "value": text.format(value),
        "limit": say(key, least=text.format(low), most=text.format(high)),
        "scale": {"min": begin, "max": over, "low": low, "high": high, "at": min(max(value, begin), over)},
    }
