"""What a container and a virtual machine have in common for the tests: patience, and files."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = float(os.environ.get("FACELATCH_PATIENCE", "6"))
"""By how much a busy machine may be slower than an idle one: every limit is multiplied with it."""

SHORT = os.environ.get("FACELATCH_SYSTEM_TESTS") == "short"
"""Whether what CI has no time for is left out; README.md says what that is."""


class Patient:
    """A machine that is waited for; whoever inherits says how to `run` a command in it."""

    run: Callable[..., str]

    def write(self, path: str, text: str) -> None:
        """Writes a file in it, and the folder it lies in."""
        self.run("mkdir", "-p", str(Path(path).parent))
        self.run("tee", path, stdin=text)

    def until(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Waits for `condition` to hold, `seconds` on an idle machine; returns what it returned."""
        deadline = time.monotonic() + seconds * PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {seconds * PATIENCE:.0f} s: {what}"
            time.sleep(0.2)
        return value

    @contextmanager
    def measured(self, what: str) -> Iterator[None]:
        """Prints how long it took, for the table in README.md: `run.sh -rP` shows it."""
        begin = time.monotonic()
        yield
        sys.stdout.write(f"measured: {what}: {time.monotonic() - begin:.1f} s\n")
