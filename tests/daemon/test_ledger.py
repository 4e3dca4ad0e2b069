"""The ledger: whatever somebody does to its rows is found, nothing in it is a name, and the loop never waits for it."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facelatch.adapters import fakes
from facelatch.audit import chain, proof
from facelatch.audit.chain import Moment, Row
from facelatch.audit.events import Event, EventKind
from facelatch.audit.fields import FIELDS
from facelatch.errors import LedgerError
from facelatch.ledger import keyfile, tables, writer
from facelatch.ledger.store import DAY_MS, Entry, LedgerStore
from facelatch.ledger.verifying import state, verified
from facelatch.ledger.writer import Ledger, Terms

DAY0 = 1_790_000_000_000
LOCKED = Event(EventKind.DOOR_LOCKED, {"REASON": "time", "SECONDS": 5.0})


def at(minutes: float, *, trusted: bool = True) -> Moment:
    return Moment(wall_ms=DAY0 + int(minutes * 60_000), trusted=trusted, mono_ms=int(minutes * 60_000), boot="b007b007")


def granted(number: int) -> Event:
    return Event(EventKind.VISIT_GRANTED, {"PERSON": "Anna", "PERSON_ID": number, "PURPOSE": "door"})


def filled(folder: Path, count: int) -> bytes:
    """A ledger of `count` rows at most; its start key."""
    store = LedgerStore(folder, at(0))
    for number in range(1, count):
        store.add([(granted(number % 7), at(number))])
    store.close()
    key = keyfile.start_key(folder)
    assert key is not None
    return key


def rows_of(folder: Path) -> list[Row]:
    with closing(tables.open_to_read(folder / tables.NAME)) as connection:
        return list(tables.all_rows(connection))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Row], bytes]:
    """Twelve rows as they were written, and the start key; for tests that change a copy of the rows."""
    folder = tmp_path_factory.mktemp("written")
    key = filled(folder, 12)
    return rows_of(folder), key


def proven(rows: list[Row], key: bytes | None, anchors: list[Row], *, next_seq: int | None = None) -> proof.Report:
    return proof.verify(
        rows,
        chain.Base(),
        [chain.Epoch(1, chain.commitment(key or bytes(32)))],
        start_keys=[key] if key else [],
        anchors=[(row.seq, row.hash) for row in anchors],
        next_seq=next_seq,
    )


# What is proven


def test_rows_that_nobody_touched_are_proven_by_key_and_anchor(written: tuple[list[Row], bytes]) -> None:
    rows, key = written
    report = proven(rows, key, [rows[7]], next_seq=13)
    assert (report.findings, report.keyed, report.anchored_up_to, report.last) == ((), ((1, 12),), 8, 12)


CHANGES = st.sampled_from(["wall_ms", "trusted", "mono_ms", "boot", "kind", "fields", "hash", "tag", "seq"])


def changed(row: Row, what: str) -> Row:
    value = getattr(row, what)
    if isinstance(value, bool):
        return replace(row, **{what: not value})
    if isinstance(value, int):
        return replace(row, **{what: value + 1000})
    if isinstance(value, bytes):
        return replace(row, **{what: bytes([value[0] ^ 1]) + value[1:]})
    return replace(row, **{what: value.replace("7", "8") if "7" in value else value + " "})


@given(st.integers(0, 11), CHANGES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_change_of_any_column_of_any_row_is_found_and_that_row_named(
    written: tuple[list[Row], bytes], index: int, what: str
) -> None:
    rows, key = list(written[0]), written[1]
    rows[index] = changed(rows[index], what)
    report = proven(sorted(rows, key=lambda row: row.seq), key, [], next_seq=13)
    assert report.findings
    assert report.findings[0].seq == index + 1


@given(st.sets(st.integers(0, 11), min_size=1))
def test_a_row_that_is_removed_anywhere_is_found_and_named(
    written: tuple[list[Row], bytes], gone: set[int]
) -> None:
    """At the end it is the daemon's key that knows, here or as an anchor elsewhere."""
    rows, key = written
    left = [row for row in rows if row.seq - 1 not in gone]
    for report in (proven(left, key, [], next_seq=13), proven(left, None, [rows[-1]])):
        assert report.findings
        assert report.findings[0].seq == min(gone) + 1
        assert "missing" in report.findings[0].what


