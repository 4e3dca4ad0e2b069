"""The sealed gallery: what lies on the card says nothing, and nothing in it can be moved, altered or exchanged."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.adapters.system import credential
from facelatch.app import build
from facelatch.audit.events import Event, EventKind
from facelatch.config.file import Config
from facelatch.config.service import SealConfig
from facelatch.errors import GalleryError, InputError
from facelatch.gallery import rows, schema, sealing, staging
from facelatch.gallery.names import skeletons
from facelatch.gallery.rotation import rotate
from facelatch.gallery.saving import Clash, Terms
from facelatch.gallery.seal import UNSEALED, Sealed
from facelatch.gallery.store import FILE_NAME, GalleryStore
from facelatch.values.pictures import Pose
from facelatch.values.records import NewPerson, Reference
from facelatch.vision.references import embed_reference

MODEL, OTHER_MODEL = "a" * 64, "b" * 64
KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
NAME, OTHER_NAME = "Wilhelmina the Unmistakable", "Bartholomäus von Beispiel"
PNG = b"\x89PNG\r\n\x1a\n"


def embed(crop: np.ndarray) -> np.ndarray:
    return crop.reshape(112, 8, 14, 3).mean(axis=(0, 2, 3), dtype=np.float32)


def newcomer(name: str | None, *, seed: int, admin: bool = False, count: int = 3) -> NewPerson:
    random = np.random.default_rng(seed)
    crops = [random.integers(0, 256, (112, 112, 3), dtype=np.uint8) for _ in range(count)]
    return NewPerson(name, admin, tuple(Reference(crop, embed_reference(embed, crop), Pose(0, 0, 0)) for crop in crops))


def fill(home: Path, *keys: bytes) -> Path:
    """Two people in the gallery of `home`; with no `keys` a plain one."""
    with GalleryStore.open(home, keys) as store:
        store.add(newcomer(NAME, seed=1, admin=True), MODEL)
        store.add(newcomer(OTHER_NAME, seed=2), MODEL)
    return home


def everything(home: Path, *keys: bytes) -> object:
    """Whatever a gallery tells of its people."""
    with GalleryStore.open(home, keys) as store:
        gallery = store.load(MODEL, embed)
        assert store.reembedded == 0
        return [
            (record.person, record.references, [one.crop_png for one in kept.references])
            for record, (_, kept) in zip(store.people(), store.stored(), strict=True)
        ], gallery.embeddings.tolist()


def traces() -> list[bytes]:
    """Bytes by which people could be known: of names in every form that is kept, of pictures and of vectors."""
    found = [PNG, b"IHDR"]
    for name, seed in ((NAME, 1), (OTHER_NAME, 2)):
        spellings = {name, name.casefold(), *skeletons(name)}
        found += [one.encode() for one in spellings] + [word.encode() for one in spellings for word in one.split()[-1:]]
        for reference in newcomer(name, seed=seed).references:
            vector = reference.embedding.astype("<f4").tobytes()
            found += [vector, vector[:12], vector[-12:]]
    return found


def raw(home: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(home.iterdir()))


def opened(home: Path) -> sqlite3.Connection:
    return sqlite3.connect(home / FILE_NAME, isolation_level=None)


# What lies on the card


def test_the_search_finds_names_pictures_and_vectors_in_a_plain_gallery(tmp_path: Path) -> None:
    """Or the next test would look for the wrong bytes."""
    left = raw(fill(tmp_path / "state"))
    assert [trace for trace in traces() if trace not in left] == []


@pytest.mark.parametrize("converted", [False, True])
def test_no_file_of_a_sealed_gallery_holds_a_name_a_picture_or_a_vector(tmp_path: Path, converted: bool) -> None:
    """Neither of one that was sealed from the start nor of one that was plain before; while open, and closed."""
    home = tmp_path / "state"
    if converted:
        fill(home)
        store = GalleryStore.open(home, [KEY])
    else:
        fill(home, KEY)
        store = GalleryStore.open(home, [KEY])
    with store:
        terms = Terms(MODEL, Clash.RENAME)
        staging.stage(store, "f" * 32, newcomer("Waiting Walpurga", seed=3), terms)
        assert [trace for trace in [*traces(), b"Walpurga", b"walpurga"] if trace in raw(home)] == []
        staging.admit(store, "f" * 32, terms)
        store.rename("Waiting Walpurga", "Renamed Rumpelstilz")
        store.load(OTHER_MODEL, embed)
        assert not store.wipe_due
        assert [trace for trace in [*traces(), b"umpelstilz"] if trace in raw(home)] == []
    assert [trace for trace in [*traces(), b"Walpurga", b"umpelstilz"] if trace in raw(home)] == []


def test_a_sealed_gallery_answers_as_a_plain_one_does(tmp_path: Path) -> None:
    plain = everything(fill(tmp_path / "plain"))
    assert everything(fill(tmp_path / "sealed", KEY), KEY) == plain
    assert everything(shutil.copytree(tmp_path / "plain", tmp_path / "converted"), KEY) == plain


def test_names_are_looked_up_compared_and_refused_under_the_seal(tmp_path: Path) -> None:
    with GalleryStore.open(fill(tmp_path / "state", KEY), [KEY]) as store:
        assert store.find(NAME.upper()).name == NAME
        with pytest.raises(InputError, match="is taken"):
            store.add(newcomer(NAME.lower(), seed=5), MODEL)
        with pytest.raises(InputError, match="looks like"):
            store.free_name(NAME.replace("a", "\N{CYRILLIC SMALL LETTER A}"))
        with pytest.raises(InputError) as caught:
            store.find("Wilhelmine the Unmistakable")
        assert NAME in caught.value.hint
        assert store.add(newcomer(None, seed=6), MODEL).name == "person-001"
        assert store.set_admin(NAME, False).admin is False
        assert [record.person.name for record in store.people()] == [NAME, OTHER_NAME, "person-001"]


# What is moved or altered

MOVES = {
    "an embedding of one person to another": "UPDATE embeddings SET vector ="
    " (SELECT vector FROM embeddings WHERE reference_id = 4) WHERE reference_id = 1",
    "an embedding to another row of the same person": "UPDATE embeddings SET vector ="
    " (SELECT vector FROM embeddings WHERE reference_id = 2) WHERE reference_id = 1",
    "an image, with its embedding, to another person": "UPDATE reference_images SET person_id = 1 WHERE id = 4",
    "an embedding to another model": f"UPDATE embeddings SET made_by = '{OTHER_MODEL}/both sides'",
    "a name to another person": "UPDATE people SET name = (SELECT name FROM people WHERE id = 1) WHERE id = 2",
    "the right of an admin": "UPDATE people SET admin = 1 WHERE id = 2",
    "a plain name": "UPDATE people SET name = 'Mallory' WHERE id = 2",
    "a plain embedding": "UPDATE embeddings SET vector = x'0000803f0000803f0000803f0000803f'",
    "a cut embedding": "UPDATE embeddings SET vector = substr(vector, 1, 20)",
    "an empty embedding": "UPDATE embeddings SET vector = x''",
}


@pytest.mark.parametrize("statement", MOVES.values(), ids=MOVES.keys())
def test_what_was_moved_or_altered_is_refused_with_exit_code_7(tmp_path: Path, statement: str) -> None:
    home = fill(tmp_path / "state", KEY)
    connection = opened(home)
    connection.execute(statement)
    connection.close()
    with pytest.raises(GalleryError, match="damaged or altered") as caught, GalleryStore.open(home, [KEY]) as store:
        store.load(OTHER_MODEL if "made_by" in statement else MODEL, embed)
    assert caught.value.exit_code == 7


def test_a_crop_of_another_person_is_never_embedded_or_exported(tmp_path: Path) -> None:
    home = fill(tmp_path / "state", KEY)
    connection = opened(home)
    connection.execute("UPDATE reference_images SET crop_png ="
                       " (SELECT crop_png FROM reference_images WHERE id = 4) WHERE id = 1")  # fmt: skip
    connection.close()
    with GalleryStore.open(home, [KEY]) as store:
        for look in (lambda: store.load(OTHER_MODEL, embed), store.export):
            with pytest.raises(GalleryError, match="damaged or altered: crops 1/1"):
                look()


@given(st.binary(max_size=200), st.binary(max_size=80), st.integers(0, 7), st.data())
def test_a_piece_opens_at_its_place_by_its_key_and_unchanged_only(
    data: bytes, noise: bytes, bit: int, draw: st.DataObject
) -> None:
    seal = Sealed(KEY, b"s" * 32, 1)
    piece = seal.close(data, "crops", 1, 2)
    assert seal.open(piece, "crops", 1, 2) == data
    assert piece != seal.close(data, "crops", 1, 2)
    at = draw.draw(st.integers(0, len(piece) - 1))
    changed = piece[:at] + bytes([piece[at] ^ 1 << bit]) + piece[at + 1 :]
    others = [Sealed(OTHER_KEY, b"s" * 32, 1), Sealed(KEY, b"t" * 32, 1), Sealed(KEY, b"s" * 32, 2)]
    refused: list[Callable[[], bytes]] = [
        lambda: seal.open(changed, "crops", 1, 2),
        lambda: seal.open(piece[:at], "crops", 1, 2),
        lambda: seal.open(noise, "crops", 1, 2),
        lambda: seal.open(piece, "crops", 2, 2),
        lambda: seal.open(piece, "crops", 1, 3),
        lambda: seal.open(piece, "crops", 12),
        lambda: seal.open(piece, "names", 1, 2),
        *(lambda other=other: other.open(piece, "crops", 1, 2) for other in others),
    ]
    for way in refused:
        with pytest.raises(GalleryError):
            way()


@given(st.text(max_size=80).filter(lambda text: text.isprintable()))
def test_texts_come_back_and_their_index_tells_nothing_without_the_key(text: str) -> None:
    seal, other = Sealed(KEY, b"s" * 32, 1), Sealed(OTHER_KEY, b"s" * 32, 1)
    assert seal.open_text(seal.close_text(text, "names", 1), "names", 1) == text
    assert seal.index(text) == Sealed(KEY, b"s" * 32, 1).index(text) != other.index(text)
    with pytest.raises(GalleryError):
        seal.open_text(text, "names", 1)


def test_every_purpose_has_a_key_of_its_own() -> None:
    seal = Sealed(KEY, b"s" * 32, 1)
    keys = {seal.derived(purpose) for purpose in ("crops", "embeddings", "names", "index", "pins")}
    assert len(keys) == 5
    assert KEY not in keys
    assert UNSEALED.derived("pins") is None


# The key


@pytest.mark.parametrize(("keys", "fault"), [((), "no key is there"), ((OTHER_KEY,), "sealed with another key")])
def test_without_its_key_a_gallery_is_refused_and_stays_as_it_is(
    tmp_path: Path, keys: tuple[bytes, ...], fault: str
) -> None:
    """Never a new, empty gallery, in which the next comer would be the first."""
    home = fill(tmp_path / "state", KEY)
    before = (home / FILE_NAME).read_bytes()
    with pytest.raises(GalleryError, match=fault) as caught:
        GalleryStore.open(home, keys)
    assert caught.value.exit_code == 7
    assert "restore from an export" in caught.value.hint
    assert (home / FILE_NAME).read_bytes() == before
    with GalleryStore.open(home, [KEY]) as store:
        assert len(store.people()) == 2


def test_a_plain_gallery_whose_pictures_are_none_is_not_sealed_over(tmp_path: Path) -> None:
    """Such as a sealed one of which somebody has deleted the row that says so."""
    home = fill(tmp_path / "state", KEY)
    connection = opened(home)
    connection.execute("DELETE FROM seal")
    connection.close()
    with pytest.raises(GalleryError, match="6 images are no pictures"):
        GalleryStore.open(home, [KEY])


def test_with_a_key_the_journal_has_numbers_instead_of_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is encrypted in the gallery would stand in clear in the journal beside it."""
    told = Event(EventKind.PERSON_REMOVED, {"PERSON": "Anna", "PERSON_ID": 7})
    said = {}
    for sealed in (False, True):
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / f"credentials-{sealed}"))
        if sealed:
            (tmp_path / "credentials-True").mkdir()
            (tmp_path / "credentials-True" / credential.NAME).write_bytes(bytes(credential.KEY_BYTES))
        build.build_audit(Config()).write(told)
        said[sealed] = capsys.readouterr().err
    assert "Anna" in said[False]
    assert "Anna" not in said[True]
    assert "7" in said[True]


