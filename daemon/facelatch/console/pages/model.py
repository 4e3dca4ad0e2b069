"""What is known of the model that recognises people, read only."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console import model_card
from facelatch.console.pages.page import Visit, route
from facelatch.errors import ControlError


def routes() -> list[Route]:
    """Those of this module."""
    return [route("/settings/model", model, "admin")]


def model(visit: Visit) -> Response:
    """What is known of the model on disk, and whether the door runs with another one. Raises ModelError."""
    card = model_card.read(visit.console.manifest)
    try:
        running = str(visit.ask("status")["model"])
    except ControlError:
        running = ""
    rates = {rate.name: rate for rate in card.rates}
    return visit.draw(
        "model.html",
        "model.title",
        card=card,
        other=bool(running) and not card.facts["model_sha256"].startswith(running),
        far=rates.get("far_per_attempt"),
        frr=rates.get("frr_per_attempt"),
    )
