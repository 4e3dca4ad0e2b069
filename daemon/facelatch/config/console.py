"""The section of the console, the web page of the door: a process of its own, which reads nothing but this."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self

from pydantic import Field, model_validator

from facelatch.config.section import Section

HostName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


class ConsoleConfig(Section):
    """The console (`facelatch console serve`, facelatch-console.service): off until its unit is started."""

    listen: Annotated[str, Field(pattern=r"^(\[[0-9a-f:]+\]|[0-9.]+):[0-9]{1,5}$")] = "127.0.0.1:8080"
    """Address and port. Anything but this machine itself needs `certificate` and `key`."""
    names: Annotated[list[HostName], Field(max_length=16)] = ["localhost"]  # noqa: RUF012  (pydantic copies it)
    """By which names browsers may ask for it. IP addresses always may; other names are refused."""
    certificate: str = ""
    """PEM file with the certificate and those that vouch for it; empty: plain HTTP, on this machine only."""
    key: str = ""
    """PEM file with the key of the certificate."""
    state_directory: str = "/var/lib/facelatch-console"
    """Accounts and sessions; 0700. Nothing of the gallery."""
    intake: str = "/run/facelatch-intake.sock"
    """UNIX socket of the process that looks at uploaded pictures (facelatch-intake.socket); empty: none are taken."""
    passkeys: bool = True
    """Whether people may sign in by passkeys, too, where the console is asked for by a name and not by an address. It
    takes the package webauthn (facelatch[passkeys])."""
    session_hours: Annotated[float, Field(ge=0.1, le=720)] = 12.0
    """Whoever signs in has to do so again after this long."""
    idle_minutes: Annotated[float, Field(ge=1, le=1440)] = 30.0
    """The same after this long without a page asked for."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @model_validator(mode="after")
    def _safe(self) -> Self:
        host, port = self.address
        if not 0 < port < 65_536:
            raise ValueError(f"listen = {self.listen!r} must end in a port from 1 to 65535")
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key belong together: name both, or neither")
        if not ipaddress.ip_address(host).is_loopback and not self.certificate:
            raise ValueError(f"listen = {self.listen!r} is open to others and needs certificate and key")
        return self