@given(st.permutations(range(12)))
def test_rows_in_another_order_are_found(written: tuple[list[Row], bytes], order: list[int]) -> None:
    """Their numbers stay where they were: the content has moved."""
    rows, key = written
    moved = [replace(rows[there], seq=row.seq) for there, row in zip(order, rows, strict=True)]
    report = proven(moved, key, [], next_seq=13)
    first = next((index for index, there in enumerate(order) if index != there), None)
    assert (report.findings[0].seq if report.findings else None) == (None if first is None else first + 1)


def test_without_key_and_anchor_nobody_can_tell_that_all_was_made_anew(
    written: tuple[list[Row], bytes],
) -> None:
    """But with either it shows, and which rows had been anchored is known."""
    rows, key = written
    forged, digest = [], chain.NOTHING
    for row in rows:
        new = replace(row, fields='{"PERSON_ID":99}')
        digest = chain.link(digest, new.record)
        forged.append(replace(new, hash=digest))
    assert proven(forged, None, []).findings == ()
    assert proven(forged, None, []).anchored_up_to == 0
    assert "made anew" in proven(forged, key, []).findings[0].what
    assert proven(forged, None, [rows[5]]).findings[0].seq == 6


def made_anew(rows: list[Row], key: bytes, first: int) -> list[Row]:
    """The rows from number `first` on with other content, their links made with `key` and what follows from it."""
    forged = list(rows[: first - 1])
    digest, tag = (forged[-1].hash, forged[-1].tag) if forged else (chain.NOTHING, bytes(chain.TAG_BYTES))
    for row in rows[first - 1 :]:
        new = replace(row, fields="{}")
        digest, tag = chain.link(digest, new.record), chain.seal(key, tag, new.record)
        key = chain.evolved(key)
        forged.append(replace(new, hash=digest, tag=tag))
    return forged


@given(st.integers(2, 12), st.integers(1, 11))
def test_whoever_finds_the_key_of_a_row_can_make_that_row_and_none_before_it(
    written: tuple[list[Row], bytes], stolen: int, before: int
) -> None:
    rows, start = written
    key = chain.evolved(start, stolen - 1)
    assert proven(made_anew(rows, key, stolen), start, []).findings == ()
    first = max(1, stolen - before)
    report = proven(made_anew(rows, key, first), start, [])
    assert report.findings
    assert report.findings[0].seq == first


def test_the_links_are_what_anybody_can_compute_with_sha256_and_hmac(written: tuple[list[Row], bytes]) -> None:
    """Spelled out, so that a ledger of today is proven by the program of tomorrow."""
    rows, key = written
    digest, tag = bytes(32), bytes(16)
    for row in rows:
        columns = [row.seq, row.wall_ms, int(row.trusted), row.mono_ms, row.boot, row.kind, row.fields]
        record = json.dumps(columns).encode()
        digest = hashlib.sha256(digest + record).digest()
        tag = hmac.new(key, tag + record, hashlib.sha256).digest()[:16]
        assert (row.hash, row.tag) == (digest, tag)
        key = hashlib.sha256(b"facelatch ledger next" + key).digest()


