"""What clients ask of a running door: by the real client, over the real socket, from a real gallery."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import random
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from facelatch.adapters.fakes import FakeFinder, FakeVerifier
from facelatch.api import importing
from facelatch.api.admission import Admission
from facelatch.api.answer import Answer, done
from facelatch.api.exports import Exports
from facelatch.api.importing import Importing
from facelatch.api.requests import Import
from facelatch.audit.events import Event, EventKind, Value
from facelatch.cli import asking
from facelatch.cli.root import main
from facelatch.config.file import Config
from facelatch.control.client import ControlClient
from facelatch.errors import AdmissionError, ControlError, InputError, NotAllowedError
from facelatch.gallery import export, staging
from facelatch.gallery.embeddings import maker
from facelatch.gallery.export import StoredPerson, StoredReference, pack, unpack, write_export
from facelatch.gallery.saving import Clash, Terms
from facelatch.gallery.store import GalleryStore
from facelatch.line.admission import Judge
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.machines.enrolment_states import AbortEnrolment, StartEnrolment
from facelatch.values.observations import Thresholds
from facelatch.values.pictures import Pose
from facelatch.values.records import NewPerson, Reference
from facelatch.vision.png import decode_png, encode_png

Start = Callable[..., Any]
ANNA, BEN, STRANGER = (200, 90, 60), (60, 200, 90), (60, 110, 190)
TOKEN = "ab" * 16


def png(colour: tuple[int, int, int]) -> bytes:
    return encode_png(np.full((112, 112, 3), colour, np.uint8))


PEOPLE = Path(__file__).resolve().parents[1] / "scenarios" / "people"


def people(count: int, *, references: int = 1, first: int = 1) -> list[StoredPerson]:
    """Different people, small pictures."""
    made = []
    for number in range(first, first + count):
        colour = tuple(32 * (number // 8**place % 8) for place in range(3))
        crops = [np.full((112, 112, 3), colour, np.uint8) for _ in range(references)]
        for variant, crop in enumerate(crops):
            crop[0, 0] = variant  # a copy of a picture is no second picture
        pictures = tuple(StoredReference(encode_png(crop), Pose(0.0, 0.0, 0.0)) for crop in crops)
        made.append(StoredPerson(f"person {number}", False, pictures))
    return made


def nobody(_store: GalleryStore) -> None:
    """An empty gallery."""


def kinds(door: Any) -> list[EventKind]:
    return [event.kind for event in door.audit.events]


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(5_000):
        if true():
            return
        threading.Event().wait(0.002)
    raise AssertionError("it never came true")


# Reading


def test_a_long_list_comes_in_pages_that_the_command_line_joins(
    served: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facelatch.api.people.PAGE_PEOPLE", 3)
    door = served(fill=lambda store: store.restore(people(8)))
    assert door.client.ask({"action": "list"})["next"] == 3
    assert [row["id"] for row in asking.listed(door.config)] == list(range(1, 9))


def test_the_longest_names_there_are_fit_into_a_page(served: Start) -> None:
    """Letters outside the basic plane take twelve bytes each in a reply."""
    newcomers = [
        StoredPerson(f"{number:03}" + "\N{GRINNING FACE}" * 61, False, people(1)[0].references)
        for number in range(260)
    ]
    door = served(fill=lambda store: store.restore(newcomers))
    assert len(asking.listed(door.config)) == 260


def test_reading_leaves_one_trace_a_while_and_status_none(served: Start) -> None:
    door = served()
    for _ in range(5):
        door.client.ask({"action": "list"})
        door.client.ask({"action": "status"})
    door.client.ask({"action": "show", "name": "Anna"})
    door.close()
    assert [(event.kind, event.fields["ACTION"], event.fields["UID"]) for event in door.audit.events] == [
        (EventKind.CONTROL_REQUEST, "list", os.geteuid()),
        (EventKind.CONTROL_REQUEST, "show", os.geteuid()),
    ]


def test_a_face_is_judged_by_the_door_without_anybody_leaving_it(served: Start) -> None:
    door = served()
    said = door.client.ask({"action": "judge"}, png(ANNA))
    assert (said["matched"], said["person"], said["share"]) == (True, "Anna", 1.0)
    assert said["people"][0] == {"name": "Anna", "detections": 2, "references": 2, "similarities": [1.0, 1.0]}
    assert not door.client.ask({"action": "judge"}, png(STRANGER))["matched"]
    assert not door.client.ask({"action": "judge", "person": "ben"}, png(ANNA))["matched"]
    with pytest.raises(InputError, match="not enrolled"):
        door.client.ask({"action": "judge", "person": "Carl"}, png(ANNA))
    with pytest.raises(InputError, match="112 x 112"):
        door.client.ask({"action": "judge"}, b"\x89PNG")
    with pytest.raises(InputError, match="takes a picture"):
        door.client.ask({"action": "judge"})


def test_similarities_are_for_those_who_may_export(served: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody else could find out step by step what an enrolled face looks like to the model."""
    monkeypatch.setattr("facelatch.api.rights.ALL", frozenset({"people.read"}))
    said = served().client.ask({"action": "judge"}, png(ANNA))
    assert said["people"][0] == {"name": "Anna", "detections": 2, "references": 2}


