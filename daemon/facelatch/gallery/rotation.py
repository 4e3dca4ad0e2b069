"""A gallery put under another key."""

from __future__ import annotations

from collections.abc import Sequence

from facelatch.errors import InputError
from facelatch.gallery import rows
from facelatch.gallery.sealing import put_under
from facelatch.gallery.store import GalleryStore
from facelatch.values.records import Person


def rotate(store: GalleryStore, keys: Sequence[bytes]) -> int:
    """Seals everything anew with the last of `keys`, whole or not at all; the number of the key in force then.

    A gallery that is under a key that replaces another already stays as it is: so a rotation that was cut off is
    finished by doing it again. Pictures, embeddings and names are written once more, 100 MB with 500 people: for a
    command of its own. Raises InputError when the gallery is not sealed, GalleryError.
    """
    if store.seal.key_id is None or not keys:
        raise InputError("this gallery is not sealed", hint="`sudo facelatch-seal make` seals it")
    if len(keys) == 1 or not store.seal.is_from(keys[-1]):
        with store.transaction() as connection:
            put_under(connection, keys[-1])
        store.wipe_if_short()
    assert store.seal.key_id is not None
    return store.seal.key_id


def forget(store: GalleryStore, name: str, key: bytes) -> Person:
    """Removes a person, and seals everybody else anew with `key`: both or neither, in one transaction.

    So whatever an old page or copy of the gallery has of this person is under a key that is in force nowhere. Raises
    InputError: unknown, not sealed, or `key` is in force already; GalleryError.
    """
    if store.seal.key_id is None:
        raise InputError("this gallery is not sealed", hint="`sudo facelatch-seal make` seals it")
    if store.seal.is_from(key):
        raise InputError(
            "the gallery is under its next key already: a change of keys was cut off",
            hint="`sudo facelatch-seal rotate` finishes it; then the same again",
        )
    with store.transaction() as connection:
        person = rows.find(connection, name)
        rows.delete_person(connection, person)
        put_under(connection, key)
    store.wipe_if_short()
    return person
