"""The first page: how the door stands, and goes on standing while somebody looks."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console.pages.page import Visit, go, route
from facelatch.errors import ControlError


def routes() -> list[Route]:
    """Those of this module."""
    return [route("/", door, "viewer"), route("/lockout/clear", clear, "admin", post=True, proof=True)]


def door(visit: Visit) -> Response:
    """Now."""
    return visit.draw("door.html", "page.door", code=200, **now(visit))


def now(visit: Visit) -> dict[str, Any]:
    """What `door_now.html` is drawn from; a door that does not answer is shown as that."""
    try:
        return {"status": visit.ask("status")}
    except ControlError:
        return {"status": None}


def clear(visit: Visit) -> Response:
    """Forgets refused attempts, and ends a lock-out."""
    visit.ask("lockout", clear=True)
    return go("/")
