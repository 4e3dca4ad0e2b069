"""The first page: how the door stands, and goes on standing while somebody looks."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console.pages.page import Visit, go, route
from facelatch.errors import ControlError, InputError, NotAllowedError

LAST_EVENTS = 8


def routes() -> list[Route]:
    """Those of this module."""
    return [route("/", door, "viewer"), route("/lockout/clear", clear, "admin", post=True, proof=True)]


def door(visit: Visit) -> Response:
    """Now."""
    return visit.draw("door.html", "page.door", **now(visit))


def now(visit: Visit) -> dict[str, Any]:
    """What `door_now.html` is drawn from; a door that does not answer is shown as that."""
    try:
        return {"status": visit.ask("status"), "events": _last(visit)}
    except ControlError:
        return {"status": None, "events": []}


def _last(visit: Visit) -> list[dict[str, Any]]:
    """What happened last; nothing where no ledger is kept or the console may not read it."""
    try:
        found: list[dict[str, Any]] = visit.ask("history", most=LAST_EVENTS)["events"]
    except (InputError, NotAllowedError):
        return []
    return found


def clear(visit: Visit) -> Response:
    """Forgets refused attempts, and ends a lock-out."""
    visit.ask("lockout", clear=True)
    return go("/")
