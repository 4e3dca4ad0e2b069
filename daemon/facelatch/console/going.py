"""Answers that go on while a page is open: who may have one, and that it ends with a reader who takes nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Send

from facelatch.console.accounts import Role
from facelatch.console.pages.page import Visit, checked

PATIENCE_SECONDS = 30.0
"""For a reader to take one piece. A page in the background of a phone may take nothing for days."""


async def looker(request: Request, role: Role) -> Visit | Response:
    """The visit of somebody in `role` who only looks, or why there is none: nobody is sent to sign in by it."""
    kept: list[Visit] = []

    def first(visit: Visit) -> Response:
        kept.append(visit)
        return Response(status_code=204)

    response = await checked(request, first, role, only_open=True)
    if kept:
        return kept[0]
    return Response(status_code=403) if response.status_code == 303 else response


async def goes_on(visit: Visit) -> bool:
    """Whether its reader is still there and signed in, which such an answer asks before every piece."""
    if await visit.request.is_disconnected():
        return False
    return await run_in_threadpool(visit.console.accounts.watching, visit.id) is not None


class Going(StreamingResponse):
    """The pieces one after the other; `pieces` is closed at the end, whichever it is."""

    def __init__(self, pieces: AsyncGenerator[str | bytes], media_type: str) -> None:
        super().__init__(pieces, media_type=media_type)
        self._pieces = pieces

    async def stream_response(self, send: Send) -> None:
        """Sends them; ends without a word when one is not taken for PATIENCE_SECONDS."""

        async def patiently(message: Message) -> None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await send(message)

        try:
            with suppress(TimeoutError):
                await super().stream_response(patiently)
        finally:
            await self._pieces.aclose()
