"""What stands beside the sealed pieces: nobody changes, moves or deletes a row of it without the key."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_seal import (
    KEY,
    MODEL,
    NAME,
    OTHER_KEY,
    OTHER_NAME,
    embed,
    everything,
    failing,
    fill,
    newcomer,
    opened,
)

from facelatch.errors import GalleryError
from facelatch.gallery import binding, credentials, fleet, schema, sealing
from facelatch.gallery.credentials import Hashed, Pins
from facelatch.gallery.rotation import rotate
from facelatch.gallery.seal import Sealed, Tables
from facelatch.gallery.store import FILE_NAME, GalleryStore
from facelatch.values.records import Throttle

HASHES = {NAME: Hashed(Pins("pin of one", "duress of one"), "card of one"), OTHER_NAME: Hashed(Pins("pin of two"))}

ALTERED = {
    "a last day": "UPDATE people SET valid_until = '2099-01-01' WHERE id = 1",
    "no last day any more": "UPDATE people SET valid_until = NULL WHERE id = 1",
    "a first day": "UPDATE people SET valid_from = '2020-01-01' WHERE id = 1",
    "another schedule": "UPDATE people SET schedule = 'always' WHERE id = 1",
    "suspended no more": "UPDATE people SET suspended = 0 WHERE id = 1",
    "to be forgotten": "UPDATE people SET forget = 1 WHERE id = 1",
    "a day of enrolment": "UPDATE people SET created = '2020-01-01T00:00:00Z' WHERE id = 1",
    "waiting as in an import": "UPDATE people SET staged = 'x' WHERE id = 1",
    "hours of one at another": "UPDATE people SET valid_until = (SELECT valid_until FROM people WHERE id = 1),"
    " schedule = (SELECT schedule FROM people WHERE id = 1) WHERE id = 2",
    "found under another name": "UPDATE people SET name_key = 'x' WHERE id = 1",
    "looks like nobody": "DELETE FROM name_skeletons WHERE person_id = 1",
    "a PIN of another": "UPDATE credentials SET pin_hash = 'pin of two' WHERE person_id = 1",
    "PINs exchanged": "UPDATE credentials SET duress_hash = pin_hash, pin_hash = duress_hash WHERE person_id = 1",
    "no duress PIN": "UPDATE credentials SET duress_hash = NULL WHERE person_id = 1",
    "a card moved": "UPDATE credentials SET card_hash = NULL WHERE person_id = 1;"
    " UPDATE credentials SET card_hash = 'card of one' WHERE person_id = 2",
    "hashes deleted": "DELETE FROM credentials WHERE person_id = 1",
    "hashes moved": "DELETE FROM credentials WHERE person_id = 2; UPDATE credentials SET person_id = 2",
    "a person deleted": "DELETE FROM people WHERE id = 2",
    "a person twice": "INSERT INTO people (name, name_key, admin) SELECT name, 'x', admin FROM people WHERE id = 1",
    "an image deleted": "DELETE FROM reference_images WHERE id = 1",
    "refusals forgiven": "UPDATE state SET refusals = 0",
    "a lock-out shortened": "UPDATE state SET lockout_seconds = 0",
    "a number once more": "UPDATE state SET last_number = 0",
    "a wipe that was due": "UPDATE state SET wipe_due = 1",
    "an id once more": "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'people'",
    "no binding": "UPDATE seal SET head = NULL",
}


def filled(home: Path, *keys: bytes) -> Path:
    """Two people with hours, PINs and a card, refused attempts, and a number that was given."""
    fill(home, *keys)
    with GalleryStore.open(home, keys) as store:
        hours = {"valid_until": date(2026, 12, 24), "schedule": "office", "suspended": True}
        credentials.set_access(store, NAME, hours)
        for name, hashed in HASHES.items():
            credentials.set_credentials(store, name, hashed)
        store.save_throttle(Throttle(refusals=3, lockout_seconds=60.0))
        store.add(newcomer(None, seed=3), MODEL)
        store.remove("person-001")
    return home


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("sealed") / "state", KEY)


def changed(home: Path, statements: str) -> None:
    with closing(opened(home)) as connection:
        before = list(connection.iterdump())
        connection.executescript(f"PRAGMA foreign_keys = ON; {statements}")
        assert list(connection.iterdump()) != before, "nothing was altered"


def told(home: Path, *keys: bytes) -> object:
    """Everything a gallery says that is bound and not sealed."""
    with GalleryStore.open(home, keys) as store:
        who = [(record.person, record.access, record.created, record.references) for record in store.people()]
        pins = [credentials.pins_of(store, record.person.id) for record in store.people()]
        holder = credentials.card_holder(store, "card of one")
        return who, [(one.pin, one.duress) for one in pins], holder, store.throttle()


@pytest.mark.parametrize("statements", ALTERED.values(), ids=ALTERED.keys())
def test_a_sealed_gallery_with_a_row_altered_moved_or_deleted_is_refused(
    sealed: Path, tmp_path: Path, statements: str
) -> None:
    home = shutil.copytree(sealed, tmp_path / "state")
    changed(home, statements)
    before = (home / FILE_NAME).read_bytes()
    for _ in range(2):
        with pytest.raises(GalleryError, match="damaged or altered") as caught:
            GalleryStore.open(home, [KEY])
        assert caught.value.exit_code == 7
    assert (home / FILE_NAME).read_bytes() == before, "the file is left as it is"


def test_every_column_and_table_is_bound_sealed_or_known_to_decide_nothing() -> None:
    """Who adds one has to say here which of these it is."""
    found = {
        f"{table}.{column}"
        for kind, table, _, _ in schema._expected_objects(len(schema.MIGRATIONS))
        if kind == "table" and not table.startswith("sqlite_")
        for column in _columns(table)
    }
    bound = {f"people.{one}" for one in ["id", "name", "name_key", "admin", "created", "staged"]}
    bound |= {f"people.{one}" for one in ["valid_from", "valid_until", "schedule", "suspended", "forget"]}
    bound |= {f"credentials.{one}" for one in ["person_id", "pin_hash", "duress_hash", "card_hash"]}
    bound |= {f"state.{one}" for one in ["id", "refusals", "lockout_seconds", "last_number", "wipe_due"]}
    bound |= {"reference_images.id", "reference_images.person_id"}
    bound |= {"name_skeletons.person_id", "name_skeletons.skeleton"}
    bound |= {f"fleet_alike.{one}" for one in ["uuid", "other"]}
    bound |= {f"fleet_people.{one}" for one in ["uuid", "person_id", "version", "revoked", "suspended", "digest"]}
    bound |= {f"fleet_people.{one}" for one in ["own", "enrolled", "beside", "content", "held", "dirty"]}
    sealed_pieces = {"reference_images.crop_png", "embeddings.reference_id", "embeddings.made_by", "embeddings.vector"}
    the_seal = {f"seal.{one}" for one in ["id", "salt", "key_id", "proof", "pepper", "head"]}
    undecisive = {"fleet_people.envelope"}  # signed, and its sha256 is bound
    undecisive |= {f"reference_images.{one}" for one in ["align_version", "yaw", "pitch", "roll", "created"]}
    assert found == bound | sealed_pieces | the_seal | undecisive


def _columns(table: str) -> list[str]:
    with closing(schema.memory_database()) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]


STEPS: Sequence[Callable[[GalleryStore], object]] = (
    lambda store: store.add(newcomer(None, seed=7, count=1), MODEL),
    lambda store: store.rename(store.people()[-1].person.name, f"Number {store.generation[1]}")
    if len(store.people()) > 1
    else None,
    lambda store: store.remove(store.people()[-1].person.name) if len(store.people()) > 1 else None,
    lambda store: store.set_admin(NAME, admin=False),
    lambda store: store.save_throttle(Throttle(refusals=5, lockout_seconds=1.0)),
    lambda store: credentials.set_access(store, NAME, {"suspended": False}),
    lambda store: credentials.set_credentials(store, NAME, Hashed(card="")),
    lambda store: store.change_references(
        store.find(NAME), newcomer(NAME, seed=8, count=1).references, MODEL, replace=True
    ),
    lambda store: store.load(MODEL, embed),
    lambda store: rotate(store, [KEY]),
    lambda store: store.wipe(),
)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=5))
def test_whatever_facelatch_itself_changes_opens_again_with_a_higher_number(
    sealed: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[Callable[[GalleryStore], object]]
) -> None:
    home = shutil.copytree(sealed, tmp_path_factory.mktemp("changed") / "state")
    with GalleryStore.open(home, [KEY]) as store:
        last = store.generation
        for step in steps:
            step(store)
            assert store.generation >= last  # the same gallery, and a number as high
            last = store.generation
    with GalleryStore.open(home, [KEY]) as store:
        assert store.generation == last


def failing_at_the_end(connection: sqlite3.Connection, statement: str, *values: Any) -> sqlite3.Cursor:
    if statement == "COMMIT":
        failing()
    return sqlite3.Connection.execute(connection, statement, *values)


def test_a_transaction_that_fails_binds_nothing(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that breaks off nor one that the card does not take."""
    home = shutil.copytree(sealed, tmp_path / "state")
    with GalleryStore.open(home, [KEY]) as store:
        before = store.generation
        with suppress(RuntimeError), store.transaction() as connection:
            connection.execute("UPDATE people SET suspended = 0")
            raise RuntimeError
        monkeypatch.setattr(Tables, "execute", failing_at_the_end)
        with pytest.raises(GalleryError):
            credentials.set_access(store, NAME, {"schedule": "never"})
        monkeypatch.undo()
        assert store.generation == before
        credentials.set_access(store, NAME, {"schedule": "other"})
    assert "other" in str(told(home, KEY))


