"""The history, the rights of people, and how long what is written down is kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.daemon.conftest import ANNA, add, crop

from facelatch.adapters import fakes
from facelatch.adapters.system.journal import WithoutNames
from facelatch.api import records, retention
from facelatch.api.answer import about, done
from facelatch.api.intake import Asked, Refused, admitted
from facelatch.api.records import sentence
from facelatch.api.rights import Asker
from facelatch.audit import fields
from facelatch.audit.chain import Moment
from facelatch.audit.events import Event, EventKind
from facelatch.audit.spec import Priority, Spec
from facelatch.audit.spreadsheet import cell
from facelatch.cli.receipts import signed
from facelatch.cli.root import facelatch
from facelatch.config.file import parse
from facelatch.config.service import Right
from facelatch.errors import ConfigError, InputError
from facelatch.gallery.store import GalleryStore
from facelatch.ledger import keyfile, tables
from facelatch.ledger.sightings import Sightings
from facelatch.ledger.store import DAY_MS
from facelatch.values.records import Person, PersonRecord
from facelatch.vision.png import encode_png

CONSENT: dict[str, object] = {"enrolment": {"consent": "recorded", "consent_text": "2026-11"}}


def visited(door: Any) -> None:
    """Anna came in, a stranger did not, the door moved, and Anna may not do something."""
    for event in (
        Event(EventKind.VISIT_GRANTED, {"PERSON": "Anna", "PERSON_ID": 1, "PURPOSE": "door"}),
        Event(EventKind.DOOR_UNLOCKED, {"PERSON": "Anna", "PERSON_ID": 1, "SECONDS": 5.0}),
        Event(EventKind.DOOR_LOCKED, {"REASON": "time"}),
        Event(EventKind.VISIT_REFUSED, {"REASON": "no_match", "HINT": "x", "NEAREST": "Ben"}),
    ):
        door.ledger.write(event)


def texts(door: Any, **asked: Any) -> list[str]:
    return [one["text"] for one in door.client.ask({"action": "history", **asked})["events"]]


@pytest.fixture
def door(served: Callable[..., Any]) -> Any:
    found = served(sections={})
    visited(found)
    return found


# History


def test_the_history_says_who_came_when_why_not_and_how_the_door_moved(door: Any) -> None:
    """In the catalogue's words, the newest first, with the names of those who are enrolled."""
    told = texts(door)
    assert told[1:4] == ["Locked (time)", "Unlocked for Anna for 5.0 s", "Anna recognised, for the door"]
    assert told[0].startswith("Visitor refused (no_match)")
    assert "Ben" not in told[0]


def test_it_can_be_asked_for_one_person_for_refusals_and_for_a_time(door: Any) -> None:
    assert len(texts(door, person="anna")) == 2
    assert len(texts(door, person="#1")) == 2
    assert texts(door, person="Ben") == []
    assert [text[:15] for text in texts(door, refused=True)] == ["Visitor refused"]
    assert texts(door, until=1000.0) == []
    assert len(texts(door, since=1000.0, most=2)) == 2
    with pytest.raises(InputError, match="nobody is called"):
        texts(door, person="Zoe")


def test_it_comes_in_pages(door: Any) -> None:
    found, before = [], None
    while True:
        page = door.client.ask({"action": "history", "most": 2, **({"before": before} if before else {})})
        found += [one["seq"] for one in page["events"]]
        before = page["next"]
        if before is None:
            break
    assert found == list(range(max(found), 0, -1))


def test_whoever_was_removed_is_a_number_from_then_on(door: Any) -> None:
    door.client.ask({"action": "remove", "name": "Anna"})
    told = " ".join(texts(door))
    assert "Anna" not in told
    assert "Unlocked for person 1 (forgotten) for 5.0 s" in told


def asker(*rights: Right) -> Asker:
    return Asker(uid=1000, pid=1, rights=frozenset(rights))


