"""The composition root: what the daemon does before its first turn, and what it leaves for the relock."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facelatch.adapters import fakes
from facelatch.adapters.pins import factory, lock
from facelatch.app import run
from facelatch.audit.events import EventKind
from facelatch.cli.root import main
from facelatch.config.file import Config, parse
from facelatch.config.wires import GpioConfig
from facelatch.errors import AlreadyRunningError, GpioError, ModelError
from facelatch.ledger import tables

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The daemon changes its process; the tests' own is put back."""
    handlers, core = (
        [signal.getsignal(number) for number in SIGNALS],
        resource.getrlimit(resource.RLIMIT_CORE),
    )
    yield
    for number, handler in zip(SIGNALS, handlers, strict=True):
        signal.signal(number, handler)
    resource.setrlimit(resource.RLIMIT_CORE, core)


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> fakes.FakeAudit:
    kept = fakes.FakeAudit()
    monkeypatch.setattr(run, "build_audit", lambda *_, **__: kept)
    return kept


def without_model(tmp_path: Path, **pins: object) -> Config:
    return parse(
        {
            "model": {"path": str(tmp_path / "none.tflite")},
            "storage": {"state_directory": str(tmp_path / "state")},
            "gpio": {"pin_factory": "mock", **pins},
        },
        origin="test",
    )


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_nothing_else(number: int) -> None:
    """Whoever closes the terminal must not leave the door unlocked either; a second signal changes nothing."""
    stop = run._stop_on_signals()
    assert not stop()
    os.kill(os.getpid(), number)
    os.kill(os.getpid(), number)
    assert stop()


def test_a_start_that_fails_is_told(tmp_path: Path, audit: fakes.FakeAudit) -> None:
    """Model or pins: the audit has one event with a code."""
    with pytest.raises(ModelError):
        run.run(without_model(tmp_path))
    loaded, fault = audit.events
    assert (loaded.kind, loaded.fields["FILE"]) == (EventKind.CONFIG_LOADED, "the defaults")
    assert (fault.kind, fault.fields["REASON"]) == (EventKind.FAULT, "start_model")


def test_pins_that_cannot_be_claimed_are_told(
    tmp_path: Path, audit: fakes.FakeAudit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the first thing the daemon does, and the one it cannot do without."""

    def busy(_config: Config) -> None:
        raise GpioError("GPIO17: busy", hint="who has it?")

    monkeypatch.setattr(run, "build_pins", busy)
    with pytest.raises(GpioError):
        run.run(without_model(tmp_path))
    assert [event.fields["REASON"] for event in audit.events] == ["start_gpio"]


@pytest.mark.usefixtures("audit")
def test_a_core_dump_holds_no_face(tmp_path: Path) -> None:
    """There is none."""
    with pytest.raises(ModelError):
        run.run(without_model(tmp_path))
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0


@pytest.mark.usefixtures("audit")
def test_relock_drives_what_the_daemon_drove_whatever_became_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while unlocked, after somebody broke the configuration: the pin is still driven to its safe level."""
    driven: list[GpioConfig] = []
    monkeypatch.setattr(lock, "relock", lambda gpio, _keeper: driven.append(gpio))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    broken = tmp_path / "facelatch.toml"
    broken.write_text("lock_pin = = 4")
    monkeypatch.setattr(sys, "argv", ["facelatch", "--config", str(broken), "relock"])
    with pytest.raises(SystemExit) as nothing_known:
        main()
    assert nothing_known.value.code == 3
    config = without_model(tmp_path, lock_pin=5, lock_active="low", buzzer_pin=6)
    with pytest.raises(ModelError):
        run.run(config)
    main()
    assert driven == [config.gpio]


def test_a_damaged_record_of_the_pins_leaves_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half written is as good as none."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    (tmp_path / "pins.json").write_text('{"lock_pin": ')
    assert factory.remembered() is None


def test_a_start_that_fails_has_its_fault_in_the_ledger(tmp_path: Path, audit: fakes.FakeAudit) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    with pytest.raises(ModelError):
        run.run(without_model(tmp_path), dry_run=True)
    with closing(tables.open_to_read(tmp_path / "state" / tables.NAME)) as connection:
        kinds = [row.kind for row in tables.all_rows(connection)]
    assert "fault" in kinds
    assert audit.events[-1].kind is EventKind.LEDGER_ANCHOR


def test_a_second_daemon_leaves_the_first_ones_ledger_alone(
    tmp_path: Path, audit: fakes.FakeAudit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: object) -> None:
        raise AlreadyRunningError("somebody has it")

    (tmp_path / "state").mkdir(mode=0o700)
    monkeypatch.setattr(run, "build_line", taken)
    with pytest.raises(AlreadyRunningError):
        run.run(without_model(tmp_path), dry_run=True)
    assert list((tmp_path / "state").iterdir()) == []
    assert {event.kind for event in audit.events} == {EventKind.CONFIG_LOADED, EventKind.FAULT}
