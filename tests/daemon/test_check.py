"""`facelatch check`: one item after the other, each ok or a fault with what to do."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facelatch.config.file import Config, parse
from facelatch.control.server import ControlServer
from facelatch.diagnosis import check as checks
from facelatch.diagnosis import surroundings
from facelatch.diagnosis.check import Finding
from facelatch.gallery import place
from facelatch.gallery.store import GalleryStore
from facelatch.values.records import NewPerson, Reference

PEOPLE = Path(__file__).resolve().parents[1] / "scenarios" / "people"
ITEMS = ["model", "finder", "liveness", "signature", "camera", "pins", "gallery", "seal", "storage", "ledger"]
ITEMS += ["permissions", "clock", "journal", "rights", "view", "bypass", "owners", "health", "hours", "readers"]
ITEMS += ["wiring"]


RATES = {"far_per_attempt": {"value": 0.001, "identities": 9, "comparisons": 99, "data": "made up"}}
DOOR = {"enrolled": 10, "references": 8, "required_matches": 3}


@pytest.fixture
def settings(tmp_path: Path, tiny_model: Callable[..., Path]) -> Callable[..., Config]:
    """A configuration with which everything is ok; keyword arguments replace sections' keys."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        cv2.imwrite(str(frames / f"{number}.png"), np.full((120, 160, 3), number, np.uint8))
    GalleryStore.open(tmp_path / "state").close()

    def make(**changes: dict[str, Any]) -> Config:
        document: dict[str, dict[str, Any]] = {
            "camera": {"source": "files", "device": str(frames)},
            "finder": {"kind": "cascade"},
            "model": {"path": str(tiny_model(opens_doors=True, rates=RATES, calibrated_for=DOOR))},
            "gpio": {"pin_factory": "mock"},
            "storage": {"state_directory": str(tmp_path / "state")},
            "control": {"socket": str(tmp_path / "control.sock"), "group": ""},
        }
        for section, keys in changes.items():
            document[section] = document.get(section, {}) | keys
        return parse(document, origin="test")

    return make


def findings(config: Config) -> dict[str, Finding]:
    return {finding.item: finding for finding in checks.check(config)}


def test_with_everything_in_place_every_item_is_ok(settings: Callable[..., Config]) -> None:
    found = findings(settings())
    assert list(found) == ITEMS
    assert [one for one in found.values() if not one.ok] == []
    assert "files delivers 160x120" in found["camera"].detail
    assert "0 people" in found["gallery"].detail
    assert "detection threshold 0.5" in found["model"].detail


@pytest.mark.parametrize(
    ("item", "changes", "told"),
    [
        ("model", {"model": {"path": "/nowhere/siamese.tflite"}}, "/nowhere/siamese.tflite"),
        ("finder", {"finder": {"kind": "network", "model": "/nowhere/f.tflite"}}, "/nowhere/f.tflite"),
        ("camera", {"camera": {"device": "/nowhere/clip"}}, "/nowhere/clip"),
        ("gallery", {"storage": {"state_directory": "/proc/nowhere"}}, "/proc/nowhere"),
    ],
)
def test_one_fault_is_told_with_a_hint_and_spares_the_rest(
    settings: Callable[..., Config], item: str, changes: dict[str, dict[str, Any]], told: str
) -> None:
    found = findings(settings(**changes))
    assert list(found) == ITEMS
    assert not found[item].ok
    assert told in found[item].detail
    assert found[item].hint
    faults = {name for name, one in found.items() if not one.ok}
    assert faults == ({"gallery", "seal", "permissions"} if item == "gallery" else {item})


def test_the_check_says_who_has_to_turn_the_head(settings: Callable[..., Config]) -> None:
    """With the network off, too: then it is no warning any more, but the odds of a guess are told."""
    off = findings(settings())["liveness"]
    assert off.warning
    asking = findings(settings(liveness={"ask": "always", "turns": 6}))["liveness"]
    assert not asking.warning
    assert "everybody has to turn the head 6 times" in asking.detail
    assert "once in 64" in asking.detail
    doubting = findings(settings(liveness={"level": "basic", "ask": "doubt"}))["liveness"]
    assert "whoever is in doubt" in doubting.detail


