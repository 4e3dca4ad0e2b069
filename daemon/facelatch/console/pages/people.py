"""Who is enrolled, and what may be done about it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console.pages.page import Visit, go, route


def routes() -> list[Route]:
    """Those of this module."""
    return [
        route("/people", people, "viewer"),
        route("/people/{name}", person, "viewer"),
        route("/people/{name}/rename", rename, "admin", post=True, proof=True),
        route("/people/{name}/hours", hours, "admin", post=True, proof=True),
        route("/people/{name}/admin", set_admin, "admin", post=True, proof=True),
        route("/people/{name}/forget", forget, "admin", proof=True),
        route("/people/{name}/forget", forgotten, "admin", post=True, proof=True),
    ]


def people(visit: Visit) -> Response:
    """Everybody."""
    return visit.draw("people.html", "page.people", people=visit.console.door.people(visit.account))


def person(visit: Visit) -> Response:
    """One of them."""
    found = visit.ask("show", name=_name(visit))["person"]
    return visit.draw("person.html", found["name"], person=found, path=path_of(found["name"]))


def rename(visit: Visit) -> Response:
    """Another name."""
    done = visit.ask("rename", name=_name(visit), new_name=visit.form.get("new_name", "").strip())
    return go(path_of(done["name"]))


def hours(visit: Visit) -> Response:
    """When the person may come; or whether at all, without forgetting anything."""
    given = visit.form
    if "suspended" in given:
        changes: dict[str, Any] = {"suspended": given["suspended"] == "yes"}
    else:
        wanted = {key: given.get(key, "").strip() for key in ("schedule", "valid_from", "valid_until")}
        changes = {key: value or None for key, value in wanted.items()}
    visit.ask("set", name=_name(visit), **changes)
    return go(path_of(_name(visit)))


def set_admin(visit: Visit) -> Response:
    """Whether the face may authorise enrolments."""
    visit.ask("admin", name=_name(visit), admin=visit.form.get("admin") == "yes")
    return go(path_of(_name(visit)))


def forget(visit: Visit) -> Response:
    """Asks whether that is meant."""
    name = visit.ask("show", name=_name(visit))["person"]["name"]
    return visit.draw("forget.html", "people.forget", name=name, path=path_of(name))


def forgotten(visit: Visit) -> Response:
    """Removes the person."""
    visit.ask("remove", name=_name(visit))
    return go("/people")


def path_of(name: str) -> str:
    """Of a person's page."""
    return f"/people/{quote(name, safe='')}"


def _name(visit: Visit) -> str:
    return str(visit.request.path_params["name"])
