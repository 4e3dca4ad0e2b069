"""What the audit says of exports: one event for all the pages that a client took, once it took them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from facelatch.audit.events import Event
from facelatch.ports import Request

PATIENCE_SECONDS = 10.0
"""An export whose next page has not been asked for by then has ended."""

Client = tuple[object, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """A reply that holds faces."""

    request: Request
    event: Event
    last: bool

    @property
    def client(self) -> Client:
        """Who asked: the same process for all pages of one export."""
        return tuple(self.event.fields.get(name) for name in ("UID", "PID", "ACTOR"))


class Exports:
    """Pages on their way, and the exports they belong to."""

    def __init__(self) -> None:
        self._pages: list[_Page] = []
        self._taken: dict[Client, tuple[Event, float]] = {}
        """What each client took so far, and when the next page came at the latest."""

    def give(self, request: Request, event: Event, *, last: bool) -> None:
        """Takes note of a page, its reply given to `request`; `event` tells of this page alone."""
        self._pages.append(_Page(request, event, last))

    def told(self, now: float, *, ending: bool = False) -> Iterator[Event]:
        """The exports that have ended, each as one event. A page that its client did not take is no export.

        `ending`: all of them; a page on its way counts as taken then.
        """
        waiting: list[_Page] = []
        for page in self._pages:
            taken = page.request.taken
            if taken is None and ending:
                taken = True
            if taken is None or any(earlier.client == page.client for earlier in waiting):
                waiting.append(page)
                continue
            if taken:
                self._add(page, now)
            if page.last or not taken:
                yield from self._ended(page.client)
        self._pages = waiting
        busy = {page.client for page in waiting}
        for client, (_, until) in tuple(self._taken.items()):
            if ending or (now >= until and client not in busy):
                yield from self._ended(client)

    def _add(self, page: _Page, now: float) -> None:
        before, _ = self._taken.get(page.client, (None, now))
        count = int(page.event.fields["COUNT"]) + (int(before.fields["COUNT"]) if before is not None else 0)
        event = replace(page.event, fields={**page.event.fields, "COUNT": count})
        self._taken[page.client] = (event, now + PATIENCE_SECONDS)

    def _ended(self, client: Client) -> Iterator[Event]:
        if (found := self._taken.pop(client, None)) is not None:
            yield found[0]
