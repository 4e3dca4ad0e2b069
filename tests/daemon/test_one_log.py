"""One log of all doors: whatever dies between a door's ledger and the collector, every row arrives once, in order."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from facelatch.audit.chain import NOTHING, Row, link
from facelatch.audit.collecting import Head, Taken, batch_of, fitting, take, wire
from facelatch.audit.events import Event, EventKind
from facelatch.audit.proof import anchors_in
from facelatch.cli.root import facelatch
from facelatch.errors import ControlError, InputError, LedgerError
from facelatch.fleet.collector import Collector
from facelatch.fleet.log import ANSWER_SECONDS, LogSender
from facelatch.ledger import collected
from facelatch.ledger.collected import Collected
from facelatch.ledger.store import DAY_MS

NOW_MS = 1_790_000_000_000


def chain(count: int, *, before: Head = Head(), kind: str = "door.locked", salt: str = "") -> list[Row]:  # noqa: B008
    """So many rows that follow upon `before`."""
    rows, digest = [], before.hash
    for seq in range(before.seq + 1, before.seq + count + 1):
        row = Row(
            seq=seq, wall_ms=NOW_MS + seq, trusted=True, mono_ms=seq, boot=f"b007{salt}", kind=kind,
            fields=json.dumps({"PERSON_ID": seq % 3}), tag=bytes(16),
        )  # fmt: skip
        digest = link(digest, row.record)
        rows.append(replace(row, hash=digest))
    return rows


def reply(rows: list[Row], after: int, *, most: int = 250, base: Head = Head()) -> dict[str, Any]:  # noqa: B008
    """As the daemon answers `ledger`."""
    page = [row for row in rows if row.seq > after][:most]
    last = rows[-1].seq if rows else base.seq
    before = {base.seq: base.hash.hex(), **{row.seq: row.hash.hex() for row in rows}}.get(after)
    plain = {"after": after, "before": before, "last": last, "base": [base.seq, base.hash.hex()]}
    return {**plain, "rows": [wire(row) for row in page], "names": {}}


def known(rows: list[Row]) -> dict[int, set[bytes]]:
    found: dict[int, set[bytes]] = {}
    for row in rows:
        found.setdefault(row.seq, set()).add(row.hash)
    return found


def taken(head: Head, rows: list[Row], after: int, there: list[Row] | None = None, base: Head = Head()) -> Taken:  # noqa: B008
    found = take(head, batch_of(reply(rows, after, base=base)), known(there or []))
    assert isinstance(found, Taken)
    return found


def head_of(rows: list[Row]) -> Head:
    return Head(rows[-1].seq, rows[-1].hash)


# ---- What becomes of a batch


def test_rows_that_follow_are_taken_and_those_that_are_there_passed_over() -> None:
    rows = chain(9)
    first = taken(Head(), rows[:6], 0)
    assert (list(first.rows), first.head, first.findings) == (rows[:6], head_of(rows[:6]), ())
    again = taken(first.head, rows, 3, rows[:6])
    assert (list(again.rows), again.head, again.findings) == (rows[6:], head_of(rows), ())


def test_a_batch_that_begins_beyond_what_is_there_or_upon_something_else_is_not_taken() -> None:
    rows = chain(9)
    assert take(head_of(rows[:2]), batch_of(reply(rows, 3)), {}) == 2
    assert take(head_of(chain(3, salt="x")), batch_of(reply(rows, 3)), {}) == 0


def test_a_door_that_comes_late_has_lost_nothing_by_the_age_of_its_first_rows() -> None:
    rows = chain(9)
    late = taken(Head(), rows[4:], 0, base=head_of(rows[:4]))
    assert (list(late.rows), late.findings) == (rows[4:], ())


def test_rows_removed_for_their_age_before_they_were_told_are_named() -> None:
    rows = chain(9)
    (finding,) = taken(head_of(rows[:2]), rows[4:], 2, base=head_of(rows[:4])).findings
    assert "rows 3 to 4 never came: removed for their age" in finding


def test_rows_missing_at_the_door_are_named() -> None:
    rows = chain(9)
    (finding,) = taken(head_of(rows[:2]), rows[:2] + rows[5:], 2).findings
    assert "rows 3 to 5 never came: missing at the door" in finding


def test_a_tail_that_was_cut_off_is_found_whether_the_door_says_so_or_writes_on() -> None:
    rows = chain(9)
    told = head_of(rows)
    shorter = taken(told, rows[:6], 0, rows)
    assert shorter.findings == ("rows 7 to 9, told before, are gone at the door: the end of its log was cut off",)
    assert shorter.head == told
    numbered_on = [*rows[:6], *chain(2, before=Head(9, rows[5].hash))]
    assert "row 10 does not follow upon" in " ".join(taken(told, numbered_on, 9).findings)


def test_a_log_made_anew_is_kept_beside_what_was_told_before() -> None:
    rows = chain(9)
    anew = [*rows[:6], *chain(5, before=head_of(rows[:6]), salt="x")]
    found = taken(head_of(rows), anew, 0, rows)
    assert (list(found.rows), found.head) == (anew[6:], head_of(anew))
    assert "row 7 is another one than was told before" in found.findings[0]
    assert rows[-1].hash.hex() in found.findings[0]


def test_what_was_removed_for_its_age_must_have_been_what_was_told() -> None:
    rows, anew = chain(3), chain(5, salt="x")
    (finding,) = taken(head_of(rows), anew[3:], 0, rows, base=head_of(anew[:3])).findings
    assert "row 3, removed at the door for its age, was not the one told before" in finding


@given(st.data())
def test_a_row_that_is_altered_exchanged_or_left_out_on_its_way_is_found(data: st.DataObject) -> None:
    rows = chain(8)
    have = data.draw(st.integers(0, 5), label="rows told before")
    at = data.draw(st.integers(have, 6), label="which row")
    bad = list(rows)
    how = data.draw(st.sampled_from(["altered", "left out", "exchanged", "made anew"]))
    if how == "altered":
        bad[at] = replace(rows[at], fields='{"PERSON_ID":99}')
    elif how == "left out":
        del bad[at]
    elif how == "exchanged":
        bad[at], bad[at + 1] = replace(rows[at + 1], seq=at + 1), replace(rows[at], seq=at + 2)
    else:
        bad[at:] = chain(8 - at, before=Head(at, bytes([1] * 32)))
    head = head_of(rows[:have]) if have else Head()
    assert taken(head, bad, have, rows[:have]).findings


FIELDS = ("after", "before", "rows", "last", "base", "1")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.sampled_from(FIELDS), inner),
        max_leaves=12,
    )
)
def test_whatever_comes_is_a_batch_or_an_error(message: Any) -> None:
    whole = {**reply(chain(1), 0), **(message if isinstance(message, dict) else {"rows": message})}
    with suppress(ValueError):
        batch_of(whole)


def test_rows_out_of_order_and_rows_too_long_are_no_batch() -> None:
    rows = chain(3)
    for wrong in (
        reply([rows[1], rows[0]], 0),
        reply([replace(rows[0], fields="x" * 9000)], 0),
        {**reply(rows, 0), "rows": [wire(rows[0])] * 300},
    ):
        with pytest.raises(ValueError, match=r"out of order|too long|too many"):
            batch_of(wrong)


def test_a_reply_holds_as_many_rows_as_fit_and_one_at_least() -> None:
    rows = chain(9)
    assert [len(fitting(rows, most)) for most in (1, 2 * len(json.dumps(wire(rows[0]))) + 5, 10**6)] == [1, 2, 9]


# ---- The way there, with everything dying


class World:
    """A door, its bridge, a broker and a collector, all of which may die; the collector's file is a real one."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows, self.now = path, chain(3), 0.0
        self.base = Head()
        self.to_collector: deque[dict[str, Any]] = deque()
        self.to_bridge: deque[dict[str, Any]] = deque()
        self.online = True
        self.store = Collected(path)
        self.new_bridge()

    def ask(self, action: str, *, after: int, **_: Any) -> dict[str, Any]:
        assert action == "ledger"
        return reply(self.rows, after, most=4, base=self.base)

    def publish(self, message: Mapping[str, Any]) -> bool:
        if self.online:
            self.to_collector.append(json.loads(json.dumps(message)))
        return self.online

    # What may happen

    def new_bridge(self) -> None:
        self.bridge = LogSender(self.ask, self.publish, names=False)

    def new_collector(self) -> None:
        self.store.close()
        self.store = Collected(self.path)

    def write(self) -> None:
        self.rows += chain(3, before=head_of(self.rows))

    def turn(self) -> None:
        self.bridge.turn(self.rows[-1].seq, self.now)

    def wait(self) -> None:
        self.now += ANSWER_SECONDS

    def deliver(self) -> None:
        if self.to_collector:
            message = self.to_collector.popleft()
            found = Collector(self.store, lambda: NOW_MS).answer("facelatch/front/log", json.dumps(message).encode())
            assert found is not None
            self.to_bridge.append(dict(found[1]))

    def repeat(self) -> None:
        self.to_collector.extendleft(list(self.to_collector)[:1])

    def acknowledge(self) -> None:
        if self.to_bridge:
            self.bridge.heard(json.dumps(self.to_bridge.popleft()).encode())

    def broker_dies(self) -> None:
        self.to_collector.clear()
        self.to_bridge.clear()
        self.online = False

    def broker_comes(self) -> None:
        self.online = True
        self.bridge.connected()

    def settle(self) -> None:
        self.broker_comes()
        for _ in range(200):
            self.wait()
            self.turn()
            self.deliver()
            self.acknowledge()

    def have(self) -> list[int]:
        with collected.reading(self.path) as connection:
            return [seq for (seq,) in connection.execute("SELECT seq FROM rows ORDER BY seq")]


