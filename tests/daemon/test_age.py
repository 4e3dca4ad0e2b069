"""Exports and backups: nobody but the holder of the key or the passphrase reads them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import numpy as np
import pyrage
import pytest
from click.testing import CliRunner, Result

from facelatch.cli import exports
from facelatch.cli.root import facelatch
from facelatch.errors import InputError
from facelatch.gallery import age
from facelatch.gallery.export import StoredPerson, StoredReference, read_export
from facelatch.gallery.store import GalleryStore
from facelatch.private_files import private_file
from facelatch.values.pictures import Pose
from facelatch.values.records import NewPerson, Reference
from facelatch.vision.png import encode_png

PASSPHRASE = "correct horse battery staple"
NAME = "Wilhelmina the Unmistakable"


def write_for(file: Path, everybody: Iterable[StoredPerson], to: str) -> int:
    with private_file(file) as stream:
        return exports.write(stream, everybody, to=[to])


def people(count: int = 3) -> list[StoredPerson]:
    noise = np.random.default_rng(1)
    crops = [encode_png(noise.integers(0, 256, (112, 112, 3), dtype=np.uint8)) for _ in range(count)]
    return [StoredPerson(f"{NAME} {n}", False, (StoredReference(crop, Pose(0, 0, 0)),)) for n, crop in enumerate(crops)]


@pytest.fixture
def key(tmp_path: Path) -> tuple[str, Path]:
    """The public key, and the file with the private one."""
    identity = pyrage.x25519.Identity.generate()
    file = tmp_path / "key.txt"
    file.write_text(f"# created by a test\n{identity}\n")
    return str(identity.to_public()), file


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Calls a command on a gallery in which one person is."""
    config = tmp_path / "facelatch.toml"
    config.write_text(
        f'[storage]\nstate_directory = "{tmp_path / "state"}"\n[control]\nsocket = "{tmp_path / "none"}"\n'
    )
    crop = np.full((112, 112, 3), 90, np.uint8)
    with GalleryStore.open(tmp_path / "state") as store:
        store.add(NewPerson(NAME, False, (Reference(crop, np.ones(8, np.float32)),)), "a" * 64)

    def call(*words: object, told: str = "") -> Result:
        return CliRunner().invoke(facelatch, ["--config", str(config), *map(str, words)], input=told)

    return call


def test_what_is_written_for_a_key_is_read_with_it_alone(tmp_path: Path, key: tuple[str, Path]) -> None:
    """And nothing of it, nor of a draft of it, lies in clear."""
    file, wrong = tmp_path / "people.age", tmp_path / "wrong.txt"
    wrong.write_text(str(pyrage.x25519.Identity.generate()))
    assert write_for(file, people(), key[0]) == 3
    content = file.read_bytes()
    assert content.startswith(b"age-encryption.org/v1\n")
    assert not [trace for trace in (b"PNG", b"IHDR", NAME.encode(), b"people.json") if trace in content]
    assert {one.name for one in tmp_path.iterdir()} == {"people.age", "key.txt", "wrong.txt"}
    with exports.opened(file, key[1]) as stream:
        assert list(read_export(stream)) == people()
    faults = ((wrong, "cannot be decrypted"), (None, "for the holder of a key"), (file, "cannot be read"))
    for identity, fault in faults:
        with pytest.raises(InputError, match=fault), exports.opened(file, identity):
            pass


def test_a_damaged_file_is_never_half_read(tmp_path: Path, key: tuple[str, Path]) -> None:
    file = tmp_path / "people.age"
    write_for(file, people(8), key[0])
    whole = file.read_bytes()
    for changed in (whole[:-1], whole[:200], whole[:70_000] + bytes([whole[70_000] ^ 1]) + whole[70_001:]):
        file.write_bytes(changed)
        with pytest.raises(InputError, match="cannot be decrypted"), exports.opened(file, key[1]):
            pass


def test_an_export_that_fails_leaves_no_file(tmp_path: Path, key: tuple[str, Path]) -> None:
    def failing() -> Iterable[StoredPerson]:
        yield people()[0]
        raise InputError("the daemon has gone")

    with pytest.raises(InputError, match="the daemon has gone"):
        write_for(tmp_path / "people.age", failing(), key[0])
    assert not list(tmp_path.glob("*people*"))


