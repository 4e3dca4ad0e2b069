"""What stands in clear beside the sealed pieces, bound by the seal: hours, hashes of PINs and cards, counters, and who
there is at all.

Over every person goes a keyed digest, and over all of them and the counters another one, which lies sealed in the
gallery. Whoever changes, moves or deletes a row without the key leaves a digest that fits no more. With each change a
number grows, so that an older copy of the gallery can be told from the one that was there last.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facelatch.errors import GalleryError
from facelatch.gallery.place import RESTORE
from facelatch.gallery.seal import Tables, Unsealed

MIGRATION = ("ALTER TABLE seal ADD COLUMN head BLOB",)
"""Of the schema. A gallery that was sealed before is put under another salt when it is opened (`sealing.adopt`)."""

_HEAD = struct.Struct(">B8sQ32s")
"""What the sealed head says: version of what is bound, which gallery, generation, digest."""

_BOUND = 1
"""Changes with the columns below."""

_PEOPLE = (
    "SELECT id, name, name_key, admin, created, staged, valid_from, valid_until, schedule, suspended, forget,"
    " credentials.person_id, pin_hash, duress_hash, card_hash"
    " FROM people LEFT JOIN credentials ON credentials.person_id = people.id"
)
# The index has them: to read the rows would be to read the pictures.
_IMAGES = "SELECT person_id, id FROM reference_images INDEXED BY reference_images_of_person"
_SKELETONS = "SELECT person_id, skeleton FROM name_skeletons"

_FLEET = (
    "SELECT uuid, person_id, version, revoked, suspended, digest, own, enrolled, beside, content, held, dirty"
    " FROM fleet_people"
)
_STATE = (
    "SELECT refusals, lockout_seconds, last_number, wipe_due,"
    " (SELECT seq FROM sqlite_sequence WHERE name = 'people') FROM state"
)
_ALIKE = "SELECT uuid, other FROM fleet_alike ORDER BY uuid, other"

_WATCHED = {
    "people": ("id", ""),
    "credentials": ("person_id", ""),
    "reference_images": ("person_id", "id, person_id"),
    "name_skeletons": ("person_id", ""),
    "fleet_people": ("uuid", ""),
    **dict.fromkeys(("state", "fleet_alike"), ("", "")),
}
"""Tables, with the column that says whose a row is, and which columns of it are bound; empty: nobody's, and all."""

_NOBODY = 0
"""In place of an id, for a row of nobody's: of these there are few, and they are read anew each time."""

_FEW = 100
"""Rows that are looked up by their ids; more are found faster by going through all."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is bound of everybody."""

    people: dict[int, bytes] = field(default_factory=dict)
    """A digest for each person."""
    fleet: dict[str, bytes] = field(default_factory=dict)
    """The row of each person of the fleet, as it is bound, by uuid: with thousands it takes long to read all."""

    def without(self, changed: set[int | str]) -> _Known:
        return _Known(
            {id_: one for id_, one in self.people.items() if id_ not in changed},
            {uuid: one for uuid, one in self.fleet.items() if uuid not in changed},
        )


