"""Requests about people, and the export file they carry."""

from __future__ import annotations

import base64
import io
import json
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facelatch.adapters.fakes import FakeFinder, FakeVerifier
from facelatch.api import people, records, requests
from facelatch.api.admission import Admission
from facelatch.api.answer import Answer, done
from facelatch.api.intake import content
from facelatch.api.parsing import people_request
from facelatch.api.requests import ACTIONS
from facelatch.api.rights import ALL, Asker
from facelatch.audit.events import EventKind
from facelatch.config.line import QualityConfig
from facelatch.errors import AdmissionError, FacelatchError, InputError
from facelatch.gallery.export import MANIFEST, unpack
from facelatch.gallery.store import GalleryStore
from facelatch.line.admission import Judge
from facelatch.line.pipeline import Line
from facelatch.line.search import Pace
from facelatch.private_files import write_private_file
from facelatch.values.observations import Thresholds
from facelatch.values.pictures import Pose
from facelatch.values.records import NewPerson, Reference
from facelatch.vision.png import decode_png, encode_png
from facelatch.vision.references import embed_reference

VERIFIER = FakeVerifier()
MODEL = VERIFIER.model_sha256
LINE = Line(
    finder=FakeFinder(),
    verifier=VERIFIER,
    quality=QualityConfig(),
    thresholds=Thresholds(detection=0.5, verification=0.6, ambiguity_margin=0.2),
    similar_size_ratio=0.6,
    pace=Pace(),
)


def reference(seed: int) -> Reference:
    """Noise about a colour, which the fake verifier takes for the person: 1 and 2 are one, all others others."""
    person, random = {2: 1}.get(seed, seed), np.random.default_rng(seed)
    colour = np.random.default_rng(1000 + person).integers(40, 216, 3)
    crop = np.clip(colour + random.integers(-30, 31, (112, 112, 3)), 0, 255).astype(np.uint8)
    return Reference(crop, embed_reference(VERIFIER.embed, crop), Pose(0.125, -0.25, seed))


def add(store: GalleryStore, name: str, *seeds: int, admin: bool = False) -> None:
    store.add(NewPerson(name, admin, tuple(map(reference, seeds))), MODEL)


def admission(store: GalleryStore, line: Line = LINE) -> Admission:
    return Admission(
        store=store,
        judge=lambda: Judge(line, 0.25),
        gallery=lambda: store.load(MODEL, VERIFIER.embed),
        references=8,
    )


def names(store: GalleryStore) -> list[str]:
    return [record.person.name for record in store.people()]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GalleryStore]:
    with GalleryStore.open(tmp_path / "state") as opened:
        add(opened, "Anna", 1, 2, admin=True)
        add(opened, "Ben", 3)
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[GalleryStore]:
    with GalleryStore.open(tmp_path / "other") as opened:
        yield opened


def execute(store: GalleryStore, message: dict[str, Any], line: Line = LINE) -> Answer:
    request = people_request(message)
    if isinstance(request, requests.RecordRequest):
        asker = Asker(uid=0, pid=1, rights=ALL)
        return done(records.execute(records.Records(store, None), request, asker))
    return people.execute(admission(store, line), request, content(request, None))


def ask(store: GalleryStore, action: str, **fields: Any) -> Answer:
    """Executes a request as it arrives from a client: through JSON and back."""
    answer = execute(store, json.loads(json.dumps({"action": action, **fields})))
    json.dumps(answer.reply)
    return answer


# Requests


def test_list_shows_everybody_and_changes_nothing(store: GalleryStore) -> None:
    answer = ask(store, "list")
    rows = [(row["id"], row["name"], row["admin"], row["references"]) for row in answer.reply["people"]]
    assert rows == [(1, "Anna", True, 2), (2, "Ben", False, 1)]
    assert not answer.gallery_changed
    assert not answer.events


