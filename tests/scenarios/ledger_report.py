"""What a ledger of 100,000 events costs: proving it, filtering it, keeping it, and adding to it. Prints a table.

    python tests/scenarios/ledger_report.py [EVENTS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from facelatch.audit.chain import Moment
from facelatch.audit.events import Event, EventKind
from facelatch.ledger import keyfile, tables
from facelatch.ledger.store import LedgerStore
from facelatch.ledger.tables import Query
from facelatch.ledger.verifying import verified

BEGIN_MS = 1_790_000_000_000
MINUTE_MS = 60_000
BATCH = 500
"""While it is filled; a door writes few at a time, which waits for the disk as often."""


def day_at_the_door(number: int) -> Event:
    """As a door writes them: three in four visits granted, each with its two of the lock; 40 people."""
    verdict = {"SIMILARITY_SHARE": 0.875, "DETECTIONS": 7, "REFERENCES": 8, "MODEL": "4ac81c26bb0f", "FRAME_AGE_MS": 71}
    who = {"PERSON": "x", "PERSON_ID": number // 4 % 40 + 1}
    match number % 4:
        case 0:
            return Event(EventKind.VISIT_GRANTED, {**who, "PURPOSE": "door", "COUNT": 5, **verdict})
        case 1:
            return Event(EventKind.DOOR_UNLOCKED, {**who, "SECONDS": 5.0})
        case 2:
            return Event(EventKind.DOOR_LOCKED, {"REASON": "time", "SECONDS": 5.001})
    return Event(EventKind.VISIT_REFUSED, {"REASON": "no_match", "HINT": "x", "COUNT": 8, **verdict})


def fill(folder: Path, events: int) -> tuple[bytes, list[float]]:
    """The start key, and the seconds that each of the last 50 batches of four took."""
    store, took, number = LedgerStore(folder, Moment(BEGIN_MS, True, 0, "b007b007")), [], 0
    while number < events:
        few = events - number <= 200
        batch = range(number, min(events, number + (4 if few else min(BATCH, events - number - 200))))
        entries = [(day_at_the_door(one), Moment(BEGIN_MS + one * MINUTE_MS, True, one, "b007b007")) for one in batch]
        begin = time.perf_counter()
        store.add(entries)
        took += [time.perf_counter() - begin] if few else []
        number = batch.stop
    store.close()
    key = keyfile.start_key(folder)
    assert key is not None
    return key, took


def milliseconds(job: Callable[[], object], repeats: int = 20) -> float:
    """The median."""
    took = []
    for _ in range(repeats):
        begin = time.perf_counter()
        job()
        took.append(time.perf_counter() - begin)
    return statistics.median(took) * 1e3


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key, took = fill(folder, events)
        path = folder / tables.NAME
        begin = time.perf_counter()
        report, _ = verified(path, key, [])
        proof = time.perf_counter() - begin
        assert not report.findings
        rows = [
            ("add a batch of 4 events, median", f"{statistics.median(took) * 1e3:.1f} ms"),
            (f"verify {report.last} rows with the start key", f"{proof:.2f} s"),
            ("size of the file", f"{path.stat().st_size / 1e6:.1f} MB"),
        ]
        late = BEGIN_MS + events * MINUTE_MS - 1440 * MINUTE_MS
        with closing(tables.open_to_read(path)) as connection:
            for what, query in (
                ("the newest 250", Query()),
                ("--person", Query(person_id=7)),
                ("--refused", Query(refused=True)),
                ("--since, a day", Query(since_ms=late)),
                ("--since, --person, --refused", Query(since_ms=BEGIN_MS, person_id=7, refused=True)),
                ("--person, the whole time, 10,000 rows", Query(person_id=7, most=10_000)),
                ("--until, the oldest", Query(until_ms=BEGIN_MS + 100 * MINUTE_MS)),
            ):
                took_ms = milliseconds(partial(tables.selected, connection, query))
                rows.append((f"filter {what}", f"{took_ms:.1f} ms"))
        for left, right in rows:
            print(f"{left:<48} {right:>10}")


if __name__ == "__main__":
    main()