# Enrolling


def test_beginning_and_ending_an_enrolment_says_who_asked(served: Start) -> None:
    door = served()
    door.client.ask({"action": "enroll", "name": "Carl", "admin": True})
    door.client.ask({"action": "abort"})
    door.close()
    begun_by, ended_by = door.commands
    assert isinstance(begun_by, StartEnrolment)
    assert (begun_by.name, begun_by.admin) == ("Carl", True)
    assert ended_by == AbortEnrolment()
    begun, ended = door.audit.events
    assert begun.fields == {
        "ACTION": "enroll",
        "PERSON": "Carl",
        "ADMIN": "yes",
        "UID": os.geteuid(),
        "PID": os.getpid(),
    }
    assert ended.fields["ACTION"] == "abort"


def test_pictures_enrol_somebody_who_is_recognised_at_once(served: Start) -> None:
    door = served()
    crops = [one.crop_png for one in people(1, references=3, first=300)[0].references]
    pictures = [{"size": len(crop), "yaw": 0.0, "pitch": 0.0, "roll": 0.0} for crop in crops]
    request = {"action": "enroll_pictures", "name": "Carl", "pictures": pictures}
    whole = b"".join(crops)
    for bulk in (whole[:-1], whole + b"x", b"", None):
        with pytest.raises(InputError):
            door.client.ask(request, bulk)
    reply = door.client.ask(request, whole)
    assert reply == {"name": "Carl", "references": 3, "left_out": [], "warnings": []}
    assert door.client.ask({"action": "judge"}, crops[0])["person"] == "Carl"
    saved = next(event for event in door.audit.events if event.kind is EventKind.ENROLMENT_SAVED)
    assert (saved.fields["PERSON"], saved.fields["ADMIN"], saved.fields["UID"]) == (
        "Carl",
        "no",
        os.geteuid(),
    )


