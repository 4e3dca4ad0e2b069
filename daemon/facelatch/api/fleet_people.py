"""The people whom the doors of a fleet share: what comes is verified and put into effect, what changes is sealed."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from facelatch.api.admission import Admission, traces
from facelatch.api.answer import Answer, Work, about
from facelatch.api.fleet_requests import ApplyPeople, Arriving, FleetPeople, Resolve, Share
from facelatch.api.fleet_telling import events_of, held_events, sent
from facelatch.audit.events import Event, EventKind, fault
from facelatch.errors import FacelatchError, InputError
from facelatch.gallery import fleet, fleet_sealing, rows
from facelatch.gallery.embeddings import maker, owners_of_images
from facelatch.gallery.fleet_models import NO_FLEET, at_start
from facelatch.gallery.fleet_taking import Outcome, take
from facelatch.gallery.store import GalleryStore
from facelatch.line.alike import indistinct, middles, taken_for
from facelatch.sharing.content import MOST_BESIDE
from facelatch.sharing.envelope import EnvelopeError, Opened, open_
from facelatch.sharing.membership import Membership
from facelatch.sharing.merge import held
from facelatch.values.records import Person

PAGE = 250

@dataclass(frozen=True, slots=True)
class Arrived:
    """An envelope that came along: opened, or why it is none that this door takes."""

    uuid: str
    opened: Opened | None = None
    fault: str = ""


def arrived(member: Membership | None, asked: ApplyPeople, bulk: bytes | None) -> tuple[Arrived, ...]:
    """Opens what came along; slow enough for a thread of its own. Raises InputError where it is not as it was told."""
    if member is None:
        raise no_fleet()
    data, position, found = bulk or b"", 0, []
    if sum(one.size for one in asked.envelopes) != len(data):
        raise InputError("the envelopes are not as long as was told", hint="count them again")
    for one in asked.envelopes:
        found.append(_opened(member, one, data[position : position + one.size]))
        position += one.size
    return tuple(found)


def _opened(member: Membership, told: Arriving, data: bytes) -> Arrived:
    try:
        opened = open_(member, data)
    except EnvelopeError as error:
        return Arrived(told.uuid, None, str(error))
    if opened.header.uuid != told.uuid:
        return Arrived(told.uuid, None, "of_another_person")
    return Arrived(told.uuid, opened)


def no_fleet() -> InputError:
    """The error of a door without a fleet."""
    return InputError("this door is in no fleet", hint='`facelatch fleet join`, then fleet.people in facelatch.toml')


@dataclass(slots=True)
class Changes:
    """What a request did so far."""

    events: list[Event]
    gallery: bool = False
    removed: bool = False


class Fleet:
    """One door's part in the fleet. For the loop's thread."""

    def __init__(self, member: Membership) -> None:
        self._member = member
        self._seen = -1

    @property
    def enrols(self) -> bool:
        """Whether this door may change who is known to the fleet."""
        return self._member.enrols

    def settled(self, admission: Admission) -> list[Event]:
        """Compares whoever is held with the others, at once."""
        changes = Changes([])
        for _ in self._settling(admission, changes):
            pass
        return changes.events

    def apply(self, admission: Admission, envelopes: Iterable[Arrived]) -> Work:
        """Puts envelopes into effect one by one, and yields after each. What cannot be taken changes nothing.

        Every envelope gets a result, and whatever happens to the others those taken are told and in force.
        """
        changes, results, refused = Changes([]), [], list[str]()
        yield from self._sealing(admission, changes)
        for one in envelopes:
            results.append(self._taken(admission, one, changes, refused))
            yield
        yield from self._settling(admission, changes)
        self._wipe(admission.store, changes)
        trace = Event(EventKind.FLEET_REFUSED, {"REASON": refused[0]}) if refused else None
        reply = {"results": results, "overwritten": not admission.store.wipe_due}
        return Answer(reply, changes.gallery, tuple(changes.events), trace)

    def _taken(
        self, admission: Admission, one: Arrived, changes: Changes, refused: list[str]
    ) -> dict[str, Any]:
        if one.opened is None:
            refused.append(one.fault)
            return {"uuid": one.uuid, "outcome": "refused", "reason": one.fault}
        try:
            with admission.store.transaction() as connection:
                taken = take(connection, self._member, one.opened, _made_by(admission), _size(admission))
        # Whatever it is: what ends this process would come again from the broker, and end it again.
        except (FacelatchError, ValueError, TypeError, OverflowError) as error:
            reason = str(error) if isinstance(error, EnvelopeError) else type(error).__name__
            refused.append(reason)
            return {"uuid": one.uuid, "outcome": "refused", "reason": reason}
        changes.events += events_of(taken, one.opened)
        changes.gallery |= taken.outcome in (Outcome.ADDED, Outcome.CHANGED, Outcome.REVOKED)
        changes.removed |= taken.outcome is Outcome.REVOKED and taken.person is not None
        header = one.opened.header
        return {"uuid": one.uuid, "outcome": taken.outcome.value, "version": header.version}

    def people(self, admission: Admission, request: FleetPeople) -> Work:
        """What this door knows, once what changed here is sealed."""
        changes, store = Changes([]), admission.store
        yield from self._sealing(admission, changes)
        yield from self._settling(admission, changes)
        with store.transaction() as connection:
            state = fleet.state(connection)
            reply: dict[str, Any] = {
                "door": self._member.door,
                "enrols": self.enrols,
                "count": state.people,
                "revoked": state.revoked,
                "held": state.held,
                "digest": state.digest,
                "overwritten": not store.wipe_due,
                "people": [],
                "next": None,
            }
            if request.unless != state.digest:
                page = fleet.index(connection, request.after, PAGE + 1)
                reply["people"] = [
                    {"uuid": one, "version": version, "revoked": revoked, "sha256": digest}
                    for one, version, revoked, digest in page[:PAGE]
                ]
                reply["next"] = page[PAGE - 1][0] if len(page) > PAGE else None
            found = [fleet.of_uuid(connection, one) for one in request.fetch]
            envelopes = [row for row in found if row is not None and row.envelope]
        reply["envelopes"] = [{"uuid": row.uuid, "size": len(row.envelope)} for row in envelopes]
        bulk = b"".join(row.envelope for row in envelopes) or None
        return Answer(reply, changes.gallery, tuple(changes.events), bulk=bulk)

    def share(self, store: GalleryStore, request: Share) -> Answer:
        """Makes somebody known to the fleet, or to this door alone. Raises InputError, GalleryError."""
        self._must_enrol()
        with store.transaction() as connection:
            person = rows.find(connection, request.name)
            if request.stop:
                row = fleet.of_person(connection, person)
                if row is None or not row.own:
                    raise InputError(f"{person.name} was not shared by this door", hint="`facelatch people list`")
                fleet_sealing.withdraw(connection, self._member, row)
            else:
                fleet.share(connection, person, uuid.uuid4().hex, _enrolled(store, person))
        reason = "this door alone" if request.stop else "all doors"
        event = about(person, EventKind.FLEET_PERSON_SHARED, REASON=reason)
        return Answer({"name": person.name, "shared": not request.stop}, True, (event,))

    def resolve(self, store: GalleryStore, request: Resolve) -> Answer:
        """Notes that two who look alike are two people, for all doors. Raises InputError, GalleryError."""
        self._must_enrol()
        with store.transaction() as connection:
            one, other = (rows.find(connection, name) for name in (request.name, request.beside))
            row, beside = fleet.of_person(connection, one), fleet.of_person(connection, other)
            if row is None or beside is None or row == beside:
                raise InputError(f"{one.name} and {other.name} are not two of the fleet", hint="share both first")
            if len(row.beside) >= MOST_BESIDE:
                raise InputError(f"{one.name} has too many look-alikes", hint="enrol with other pictures")
            together = tuple(sorted({*row.beside, beside.uuid}))
            fleet.save(connection, replace(row, beside=together, dirty=True))
        event = about(one, EventKind.FLEET_PERSON_SHARED, REASON=f"beside person {other.id}")
        return Answer({"name": one.name, "beside": other.name}, False, (event,))

    def _must_enrol(self) -> None:
        if not self.enrols:
            raise InputError(
                "this door takes people of the fleet and enrols none", hint="ask a door that enrols: fleet doors"
            )

    def _sealing(self, admission: Admission, changes: Changes) -> Generator[None, None, None]:
        """Seals what changed here, before anything from elsewhere is compared with it."""
        with admission.store.transaction() as connection:
            due = fleet_sealing.due(connection)
        for row in due:
            sealed = None
            try:
                with admission.store.transaction() as connection:
                    sealed = fleet_sealing.seal(connection, self._member, row, _made_by(admission))
            except ValueError as error:  # somebody whom no envelope can hold stays known here; the others go on
                changes.events.append(fault("person_not_sealed", type(error).__name__))
                with admission.store.transaction() as connection:
                    fleet_sealing.give_up(connection, row)
            if sealed is not None:
                changes.events.append(sent(sealed))
            yield

    def _settling(self, admission: Admission, changes: Changes) -> Generator[None, None, None]:
        """Compares whoever is held with the others, and holds or lets in."""
        store = admission.store
        with store.transaction() as connection:
            known = fleet.in_gallery(connection)
            seen = connection.total_changes
        waiting = [one for one in known if one[1]]
        if not waiting or seen == self._seen:
            return
        with store.transaction() as connection:
            pictures = owners_of_images(connection)
        judge = admission.judge()
        gallery = store.everybody(judge.model_sha256, judge.line.verifier.embedding_size)
        uuids, blocked = {id_: one.uuid for id_, _, one in known}, dict[str, str]()
        alike, means = dict[str, frozenset[str]](), middles(gallery)
        for id_, why, one in waiting:
            found = taken_for(judge, id_, gallery, means)
            alike[one.uuid] = frozenset(uuids[other] for other in found if other in uuids)
            if why == NO_FLEET:
                blocked[one.uuid] = NO_FLEET
            elif id_ not in gallery.ids:
                blocked[one.uuid] = fleet.MODEL
            elif indistinct(judge, id_, gallery):
                blocked[one.uuid] = fleet.INDISTINCT
            elif found - uuids.keys():
                blocked[one.uuid] = fleet.ALIKE_HERE
            yield
        with store.transaction() as connection:
            if owners_of_images(connection) != pictures:
                return  # somebody was enrolled between two turns, and compared with nobody who waits: next time
            known = fleet.in_gallery(connection)
            for one_uuid, others in alike.items():
                fleet.note_alike(connection, one_uuid, others)
            reasons = held([one for *_, one in known], fleet.pairs(connection), blocked)
            fleet.hold(connection, reasons)
        self._seen = connection.total_changes  # only now: the end of a transaction binds what was changed, a change too
        people = {record.person.id: record.person for record in store.people()}
        for id_, before, one in known:
            after = reasons.get(one.uuid, "")
            if after != before and id_ in people:
                changes.events += held_events(people[id_], before, after)
                changes.gallery = True

    def _wipe(self, store: GalleryStore, changes: Changes) -> None:
        if changes.removed:
            store.wipe_if_short()
            changes.events += traces(store)


def started(admission: Admission, member: Membership | None) -> None:
    """Brings the fleet's people in line with this start's membership and model, before the gallery is loaded.

    Raises GalleryError.
    """
    with admission.store.transaction() as connection:
        if fleet.any_(connection):
            at_start(connection, member, _made_by(admission), _size(admission))


def _made_by(admission: Admission) -> str:
    return maker(admission.judge().model_sha256)


def _size(admission: Admission) -> int:
    return admission.judge().line.verifier.embedding_size


def _enrolled(store: GalleryStore, person: Person) -> int:
    (record,) = store.people(after=person.id - 1, most=1)
    moment = datetime.strptime(record.created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
