"""Whether a sealed gallery is the one that was here last: by the number that grows with each change of it, and by what
the ledger knows of that number.
"""

from __future__ import annotations

from pathlib import Path

from facelatch.audit.events import Event, EventKind
from facelatch.errors import GalleryError, InputError, LedgerError
from facelatch.gallery.store import GalleryStore
from facelatch.ledger import tables

TOLD_SECONDS = 86_400.0
"""How often it is written down while nothing changes, so that it outlives what the ledger removes for its age."""


def told(store: GalleryStore) -> tuple[Event, ...]:
    """What is written down of the gallery as it is now; nothing of one that is not sealed."""
    gallery, number = store.generation
    return (Event(EventKind.GALLERY_GENERATION, {"GALLERY": gallery, "GENERATION": number}),) if gallery else ()


def behind(store: GalleryStore, directory: Path) -> str:
    """Why this gallery cannot be the one that was here last, as a sentence; empty where nothing speaks against it.

    A ledger that cannot be read, or is gone, says nothing: it has events of its own for that.
    """
    try:
        last, known = tables.last_generation(directory / tables.NAME)
    except LedgerError:
        return ""
    gallery, number = store.generation
    if not last or (gallery == last and number >= known):
        return ""
    if gallery == last:
        return f"this gallery is an older copy, of generation {number}: the ledger knows {known}"
    return f"this gallery is {'another one' if gallery else 'not sealed, and another one'} than the ledger knows"


def newest(store: GalleryStore, directory: Path) -> GalleryStore:
    """The gallery; one that cannot be the one that was here last is closed. Raises GalleryError."""
    if fault := behind(store, directory):
        store.close()
        raise GalleryError(
            f"{directory}: {fault}",
            hint="it may let in people who were removed. Who has put it there says so by `sudo facelatch-seal run seal"
            " accept`; who has not: look at the card",
        )
    return store


def accepted(store: GalleryStore, directory: Path, uid: int, pid: int) -> Event:
    """That somebody knows of it and wants this gallery. Raises InputError where there is nothing to accept."""
    if not behind(store, directory):
        raise InputError(
            "there is nothing to accept: no later gallery is known here", hint="`facelatch check` says what is wrong"
        )
    gallery, number = store.generation
    return Event(EventKind.GALLERY_ACCEPTED, {"GALLERY": gallery, "GENERATION": number, "UID": uid, "PID": pid})
