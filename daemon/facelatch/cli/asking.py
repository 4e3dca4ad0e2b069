"""Asking for people: the running daemon where there is one, else the gallery itself."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facelatch.config.file import Config
    from facelatch.ports import Verifier
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
            answer = people.execute(store, parsed)
        if audited:
            audit = build.build_audit()
            for event in answer.events:
                audit.write(event)
        return answer.reply


def exported_people(config: Config) -> bytes | None:
    """Everybody enrolled as one export file; None when nobody is."""
    if not ask(config, {"action": "list"})["people"]:
        return None
    return base64.b64decode(ask(config, {"action": "export"}, audited=False)["payload"])


def everybody(config: Config, verifier: Verifier) -> Gallery:
    """All people enrolled as `verifier` sees them: in a gallery of our own, as a running daemon holds the real one."""
    from facelatch.gallery.store import GalleryStore
    from facelatch.private_files import scratch_directory

    with scratch_directory() as scratch, GalleryStore.open(Path(scratch) / "state") as store:
        export = exported_people(config)
        if export is not None:
            store.import_from(export)
        return store.load(verifier.model_sha256, verifier.embed)
