"""Signed models: who signed is said, and a daemon that asks for signatures loads nothing else. Keys are made here."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from facelatch.adapters.system import signature
from facelatch.app import build, signed
from facelatch.config.file import Config, parse
from facelatch.config.line import ModelConfig
from facelatch.config.shipped import shipped_file
from facelatch.diagnosis import protection
from facelatch.errors import ModelError
from facelatch.vision.manifest import load_manifest

REPO = Path(__file__).resolve().parents[2]
RATES = {"far_per_attempt": {"value": 0.001, "identities": 9, "comparisons": 99, "data": "made up"}}

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="signatures need ssh-keygen")


def keygen(*words: object) -> None:
    subprocess.run(["ssh-keygen", *map(str, words)], check=True, capture_output=True)


def sign(manifest: Path, key: Path, namespace: str = signature.NAMESPACE) -> None:
    signature.signature_of(manifest).unlink(missing_ok=True)
    keygen("-Y", "sign", "-f", key, "-n", namespace, manifest)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key; whoever has it may sign."""
    keygen("-q", "-t", "ed25519", "-N", "", "-C", "", "-f", tmp_path / "key")
    public = (tmp_path / "key.pub").read_text()
    (tmp_path / "allowed").write_text(f'owner@example.org namespaces="facelatch-model" {public}')
    return tmp_path / "key"


@pytest.fixture
def config(tmp_path: Path, tiny_model: Callable[..., Path]) -> Config:
    """Asks for signatures; the face finder has no file."""
    model = {"path": str(tiny_model(opens_doors=True, rates=RATES)), "require_signature": True}
    model["allowed_signers"] = str(tmp_path / "allowed")
    return parse({"model": model, "finder": {"kind": "cascade"}}, origin="test")


def manifest_of(config: Config) -> Path:
    return Path(config.model.path).with_suffix(".json")


def test_a_model_that_somebody_signed_who_may_is_loaded(config: Config, key: Path) -> None:
    sign(manifest_of(config), key)
    build.build_line(config)
    assert protection.signature(config) == "siamese.json: signed by owner@example.org"


def test_a_model_that_nobody_signed_is_refused_with_exit_code_4(config: Config, key: Path) -> None:
    for look in (lambda: build.build_line(config), lambda: protection.signature(config)):
        with pytest.raises(ModelError, match="signature asks for it") as caught:
            look()
        assert caught.value.exit_code == 4
        assert "ssh-keygen -Y sign" in caught.value.hint


def test_a_signature_of_somebody_else_is_refused(config: Config, key: Path, tmp_path: Path) -> None:
    keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "stranger")
    sign(manifest_of(config), tmp_path / "stranger")
    with pytest.raises(ModelError, match="signed by nobody who may"):
        build.build_line(config)
    (tmp_path / "allowed").unlink()
    with pytest.raises(ModelError, match="signed by nobody who may"):
        build.build_line(config)


def test_a_signature_for_something_else_is_refused(config: Config, key: Path) -> None:
    sign(manifest_of(config), key, namespace="file")
    with pytest.raises(ModelError):
        build.build_line(config)


def test_a_manifest_that_was_changed_after_it_was_signed_is_refused(config: Config, key: Path) -> None:
    """Also without being asked for: a signature that is there must fit."""
    manifest = manifest_of(config)
    sign(manifest, key)
    text = manifest.read_text()
    assert '"detection_threshold": 0.5' in text
    manifest.write_text(text.replace('"detection_threshold": 0.5', '"detection_threshold": 0.1'))
    with pytest.raises(ModelError, match="does not fit"):
        build.build_line(config)
    lax = config.model_copy(update={"model": config.model.model_copy(update={"require_signature": False})})
    with pytest.raises(ModelError, match="does not fit"):
        protection.signature(lax)


def test_a_manifest_that_is_exchanged_while_the_model_is_loaded_is_refused(config: Config, key: Path) -> None:
    model = Path(config.model.path)
    loaded = load_manifest(model).model_copy(update={"detection_threshold": 0.1})
    sign(manifest_of(config), key)
    with pytest.raises(ModelError, match="was exchanged"):
        signed.require(model, loaded, config.model)


def test_a_finder_without_a_manifest_is_refused_where_signatures_are_asked_for(
    config: Config, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(manifest_of(config), key)
    yunet = config.model_copy(update={"finder": config.finder.model_copy(update={"kind": "yunet"})})
    monkeypatch.setattr(build, "build_finder", lambda _config: object())
    with pytest.raises(ModelError, match="YuNet"):
        build.build_line(yunet)


def test_the_liveness_network_needs_a_signature_like_the_others(config: Config, key: Path, tmp_path: Path) -> None:
    """An unsigned one could call every picture alive; an extra model has nothing that could be signed."""
    sign(manifest_of(config), key)
    for name in ("liveness.tflite", "liveness.json"):
        shutil.copy(REPO / "models" / name, tmp_path / name)
    asked = config.liveness.model_copy(update={"level": "basic", "model": str(tmp_path / "liveness.tflite")})
    living = config.model_copy(update={"liveness": asked})
    for look in (lambda: build.build_line(living), lambda: protection.signature(living)):
        with pytest.raises(ModelError, match=r"liveness\.json"):
            look()
    sign(tmp_path / "liveness.json", key)
    build.build_line(living)
    assert "liveness.json: signed by owner@example.org" in protection.signature(living)
    more = config.model_copy(update={"liveness": asked.model_copy(update={"extra_model": "more.tflite"})})
    with pytest.raises(ModelError, match="extra_model"):
        build.build_line(more)


def test_without_ssh_keygen_it_is_said_what_to_install(
    config: Config, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(manifest_of(config), key)
    monkeypatch.setattr(signature, "KEYGEN", "/nowhere/ssh-keygen")
    with pytest.raises(ModelError) as caught:
        build.build_line(config)
    assert "openssh-client" in caught.value.hint


def test_what_is_shipped_is_unsigned_and_said_to_be_so() -> None:
    """Until the maintainer signs; no private key lies in the repository."""
    assert protection.signature(Config()) == "siamese.json: not signed; finder.json: not signed"
    assert shipped_file("models", "allowed_signers").is_file()
    assert not ModelConfig().require_signature
    tracked = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=False).stdout
    private = [
        name
        for name in tracked.splitlines()
        if (REPO / name).is_file() and b"-----BEGIN OPENSSH PRIVATE" in (REPO / name).read_bytes()[:64]
    ]
    assert private == []