def test_a_disk_that_is_full_is_told_and_not_waited_for(key: tuple[str, Path]) -> None:
    """More than a pipe holds is written, so whoever writes would wait for ever for a reader that has gone."""

    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, _data: object) -> int:
            raise OSError(28, "No space left on device")

    everything = bytes(10_000_000)
    with (
        pytest.raises(InputError, match="cannot be encrypted"),
        age.encrypting(Full(), age.recipients([key[0]])) as stream,
    ):
        stream.write(everything)


@pytest.mark.slow
def test_a_passphrase_opens_what_was_written_under_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, told = tmp_path / "people.age", [PASSPHRASE, "another passphrase"]
    monkeypatch.setattr(click, "prompt", lambda *_, **__: told[0])
    with private_file(file) as stream:
        assert exports.write(stream, people(), passphrase=exports.new_passphrase()) == 3
    assert b"IHDR" not in file.read_bytes()
    with exports.opened(file) as stream:
        assert list(read_export(stream)) == people()
    told.pop(0)
    with pytest.raises(InputError, match="cannot be decrypted"), exports.opened(file):
        pass


def test_a_short_passphrase_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click, "prompt", lambda *_, **__: "door")
    with pytest.raises(InputError, match="at least 12"):
        exports.new_passphrase()


@pytest.mark.parametrize("words", [[], ["--plain", "--passphrase"], ["--to", "age1x", "--plain"]])
def test_an_export_says_who_may_read_it(run: Run, tmp_path: Path, words: list[str]) -> None:
    """Nothing is written in clear because somebody forgot an option."""
    result = run("people", "export", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert "--plain" in result.output
    assert not (tmp_path / "out").exists()


def test_a_recipient_that_is_none_is_refused_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    result = run("people", "export", tmp_path / "out", "--to", "age1nonsense")
    assert isinstance(result.exception, InputError)
    assert not list(tmp_path.glob("*out*"))


def test_the_commands_write_for_a_key_and_read_with_it(
    run: Run, tmp_path: Path, key: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "people.age"
    assert run("people", "export", file, "--to", key[0]).exit_code == 0
    monkeypatch.setattr("facelatch.cli.people.import_all", lambda _config, everybody, *_: taken(list(everybody)))

    def taken(everybody: list[StoredPerson]) -> dict[str, object]:
        names = [person.name for person in everybody]
        return {"count": len(names), "names": names, "skipped": [], "warnings": [], "admins": []}

    result = run("people", "import", file, "--identity", key[1])
    assert result.output.endswith(f"1 person imported: {NAME}\n")
    assert isinstance(run("people", "import", file).exception, InputError)


def test_backups_are_encrypted_and_the_oldest_go(run: Run, tmp_path: Path, key: tuple[str, Path]) -> None:
    folder, recipients = tmp_path / "backups", tmp_path / "recipients"
    folder.mkdir()
    recipients.write_text(f"# the lady of the house\n{key[0]}\n")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    old = [folder / exports.backup_name(start + timedelta(days=day)) for day in range(5)]
    for file in [*old, folder / "holiday.jpg"]:
        file.write_bytes(b"")
    result = run("people", "backup", folder, "--recipients", recipients, "--keep", 3, "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["removed"] == [file.name for file in old[:3]]
    assert {file.name for file in folder.iterdir()} == {old[3].name, old[4].name, told["file"], "holiday.jpg"}
    with exports.opened(folder / told["file"], key[1]) as stream:
        assert [person.name for person in read_export(stream)] == [NAME]


def test_a_backup_that_fails_removes_none(run: Run, tmp_path: Path) -> None:
    folder, recipients = tmp_path / "backups", tmp_path / "recipients"
    folder.mkdir()
    (folder / exports.backup_name()).write_bytes(b"")
    for text in ("# nobody\n", "age1nonsense\n"):
        recipients.write_text(text)
        assert isinstance(run("people", "backup", folder, "--recipients", recipients).exception, InputError)
    assert len(list(folder.iterdir())) == 1
