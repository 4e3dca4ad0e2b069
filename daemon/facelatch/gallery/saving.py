"""How people get into the tables of the gallery, inside a transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from facelatch.errors import InputError
from facelatch.gallery import rows
from facelatch.gallery.export import MAX_REFERENCES, StoredReference
from facelatch.gallery.seal import Tables
from facelatch.values.records import NewPerson, Person, Reference
from facelatch.vision.png import encode_png


class Clash(StrEnum):
    """What an import does with a name that is already there."""

    REFUSE = "refuse"
    REPLACE = "replace"
    RENAME = "rename"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    added: tuple[Person, ...]
    replaced: tuple[Person, ...]
    """The people who had to go, with the ids they had."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms people come in."""

    made_by: str
    """What made their embeddings, of both sides (`vision.references`)."""
    clash: Clash = Clash.REFUSE
    knowingly: bool = False
    """Whether a name that looks like somebody's is wanted all the same."""


def stored(references: Sequence[Reference]) -> list[StoredReference]:
    """The pictures of `references` as they are kept. Raises InputError: none, or too many."""
    if not 1 <= len(references) <= MAX_REFERENCES:
        raise InputError(f"a person has 1 to {MAX_REFERENCES} reference images, got {len(references)}")
    return [StoredReference(encode_png(one.crop), one.pose) for one in references]


def insert_references(
    connection: Tables, person: Person, references: Sequence[Reference], made_by: str, *, after: int = 0
) -> dict[int, NDArray[np.float32]]:
    """More references of `person`; the embedding of each by its id, over `after`.

    Raises InputError: none, or too many.
    """
    made = {}
    images = stored(references)
    rows.refuse_overfull(connection, 0, len(images))
    for reference, image in zip(references, images, strict=True):
        id_ = rows.insert_reference(connection, person, image, after=after)
        rows.insert_embedding(connection, id_, person.id, made_by, reference.embedding)
        made[id_] = reference.embedding
    return made


def insert(connection: Tables, newcomer: NewPerson, terms: Terms) -> Person:
    """A new person; one without a name gets the next `person-NNN`.

    Raises InputError: no name, one that is taken or looks like one, no references or too many.
    """
    if newcomer.name is None:
        name = rows.next_free_name(connection)
    else:
        name = rows.free_name(connection, newcomer.name, knowingly=terms.knowingly)
    rows.refuse_overfull(connection, 1, 0)
    saved = rows.insert_person(connection, name, newcomer.admin, newcomer.access)
    insert_references(connection, saved, newcomer.references, terms.made_by)
    return saved


def cleared_name(connection: Tables, name: str, terms: Terms) -> tuple[str, list[Person]]:
    """The name a newcomer gets, and whoever was deleted for it.

    Raises InputError: no name, or (with REFUSE) one that is taken or looks like one.
    """
    holder, gone = rows.holder(connection, name), []
    if holder and terms.clash is Clash.REPLACE:
        rows.delete_person(connection, holder)
        gone.append(holder)
    elif terms.clash is Clash.RENAME and rows.alike(connection, name):
        name = rows.numbered_name(connection, name)
    return rows.free_name(connection, name, knowingly=terms.knowingly), gone


def change_references(
    connection: Tables, person: Person, references: Sequence[Reference], made_by: str, *, replace: bool
) -> int:
    """Adds to somebody's references, or puts these in place of all; how many there are then.

    Raises InputError: the person is not there any more, none, or too many references.
    """
    if rows.holder(connection, person.name) != person:
        raise InputError(f"{person.name} is not enrolled any more", hint="`facelatch people list`")
    last = rows.delete_references(connection, person) if replace else 0
    insert_references(connection, person, references, made_by, after=last)
    count = rows.count_references(connection, person)
    if count > MAX_REFERENCES:
        raise InputError(
            f"{person.name} would have {count} reference images, at most {MAX_REFERENCES} are allowed",
            hint="replace them: --replace instead of --add",
        )
    return count
