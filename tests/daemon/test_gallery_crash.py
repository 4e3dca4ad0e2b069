"""The gallery under SIGKILL: whatever was reported saved is there, whatever was not is there whole or not at all."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facelatch.gallery import schema
from facelatch.gallery.store import FILE_NAME, GalleryStore

pytestmark = pytest.mark.slow  # each test starts and kills processes

MODEL = "a" * 64
REFERENCES = 4

PREAMBLE = f"""
import itertools, json, os, shutil, signal, sqlite3, sys
from pathlib import Path
import numpy as np
from facelatch.gallery import schema as gallery_schema
from facelatch.gallery import staging
from facelatch.gallery.saving import Clash, Terms
from facelatch.gallery.store import GalleryStore
from facelatch.values.records import NewPerson, Reference
from facelatch.values.pictures import Pose

MODEL = {MODEL!r}
noise = np.random.default_rng(1)

def new_person(name):
    return NewPerson(name, False, tuple(
        Reference(noise.integers(0, 256, (112, 112, 3), dtype=np.uint8), noise.random(16, dtype=np.float32))
        for _ in range({REFERENCES})
    ))

def embed(crop):
    return np.full(16, crop.mean(), np.float32)

def report(*words):
    print(*words, flush=True)

home = Path(sys.argv[1])
"""

ADD_AND_REMOVE = (
    PREAMBLE
    + """
store = GalleryStore.open(home)
report("opened")
start = max((int(record.person.name) for record in store.people()), default=0) + 1
for number in itertools.count(start):
    store.add(new_person(str(number)), MODEL)
    report("saved", number)
    if number % 3 == 0:
        report("removing", number - 1)
        store.remove(str(number - 1))
        report("removed", number - 1)
"""
)

ADD_TWO_AND_STAY = (
    PREAMBLE
    + """
store = GalleryStore.open(home)
for number in (1, 2):
    store.add(new_person(str(number)), MODEL)
report("saved both")
signal.pause()
"""
)

KILL_AT_EVERY_STEP = (
    PREAMBLE
    + """
# SQLite calls back every few instructions of its virtual machine: a child dies at the first call, the next
# at the second, and so on until one gets through the whole job. The parent looks at what each has left.
with GalleryStore.open(home) as store:
    store.add(new_person("Anna"), MODEL)

def migrate(store):
    gallery_schema.MIGRATIONS = (*gallery_schema.MIGRATIONS, (
        "ALTER TABLE people ADD COLUMN nickname TEXT",
        "UPDATE people SET nickname = name",
        "CREATE INDEX nicknames ON people (nickname)",
    ))
    gallery_schema._migrate(store._connection, gallery_schema.Context(home))

def import_in_steps(store):
    terms = Terms(MODEL, Clash.REPLACE)
    for name in ("Anna", "Ben"):
        staging.stage(store, "a" * 32, new_person(name), terms)
    staging.admit(store, "a" * 32, terms)

job = {
    "add": lambda store: store.add(new_person("Ben"), MODEL),
    "embed": lambda store: store.load("b" * 64, lambda crop: np.ones(8, np.float32)),
    "import": import_in_steps,
    "replace": lambda store: store.change_references(
        store.people()[0].person, new_person("").references[:2], MODEL, replace=True),
    "migrate": migrate,
}[sys.argv[2]]

def left_behind(copy):
    connection = sqlite3.connect(copy / "gallery.db")
    rows = lambda query: connection.execute(query).fetchall()
    state = {
        "sound": rows("PRAGMA integrity_check") == [("ok",)] and not rows("PRAGMA foreign_key_check"),
        "people": rows("SELECT name, people.id, count(*) FROM people JOIN reference_images ON person_id = people.id"
                       " WHERE staged IS NULL GROUP BY 2 ORDER BY 2"),
        "embeddings": rows("SELECT substr(made_by, 1, 1), count(*) FROM embeddings JOIN reference_images"
                           " ON reference_images.id = reference_id JOIN people ON people.id = person_id"
                           " WHERE staged IS NULL GROUP BY 1"),
        "version": rows("PRAGMA user_version")[0][0],
        "columns": len(rows("PRAGMA table_info(people)")),
    }
    connection.close()
    return state