class Binding:
    """For one connection that is under a seal. `atomic` calls it."""

    def __init__(self, connection: Tables, path: Path) -> None:
        """Raises sqlite3.Error."""
        self._connection, self._path = connection, path
        self._seal: Unsealed | None = None
        """Under which `_known` was found; None: it was not yet."""
        self._known = _Known()
        self._changed: set[int | str] = set()
        self._found: tuple[Unsealed, _Known, int] | None = None
        """What holds once the transaction is committed."""
        self.identity = os.urandom(8)
        """Which gallery this is, by whatever key it is sealed."""
        self.generation = 0
        """How many changes this gallery has seen."""
        connection.create_function("facelatch_bound", 1, self._changed.add)
        for table, (owner, columns) in _WATCHED.items():
            for action, row in (("INSERT", "NEW"), ("DELETE", "OLD"), ("UPDATE", "OLD"), ("UPDATE", "NEW")):
                of = f" OF {columns}" if columns and action == "UPDATE" else ""
                whose = f"{row}.{owner}" if owner else _NOBODY
                connection.execute(
                    f"CREATE TEMP TRIGGER bound_{table}_{action.lower()}_{row.lower()} AFTER {action}{of} ON {table}"
                    f" BEGIN SELECT facelatch_bound({whose}); END"
                )

    def verify(self) -> None:
        """Compares everything with what was sealed. Raises GalleryError where it is something else."""
        (head,) = self._connection.execute("SELECT head FROM seal").fetchone()
        seal = self._connection.seal
        version, identity, generation, digest = _HEAD.unpack(seal.open(head or b"", "head"))
        known = self._read(seal)
        if version != _BOUND or not hmac.compare_digest(digest, self._over_all(seal, known)):
            raise GalleryError(
                f"{self._path}: damaged or altered: hours, PINs, cards, images or whole people are not what was sealed",
                hint=RESTORE,
            )
        self._seal, self._known = seal, known
        self.identity, self.generation = identity, generation
        self._changed.clear()

    def holds(self, person_id: int) -> None:
        """Compares what is stored of one person now. Raises GalleryError where it is not what was bound."""
        if self._seal is None:
            return
        if self._digested(self._seal, (person_id,)).get(person_id) != self._known.people.get(person_id):
            raise self._altered(f"person {person_id}")

    def _altered(self, what: str) -> GalleryError:
        return GalleryError(f"{self._path}: damaged or altered: {what} is not what was sealed", hint=RESTORE)

    def renew(self) -> None:
        """Binds what the transaction under way has changed, as its last step, and nothing else.

        Raises GalleryError where something else was altered since it was sealed, as far as it is read; sqlite3.Error.
        """
        seal = self._connection.seal
        if seal.key_id is None or (seal is self._seal and not self._changed):
            return
        unchanged = self._known.without(self._changed)
        if seal is self._seal and len(self._changed) <= _FEW:
            found = self._read(seal, self._changed - {_NOBODY})
            known = _Known(unchanged.people | found.people, unchanged.fleet | found.fleet)
        else:
            known = self._read(seal)
            if seal is self._seal and known.without(self._changed) != unchanged:
                raise self._altered("somebody whom nothing changed")
        generation = self.generation + 1
        head = seal.close(_HEAD.pack(_BOUND, self.identity, generation, self._over_all(seal, known)), "head")
        self._connection.execute("UPDATE seal SET head = ?", (head,))
        self._found = seal, known, generation

    def settle(self, *, committed: bool) -> None:
        """After the transaction."""
        if committed and self._found is not None:
            self._seal, self._known, self.generation = self._found
        self._found = None
        self._changed.clear()

    def _read(self, seal: Unsealed, chosen: set[int | str] | None = None) -> _Known:
        """Everybody's, or what there is of those `chosen`."""
        if chosen is None:
            return _Known(self._digested(seal), self._in_fleet())
        ids = tuple(one for one in chosen if isinstance(one, int))
        return _Known(self._digested(seal, ids), self._in_fleet(tuple(one for one in chosen if isinstance(one, str))))

    def _in_fleet(self, uuids: tuple[str, ...] | None = None) -> dict[str, bytes]:
        chosen = "" if uuids is None else f" WHERE uuid IN ({','.join('?' * len(uuids))})"
        return {row[0]: _written(row) for row in self._connection.execute(_FLEET + chosen, uuids or ())}

    def _digested(self, seal: Unsealed, ids: tuple[int, ...] | None = None) -> dict[int, bytes]:
        """A digest for each person, or for those of `ids` who are there."""
        key = _key(seal)
        chosen = "" if ids is None else f" WHERE {{}} IN ({','.join('?' * len(ids))})"
        images = self._by_person(_IMAGES, chosen, ids)
        skeletons = self._by_person(_SKELETONS, chosen, ids)
        found = {}
        for row in self._connection.execute(_PEOPLE + chosen.format("people.id"), ids or ()):
            record = _written([*row, sorted(images.get(row[0], ())), sorted(skeletons.get(row[0], ()))])
            found[row[0]] = hmac.digest(key, record, "sha256")
        return found

    def _by_person(self, query: str, chosen: str, ids: tuple[int, ...] | None) -> dict[int, list[int | str]]:
        found: dict[int, list[int | str]] = {}
        for owner, value in self._connection.execute(query + chosen.format("person_id"), ids or ()):
            found.setdefault(owner, []).append(value)
        return found

    def _over_all(self, seal: Unsealed, known: _Known) -> bytes:
        state, alike = (_written(self._connection.execute(query).fetchall()) for query in (_STATE, _ALIKE))
        fleet = b", ".join(known.fleet[uuid] for uuid in sorted(known.fleet))
        whole = hmac.new(_key(seal), b"[%b, [%b], %b]" % (state, fleet, alike), hashlib.sha256)
        for id_ in sorted(known.people):
            whole.update(known.people[id_])
        return whole.digest()


def _written(record: Sequence[object]) -> bytes:
    # Whatever somebody has put into a column, bytes among numbers: it is to be another record, not an error of its own.
    return json.dumps(record, default=repr).encode("ascii")


def _key(seal: Unsealed) -> bytes:
    key = seal.derived("binding")
    assert key is not None
    return key