@pytest.mark.parametrize("action", ["enroll", "enroll_pictures"])
def test_another_face_for_an_admin_takes_the_right_to_make_admins(
    served: Start, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """Or whoever may change people would be admin by giving an admin's name an own face."""
    monkeypatch.setattr("facelatch.api.rights.ALL", frozenset({"enrol", "people.write"}))
    door = served()
    for name, error in (("anna", NotAllowedError), ("ben", None)):
        request: dict[str, Any] = {"action": action, "name": name, "replace": True}
        bulk = None
        if action == "enroll_pictures":
            request |= {
                "pictures": [{"size": len(png(BEN)), "yaw": 0.0, "pitch": 0.0, "roll": 0.0}],
                "force": True,
            }
            bulk = png(BEN)
        if error is None:
            door.client.ask(request, bulk)
        else:
            with pytest.raises(error):
                door.client.ask(request, bulk)
    refused = [
        event.fields["RIGHT"] for event in door.audit.events if event.kind is EventKind.CONTROL_REFUSED
    ]
    assert refused == ["admin"]


def test_a_descriptor_where_none_belongs_is_refused(served: Start) -> None:
    with pytest.raises(InputError, match="takes no descriptor"):
        served().client.ask({"action": "status"}, b"x")


# Exporting and importing


def test_what_one_door_exports_another_imports_also_in_many_parts(
    served: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facelatch.api.people.PAGE_BYTES", 3_000)
    monkeypatch.setattr(asking, "PART_BYTES", 3_000)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = served(fill=lambda store: store.restore(people(50, references=2)), folder=tmp_path / "one")
    two = served(fill=nobody, folder=tmp_path / "two")
    progress: list[int] = []
    taken = list(asking.exported(one.config))
    reply = asking.import_all(two.config, taken, {}, progress.append)
    assert reply["count"] == 50
    assert reply["names"][:2] == ["person 1", "person 2"]
    assert len(progress) > 5
    assert sum(progress) == 50
    assert taken == people(50, references=2)
    assert list(asking.exported(two.config)) == taken
    two.close()
    added = [event for event in two.audit.events if event.kind is EventKind.PERSON_ADDED]
    assert [event.fields["PERSON"] for event in added] == [one.name for one in taken]
    assert {event.fields["UID"] for event in added} == {os.geteuid()}


def test_an_export_in_many_parts_is_one_event_once_it_is_taken(
    served: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told page by page it would look like as many exports, and told before it might be none."""
    monkeypatch.setattr("facelatch.api.people.PAGE_BYTES", 3_000)
    door = served(fill=lambda store: store.restore(people(50, references=2)))
    for _ in range(2):
        assert len(list(asking.exported(door.config))) == 50
    door.close()
    told = [event.fields for event in door.audit.events if event.kind is EventKind.GALLERY_EXPORTED]
    assert [fields["COUNT"] for fields in told] == [50, 50]
    assert {fields["UID"] for fields in told} == {os.geteuid()}


class Pages:
    """Replies with faces, of one process."""

    def __init__(self) -> None:
        self.exports, self.asked = Exports(), None
        self.taken: bool | None = None

    def page(self, taken: bool | None, *, last: bool = False, pid: int = 1) -> Pages:
        page = Pages()
        page.taken = taken
        fields: dict[str, Value] = {"COUNT": 10, "UID": 0, "PID": pid}
        self.exports.give(page, Event(EventKind.GALLERY_EXPORTED, fields), last=last)
        return page

    def reply(self, answer: dict[str, Any], bulk: bytes | None = None) -> None: ...

    def told(self, now: float = 0.0, *, ending: bool = False) -> list[tuple[Any, Any]]:
        events = self.exports.told(now, ending=ending)
        return [(event.fields["PID"], event.fields["COUNT"]) for event in events]


def test_a_page_that_its_client_did_not_take_is_no_export() -> None:
    one = Pages()
    one.page(False, last=True)
    assert one.told() == []
    assert one.told(ending=True) == []


def test_an_export_that_breaks_off_is_told_as_far_as_it_was_taken() -> None:
    """By a client that goes away, or that does not come for more."""
    gone, silent = Pages(), Pages()
    gone.page(True)
    gone.page(False)
    assert gone.told() == [(1, 10)]
    silent.page(True)
    assert silent.told(now=1.0) == []
    assert silent.told(now=11.5) == [(1, 10)]
    assert silent.told(now=30.0) == []


def test_pages_whose_fate_is_not_known_yet_keep_their_order() -> None:
    one = Pages()
    first = one.page(None)
    one.page(True, last=True)
    one.page(True, last=True, pid=2)
    assert one.told() == [(2, 10)]
    first.taken = True
    assert one.told() == [(1, 20)]


def test_at_the_end_an_export_on_its_way_counts_as_taken() -> None:
    one = Pages()
    one.page(None)
    assert one.told(ending=True) == [(1, 10)]


def test_whoever_hangs_up_after_the_first_byte_may_have_all(served: Start) -> None:
    """The faces travel with it, and the audit must say so."""
    door = served()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(door.config.control.socket)
        client.sendall(b'{"action": "export", "by": "descriptor"}\n')
        client.recv(1)
    wait_until(lambda: EventKind.GALLERY_EXPORTED in kinds(door))


def test_without_a_daemon_the_same_is_done_on_the_gallery_itself(
    served: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # These people are noise, which the shipped model says is nobody.
    monkeypatch.setattr("facelatch.app.build.distinct_test", lambda *_: lambda _references: None)
    door = served(fill=nobody)
    door.close()
    faces = [  # the line that judges them is the real one
        StoredPerson(
            f"nobody {number}",
            False,
            (StoredReference(encode_png(decode_png(face.read_bytes())), Pose(0.0, 0.0, 0.0)),),
        )
        for number, face in enumerate(sorted(PEOPLE.glob("nobody-*.png"))[:5])
    ]
    assert asking.import_all(door.config, faces, {"force": True}, lambda _n: None)["count"] == 5
    assert list(asking.exported(door.config)) == faces


def test_a_client_of_the_first_version_still_exports_and_imports_a_few_people(served: Start) -> None:
    door = served()
    answer = door.client.ask({"action": "export", "file": "/home/pi/people.zip"})
    assert [one.name for one in unpack(base64.b64decode(answer["payload"]))] == ["Anna", "Ben"]
    again = door.client.ask(
        {"action": "import", "payload": answer["payload"], "replace": True, "file": "\x1b[2J"}
    )
    assert again["replaced"] == ["Anna", "Ben"]
    assert "/home" not in repr(door.audit.events)
    assert "\x1b" not in repr(door.audit.events)


def test_a_client_of_the_first_version_with_many_people_is_told_to_update(served: Start) -> None:
    noise = np.random.default_rng(1)
    crops = [encode_png(noise.integers(0, 256, (112, 112, 3), dtype=np.uint8)) for _ in range(8)]
    large = StoredPerson("large", False, tuple(StoredReference(crop, Pose(0.0, 0.0, 0.0)) for crop in crops))
    door = served(fill=lambda store: store.restore([large]))
    with pytest.raises(InputError, match="does not fit") as caught:
        door.client.ask({"action": "export"})
    assert "update" in caught.value.hint
    assert EventKind.GALLERY_EXPORTED not in kinds(door)


def test_nobody_of_an_unfinished_import_is_listed_judged_or_exported(served: Start) -> None:
    door = served()
    part = {"action": "import", "batch": TOKEN, "part": 0, "more": True}
    assert door.client.ask(part, pack(people(3))) == {"staged": 3}
    assert len(asking.listed(door.config)) == 2
    assert len(list(asking.exported(door.config))) == 2
    with pytest.raises(InputError, match="nobody is called"):
        door.client.ask({"action": "remove", "name": "person 1"})


@pytest.mark.parametrize(
    ("second", "name", "goes_on"),
    [
        ({"part": 1, "batch": "cd" * 16}, "Carl", True),
        ({"part": 2, "batch": TOKEN}, "Carl", True),
        ({"part": 1, "batch": TOKEN}, "ANNA", False),
        ({"part": 1, "batch": TOKEN}, "person 1", False),
    ],
)
def test_a_part_that_does_not_fit_lets_nobody_in(
    served: Start, second: dict[str, Any], name: str, goes_on: bool
) -> None:
    """Another token, a part left out, a name taken by somebody enrolled, or by the import itself."""
    door = served()
    first = {"action": "import", "batch": TOKEN, "part": 0, "more": True}
    door.client.ask(first, pack(people(3)))
    with pytest.raises(InputError):
        door.client.ask({"action": "import", **second}, pack([replace(people(1)[0], name=name)]))
    assert [row["name"] for row in asking.listed(door.config)] == ["Anna", "Ben"]
    if goes_on:
        return
    with pytest.raises(InputError, match="no import under way"):
        door.client.ask({**first, "part": 1}, pack(people(1, first=20)))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GalleryStore]:
    with GalleryStore.open(tmp_path / "state") as opened:
        yield opened


def rows_of(store: GalleryStore) -> int:
    with store.transaction() as connection:
        return int(connection.execute("SELECT count(*) FROM reference_images").fetchone()[0])


def admission(store: GalleryStore) -> Admission:
    judge = Judge(conftest_line(), 0.25)
    load = lambda: store.load(judge.model_sha256, judge.embed)  # noqa: E731
    return Admission(store=store, judge=lambda: judge, gallery=load, references=8)


def conftest_line() -> Line:
    return Line(
        finder=FakeFinder(()),
        verifier=FakeVerifier(),
        quality=Config().quality,
        thresholds=Thresholds(detection=0.5, verification=0.6, ambiguity_margin=0.2),
        similar_size_ratio=0.6,
        pace=Pace(busy_seconds=0.2, idle_seconds=1.0),
    )


def part(number: int, *, more: bool = True, token: str = TOKEN, replace: bool = False) -> Import:
    return Import(action="import", batch=token, part=number, more=more, replace=replace)


def work(
    imports: Importing,
    store: GalleryStore,
    request: Import,
    arriving: list[StoredPerson],
    uid: int,
    now: float,
) -> Answer:
    return done(imports.execute(admission(store), request, tuple(arriving), uid=uid, now=now))


def test_an_import_whose_client_has_gone_is_forgotten_and_cleared_away_in_steps(store: GalleryStore) -> None:
    imports, late = Importing(), importing.PATIENCE_SECONDS + 1
    work(imports, store, part(0), people(20), uid=5, now=0.0)
    imports.tidy(store, 1.0)
    assert rows_of(store) == 20
    steps = [rows_of(store)]
    while steps[-1]:
        imports.tidy(store, late)
        steps.append(rows_of(store))
    assert steps == [20, 12, 4, 0]
    with pytest.raises(InputError, match="no import under way"):
        work(imports, store, part(1, more=False), people(1, first=30), uid=5, now=late)
    assert store.people() == []


def test_another_user_cannot_break_into_an_import_nor_begin_one_beside_it(store: GalleryStore) -> None:
    imports = Importing()
    work(imports, store, part(0), people(2), uid=5, now=0.0)
    for request in (part(1, more=False), part(0, token="cd" * 16)):
        with pytest.raises(InputError):
            work(imports, store, request, people(1, first=9), uid=6, now=1.0)
    assert work(imports, store, part(1, more=False), people(1, first=9), uid=5, now=2.0).reply["count"] == 3
    assert len(store.people()) == 3


def test_while_a_part_is_worked_on_nobody_begins_another_and_nothing_is_cleared(store: GalleryStore) -> None:
    """A slow board takes longer than an import is waited for."""
    imports = Importing()
    working = imports.execute(admission(store), part(0, more=False), tuple(people(5)), uid=5, now=0.0)
    for _ in range(4):
        next(working)
    late = importing.PATIENCE_SECONDS + 1
    imports.tidy(store, late)
    for request in (part(0), part(1)):
        with pytest.raises(InputError):
            work(imports, store, request, people(1, first=9), uid=5, now=late)
    assert done(working).reply["count"] == 5


def test_an_import_compares_newcomers_with_those_of_earlier_parts(store: GalleryStore) -> None:
    imports = Importing()
    work(imports, store, part(0), people(2), uid=5, now=0.0)
    twin = replace(people(1)[0], name="Twin")
    with pytest.raises(AdmissionError, match="Twin: this face is already enrolled as person 1"):
        work(imports, store, part(1, more=False), [twin], uid=5, now=1.0)
    assert store.people() == []
    imports.tidy(store, 2.0)
    assert rows_of(store) == 0


def test_what_a_crash_left_of_an_import_is_cleared_after_the_start(store: GalleryStore) -> None:
    work(Importing(), store, part(0), people(3), uid=5, now=0.0)
    assert store.people() == []
    Importing().tidy(store, 0.0)
    assert rows_of(store) == 0


def test_replacing_in_parts_takes_the_old_ones_away_at_the_end(store: GalleryStore) -> None:
    imports = Importing()
    store.restore(people(2))
    work(imports, store, part(0, replace=True), people(1, references=3), uid=5, now=0.0)
    assert [record.references for record in store.people()] == [1, 1]
    answer = work(
        imports, store, part(1, replace=True, more=False), people(1, references=3, first=2), uid=5, now=0.0
    )
    assert answer.reply["replaced"] == ["person 1", "person 2"]
    assert [(record.person.id, record.references) for record in store.people()] == [(3, 3), (4, 3)]


def test_a_gallery_takes_no_more_than_its_limit(store: GalleryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits is counted."""
    monkeypatch.setattr("facelatch.gallery.rows.MAX_ALL_REFERENCES", 5)
    imports = Importing()
    work(imports, store, part(0), people(1, references=3), uid=5, now=0.0)
    with pytest.raises(InputError, match="over the limit of 5"):
        work(imports, store, part(1, more=False), people(1, references=3, first=2), uid=5, now=0.0)
    assert store.people() == []


def test_a_file_may_not_hold_more_than_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    file = pack(people(4))
    for limits in (export.Limits(3, 99, 10_000), export.Limits(99, 3, 10_000), export.Limits(99, 99, 100)):
        with pytest.raises(InputError):
            unpack(file, limits)


def test_nobody_is_recognised_by_half_of_the_images(store: GalleryStore) -> None:
    """One of two that is embedded already would be all there is to compare with."""
    verifier = FakeVerifier()
    store.restore(people(2, references=2))
    store.load(verifier.model_sha256, verifier.embed)
    with store.transaction() as connection:
        connection.execute("DELETE FROM embeddings WHERE reference_id = 3")
    assert store.loaded(verifier.model_sha256).owners == (1, 1)
    assert store.load(verifier.model_sha256, verifier.embed).owners == (1, 1, 2, 2)


MODELS = ("aa" * 32, "bb" * 32)
DEEDS = ("restore", "enrol", "remove", "replace pictures", "load", "look", "stage", "admit")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(DEEDS), st.integers(0, 4)),
        st.tuples(st.just("model"), st.integers(0, 1)),
    ),
    max_size=25,
)


