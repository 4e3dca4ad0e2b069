"""The gallery: what is kept, for whom, and what happens when the file or the place is not as it should be."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import stat
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.errors import AlreadyRunningError, GalleryError, InputError
from facelatch.gallery import embeddings, rows, schema, wiping
from facelatch.gallery.export import StoredReference
from facelatch.gallery.names import MAX_LENGTH, clean_name, name_key
from facelatch.gallery.saving import Clash
from facelatch.gallery.store import FILE_NAME, GalleryStore
from facelatch.values.pictures import Pose
from facelatch.values.records import NewPerson, Person, Reference, Throttle
from facelatch.vision.references import embed_reference

MODEL, OTHER_MODEL = "a" * 64, "b" * 64
AS_ROOT = os.geteuid() == 0


def new_person(name: str | None, *, count: int = 2, seed: int = 0, admin: bool = False) -> NewPerson:
    """An enrolment with crops of noise, which no compression shrinks and no other file contains."""
    random = np.random.default_rng(seed)
    crops = [random.integers(0, 256, (112, 112, 3), dtype=np.uint8) for _ in range(count)]
    references = tuple(
        Reference(crop, embed_reference(embed_by_bands, crop), Pose(0.25, -0.5, 3.0)) for crop in crops
    )
    return NewPerson(name, admin, references)


def embed_by_bands(crop: np.ndarray) -> np.ndarray:
    return crop.reshape(112, 8, 14, 3).mean(axis=(0, 2, 3), dtype=np.float32)


def as_kept(person: NewPerson) -> list[np.ndarray]:
    return [embed_reference(embed_by_bands, reference.crop) for reference in person.references]


def names(store: GalleryStore) -> list[str]:
    return [record.person.name for record in store.people()]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(home: Path) -> Iterator[GalleryStore]:
    with GalleryStore.open(home) as opened:
        yield opened


# Keeping people


def test_a_person_is_there_after_reopening_with_crops_and_embeddings_unchanged(home: Path) -> None:
    given_person = new_person("Anna", admin=True)
    with GalleryStore.open(home) as store:
        saved = store.add(given_person, MODEL)
    with GalleryStore.open(home) as store:
        gallery = store.load(MODEL, embed_by_bands)
        assert store.reembedded == 0
        assert gallery.people == {saved.id: saved}
        assert saved.name == "Anna"
        assert saved.admin
        assert gallery.owners == (saved.id, saved.id)
        np.testing.assert_array_equal(gallery.embeddings, as_kept(given_person))
        seen: list[np.ndarray] = []
        store.load(OTHER_MODEL, lambda crop: seen.append(crop) or embed_by_bands(crop))
        np.testing.assert_array_equal(seen[::2], [r.crop for r in given_person.references])
        np.testing.assert_array_equal(seen[1::2], [r.crop[:, ::-1] for r in given_person.references])


def test_an_empty_gallery_loads_as_nobody(store: GalleryStore) -> None:
    gallery = store.load(MODEL, embed_by_bands)
    assert not gallery.people
    assert gallery.embeddings.shape == (0, 0)
    assert store.throttle() == Throttle()


def test_another_model_gets_its_embeddings_from_the_stored_crops_once(store: GalleryStore) -> None:
    person = new_person("Anna", count=3)
    store.add(person, MODEL)
    gallery = store.load(OTHER_MODEL, embed_by_bands)
    assert store.reembedded == 3
    np.testing.assert_array_equal(gallery.embeddings, as_kept(person))
    store.load(OTHER_MODEL, embed_by_bands)
    assert store.reembedded == 0
    store.load(MODEL, embed_by_bands)
    assert store.reembedded == 3, "the first model's embeddings were kept"


def test_embeddings_that_were_made_of_one_side_are_made_anew(store: GalleryStore) -> None:
    person = new_person("Anna")
    store.add(person, MODEL)
    store._connection.execute("UPDATE embeddings SET made_by = ?, vector = zeroblob(32)", (MODEL,))
    gallery = store.load(MODEL, embed_by_bands)
    assert store.reembedded == 2
    np.testing.assert_array_equal(gallery.embeddings, as_kept(person))


def test_an_embedding_that_fails_leaves_the_old_ones(store: GalleryStore) -> None:
    store.add(new_person("Anna"), MODEL)

    def failing(crop: np.ndarray) -> np.ndarray:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError):
        store.load(OTHER_MODEL, failing)
    store.load(MODEL, failing)


def test_embedding_anew_goes_on_where_it_was_cut_off(
    store: GalleryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand images take longer than a start may: each start must come further than the one before."""
    monkeypatch.setattr(embeddings, "BATCH", 4)
    store.add(new_person("Anna", count=10), MODEL)

    looks: list[np.ndarray] = []

    def stop_at_the_seventh(crop: np.ndarray) -> np.ndarray:
        looks.append(crop)
        if len(looks) == 2 * 7:
            raise KeyboardInterrupt
        return embed_by_bands(crop)

    with pytest.raises(KeyboardInterrupt):
        store.load(OTHER_MODEL, stop_at_the_seventh)
    gallery = store.load(OTHER_MODEL, embed_by_bands)
    assert store.reembedded == 6
    assert gallery.embeddings.shape == (10, 8)


