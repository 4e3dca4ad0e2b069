"""The scripts around keys: one for the gallery's seal, one for the list of a release's files. Keys are made here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facelatch.adapters.system import credential
from facelatch.errors import GalleryError
from facelatch.gallery.store import GalleryStore
from facelatch.values.records import NewPerson, Reference

REPO = Path(__file__).resolve().parents[1]
DEPLOY = REPO / "deploy"

# ---- deploy/seal.sh, with the machine's own tools replaced by some that encrypt nothing

STUBS = {
    "id": "echo 0",
    "chown": ":",
    "systemctl": '[ "$1" != is-active ] || exit 3\necho "systemctl $*" >>"$HOME/log"',
    # The "encrypted" file is the key itself, with its name beside it.
    "systemd-creds": 'for last; do :; done\neval "from=\\${$(($# - 1))}"\ncp "$from" "$last"',
    "systemd-run": """
rm -rf "$HOME/credentials"; mkdir "$HOME/credentials"
while [ "${1#--}" != "$1" ]; do
    case $1 in --property=LoadCredentialEncrypted=*)
        pair=${1#--property=LoadCredentialEncrypted=}; cp "${pair#*:}" "$HOME/credentials/${pair%%:*}" ;; esac
    shift
done
shift
CREDENTIALS_DIRECTORY=$HOME/credentials exec "$PYTHON" -m facelatch "$@" """,
}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with the script and what it calls, in which its paths lie; and a plain gallery of one person."""
    for folder in ("etc/facelatch", "etc/systemd/system", "run", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    text = (DEPLOY / "seal.sh").read_text(encoding="utf-8")
    for path in ("/etc/", "/run "):
        text = text.replace(path, f"{tmp_path}{path}")
    (tmp_path / "seal.sh").write_text(text)
    for name, body in STUBS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "etc/facelatch/facelatch.toml").write_text(
        f'[storage]\nstate_directory = "{tmp_path / "state"}"\n[control]\nsocket = "{tmp_path / "none"}"\n'
    )
    crop = np.full((112, 112, 3), 90, np.uint8)
    with GalleryStore.open(tmp_path / "state") as store:
        store.add(NewPerson("Anna", False, (Reference(crop, np.ones(8, np.float32)),)), "a" * 64)
    return tmp_path


def called(machine: Path, *words: str, stop_at: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the script; `stop_at` is the line at which it is cut off, as by a power cut."""
    script = machine / "seal.sh"
    if stop_at:
        text = script.read_text()
        assert text.count(stop_at) == 1
        script = machine / "cut.sh"
        script.write_text(text.replace(stop_at, "kill -9 $$\n"))
    return subprocess.run(
        ["sh", script, *words],
        env={
            "PATH": f"{machine / 'bin'}:{os.environ['PATH']}",
            "HOME": str(machine),
            "PYTHON": sys.executable,
            "PYTHONPATH": str(REPO / "daemon"),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def names(machine: Path, key: bytes) -> list[str]:
    with GalleryStore.open(machine / "state", [key]) as store:
        return [record.person.name for record in store.people()]


def key_of(machine: Path) -> bytes:
    return (machine / "etc/facelatch/seal.cred").read_bytes()


def test_the_key_is_made_once_and_given_to_the_unit(machine: Path) -> None:
    done = called(machine, "make")
    assert done.returncode == 0, done.stderr
    key = key_of(machine)
    assert len(key) == credential.KEY_BYTES
    drop_in = (machine / "etc/systemd/system/facelatch.service.d/seal.conf").read_text()
    assert f"LoadCredentialEncrypted={credential.NAME}:{machine}{credential.FILE}" in drop_in
    assert "RestartPreventExitStatus=243" in drop_in
    assert "there is a key already" in called(machine, "make").stdout
    assert key_of(machine) == key
    assert list((machine / "run").iterdir()) == [], "the key in clear is left"
    assert "sealed, key 1" in called(machine, "status").stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "stop_at",
    [
        "",
        '    encrypt "$key" "$name-next" "$next"\n',
        '    keys="--property=LoadCredentialEncrypted=$name-next:$next"\n',
        '    cp -- "$credential" "$credential.old"\n',
        '    mv -T -- "$becomes" "$credential"\n',
        '    sync "${credential%/*}"\n',
    ],
)
def test_a_rotation_that_was_cut_off_is_finished_by_the_same_command(machine: Path, stop_at: str) -> None:
    """And the old key opens nothing any more, nor is it anywhere."""
    called(machine, "make")
    old = key_of(machine)
    assert names(machine, old) == ["Anna"]
    if stop_at:
        assert called(machine, "rotate", stop_at=stop_at).returncode == -9
    done = called(machine, "rotate")
    assert done.returncode == 0, done.stderr
    assert key_of(machine) != old
    assert names(machine, key_of(machine)) == ["Anna"]
    with pytest.raises(GalleryError, match="another key"):
        GalleryStore.open(machine / "state", [old])
    files = [file for file in machine.rglob("*") if file.is_file() and "credentials" not in str(file)]
    left = {file.name: file.read_bytes() for file in files}
    assert [name for name, content in left.items() if content == old] == []
    assert not {"seal-next.cred", "seal.cred.new"} & left.keys()


def test_a_rotation_that_fails_leaves_the_old_key_in_force_and_the_daemon_started_again(machine: Path) -> None:
    called(machine, "make")
    old = key_of(machine)
    assert names(machine, old) == ["Anna"]
    (machine / "bin/systemd-run").write_text("#!/bin/sh\nexit 1\n")
    (machine / "bin/systemctl").write_text('#!/bin/sh\necho "systemctl $*" >>"$HOME/log"\n')
    done = called(machine, "rotate")
    assert (done.returncode, "still under the old key" in done.stderr) == (1, True)
    assert (machine / "log").read_text().splitlines()[-1] == "systemctl start facelatch.service"
    assert key_of(machine) == old
    assert names(machine, old) == ["Anna"]


def test_the_script_explains_itself_and_refuses_what_it_does_not_know(machine: Path) -> None:
    done = called(machine, "dance")
    assert done.returncode == 2
    assert "sudo facelatch-seal rotate" in done.stderr


# ---- deploy/checksums.sh


def checksums(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", DEPLOY / "checksums.sh", *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "facelatch-1-py3-none-any.whl").write_bytes(b"wheel")
    (folder / "facelatch_1_all.deb").write_bytes(b"package")
    return folder


def test_the_list_of_a_release_names_every_file_and_finds_damage(release: Path) -> None:
    assert checksums(release).returncode == 0
    assert len((release / "SHA256SUMS").read_text().splitlines()) == 2
    done = checksums("--verify", release)
    assert done.returncode == 0, done.stderr
    assert "not signed" in done.stdout
    (release / "facelatch_1_all.deb").write_bytes(b"Package")
    assert checksums("--verify", release).returncode == 1
    (release / "facelatch_1_all.deb").write_bytes(b"package")
    (release / "other.whl").write_bytes(b"not in the list")
    assert "other.whl: not in SHA256SUMS" in checksums("--verify", release).stderr


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="signatures need ssh-keygen")
def test_a_signed_list_is_that_of_who_may_sign_or_is_refused(release: Path, tmp_path: Path) -> None:
    for name in ("key", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"owner@example.org {(tmp_path / 'key.pub').read_text()}")
    assert checksums(release, "--sign", tmp_path / "key").returncode == 0
    done = checksums("--verify", release, allowed)
    assert done.returncode == 0, done.stderr
    assert "signed by owner@example.org" in done.stdout
    with (release / "SHA256SUMS").open("a") as stream:
        stream.write("0" * 64 + "  other.whl\n")
    assert "does not fit" in checksums("--verify", release, allowed).stderr
    assert checksums(release, "--sign", tmp_path / "stranger").returncode == 0
    assert "signed by nobody" in checksums("--verify", release, allowed).stderr