def test_show_tells_the_pose_of_each_reference_but_no_picture(store: GalleryStore) -> None:
    person = ask(store, "show", name="anna").reply["person"]
    assert person["poses"] == [{"yaw": 0.125, "pitch": -0.25, "roll": roll} for roll in (1.0, 2.0)]
    assert set(person) == {"id", "name", "admin", "references", "created", "access", "poses"}


@pytest.mark.parametrize(
    ("action", "fields", "reply", "kind"),
    [
        (
            "rename",
            {"name": "ben", "new_name": "Benno"},
            {"name": "Benno", "old_name": "ben"},
            EventKind.PERSON_RENAMED,
        ),
        ("remove", {"name": "ben"}, {"name": "Ben", "wiped": True}, EventKind.PERSON_REMOVED),
        ("admin", {"name": "ben", "admin": True}, {"name": "Ben", "admin": True}, EventKind.ADMIN_CHANGED),
    ],
)
def test_a_change_is_answered_reported_and_audited(
    store: GalleryStore, action: str, fields: dict[str, Any], reply: dict[str, Any], kind: EventKind
) -> None:
    answer = ask(store, action, **fields)
    assert answer.reply == reply
    assert answer.gallery_changed
    first, *others = answer.events
    assert (first.kind, first.fields["PERSON"], first.fields["PERSON_ID"]) == (kind, reply["name"], 2)
    assert [event.kind for event in others] == [EventKind.GALLERY_WIPED] * (action == "remove")


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"action": None},
        {"action": "explode"},
        {"action": "show"},
        {"action": "show", "name": 7},
        {"action": "list", "name": "Anna"},
        {"action": "admin", "name": "Anna", "admin": "yes"},
        {"action": "admin", "name": "Anna", "admin": 1},
        {"action": "export", "names": []},
        {"action": "import", "payload": "not base64!"},
        {"action": "import", "payload": "é"},
        {"action": "import", "payload": ""},
        {"action": "import", "payload": "AAAA", "replace": True, "rename": True},
        {"action": "remove", "name": "Nobody"},
        {"action": "rename", "name": "Anna", "new_name": "Ben"},
        {"action": "rename", "name": "Anna", "new_name": "a/b"},
    ],
)
def test_a_request_that_cannot_be_is_refused_and_changes_nothing(
    store: GalleryStore, request_: dict[str, Any]
) -> None:
    before = store.export()
    with pytest.raises(InputError):
        execute(store, request_)
    assert store.export() == before


def test_a_refused_import_does_not_repeat_its_payload(store: GalleryStore) -> None:
    with pytest.raises(InputError) as caught:
        people_request({"action": "import", "payload": "c2VjcmV0", "extra": "c2VjcmV0"})
    assert "c2VjcmV0" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
REQUESTS = st.dictionaries(
    st.sampled_from(["name", "new_name", "admin", "names", "payload", "replace", "rename", "file"])
    | st.text(max_size=5),
    JSON | st.sampled_from(["Anna", "Ben", "Carl"]),
    max_size=4,
).flatmap(
    lambda fields: st.builds(
        lambda action: {"action": action, **fields}, st.sampled_from(ACTIONS) | JSON
    )
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request_=REQUESTS)
def test_any_request_is_answered_or_refused(store: GalleryStore, request_: dict[str, Any]) -> None:
    try:
        answer = execute(store, request_)
    except FacelatchError:
        return
    json.dumps(answer.reply)


# Export and import


def exported(store: GalleryStore, **fields: Any) -> str:
    return base64.b64encode(store.export(**fields)).decode()