@pytest.mark.parametrize(
    ("message", "takes"),
    [
        ({"action": "history"}, {"history"}),
        ({"action": "report", "name": "x"}, {"history", "export"}),
        ({"action": "forget", "name": "x"}, {"people.write"}),
    ],
)
def test_asking_takes_a_right_of_its_own(message: dict[str, Any], takes: set[Right]) -> None:
    assert isinstance(admitted(message, asker(*takes)), Asked)
    for missing in takes:
        assert isinstance(admitted(message, asker(*(takes - {missing}))), Refused)


def test_what_is_discreet_only_admins_see(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the door had moved under duress."""
    monkeypatch.setattr(tables, "DISCREET", ("door.locked",))
    with GalleryStore.in_memory() as store:
        kept = records.Records(store, door.ledger)
        for rights, seen in ((asker("history"), False), (asker("history", "admin"), True)):
            request = admitted({"action": "history"}, rights)
            assert isinstance(request, Asked)
            reply = done(records.execute(kept, request.request, rights)).reply  # type: ignore[arg-type]
            assert ("door.locked" in {one["event"] for one in reply["events"]}) is seen


def test_the_kinds_that_are_discreet_are_those_that_say_so() -> None:
    assert set(tables.DISCREET) == {kind.value for kind in EventKind if kind.spec.discreet}
    assert Spec("0" * 32, Priority.NOTICE, "x").discreet is False


@given(st.sampled_from(EventKind), st.dictionaries(st.sampled_from(sorted(fields.FIELDS)), st.integers(0, 9)))
def test_every_row_has_a_sentence(kind: EventKind, fields: dict[str, int | str | float]) -> None:
    """Whatever fields it kept."""
    assert sentence(kind.value, fields, None)
    assert sentence("of.a.newer.version", fields, None) == "of.a.newer.version"


def test_a_door_without_a_ledger_says_what_to_set(served: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="no ledger is kept") as caught:
        served().client.ask({"action": "history"})
    assert "chain" in caught.value.hint


def config_of(door: Any, folder: Path) -> list[str]:
    path = folder / "facelatch.toml"
    path.write_text(
        f'[control]\nsocket = "{door.socket}"\ngroup = ""\n[storage]\nstate_directory = "{folder / "state"}"\n',
        encoding="utf-8",
    )
    return ["--config", str(path)]


def printed(arguments: list[str], *, exit_code: int = 0) -> str:
    ran = CliRunner().invoke(facelatch, arguments, catch_exceptions=False, standalone_mode=False)
    assert ran.return_value is None
    assert ran.exit_code == exit_code, ran.output
    return ran.stdout


def test_the_command_prints_lines_json_or_a_table(door: Any, tmp_path: Path) -> None:
    config = config_of(door, tmp_path)
    lines = printed([*config, "history", "--since", "1d"]).splitlines()
    assert lines[-2].endswith("Locked (time)")
    one = json.loads(printed([*config, "history", "--json", "--refused", "--last", "1"]))
    assert one["event"] == "visit.refused"
    rows = printed([*config, "history", "--csv", "--person", "Anna"]).splitlines()
    assert rows[0] == "seq,time,clock_set,event,person,text"
    assert len(rows) == 3


def test_a_cell_of_the_table_is_no_formula() -> None:
    assert cell('=HYPERLINK("x")') == "'=HYPERLINK(\"x\")"
    assert cell("Anna") == "Anna"
    assert cell(None) == ""


# Rights of people


def test_forgetting_gives_a_receipt_whose_hash_is_in_the_ledger(door: Any, tmp_path: Path) -> None:
    config, file = config_of(door, tmp_path), tmp_path / "receipt.json"
    printed([*config, "people", "forget", "anna", "--yes", "--receipt", str(file)])
    receipt = json.loads(file.read_text(encoding="ascii"))
    assert receipt["person"] == {"id": 1, "name": "Anna", "enrolled": receipt["person"]["enrolled"]}
    assert receipt["removed"] == {"images": 2, "embeddings": 2, "name": True, "consent": False}
    assert receipt["kept"] == {"events_without_name": 2, "fleet_envelope": False}
    assert file.stat().st_mode & 0o777 == 0o600
    (told,) = [one for one in door.client.ask({"action": "history"})["events"] if "receipt" in one["event"]]
    assert told["fields"]["HASH"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert told["fields"]["UID"] == os.getuid()


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_a_receipt_can_be_signed(tmp_path: Path) -> None:
    key, file = tmp_path / "key", tmp_path / "receipt.json"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    file.write_text("{}", encoding="ascii")
    signed(file, str(key))
    signers = tmp_path / "signers"
    signers.write_text(f"door {key.with_suffix('.pub').read_text(encoding='ascii')}", encoding="ascii")
    verify = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "door", "-n", "facelatch-receipt", "-s", f"{file}.sig"]
    assert subprocess.run(verify, input=b"{}", capture_output=True, check=False).returncode == 0
    assert subprocess.run(verify, input=b"{ }", capture_output=True, check=False).returncode != 0


def test_nobody_stays_because_there_is_no_ledger(served: Callable[..., Any]) -> None:
    reply = served().client.ask({"action": "forget", "name": "Ben"})
    assert (reply["receipt"]["ledger"], reply["receipt"]["removed"]["images"]) == (None, 2)


def test_the_report_has_everything_that_is_stored_of_a_person(door: Any, tmp_path: Path) -> None:
    """As it is in every table with a row about the person; of nobody else."""
    file = tmp_path / "report.json"
    printed([*config_of(door, tmp_path), "people", "report", "anna", "-o", str(file)])
    report = json.loads(file.read_text(encoding="ascii"))
    assert report["person"] == {"id": 1, "name": "Anna", "admin": True, "created": report["person"]["created"]}
    assert len(report["images"]) == 2
    assert all(one["crop_png"] and one["embedding_float32"] for one in report["images"])
    assert [one["event"] for one in report["events"]] == ["door.unlocked", "visit.granted"]
    assert "Ben" not in file.read_text(encoding="ascii")
    assert file.stat().st_mode & 0o777 == 0o600


def picture(name: str, **more: Any) -> tuple[dict[str, Any], bytes]:
    png = encode_png(crop((60, 110, 190)))
    one = {"size": len(png), "yaw": 0.0, "pitch": 0.0, "roll": 0.0}
    return {"action": "enroll_pictures", "name": name, "pictures": [one], **more}, png


def test_consent_is_recorded_with_when_how_and_which_text_and_goes_with_the_person(
    served: Callable[..., Any], tmp_path: Path
) -> None:
    door = served(sections=CONSENT)
    with pytest.raises(InputError, match="nobody says how this person agreed"):
        door.client.ask(*picture("Carla"))
    door.client.ask(*picture("Carla", consent="paper"))
    report = json.loads(door.client.fetch({"action": "report", "name": "Carla"})[1])
    assert report["consent"]["how"] == "paper"
    assert report["consent"]["text"] == "2026-11"
    assert report["consent"]["uid"] == os.getuid()
    receipt = door.client.ask({"action": "forget", "name": "Carla"})["receipt"]
    assert receipt["removed"]["consent"] is True
    assert consents(door) == []


def test_consent_goes_with_a_guest_whose_last_day_is_over(served: Callable[..., Any]) -> None:
    door = served(sections=CONSENT)
    door.client.ask(*picture("Carla", consent="paper"))
    (carla,) = [one for one in door.client.ask({"action": "list"})["people"] if one["name"] == "Carla"]
    assert [row[0] for row in consents(door)] == [carla["id"]]
    door.ledger.write(about(Person(carla["id"], "Carla"), EventKind.ACCESS_EXPIRED, VALID_UNTIL="2026-11-27"))
    assert consents(door) == []


def consents(door: Any) -> list[Any]:
    found: list[Any] = door.ledger.ask(
        lambda ledger: ledger.connection.execute("SELECT * FROM consents").fetchall()
    ).result(10)
    return found


def test_an_enrolment_by_camera_needs_consent_too_and_hands_it_to_the_machines(served: Callable[..., Any]) -> None:
    door = served(sections=CONSENT)
    with pytest.raises(InputError, match="nobody says"):
        door.client.ask({"action": "enroll", "name": "Carla"})
    door.client.ask({"action": "enroll", "name": "Carla", "consent": "spoken"})
    door.close()  # its turn is over: what it handed to the machines is there
    assert door.commands[-1].consent == "spoken"


# Retention

NOW = Moment(wall_ms=2_000 * DAY_MS, trusted=True, mono_ms=0, boot="")


def somebody(*, admin: bool = False) -> PersonRecord:
    return PersonRecord(Person(1, "Anna", admin), references=2, created="1970-01-01T00:00:00Z")


def seen(*, days_ago: float | None = None, warned: float | None = None, since: float = 1_000) -> Sightings:
    def ago(days: float) -> int:
        return NOW.wall_ms - int(days * DAY_MS)

    return Sightings(
        came={1: ago(days_ago)} if days_ago is not None else {},
        warned={1: ago(warned)} if warned is not None else {},
        since=ago(since),
    )


@pytest.mark.parametrize(
    ("sightings", "outcome"),
    [
        (seen(days_ago=10), "stays"),
        (seen(days_ago=84), "warned of"),
        (seen(days_ago=84, warned=1), "stays"),
        (seen(days_ago=200), "warned of"),
        (seen(days_ago=200, warned=6), "stays"),
        (seen(days_ago=200, warned=7), "forgotten"),
        (seen(days_ago=85, warned=100), "warned of"),
        (seen(warned=7), "forgotten"),
        (seen(since=80), "stays"),
    ],
)
def test_whoever_has_not_come_is_warned_of_a_week_before_and_then_forgotten(
    sightings: Sightings, outcome: str
) -> None:
    due = retention.due([somebody()], sightings, NOW, 90)
    assert (len(due.warn), len(due.forget)) == {"stays": (0, 0), "warned of": (1, 0), "forgotten": (0, 1)}[outcome]


def test_nobody_is_forgotten_by_a_clock_that_was_not_set_nor_an_admin_nor_unless_asked() -> None:
    long_gone = seen(days_ago=900, warned=100)
    assert retention.due([somebody()], long_gone, NOW, 90).forget
    for people, known, now, days in (
        ([somebody()], long_gone, replace(NOW, trusted=False), 90),
        ([somebody(admin=True)], long_gone, NOW, 90),
        ([somebody()], long_gone, NOW, 0),
        ([somebody()], replace(long_gone, since=None), NOW, 90),
    ):
        assert retention.due(people, known, now, days) == retention.Due()


@given(st.floats(0, 500), st.floats(0, 500) | st.none(), st.floats(0, 500), st.integers(1, 400))
def test_nobody_is_forgotten_without_a_warning_that_is_old_enough(
    came: float, warned: float | None, since: float, days: int
) -> None:
    due = retention.due([somebody()], seen(days_ago=came, warned=warned, since=since), NOW, days)
    if due.forget:
        assert warned is not None
        assert came >= days - 0.001
        assert warned <= came + 0.001
        assert warned >= min(7, days / 2) - 0.001


def test_events_that_were_lost_may_have_been_a_visit() -> None:
    lost = Event(EventKind.LEDGER_RESTORED, {"COUNT": 3})
    known = seen(days_ago=200, warned=50).with_event(lost, NOW)
    assert retention.due([somebody()], known, NOW, 90) == retention.Due()


def test_the_desk_warns_of_whoever_does_not_come_and_forgets_them(
    served: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the rule says; here it says so of everybody but admins."""

    def at_once(people: list[PersonRecord], *_: object) -> retention.Due:
        away = [record for record in people if not record.person.admin]
        return retention.Due(warn=tuple((record, 90) for record in away), forget=tuple(away))

    monkeypatch.setattr(retention, "due", at_once)
    monkeypatch.setattr("facelatch.app.desk.UNUSED_SECONDS", 0.0)
    door = served(sections={"retention": {"unused_person_days": 30}})
    people = [0, 1]
    while len(people) > 1:
        people = door.client.ask({"action": "list"})["people"]
    assert [one["name"] for one in people] == ["Anna"]
    kinds = [event.kind for event in door.audit.events]
    assert kinds.index(EventKind.PERSON_UNUSED) < kinds.index(EventKind.PERSON_REMOVED)


def test_people_cannot_be_kept_by_visits_that_are_forgotten_sooner() -> None:
    with pytest.raises(ConfigError, match="must be at most events_days"):
        parse(tomllib.loads("[retention]\nevents_days = 30\nunused_person_days = 60"), origin="x")
    parse(tomllib.loads("[retention]\nevents_days = 0\nunused_person_days = 60"), origin="x")


# The journal


@pytest.mark.parametrize("kind", EventKind)
def test_a_journal_without_names_has_none(kind: EventKind) -> None:
    known = kind.spec.required | kind.spec.optional
    fields = dict.fromkeys(known, "x") | dict.fromkeys(known & {"PERSON", "NEAREST"}, "Zacharias")
    if kind is EventKind.ENROLMENT_SAVE_FAILED:
        fields["REASON"] = "the name Zacharias is taken"
    kept = fakes.FakeAudit()
    WithoutNames(kept).write(Event(kind, fields))
    assert "Zacharias" not in repr(kept.events) + kept.events[0].message


# The command line


@pytest.fixture
def desk(tmp_path: Path) -> list[str]:
    """A configuration of a door that does not run."""
    with GalleryStore.open(tmp_path / "state") as store:
        add(store, "Anna", ANNA)
    path = tmp_path / "facelatch.toml"
    lines = f'[control]\nsocket = "{tmp_path / "none.sock"}"\n[storage]\nstate_directory = "{tmp_path / "state"}"\n'
    path.write_text(lines, encoding="utf-8")
    return ["--config", str(path)]


def test_the_start_key_is_shown_once_and_proves_what_was_written(desk: list[str], tmp_path: Path) -> None:
    """Also what is done without a daemon is in the ledger."""
    key = printed([*desk, "ledger", "init", "--yes"]).removeprefix("start key: ").strip()
    assert keyfile.start_key(tmp_path / "state") is None
    with pytest.raises(InputError, match="noted already"):
        printed([*desk, "ledger", "init", "--yes"])
    printed([*desk, "people", "rename", "Anna", "Berta"])
    assert printed([*desk, "history", "--last", "1"]).rstrip().endswith("Person 1 is now called Berta")
    assert "keyed" in printed([*desk, "ledger", "verify", "--start-key", key])
    status = printed([*desk, "ledger", "status"])
    (tmp_path / "anchor").write_text(status, encoding="utf-8")
    assert "not anchored" not in printed([*desk, "ledger", "verify", "--anchor", str(tmp_path / "anchor")])


def test_a_changed_row_is_named_and_is_exit_code_1(desk: list[str], tmp_path: Path) -> None:
    printed([*desk, "people", "rename", "Anna", "Berta"])
    with sqlite3.connect(tmp_path / "state" / tables.NAME) as connection:
        connection.execute("UPDATE rows SET wall_ms = wall_ms + 1 WHERE seq = 2")
    ran = CliRunner().invoke(facelatch, [*desk, "ledger", "verify"], standalone_mode=False)
    assert ran.exit_code == 1
    assert "FAULT         row 2 is altered" in ran.stdout
    wrong = CliRunner().invoke(facelatch, [*desk, "ledger", "verify", "--start-key", "A" * 52], standalone_mode=False)
    assert isinstance(wrong.exception, InputError)


@pytest.mark.parametrize("text", ["2026-11-27", "2026-11-27T18:00", "today", "yesterday", "90m", "2h", "3d", "1w"])
def test_a_time_is_a_date_a_day_or_so_long_ago(desk: list[str], text: str) -> None:
    assert printed([*desk, "history", "--since", text]) is not None


def test_what_is_no_time_is_refused(desk: list[str]) -> None:
    ran = CliRunner().invoke(facelatch, [*desk, "history", "--since", "soon"])
    assert ran.exit_code == 2
