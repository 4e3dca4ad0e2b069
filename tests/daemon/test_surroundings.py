"""`facelatch check` on what the door stands on: where the gallery lies, and who could change configuration or model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from facelatch.app.model_files import deciding_files
from facelatch.config.file import Config, parse
from facelatch.config.shipped import shipped_file
from facelatch.diagnosis import bypass, ownership, surroundings
from facelatch.diagnosis.finding import Finding
from facelatch.errors import ConfigError, GalleryError
from facelatch.gallery import place
from facelatch.values.health import Reading

# ---- The state directory


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str | Finding]:
    """The item, as if the state directory lay on a file system of this type, flags and free bytes."""

    def find(kind: str, *, flags: int = 0, free: int = 10**9) -> str | Finding:
        (tmp_path / "mountinfo").write_text(f"22 1 0:20 / / rw - {kind} source rw\n")
        monkeypatch.setattr(place, "MOUNTS", tmp_path / "mountinfo")
        there = SimpleNamespace(f_flag=flags, f_bavail=free, f_frsize=1)
        monkeypatch.setattr(os, "statvfs", lambda _path: there)
        return surroundings.storage(parse({"storage": {"state_directory": str(tmp_path)}}, origin="test"))

    return find


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("overlay", "people removed be back"),
        ("tmpfs", "may be gone at the next start"),
        ("vfat", "knows no owners and no rights"),
        ("exfat", "knows no owners and no rights"),
        ("nfs4", "another machine's"),
    ],
)
def test_what_a_file_system_cannot_promise_is_a_warning(on: Callable[..., Finding], kind: str, told: str):
    found = on(kind)
    assert (found.ok, found.warning) == (True, True)
    assert told in found.detail
    assert kind in found.detail
    assert "storage.state_directory" in found.hint


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "f2fs", "xfs"])
def test_a_file_system_that_keeps_its_promises_is_ok(on: Callable[..., str], kind: str):
    assert on(kind).endswith(f"stays ({kind})")


@pytest.mark.parametrize(("how", "told"), [({"flags": os.ST_RDONLY}, "read-only"), ({"free": 4096}, "is full")])
def test_where_the_door_could_not_even_start_it_is_a_fault(on: Callable[..., str], how: dict[str, int], told: str):
    with pytest.raises(GalleryError, match=told) as caught:
        on("ext4", **how)
    assert caught.value.hint


# ---- The machine


def test_troubles_of_the_machine_are_a_warning_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    reading = Reading(under_voltage=True, temperature_celsius=91.0, free_mb=9000)
    monkeypatch.setattr(surroundings.MachineHealth, "read", lambda _self: reading)
    found = surroundings.health(parse({"storage": {"state_directory": str(tmp_path)}}, origin="test"))
    assert isinstance(found, Finding)
    assert (found.ok, found.warning) == (True, True)
    assert found.detail == "the supply's voltage is too low; 91 degrees Celsius"
    assert "short cable" in found.hint
    assert "cool the board" in found.hint


# ---- Who could change it


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    """A model and a configuration in folders of their own; nobody else may change them."""
    for folder in ("models", "etc"):
        (tmp_path / folder).mkdir(mode=0o755)
    for suffix in ("tflite", "json", "cohort"):
        shutil.copy(shipped_file("models", f"siamese.{suffix}"), tmp_path / "models")
        (tmp_path / "models" / f"siamese.{suffix}").chmod(0o644)
    (tmp_path / "etc" / "facelatch.toml").write_text("")
    (tmp_path / "etc" / "facelatch.toml").chmod(0o644)
    document = {"model": {"path": str(tmp_path / "models" / "siamese.tflite")}, "finder": {"kind": "cascade"}}
    return parse(document, origin="test")


def test_what_only_root_and_we_may_change_is_ok(settings: Config, tmp_path: Path):
    assert ownership.owned(settings, tmp_path / "etc" / "facelatch.toml").startswith("only ")
    assert ownership.owned(settings, None)


@pytest.mark.parametrize(
    "name",
    ["etc/facelatch.toml", "etc", "models", *(f"models/siamese.{suffix}" for suffix in ("tflite", "json", "cohort"))],
)
def test_what_everybody_may_change_is_refused_by_its_name(settings: Config, tmp_path: Path, name: str):
    """The folder too: in it the file can be replaced."""
    (tmp_path / name).chmod(0o777)
    with pytest.raises(ConfigError, match=f"{tmp_path / name}: everybody can change it") as caught:
        ownership.owned(settings, tmp_path / "etc" / "facelatch.toml")
    assert f"chmod go-w {tmp_path / name}" in caught.value.hint


def test_every_file_by_which_a_face_is_judged_or_a_model_passes_as_signed_counts(tmp_path: Path):
    """Those of all models in use, in one list with what `check` says of signatures."""
    folder = tmp_path / "own"
    names = {"siamese.tflite", "siamese.json", "siamese.json.sig", "siamese.cohort"}
    names |= {f"{model}.{suffix}" for model in ("finder", "liveness") for suffix in ("tflite", "json", "json.sig")}
    names |= {"pair.json", "allowed_signers"}
    used = parse(
        {
            "model": {"path": str(folder / "siamese.tflite"), "allowed_signers": str(folder / "allowed_signers")},
            "finder": {"model": str(folder / "finder.tflite")},
            "liveness": {
                "level": "strict", "model": str(folder / "liveness.tflite"), "extra_model": str(folder / "pair.json"),
            },
        },
        origin="test",
    )  # fmt: skip
    assert {path.name for path in deciding_files(used) if path.parent == folder} == names
    assert shipped_file("models", "allowed_signers") in deciding_files(used)
    folder.mkdir(mode=0o755)
    for name in sorted(names):
        (folder / name).touch(0o644)
        (folder / name).chmod(0o666)
        with pytest.raises(ConfigError, match=f"{name}: everybody can change it"):
            ownership.owned(used, None)
        (folder / name).chmod(0o644)
    yunet = parse({"finder": {"kind": "yunet", "model": str(folder / "yunet.onnx")}}, origin="test")
    assert folder / "yunet.onnx" in deciding_files(yunet)


def test_a_link_counts_with_the_folders_on_both_ways(settings: Config, tmp_path: Path):
    link = tmp_path / "links" / "facelatch.toml"
    link.parent.mkdir(mode=0o755)
    link.symlink_to(tmp_path / "etc" / "facelatch.toml")
    assert ownership.owned(settings, link)
    for folder in (tmp_path / "links", tmp_path / "etc"):
        folder.chmod(0o777)
        with pytest.raises(ConfigError, match=str(folder)):
            ownership.owned(settings, link)
        folder.chmod(0o755)


def test_a_sticky_folder_lets_nobody_replace_what_is_ours(settings: Config, tmp_path: Path):
    """Such as /tmp."""
    (tmp_path / "etc").chmod(0o1777)
    assert ownership.owned(settings, tmp_path / "etc" / "facelatch.toml")


def test_a_group_counts_by_who_is_in_it(settings: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Debian gives each user a group, and lets it write."""
    file = tmp_path / "etc" / "facelatch.toml"
    file.chmod(0o664)
    monkeypatch.setattr(bypass, "members", lambda _group: {"root", bypass.name_of(os.geteuid())})
    assert ownership.owned(settings, file)
    monkeypatch.setattr(bypass, "members", lambda _group: {"root", "mallory"})
    with pytest.raises(ConfigError, match="mallory can change it"):
        ownership.owned(settings, file)


def test_a_file_of_somebody_else_is_theirs_to_change(settings: Config, tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("needs root: only root gives files away")
    file = tmp_path / "etc" / "facelatch.toml"
    os.chown(file, 1, -1)
    with pytest.raises(ConfigError, match=f"{bypass.name_of(1)} can change it"):
        ownership.owned(settings, file)
