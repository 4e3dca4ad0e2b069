"""The configuration in force, read only, and whether all is there that the door needs."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console.pages.page import Visit, route
from facelatch.errors import NotAllowedError


def routes() -> list[Route]:
    """Those of this module."""
    return [route("/settings", settings, "admin")]


def settings(visit: Visit) -> Response:
    """Every key with its value, and whether the file has it or it is the default."""
    found = visit.ask("config")["settings"]
    sections = [(name, list(rows)) for name, rows in groupby(found, key=lambda row: row["section"])]
    return visit.draw("settings.html", "page.settings", sections=sections, findings=_findings(visit))


def _findings(visit: Visit) -> list[dict[str, Any]]:
    """What `facelatch check` says beside the door; nothing where the console may not ask."""
    try:
        found: list[dict[str, Any]] = visit.ask("check")["findings"]
    except NotAllowedError:
        return []
    return found
