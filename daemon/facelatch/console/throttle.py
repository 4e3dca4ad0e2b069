"""How failed sign-ins slow down: pure, like the door's own throttle.

| failures | input                      | then                                                           |
|----------|----------------------------|----------------------------------------------------------------|
| any      | a right password           | forgotten                                                      |
| up to 4  | a wrong one                | one more                                                       |
| 5 and on | a wrong one                | nobody is asked for 30 s, then twice as long, up to 15 minutes |
| any      | FORGET_SECONDS without one | forgotten                                                      |
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

FREE, FIRST_SECONDS, MOST_SECONDS = 5, 30.0, 900.0
FORGET_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Failures:
    """Of one account or one address; times are seconds since the epoch."""

    count: int = 0
    last: float = 0.0
    until: float = 0.0
    """No attempt is looked at before."""


def place(address: str) -> str:
    """What counts as one address: of IPv6 its network, of which a single machine has all addresses."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if known.version == 4:
        return str(known)
    return str(known.ipv4_mapped or ipaddress.ip_network((known, 64), strict=False))


def wait(failures: Failures, now: float) -> float:
    """For how many seconds no attempt is looked at; a clock that was set back makes it no longer."""
    return min(max(0.0, failures.until - now), MOST_SECONDS)


def failed(failures: Failures, now: float) -> Failures:
    """After one more wrong password."""
    count = 1 if now - failures.last > FORGET_SECONDS else failures.count + 1
    pause = 0.0 if count < FREE else min(FIRST_SECONDS * 2.0 ** min(count - FREE, 10), MOST_SECONDS)
    return Failures(count=count, last=now, until=now + pause)
