"""What every request passes before any page: the name it asks by, where it comes from, and how large it is.

A page somewhere else must not reach the console through the browser of somebody who is signed in: neither by a name
that somebody points at this address (DNS rebinding), nor by a form or script of its own (cross-site requests).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
"""With every answer. Pages hold names and times of people: no cache keeps them."""


class Guard:
    """Wraps the application."""

    def __init__(self, app: App, names: Collection[str], *, secure: bool) -> None:
        """`names` are those by which it may be asked beside IP addresses; `secure` says whether it speaks TLS."""
        self._app, self._names, self._secure = app, frozenset(names), secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with 4xx itself, or hands on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is not None:
            await _answer(send, *refused)
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message.get("headers", [])}
                more = [
                    (name.encode(), value.encode())
                    for name, value in HEADERS.items()
                    if name.encode() not in given
                ]
                message["headers"] = [*message.get("headers", []), *more]
            await send(message)

        await self._app(scope, receive, guarded)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        hosts = [value for name, value in headers if name == "host"]
        if len(hosts) != 1 or not self._known(hosts[0]):
            return 421, "not known by this name: see console.names"
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST":
            return 405, "not a request of a page"
        fetched = dict(headers)
        origin = fetched.get("origin")
        if fetched.get("sec-fetch-site", "same-origin") != "same-origin" or (
            origin is None and "sec-fetch-site" not in fetched
        ):
            return 403, "the request comes from another site"
        if origin is not None and origin not in origins(hosts[0], secure=self._secure):
            return 403, "the request comes from another site"
        return None

    def _known(self, host: str) -> bool:
        name = name_in(host)
        return name.lower() in self._names or is_address(name)


def origins(host: str, *, secure: bool) -> tuple[str, ...]:
    """Which origins pages of this console have that is asked as `host` (with port); `secure`: it speaks TLS itself.

    What does so in its place, on the same machine, is asked by https too.
    """
    return (f"https://{host}",) if secure else (f"http://{host}", f"https://{host}")


def name_in(host: str) -> str:
    """The name or address in a Host header, without port."""
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host


def is_address(name: str) -> bool:
    """Whether a Host header's name is an IP address, of which version 6 stands in brackets."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    headers.append((b"content-type", b"text/plain; charset=utf-8"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
