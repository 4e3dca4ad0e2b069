"""The configuration in force, read only."""

from __future__ import annotations

from itertools import groupby

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console.pages.page import Visit, route


def routes() -> list[Route]:
    """Those of this module."""
    return [route("/settings", settings, "admin")]


def settings(visit: Visit) -> Response:
    """Every key with its value, and whether the file has it or it is the default."""
    found = visit.ask("config")["settings"]
    sections = [(name, list(rows)) for name, rows in groupby(found, key=lambda row: row["section"])]
    return visit.draw("settings.html", "page.settings", sections=sections)