@settings(max_examples=100)
@given(STEPS)
@example([("enrol", 0), ("look", 0), ("remove", 0), ("enrol", 1)])
@example([("enrol", 0), ("look", 0), ("replace pictures", 0), ("load", 2), ("look", 0)])
@example([("stage", 0), ("look", 0), ("admit", 0), ("look", 0)])
def test_what_is_kept_in_memory_is_always_what_is_on_disk(steps: list[tuple[str, int]]) -> None:
    """SQLite gives the id of a removed picture to the next one: nobody may have the embedding of somebody removed."""
    model, serial = MODELS[0], itertools.count(1)

    def embed(crop: np.ndarray) -> np.ndarray:
        return crop[1, 1].astype(np.float32) + MODELS.index(model)

    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as name,
        GalleryStore.open(Path(name) / "state") as store,
    ):
        for step, number in steps:
            (stored,) = people(1, references=1 + number % 3, first=next(serial))
            stored = replace(stored, name=f"person {number}")
            seen = [decode_png(one.crop_png) for one in stored.references]
            newcomer = NewPerson(stored.name, False, tuple(Reference(crop, embed(crop)) for crop in seen))
            terms = Terms(maker(model), Clash.RENAME, knowingly=True)
            with suppress(InputError):
                match step:
                    case "model":
                        model = MODELS[number]
                    case "look":
                        same_as_fresh(store, model)
                    case "load":
                        store.load(model, embed)
                    case "stage":
                        staging.stage(store, TOKEN, newcomer, terms)
                    case "admit":
                        staging.admit(store, TOKEN, terms)
                    case "replace pictures":
                        person = store.find(stored.name)
                        store.change_references(person, newcomer.references, model, replace=True)
                    case "enrol":
                        store.add(newcomer, model, knowingly=True)
                    case "remove":
                        store.remove(stored.name)
                    case "restore" if stored.name not in {one.person.name for one in store.people()}:
                        store.restore([stored])
        same_as_fresh(store, model)


