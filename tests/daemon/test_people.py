"""Requests about people, and the export file they carry."""

from __future__ import annotations

import base64
import io
import json
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facelatch.api import people
from facelatch.api.answer import Answer
from facelatch.api.intake import content
from facelatch.api.requests import ACTIONS, people_request
from facelatch.audit.events import EventKind
from facelatch.errors import FacelatchError, InputError
from facelatch.gallery.export import MANIFEST, unpack
from facelatch.gallery.store import GalleryStore
from facelatch.private_files import write_private_file
from facelatch.values.pictures import Pose
from facelatch.values.records import NewPerson, Reference
from facelatch.vision.png import decode_png, encode_png

MODEL = "a" * 64


def reference(seed: int) -> Reference:
    random = np.random.default_rng(seed)
    crop = random.integers(0, 256, (112, 112, 3), dtype=np.uint8)
    return Reference(crop, random.random(16, dtype=np.float32), Pose(0.125, -0.25, seed))


def add(store: GalleryStore, name: str, *seeds: int, admin: bool = False) -> None:
    store.add(
        NewPerson(name, admin, tuple(map(reference, seeds))), MODEL, lambda _crop: np.ones(16, np.float32)
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


def execute(store: GalleryStore, message: dict[str, Any]) -> Answer:
    request = people_request(message)
    return people.execute(store, request, content(request, None))


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
    assert set(person) == {"id", "name", "admin", "references", "created", "poses"}


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
    assert [(event.kind, event.fields["PERSON"], event.fields["PERSON_ID"]) for event in answer.events] == [
        (kind, reply["name"], 2)
    ]


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
    return str(ask(store, "export", **fields).reply["payload"])


def test_export_and_import_carry_people_crops_and_rights(store: GalleryStore, other: GalleryStore) -> None:
    answer = ask(store, "export", file="/tmp/people.zip")
    assert answer.reply["count"] == 2
    assert [(e.kind, e.fields) for e in answer.events] == [(EventKind.GALLERY_EXPORTED, {"COUNT": 2})]
    arrived = ask(other, "import", payload=answer.reply["payload"])
    assert arrived.reply == {"count": 2, "names": ["Anna", "Ben"], "replaced": [], "wiped": True}
    assert arrived.gallery_changed
    assert [event.kind for event in arrived.events] == [EventKind.GALLERY_IMPORTED] + 2 * [EventKind.PERSON_ADDED]
    assert [event.fields["ADMIN"] for event in arrived.events[1:]] == ["yes", "no"]
    crops: list[np.ndarray] = []
    gallery = other.load(MODEL, lambda crop: crops.append(crop) or np.zeros(4, np.float32))
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
    assert [event.kind for event in answer.events[:2]] == [EventKind.GALLERY_IMPORTED, EventKind.PERSON_REMOVED]
    assert [(record.person.id, record.person.name) for record in other.people()] == [(2, "Anna"), (3, "Ben")]


def test_renaming_numbers_the_newcomers(store: GalleryStore) -> None:
    payload = exported(store)
    assert ask(store, "import", payload=payload, rename=True).reply["names"] == ["Anna 2", "Ben 2"]
    assert ask(store, "import", payload=payload, rename=True).reply["names"] == ["Anna 3", "Ben 3"]


def test_a_long_name_is_shortened_to_be_numbered(store: GalleryStore) -> None:
    add(store, "x" * 64, 5)
    answer = ask(store, "import", payload=exported(store, names=["x" * 64]), rename=True)
    assert answer.reply["names"] == ["x" * 62 + " 2"]


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
