"""Asking for people: the running daemon where there is one, else the gallery itself."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facelatch.config.file import Config
    from facelatch.gallery.clash import Clash
    from facelatch.gallery.export import StoredPerson
    from facelatch.gallery.store import GalleryStore
    from facelatch.line.pipeline import Line
    from facelatch.values.pictures import Image
    from facelatch.values.records import Gallery

PART_BYTES = 2 * 1024 * 1024
"""Of the pictures in one request of an import: a slow card writes it in a fraction of a second."""

Judge = Callable[["Image"], dict[str, Any]]
"""From an aligned crop to what the door says to it."""


def ask(config: Config, request: dict[str, Any], bulk: bytes | None = None) -> dict[str, Any]:
    """One people request: answered by the running daemon, or by the gallery itself when none runs."""
    from facelatch.api import intake, people, requests
    from facelatch.control.client import ControlClient, NobodyThereError

    try:
        return ControlClient(Path(config.control.socket)).ask(request, bulk)
    except NobodyThereError:
        parsed = requests.people_request(request)
        content = intake.content(parsed, bulk)
        with _store(config) as store:
            answer = people.execute(store, parsed, content)
            store.wipe()
            done = {"wiped": not store.wipe_due} if "wiped" in answer.reply else {}
        _audit(answer)
        return {**answer.reply, **done}


def listed(config: Config) -> list[dict[str, Any]]:
    """Everybody, all pages."""
    rows: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = ask(config, {"action": "list", "after": after})
        rows += page["people"]
        after = page.get("next")
    return rows


def exported(config: Config, *, audited: bool) -> Iterator[StoredPerson]:
    """Everybody as they are exported, one after the other. Without a daemon `audited` says whether that is told."""
    from facelatch.api.people import export_event
    from facelatch.app import build
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
        count = 0
        with _store(config) as store:
            for _, person in store.stored(after=after or 0):
                count += 1
                yield person
        if audited:
            build.build_audit().write(export_event(count, _ourselves()))


def import_all(
    config: Config, people: Iterable[StoredPerson], clash: Clash, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Adds people, all or none; `progress` hears how many of them have gone on their way."""
    from facelatch.api.people import imported
    from facelatch.control.client import ControlClient, NobodyThereError
    from facelatch.gallery.export import pack

    client = ControlClient(Path(config.control.socket))
    request = {"action": "import", "replace": clash == "replace", "rename": clash == "rename"}
    token, reply = secrets.token_hex(16), {}
    parts = _parts(people)
    first, more = next(parts)
    try:
        reply = client.ask({**request, "batch": token, "part": 0, "more": more}, pack(first))
    except NobodyThereError:
        with _store(config) as store:
            answer = imported(store.import_people(_all(first, parts), clash), store)
        _audit(answer)
        return answer.reply
    progress(len(first))
    for number, (part, more) in enumerate(parts, start=1):
        reply = client.ask({**request, "batch": token, "part": number, "more": more}, pack(part))
        progress(len(part))
    return reply


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


def _all(
    first: Sequence[StoredPerson], others: Iterator[tuple[list[StoredPerson], bool]]
) -> Iterator[StoredPerson]:
    yield from first
    for part, _ in others:
        yield from part


def judging(config: Config, line: Line, person: str | None = None) -> Judge:
    """Asks the running daemon what it says to a crop, or `line` and the gallery itself when none runs."""
    from facelatch.api import judge
    from facelatch.control.client import ControlClient, NobodyThereError
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
                    loaded.append(store.load(line.verifier.model_sha256, line.verifier.embed))
        return judge.judge(line, loaded[0], crop, person=person, similarities=True)

    return said


def _store(config: Config) -> GalleryStore:
    from facelatch.gallery.store import GalleryStore

    return GalleryStore.open(Path(config.storage.state_directory))


def _ourselves() -> Any:
    from facelatch.api.rights import ALL, Asker

    return Asker(os.getuid(), os.getpid(), ALL)


def _audit(answer: Any) -> None:
    from facelatch.api import door
    from facelatch.app import build

    audit = build.build_audit()
    for event in door.signed(answer, _ourselves()).events:
        audit.write(event)
