"""What the bridge is told by whoever starts it: it does not read the configuration, which would double its memory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


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
    discovery_prefix: str
    publish_names: bool
    notify: tuple[str, ...]
    webhook: str
    command: tuple[str, ...]
    notify_per_minute: int

    def dumps(self) -> str:
        """As `loads` takes them."""
        return json.dumps(asdict(self))


def loads(text: str) -> Settings:
    """What `dumps` gave."""
    values = json.loads(text)
    return Settings(**{**values, "notify": tuple(values["notify"]), "command": tuple(values["command"])})
