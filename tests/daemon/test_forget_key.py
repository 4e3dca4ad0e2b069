"""Whoever is forgotten with a receipt leaves nothing that the key in force can open, in whatever old copy."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_seal import KEY, MODEL, NAME, OTHER_KEY, OTHER_NAME, embed, everything, failing, fill, opened

from facelatch.adapters.system import credential
from facelatch.cli import receipts
from facelatch.cli.root import facelatch
from facelatch.errors import GalleryError, InputError
from facelatch.gallery import rotation, sealing
from facelatch.gallery.seal import Sealed
from facelatch.gallery.store import FILE_NAME, GalleryStore
from facelatch.ledger import tables


def pieces(home: Path) -> list[tuple[bytes, str, tuple[object, ...]]]:
    """Every sealed piece of the first person, with its purpose and place."""
    with closing(opened(home)) as connection:
        images = "SELECT crop_png, id, person_id FROM reference_images WHERE person_id = 1"
        crops = connection.execute(images).fetchall()
        vectors = connection.execute(
            "SELECT vector, reference_id, person_id, made_by FROM embeddings"
            " JOIN reference_images ON reference_id = reference_images.id WHERE person_id = 1"
        ).fetchall()
    return [(crop, "crops", place) for crop, *place in crops] + [(one, "embeddings", place) for one, *place in vectors]


def salts(home: Path) -> list[tuple[bytes, int]]:
    with closing(opened(home)) as connection:
        return [(salt, key_id) for salt, key_id in connection.execute("SELECT salt, key_id FROM seal")]


def test_with_another_key_no_old_copy_of_a_forgotten_person_opens(tmp_path: Path) -> None:
    """By any salt and number that there was; with the key of then, which is gone, it would."""
    home = fill(tmp_path / "state", KEY)
    old, numbers = pieces(home), salts(home)
    copy = shutil.copytree(home, tmp_path / "copy")
    with GalleryStore.open(home, [KEY, OTHER_KEY]) as store:
        assert rotation.forget(store, NAME, OTHER_KEY).name == NAME
    numbers += salts(home)
    assert len(old) == 6
    for piece, purpose, place in old:
        assert Sealed(KEY, *numbers[0]).open(piece, purpose, *place)
        for salt, number in [*numbers, (numbers[0][0], numbers[1][1]), (numbers[1][0], numbers[0][1])]:
            with pytest.raises(GalleryError):
                Sealed(OTHER_KEY, salt, number).open(piece, purpose, *place)
    with pytest.raises(GalleryError, match="another key"):
        GalleryStore.open(copy, [OTHER_KEY])
    with GalleryStore.open(home, [OTHER_KEY]) as store:
        assert [record.person.name for record in store.people()] == [OTHER_NAME]
        assert len(store.load(MODEL, embed).people) == 1


def test_forgetting_that_fails_half_way_leaves_person_and_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = fill(tmp_path / "state", KEY)
    before = everything(home, KEY)
    with GalleryStore.open(home, [KEY, OTHER_KEY]) as store, monkeypatch.context() as patch:
        patch.setattr(sealing, "_image_put_under", failing)
        with pytest.raises(GalleryError):
            rotation.forget(store, NAME, OTHER_KEY)
    assert everything(home, KEY) == before


def test_a_key_that_is_in_force_replaces_nothing(tmp_path: Path) -> None:
    """Such as after a change of keys that was cut off after the gallery and before the credential."""
    home = fill(tmp_path / "state", OTHER_KEY)
    with GalleryStore.open(home, [KEY, OTHER_KEY]) as store:
        with pytest.raises(InputError, match="cut off"):
            rotation.forget(store, NAME, OTHER_KEY)
        assert len(store.people()) == 2
    with GalleryStore.open(fill(tmp_path / "plain")) as store, pytest.raises(InputError, match="not sealed"):
        rotation.forget(store, NAME, OTHER_KEY)


Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line of root at a sealed door whose daemon is stopped; `facelatch-seal` gives both keys."""
    fill(tmp_path / "state", KEY)
    toml = tmp_path / "facelatch.toml"
    toml.write_text(
        f'[storage]\nstate_directory = "{tmp_path}/state"\n[control]\nsocket = "{tmp_path}/none.sock"\ngroup = ""\n'
    )
    for name, keys in (("one", {credential.NAME: KEY}), ("both", {credential.NAME: KEY, credential.NEXT: OTHER_KEY})):
        (tmp_path / name).mkdir()
        for file, key in keys.items():
            (tmp_path / name / file).write_bytes(key)
    monkeypatch.setattr(receipts, "SEAL", toml)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(credential, "FILE", toml)

    def asked(*words: str, keys: str | None = None) -> Any:
        with monkeypatch.context() as patch:
            if keys:
                patch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / keys))
            return CliRunner().invoke(facelatch, ["--config", str(toml), *words])

    def seal(command: list[str], **_: object) -> Any:
        assert command[:2] == [str(toml), "rotate"]
        answer = asked(*command[2:], keys="both")
        return subprocess.CompletedProcess(command, answer.exit_code, answer.stdout)

    monkeypatch.setattr("facelatch.cli.receipts.subprocess.run", seal)
    return asked


