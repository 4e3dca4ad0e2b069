"""What a request of a local client came to."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from facelatch.audit.events import Event, EventKind, Value
from facelatch.controller.state import Command
from facelatch.values.records import Person


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client is told, and what the loop has to do about it."""

    reply: dict[str, Any]
    """For the client; JSON."""
    gallery_changed: bool = False
    """Whether the gallery has to be loaded again."""
    events: Sequence[Event] = ()
    """For the audit."""
    trace: Event | None = None
    """For the audit too, but not each time: many alike within a while become one with a COUNT."""
    given: Event | None = None
    """For the audit, once the client has taken the reply: of an export, which several replies may make."""
    last: bool = True
    """Whether no other reply belongs to what `given` tells."""
    command: Command | None = None
    """For the machines."""
    bulk: bytes | None = field(default=None, repr=False)
    """For the client, beside the reply, in a memory file."""


Work = Generator[None, None, Answer]
"""What takes longer than a frame may wait: yields often, and returns the answer."""


def done(work: Work) -> Answer:
    """The answer, for a caller who has nothing else to do. Raises what the work raises."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            answer: Answer = end.value
            return answer


def about(person: Person, kind: EventKind, **fields: Value) -> Event:
    """An event of this kind about a person."""
    return Event(kind, {"PERSON": person.name, "PERSON_ID": person.id, **fields})


def yes_or_no(truth: bool) -> str:
    """A truth as the audit writes it."""
    return "yes" if truth else "no"