def test_unnamed_people_are_numbered_and_a_removed_number_does_not_come_back(store: GalleryStore) -> None:
    store.add(new_person("person-002"), MODEL)
    given = [store.add(new_person(None), MODEL).name for _ in range(2)]
    assert given == ["person-001", "person-003"]
    gone = store.remove("person-003")
    added = store.add(new_person(None), MODEL)
    assert (added.name, added.id > gone.id) == ("person-004", True)


def test_an_enrolment_with_a_bad_crop_leaves_nothing(store: GalleryStore) -> None:
    good = new_person("Anna").references[0]
    bad = Reference(np.zeros((100, 100, 3), np.uint8), good.embedding)
    for references in ((good, bad), (), (good,) * 65):
        with pytest.raises(InputError):
            store.add(NewPerson("Anna", False, references), MODEL)
        assert names(store) == []


def test_a_name_can_be_had_once_in_whatever_case_and_spelling(store: GalleryStore) -> None:
    store.add(new_person("Zoë"), MODEL)
    for same in ("zoë", "ZOË", " Zoe\u0308 ", "Ｚｏë"):
        with pytest.raises(InputError, match="taken by 'Zoë'"):
            store.add(new_person(same), MODEL)
    assert store.rename("zoë", "ZOË").name == "ZOË"


def test_renaming_keeps_id_and_rights(store: GalleryStore) -> None:
    anna = store.add(new_person("Anna", admin=True), MODEL)
    store.add(new_person("Ben"), MODEL)
    renamed = store.rename("anna", "Änne")
    assert (renamed.id, renamed.name, renamed.admin) == (anna.id, "Änne", True)
    with pytest.raises(InputError, match="taken"):
        store.rename("Änne", "BEN")
    assert names(store) == ["Änne", "Ben"]


def test_the_right_to_authorise_is_given_and_taken(store: GalleryStore) -> None:
    store.add(new_person("Anna"), MODEL)
    assert store.set_admin("Anna", True).admin
    assert store.people()[0].person.admin
    assert not store.set_admin("Anna", False).admin
    assert not store.people()[0].person.admin


def test_an_unknown_name_is_met_with_the_nearest_one(store: GalleryStore) -> None:
    store.add(new_person("Annabel"), MODEL)
    with pytest.raises(InputError, match="nobody is called 'Anabel'") as caught:
        store.remove("Anabel")
    assert "'Annabel'" in caught.value.hint


def test_showing_a_person_tells_poses_and_count(store: GalleryStore) -> None:
    store.add(new_person("Anna", count=3), MODEL)
    record, poses = store.show("anna")
    assert record.references == 3
    assert poses == [Pose(0.25, -0.5, 3.0)] * 3
    assert record.created.endswith("Z")


def test_the_lockout_survives_a_restart(home: Path) -> None:
    with GalleryStore.open(home) as store:
        store.save_throttle(Throttle(7, 120.5))
    with GalleryStore.open(home) as store:
        assert store.throttle() == Throttle(7, 120.5)


# Removing