HAPPENINGS = (
    "new_bridge", "new_collector", "write", "turn", "wait", "deliver", "repeat", "acknowledge", "broker_dies",
    "broker_comes", "turn", "deliver", "acknowledge",
)  # fmt: skip


@hypothesis.settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(HAPPENINGS), max_size=40))
def test_every_row_arrives_once_and_nothing_is_wrong_whatever_dies_when(
    tmp_path_factory: pytest.TempPathFactory, happenings: list[str]
) -> None:
    world = World(tmp_path_factory.mktemp("world") / "all.sqlite")
    for what in happenings:
        getattr(world, what)()
    world.settle()
    assert world.have() == [row.seq for row in world.rows]
    with collected.reading(world.path) as connection:
        (door,) = collected.doors(connection)
    assert (door.head, door.findings) == (head_of(world.rows), ())
    world.store.close()


def test_a_collector_that_forgot_its_last_rows_gets_them_again(tmp_path: Path) -> None:
    """Its file came back from an old copy, while the bridge served on."""
    world = World(tmp_path / "all.sqlite")
    world.settle()
    world.store.close()
    old = world.path.read_bytes()
    world.store = Collected(world.path)
    world.write()
    world.settle()
    world.store.close()
    world.path.write_bytes(old)
    world.store = Collected(world.path)
    world.write()
    world.settle()
    with collected.reading(world.path) as connection:
        assert collected.doors(connection)[0].findings == ()
    assert world.have() == [row.seq for row in world.rows]
    world.store.close()


