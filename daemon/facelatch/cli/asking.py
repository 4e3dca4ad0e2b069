"""Asking for people: the running daemon where there is one, else the gallery itself."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facelatch.api.admission import Admission
    from facelatch.api.answer import Answer
    from facelatch.api.requests import RecordRequest
    from facelatch.api.rights import Asker
    from facelatch.config.file import Config
    from facelatch.gallery.export import StoredPerson
    from facelatch.gallery.store import GalleryStore
    from facelatch.line.pipeline import Line
    from facelatch.ports import AuditSink
    from facelatch.values.pictures import Image
    from facelatch.values.records import Gallery

PART_BYTES = 2 * 1024 * 1024
"""Of the pictures in one request of an import: a slow card writes it in a fraction of a second."""

Judge = Callable[["Image"], dict[str, Any]]
"""From an aligned crop to what the door says to it."""


def ask(config: Config, request: dict[str, Any], bulk: bytes | None = None) -> dict[str, Any]:
    """One people request: answered by the running daemon, or by the gallery itself when none runs."""
    from facelatch.control.client import ControlClient, NobodyThereError

    try:
        return ControlClient(Path(config.control.socket)).ask(request, bulk)
    except NobodyThereError:
        return _ask_the_gallery(config, request, bulk)


def _ask_the_gallery(config: Config, request: dict[str, Any], bulk: bytes | None) -> dict[str, Any]:
    """The same of the gallery itself; what only that needs is loaded here, as loading it takes longer than asking."""
    from facelatch.adapters.system.membership import membership
    from facelatch.api import fleet_gate, intake, parsing, people, requests
    from facelatch.api.hours import house

    parsed = parsing.people_request(request)
    member = membership(config.fleet)
    with _store(config) as store, audited(config) as audit:
        fleet_gate.refuse_foreign(store, parsed, enrols=member is not None and member.enrols)
        content = intake.content(parsed, bulk, house(config, store.seal.pepper, member))
        if isinstance(parsed, requests.RecordRequest):
            return _finished(_recorded(parsed, store, audit, _next_key(config)), store, audit)
        return _finished(people.execute(_admission(config, store), parsed, content), store, audit)


def _next_key(config: Config) -> bytes | None:
    """The key that is to replace the one in force, where `facelatch-seal rotate` runs this."""
    from facelatch.adapters.system.credential import seal_keys

    keys = seal_keys(config.seal)
    return keys[-1] if len(keys) > 1 else None


def _recorded(
    request: RecordRequest, store: GalleryStore, audit: AuditSink, next_key: bytes | None = None
) -> Answer:
    """What the ledger and the gallery tell where no daemon holds them."""
    from facelatch.api import answer, records
    from facelatch.ledger.writer import Ledger

    kept = records.Records(store, audit if isinstance(audit, Ledger) else None, next_key)
    return answer.done(records.execute(kept, request, _ourselves()))


def report(config: Config, name: str) -> bytes:
    """Everything stored about one person, as JSON."""
    from facelatch.control.client import ControlClient, NobodyThereError

    request = {"action": "report", "name": name}
    try:
        return ControlClient(Path(config.control.socket)).fetch(request)[1]
    except NobodyThereError:
        from facelatch.api import parsing
        from facelatch.api.record_requests import Report

        parsed = parsing.parse(request)
        assert isinstance(parsed, Report)
        with _store(config) as store, audited(config) as audit:
            return _recorded(parsed, store, audit).bulk or b""


@contextmanager
def audited(config: Config) -> Iterator[AuditSink]:
    """Where events of the command line are written: the journal, and the ledger while the gallery is ours."""
    from facelatch.app import build

    journal = build.build_audit(config)
    ledger = build.build_ledger(config, journal)
    if ledger is None:
        yield journal
        return
    ledger.start()
    try:
        yield ledger
    finally:
        ledger.close()


def _admission(config: Config, store: GalleryStore) -> Admission:
    """The way into a gallery that no daemon holds; the models are loaded when a picture has to be looked at."""
    from facelatch.api.admission import Admission
    from facelatch.app import build
    from facelatch.line import household
    from facelatch.line.admission import Judge

    @cache
    def judge() -> Judge:
        return Judge(build.build_line(config), config.enrolment.lookalike_share)

    return Admission(
        store=store,
        judge=judge,
        gallery=lambda: household.prepared(
            judge().line,
            store.load(judge().model_sha256, judge().embed, judge().line.verifier.embedding_size),
        ),
        references=config.enrolment.references,
        pictures=config.enrolment.pictures,
        consent=config.enrolment.consent_text if config.enrolment.consent == "recorded" else "",
    )


def _finished(answer: Answer, store: GalleryStore, audit: AuditSink) -> dict[str, Any]:
    """The reply, once the audit has the events and the traces of people removed are overwritten.

    What was asked for is done by now: a gallery that fails afterwards leaves traces, and changes nothing of the reply.
    """
    from facelatch.api.admission import traces, wiped
    from facelatch.api.door import signed
    from facelatch.api.generation import told
    from facelatch.audit.events import fault
    from facelatch.errors import GalleryError

    done = False
    for event in signed(answer, _ourselves()).events:
        audit.write(event)
    try:
        for event in traces(store) if store.wipe() else ():
            audit.write(event)
        done = wiped(store)
    except GalleryError as error:
        audit.write(fault("leftovers_not_cleared", str(error)))
    for event in told(store):
        audit.write(event)
    return {**answer.reply, **({"wiped": done} if "wiped" in answer.reply else {})}


def listed(config: Config) -> list[dict[str, Any]]:
    """Everybody, all pages."""
    from facelatch.control.client import every_page

    pages = every_page(lambda begin: ask(config, {"action": "list", **begin}), "after")
    return [row for page in pages for row in page["people"]]


def exported(config: Config, without_daemon: Callable[[], None] = lambda: None) -> Iterator[StoredPerson]:
    """Everybody as they are exported, one after the other; a daemon tells the audit that it gave them.

    `without_daemon` is called where none runs, for then whoever has them must tell it: `tell_of_export`.
    """
    from facelatch.control.client import ControlClient, NobodyThereError
    from facelatch.gallery.export import unpack

    after: int | None = 0
    try:
        while after is not None:
            reply, file = ControlClient(Path(config.control.socket)).fetch(
                {"action": "export", "by": "descriptor", "after": after}
            )
            yield from unpack(file)
            after = reply["next"]
    except NobodyThereError:
        without_daemon()
        with _store(config) as store:
            for _, person in store.stored(after=after or 0):
                yield person


def tell_of_export(config: Config, count: int) -> None:
    """Tells the audit that `count` people were exported by this process: once the file is whole, not before."""
    from facelatch.api.people import export_event

    with _store(config), audited(config) as audit:
        audit.write(export_event(count, _ourselves()))


def import_all(
    config: Config,
    people: Iterable[StoredPerson],
    options: Mapping[str, Any],
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Adds people, all or none, by an `import` request with these fields; `progress` hears how many are looked at.

    Raises what the daemon raises.
    """
    from facelatch.api import parsing, requests
    from facelatch.api.importing import Importing
    from facelatch.control.client import ControlClient, NobodyThereError
    from facelatch.gallery.export import pack

    client, token = ControlClient(Path(config.control.socket)), secrets.token_hex(16)
    parts = _requested(people, {"action": "import", **options, "batch": token})
    first = next(parts)
    try:
        reply = client.ask(first[0], pack(first[1]))
    except NobodyThereError:
        importing = Importing()
        with _store(config) as store, audited(config) as audit:
            admission, answer = _admission(config, store), None
            for request, part in itertools.chain([first], parts):
                parsed = parsing.parse(request)
                assert isinstance(parsed, requests.Import)
                answer = importing.at_once(admission, parsed, tuple(part))
                progress(len(part))
            assert answer is not None
            return _finished(answer, store, audit)
    progress(len(first[1]))
    for request, part in parts:
        reply = client.ask(request, pack(part))
        progress(len(part))
    return reply