def test_the_wrong_start_key_is_not_taken_for_a_changed_ledger(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    report, known = verified(tmp_path / tables.NAME, bytes(32), [])
    assert (report.findings, known, report.other_keys) == ((), False, ((1, 3),))


@given(st.binary(min_size=32, max_size=32))
def test_a_key_survives_being_written_down(key: bytes) -> None:
    letters = chain.key_letters(key)
    assert len(letters.replace(" ", "")) == 52
    assert chain.key_of_letters(letters.lower().replace(" ", "-")) == key


@pytest.mark.parametrize("text", ["", "ABC", "0" * 52, "A" * 60, "\u00e4" * 52])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a start key"):
        chain.key_of_letters(text)


@pytest.mark.parametrize(
    "line",
    [
        "7 {}",
        "ledger       seq 7 hash {}; note its start key",
        'x y facelatch: Row 7 of the ledger has hash {} [ledger.anchor SEQ=7 HASH={}]',
        '{{"HASH": "{}", "__REALTIME_TIMESTAMP": "1", "SEQ": "7"}}',
        '{{"door": "locked", "ledger": {{"hash": "{}", "seq": 7, "written": true}}}}',
    ],
)
def test_anchors_are_read_from_whatever_was_kept(line: str) -> None:
    digest = "ab" * 32
    assert set(proof.anchors_in(line.format(digest, digest))) == {(7, bytes.fromhex(digest))}


# What a row keeps


@pytest.mark.parametrize("kind", EventKind)
def test_no_field_that_may_hold_a_name_is_kept(kind: EventKind) -> None:
    canary = "Zacharias"
    known = kind.spec.required | kind.spec.optional
    fields: dict[str, str | int | float] = dict.fromkeys(known, 1)
    fields |= dict.fromkeys(known & chain.LEFT_OUT, canary)
    if kind in chain.FREE_REASONS:
        fields["REASON"] = canary
    assert canary not in chain.kept_fields(Event(kind, fields))


KEPT = """PERSON_ID ORIGIN PURPOSE REASON SIMILARITY_SHARE DETECTIONS REFERENCES MODEL FRAME_AGE_MS SECONDS COUNT KEY
VALUE DETECTION_THRESHOLD VERIFICATION_THRESHOLD ADMIN RIGHT ACTION PID UID FILE_SYSTEM GALLERY GENERATION SEQ HASH DAYS
TEXT_VERSION MEASURED RULE DEVICE VALID_UNTIL DAYS_LEFT LIVENESS SIGNER"""


def test_of_each_field_somebody_has_decided_whether_a_name_may_stand_in_it() -> None:
    """A new field belongs here if it never holds a name, else into `chain.LEFT_OUT`."""
    assert set(FIELDS) == set(KEPT.split()) | chain.LEFT_OUT


# The file


def test_its_files_are_private_and_hold_no_name(tmp_path: Path) -> None:
    filled(tmp_path, 5)
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert b"Anna" not in file.read_bytes()


def test_two_processes_never_write_one_ledger(tmp_path: Path) -> None:
    with closing(LedgerStore(tmp_path, at(0))), pytest.raises(LedgerError, match="another facelatch process"):
        LedgerStore(tmp_path, at(1))


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    key = filled(tmp_path, 5)
    store = LedgerStore(tmp_path, at(9))
    store.add([(LOCKED, at(10))])
    store.close()
    report, known = verified(tmp_path / tables.NAME, key, [])
    assert (report.findings, report.keyed, known, store.begun) == ((), ((1, 6),), True, "")


def test_a_power_cut_between_a_row_and_its_key_breaks_nothing(tmp_path: Path) -> None:
    """The key on the card is one or several rows behind."""
    key = filled(tmp_path, 5)
    old = (tmp_path / keyfile.NAME).read_bytes()
    store = LedgerStore(tmp_path, at(9))
    store.add([(LOCKED, at(10)), (LOCKED, at(11))])
    store.close()
    (tmp_path / keyfile.NAME).write_bytes(old)
    store = LedgerStore(tmp_path, at(12))
    store.add([(LOCKED, at(13))])
    store.close()
    assert verified(tmp_path / tables.NAME, key, [])[0].keyed == ((1, 8),)


@pytest.mark.parametrize("fault", ["key lost", "key damaged", "rows lost", "end cut off"])
def test_what_was_done_to_the_files_shows_for_ever_and_the_ledger_goes_on(tmp_path: Path, fault: str) -> None:
    key = filled(tmp_path, 5)
    if fault == "key lost":
        (tmp_path / keyfile.NAME).unlink()
    elif fault == "key damaged":
        (tmp_path / keyfile.NAME).write_bytes(b"x" * 48)
    elif fault == "rows lost":
        (tmp_path / tables.NAME).unlink()
    else:
        with closing(sqlite3.connect(tmp_path / tables.NAME)) as connection, connection:
            connection.execute("DELETE FROM rows WHERE seq > 3")
        assert verified(tmp_path / tables.NAME, None, [])[0].findings[0].seq == 4
    store = LedgerStore(tmp_path, at(9))
    store.add([(LOCKED, at(10))])
    store.close()
    report, _ = verified(tmp_path / tables.NAME, key, [])
    if fault.startswith("key"):
        assert (store.begun, report.findings, report.keyed) == ("the key was lost", (), ((1, 5),))
        assert report.other_keys == ((6, 7),)
    elif fault == "rows lost":
        assert (store.begun, store.cut) == ("the rows were lost", 5)
        assert report.findings[0].what == "rows 1 to 5 are missing"
    else:
        assert (store.begun, store.cut) == ("", 2)
        assert report.findings[0].what == "rows 4 to 5 are missing"


def test_half_a_transaction_that_a_power_cut_left_behind_is_undone(tmp_path: Path) -> None:
    """By whoever opens it next: the daemon, or somebody who only looks."""
    key = filled(tmp_path, 5)
    with closing(sqlite3.connect(tmp_path / tables.NAME, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 5")
        connection.execute("BEGIN")
        connection.execute("UPDATE rows SET boot = hex(randomblob(20000))")
        for name in ("looking", "daemon"):
            shutil.copytree(tmp_path, tmp_path / name, ignore=shutil.ignore_patterns("looking", "daemon"))
        connection.execute("ROLLBACK")
    assert (tmp_path / "looking" / f"{tables.NAME}-journal").stat().st_size > 0
    assert verified(tmp_path / "looking" / tables.NAME, key, [])[0].keyed == ((1, 5),)
    store = LedgerStore(tmp_path / "daemon", at(9))
    store.add([(LOCKED, at(10))])
    store.close()
    assert verified(tmp_path / "daemon" / tables.NAME, key, [])[0].keyed == ((1, 6),)


WRITER = """
import sys
from pathlib import Path
from facelatch.audit.chain import Moment
from facelatch.audit.events import Event, EventKind
from facelatch.ledger.store import LedgerStore
store = LedgerStore(Path(sys.argv[1]), Moment(0, True, 0, "x"))
print("open", flush=True)
while True:
    store.add([(Event(EventKind.DOOR_LOCKED, {"REASON": "time"}), Moment(0, True, 0, "x"))] * 3)
"""


@pytest.mark.slow
def test_twenty_kills_while_it_is_written_leave_a_chain_that_is_proven(tmp_path: Path) -> None:
    last = 0
    for number in range(20):
        process = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.002 * number)
        process.kill()
        process.wait()
        process.stdout.close()
        report, _ = verified(tmp_path / tables.NAME, keyfile.start_key(tmp_path), [])
        assert (report.findings, report.keyed) == ((), ((1, report.last),))
        assert report.last >= last
        last = report.last
    assert last > 20


def test_pruning_leaves_a_chain_that_is_proven_and_says_so(tmp_path: Path) -> None:
    store = LedgerStore(tmp_path, at(0))
    for day in range(1, 10):
        store.add([(granted(1), at(day * 24 * 60))])
    anchor = store.seq, store.hash
    event = store.prune(5, at(10 * 24 * 60 - 1))
    assert event is not None
    assert event.fields["COUNT"] == 5
    assert store.prune(5, at(10 * 24 * 60 - 1)) is None
    store.close()
    report, _ = verified(tmp_path / tables.NAME, keyfile.start_key(tmp_path), [anchor])
    assert (report.findings, report.pruned_up_to, report.keyed) == ((), 5, ((6, 11),))
    assert report.anchored_up_to == 10
    assert min(row.wall_ms for row in rows_of(tmp_path)) >= DAY0 + 5 * DAY_MS - 60_000


def test_a_beginning_that_is_removed_without_a_row_that_says_so_is_found(tmp_path: Path) -> None:
    """Also with all that follows intact: the last link of what was removed stands in place."""
    key = filled(tmp_path, 9)
    with closing(sqlite3.connect(tmp_path / tables.NAME)) as connection, connection:
        connection.execute("INSERT INTO base SELECT 1, seq, hash, tag FROM rows WHERE seq = 4")
        connection.execute("DELETE FROM rows WHERE seq <= 4")
    report, _ = verified(tmp_path / tables.NAME, key, [])
    assert report.findings[0].what == "rows 1 to 4 are missing: no row says that they were removed for their age"


def test_rows_from_before_the_clock_was_set_are_never_what_pruning_goes_by(tmp_path: Path) -> None:
    store = LedgerStore(tmp_path, at(0, trusted=False))
    store.add([(LOCKED, replace(at(1, trusted=False), wall_ms=0))])
    assert store.prune(1, at(100 * 24 * 60)) is None
    store.close()


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / tables.NAME).write_bytes(b"not a database at all" * 100)
    before = (tmp_path / tables.NAME).read_bytes()
    with pytest.raises(LedgerError, match="damaged"):
        LedgerStore(tmp_path, at(0))
    assert (tmp_path / tables.NAME).read_bytes() == before


# Beside the loop


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., Ledger]]:
    started: list[Ledger] = []

    def start(terms: Terms | None = None, folder: Path | None = None) -> Ledger:
        count = itertools.count(1)
        begun = Ledger(fakes.FakeAudit(), folder or tmp_path, terms or Terms(), lambda: at(next(count)))
        started.append(begun)
        return begun

    yield start
    for one in started:
        one.close()


