"""What is kept: people, their references, the memory of refusals."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facelatch.values.hours import Access
from facelatch.values.pictures import Image, Pose


@dataclass(frozen=True, slots=True)
class Person:
    """An enrolled person as the door knows them: number, name, and whether they may authorise enrolments."""

    id: int
    """Never reused, so a removed person's key opens nothing later."""
    name: str
    admin: bool = False
    """Whether this face may authorise an enrolment."""


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """A person as `people list` shows them."""

    person: Person
    references: int
    created: str
    """UTC, ISO 8601, by the wall clock of that moment; for people to read, nothing is decided by it."""
    access: Access = Access()  # noqa: RUF009  (frozen)
    fleet: str = ""
    """Of the fleet: "here" where the person was enrolled at this door, else "elsewhere"; empty: of this door alone."""
    held: str = ""
    """Why somebody of the fleet may not come in here; empty: may."""

    @property
    def without_pictures(self) -> bool:
        """Whether there are embeddings only."""
        return self.fleet == "elsewhere"


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """All enrolled people as the matcher needs them; rebuilt whenever the gallery changes."""

    people: Mapping[int, Person]
    owners: tuple[int, ...]
    """The person id of each row of `embeddings`."""
    embeddings: NDArray[np.float32] = field(repr=False)
    """(N, D), one row a reference, in the order of `owners`."""
    lookalikes: frozenset[int] = frozenset()
    """Ids of the people whom the model takes for somebody else in this gallery more easily than others."""
    access: Mapping[int, Access] = field(default_factory=dict)
    """When those may come of whom it was said, by id; others may always."""
    ids: tuple[int, ...] = field(init=False)
    """The person ids that own a reference, ascending."""
    codes: NDArray[np.intp] = field(init=False, repr=False)
    """(N,) for each row the place of its owner in `ids`; counted once here, not once a frame."""

    def __post_init__(self) -> None:
        ids, codes = np.unique(np.array(self.owners, dtype=np.int64), return_inverse=True)
        object.__setattr__(self, "ids", tuple(ids.tolist()))
        object.__setattr__(self, "codes", codes.reshape(-1))

    def only(self, chosen: Set[int]) -> Gallery:
        """The part of it that is these people, by id."""
        rows = [row for row, owner in enumerate(self.owners) if owner in chosen]
        people = {id_: person for id_, person in self.people.items() if id_ in chosen}
        return Gallery(
            people=people,
            owners=tuple(self.owners[row] for row in rows),
            embeddings=self.embeddings[rows],
            lookalikes=self.lookalikes & chosen,
            access={id_: access for id_, access in self.access.items() if id_ in chosen},
        )


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """An image kept at enrolment with what the model made of it."""

    crop: Image = field(repr=False)
    embedding: NDArray[np.float32] = field(repr=False)
    pose: Pose = Pose(0.0, 0.0, 0.0)  # noqa: RUF009  (frozen)


@dataclass(frozen=True, slots=True, eq=False)
class NewPerson:
    """A finished enrolment, to be saved in one transaction."""

    name: str | None
    """None: the gallery gives the next free `person-NNN`."""
    admin: bool
    references: tuple[Reference, ...]
    access: Access = Access()  # noqa: RUF009  (frozen)


@dataclass(frozen=True, slots=True)
class Throttle:
    """The memory of refused attempts that must survive a restart."""

    refusals: int = 0
    """Refused attempts in a row since the last grant."""
    lockout_seconds: float = 0.0
    """The lock-out in force when this was written; 0 when there was none. Served again in full after a restart."""