def test_names_that_look_alike_are_named(settings: Callable[..., Config], tmp_path: Path) -> None:
    """From before the rule, or forced: both work, and a person should know. It is no fault."""
    crop = np.zeros((112, 112, 3), np.uint8)
    with GalleryStore.open(tmp_path / "state") as store:
        for name in ("Anna", "\u0410nna"):
            one = NewPerson(name, False, (Reference(crop, np.ones(4, np.float32)),))
            store.add(one, "a" * 64, knowingly=True)
    found = findings(settings())["gallery"]
    assert (found.ok, found.warning) == (True, True)
    assert "'\\u0410nna'" in found.detail
    assert "people rename" in found.hint


def test_a_gallery_that_may_be_forgotten_is_warned_of(
    settings: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an overlay a person who was removed is back after a restart."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 0:20 / / rw - overlay overlay rw\n")
    monkeypatch.setattr(place, "MOUNTS", mounts)
    found = findings(settings())["storage"]
    assert (found.ok, found.warning) == (True, True)
    assert "overlay" in found.detail
    assert "storage.state_directory" in found.hint


@pytest.mark.parametrize("hangs", [0, 90, 180, 270])
@pytest.mark.parametrize("set_to", [0, 90, 180, 270])
def test_the_camera_is_looked_through_and_what_to_set_is_said(
    settings: Callable[..., Config], tmp_path: Path, hangs: int, set_to: int
) -> None:
    """A face of nobody, as a camera sees it that would need `hangs` degrees."""
    face = cv2.imread(str(PEOPLE / "nobody-1.png"))
    for number in range(3):
        picture = np.ascontiguousarray(np.rot90(face, hangs // 90))  # counterclockwise
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), picture)
    found = findings(settings(camera={"rotation_degrees": set_to}, finder={"kind": "network"}))["camera"]
    assert found.ok == (hangs == set_to)
    if hangs == set_to:
        assert found.detail.endswith("a face in view stands upright")
    else:
        assert found.hint == f"set camera.rotation_degrees = {hangs}"


def test_a_camera_that_sees_nobody_is_ok_and_says_what_was_not_tried(settings: Callable[..., Config]) -> None:
    found = findings(settings())["camera"]
    assert found.ok
    assert "nobody in view" in found.detail


def test_a_model_without_its_cohort_is_a_fault(settings: Callable[..., Config]) -> None:
    config = settings()
    Path(config.model.path).with_suffix(".cohort").unlink()
    assert "siamese.cohort: no such file" in findings(config)["model"].detail


def test_a_model_trained_on_toy_data_is_a_fault(
    settings: Callable[..., Config], tiny_model: Callable[..., Path]
) -> None:
    config = settings()
    tiny_model(opens_doors=False)
    assert "toy data" in findings(config)["model"].detail


def test_a_model_that_was_never_calibrated_is_a_fault(
    settings: Callable[..., Config], tiny_model: Callable[..., Path]
) -> None:
    config = settings()
    tiny_model(opens_doors=True)
    found = findings(config)["model"]
    assert not found.ok
    assert "never calibrated" in found.detail


def test_a_door_unlike_the_calibrated_one_is_shown(settings: Callable[..., Config]) -> None:
    detail = findings(settings(session={"required_matches": 1}))["model"].detail
    assert "session.required_matches is 1, calibrated for 3" in detail
    assert "enrolment.references" not in detail


def test_a_file_others_may_read_is_a_fault_that_says_how_to_mend_it(
    settings: Callable[..., Config], tmp_path: Path
) -> None:
    (tmp_path / "state" / "copy-of-gallery").touch(mode=0o644)
    found = findings(settings())["permissions"]
    assert not found.ok
    assert found.hint == f"chmod 0600 {tmp_path / 'state' / 'copy-of-gallery'}"


def test_an_overridden_threshold_is_shown_beside_the_calibrated_one(settings: Callable[..., Config]) -> None:
    detail = findings(settings(model={"detection_threshold": 0.8}))["model"].detail
    assert "detection threshold 0.8" in detail
    assert "detection_threshold overridden, calibrated 0.5" in detail


def test_a_clock_that_was_never_set_is_a_fault(
    settings: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 3600.0)
    assert not findings(settings())["clock"].ok


