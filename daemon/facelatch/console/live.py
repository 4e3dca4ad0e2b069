"""What changes on an open page, pushed to the browser (server-sent events): pieces of HTML, drawn as the page was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facelatch.console.accounts import Role
from facelatch.console.going import Going, goes_on, looker
from facelatch.console.pages import aim, door, enrolment
from facelatch.console.pages.page import Visit
from facelatch.errors import FacelatchError

PAUSE_SECONDS = 1.0
"""Between two looks: an enrolment must hear from its page every three seconds."""

LONGEST_SECONDS = 300.0
"""Then the browser connects again by itself, and is asked anew who it is."""

MOST_STREAMS = 16


def routes() -> list[Route]:
    """Those of this module."""
    return [
        Route("/live", _streaming("door_now.html", door.now, "viewer")),
        Route("/aim/live", _streaming("aim_now.html", aim.now, "enroller")),
        Route("/enrolment/live", _streaming("enrolment_now.html", enrolment.now, "enroller")),
    ]


def _streaming(template: str, now: Callable[[Visit], dict[str, Any]], role: Role) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        visit = await looker(request, role)
        if isinstance(visit, Response):
            return visit
        if request.app.state.streams >= MOST_STREAMS:
            return Response("too many pages are open\n", 503)
        return Going(_pieces(visit, template, now), "text/event-stream")

    return answer


async def _pieces(visit: Visit, template: str, now: Callable[[Visit], dict[str, Any]]) -> AsyncGenerator[str]:
    state = visit.request.app.state
    state.streams += 1
    last = ""
    try:
        for _ in range(int(LONGEST_SECONDS / PAUSE_SECONDS)):
            if not await goes_on(visit):
                return
            try:
                piece = await run_in_threadpool(lambda: visit.part(template, **now(visit)))
            except FacelatchError:
                return
            if piece != last:
                last = piece
                yield f"data: {json.dumps(piece)}\n\n"
                if "data-over" in piece:
                    return
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        state.streams -= 1
