"""Asking for people: the running daemon where there is one, else the gallery itself."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facelatch.api.admission import Admission
    from facelatch.config.file import Config
    from facelatch.gallery.store import GalleryStore
    from facelatch.line.admission import Judge
    from facelatch.line.pipeline import Line
    from facelatch.values.records import Gallery


def ask(config: Config, request: dict[str, Any], *, audited: bool = True) -> dict[str, Any]:
    """One people request: answered by the running daemon, or by the gallery itself when none runs.

    Then `audited` says whether it is worth an audit event: not when a command looks for its own use.
    """
    from facelatch.api import people, requests
    from facelatch.app import build
    from facelatch.control.client import ControlClient, NobodyThereError
    from facelatch.gallery.store import GalleryStore

    try:
        return ControlClient(Path(config.control.socket)).ask(request)
    except NobodyThereError:
        parsed = requests.people_request(request)
        with GalleryStore.open(Path(config.storage.state_directory)) as store:
            answer = people.execute(_admission(config, store), parsed)
        if audited:
            audit = build.build_audit()
            for event in answer.events:
                audit.write(event)
        return answer.reply


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
        gallery=lambda: household.prepared(judge().line, store.load(judge().model_sha256, judge().embed)),
        references=config.enrolment.references,
    )


def exported_people(config: Config) -> bytes | None:
    """Everybody enrolled as one export file; None when nobody is."""
    if not ask(config, {"action": "list"})["people"]:
        return None
    return base64.b64decode(ask(config, {"action": "export"}, audited=False)["payload"])


def everybody(config: Config, line: Line) -> Gallery:
    """All people enrolled, as `line` compares with them: a copy, as a running daemon holds the real gallery."""
    from facelatch.gallery.store import GalleryStore
    from facelatch.line import household

    with GalleryStore.in_memory() as store:
        export = exported_people(config)
        if export is not None:
            store.restore(export)
        return household.prepared(line, store.load(line.verifier.model_sha256, line.verifier.embed))