def test_export_and_import_carry_people_crops_and_rights(store: GalleryStore, other: GalleryStore) -> None:
    answer = ask(store, "export", file="/tmp/people.zip")
    assert answer.reply["count"] == 2
    assert answer.given is not None
    assert (answer.given.kind, answer.given.fields) == (EventKind.GALLERY_EXPORTED, {"COUNT": 2})
    arrived = ask(other, "import", payload=answer.reply["payload"], keep_admins=True)
    assert arrived.reply == {
        "count": 2,
        "names": ["Anna", "Ben"],
        "replaced": [],
        "skipped": [],
        "admins": [],
        "warnings": [],
        "wiped": True,
    }
    assert arrived.gallery_changed
    assert [event.kind for event in arrived.events] == [EventKind.GALLERY_IMPORTED] + 2 * [EventKind.PERSON_ADDED]
    assert [event.fields["ADMIN"] for event in arrived.events[1:]] == ["yes", "no"]
    crops: list[np.ndarray] = []
    gallery = other.load("another", lambda crop: crops.append(crop) or np.ones(4, np.float32))
    np.testing.assert_array_equal(crops[::2], [reference(seed).crop for seed in (1, 2, 3)])
    assert gallery.owners == (1, 1, 2)
    assert gallery.people[1].admin
    assert other.export() == store.export(), "the same people make the same file"


def test_only_those_named_are_exported(store: GalleryStore, other: GalleryStore) -> None:
    assert ask(store, "export", names=["ben", "BEN"]).reply["count"] == 1
    ask(other, "import", payload=exported(store, names=["ben"]))
    assert names(other) == ["Ben"]
    with pytest.raises(InputError, match="nobody is called"):
        exported(store, names=["Anna", "Carl"])


def test_a_name_that_is_taken_refuses_the_whole_import(store: GalleryStore, other: GalleryStore) -> None:
    add(other, "BEN", 9)
    with pytest.raises(InputError, match="taken by 'BEN'"):
        ask(other, "import", payload=exported(store))
    assert names(other) == ["BEN"]


def test_replacing_removes_the_old_person_under_a_new_id(store: GalleryStore, other: GalleryStore) -> None:
    add(other, "BEN", 9)
    answer = ask(other, "import", payload=exported(store), replace=True)
    assert answer.reply["replaced"] == ["BEN"]
    assert [event.kind for event in answer.events] == [
        EventKind.GALLERY_IMPORTED,
        EventKind.PERSON_REMOVED,
        EventKind.GALLERY_WIPED,
        EventKind.PERSON_ADDED,
        EventKind.PERSON_ADDED,
    ]
    assert [(record.person.id, record.person.name) for record in other.people()] == [(2, "Anna"), (3, "Ben")]


def test_renaming_numbers_the_newcomers(store: GalleryStore) -> None:
    payload = exported(store)
    for number in (2, 3):
        answer = ask(store, "import", payload=payload, rename=True, force=True)
        assert answer.reply["names"] == [f"Anna {number}", f"Ben {number}"]


def test_a_long_name_is_shortened_to_be_numbered(store: GalleryStore) -> None:
    add(store, "x" * 64, 5)
    answer = ask(store, "import", payload=exported(store, names=["x" * 64]), rename=True, force=True)
    assert answer.reply["names"] == ["x" * 62 + " 2"]


# Who is admitted


def many(person: int, count: int) -> list[Reference]:
    """Different pictures of one person: the same colour, other noise."""
    found = []
    for number in range(count):
        noise = np.random.default_rng(100 * person + number).integers(-20, 21, (112, 112, 3))
        crop = np.clip(reference(person).crop.mean(axis=(0, 1)) + noise, 0, 255).astype(np.uint8)
        found.append(Reference(crop, embed_reference(VERIFIER.embed, crop), Pose(number / 10, 0.0, 0.0)))
    return found


def sent(references: list[Reference]) -> list[dict[str, Any]]:
    return [
        {"crop": base64.b64encode(encode_png(one.crop)).decode(), "yaw": one.pose.yaw, "pitch": 0.0, "roll": 0.0}
        for one in references
    ]


def test_a_picture_of_somebody_else_is_left_out_and_named(store: GalleryStore) -> None:
    """By its number, in the answer and in the audit."""
    given = [*many(4, 3), *many(5, 1), *many(4, 5)[3:]]
    answer = ask(store, "enroll_pictures", name="Dora", pictures=sent(given))
    assert answer.reply["references"] == 5
    (left,) = answer.reply["left_out"]
    assert left["picture"] == 4
    assert [event.kind for event in answer.events] == [EventKind.ENROLMENT_SAVED, EventKind.ENROLMENT_LEFT_OUT]
    assert "picture 4" in str(answer.events[1].fields["HINT"])