def same_as_fresh(store: GalleryStore, model: str) -> None:
    remembered = store.loaded(model)
    store._stack._made_by = ""  # forgets everything
    store._stack._new.clear()
    fresh = store.loaded(model)
    assert remembered.owners == fresh.owners
    np.testing.assert_array_equal(remembered.embeddings, fresh.embeddings)
    assert remembered.people == fresh.people


def test_a_refused_command_ends_with_code_12_and_a_way_out(
    served: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("facelatch.api.rights.ALL", frozenset({"status"}))
    door = served()
    with pytest.raises(NotAllowedError):
        list(asking.exported(door.config))
    config = tmp_path / "facelatch.toml"
    config.write_text(f'[control]\nsocket = "{door.socket}"\n')
    file = tmp_path / "people.facelatch"
    file.write_bytes(pack(people(1)))
    for words in (["remove", "Anna", "--yes"], ["import", str(file)], ["export", str(tmp_path / "new"), "--plain"]):
        monkeypatch.setattr(sys, "argv", ["facelatch", "--config", str(config), "people", *words])
        with pytest.raises(SystemExit) as leaving:
            main()
        assert leaving.value.code == 12
        assert "hint: ask as root (sudo)" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    door.close()
    assert kinds(door) == 3 * [EventKind.CONTROL_REFUSED]  # export was tried twice


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "a\u202eb", "\x07"])
def test_a_name_that_could_write_on_a_terminal_is_refused_in_plain_words(served: Start, name: str) -> None:
    door = served()
    for request in (
        {"action": "show", "name": name},
        {"action": "rename", "name": "Anna", "new_name": name},
        {"action": "enroll", "name": name},
        {"action": "judge", "person": name},
        {"action": "export", "names": [name]},
        {"action": name},
        {"action": "status", name: 1},
    ):
        with pytest.raises(InputError) as caught:
            door.client.ask(request, png(ANNA) if request["action"] == "judge" else None)
        assert (str(caught.value) + caught.value.hint).isprintable()


def test_random_requests_of_many_clients_at_once_leave_the_door_serving(served: Start) -> None:
    """Busy or served, never silent; the gallery is as it was."""
    door = served()
    dice = random.Random(1)

    def bother(seed: int) -> None:
        own = random.Random(seed)
        for _ in range(10):
            message = {
                "action": own.choice(["list", "show", "export", "import", "judge", "x"]),
                "name": "Anna",
            }
            with suppress(InputError, ControlError):
                ControlClient(door.socket).ask(
                    {key: message[key] for key in own.sample(sorted(message), own.randint(0, 2))},
                    own.choice([None, b"", own.randbytes(2_000)]),
                )

    threads = [threading.Thread(target=bother, args=(dice.random(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asking.listed(door.config)) == 2


def test_the_export_file_written_one_by_one_is_the_one_made_at_once() -> None:
    stream = io.BytesIO()
    assert write_export(stream, iter(people(7))) == 7
    assert stream.getvalue() == pack(people(7))
    assert json.dumps(export.count_people(io.BytesIO(stream.getvalue()))) == "7"
