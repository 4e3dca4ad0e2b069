"""What the ledger tells: the history, everything about one person, and the receipt of whoever is forgotten."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from facelatch.api import requests
from facelatch.api.admission import traces, wiped
from facelatch.api.answer import Answer, Work, about
from facelatch.api.record_requests import PERSON_NUMBER, Forget, History, LedgerRows, Report
from facelatch.api.rights import Asker
from facelatch.audit import collecting
from facelatch.audit.chain import Base, Row
from facelatch.audit.events import Event, EventKind
from facelatch.control import wire
from facelatch.errors import InputError, LedgerError
from facelatch.gallery import rotation
from facelatch.gallery import rows as gallery
from facelatch.gallery.store import GalleryStore
from facelatch.ledger import tables
from facelatch.ledger.store import LedgerStore, fields_of
from facelatch.ledger.tables import Query
from facelatch.ledger.writer import Ledger
from facelatch.values.observations import Reason

T = TypeVar("T")

_KINDS = {kind.value: kind for kind in EventKind}
_REASONS = {reason.value: reason for reason in Reason}

WAIT_SECONDS = 0.01
"""How long a turn of the loop waits for the ledger's thread at a time."""

MOST_OF_ROWS = wire.MAX_REPLY_BYTES // 2
"""Bytes of rows in one reply."""

MOST_REPORTED = 10_000
"""Events in the report of one person, the newest; what keeps it below the limit of a memory file."""


@dataclass(frozen=True, slots=True)
class Records:
    """What is asked: the gallery for names, the ledger for what happened."""

    store: GalleryStore
    ledger: Ledger | None
    next_key: bytes | None = field(default=None, repr=False)
    """What everybody else is sealed anew with when a person is forgotten; None: the key stays."""


def execute(records: Records, request: requests.RecordRequest, asker: Asker, trace: Event | None = None) -> Work:
    """Does what `request` asks. Raises InputError, GalleryError, LedgerError; then nothing has changed."""
    match request:
        case History():
            reply = yield from _history(records, request, discreet="admin" in asker.rights)
            return Answer(reply, trace=trace)
        case LedgerRows():
            return Answer((yield from _rows(records, request)), trace=trace)
        case Report(name=name):
            report = yield from _report(records, name, discreet="admin" in asker.rights)
            return Answer({"name": report["person"]["name"]}, trace=trace, bulk=json.dumps(report).encode("ascii"))
        case Forget(name=name):
            return (yield from _forget(records, name))


def _asked(records: Records, job: Callable[[LedgerStore], T]) -> Generator[None, None, T]:
    if records.ledger is None:
        raise InputError("no ledger is kept here", hint="[audit] chain = true in facelatch.toml")
    answer: Future[T] = records.ledger.ask(job)
    while not wait([answer], WAIT_SECONDS).done:
        yield
    return answer.result()


def _history(
    records: Records, request: History, *, discreet: bool
) -> Generator[None, None, dict[str, Any]]:
    query = Query(
        since_ms=_milliseconds(request.since),
        until_ms=_milliseconds(request.until),
        person_id=_number(records.store, request.person) if request.person is not None else None,
        refused=request.refused,
        discreet=discreet,
        before=request.before,
        most=request.most + 1,
    )
    found = yield from _asked(records, lambda ledger: tables.selected(ledger.connection, query))
    page, more = found[: request.most], len(found) > request.most
    names = _names(records.store, page)
    return {"events": [told(row, names) for row in page], "next": page[-1].seq if more else None}


def _rows(records: Records, request: LedgerRows) -> Generator[None, None, dict[str, Any]]:
    """All of them, what somebody was forced to included: without a row the chain could not be followed."""

    def look(ledger: LedgerStore) -> tuple[list[Row], Base, int, bytes | None]:
        base, last = tables.base(ledger.connection), tables.last_row(ledger.connection)
        rows = tables.after(ledger.connection, request.after, request.most)
        before = base.hash if request.after == base.seq else tables.hash_of(ledger.connection, request.after)
        return rows, base, last.seq if last else base.seq, before

    found, base, last, before = yield from _asked(records, look)
    page = collecting.fitting(found, MOST_OF_ROWS)
    names = _names(records.store, page) if request.names else {}
    return {
        "after": request.after,
        "before": before.hex() if before is not None else None,
        "last": last,
        "base": [base.seq, base.hash.hex()],
        "rows": [collecting.wire(row) for row in page],
        "names": {str(number): name for number, name in names.items()},
    }


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _number(store: GalleryStore, name: str) -> int:
    number = name.removeprefix(PERSON_NUMBER)
    if name != number and number.isascii() and number.isdigit() and len(number) < 19:
        return int(number)
    return store.find(name).id


def _names(store: GalleryStore, rows: Iterable[Row]) -> dict[int, str]:
    """Of those whom `rows` are about and who are enrolled: to read everybody's would take the loop too long."""
    numbers = {fields_of(row).get("PERSON_ID") for row in rows}
    asked = [one for one in numbers if isinstance(one, int) and 0 < one < 2**63]
    found = [record.person for one in asked for record in store.people(after=one - 1, most=1)]
    return {person.id: person.name for person in found}


