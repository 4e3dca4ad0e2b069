"""The section of the bridge, which tells others in the house about the door: a process of its own."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from facelatch.config.section import Section


class FleetConfig(Section):
    """The bridge (`facelatch bridge`, facelatch-bridge.service): off until its unit is started."""

    door: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] = "door"
    """What this door is called among others: part of topics, and the CN of its certificate."""
    title: Annotated[str, Field(min_length=1, max_length=64)] = "Front door"
    """What people call it."""
    broker: str = ""
    """Host of the MQTT broker; empty: none, notifications only."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8883
    """Of the broker."""
    ca: str = ""
    """PEM file with the authority that vouches for the broker; empty: plain MQTT, on this machine only."""
    certificate: str = ""
    """PEM file with this door's certificate."""
    key: str = ""
    """PEM file with its key."""
    keepalive_seconds: Annotated[int, Field(ge=5, le=600)] = 10
    """A door that is silent for half as long again is shown as unavailable."""
    log: bool = False
    """Whether every row of the ledger is sent to a collector (`facelatch fleet collect`); the bridge needs the right
    `ledger`. Names stay on the device unless `publish_names`."""
    discovery_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_/-]*$")] = "homeassistant"
    """Where Home Assistant looks for devices; empty: nothing is announced."""
    publish_names: bool = False
    """Whether names of people leave the device; otherwise the number that each has here."""
    people: Literal["none", "follow", "enroller"] = "none"
    """Whether people are shared with other doors: follow takes them, enroller also enrols and revokes for all."""
    membership: str = "/etc/facelatch/fleet/membership.json"
    """What `facelatch fleet join` wrote for the daemon; a systemd credential named facelatch-fleet goes before it."""
    notify: Annotated[list[str], Field(max_length=64)] = []  # noqa: RUF012  (pydantic copies it)
    """Which events are told to `webhook` and `command`, such as ["visit.refused", "fault"]; "*" is all."""
    webhook: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """Where they are posted as JSON; empty: nowhere."""
    command: Annotated[list[str], Field(max_length=32)] = []  # noqa: RUF012  (pydantic copies it)
    """A program and its arguments, which gets them as JSON on its standard input; empty: none."""
    notify_per_minute: Annotated[int, Field(ge=1, le=600)] = 10
    """At most so many; of those beyond, the next says how many were left out."""

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key belong together: name both, or neither")
        if self.broker not in ("", "localhost", "127.0.0.1", "::1") and not self.ca:
            raise ValueError(f"broker = {self.broker!r} is another machine and needs `ca`")
        return self