@pytest.mark.parametrize("counts", [(4, 4), (2, 2), (1, 1)])
def test_pictures_of_two_people_are_refused(store: GalleryStore, counts: tuple[int, int]) -> None:
    """Nobody can tell who was meant, and both would open the door."""
    given = sent([*many(4, counts[0]), *many(5, counts[1])])
    with pytest.raises(AdmissionError, match="not of one person"):
        ask(store, "enroll_pictures", name="Dora", pictures=given)
    assert names(store) == ["Anna", "Ben"]


def test_a_copy_of_a_picture_has_no_vote(store: GalleryStore) -> None:
    """One picture five times is one picture."""
    given = [*many(4, 1) * 5, *many(5, 3)]
    answer = ask(store, "enroll_pictures", name="Eve", pictures=sent(given))
    assert answer.reply["references"] == 3
    assert [one["picture"] for one in answer.reply["left_out"]] == [1, 2, 3, 4, 5]


def test_a_face_that_is_enrolled_under_another_name_is_refused_and_may_be_taken_knowingly(store: GalleryStore) -> None:
    """Two names for one face are a tie, which opens for nobody: whoever forces it is told."""
    given = sent(many(1, 4))
    with pytest.raises(AdmissionError, match="already enrolled as Anna") as caught:
        ask(store, "enroll_pictures", name="Twin", pictures=given)
    assert "--add" in caught.value.hint
    answer = ask(store, "enroll_pictures", name="Twin", pictures=given, force=True)
    assert "a tie opens for neither" in answer.reply["warnings"][0]
    assert EventKind.ENROLMENT_LOOKALIKE in [event.kind for event in answer.events]


def test_the_tests_of_the_line_are_asked_of_every_set(store: GalleryStore) -> None:
    """Such as one against a cohort: its words reach whoever asked, and nothing is saved."""
    shapes: list[tuple[int, ...]] = []
    line = replace(LINE, set_tests=(lambda found: shapes.append(found.shape), lambda _found: "take off the mask"))
    request = {"action": "enroll_pictures", "name": "Dora", "pictures": sent(many(4, 3))}
    with pytest.raises(AdmissionError, match="take off the mask"):
        execute(store, request, line)
    assert shapes == [(3, 3)]
    assert names(store) == ["Anna", "Ben"]


def test_more_pictures_of_somebody_must_be_of_the_same_person(store: GalleryStore) -> None:
    """Id, name and rights stay; a stranger's pictures are refused, a single one among them is left out."""
    given = [*many(1, 3), *many(5, 1)]
    answer = ask(store, "enroll_pictures", name="anna", add=True, pictures=sent(given))
    assert (answer.reply["name"], answer.reply["references"]) == ("Anna", 5)
    assert [one["picture"] for one in answer.reply["left_out"]] == [4]
    assert answer.events[0].kind is EventKind.REFERENCES_CHANGED
    with pytest.raises(AdmissionError, match="do not look like Anna"):
        ask(store, "enroll_pictures", name="anna", add=True, pictures=sent(many(5, 4)))
    found = [(one.person.id, one.person.admin, one.references) for one in store.people()]
    assert found == [(1, True, 5), (2, False, 1)]


def test_other_pictures_in_place_of_somebodys(store: GalleryStore) -> None:
    """Of the same face; of another one only knowingly, or a name with its rights could be given to anybody."""
    answer = ask(store, "enroll_pictures", name="Anna", replace=True, pictures=sent(many(1, 3)))
    assert answer.reply["references"] == 3
    assert answer.events[-1].kind is EventKind.GALLERY_WIPED
    with pytest.raises(AdmissionError, match="would replace"):
        ask(store, "enroll_pictures", name="Anna", replace=True, pictures=sent(many(5, 3)))
    ask(store, "enroll_pictures", name="Anna", replace=True, force=True, pictures=sent(many(5, 3)))
    assert store.people()[0].references == 3
    with pytest.raises(InputError, match="nobody is called"):
        ask(store, "enroll_pictures", name="Zoe", add=True, pictures=sent(many(4, 3)))


