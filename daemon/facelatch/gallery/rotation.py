"""A gallery put under another key."""

from __future__ import annotations

from collections.abc import Sequence

from facelatch.errors import InputError
from facelatch.gallery.sealing import put_under
from facelatch.gallery.store import GalleryStore


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