def test_a_receipt_says_that_the_key_was_replaced_and_its_hash_is_in_the_ledger(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    done = run("people", "forget", NAME, "--yes", "--receipt", str(file))
    assert done.exit_code == 0, done.exception
    receipt = json.loads(file.read_text(encoding="ascii"))
    assert receipt["key"] == {"before": 1, "now": 2}
    assert receipt["removed"]["images"] == 3
    with closing(sqlite3.connect(tmp_path / "state" / tables.NAME)) as ledger:
        ((fields,),) = ledger.execute("SELECT fields FROM rows WHERE kind = 'gallery.person_receipt'").fetchall()
    assert json.loads(fields)["HASH"] == hashlib.sha256(file.read_bytes()).hexdigest()
    with GalleryStore.open(tmp_path / "state", [OTHER_KEY]) as store:
        assert [record.person.name for record in store.people()] == [OTHER_NAME]


def test_the_cost_of_another_key_is_told_before_anything_is_done(run: Run, tmp_path: Path) -> None:
    before = (tmp_path / "state" / FILE_NAME).read_bytes()
    done = run("people", "forget", NAME, "--receipt", str(tmp_path / "receipt.json"))
    assert "the door is locked until everybody else is sealed anew" in done.output
    assert (tmp_path / "state" / FILE_NAME).read_bytes() == before


def test_the_key_stays_where_that_is_asked_for_and_the_receipt_says_so(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    done = run("people", "forget", NAME, "--yes", "--receipt", str(file), "--keep-key", keys="one")
    assert done.exit_code == 0, done.exception
    assert json.loads(file.read_text(encoding="ascii"))["key"] == {"before": 1, "now": 1}
    assert len(everything(tmp_path / "state", KEY)[0]) == 1  # type: ignore[index]


def test_whoever_cannot_make_another_key_gets_no_receipt_that_promises_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    before = (tmp_path / "state" / FILE_NAME).read_bytes()
    done = run("people", "forget", NAME, "--yes", "--receipt", str(tmp_path / "receipt.json"))
    assert "takes another key, which only root can make" in str(done.exception)
    assert "--keep-key" in done.exception.hint
    assert (tmp_path / "state" / FILE_NAME).read_bytes() == before
    assert not (tmp_path / "receipt.json").exists()


def test_somebody_who_is_not_enrolled_costs_no_key(run: Run, tmp_path: Path) -> None:
    done = run("people", "forget", "Nobody", "--yes", "--receipt", str(tmp_path / "receipt.json"))
    assert "is not forgotten" in str(done.exception)
    assert len(everything(tmp_path / "state", KEY)[0]) == 2  # type: ignore[index]
    assert not (tmp_path / "receipt.json").exists()


def test_a_plain_gallery_has_no_key_to_replace(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(tmp_path / "state")
    fill(tmp_path / "state")
    monkeypatch.setattr(credential, "FILE", tmp_path / "missing")
    file = tmp_path / "receipt.json"
    done = run("people", "forget", NAME, "--yes", "--receipt", str(file))
    assert done.exit_code == 0, done.exception
    assert json.loads(file.read_text(encoding="ascii"))["key"] is None