def test_too_many_pictures_of_one_person_are_refused(store: GalleryStore) -> None:
    """Each costs time at every visit."""
    for _ in range(7):
        ask(store, "enroll_pictures", name="Anna", add=True, pictures=sent(many(1, 8)))
    with pytest.raises(InputError, match="at most 64"):
        ask(store, "enroll_pictures", name="Anna", add=True, pictures=sent(many(1, 8)))
    assert store.people()[0].references == 58


def test_an_import_brings_no_admins_unless_asked(store: GalleryStore, other: GalleryStore) -> None:
    """Whoever may authorise elsewhere may not do so here; the answer names them."""
    answer = ask(other, "import", payload=exported(store))
    assert answer.reply["admins"] == ["Anna"]
    assert not any(record.person.admin for record in other.people())


def test_an_import_is_judged_as_any_enrolment_is(store: GalleryStore, other: GalleryStore) -> None:
    """A face that is there under another name refuses all, or is left out, or is taken knowingly."""
    add(other, "Benedict", 3)
    with pytest.raises(AdmissionError, match=r"1 of 2 people refused.*Ben: this face is already enrolled as Benedict"):
        ask(other, "import", payload=exported(store))
    assert names(other) == ["Benedict"]
    answer = ask(other, "import", payload=exported(store), skip=True)
    assert [one["name"] for one in answer.reply["skipped"]] == ["Ben"]
    assert names(other) == ["Benedict", "Anna"]
    answer = ask(other, "import", payload=exported(store, names=["Ben"]), force=True)
    assert names(other) == ["Benedict", "Anna", "Ben"]
    assert "Benedict" in answer.reply["warnings"][0]


def test_one_face_twice_in_an_export_file_is_seen(store: GalleryStore, other: GalleryStore) -> None:
    """The people of a file are compared with each other, too; the first of the two is not at fault."""
    add(store, "Benedict", 3)
    with pytest.raises(AdmissionError, match=r"1 of 3 people refused.*Benedict: this face is already enrolled as Ben"):
        ask(other, "import", payload=exported(store))


def test_people_of_two_faces_are_not_imported(store: GalleryStore, other: GalleryStore) -> None:
    """Such a folder may have come in before the rule."""
    add(store, "Both", 4, 4, 5, 5)
    with pytest.raises(AdmissionError, match="Both: the pictures are not of one person"):
        ask(other, "import", payload=exported(store))


def test_an_import_that_replaces_compares_with_those_who_stay(store: GalleryStore) -> None:
    """Nobody is a duplicate of whom they replace."""
    assert ask(store, "import", payload=exported(store), replace=True).reply["replaced"] == ["Anna", "Ben"]