def test_the_key_is_the_credential_of_the_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert credential.seal_keys(SealConfig()) == ()
    with pytest.raises(GalleryError, match="there is no credential"):
        credential.seal_keys(SealConfig(key="credential"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert credential.seal_keys(SealConfig()) == ()
    (tmp_path / credential.NAME).write_bytes(KEY)
    assert credential.seal_keys(SealConfig()) == credential.seal_keys(SealConfig(key="credential")) == (KEY,)
    assert credential.seal_keys(SealConfig(key="none")) == ()
    assert credential.is_sealed(SealConfig())
    (tmp_path / credential.NAME).unlink()
    assert not credential.is_sealed(SealConfig())
    (tmp_path / credential.NEXT).write_bytes(OTHER_KEY)
    assert credential.seal_keys(SealConfig()) == (OTHER_KEY,)
    assert credential.is_sealed(SealConfig()), "or the journal would have names"
    (tmp_path / credential.NAME).write_bytes(KEY)
    assert credential.seal_keys(SealConfig()) == (KEY, OTHER_KEY)
    (tmp_path / credential.NAME).write_bytes(KEY[:31])
    with pytest.raises(GalleryError, match="31 bytes, a key has 32"):
        credential.seal_keys(SealConfig())


def test_what_the_key_is_kept_by_is_read_from_the_credential_file(tmp_path: Path) -> None:
    assert credential.level(tmp_path / "missing") == "unknown"
    file = tmp_path / "seal.cred"
    file.write_text("not base64!!")
    assert credential.level(file) == "unknown"
    creds = shutil.which("systemd-creds")
    if creds is None:
        pytest.skip("no systemd-creds here: that a real file is recognised is unchecked")
    key = tmp_path / "key"
    key.write_bytes(KEY)
    made = subprocess.run(
        [creds, "encrypt", "--with-key=host", f"--name={credential.NAME}", key, file],
        env={"SYSTEMD_CREDENTIAL_SECRET": str(tmp_path / "secret"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("systemd-creds makes no host key here")
    assert credential.level(file) == "host key"


def test_another_key_seals_everything_anew_and_the_old_one_opens_nothing(tmp_path: Path) -> None:
    home = fill(tmp_path / "state", KEY)
    before = everything(home, KEY)
    with GalleryStore.open(home, [KEY, OTHER_KEY]) as store:
        assert rotate(store, [KEY, OTHER_KEY]) == 2
        assert rotate(store, [KEY, OTHER_KEY]) == 2, "it is done already"
    with pytest.raises(GalleryError, match="another key"):
        GalleryStore.open(home, [KEY])
    assert everything(home, OTHER_KEY) == before


def test_the_same_key_under_another_number_seals_everything_anew(tmp_path: Path) -> None:
    home = fill(tmp_path / "state", KEY)
    before = everything(home, KEY)
    pieces = "SELECT name FROM people UNION SELECT crop_png FROM reference_images UNION SELECT vector FROM embeddings"
    connection = opened(home)
    old = {row[0] for row in connection.execute(pieces)}
    connection.close()
    with GalleryStore.open(home, [KEY]) as store:
        store.load(MODEL, embed)
        assert rotate(store, [KEY]) == 2
        assert len(store.load(MODEL, embed).people) == 2
    connection = opened(home)
    assert not old & {row[0] for row in connection.execute(pieces)}
    connection.close()
    assert everything(home, KEY) == before


def test_the_secret_that_pins_are_hashed_with_is_sealed_and_outlives_the_key(tmp_path: Path) -> None:
    """It lies in a file of its own in a plain gallery; sealed, no file has it, and no PIN has to be set again."""
    home, secret = fill(tmp_path / "state"), bytes(range(100, 132))
    file = home / sealing.PEPPER_FILE
    file.write_bytes(secret)
    with GalleryStore.open(home) as store:
        assert store.seal.pepper is None
    assert file.read_bytes() == secret
    with GalleryStore.open(home, [KEY]) as store:
        assert store.seal.pepper == secret
    assert not file.exists()
    assert secret not in raw(home)
    file.write_bytes(secret)  # as after a crash before it was cleared
    with GalleryStore.open(home, [KEY, OTHER_KEY]) as store:
        rotate(store, [KEY, OTHER_KEY])
        assert store.seal.pepper == secret
    assert not file.exists()
    with GalleryStore.open(fill(tmp_path / "other", KEY), [KEY]) as store:
        assert len(store.seal.pepper or b"") == 32


def test_a_gallery_that_is_not_sealed_has_no_key_to_replace(tmp_path: Path) -> None:
    with GalleryStore.open(fill(tmp_path / "state")) as store, pytest.raises(InputError, match="not sealed"):
        rotate(store, [])


def failing(*_: object) -> None:
    raise sqlite3.OperationalError("disk I/O error")


def test_a_conversion_that_fails_half_way_leaves_the_plain_gallery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = fill(tmp_path / "state")
    before = everything(home)
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "_image_put_under", failing)
        with pytest.raises(GalleryError):
            GalleryStore.open(home, [KEY])
    assert everything(home) == before


def test_a_rotation_that_fails_half_way_leaves_the_old_key_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = fill(tmp_path / "state", KEY)
    before = everything(home, KEY)
    with GalleryStore.open(home, [KEY, OTHER_KEY]) as store, monkeypatch.context() as patch:
        patch.setattr(sealing, "_image_put_under", failing)
        with pytest.raises(GalleryError):
            rotate(store, [KEY, OTHER_KEY])
        assert store.seal.is_from(KEY)
        assert len(store.load(MODEL, embed).people) == 2
    assert everything(home, KEY) == before


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
def test_a_gallery_of_any_earlier_schema_is_migrated_and_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    home = tmp_path / "state"
    home.mkdir(mode=0o700)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:version])
        schema._create(home / FILE_NAME)
        connection = opened(home)
        connection.execute("INSERT INTO people (name, name_key, admin) VALUES (?, ?, 1)", (NAME, NAME.casefold()))
        if version > 1:
            connection.executemany("INSERT INTO name_skeletons VALUES (1, ?)", [(one,) for one in skeletons(NAME)])
        connection.close()
    with GalleryStore.open(home, [KEY]) as store:
        assert store.find(NAME).admin
    assert [trace for trace in (NAME.encode(), NAME.casefold().encode()) if trace in raw(home)] == []


# What it costs


def test_a_plain_gallery_needs_no_library_for_encryption(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; import facelatch.cli.root, facelatch.cli.people, facelatch.app.run;"
        "from facelatch.gallery.store import GalleryStore;"
        "GalleryStore.open(Path(sys.argv[1])).close();"
        "print(*[one for one in ('cryptography', 'pyrage') if one in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "state")],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert answer.stdout.split() == []


def test_rows_are_not_read_to_seal_more_than_their_names(tmp_path: Path) -> None:
    """A list of people opens names, and no picture."""
    with GalleryStore.open(fill(tmp_path / "state", KEY), [KEY]) as store:
        assert isinstance(store.seal, Sealed)
        store.seal._ciphers.clear()
        store.people()
        assert set(store.seal._ciphers) == {"names"}
        assert rows.EMBEDDING not in store.seal._ciphers
