"""What the audit says of people whom the doors of a fleet share."""

from __future__ import annotations

from typing import Any

from facelatch.api.answer import about, yes_or_no
from facelatch.audit.events import Event, EventKind
from facelatch.gallery import fleet
from facelatch.gallery.fleet_models import NO_FLEET
from facelatch.gallery.fleet_sealing import Sealed
from facelatch.gallery.fleet_taking import Outcome, Taken
from facelatch.sharing.envelope import Opened
from facelatch.sharing.merge import ALIKE
from facelatch.values.records import Person

HINTS = {
    ALIKE: "looks like somebody enrolled earlier: `facelatch people remove` one of the two, or `people resolve` them",
    fleet.ALIKE_HERE: "looks like somebody of this door alone: remove that one, or share and `people resolve` them",
    fleet.INDISTINCT: "would let in people who do not exist: enrol anew, in good light",
    fleet.MODEL: "this door's model is another one: upgrade the door that enrolled, then this one",
    NO_FLEET: "this door has left the fleet: remove the person, or join again",
}
"""What to do about somebody who is held."""



def events_of(taken: Taken, opened: Opened) -> list[Event]:
    """What the audit says of an envelope that was put into effect."""
    person, signer = taken.person, opened.header.signer
    if person is None:
        return []
    if taken.outcome is Outcome.REVOKED:
        return [
            about(person, EventKind.FLEET_PERSON_REVOKED, SIGNER=signer),
            about(person, EventKind.PERSON_REMOVED),
        ]
    found = [about(person, EventKind.FLEET_PERSON_TAKEN, REASON=taken.outcome.value, SIGNER=signer)]
    if taken.admin_lost:
        found.append(about(person, EventKind.ADMIN_CHANGED, REASON="taken away", ADMIN=yes_or_no(False)))
    return found


def sent(sealed: Sealed) -> Event:
    """What the audit says of an envelope that this door sealed."""
    fields: dict[str, Any] = {"SEQ": sealed.row.version, "REASON": "revoked" if sealed.row.revoked else "changed"}
    if sealed.person is not None:
        fields["PERSON_ID"] = sealed.person.id
    return Event(EventKind.FLEET_PERSON_SENT, fields)


def held_events(person: Person, before: str, after: str) -> list[Event]:
    """What the audit says of somebody who is held for another reason than `before`; empty: may come in."""
    if after:
        return [about(person, EventKind.FLEET_PERSON_HELD, REASON=after, HINT=HINTS.get(after, ""))]
    return [] if before == fleet.UNCHECKED else [about(person, EventKind.FLEET_PERSON_RELEASED)]
