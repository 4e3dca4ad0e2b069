"""From a decoded JSON object to a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from facelatch.api.requests import ACTIONS, CLASSES, AnyRequest, DoorRequest, PeopleRequest, RecordRequest
from facelatch.errors import InputError

MOST_FAULTS_TOLD = 8

_REQUESTS: TypeAdapter[AnyRequest] = TypeAdapter(Annotated[AnyRequest, Field(discriminator="action")])


def people_request(message: Mapping[str, Any]) -> PeopleRequest | RecordRequest:
    """A request that needs no running daemon. Raises InputError for all others."""
    request = parse(message)
    if isinstance(request, DoorRequest):
        raise InputError(
            f"{request.action}: only the running daemon can do that", hint="`systemctl start facelatch`"
        )
    return request


def parse(message: Mapping[str, Any]) -> AnyRequest:
    """The request in a decoded JSON object. Raises InputError that names the fields at fault, and no value."""
    try:
        return _REQUESTS.validate_python(dict(message))
    except ValidationError as error:
        action = message.get("action")
        if not isinstance(action, str) or action not in CLASSES:
            raise InputError(f"{action!a:.50}: no such action", hint=f"one of {', '.join(ACTIONS)}") from error
        # Without the input: it may hold the pictures of an import.
        found = error.errors(include_input=False, include_url=False)
        faults = [f"{'.'.join(map(_word, fault['loc'][1:]))}: {fault['msg']}" for fault in found[:MOST_FAULTS_TOLD]]
        more = "; ..." if len(found) > MOST_FAULTS_TOLD else ""
        raise InputError(
            f"not a request: {'; '.join(fault.removeprefix(': ') for fault in faults)}{more}",
            hint="daemon/docs/control-socket.md has every request",
        ) from error


def _word(part: str | int) -> str:
    """A field's name; an unknown one is the client's text."""
    return ascii(str(part)[:40])[1:-1]
