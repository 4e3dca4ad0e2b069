"""Virtual machines with Facelatch in them, for the tests beside this file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scenarios")]

from clips import make_disk  # noqa: E402
from door import KEEPER, UNIT, Door, serving  # noqa: E402
from machine import Machine, new_disk  # noqa: E402
from patient import SHORT  # noqa: E402


@pytest.fixture(scope="session")
def image() -> Path:
    """What build.sh made."""
    built = os.environ.get("FACELATCH_VM")
    if not built:
        pytest.skip("no virtual machine: tests/system/run.sh builds one where it can, and says why where not")
    return Path(built)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk its camera sees."""
    home = tmp_path_factory.mktemp("clips")
    make_disk(home / "clips.tar", home)
    return home / "clips.tar"


@pytest.fixture(scope="session")
def boot(image: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Machine]]:
    """Boots machines with a fresh disk each, and with a TPM where one is asked for; they end with the tests."""
    machines: list[Machine] = []

    def booted(*, tpm: bool = False) -> Machine:
        work = tmp_path_factory.mktemp("machine")
        disk = new_disk(work / "disk.qcow2", image / "root.img")
        machines.append(Machine(image, disk, clips, work, tpm=tpm))
        return machines[-1]

    yield booted
    for machine in machines:
        machine.cut_power()


@pytest.fixture(scope="session")
def active_high(boot: Callable[..., Machine]) -> Door:
    """A door whose relay unlocks while its line is high."""
    return serving(boot(), "high")


@pytest.fixture(scope="session")
def active_low(boot: Callable[..., Machine]) -> Door:
    """A door whose relay unlocks while its line is low."""
    return serving(boot(), "low")


@pytest.fixture
def door(active_high: Door) -> Iterator[Door]:
    """Serving, as configured for this machine, nobody in view."""
    yield from watched(active_high)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The short form tries some faults with one kind of relay: the other then does as in a fault that is tried."""
    if SHORT:
        left_out = [item for item in items if item.get_closest_marker("one_relay_in_short") and "[low" in item.name]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(params=["high", "low"])
def either_door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """The same, once for each kind of relay."""
    yield from watched(request.getfixturevalue(f"active_{request.param}"))


def watched(door: Door) -> Iterator[Door]:
    """After each test: its line was driven to unlocked only when the journal has an unlocking, and once for each."""
    door.machine.go_on()
    door.show("porch")
    door.press(down=False)
    if not door.ready():
        door.run("systemctl", "reset-failed", UNIT, KEEPER, check=False)
        door.start()
    door.until(lambda: door.line() == door.locked, 30, "locked")
    try:
        yield door
        door.assert_unlocked_only_when_granted()
    finally:
        door.machine.stop_time()