def test_a_door_whose_end_was_cut_off_is_told_and_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path / "all.sqlite")
    world.write()
    world.settle()
    told = head_of(world.rows)
    del world.rows[4:]
    world.new_bridge()
    world.settle()
    world.rows += chain(9, before=head_of(world.rows), salt="x")
    world.settle()
    with collected.reading(world.path) as connection:
        (door,) = collected.doors(connection)
    assert door.head == head_of(world.rows)
    assert "rows 5 to 6, told before, are gone at the door" in door.findings[0]
    assert told.hash.hex() in " ".join(door.findings)
    assert world.have() == [1, 2, 3, 4, 5, 5, 6, 6, *range(7, 14)]
    world.store.close()


def sending() -> tuple[list[Any], Callable[[Any], bool]]:
    """What was published, and by what."""
    sent: list[Any] = []

    def publish(message: Any) -> bool:
        sent.append(message)
        return True

    return sent, publish


def test_while_there_is_no_collector_it_is_asked_and_nothing_large_is_sent() -> None:
    sent, publish = sending()
    bridge = LogSender(lambda *_, **__: reply(chain(9), 0), publish, names=False)
    for second in range(60):
        bridge.turn(9, float(second))
    assert sent == [{"ask": True}] * 6


# ---- The collector


def test_a_door_that_comes_back_from_an_old_copy_is_told_and_goes_on(tmp_path: Path) -> None:
    """Twice: what it told in between is kept, and nobody waits for anybody for ever."""
    world = World(tmp_path / "all.sqlite")
    first = chain(6)
    between = [*first[:4], *chain(6, before=head_of(first[:4]), salt="x")]
    for rows in (first, between, [*first, *chain(9, before=head_of(first))]):
        world.rows = rows
        world.settle()
        with collected.reading(world.path) as connection:
            (door,) = collected.doors(connection)
        assert door.head == head_of(rows)
    assert len(door.findings) > 1
    world.store.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Collected]:
    with closing(Collected(tmp_path / "all.sqlite")) as opened:
        yield opened


def test_what_is_no_log_gets_no_answer_and_is_complained_about_once(
    store: Collected, capsys: pytest.CaptureFixture[str]
) -> None:
    collector = Collector(store, lambda: NOW_MS)
    for payload in (b"", b"{", b"[" * 100_000, b"[]", b'{"rows": 1}', b"x" * 300_000):
        assert collector.answer("facelatch/front/log", payload) is None
        assert collector.answer("facelatch/front/log", payload) is None
    assert collector.answer("facelatch/Front Door/log", b'{"ask": true}') is None
    assert collector.answer("facelatch/front/log", b'{"ask": true}') == ("facelatch/front/log/ack", {"head": 0})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(set(lines)) <= 6