def past_sqlite(store: GalleryStore, statement: str) -> None:
    """Alters an open gallery as whoever writes to the card past SQLite while the daemon runs."""
    connection = store._connection
    triggers = connection.execute("SELECT name, sql FROM sqlite_temp_schema WHERE name LIKE 'bound_%'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER temp.{name}")
    connection.execute(statement)
    for _, sql in triggers:
        connection.execute(sql.replace("CREATE TRIGGER", "CREATE TEMP TRIGGER"))


def test_a_pin_or_card_altered_under_an_open_gallery_opens_nothing(sealed: Path, tmp_path: Path) -> None:
    home = shutil.copytree(sealed, tmp_path / "state")
    with GalleryStore.open(home, [KEY]) as store:
        past_sqlite(store, "UPDATE credentials SET pin_hash = 'pin of two' WHERE person_id = 1")
        with pytest.raises(GalleryError, match="damaged or altered: person 1"):
            credentials.pins_of(store, 1)
        with pytest.raises(GalleryError, match="damaged or altered: person 1"):
            credentials.card_holder(store, "card of one")


@pytest.mark.parametrize("most", [0, 100], ids=["after a large change", "after a small one"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE people SET suspended = 0 WHERE id = 1", "UPDATE fleet_people SET held = '' WHERE person_id = 1"],
    ids=["hours", "held"],
)
def test_what_was_altered_under_an_open_gallery_is_not_bound_by_the_next_change(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, most: int
) -> None:
    """However many people that changes: either it is refused, or the gallery is when it is opened next."""
    monkeypatch.setattr(binding, "_FEW", most)
    home = shutil.copytree(sealed, tmp_path / "state")
    with GalleryStore.open(home, [KEY]) as store:
        with store.transaction() as connection:
            fleet.save(connection, replace(fleet.nobody("f" * 32), person_id=1, held=fleet.UNCHECKED))
        past_sqlite(store, statement)
        with suppress(GalleryError):
            credentials.set_access(store, OTHER_NAME, {"schedule": "night"})
    with pytest.raises(GalleryError, match="damaged or altered"):
        GalleryStore.open(home, [KEY])


def test_a_change_reads_nothing_of_all_the_people_of_the_fleet_but_whom_it_concerns(
    sealed: Path, tmp_path: Path
) -> None:
    """With 5,000 of them a refused attempt took tens of milliseconds, and each envelope that came as long."""
    home, said = shutil.copytree(sealed, tmp_path / "state"), list[str]()
    with GalleryStore.open(home, [KEY]) as store:
        with store.transaction() as connection:
            for number in range(3):
                row = replace(fleet.nobody(f"{number:032}"), person_id=number or None, beside=("\N{SNOWMAN}",))
                fleet.save(connection, row)
        store._connection.set_trace_callback(said.append)
        store.save_throttle(Throttle(4, 0.0))
        store.remove(NAME)
    whole = [one for one in said if "FROM fleet_people" in one and " WHERE " not in one]
    assert [one for one in said if "FROM fleet_people WHERE uuid" in one]
    assert whole == []
    GalleryStore.open(home, [KEY]).close()


def test_the_pieces_of_pictures_that_were_replaced_fit_nowhere_any_more(sealed: Path, tmp_path: Path) -> None:
    """Whoever has a copy from before cannot let the old face in again, by the picture or by what was made of it."""
    home = shutil.copytree(sealed, tmp_path / "state")
    pieces = {"crop_png": ("reference_images", "id"), "vector": ("embeddings", "reference_id")}
    query = "SELECT {} FROM reference_images JOIN embeddings ON reference_id = id WHERE person_id = 2 ORDER BY id"
    with closing(opened(home)) as connection:
        before = {piece: connection.execute(query.format(piece)).fetchall() for piece in pieces}
    with GalleryStore.open(home, [KEY]) as store:
        store.change_references(store.find(OTHER_NAME), newcomer(None, seed=9).references, MODEL, replace=True)
    for piece, (table, column) in pieces.items():
        altered = shutil.copytree(home, tmp_path / piece)
        with closing(opened(altered)) as connection, connection:
            for (id_,), (old,) in zip(connection.execute(query.format("id")).fetchall(), before[piece], strict=True):
                connection.execute(f"UPDATE {table} SET {piece} = ? WHERE {column} = ?", (old, id_))
        with pytest.raises(GalleryError, match="is not what was sealed there"):
            everything(altered, KEY)


def test_a_plain_gallery_binds_nothing_and_answers_as_a_sealed_one(sealed: Path, tmp_path: Path) -> None:
    home = filled(tmp_path / "state")
    who, *rest = told(home)  # type: ignore[misc]
    assert [(person, access, count) for person, access, _, count in who] == [
        (person, access, count) for person, access, _, count in told(sealed, KEY)[0]  # type: ignore[index]
    ]
    assert rest == list(told(sealed, KEY)[1:])  # type: ignore[index]
    with GalleryStore.open(home) as store:
        assert store.generation == ("", 0)


# Galleries that were sealed before all of it was bound


def before_it_was_bound(home: Path) -> Path:
    """A sealed gallery as the schema before made it."""
    filled(home, KEY)
    with closing(opened(home)) as connection:
        old = Sealed(KEY, *connection.execute("SELECT salt, key_id FROM seal").fetchone())
        connection.execute("UPDATE seal SET proof = ?", (old.close(b"facelatch", "proof"),))
        connection.execute("ALTER TABLE seal DROP COLUMN head")
        connection.execute(f"PRAGMA user_version = {schema.MIGRATIONS.index(binding.MIGRATION)}")
    return home


def test_a_gallery_sealed_before_is_bound_when_it_is_opened(tmp_path: Path) -> None:
    home = before_it_was_bound(tmp_path / "state")
    before = (home / FILE_NAME).read_bytes()
    with closing(opened(home)) as connection:
        (row,) = connection.execute("SELECT salt, key_id, proof FROM seal")
    found = told(home, KEY)
    assert "office" in str(found)
    assert "pin of one" in str(found)
    assert told(home, KEY) == found
    with closing(opened(home)) as connection:
        connection.execute("UPDATE seal SET salt = ?, key_id = ?, proof = ?", row)
    with pytest.raises(GalleryError):
        GalleryStore.open(home, [KEY])  # nobody gets back to a gallery that is not bound by its old proof
    assert before != (home / FILE_NAME).read_bytes()


def test_a_binding_that_fails_half_way_leaves_all_as_it_was_and_is_done_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = before_it_was_bound(tmp_path / "state")
    for place in ("_image_put_under", "note_skeletons"):
        with monkeypatch.context() as patch:
            patch.setattr(sealing, place, failing)
            with pytest.raises(GalleryError):
                GalleryStore.open(home, [KEY])
    assert "office" in str(told(home, KEY))
    changed(home, ALTERED["suspended no more"])
    with pytest.raises(GalleryError, match="damaged or altered"):
        GalleryStore.open(home, [KEY])


def test_taking_the_binding_out_of_the_file_leads_to_no_gallery_that_is_not_bound(sealed: Path, tmp_path: Path) -> None:
    """Neither is the schema of before accepted, nor does another key."""
    home = shutil.copytree(sealed, tmp_path / "state")
    version = list(schema.MIGRATIONS).index(binding.MIGRATION)
    changed(home, f"ALTER TABLE seal DROP COLUMN head; PRAGMA user_version = {version}")
    with pytest.raises(GalleryError, match="damaged or altered: head"):
        GalleryStore.open(home, [KEY])
    with pytest.raises(GalleryError, match="another key"):
        GalleryStore.open(home, [OTHER_KEY])


def test_another_key_binds_anew(sealed: Path, tmp_path: Path) -> None:
    home = shutil.copytree(sealed, tmp_path / "state")
    before = told(home, KEY)
    with GalleryStore.open(home, [KEY, OTHER_KEY]) as store:
        generation = store.generation
        rotate(store, [KEY, OTHER_KEY])
        assert store.generation > generation
    assert told(home, OTHER_KEY) == before
    assert everything(home, OTHER_KEY)