def rewritten(data: bytes, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> bytes:
    """An export file with its manifest and pictures changed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop(MANIFEST))
    change(manifest, files)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, json.dumps(manifest))
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def first(files: dict[str, bytes]) -> str:
    return min(files)


WRONG: dict[str, tuple[Callable[[dict[str, Any], dict[str, bytes]], Any], str]] = {
    "another format": (lambda m, f: m.update(format="contacts"), "format"),
    "a newer version": (lambda m, f: m.update(version=2), "version"),
    "another alignment": (lambda m, f: m.update(align_version=99), "alignment 99"),
    "an unknown key": (lambda m, f: m.update(door="open"), "door"),
    "a name that is none": (lambda m, f: m["people"][0].update(name="../x"), "slash"),
    "one name twice": (lambda m, f: m["people"][0].update(name="BEN"), "occurs twice"),
    "one picture for two": (
        lambda m, f: m["people"][0]["references"][1].update(file=m["people"][0]["references"][0]["file"]),
        "a picture occurs twice",
    ),
    "nobody's reference": (lambda m, f: m["people"][0].update(references=[]), "references"),
    "a missing picture": (lambda m, f: f.pop(first(f)), "no item named"),
    "text for a picture": (lambda m, f: f.update({first(f): b"hello"}), "not a whole 112 x 112"),
    "half a picture": (lambda m, f: f.update({first(f): f[first(f)][:9000]}), "not a whole 112 x 112"),
    "a huge picture": (lambda m, f: f.update({first(f): bytes(10_000_000)}), "larger than"),
    "a picture of another size": (lambda m, f: f.update({first(f): png_of(64)}), "not a whole 112 x 112"),
    "an impossible pose": (lambda m, f: m["people"][0]["references"][0].update(yaw=1e9), "yaw"),
}


def png_of(size: int) -> bytes:
    return bytes(cv2.imencode(".png", np.zeros((size, size, 3), np.uint8))[1])


@pytest.mark.parametrize("case", WRONG)
def test_an_export_file_with_a_fault_is_refused_whole(
    case: str, store: GalleryStore, other: GalleryStore
) -> None:
    change, words = WRONG[case]
    payload = base64.b64encode(rewritten(store.export(), change)).decode()
    with pytest.raises(InputError, match=words):
        ask(other, "import", payload=payload)
    assert names(other) == []


def test_an_unchanged_file_compressed_anew_is_taken(store: GalleryStore, other: GalleryStore) -> None:
    payload = base64.b64encode(rewritten(store.export(), lambda m, f: None)).decode()
    assert ask(other, "import", payload=payload).reply["count"] == 2


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_any_bytes_changed_or_cut_is_the_same_or_refused(
    store: GalleryStore, data: st.DataObject
) -> None:
    whole = store.export(["Ben"])
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        # Mostly at the ends, where headers, manifest and directory are.
        near_end = st.integers(max(0, len(whole) - 1200), len(whole) - 1)
        position = data.draw(st.integers(0, 120) | near_end | st.integers(0, len(whole) - 1))
        broken[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(whole), len(whole) - 1, len(whole) // 2, 0]))
    try:
        (person,) = unpack(bytes(broken[:cut]))
    except InputError:
        return
    np.testing.assert_array_equal(decode_png(person.references[0].crop_png), reference(3).crop)


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_import(data: bytes) -> None:
    with pytest.raises(InputError):
        unpack(data)


def test_the_export_file_is_private_and_replaces_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "people.zip"
    file.write_text("old")
    file.chmod(0o644)
    write_private_file(file, b"new")
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(InputError, match="No such file"):
        write_private_file(tmp_path / "nowhere" / "people.zip", b"new")


# Crops


def test_a_crop_survives_png_bit_for_bit() -> None:
    crop = reference(1).crop
    np.testing.assert_array_equal(decode_png(encode_png(crop)), crop)


@given(st.data())
def test_a_png_with_any_byte_changed_is_the_same_crop_or_refused(data: st.DataObject) -> None:
    crop = reference(2).crop
    png = bytearray(encode_png(crop))
    png[data.draw(st.integers(0, len(png) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InputError):
        decode_png(bytes(png))


def test_pictures_and_imports_prove_no_living_face(store: GalleryStore, other: GalleryStore) -> None:
    """The audit says so, and a door may refuse both."""
    saved = ask(store, "enroll_pictures", name="Dora", pictures=sent(many(4, 3))).events[0]
    assert saved.fields["LIVENESS"] == "unproven"
    payload = ask(store, "export", names=["Dora"]).reply["payload"]
    added = [one for one in ask(other, "import", payload=payload).events if one.kind is EventKind.PERSON_ADDED]
    assert [one.fields["LIVENESS"] for one in added] == ["unproven"]
    strict = replace(admission(other), pictures=False)
    for message in (
        {"action": "import", "payload": payload, "rename": True},
        {"action": "enroll_pictures", "name": "Eve", "pictures": sent(many(5, 3))},
    ):
        request = people_request(message)
        with pytest.raises(InputError, match="takes no pictures"):
            people.execute(strict, request, content(request, None))
    assert names(other) == ["Dora"]
