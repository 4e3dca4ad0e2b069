"""Enrolling by the door's camera: it goes on while its page is open, and ends when nobody looks."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console.pages.page import Visit, go, route
from facelatch.errors import InputError

OVER = ("idle", "done", "failed")


def routes() -> list[Route]:
    """Those of this module."""
    return [
        route("/enrolment", begin, "enroller", post=True, proof=True),
        route("/enrolment", watch, "enroller"),
        route("/enrolment/abort", abort, "enroller", post=True),
    ]


def begin(visit: Visit) -> Response:
    """Arms the camera."""
    name, how = visit.form.get("name", "").strip(), visit.form.get("how")
    assert visit.session is not None
    if how and not visit.session.may("admin"):
        return visit.refuse("error.forbidden", 403)
    reply = visit.ask("enroll", name=name, add=how == "add", replace=how == "replace")
    visit.console.enrolments[visit.account] = (reply["lease"], name)
    return go("/enrolment")


def watch(visit: Visit) -> Response:
    """How far it is."""
    if visit.account not in visit.console.enrolments:
        return go("/people")
    return visit.draw("enrolment.html", "people.enrolling", **now(visit))


def now(visit: Visit) -> dict[str, Any]:
    """What `enrolment_now.html` is drawn from; looking keeps it going. Raises InputError when there is none."""
    if visit.account not in visit.console.enrolments:
        raise InputError("no enrolment was begun here")
    lease, name = visit.console.enrolments[visit.account]
    status = visit.ask("status", lease=lease)
    return {"status": status, "name": name, "under_way": status["enrolment"]["state"] not in OVER}


def abort(visit: Visit) -> Response:
    """Stops it; nothing is kept."""
    lease, _ = visit.console.enrolments.pop(visit.account, ("", ""))
    if lease:
        visit.ask("abort", lease=lease)
    return go("/people")
