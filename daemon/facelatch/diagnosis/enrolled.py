"""Who is enrolled, and how that is kept: by the running daemon, or by the gallery itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from facelatch.api.hours import shown
from facelatch.app import build
from facelatch.config.file import Config
from facelatch.diagnosis import protection

if TYPE_CHECKING:
    from facelatch.control.client import ControlClient


class Enrolled(NamedTuple):
    """What the gallery says, or the running daemon that holds it."""

    people: list[dict[str, Any]]
    """As `list` tells them."""
    served: bool
    seal: str


def read_enrolled(config: Config) -> Enrolled:
    """Asks whoever has the gallery. Raises what the client or the gallery raises."""
    from facelatch.control.client import ControlClient, NobodyThereError

    try:
        client = ControlClient(Path(config.control.socket))
        return Enrolled([*_pages(client)], True, protection.served_seal(client))
    except NobodyThereError:
        with build.open_gallery(config) as store:
            people = [{"name": one.person.name, "access": shown(one.access)} for one in store.people()]
            return Enrolled(people, False, store.seal.words)


def _pages(client: ControlClient) -> Iterator[dict[str, Any]]:
    """Everybody whom the daemon lists."""
    after: int | None = 0
    while after is not None:
        page = client.ask({"action": "list", "after": after})
        yield from page["people"]
        after = page["next"]