@contextmanager
def answering(socket: Path, reply: dict[str, Any]) -> Iterator[None]:
    """A daemon that has one answer to everything."""
    server = ControlServer(socket, "", lambda message, _peer, _descriptor: message)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            for request in server.requests():
                request.reply(reply)
            over.wait(0.01)

    daemon = threading.Thread(target=serve)
    daemon.start()
    try:
        yield
    finally:
        over.set()
        daemon.join()
        server.close()


def test_a_running_daemon_answers_for_the_gallery_it_holds(
    settings: Callable[..., Config], tmp_path: Path
) -> None:
    reply = {"people": [{"name": "alice"}], "next": None}
    with answering(tmp_path / "control.sock", reply), GalleryStore.open(tmp_path / "state"):
        found = findings(settings())["gallery"]
    assert found == Finding(item="gallery", ok=True, detail="1 people, says the running daemon")


def test_a_group_that_does_not_exist_is_a_fault(settings: Callable[..., Config]) -> None:
    """Silently only root would reach the daemon."""
    found = findings(settings(control={"group": "no-such-group-here"}))["rights"]
    assert not found.ok
    assert "control.group = 'no-such-group-here': no such group" in found.detail
    assert "getent group" in found.hint


def test_a_state_folder_of_others_is_told_as_that(settings: Callable[..., Config], tmp_path: Path) -> None:
    """Not as files whose modes were to be changed: they belong to somebody."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    (home / "notes.txt").touch(mode=0o644)
    found = findings(settings(storage={"state_directory": str(home)}))
    for item in ("gallery", "permissions"):
        assert "holds other files" in found[item].detail
        assert "storage.state_directory" in found[item].hint


def test_a_path_with_a_space_can_be_pasted_from_a_hint(settings: Callable[..., Config], tmp_path: Path) -> None:
    folder = tmp_path / "my state"
    GalleryStore.open(folder).close()
    (folder / "copy of gallery").touch(mode=0o644)
    found = findings(settings(storage={"state_directory": str(folder)}))["permissions"]
    assert shlex.split(found.hint) == ["chmod", "0600", str(folder / "copy of gallery")]


@pytest.mark.parametrize(
    ("error", "told"),
    [(PermissionError(13, "no"), "sudo -u facelatch"), (ImportError("no"), "package"), (OSError("no"), "device")],
)
def test_an_error_without_words_of_its_own_has_a_hint_for_its_kind(
    settings: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def fails(_config: object) -> str:
        raise error

    monkeypatch.setattr(surroundings, "storage", fails)
    assert told in findings(settings())["storage"].hint


@pytest.mark.parametrize(("still", "said"), [(0, "no picture"), (1, "1 still face is"), (2, "2 still faces are")])
def test_a_picture_of_somebody_that_hangs_in_view_is_said(
    settings: Callable[..., Config], tmp_path: Path, still: int, said: str
) -> None:
    """It works, and the owner should know that such a face is never judged. Only a running daemon has seen it hang."""
    assert "no daemon runs" in findings(settings())["view"].detail
    with answering(tmp_path / "control.sock", {"people": [], "next": None, "still_faces": still}):
        found = findings(settings())["view"]
    assert found.ok
    assert found.warning == (still > 0)
    assert said in found.detail


@pytest.mark.slow
def test_it_is_said_by_what_the_gallery_is_sealed_and_what_that_protects_against(
    settings: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key on the same card is no protection of a stolen one, and is not called one."""
    found = findings(settings())["seal"]
    assert found.ok
    assert found.detail.startswith("not sealed: whoever has the card, or a copy of ")
    (tmp_path / "facelatch-seal").write_bytes(bytes(32))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for level, meaning in (
        ("host key", "whoever has the whole card has its key too"),
        ("host key and TPM", "without this device's TPM"),
        ("unknown", "cannot be seen from here"),
    ):
        monkeypatch.setattr("facelatch.adapters.system.credential.level", lambda level=level: level)
        found = findings(settings())["seal"]
        assert found.ok
        assert found.detail.startswith("sealed, key 1")
        assert meaning in found.detail
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    found = findings(settings())["gallery"]
    assert not found.ok
    assert "no key is there" in found.detail
