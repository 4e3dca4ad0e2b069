"""An older copy of a sealed gallery, or another one, does not serve in place of the one that was there last."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from test_desk import people
from test_seal import KEY, MODEL, NAME, OTHER_NAME, newcomer

from facelatch.adapters.system import credential
from facelatch.api import generation
from facelatch.app.build import open_gallery
from facelatch.cli.asking import audited
from facelatch.cli.root import facelatch
from facelatch.config.file import Config, load
from facelatch.errors import GalleryError
from facelatch.gallery.export import pack
from facelatch.gallery.store import FILE_NAME, GalleryStore
from facelatch.ledger import tables


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Of a door with a key; `config.storage.state_directory` has a sealed gallery, and a ledger that knows of it."""
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / credential.NAME).write_bytes(KEY)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    file = tmp_path / "facelatch.toml"
    file.write_text(
        f'[storage]\nstate_directory = "{tmp_path}/state"\n[control]\nsocket = "{tmp_path}/none.sock"\ngroup = ""\n'
    )
    monkeypatch.setenv("FACELATCH_CONFIG", str(file))
    found = load(file)
    with open_gallery(found) as store:
        store.add(newcomer(NAME, seed=1, admin=True), MODEL)
    noted(found)
    return found


def home_of(config: Config) -> Path:
    return Path(config.storage.state_directory)


def noted(config: Config) -> None:
    """What a daemon writes down of the gallery."""
    with open_gallery(config) as store, audited(config) as audit:
        for event in generation.told(store):
            audit.write(event)


def copied(config: Config) -> Path:
    return Path(shutil.copytree(home_of(config), home_of(config).with_name("copy")))


def put_back(config: Config, copy: Path, *names: str) -> None:
    for name in names:
        shutil.copy(copy / name, home_of(config) / name)


def changed(config: Config) -> None:
    with open_gallery(config) as store:
        store.add(newcomer(OTHER_NAME, seed=2), MODEL)
        store.remove(OTHER_NAME)
    noted(config)


def command(config: Config, *words: str) -> Result:
    return CliRunner().invoke(facelatch, ["--config", str(home_of(config).with_name("facelatch.toml")), *words])


def test_an_older_copy_of_the_gallery_is_refused_and_stays_as_it_is(config: Config) -> None:
    copy = copied(config)
    changed(config)
    put_back(config, copy, FILE_NAME)
    before = (home_of(config) / FILE_NAME).read_bytes()
    with pytest.raises(GalleryError, match="older copy, of generation") as caught:
        open_gallery(config)
    assert caught.value.exit_code == 7
    assert "seal accept" in caught.value.hint
    assert (home_of(config) / FILE_NAME).read_bytes() == before


def test_a_gallery_put_in_its_place_is_refused(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain one with others in it, which would be sealed and served; and where the key is gone as well."""
    with GalleryStore.open(tmp_path / "other") as store:
        store.add(newcomer("Mallory", seed=9, admin=True), MODEL)
    changed(config)
    put_back(config, tmp_path / "other", FILE_NAME)
    with pytest.raises(GalleryError, match="is another one than the ledger knows"):
        open_gallery(config)
    put_back(config, tmp_path / "other", FILE_NAME)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(GalleryError, match="is not sealed, and another one"):
        open_gallery(config)


def test_whoever_has_put_an_older_gallery_back_says_so_once(config: Config) -> None:
    copy = copied(config)
    changed(config)
    put_back(config, copy, FILE_NAME)
    assert json.loads(command(config, "seal", "accept", "--json").stdout)["GENERATION"]
    noted(config)  # it is served
    assert "nothing to accept" in str(command(config, "seal", "accept").exception)
    with closing(sqlite3.connect(home_of(config) / tables.NAME)) as ledger:
        ((fields,),) = ledger.execute("SELECT fields FROM rows WHERE kind = 'gallery.accepted'").fetchall()
    assert "UID" in fields
    changed(config)
    put_back(config, copy, FILE_NAME)
    with pytest.raises(GalleryError, match="older copy"):
        open_gallery(config)


def test_a_gallery_ahead_of_its_ledger_serves(config: Config) -> None:
    """Such as after a power cut: the gallery is on the card before the ledger hears of it."""
    with open_gallery(config) as store:
        store.add(newcomer(OTHER_NAME, seed=2), MODEL)
    open_gallery(config).close()


def test_an_older_pair_of_gallery_and_ledger_is_not_noticed_here(config: Config) -> None:
    """That takes an anchor kept elsewhere: what is promised is no more than this."""
    copy = copied(config)
    changed(config)
    with closing(sqlite3.connect(home_of(config) / tables.NAME)) as ledger:
        ((seq, digest),) = ledger.execute("SELECT seq, hash FROM rows ORDER BY seq DESC LIMIT 1").fetchall()
    anchor = home_of(config).with_name("anchor")
    anchor.write_text(f"{seq} {digest.hex()}")
    put_back(config, copy, FILE_NAME, tables.NAME, "ledger.key")
    open_gallery(config).close()
    found = command(config, "ledger", "verify", "--anchor", str(anchor))
    assert found.exit_code != 0
    assert "the end is cut off" in found.output + found.stderr


@pytest.mark.parametrize("harm", [lambda file: file.unlink(), lambda file: file.write_bytes(b"no ledger" * 999)])
def test_a_ledger_that_is_gone_or_damaged_keeps_nobody_out(config: Config, harm: Callable[[Path], None]) -> None:
    changed(config)
    harm(home_of(config) / tables.NAME)
    open_gallery(config).close()


def test_a_plain_gallery_has_no_number(tmp_path: Path) -> None:
    with GalleryStore.open(tmp_path / "plain") as store:
        store.add(newcomer(NAME, seed=1), MODEL)
        assert generation.told(store) == ()


def test_check_says_that_it_is_an_older_copy(config: Config) -> None:
    copy = copied(config)
    changed(config)
    put_back(config, copy, FILE_NAME)
    found = command(config, "check", "--no-hardware")
    assert found.exit_code != 0
    assert "older copy, of generation" in found.output


def test_a_running_door_writes_down_each_change_of_its_gallery_and_the_last_one(
    served: Callable[..., Any], tmp_path: Path
) -> None:
    door = served(sections={}, keys=(KEY,))
    door.client.ask({"action": "list"})

    def known() -> tuple[str, int]:
        door.client.ask({"action": "history"})  # waits for what was written before
        return tables.last_generation(tmp_path / "state" / tables.NAME)

    begun = known()
    assert begun[1] > 0
    door.client.ask({"action": "rename", "name": "Ben", "new_name": "Benjamin"})
    door.client.ask({"action": "list"})
    assert known() > begun
    part = {"action": "import", "batch": "ab" * 16, "part": 0, "more": True}
    door.client.ask(part, pack(people(1)))  # which changes the gallery, and nothing at the door
    door.close()
    with GalleryStore.open(tmp_path / "state", [KEY]) as store:
        assert tables.last_generation(tmp_path / "state" / tables.NAME) == store.generation


def test_the_daemon_does_not_serve_an_older_copy(config: Config) -> None:
    """It ends with exit code 7, before it is ready, and the fault is in its log."""
    copy = copied(config)
    changed(config)
    put_back(config, copy, FILE_NAME)
    done = command(config, "run", "--dry-run")
    assert isinstance(done.exception, GalleryError)
    assert "older copy" in str(done.exception)
    assert "start_gallery" in done.stderr
    assert "Ready" not in done.stderr
