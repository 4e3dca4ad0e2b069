"""Which of two envelopes of a person counts, and who of all people is held back. Pure: every door decides alike.

Of two envelopes the one that revokes counts, then the one of the higher version, then the one that suspends, then the
one whose sha256 is greater. That is a total order, so the greatest of all that was ever signed wins, in whatever order,
however often and by whatever detours they come. A revocation is final: a person who comes back gets another uuid.

Two people whom the doors take for each other would be a tie, which opens for neither. So whoever was enrolled later is
held: known to no camera until one of the two is revoked or somebody says that they are two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """How envelopes of one person are compared; the greatest counts."""

    revoked: bool
    version: int
    suspended: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Known:
    """One person who is not revoked, as far as it matters who is held."""

    uuid: str
    enrolled: int
    """When the person was enrolled, milliseconds since 1970 by the clock of the door that did it."""
    beside: frozenset[str] = frozenset()
    """Others of whom somebody has said that they are another person, by uuid."""


ALIKE = "alike"
"""Why somebody is held who looks like somebody enrolled earlier."""

Pair = frozenset[str]


def held(people: Collection[Known], alike: Collection[Pair], blocked: Mapping[str, str]) -> dict[str, str]:
    """Who is held, and why: the uuids of `people` who may not come in.

    `alike` are pairs of uuids that the door takes for one person; `blocked` says who cannot be let in here for another
    reason: these hold nobody else. In the order of enrolment, so that all doors that know the same hold the same.
    """
    found, standing = dict[str, str](), dict[str, Known]()
    partners: dict[str, set[str]] = {}
    for pair in alike:
        for one in pair:
            partners.setdefault(one, set()).update(pair - {one})
    for person in sorted(people, key=lambda one: (one.enrolled, one.uuid)):
        others = (standing[uuid] for uuid in partners.get(person.uuid, ()) if uuid in standing)
        if reason := blocked.get(person.uuid, ""):
            found[person.uuid] = reason
        elif any(other.uuid not in person.beside and person.uuid not in other.beside for other in others):
            found[person.uuid] = ALIKE
        else:
            standing[person.uuid] = person
    return found
