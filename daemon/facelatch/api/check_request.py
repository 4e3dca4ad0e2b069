"""What a local client may ask about whatever the door stands on."""

from __future__ import annotations

from typing import Literal

from facelatch.api.request import Request


class Check(Request):
    """Whether all is there that the door needs, as far as that can be tried beside it."""

    right = "check"
    action: Literal["check"]
