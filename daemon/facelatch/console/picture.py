"""The camera's picture as a browser shows it without a script: one JPEG after the other in a single answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facelatch.console.going import Going, goes_on, looker
from facelatch.console.pages.page import Visit
from facelatch.errors import FacelatchError

PAUSE_SECONDS = 0.25
"""Between two questions; the daemon makes no more than five pictures a second."""

LONGEST_SECONDS = 330.0
"""Longer than a picture may be seen."""

MOST_PICTURES = 4
"""Browsers that see it at once: each asks the daemon four times a second."""

_LINE = "facelatch-next-picture"


def routes() -> list[Route]:
    """Those of this module."""
    return [Route("/aim/picture", picture)]


async def picture(request: Request) -> Response:
    """The pictures, for as long as they may be seen and the session is one."""
    visit = await looker(request, "enroller")
    if isinstance(visit, Response):
        return visit
    if request.app.state.pictures >= MOST_PICTURES:
        return Response("too many look already\n", 503)
    return Going(_pictures(visit), f"multipart/x-mixed-replace; boundary={_LINE}")


async def _pictures(visit: Visit) -> AsyncGenerator[bytes]:
    state, number = visit.request.app.state, 0
    state.pictures += 1
    try:
        yield f"--{_LINE}\r\n".encode()
        for _ in range(int(LONGEST_SECONDS / PAUSE_SECONDS)):
            if not await goes_on(visit):
                return
            try:
                seen, jpeg = await run_in_threadpool(
                    visit.console.door.fetch, visit.account, "preview", after=number
                )
            except FacelatchError:
                return
            if not seen["armed"]:
                return
            if jpeg:
                number = seen["number"]
                yield _part(jpeg)
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        state.pictures -= 1


def _part(jpeg: bytes) -> bytes:
    """One picture and the line after it: a browser shows it when it has seen that."""
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + f"\r\n--{_LINE}\r\n".encode()