def test_removing_leaves_no_trace_in_any_file(home: Path) -> None:
    secret = "Wilhelmina-Unmistakable"
    person = new_person(secret, count=4, seed=1)
    with GalleryStore.open(home) as store:
        for number in range(5):
            store.add(new_person(f"before {number}", seed=10 + number), MODEL)
        store.add(person, MODEL)
        store.add(new_person("after", seed=2), MODEL)
        images = store._connection.execute("SELECT crop_png FROM reference_images WHERE person_id = 6")
        pngs = [png for (png,) in images]
        traces = [secret.encode(), secret.casefold().encode()]
        traces += [piece for png in pngs for piece in (png[50:82], png[20_000:20_032], png[-40:-16])]
        traces += [vector.tobytes() for vector in as_kept(person)]
        assert all(trace in raw_files(home) for trace in traces), "the test looks for the wrong bytes"
        store.remove(secret)
        assert not [trace for trace in traces if trace in raw_files(home)], "while open"
        assert not store.wipe_due
        assert len(names(store)) == 6
    assert not [trace for trace in traces if trace in raw_files(home)], "after closing"


def test_adding_and_removing_beside_a_wipe_in_steps_leaves_no_trace_and_no_harm(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at a door: a step, a frame, an enrolment, a step."""
    monkeypatch.setattr(wiping, "SHORT_BYTES", 0)
    monkeypatch.setattr(wiping, "_CHUNK_BYTES", 64 * 4096)
    dice, pieces, present = random.Random(1), dict[str, list[bytes]](), set[str]()
    with GalleryStore.open(home) as store:
        for number in range(25):
            name = f"Wilhelmina the {number:03} of that name"
            person = new_person(name, count=dice.randint(1, 4), seed=100 + number)
            store.add(person, MODEL)
            pieces[name], present = traces_of(store, name, person), present | {name}
            if dice.random() < 0.6:
                gone = dice.choice(sorted(present))
                store.remove(gone)
                present.remove(gone)
            store.wipe(lambda: False)
        while store.wipe_due:
            store.wipe(lambda: False)
        assert store._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert set(names(store)) == present
        left = raw_files(home)
        assert [name for name in pieces if name not in present and any(piece in left for piece in pieces[name])] == []
        store.load(MODEL, embed_by_bands)
        assert store.reembedded == 0
    with GalleryStore.open(home) as store:
        assert set(names(store)) == present


def traces_of(store: GalleryStore, name: str, person: NewPerson) -> list[bytes]:
    """Bytes that nobody else has: of the name, the pictures' beginning, middle and end, the embeddings."""
    pngs = [reference.crop_png for _, one in store.stored([name]) for reference in one.references]
    vectors = [vector.tobytes() for vector in as_kept(person)]
    pictures = [piece for png in pngs for piece in (png[60:92], png[len(png) // 2 :][:32], png[-40:-16])]
    return [name.encode(), name.casefold().encode(), *vectors, *pictures]


@pytest.mark.slow
def test_rows_that_moved_from_page_to_page_leave_nothing_behind(home: Path) -> None:
    """Rows of all sizes, hundreds of them: without the wiping SQLite 3.40 leaves a dozen traces of these."""
    home.mkdir()
    path, dice = home / FILE_NAME, random.Random(3)
    schema._create(path)
    connection = schema._connect(path)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = OFF")  # nothing here is about crashes, and it is slow
    way, present, gone = wiping.Wiping(path, connection), dict[int, list[bytes]](), list[list[bytes]]()
    for number in range(600):
        id_, traces = row_of_a_person(connection, f"N003-{number:05}-{dice.randbytes(12).hex()}", dice)
        present[id_] = traces
        if dice.random() < 0.7 and len(present) > 1:
            leaving = dice.choice(list(present))
            gone.append(present.pop(leaving))
            connection.execute("DELETE FROM people WHERE id = ?", (leaving,))
        if number % 50 == 0:
            way.step(lambda: False)
    while not way.step(lambda: False):
        pass
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    left = path.read_bytes()
    assert [trace for traces in gone for trace in traces if trace in left] == []
    assert [trace for traces in list(present.values())[:30] for trace in traces if trace not in left] == []
    connection.close()
    way.close()


def row_of_a_person(connection: sqlite3.Connection, name: str, dice: random.Random) -> tuple[int, list[bytes]]:
    """The id of a new person whose pictures are noise, and bytes that only this one has."""
    cursor = connection.execute(
        "INSERT INTO people (name, name_key, admin) VALUES (?, ?, 0)", (name, name.lower())
    )
    id_, traces = cursor.lastrowid or 0, [name.encode(), name.lower().encode()]
    for _ in range(dice.randint(1, 3)):
        png, vector = dice.randbytes(dice.choice([300, 2_500, 5_000, 9_000, 21_000])), dice.randbytes(1_536)
        reference = rows.insert_reference(connection, Person(id_, name), StoredReference(png, Pose(0, 0, 0)))
        connection.execute("INSERT INTO embeddings VALUES (?, 'a', ?)", (reference, vector))
        traces += [png[20:52], png[-40:-8], vector[:32], vector[-32:]]
    return id_, traces


@given(st.binary(max_size=3 * 512), st.booleans())
def test_whatever_a_page_holds_a_gap_lies_inside_it(pages: bytes, first: bool) -> None:
    for start, end in wiping.gaps(pages, 512, first=first):
        assert 0 <= start < end <= len(pages)
        assert start // 512 == (end - 1) // 512


def raw_files(home: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(home.iterdir()))


def test_a_wipe_that_was_interrupted_is_done_at_the_next_opening(home: Path) -> None:
    with GalleryStore.open(home) as store:
        store.add(new_person("Wilhelmina"), MODEL)
        store._connection.execute("BEGIN")
        store._connection.execute("DELETE FROM people")
        store._connection.execute("UPDATE state SET wipe_due = 1")
        store._connection.execute("COMMIT")
    with GalleryStore.open(home) as store:
        assert not store.wipe_due
    assert b"ilhelmina" not in raw_files(home)


# The place


def test_everything_is_private_whatever_the_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        with GalleryStore.open(home) as store:
            store.add(new_person("Anna"), MODEL)
            files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in home.iterdir()}
    finally:
        os.umask(before)
    assert set(files) == {"gallery.db", "gallery.db-wal", "gallery.db-shm", "gallery.lock"}
    assert set(files.values()) == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_wide_permissions_are_narrowed(home: Path) -> None:
    GalleryStore.open(home).close()
    home.chmod(0o755)
    (home / FILE_NAME).chmod(0o644)
    GalleryStore.open(home).close()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / FILE_NAME).stat().st_mode) == 0o600


def test_a_second_daemon_is_turned_away_until_the_first_has_gone(home: Path) -> None:
    with (
        GalleryStore.open(home),
        pytest.raises(AlreadyRunningError, match="another facelatch process") as caught,
    ):
        GalleryStore.open(home)
    assert caught.value.hint
    GalleryStore.open(home).close()


@pytest.mark.skipif(not AS_ROOT, reason="needs root to make a directory of another user")
def test_a_directory_of_another_user_is_refused(home: Path) -> None:
    home.mkdir()
    os.chown(home, 12345, 12345)
    with pytest.raises(GalleryError, match="belongs to user 12345"):
        GalleryStore.open(home)


def test_a_file_in_place_of_the_directory_is_refused(home: Path) -> None:
    home.write_text("")
    with pytest.raises(GalleryError, match="not a directory"):
        GalleryStore.open(home)


def test_a_link_in_place_of_the_database_is_refused(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    (home / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GalleryError, match="not a plain file"):
        GalleryStore.open(home)


READ_ONLY = """
import os, sys
from pathlib import Path
from facelatch.errors import GalleryError
from facelatch.gallery.store import GalleryStore
if os.geteuid() == 0:
    os.setuid(12345)
try:
    GalleryStore.open(Path(sys.argv[1]))
except GalleryError as error:
    print(error, "|", error.hint)
"""


def test_a_place_that_may_not_be_written_is_named_with_a_hint() -> None:
    with tempfile.TemporaryDirectory() as locked:
        Path(locked).chmod(0o555)
        said = subprocess.run(
            [sys.executable, "-c", READ_ONLY, f"{locked}/state"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
    assert "permission denied" in said
    assert "run it as the user" in said


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB that can be made read-only."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount a small file system here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_read_only_file_system_is_told_from_a_full_one(tmpfs: Path) -> None:
    GalleryStore.open(tmpfs).close()
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    with pytest.raises(GalleryError, match="read-only") as caught:
        GalleryStore.open(tmpfs)
    assert "writable" in caught.value.hint


def test_a_full_disk_refuses_the_new_person_and_keeps_the_others(tmpfs: Path) -> None:
    with GalleryStore.open(tmpfs) as store:
        store.add(new_person("Anna"), MODEL)
        with pytest.raises(GalleryError, match="disk is full") as caught:
            store.add(new_person("Ben", count=32), MODEL)
        assert "space" in caught.value.hint
        assert names(store) == ["Anna"]
    with GalleryStore.open(tmpfs) as store:
        assert [(record.person.name, record.references) for record in store.people()] == [("Anna", 2)]


def test_a_gallery_for_which_there_was_too_little_space_is_made_when_there_is_more(tmpfs: Path) -> None:
    filler, outcomes = tmpfs / "filler", set()
    for pages in range(0, 48, 2):
        free = os.statvfs(tmpfs).f_bavail * os.statvfs(tmpfs).f_frsize
        filler.write_bytes(bytes(free - pages * 4096))
        try:
            GalleryStore.open(tmpfs).close()
            outcomes.add("made")
        except GalleryError:
            outcomes.add("refused")
        filler.unlink()
        with GalleryStore.open(tmpfs) as store:
            assert names(store) == []
        for file in tmpfs.iterdir():
            file.unlink()
    assert outcomes == {"made", "refused"}


def test_a_person_is_removed_and_wiped_with_little_space_left(tmpfs: Path) -> None:
    """What is left of somebody is overwritten where it lies."""
    filler = tmpfs / "filler"
    with GalleryStore.open(tmpfs) as store:
        store.add(new_person("Anna", count=2), MODEL)
        store.add(new_person("Ben", count=6), MODEL)
        store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        free = os.statvfs(tmpfs).f_bavail * os.statvfs(tmpfs).f_frsize
        filler.write_bytes(bytes(free - 160 * 1024))
        store.remove("Anna")
        assert names(store) == ["Ben"]
        assert not store.wipe_due
        assert b"Anna" not in raw_files(tmpfs)


def test_a_person_whose_traces_cannot_be_wiped_is_gone_and_wiped_later(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise OSError(errno.EIO, "input/output error")

    with GalleryStore.open(home) as store:
        store.add(new_person("Wilhelmina", count=2), MODEL)
        with monkeypatch.context() as failing:
            failing.setattr(wiping.Wiping, "_cleared", broken)
            store.remove("Wilhelmina")
        assert names(store) == []
        assert store.wipe_due
        assert "could not be overwritten" in store.traces
    with GalleryStore.open(home) as store:
        assert not store.wipe_due
    assert b"ilhelmina" not in raw_files(home)


def test_a_full_database_is_a_full_disk_too(store: GalleryStore) -> None:
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(GalleryError, match="disk is full"):
        store.add(new_person("Anna"), MODEL)
    assert names(store) == []


def test_a_database_that_another_program_has_is_said_to_be_locked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    GalleryStore.open(home).close()
    monkeypatch.setattr("facelatch.gallery.schema.BUSY_SECONDS", 0.001)
    shell = sqlite3.connect(home / FILE_NAME, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(GalleryError, match="locked") as caught:
        GalleryStore.open(home)
    assert "close whatever else" in caught.value.hint
    shell.close()


def test_no_other_program_can_hold_up_an_open_gallery(store: GalleryStore, home: Path) -> None:
    shell = sqlite3.connect(home / FILE_NAME, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        shell.execute("SELECT * FROM people")
    store.add(new_person("Anna"), MODEL)
    shell.close()


def test_no_file_of_the_gallery_is_mapped_into_memory(store: GalleryStore, home: Path) -> None:
    """A page of such a file that waits for the disk stops every thread that needs memory: the lock's timer too."""
    store.add(new_person("Anna"), MODEL)
    store.load(MODEL, embed_by_bands)
    store.save_throttle(Throttle(1, 0.0))
    maps = Path("/proc/self/maps").read_text()
    assert str(home) not in maps
    other = sqlite3.connect(home.with_name("shared.db"))
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("CREATE TABLE shared (id)")
    assert "shared.db-shm" in Path("/proc/self/maps").read_text(), "the test looks in the wrong place"
    other.close()


# The file


def damage_nothing_but_report(home: Path, *, match: str) -> GalleryError:
    """Opens a gallery that must be refused, and proves that its file was not touched."""
    path = home / FILE_NAME
    before = path.read_bytes()
    with pytest.raises(GalleryError, match=match) as caught:
        GalleryStore.open(home)
    assert path.read_bytes() == before
    return caught.value


@pytest.fixture
def filled(home: Path) -> Path:
    with GalleryStore.open(home) as store:
        for number in range(3):
            store.add(new_person(f"person {number}", seed=number), MODEL)
    return home


@pytest.mark.parametrize("keep", [0, 10, 100, 4096, 5000, 0.5, 0.9, -1])
def test_a_truncated_gallery_is_refused_and_left_alone(filled: Path, keep: float) -> None:
    path = filled / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if 0 < keep < 1 else int(keep)])
    error = damage_nothing_but_report(filled, match="damaged")
    assert "people import" in error.hint


def test_a_gallery_overwritten_in_the_middle_is_refused_and_left_alone(filled: Path) -> None:
    path = filled / FILE_NAME
    whole = bytearray(path.read_bytes())
    whole[4096 : 2 * 4096] = b"\xa5" * 4096
    path.write_bytes(whole)
    damage_nothing_but_report(filled, match="damaged")


def test_a_crop_with_a_flipped_bit_is_never_embedded(filled: Path) -> None:
    path = filled / FILE_NAME
    with sqlite3.connect(path) as connection:
        ((png,),) = connection.execute("SELECT crop_png FROM reference_images WHERE id = 3").fetchall()
    connection.close()
    whole = bytearray(path.read_bytes())
    whole[whole.index(png[20_000:20_032])] ^= 1
    path.write_bytes(whole)
    with GalleryStore.open(filled) as store, pytest.raises(GalleryError, match="damaged: image"):
        store.load(OTHER_MODEL, embed_by_bands)


def test_a_text_file_in_place_of_the_gallery_is_refused(home: Path) -> None:
    home.mkdir()
    (home / FILE_NAME).write_text("people = []\n" * 100)
    damage_nothing_but_report(home, match="not a database")


def test_a_database_of_something_else_is_refused(home: Path) -> None:
    home.mkdir()
    connection = sqlite3.connect(home / FILE_NAME)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    damage_nothing_but_report(home, match="not a Facelatch gallery")


def test_a_gallery_of_a_newer_schema_is_refused_with_its_number(filled: Path) -> None:
    connection = sqlite3.connect(filled / FILE_NAME)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    known = len(schema.MIGRATIONS)
    error = damage_nothing_but_report(filled, match=f"has schema 99, this Facelatch knows up to {known}")
    assert "newer Facelatch" in error.hint


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TRIGGER spy AFTER INSERT ON people BEGIN UPDATE people SET admin = 1; END", "trigger spy"),
        ("CREATE VIEW faces AS SELECT crop_png FROM reference_images", "view faces"),
        ("CREATE TABLE others (id INTEGER)", "table others"),
        ("CREATE INDEX quicker ON people (admin)", "index quicker"),
        ("DROP INDEX reference_images_of_person", "index reference_images_of_person"),
        ("ALTER TABLE people ADD COLUMN secret TEXT", "table people"),
    ],
)
def test_a_schema_that_others_have_changed_is_refused_and_left_alone(filled: Path, statement: str, named: str) -> None:
    connection = sqlite3.connect(filled / FILE_NAME)
    connection.execute(statement)
    connection.commit()
    connection.close()
    assert "people import" in damage_nothing_but_report(filled, match=named).hint


def test_a_gallery_that_somebody_has_analysed_is_opened(filled: Path) -> None:
    connection = sqlite3.connect(filled / FILE_NAME)
    connection.execute("ANALYZE")
    connection.commit()
    connection.close()
    with GalleryStore.open(filled) as store:
        assert len(names(store)) == 3


@pytest.mark.parametrize(
    ("vector", "fault"),
    [
        (np.zeros(8), "no model has made"),
        (np.full(8, 1e-4), "no model has made"),
        (np.full(8, np.nan), "no model has made"),
        (np.full(8, np.inf), "no model has made"),
        (np.full(8, 1e9), "no model has made"),
        (np.ones(7), "several lengths"),
        (np.ones(0), "several lengths"),
    ],
)
def test_a_stored_vector_that_no_model_has_made_is_refused(
    filled: Path, vector: np.ndarray, fault: str
) -> None:
    """Zeros would be near to everybody, another length would end the daemon at the first face."""
    with GalleryStore.open(filled) as store:
        value = vector.astype("<f4").tobytes()
        store._connection.execute("UPDATE embeddings SET vector = ? WHERE reference_id = 2", (value,))
        with pytest.raises(GalleryError, match=fault) as caught:
            store.load(MODEL, embed_by_bands)
        assert caught.value.exit_code == 7


def test_vectors_that_are_all_of_another_length_than_the_models_are_refused(filled: Path) -> None:
    with GalleryStore.open(filled) as store:
        with pytest.raises(GalleryError, match="embeddings of 8 numbers, the model makes 16"):
            store.load(MODEL, embed_by_bands, 16)
        assert store.load(MODEL, embed_by_bands, 8).embeddings.shape == (6, 8)


def test_a_log_without_its_database_does_not_become_an_empty_gallery(home: Path) -> None:
    home.mkdir()
    (home / f"{FILE_NAME}-wal").write_bytes(b"pages")
    with pytest.raises(GalleryError, match="missing, although its log"):
        GalleryStore.open(home)
    assert not (home / FILE_NAME).exists()


def test_a_gallery_half_made_when_the_power_went_is_made_anew(home: Path) -> None:
    home.mkdir()
    (home / f"{FILE_NAME}.new").write_bytes(b"SQLite format 3\x00half")
    with GalleryStore.open(home) as store:
        assert names(store) == []
    assert not (home / f"{FILE_NAME}.new").exists()


def test_crops_of_another_alignment_are_refused_by_name(filled: Path) -> None:
    connection = sqlite3.connect(filled / FILE_NAME)
    connection.execute("UPDATE reference_images SET align_version = 0 WHERE person_id = 2")
    connection.commit()
    connection.close()
    with GalleryStore.open(filled) as store:
        with pytest.raises(GalleryError, match="person 1"):
            store.load(MODEL, embed_by_bands)
        store.remove("person 1")
        assert len(store.load(MODEL, embed_by_bands).people) == 2


NICKNAMES = ("ALTER TABLE people ADD COLUMN nickname TEXT NOT NULL DEFAULT ''",)


def test_a_migration_keeps_the_people_and_raises_the_version(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NICKNAMES))
    with GalleryStore.open(filled) as store:
        assert names(store) == ["person 0", "person 1", "person 2"]
        assert store._connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        assert store._connection.execute("SELECT DISTINCT nickname FROM people").fetchall() == [("",)]


def test_a_migration_that_fails_leaves_the_old_schema(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (*NICKNAMES, "ALTER TABLE nobody RENAME TO somebody")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        with pytest.raises(GalleryError, match="no such table"):
            GalleryStore.open(filled)
    with GalleryStore.open(filled) as store:
        assert store._connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        assert len(names(store)) == 3


# Names


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("x" * 65, "65 characters"),
        ("x" * 300, "300 characters"),
        ("../etc", "slash"),
        ("a\\b", "slash"),
        (".hidden", "begins with"),
        ("--all", "begins with"),
        ("a\nb", "invisible"),
        ("a\u202eb", "invisible"),
        ("a\x00b", "invisible"),
        ("\ud800", "invisible"),
    ],
)
def test_what_is_no_name_is_refused_with_the_rule(text: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as caught:
        clean_name(text)
    assert str(MAX_LENGTH) in caught.value.hint
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text", ["Anna", "Zoë", "O'Neill", "李小龙", "أحمد", "🦊", "Anna (2nd floor)", "x" * 64]
)
def test_names_of_the_world_are_names(text: str) -> None:
    assert clean_name(f" {text} ") == text


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_an_input_error(text: str) -> None:
    try:
        name = clean_name(text)
    except InputError:
        return
    assert name == clean_name(name) == unicodedata.normalize("NFC", name)
    assert 1 <= len(name) <= MAX_LENGTH
    assert name.isprintable()
    assert "/" not in name
    assert name_key(name) == name_key(name.upper()) or name_key(name) == name_key(name.lower())
    name.encode()


def test_an_endless_name_is_refused_before_it_costs_time() -> None:
    """Normalising takes time by the square of the accents in a row; a client could stop the loop with it."""
    with pytest.raises(InputError, match="at most 64"):
        clean_name("a" + "\u0301\u0323" * 10_000_000)


def test_clash_words_are_what_the_command_line_says() -> None:
    assert [clash.value for clash in Clash] == ["refuse", "replace", "rename"]
