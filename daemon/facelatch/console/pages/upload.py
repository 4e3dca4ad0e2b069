"""Enrolling from pictures that somebody uploads, from a phone say; the intake decodes them, not this process."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console import intake
from facelatch.console.pages.page import Visit, route


def routes() -> list[Route]:
    """Those of this module."""
    return [route("/people/upload", upload, "enroller", post=True, proof=True, files=True)]


def upload(visit: Visit) -> Response:
    """Looks at the pictures, and enrols whoever they show. Raises FacelatchError."""
    assert visit.session is not None
    if visit.console.intake is None:
        return visit.refuse("error.not_found", 404)
    name, how = visit.form.get("name", "").strip(), visit.form.get("how", "")
    if how and not visit.session.may("admin"):
        return visit.refuse("error.forbidden", 403)
    found = intake.looked_at(visit.console.intake, visit.files)
    good = [one for one in found if not one.problem]
    left_out = [(one.name, one.problem) for one in found if one.problem]
    kept, warnings = 0, []
    if good:
        reply = visit.ask(
            "enroll_pictures",
            b"".join(one.crop for one in good),
            name=name,
            add=how == "add",
            replace=how == "replace",
            pictures=[{"size": len(one.crop), **one.pose} for one in good],
        )
        kept, warnings = reply["references"], reply["warnings"]
        left_out += [(good[one["picture"] - 1].name, one["reason"]) for one in reply["left_out"]]
    return visit.draw(
        "uploaded.html",
        "upload.title",
        code=200 if kept else 400,
        name=name,
        kept=kept,
        left_out=left_out,
        warnings=warnings,
    )