def told(row: Row, names: Mapping[int, str]) -> dict[str, Any]:
    """A row for people: with the catalogue's words, and the names of those who are still enrolled."""
    fields = fields_of(row)
    number = fields.get("PERSON_ID")
    person = names.get(number) if isinstance(number, int) else None
    return {
        "seq": row.seq,
        "time": utc_text(row.wall_ms),
        "clock_set": row.trusted,
        "event": row.kind,
        "text": sentence(row.kind, fields, person),
        "person": person,
        "fields": fields,
    }


def utc_text(wall_ms: float) -> str:
    """Milliseconds of Unix time as clients get them: such as 2026-12-31T08:00:00Z."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def sentence(kind: str, fields: Mapping[str, str | int | float], person: str | None) -> str:
    """The event's sentence, as far as the ledger keeps what it needs."""
    if kind not in _KINDS:
        return kind  # written by a newer Facelatch
    spec = _KINDS[kind].spec
    number = fields.get("PERSON_ID")
    who = person or (f"person {number} (forgotten)" if number is not None else "somebody")
    reason = _REASONS.get(str(fields.get("REASON", "")))
    hint = reason.hint if reason is not None else ""
    known = {"PERSON": who, "NEAREST": "somebody", "HINT": hint, "FILE": "its file", "REASON": "the journal says why"}
    return spec.template.format_map({**dict.fromkeys(spec.required, "?"), **known, **fields}).rstrip(": ")


def _report(records: Records, name: str, *, discreet: bool) -> Generator[None, None, dict[str, Any]]:
    record, _ = records.store.show(name)
    person = record.person
    ((_, stored),) = list(records.store.stored([person.name]))
    with records.store.transaction() as connection:
        vectors = gallery.vectors(connection, person)
    query = Query(person_id=person.id, discreet=discreet, most=MOST_REPORTED)
    rows, consent = yield from _asked(
        records, lambda ledger: (tables.selected(ledger.connection, query), _consent(ledger, person.id))
    )
    images = [
        {
            "yaw": one.pose.yaw,
            "pitch": one.pose.pitch,
            "roll": one.pose.roll,
            "crop_png": base64.b64encode(one.crop_png).decode("ascii"),
            "embedding_float32": base64.b64encode(vector).decode("ascii"),
        }
        for one, vector in zip(stored.references, vectors, strict=True)
    ]
    events = []
    for row in rows:
        events.append(told(row, {person.id: person.name}))
        yield  # thousands of them would take longer than a turn of the loop may
    return {
        "person": {"id": person.id, "name": person.name, "admin": person.admin, "created": record.created},
        "consent": consent,
        "images": images,
        "events": events,
        "journal": f"journalctl -t facelatch PERSON_ID={person.id} -o json",
    }


def _consent(ledger: LedgerStore, person_id: int) -> dict[str, Any] | None:
    found = ledger.connection.execute(
        "SELECT wall_ms, how, version, uid FROM consents WHERE person_id = ?", (person_id,)
    ).fetchone()
    if not found:
        return None
    wall_ms, how, version, uid = found
    return {"time": utc_text(wall_ms), "how": how, "text": version, "uid": uid}


def _forget(records: Records, name: str) -> Work:
    record, poses = records.store.show(name)
    person = record.person
    try:
        consent, events, last = yield from _asked(records, lambda ledger: _left_behind(ledger, person.id))
    except (InputError, LedgerError):
        consent, events, last = None, None, None  # nobody stays because a ledger fails
    key = records.store.seal.key_id
    if records.next_key is None:
        gone = records.store.remove(person.name)
    else:
        gone = rotation.forget(records.store, person.name, records.next_key)
    receipt = {
        "person": {"id": gone.id, "name": gone.name, "enrolled": record.created},
        "removed": {"images": len(poses), "embeddings": len(poses), "name": True, "consent": consent is not None},
        "overwritten": wiped(records.store),
        "key": None if key is None else {"before": key, "now": records.store.seal.key_id},
        # Under the key that all doors have, which no other key of this gallery replaces: also in copies of it.
        "kept": {"events_without_name": events, "fleet_envelope": bool(record.fleet)},
        "time": utc_text(time.time() * 1000),
        "ledger": last,
    }
    digest = hashlib.sha256(receipt_text(receipt).encode("ascii")).hexdigest()
    told_of = Event(EventKind.PERSON_RECEIPT, {"PERSON_ID": gone.id, "HASH": digest})
    return Answer(
        {"receipt": receipt, "sha256": digest},
        gallery_changed=True,
        events=(about(gone, EventKind.PERSON_REMOVED), *traces(records.store), told_of),
    )


def _left_behind(
    ledger: LedgerStore, person_id: int
) -> tuple[dict[str, Any] | None, int | None, dict[str, Any] | None]:
    (events,) = ledger.connection.execute(
        "SELECT count(*) FROM rows WHERE json_extract(fields, '$.PERSON_ID') = ?", (person_id,)
    ).fetchone()
    return _consent(ledger, person_id), events, {"seq": ledger.seq, "hash": ledger.hash.hex()}


def receipt_text(receipt: Mapping[str, Any]) -> str:
    """The receipt as it stands in its file, byte for byte: the ledger has the sha256 of it."""
    return json.dumps(receipt, sort_keys=True, indent=1) + "\n"
