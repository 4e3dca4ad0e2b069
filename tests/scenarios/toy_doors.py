"""Doors without faces: the daemon's own control socket, ledger and answers, so that many fit on a desk. A process.

    python toy_doors.py FOLDER DOOR...

Reads lines: `visit DOOR NUMBER` (person NUMBER is let in there), `duress DOOR NUMBER` (is forced to), `sync DOOR`
(answers with the last row's number once everything so far is in the ledger).
"""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path
from typing import Any

from facelatch.adapters import fakes
from facelatch.api import records
from facelatch.api.answer import done
from facelatch.api.intake import Asked, Refused, intake
from facelatch.api.requests import Status
from facelatch.app.build import build_ledger
from facelatch.audit.events import Event, EventKind
from facelatch.config.file import parse
from facelatch.control.server import ControlServer
from facelatch.errors import FacelatchError
from facelatch.gallery.store import GalleryStore


class ToyDoor:
    """Answers `status`, `history` and `ledger`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        sections = {"control": {"socket": str(folder / "control.sock"), "group": ""}}
        config = parse({**sections, "storage": {"state_directory": str(folder / "state")}}, origin="toy")
        self.store = GalleryStore.open(folder / "state")
        ledger = build_ledger(config, fakes.FakeAudit())
        assert ledger is not None
        self.ledger = ledger
        self.ledger.start()
        self.server = ControlServer(folder / "control.sock", "", intake(config.control))

    def serve(self) -> None:
        for request in self.server.requests():
            try:
                request.reply(self.answered(request.asked))
            except FacelatchError as error:
                request.fail(error)

    def answered(self, asked: Asked | Refused) -> dict[str, Any]:
        if isinstance(asked, Refused):
            raise asked.error
        if isinstance(asked.request, Status):
            around = {"door": "locked", "people": 0, "lockout": {"seconds": 0.0}}
            return {**around, "ledger": self.ledger.view()} if self.ledger.view() else around
        assert isinstance(asked.request, records.History | records.LedgerRows)
        return done(records.execute(records.Records(self.store, self.ledger), asked.request, asked.by)).reply

    def visit(self, number: int) -> None:
        who = {"PERSON": "x", "PERSON_ID": number, "PURPOSE": "door", "COUNT": 5}
        how = {"SIMILARITY_SHARE": 0.875, "DETECTIONS": 7, "REFERENCES": 8, "FRAME_AGE_MS": 71}
        self.ledger.write(Event(EventKind.VISIT_GRANTED, {**who, **how}))

    def duress(self, number: int) -> None:
        self.ledger.write(Event(EventKind.DURESS, {"PERSON": "x", "PERSON_ID": number}))

    def sync(self) -> int:
        return self.ledger.ask(lambda ledger: ledger.seq).result(30)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    folder, *names = sys.argv[1:]
    doors = {name: ToyDoor(Path(folder) / name) for name in names}
    say("ready")
    os.set_blocking(0, False)
    waiting = b""
    while True:
        readable, _, _ = select.select([0], [], [], 0.005)
        if readable:
            came = os.read(0, 65536)
            if not came:
                return
            *lines, waiting = (waiting + came).split(b"\n")
            for word, name, *rest in (line.decode().split() for line in lines):
                match word:
                    case "visit":
                        doors[name].visit(int(rest[0]))
                    case "duress":
                        doors[name].duress(int(rest[0]))
                    case _:
                        say(str(doors[name].sync()))
        for door in doors.values():
            door.serve()
        time.sleep(0)


if __name__ == "__main__":
    main()
