"""Which seal a gallery is under, and everything in it put under another one: all or nothing, in one transaction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from facelatch.errors import GalleryError
from facelatch.gallery.binding import Binding
from facelatch.gallery.fleet_schema import WITHOUT_PICTURES
from facelatch.gallery.names import name_key
from facelatch.gallery.place import RESTORE
from facelatch.gallery.rows import EMBEDDING, note_skeletons
from facelatch.gallery.seal import SALT_BYTES, Sealed, Tables, Unsealed, atomic
from facelatch.private_files import sync_directory

_PNG = b"\x89PNG"

PEPPER_FILE = "credentials.key"
"""Where a gallery that is not sealed has the secret for PINs and cards, beside it."""

PEPPER_BYTES = 32

KEY_HINT = (
    "run it as the unit does (`sudo facelatch-seal run ...`), or ask the running daemon; without the key nobody can"
    " read this gallery: restore from an export"
)


def adopt(connection: Tables, path: Path, keys: Sequence[bytes]) -> None:
    """Opens a sealed gallery by the first of `keys` that fits, and seals a plain one with the first there is.

    Raises GalleryError: sealed and no key, or none that fits; something in it was altered; a plain gallery with
    pictures that are none.
    """
    found = connection.execute("SELECT salt, key_id, proof, pepper FROM seal").fetchone()
    if found is not None or keys:
        connection.binding = Binding(connection, path)
    if found is None and keys:
        _convert(connection, path, keys[0])
    elif found is not None:
        _open(connection, path, found, keys)
    _forget_pepper_file(connection, path)


def _open(connection: Tables, path: Path, row: tuple[bytes, int, bytes, bytes], keys: Sequence[bytes]) -> None:
    salt, key_id, proof, pepper = row
    fitting = [(key, seal) for key in keys if (seal := Sealed(key, salt, key_id)).proves(proof)]
    if not fitting:
        fault = "sealed with another key" if keys else "sealed, and no key is there"
        raise GalleryError(f"{path}: {fault}", hint=KEY_HINT)
    key, seal = fitting[0]
    seal.pepper = seal.open(pepper, "pepper")
    connection.seal = seal
    assert connection.binding is not None
    if seal.binds(proof):
        connection.binding.verify()
    else:
        # Of a version that did not bind. Another salt for all of it: or its proof, from a copy of today, would make
        # this take for granted at any later time whatever stands beside the sealed pieces then.
        with atomic(connection):
            put_under(connection, key)


def _convert(connection: Tables, path: Path, key: bytes) -> None:
    """Seals a plain gallery. What it was before is still in gaps of the file, so a wipe is due."""
    with atomic(connection):
        damaged = connection.execute(
            "SELECT count(*) FROM reference_images WHERE substr(crop_png, 1, 4) <> ?"
            f" AND person_id NOT IN ({WITHOUT_PICTURES})",
            (_PNG,),
        ).fetchone()
        if damaged != (0,):
            raise GalleryError(f"{path}: damaged: {damaged[0]} images are no pictures", hint=RESTORE)
        put_under(connection, key, _pepper_in_file(path))


def _pepper_in_file(path: Path) -> bytes | None:
    file = path.with_name(PEPPER_FILE)
    pepper = file.read_bytes() if file.is_file() else b""
    return pepper if len(pepper) == PEPPER_BYTES else None


def _forget_pepper_file(connection: Tables, path: Path) -> None:
    """Clears the file of the secret once the secret lies sealed in the gallery: also after a crash between the two."""
    file, pepper = path.with_name(PEPPER_FILE), connection.seal.pepper
    if pepper is not None and _pepper_in_file(path) == pepper:
        with file.open("r+b") as stream:
            stream.write(bytes(PEPPER_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        file.unlink()
        sync_directory(path.parent)


def put_under(connection: Tables, key: bytes, pepper: bytes | None = None) -> None:
    """Seals everything anew with `key`, in the caller's transaction, under the next number and another salt.

    `pepper` is the secret for PINs of a gallery that was not sealed, None where it has none. Raises GalleryError when a
    piece does not open; then the caller rolls back, and restores `connection.seal`.
    """
    old, salt = connection.seal, os.urandom(SALT_BYTES)
    new = Sealed(key, salt, (old.key_id or 0) % 0xFFFF + 1)
    new.pepper = old.pepper or pepper or os.urandom(PEPPER_BYTES)
    connection.execute("DELETE FROM people WHERE staged IS NOT NULL")  # of imports that came to nothing
    connection.seal = new
    for id_, stored, admin in connection.execute("SELECT id, name, admin FROM people").fetchall():
        name = old.open_text(stored, "names", id_, id_, admin)
        connection.execute(
            "UPDATE people SET name = ?, name_key = ? WHERE id = ?",
            (new.close_text(name, "names", id_, id_, admin), new.index(name_key(name)), id_),
        )
        note_skeletons(connection, id_, name)
    images = "SELECT id, person_id FROM reference_images INDEXED BY reference_images_of_person ORDER BY person_id, id"
    for id_, owner in connection.execute(images).fetchall():
        _image_put_under(connection, old, id_, owner)
    connection.execute("DELETE FROM seal")
    connection.execute(
        "INSERT INTO seal (id, salt, key_id, proof, pepper) VALUES (1, ?, ?, ?, ?)",
        (salt, new.key_id, new.proof(), new.close(new.pepper, "pepper")),
    )
    connection.execute("UPDATE state SET wipe_due = 1")


def _image_put_under(connection: Tables, old: Unsealed, id_: int, owner: int) -> None:
    new = connection.seal
    (crop,) = connection.execute("SELECT crop_png FROM reference_images WHERE id = ?", (id_,)).fetchone()
    crop = new.close(old.open(crop, "crops", id_, owner), "crops", id_, owner)
    connection.execute("UPDATE reference_images SET crop_png = ? WHERE id = ?", (crop, id_))
    found = connection.execute("SELECT made_by, vector FROM embeddings WHERE reference_id = ?", (id_,)).fetchone()
    if found is not None:
        made_by, vector = found
        place = (EMBEDDING, id_, owner, made_by)
        vector = new.close(old.open(vector, *place), *place)
        connection.execute("UPDATE embeddings SET vector = ? WHERE reference_id = ?", (vector, id_))