for step in itertools.count(1):
    copy = shutil.copytree(home, home.with_name(f"killed-{step}"))
    child = os.fork()
    if child == 0:
        store = GalleryStore.open(copy)
        calls = itertools.count(1)
        store._connection.set_progress_handler(
            lambda: os.kill(os.getpid(), signal.SIGKILL) if next(calls) == step else 0, int(sys.argv[3]))
        job(store)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    report(json.dumps({"status": status, "left": left_behind(copy)}))
    if status != signal.SIGKILL:
        sys.exit(status)
"""
)


def child(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
    )


def killed_at_random(home: Path, dice: random.Random) -> list[str]:
    """What a process that adds and removes people reported before it was killed at a random moment."""
    lines: list[str] = []
    wanted = dice.randint(1, 12)
    with child(ADD_AND_REMOVE, str(home)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if len(lines) == wanted:
                for _ in range(dice.randint(0, 60_000)):
                    pass  # a random moment of the next few milliseconds
                process.send_signal(signal.SIGKILL)
    return lines


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_nothing_reported_is_lost_and_nothing_is_half_saved_after_being_killed(
    tmp_path: Path, seed: int
) -> None:
    dice, home = random.Random(seed), tmp_path / "state"
    expected: set[str] = set()
    for _ in range(3):
        undecided = ""
        for line in killed_at_random(home, dice):
            match line.split():
                case ["saved", name]:
                    expected.add(name)
                case ["removing", name]:
                    undecided = name
                case ["removed", name]:
                    expected.remove(name)
                    undecided = ""
        with GalleryStore.open(home) as store:
            records = store.people()
            found = {record.person.name for record in records}
            assert {record.references for record in records} <= {REFERENCES}
            assert expected - {undecided} <= found
            # The one being added when the kill came may be there too, whole; nobody else.
            assert len(found - expected) <= 1
            assert not store.wipe_due
            gallery = store.load(MODEL, lambda crop: np.zeros(16, np.float32))
            assert store.reembedded == 0, "somebody was saved without embeddings"
            assert len(gallery.owners) == REFERENCES * len(found)
        expected = found


TWICE = [["a", 2 * REFERENCES]]
ANNA = ["Anna", 1, REFERENCES]
VERSION = len(schema.MIGRATIONS)
BEFORE = {"sound": True, "people": [ANNA], "embeddings": [["a", REFERENCES]], "version": VERSION, "columns": 11}


@pytest.mark.parametrize(
    ("job", "instructions", "changes"),
    [
        ("add", 50, {"people": [ANNA, ["Ben", 2, REFERENCES]], "embeddings": [["a", 2 * REFERENCES]]}),
        ("embed", 15, {"embeddings": [["b", REFERENCES]]}),
        ("import", 60, {"people": [["Anna", 2, REFERENCES], ["Ben", 3, REFERENCES]], "embeddings": TWICE}),
        ("replace", 40, {"people": [["Anna", 1, 2]], "embeddings": [["a", 2]]}),
        ("migrate", 12, {"version": VERSION + 1, "columns": 12}),
    ],
)
def test_a_kill_at_any_step_leaves_the_state_before_or_the_state_after(
    tmp_path: Path, job: str, instructions: int, changes: dict[str, object]
) -> None:
    after = {**BEFORE, **changes}
    with child(KILL_AT_EVERY_STEP, str(tmp_path / "state"), job, str(instructions)) as process:
        assert process.stdout is not None
        reports = [json.loads(line) for line in process.stdout]
    *killed, finished = reports
    assert len(killed) > 5, "the job was over before it could be killed"
    assert all(report["left"] in (BEFORE, after) for report in killed)
    assert finished == {"status": 0, "left": after}


def test_a_log_left_by_a_killed_process_is_played_back(tmp_path: Path) -> None:
    home = tmp_path / "state"
    with child(ADD_TWO_AND_STAY, str(home)) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "saved both"
        process.send_signal(signal.SIGKILL)
    assert (home / f"{FILE_NAME}-wal").stat().st_size > 0
    with GalleryStore.open(home) as store:
        assert {record.person.name for record in store.people()} == {"1", "2"}


UPGRADE = (
    PREAMBLE
    + """