def _requested(
    people: Iterable[StoredPerson], request: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], list[StoredPerson]]]:
    """The requests of an import, each with the people it brings."""
    for number, (part, more) in enumerate(_parts(people)):
        yield {**request, "part": number, "more": more}, part


def _parts(people: Iterable[StoredPerson]) -> Iterator[tuple[list[StoredPerson], bool]]:
    """`people` some at a time, at least one part, each with whether another follows."""
    part: list[StoredPerson] = []
    size = 0
    for person in people:
        more = sum(len(reference.crop_png) for reference in person.references)
        if part and size + more > PART_BYTES:
            yield part, True
            part, size = [], 0
        part.append(person)
        size += more
    yield part, False


def judging(config: Config, line: Line, person: str | None = None) -> Judge:
    """Asks the running daemon what it says to a crop, or `line` and the gallery itself when none runs."""
    from facelatch.api import judge
    from facelatch.control.client import ControlClient, NobodyThereError
    from facelatch.line import household
    from facelatch.vision.png import encode_png

    client = ControlClient(Path(config.control.socket))
    request = {"action": "judge", **({"person": person} if person is not None else {})}
    loaded: list[Gallery] = []

    def said(crop: Image) -> dict[str, Any]:
        if not loaded:
            try:
                return client.ask(request, encode_png(crop))
            except NobodyThereError:
                with _store(config) as store:
                    enrolled = store.load(
                        line.verifier.model_sha256, line.verifier.embed, line.verifier.embedding_size
                    )
                loaded.append(household.prepared(line, enrolled))
        return judge.judge(line, loaded[0], crop, person=person, similarities=True)

    return said


def _store(config: Config) -> GalleryStore:
    from facelatch.app.build import open_gallery

    return open_gallery(config)


def _ourselves() -> Asker:
    from facelatch.api.rights import ALL, Asker

    return Asker(os.getuid(), os.getpid(), ALL)
