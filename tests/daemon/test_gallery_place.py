"""Where a gallery lies, and whether it stays there."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import numpy as np
import pytest

from facelatch.errors import GalleryError
from facelatch.gallery import place
from facelatch.gallery.place import volatile_file_system
from facelatch.gallery.store import GalleryStore
from facelatch.values.records import NewPerson, Reference

ANNA = NewPerson("Anna", False, (Reference(np.zeros((112, 112, 3), np.uint8), np.ones(4, np.float32)),))

LINES = """22 1 8:2 / / rw,relatime shared:1 - {root} /dev/root rw
40 22 0:35 / /run rw,nosuid - tmpfs tmpfs rw,size=800k
41 22 8:3 / /var/lib rw - ext4 /dev/sda3 rw
42 22 8:4 / /media/two\\040words rw - tmpfs tmpfs rw
43 22 8:5 / /opt/twice rw - tmpfs tmpfs rw
44 43 8:6 / /opt/twice rw - ext4 /dev/sda4 rw
"""


@pytest.mark.parametrize(
    ("root", "directory", "kind"),
    [
        ("overlay", "/home/pi/state", "overlay"),
        ("overlay", "/var/lib/facelatch", None),
        ("ext4", "/home/pi/state", None),
        ("ext4", "/run/facelatch/state", "tmpfs"),
        ("ext4", "/runtime", None),
        ("ext4", "/media/two words/state", "tmpfs"),
        ("tmpfs", "/opt/twice/state", None),
    ],
)
def test_a_file_system_that_forgets_is_known_by_its_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, directory: str, kind: str | None
) -> None:
    """The deepest mount counts, and of two on one point the last."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(LINES.format(root=root))
    monkeypatch.setattr(place, "MOUNTS", mounts)
    assert volatile_file_system(Path(directory)) == kind


def test_where_the_kernel_does_not_tell_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No /proc is no fault of the gallery."""
    monkeypatch.setattr(place, "MOUNTS", tmp_path / "nowhere")
    assert volatile_file_system(tmp_path) is None


def test_on_an_overlay_nothing_is_called_wiped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was removed is in the layer below, and back after the next start."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 0:20 / / rw - overlay overlay rw\n")
    monkeypatch.setattr(place, "MOUNTS", mounts)
    with GalleryStore.open(tmp_path / "state") as store:
        store.add(ANNA, "a")
        store.remove("Anna")
        assert not store.wipe_due
        assert store.traces.startswith("overlay")


def test_a_gallery_in_memory_is_in_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed leaves nothing of it behind; else it works like any other."""
    monkeypatch.chdir(tmp_path)
    before = {str(path) for path in Path("/dev/shm").iterdir()}
    with GalleryStore.in_memory() as store:
        store.add(ANNA, "a")
        assert store.load("a", lambda crop: np.ones(4, np.float32)).owners == (1,)
        opened = {str(path.resolve()) for path in Path("/proc/self/fd").iterdir() if path.exists()}
        assert not [path for path in opened if "gallery" in path or "facelatch-" in path]
        store.remove("Anna")
        assert not store.traces
    assert list(tmp_path.iterdir()) == []
    assert {str(path) for path in Path("/dev/shm").iterdir()} - before == set()


# Whose folder it is


@pytest.mark.parametrize("inside", ["notes.txt", ".bashrc", "Pictures/"])
def test_a_folder_that_others_use_is_refused_and_left_as_it_is(tmp_path: Path, inside: str) -> None:
    """Made private, somebody's home would be lost to whoever else uses it."""
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    (home / inside).mkdir() if inside.endswith("/") else (home / inside).touch()
    with pytest.raises(GalleryError, match="holds other files") as caught:
        GalleryStore.open(home)
    assert "storage.state_directory" in caught.value.hint
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    assert len(list(home.iterdir())) == 1


@pytest.mark.parametrize("inside", [None, "lost+found", "gallery.db.damaged"])
def test_a_folder_of_the_gallerys_own_is_made_private(tmp_path: Path, inside: str | None) -> None:
    """New, the root of a partition, or with what is left of a damaged gallery."""
    own = tmp_path / "state"
    own.mkdir()
    own.chmod(0o755)
    if inside:
        (own / inside).touch()
    GalleryStore.open(own).close()
    assert stat.S_IMODE(own.stat().st_mode) == 0o700


def test_where_sqlite_says_no_more_than_that_it_failed_a_full_disk_is_called_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """"The storage may be failing, replace the card" is no help there."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    with pytest.raises(GalleryError, match="reading or writing failed"), place.explained(tmp_path / "gallery.db"):
        raise error
    monkeypatch.setattr(place, "_LEAST_BYTES", 2**80)
    with pytest.raises(GalleryError, match="the disk is full") as caught, place.explained(tmp_path / "gallery.db"):
        raise error
    assert "free some space" in caught.value.hint