# A gallery as version 1 of its schema left it, opened anew by children that die one step later each.
from facelatch.gallery.schema import MIGRATIONS
gallery_schema.MIGRATIONS = MIGRATIONS[:1]
home.mkdir(mode=0o700)
gallery_schema._create(home / "gallery.db")
connection = gallery_schema._connect(home / "gallery.db")
for number, name in enumerate(("Anna", "\u0410nna", "Ben")):
    connection.execute("INSERT INTO people (name, name_key, admin) VALUES (?, ?, 0)", (name, name.casefold()))
    connection.execute("INSERT INTO reference_images (person_id, align_version, yaw, pitch, roll, crop_png)"
                       " VALUES (?, 1, 0, 0, 0, x'00')", (number + 1,))
    connection.execute("INSERT INTO embeddings VALUES (?, 'aa/both sides', zeroblob(64))", (number + 1,))
connection.close()
gallery_schema.MIGRATIONS = MIGRATIONS[:2]

def left_behind(copy):
    connection = sqlite3.connect(copy / "gallery.db")
    rows = lambda query: connection.execute(query).fetchall()
    version = rows("PRAGMA user_version")[0][0]
    column = "model_sha256" if version == 1 else "made_by"
    state = [rows("PRAGMA integrity_check") == [("ok",)], version, rows("SELECT name FROM people ORDER BY id"),
             rows(f"SELECT reference_id, {column} FROM embeddings ORDER BY 1"),
             rows("SELECT count(*) FROM sqlite_master WHERE name = 'name_skeletons'")]
    if version > 1:
        state.append(rows("SELECT person_id, skeleton FROM name_skeletons ORDER BY 1, 2"))
    connection.close()
    return state

for step in itertools.count(1):
    copy = shutil.copytree(home, home.with_name(f"killed-{step}"))
    child = os.fork()
    if child == 0:
        connection = gallery_schema._connect(copy / "gallery.db")
        calls = itertools.count(1)
        connection.set_progress_handler(
            lambda: os.kill(os.getpid(), signal.SIGKILL) if next(calls) == step else 0, 12)
        gallery_schema._migrate(connection, gallery_schema.Context(copy / "gallery.db"))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    report(json.dumps({"status": status, "left": left_behind(copy)}))
    if status != signal.SIGKILL:
        sys.exit(status)
"""
)


def test_a_gallery_of_the_first_schema_is_upgraded_whole_or_not_at_all(tmp_path: Path) -> None:
    """Killed at any step it is as before or as after; names that look alike both stay, each with its skeletons."""
    with child(UPGRADE, str(tmp_path / "state")) as process:
        assert process.stdout is not None
        reports = [json.loads(line) for line in process.stdout]
    *killed, finished = reports
    assert len(killed) > 5, "the upgrade was over before it could be killed"
    people = [["Anna"], ["\u0410nna"], ["Ben"]]
    made = [[number, "aa/both sides"] for number in (1, 2, 3)]
    before = [True, 1, people, made, [[0]]]
    after = [True, 2, people, made, [[1]], [[1, "anna"], [2, "anna"], [3, "ben"]]]
    assert all(report["left"] in (before, after) for report in killed)
    assert finished == {"status": 0, "left": after}


SEAL = (
    PREAMBLE
    + """
