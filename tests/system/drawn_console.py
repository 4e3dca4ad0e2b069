"""A door on drawn people with its console, in processes of this machine."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import drawn

PASSWORD = "four words of nothing"
AS_IN_THE_UNIT = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "1048576"}


class ConsoleHouse(drawn.House):
    """The door, its console and the reader of uploads, as their units run them but for the isolation."""

    def __init__(self, work: Path, *, camera: str, sections: str = "") -> None:
        """`camera` and `sections` as `drawn.House` takes them, beside the console's own."""
        self.port = drawn.free_port()
        super().__init__(
            work,
            camera=camera,
            sections=f"""
{sections}
[console]
listen = "127.0.0.1:{self.port}"
intake = "{work}/intake.sock"
state_directory = "{work}/console"
""",
        )

    def start_intake(self) -> None:
        self.start("intake", self.command("console", "intake", "--listen", f"{self.work}/intake.sock"))

    def start_console(self, seconds: float = 20.0) -> None:
        """Returns when it answers, which may take so many seconds."""
        self.start("console", self.command("console", "serve"), **AS_IN_THE_UNIT)
        drawn.until(self._answers, "the console answers", seconds)

    def invited(self) -> str:
        """The link by which alice, an admin, chooses a password."""
        said = self.facelatch("console", "invite", "alice", "--role", "admin", "--json")
        return str(json.loads(said)["link"])

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
