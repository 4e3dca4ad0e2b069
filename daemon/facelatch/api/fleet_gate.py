"""What this door may not change of people whom others share with it."""

from __future__ import annotations

from facelatch.api import hours_requests, requests
from facelatch.errors import InputError
from facelatch.gallery import fleet, rows
from facelatch.gallery.store import GalleryStore


def refuse_foreign(store: GalleryStore, request: requests.AnyRequest, *, enrols: bool) -> None:
    """Raises InputError for a change that the next envelope would undo, or that other doors would never hear of.

    `enrols` says whether this door signs envelopes. To remove somebody here is always allowed. Raises GalleryError.
    """
    match request:
        case requests.Rename() | hours_requests.Set() | hours_requests.Pin() | hours_requests.Card():
            pictures = False
        case requests.Enroll() | requests.EnrollPictures() if request.of_somebody:
            pictures = True
        case _:
            return
    with store.transaction() as connection:
        person = rows.find(connection, request.name)
        row = fleet.of_person(connection, person)
    if row is None:
        return
    if not enrols:
        raise InputError(
            f"{person.name} is of the fleet, and this door enrols nobody for it",
            hint="change it at a door that enrols, or remove the person here",
        )
    if pictures and not row.own:
        raise InputError(
            f"{person.name} was enrolled at another door, where the pictures are", hint="enrol more pictures there"
        )