# A gallery that is sealed, bound, or put under another key, by children that die one step later each.
from facelatch.gallery import binding, rotation
from facelatch.gallery.seal import UNSEALED, Sealed
KEY, NEXT = bytes(32), bytes(range(32))
before = [] if sys.argv[2] == "seal" else [KEY]
whole = lambda store: [store.export(), store.load(MODEL, embed).embeddings.tobytes()]
with GalleryStore.open(home, before) as store:
    store.add(new_person("Anna"), MODEL)
    forgotten = whole(store)
    store.add(new_person("Ben"), MODEL)
    expected = whole(store)
if sys.argv[2] == "bind":  # as it was sealed before all of it was bound
    connection = sqlite3.connect(home / "gallery.db", isolation_level=None)
    old = Sealed(KEY, *connection.execute("SELECT salt, key_id FROM seal").fetchone())
    connection.execute("UPDATE seal SET proof = ?", (old.close(b"facelatch", "proof"),))
    connection.execute("ALTER TABLE seal DROP COLUMN head")
    connection.execute(f"PRAGMA user_version = {gallery_schema.MIGRATIONS.index(binding.MIGRATION)}")
    connection.close()

def job(copy):
    if sys.argv[2] in ("rotate", "forget"):
        with GalleryStore.open(copy, [KEY, NEXT]) as store:
            hooked(store._connection)
            rotation.rotate(store, [KEY, NEXT]) if sys.argv[2] == "rotate" else rotation.forget(store, "Ben", NEXT)
    else:
        adopt = gallery_schema.adopt
        gallery_schema.adopt = lambda connection, *rest: (hooked(connection), adopt(connection, *rest))
        GalleryStore.open(copy, [KEY if before else NEXT]).close()

def left_behind(copy):
    for keys in ([], [KEY], [NEXT]):
        # A gallery that is not sealed is looked at without a key, which would seal it.
        with sqlite3.connect(copy / "gallery.db") as connection:
            sealed = connection.execute("SELECT count(*) FROM seal").fetchone() == (1,)
            sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
        if sealed != bool(keys):
            continue
        try:
            store = GalleryStore.open(copy, keys)
        except Exception:
            continue
        with store:
            right = whole(store) == (forgotten if keys == [NEXT] and sys.argv[2] == "forget" else expected)
            while store.wipe_due:
                store.wipe()
        files = b"".join(file.read_bytes() for file in copy.iterdir())
        plain = b"IHDR" in files
        return [sound, right, plain, {(): "plain", (KEY,): "old", (NEXT,): "new"}[tuple(keys)]]

for step in itertools.count(1):
    copy = shutil.copytree(home, home.with_name(f"killed-{step}"))
    child = os.fork()
    if child == 0:
        calls = itertools.count(1)
        hooked = lambda connection: connection.set_progress_handler(
            lambda: os.kill(os.getpid(), signal.SIGKILL) if next(calls) == step else 0, int(sys.argv[3]))
        job(copy)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    report(json.dumps({"status": status, "left": left_behind(copy)}))
    shutil.rmtree(copy)
    if status != signal.SIGKILL:
        sys.exit(status)
"""
)


@pytest.mark.parametrize(
    ("job", "before", "key"),
    [("seal", [True, True, True, "plain"], "new"), ("bind", [True, True, False, "old"], "old"),
     ("rotate", [True, True, False, "old"], "new"), ("forget", [True, True, False, "old"], "new")],
)  # fmt: skip
def test_a_gallery_is_sealed_bound_or_put_under_another_key_whole_or_not_at_all(
    tmp_path: Path, job: str, before: list[object], key: str
) -> None:
    """Whoever is forgotten with it is there as long as the old key is, and no longer.

    Killed at any step, the next start has everybody under one key, and once it is sealed nothing plain is left."""
    with child(SEAL, str(tmp_path / "state"), job, "25") as process:
        assert process.stdout is not None
        reports = [json.loads(line) for line in process.stdout]
    *killed, finished = reports
    after = [True, True, False, key]
    assert len(killed) > 20, "it was over before it could be killed"
    assert [report["left"] for report in killed if report["left"] not in (before, after)] == []
    assert before in [report["left"] for report in killed]
    assert finished == {"status": 0, "left": after}
