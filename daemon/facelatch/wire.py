"""How errors travel over the control socket: by class name, so that both ends tell the user the same."""

from __future__ import annotations

from typing import Any

from facelatch import errors
from facelatch.errors import ControlError, FacelatchError


def failure(error: FacelatchError) -> dict[str, Any]:
    """The reply that makes the client raise `error`."""
    return {"error": {"kind": type(error).__name__, "message": str(error), "hint": error.hint}}


def raise_failure(reply: dict[str, Any]) -> None:
    """Raises the error a reply carries, as the class it was; a class unknown here becomes ControlError."""
    fault = reply.get("error")
    if fault is None:
        return
    if not isinstance(fault, dict):
        raise ControlError(f"the daemon reported an error that is none: {fault!r:.200}")
    kind = getattr(errors, str(fault.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, FacelatchError)):
        kind = ControlError
    raise kind(str(fault.get("message")), hint=str(fault.get("hint") or ""))