def kinds(ledger: Ledger) -> list[EventKind]:
    """What its journal has."""
    journal = ledger._journal
    assert isinstance(journal, fakes.FakeAudit)
    return [event.kind for event in journal.events]


def test_an_event_is_in_the_journal_at_once_and_in_the_ledger_within_a_second(
    running: Callable[..., Ledger], tmp_path: Path
) -> None:
    ledger = running()
    ledger.write(LOCKED)
    assert kinds(ledger) == [EventKind.DOOR_LOCKED], "not open yet, and nothing waits for that"
    ledger.start()
    begin = time.monotonic()
    ledger.write(granted(1))
    while not (tmp_path / tables.NAME).exists() or len(rows_of(tmp_path)) < 4:
        assert time.monotonic() - begin < 10
        time.sleep(0.01)
    assert [row.kind for row in rows_of(tmp_path)][-2:] == ["door.locked", "visit.granted"]
    assert writer.BEHIND_SECONDS < 1


def test_the_end_of_the_daemon_writes_what_waits_and_an_anchor(
    running: Callable[..., Ledger], tmp_path: Path
) -> None:
    ledger = running()
    ledger.start()
    ledger.write(LOCKED)
    ledger.close()
    assert rows_of(tmp_path)[-1].kind == "door.locked"
    assert kinds(ledger)[-1] is EventKind.LEDGER_ANCHOR


