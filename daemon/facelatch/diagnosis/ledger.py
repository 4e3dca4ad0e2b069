"""How the ledger stands, for `facelatch check`."""

from __future__ import annotations

from pathlib import Path

from facelatch.adapters.system.clock import wall_clock_is_set
from facelatch.config.file import Config
from facelatch.diagnosis.finding import Finding
from facelatch.ledger import tables
from facelatch.ledger.keyfile import NOT_NOTED_HINT
from facelatch.ledger.verifying import state


def standing(config: Config) -> tuple[str, str]:
    """What is to be said, and a hint where a person should know; empty otherwise. Raises LedgerError."""
    path = Path(config.storage.state_directory) / tables.NAME
    if not config.audit.chain:
        lost = "no history, nobody is forgotten for not coming, no older copy of a sealed gallery is noticed"
        return f"none is kept: {lost}", "[audit] chain = true"
    if not path.exists():
        return "none yet; the daemon makes it when it starts", ""
    found = state(path)
    rows = f"{found['last'] - found['first'] + 1} rows, {found['bytes'] / 1e6:.1f} MB"
    if not found["key_noted"]:
        return f"{rows}; nobody has noted its start key, so it proves little", NOT_NOTED_HINT
    if not wall_clock_is_set(assumed=config.schedule.clock_assumed):
        return f"{rows}; the clock is not set yet: nothing is removed for its age", "timedatectl; is there a network?"
    return rows, ""


def finding(config: Config) -> Finding:
    """How it stands, for `check`."""
    detail, hint = standing(config)
    return Finding(item="ledger", ok=True, detail=detail, hint=hint, warning=bool(hint))
