"""What the bridge is told by whoever starts it: it does not read the configuration, which would double its memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """The section [fleet], which facelatch/config/fleet.py explains, and where daemon and cursor are."""

    socket: str
    state_directory: str
    version: str
    door: str
    title: str
    broker: str
    port: int
    ca: str
    certificate: str
    key: str
    keepalive_seconds: int
    log: bool
    discovery_prefix: str
    publish_names: bool
    people: str
    membership: str
    notify: tuple[str, ...]
    webhook: str
    command: tuple[str, ...]
    notify_per_minute: int

    def dumps(self) -> str:
        """As `loads` takes them."""
        return json.dumps(asdict(self))


def of_values(values: Mapping[str, Any]) -> Settings:
    """From one value for each field; lists, as the configuration and JSON have them, become tuples."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return Settings(**fields)


def loads(text: str) -> Settings:
    """What `dumps` gave."""
    return of_values(json.loads(text))