def test_an_anchor_comes_after_so_many_events(running: Callable[..., Ledger], tmp_path: Path) -> None:
    ledger = running(Terms(anchor_events=3))
    ledger.start()
    for _ in range(3):
        ledger.write(LOCKED)
    ledger.ask(lambda store: store.seq).result(10)
    journal = ledger._journal
    assert isinstance(journal, fakes.FakeAudit)
    (anchor,) = [event for event in journal.events if event.kind is EventKind.LEDGER_ANCHOR]
    seq, digest = int(anchor.fields["SEQ"]), bytes.fromhex(str(anchor.fields["HASH"]))
    assert verified(tmp_path / tables.NAME, None, [(seq, digest)])[0].anchored_up_to == seq


def test_who_asks_while_rows_are_written_is_told_of_all_that_came_before(
    running: Callable[..., Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, begun, may_go_on, add = running(), threading.Event(), threading.Event(), LedgerStore.add
    ledger.start()
    ledger.ask(lambda store: store.seq).result(10)

    def slowly(store: LedgerStore, entries: Iterable[Entry]) -> None:
        begun.set()
        assert may_go_on.wait(10)
        add(store, entries)

    monkeypatch.setattr(LedgerStore, "add", slowly)
    monkeypatch.setattr(writer, "BEHIND_SECONDS", 0.0)
    ledger.write(LOCKED)
    assert begun.wait(10)
    ledger.write(granted(1))
    last = ledger.ask(lambda store: tables.last_row(store.connection))
    may_go_on.set()
    row = last.result(10)
    assert row is not None
    assert row.kind == "visit.granted"


def test_whoever_starts_it_is_told_until_the_start_key_is_noted(
    running: Callable[..., Ledger], tmp_path: Path
) -> None:
    told = EventKind.LEDGER_KEY_NOT_NOTED
    for noted in (False, True):
        ledger = running()
        ledger.start()
        assert ledger.ask(lambda store: store.key_noted).result(10) is noted
        ledger.close()
        assert (told in kinds(ledger)) is not noted
        if not noted:
            journal = ledger._journal
            assert isinstance(journal, fakes.FakeAudit)
            key = keyfile.start_key(tmp_path)
            assert key is not None
            text = repr(journal.events)
            assert chain.key_letters(key) not in text
            assert key.hex() not in text
            keyfile.forget_start_key(tmp_path)


def test_a_start_key_that_was_noted_is_gone_after_a_power_cut_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overwritten first, and its name is off the card before anybody is told so."""
    keyfile.keep_start_key(tmp_path, b"k" * 32)
    synced = []
    monkeypatch.setattr(keyfile, "sync_directory", lambda folder: synced.append((folder, keyfile.is_noted(folder))))
    keyfile.forget_start_key(tmp_path)
    assert synced == [(tmp_path, True)]


def test_a_card_that_takes_nothing_is_told_once_and_the_gap_marked_when_it_does_again(
    running: Callable[..., Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile the loop waits for nothing, and memory is bounded."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(writer, "MOST_WAITING", 10)
    ledger = running()
    add = LedgerStore.add
    full = threading.Event()

    def fails_while_full(self: LedgerStore, entries: list[tuple[Event, Moment]]) -> None:
        if full.is_set():
            raise LedgerError("disk full", hint="free some space")
        add(self, entries)

    monkeypatch.setattr(LedgerStore, "add", fails_while_full)
    ledger.turn()
    full.set()
    for _ in range(3):
        ledger.turn()
    ledger.write(LOCKED)
    for _ in range(5):
        ledger.turn()
    for _ in range(12):
        ledger.write(LOCKED)
    assert kinds(ledger).count(EventKind.LEDGER_FAILED) == 1
    assert ledger.view()["written"] is False
    full.clear()
    ledger.turn()
    last = rows_of(tmp_path)[-1]
    assert (last.kind, json.loads(last.fields)) == ("ledger.restored", {"COUNT": 3})
    assert ledger.view()["written"] is True
    ledger.turn()
    assert kinds(ledger).count(EventKind.LEDGER_RESTORED) == 1
    assert verified(tmp_path / tables.NAME, keyfile.start_key(tmp_path), [])[0].findings == ()
    ledger._store and ledger._store.close()


def test_a_real_full_disk_fails_a_write_and_nothing_else(running: Callable[..., Ledger], tmp_path: Path) -> None:
    """SQLite's own limit on pages stands for it."""
    ledger = running()
    ledger.turn()
    store = ledger._store
    assert store is not None
    store.connection.execute("PRAGMA max_page_count = 1")
    for _ in range(200):
        ledger.write(LOCKED)
    ledger.turn()
    assert EventKind.LEDGER_FAILED in kinds(ledger)
    store.connection.execute("PRAGMA max_page_count = 100000")
    ledger._retry_from = 0.0
    ledger.turn()
    assert kinds(ledger)[-1] in (EventKind.LEDGER_RESTORED, EventKind.LEDGER_ANCHOR)
    report, _ = verified(tmp_path / tables.NAME, keyfile.start_key(tmp_path), [])
    assert (report.findings, report.last) == ((), 203)
    store.close()


@pytest.mark.slow
def test_a_directory_that_is_not_there_keeps_no_daemon_from_ending(
    running: Callable[..., Ledger], tmp_path: Path
) -> None:
    ledger = running(folder=tmp_path / "none")
    ledger.start()
    ledger.write(LOCKED)
    with pytest.raises(LedgerError):
        ledger.ask(lambda store: store.seq).result(10)
    ledger.close()
    assert set(kinds(ledger)) == {EventKind.DOOR_LOCKED, EventKind.LEDGER_FAILED}


def test_it_can_be_read_and_proven_while_the_daemon_writes(running: Callable[..., Ledger], tmp_path: Path) -> None:
    ledger = running()
    ledger.start()
    ledger.ask(lambda store: store.seq).result(10)
    busy = threading.Thread(target=lambda: [ledger.write(LOCKED) or time.sleep(0.001) for _ in range(300)])
    busy.start()
    reports = []
    while busy.is_alive():
        ledger.ask(lambda store: store.seq)
        reports.append(verified(tmp_path / tables.NAME, keyfile.start_key(tmp_path), [])[0])
    busy.join()
    assert [report.findings for report in reports] == [()] * len(reports)


def test_what_a_copy_of_the_directory_says_is_its_state(tmp_path: Path) -> None:
    filled(tmp_path, 4)
    shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("copy"))
    found = state(tmp_path / "copy" / tables.NAME)
    assert (found["first"], found["last"], found["key_noted"]) == (1, 4, False)
    (tmp_path / "copy" / keyfile.START_NAME).unlink()
    assert state(tmp_path / "copy" / tables.NAME)["key_noted"]
