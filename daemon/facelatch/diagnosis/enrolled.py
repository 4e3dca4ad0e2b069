"""Who is enrolled, and how that is kept: by the running daemon, or by the gallery itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from facelatch.api.hours import shown
from facelatch.app import build
from facelatch.config.file import Config
from facelatch.diagnosis import protection


class Enrolled(NamedTuple):
    """What the gallery says, or the running daemon that holds it."""

    people: list[dict[str, Any]]
    """As `list` tells them."""
    served: bool
    seal: str


def read_enrolled(config: Config) -> Enrolled:
    """Asks whoever has the gallery. Raises what the client or the gallery raises."""
    from facelatch.control.client import ControlClient, NobodyThereError, every_page

    try:
        client = ControlClient(Path(config.control.socket))
        pages = every_page(lambda begin: client.ask({"action": "list", **begin}), "after")
        people = [row for page in pages for row in page["people"]]
        return Enrolled(people, True, protection.served_seal(client))
    except NobodyThereError:
        with build.open_gallery(config) as store:
            people = [{"name": one.person.name, "access": shown(one.access)} for one in store.people()]
            return Enrolled(people, False, store.seal.words)