HOSTILE = "\ud800"
"""Half a character, which JSON can tell and no file takes."""


@pytest.mark.parametrize(
    "changes",
    [
        {"fields": "no JSON"},
        {"fields": '{"PERSON_ID":' + "[" * 2_000 + "]" * 2_000 + "}"},
        {"fields": "[1]"},
        {"fields": '{"PERSON_ID":NaN}'},
        {"fields": '{"PERSON_ID":{}}', "kind": "gallery.person_removed"},
        {"fields": '{"PERSON_ID":"\\ud800"}', "kind": "gallery.person_removed"},
        {"fields": '{"PERSON_ID":1' + "0" * 30 + "}", "kind": "gallery.person_removed"},
        {"fields": json.dumps({"KEY": "x"}).replace("x", HOSTILE)},
        {"kind": HOSTILE},
        {"boot": HOSTILE},
        {"fields": '{"A":' + "[" * 1_500 + "]" * 1_500 + ',"A":1}'},
        {"names": {"1": HOSTILE}},
        {"wall_ms": 2**62},
    ],
)
def test_no_door_ends_the_collector_of_all_others_nor_their_history(
    store: Collected, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Whatever a stolen door sends is a batch that the file takes and that can be shown, or is none."""
    names = changes.pop("names", {})
    message = {**reply([replace(chain(1)[0], **changes)], 0), "names": names}
    collector = Collector(store, lambda: NOW_MS)
    collector.answer("facelatch/garage/log", json.dumps(message).encode())
    told = collector.answer("facelatch/front/log", json.dumps(reply(chain(3), 0)).encode())
    assert told == ("facelatch/front/log/ack", {"taken": 3})
    assert printed("history", "--collected", tmp_path / "all.sqlite").count("front") == 3


def test_whatever_numbers_a_batch_has_what_is_looked_up_is_no_more_than_the_batch(store: Collected) -> None:
    """A door whose end was cut off tells all it has from its first row on, which may be the millionth."""
    rows = chain(200)
    store.take("front", batch_of(reply(rows, 0)), NOW_MS)
    batch = batch_of(reply(rows[150:160], 0, base=head_of(rows[:150])))
    found = collected._known(store._connection, 1, batch)
    assert sorted(found) == list(range(150, 161))
    assert store.take("front", batch, NOW_MS).taken


def test_what_is_wrong_is_printed_once(store: Collected, capsys: pytest.CaptureFixture[str]) -> None:
    collector, rows = Collector(store, lambda: NOW_MS), chain(9)
    for batch in (reply(rows, 0), reply(rows[:4], 0), reply(rows[:4], 0)):
        collector.answer("facelatch/front/log", json.dumps(batch).encode())
    assert capsys.readouterr().err.count("cut off") == 1


def test_there_are_at_most_so_many_doors(store: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collected, "MOST_DOORS", 2)
    for door in ("a", "b"):
        store.take(door, batch_of(reply(chain(1), 0)), NOW_MS)
    with pytest.raises(InputError, match="doors already"):
        store.take("c", batch_of(reply(chain(1), 0)), NOW_MS)


def test_rows_are_removed_for_their_age_and_the_log_goes_on(tmp_path: Path) -> None:
    """Also when the door tells the old ones again."""
    rows, later = chain(6), NOW_MS + 7 * DAY_MS + 3
    with closing(Collected(tmp_path / "week.sqlite", days=7)) as store:
        store.take("a", batch_of(reply(rows[:3], 0)), NOW_MS)
        assert store.prune(later) == 2
        for after in (3, 1, 0):
            outcome = store.take("a", batch_of(reply(rows, after)), later)
            assert (outcome.taken, outcome.findings) == (True, ())
        assert store.prune(later) == 0


@pytest.mark.parametrize("kind", [EventKind.PERSON_REMOVED, EventKind.ACCESS_EXPIRED])
def test_whoever_is_removed_at_the_door_loses_the_name_here(store: Collected, tmp_path: Path, kind: EventKind) -> None:
    first = chain(2)
    store.take("a", batch_of({**reply(first, 0), "names": {"1": "Anna", "2": "Ben"}}), NOW_MS)
    gone = chain(1, before=head_of(first), kind=kind.value)
    gone = [replace(gone[0], fields='{"PERSON_ID":1}')]
    gone[0] = replace(gone[0], hash=link(first[-1].hash, gone[0].record))
    store.take("a", batch_of(reply([*first, *gone], 2)), NOW_MS)
    with collected.reading(tmp_path / "all.sqlite") as connection:
        assert collected.names(connection) == {1: {2: "Ben"}}
    store.close()
    assert b"Anna" not in (tmp_path / "all.sqlite").read_bytes()


def test_another_file_is_not_written_to(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as other:
        other.execute("CREATE TABLE x (y)")
        other.commit()
    with pytest.raises(LedgerError, match="not a collector's file"):
        Collected(tmp_path / "other.sqlite")


# ---- What people see


def printed(*words: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(facelatch, [str(word) for word in words])
    assert done.exit_code == code, done.output + repr(done.exception)
    return done.output


def test_the_history_of_all_doors(store: Collected, tmp_path: Path) -> None:
    """By time over all doors, each line with its door; one door; one person, who has another number at each door."""
    store.take("back", batch_of({**reply(chain(2), 0), "names": {"2": "Anna"}}), NOW_MS)
    store.take("front", batch_of({**reply(chain(3), 0), "names": {"1": "Anna"}}), NOW_MS)
    history = ("history", "--collected", tmp_path / "all.sqlite")
    lines = printed(*history).splitlines()
    assert [line.split()[2] for line in lines] == ["front", "back", "front", "back", "front"]
    assert len(printed(*history, "--door", "back").splitlines()) == 2
    anna = [json.loads(line) for line in printed(*history, "--person", "anna", "--json").splitlines()]
    assert [(one["door"], one["seq"]) for one in anna] == [("front", 1), ("back", 2)]
    assert len(printed(*history, "--person", "#1").splitlines()) == 2
    assert printed(*history, "--csv").splitlines()[0] == "door,seq,time,clock_set,event,person,text"
    assert "1" in printed(*history, "--last", "1")


def test_how_the_logs_stand_is_an_anchor_for_the_door(store: Collected, tmp_path: Path) -> None:
    rows = chain(5)
    store.take("front", batch_of(reply(rows, 0)), NOW_MS)
    file = ("fleet", "collected", "--file", tmp_path / "all.sqlite")
    text = printed(*file, "--door", "front")
    assert anchors_in(text) == anchors_in(printed(*file, "--json")) == [(5, rows[-1].hash)]
    store.take("front", batch_of(reply(rows[:2], 0)), NOW_MS)
    assert "FAULT  rows 3 to 5, told before, are gone" in printed(*file, code=1)


# ---- The daemon's answer


def test_a_door_tells_its_rows_with_their_links_and_they_follow(served: Callable[..., Any]) -> None:
    door = served(sections={})
    first = door.client.ask({"action": "ledger", "most": 1})
    more = door.client.ask({"action": "ledger", "after": first["rows"][-1][0]})
    head = take(Head(), batch_of(first), {})
    assert isinstance(head, Taken)
    rest = take(head.head, batch_of(more), {})
    assert isinstance(rest, Taken)
    assert (head.findings, rest.findings) == ((), ())
    assert rest.head.seq == more["last"] > 1
    assert more["names"] == {}


def test_names_come_along_only_when_asked_for_and_what_was_forced_always(served: Callable[..., Any]) -> None:
    door = served(sections={})
    door.ledger.write(Event(EventKind.VISIT_GRANTED, {"PERSON": "Anna", "PERSON_ID": 1, "PURPOSE": "door"}))
    door.ledger.write(Event(EventKind.DURESS, {"PERSON": "Anna", "PERSON_ID": 1}))
    plain = door.client.ask({"action": "ledger"})
    assert "Anna" not in json.dumps(plain)
    assert "duress" in {row[5] for row in plain["rows"]}
    assert door.client.ask({"action": "ledger", "names": True})["names"] == {"1": "Anna"}


def test_a_bridge_without_the_right_says_so_and_sends_nothing() -> None:
    def refuse(*_: Any, **__: Any) -> dict[str, Any]:
        raise ControlError("not allowed")

    sent, publish = sending()
    bridge = LogSender(refuse, publish, names=False)
    bridge.turn(9, 0.0)
    bridge.heard(b"[1]")
    bridge.heard(b"{")
    bridge.heard(b'{"head": 0}')
    with pytest.raises(ControlError):
        bridge.turn(9, 1.0)
    assert sent == [{"ask": True}]


def test_the_first_row_of_all_follows_upon_nothing() -> None:
    assert taken(Head(0, NOTHING), chain(1), 0).findings == ()
