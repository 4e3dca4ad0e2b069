"""The configuration in force, read only."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console.pages.page import Visit, route


def routes() -> list[Route]:
    """Those of this module."""
    return [route("/settings", settings, "admin")]


def settings(visit: Visit) -> Response:
    """Every key with its value, and whether the file has it or it is the default."""
    found = visit.ask("config")
    sections = [
        (name, [{"key": key, **value} for key, value in keys.items()])
        for name, keys in found["sections"].items()
    ]
    return visit.draw("settings.html", "page.settings", sections=sections)
