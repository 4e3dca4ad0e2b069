"""The pins: the lock is never driven unsafe by accident, the ceiling holds, the button is heard."""

from __future__ import annotations

import gc
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import gpiozero.pins.local
import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from facelatch.adapters.pins import factory as pin_factory
from facelatch.adapters.pins.indicator import GpioIndicator
from facelatch.adapters.pins.inputs import GpioButtons
from facelatch.adapters.pins.lock import LOCKED_IS_HIGH, GpioLock, relock
from facelatch.config.wires import GpioConfig
from facelatch.errors import GpioError
from facelatch.values.wires import EdgeKind, Lamp, LockLevel

LOCKED, UNLOCKED = LockLevel.LOCKED, LockLevel.UNLOCKED
POLARITIES = list(LOCKED_IS_HIGH.items())
PI_5 = 0xC04170


class ManualTimer:
    """A timer that fires when the test says so."""

    def __init__(self, seconds: float, fire: Callable[[], None]) -> None:
        self.seconds, self.fire = seconds, fire
        self.daemon = self.started = self.cancelled = False

    def start(self) -> None:
        self.started = True

    def cancel(self) -> None:
        self.cancelled = True


class SimulatedLgpio(ModuleType):
    """The functions of lgpio that gpiozero and we call, over chips of memory; keeps every call."""

    SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 128, 32, 64
    RISING_EDGE, FALLING_EDGE, BOTH_EDGES = 1, 2, 3

    class error(Exception):  # noqa: N801, N818  (lgpio's own name)
        def __init__(self, value: str) -> None:
            self.value = value

    def __init__(self) -> None:
        super().__init__("lgpio")
        self.labels = {0: "pinctrl-rp1"}
        self.busy: set[int] = set()
        self.calls: list[tuple[Any, ...]] = []

    def of(self, gpio: int) -> list[tuple[Any, ...]]:
        return [call for call in self.calls if call[1] == gpio]

    def gpiochip_open(self, chip: int) -> int:
        if chip not in self.labels:
            raise self.error("can not open gpiochip")
        return chip

    def gpiochip_close(self, handle: int) -> None: ...

    def gpio_get_chip_info(self, handle: int) -> list[Any]:
        return [0, 54, f"gpiochip{handle}", self.labels[handle]]

    def gpio_claim_output(self, handle: int, gpio: int, level: int = 0, flags: int = 0) -> None:
        if gpio in self.busy:
            raise self.error("GPIO busy")
        self.calls.append(("claim_output", gpio, level))

    def gpio_claim_input(self, handle: int, gpio: int, flags: int = 0) -> None:
        self.calls.append(("claim_input", gpio))

    def gpio_write(self, handle: int, gpio: int, level: int) -> None:
        self.calls.append(("write", gpio, level))

    def gpio_read(self, handle: int, gpio: int) -> int:
        """The level last driven; when a half-made pin is collected, gpiozero asks."""
        driven = [call[2] for call in self.of(gpio) if call[0] in ("claim_output", "write")]
        return int(driven[-1]) if driven else 0

    def gpio_free(self, handle: int, gpio: int) -> None:
        self.calls.append(("free", gpio))


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimulatedLgpio:
    simulated = SimulatedLgpio()
    monkeypatch.setitem(sys.modules, "lgpio", simulated)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    monkeypatch.setattr(gpiozero.pins.local, "get_pi_revision", lambda: PI_5)
    monkeypatch.setattr(gpiozero.pins.local.LocalPiFactory, "pins", {})
    monkeypatch.setattr(pin_factory, "_DEVICES", tmp_path)
    for number in (0, 4):
        (tmp_path / f"gpiochip{number}").touch()
    return simulated


@pytest.fixture
def factory() -> MockFactory:
    return cast(MockFactory, pin_factory.for_outputs(config(pin_factory="mock")))


@pytest.fixture
def timers() -> list[ManualTimer]:
    return []


@pytest.fixture
def lock(factory: MockFactory, timers: list[ManualTimer]) -> GpioLock:
    def timer(seconds: float, fire: Callable[[], None]) -> ManualTimer:
        timers.append(ManualTimer(seconds, fire))
        return timers[-1]

    return GpioLock(config(), max_unlock_seconds=10.0, factory=factory, timer=timer)


def config(**keys: Any) -> GpioConfig:
    return GpioConfig.model_validate({"led": "none", "led_pins": [], "button_pin": "none"} | keys)


def polarised(polarity: tuple[str, str], **keys: Any) -> GpioConfig:
    return config(lock_energise=polarity[0], lock_active=polarity[1], **keys)


def levels(factory: MockFactory, pin: int) -> list[bool]:
    return [state.state for state in cast(MockPin, factory.pin(pin)).states]


def is_unlocked(factory: MockFactory) -> bool:
    return bool(factory.pin(17).state)  # the default lock is energised to unlock, active high


def test_the_table_of_polarities_matches_the_physics() -> None:
    """Locked is high exactly when a locked door means an energised coil and high energises it, or neither."""
    for (energise, active), high in LOCKED_IS_HIGH.items():
        assert high == ((energise == "to_lock") == (active == "high"))


@pytest.mark.parametrize(("polarity", "safe"), POLARITIES)
def test_lgpio_claims_the_lock_once_and_at_its_safe_level(
    chip: SimulatedLgpio, polarity: tuple[str, str], safe: bool
) -> None:
    """From unclaimed to safe in a single call: never an input, never the other level."""
    lock = GpioLock(polarised(polarity), max_unlock_seconds=10)
    assert chip.of(17) == [("claim_output", 17, int(safe))]
    lock.close()


@pytest.mark.parametrize(("polarity", "safe"), POLARITIES)
def test_a_visit_drives_unlocked_and_safe_again_before_the_line_is_freed(
    chip: SimulatedLgpio, polarity: tuple[str, str], safe: bool
) -> None:
    """The whole life of the line, call by call."""
    lock = GpioLock(polarised(polarity), max_unlock_seconds=10)
    for level in (LOCKED, UNLOCKED, LOCKED, UNLOCKED):
        lock.set(level)
    lock.close()
    driven = [int(safe), int(safe), int(not safe), int(safe), int(not safe), int(safe)]
    assert [call[2] for call in chip.of(17) if len(call) == 3] == driven
    assert chip.of(17)[-1] == ("free", 17)
    assert ("claim_input", 17) not in chip.calls


@pytest.mark.parametrize(("polarity", "safe"), POLARITIES)
def test_relock_drives_safe_and_lets_go(chip: SimulatedLgpio, polarity: tuple[str, str], safe: bool) -> None:
    """What ExecStopPost runs touches the line with no other level."""
    relock(polarised(polarity))
    assert chip.of(17) == [("claim_output", 17, int(safe)), ("write", 17, int(safe)), ("free", 17)]


def test_relock_waits_for_a_dying_process_to_let_go(chip: SimulatedLgpio) -> None:
    """A busy line is tried again."""
    chip.busy.add(17)
    relock(config(), pause=lambda seconds: chip.busy.clear())
    assert [call[2] for call in chip.of(17) if call[0] != "free"] == [0, 0]


def test_relock_gives_up_on_a_line_that_stays_busy(chip: SimulatedLgpio) -> None:
    """Somebody else holds the pin: an error that names it, after a bounded number of tries."""
    chip.busy.add(17)
    pauses: list[float] = []
    with pytest.raises(GpioError, match="GPIO17: GPIO busy") as caught:
        relock(config(), attempts=4, pause=pauses.append)
    assert len(pauses) == 3
    assert caught.value.hint


def test_the_leds_are_claimed_dark_even_when_active_low(chip: SimulatedLgpio) -> None:
    """Active-low lights and buzzers do not flash at start."""
    indicator = GpioIndicator(config(led="single", led_pins=[27], led_active="low", buzzer_pin=23))
    assert chip.of(27) + chip.of(23) == [("claim_output", 27, 1), ("claim_output", 23, 1)]
    indicator.close()


def test_the_header_chip_is_found_by_its_label(chip: SimulatedLgpio) -> None:
    """Kernels number the chips differently; the label stays."""
    chip.labels = {0: "gpio-brcmstb@107d508500", 4: "pinctrl-rp1"}
    assert pin_factory.for_inputs(config()).chip == 4
    chip.labels = {0: "pinctrl-rp1", 4: "pinctrl-rp1"}
    assert pin_factory.for_inputs(config()).chip == 0


def test_lgpio_is_imported_in_a_folder_of_its_own_that_goes_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The current directory may be read-only; it is the same afterwards and nothing is left behind."""
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{runtime}:/elsewhere")
    (tmp_path / "lgpio.py").write_text("import pathlib; HERE = pathlib.Path.cwd(); (HERE / 'pipe').touch()")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lgpio", raising=False)
    before = Path.cwd()
    lgpio = pin_factory._import_lgpio()
    monkeypatch.delitem(sys.modules, "lgpio")
    assert lgpio.HERE.parent == runtime
    assert Path.cwd() == before
    assert not list(runtime.iterdir())


def test_without_a_pi_the_error_says_what_to_check(
    monkeypatch: pytest.MonkeyPatch, chip: SimulatedLgpio
) -> None:
    """Started on a laptop with the lgpio factory: no traceback, a hint."""
    monkeypatch.undo()
    if Path("/proc/device-tree/system/linux,revision").exists():
        pytest.skip("this is a Raspberry Pi: there is nothing to refuse")
    with pytest.raises(GpioError, match="GPIO17") as caught:
        GpioLock(config(), max_unlock_seconds=10)
    assert "mock" in caught.value.hint


def test_a_device_collected_while_another_is_claimed_does_not_deadlock(factory: MockFactory) -> None:
    """The garbage collector may run at any allocation, also in the middle of reserving a pin."""

    class CollectingList(list[Any]):
        def append(self, item: Any) -> None:
            gc.collect()
            super().append(item)

    cycle: list[Any] = [GpioIndicator(config(led="single", led_pins=[27]), factory=factory)]
    cycle.append(cycle)
    del cycle
    factory._reservations = defaultdict(CollectingList, factory._reservations)
    lock = GpioLock(config(), max_unlock_seconds=10, factory=factory)
    lock.set(UNLOCKED)
    assert is_unlocked(factory)
    lock.close()


def test_two_devices_cannot_share_a_pin(factory: MockFactory) -> None:
    """A pin that is taken is a GpioError that names it."""
    first = GpioIndicator(config(led="single", led_pins=[17], lock_pin=5), factory=factory)
    with pytest.raises(GpioError, match="GPIO17"):
        GpioLock(config(), max_unlock_seconds=10, factory=factory)
    first.close()


@pytest.mark.parametrize(("polarity", "safe"), POLARITIES)
def test_on_mock_pins_the_lock_follows_the_level(
    factory: MockFactory, polarity: tuple[str, str], safe: bool
) -> None:
    """Each level, in each polarity, and safe after closing."""
    lock = GpioLock(polarised(polarity), max_unlock_seconds=10, factory=factory)
    pin = cast(MockPin, factory.pin(17))
    assert pin.state == safe
    pin.clear_states()
    lock.set(UNLOCKED)
    assert pin.state != safe
    lock.close()
    pin.assert_states([safe, not safe, safe])
    assert len(pin.states) == 3


def test_repeating_a_level_repairs_a_missed_write(lock: GpioLock, factory: MockFactory) -> None:
    """Levels, not edges: whatever disturbed the line is overwritten on the next turn."""
    factory.pin(17).state = True
    lock.set(LOCKED)
    assert not is_unlocked(factory)


def test_the_ceiling_runs_from_the_change_to_unlocked_and_is_not_extended(
    lock: GpioLock, timers: list[ManualTimer]
) -> None:
    """However often unlocked is repeated there is one timer, set once."""
    lock.set(LOCKED)
    assert timers == []
    for _ in range(50):
        lock.set(UNLOCKED)
    assert [(timer.seconds, timer.started, timer.daemon) for timer in timers] == [(10.0, True, True)]


def test_the_ceiling_locks_and_refuses_until_locked_was_asked_for(
    lock: GpioLock, factory: MockFactory, timers: list[ManualTimer]
) -> None:
    """A loop that keeps asking for unlocked after the ceiling gets a locked door."""
    lock.set(UNLOCKED)
    assert is_unlocked(factory)
    timers[0].fire()
    assert not is_unlocked(factory)
    for _ in range(3):
        lock.set(UNLOCKED)
        assert not is_unlocked(factory)
    lock.set(LOCKED)
    lock.set(UNLOCKED)
    assert is_unlocked(factory)
    assert len(timers) == 2


def test_that_the_ceiling_fired_is_remembered_past_the_next_locked(
    lock: GpioLock, timers: list[ManualTimer]
) -> None:
    """A loop that hung and wakes up asking for locked still learns what happened."""
    fired = []
    lock.set(UNLOCKED)
    fired.append(lock.ceiling_fired)
    timers[0].fire()
    for level in (LOCKED, UNLOCKED):
        lock.set(level)
        fired.append(lock.ceiling_fired)
    assert fired == [False, True, False]


def test_locking_in_time_disarms_the_ceiling(
    lock: GpioLock, factory: MockFactory, timers: list[ManualTimer]
) -> None:
    """Even one that was just firing does not cut the next unlocking short."""
    lock.set(UNLOCKED)
    lock.set(LOCKED)
    assert timers[0].cancelled
    lock.set(UNLOCKED)
    timers[0].fire()
    assert is_unlocked(factory)
    assert not lock.ceiling_fired


def test_a_timer_that_cannot_start_leaves_the_door_locked(factory: MockFactory) -> None:
    """No timer, no unlocking."""

    class NoThreads(ManualTimer):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    lock = GpioLock(config(), max_unlock_seconds=10, factory=factory, timer=NoThreads)
    with pytest.raises(RuntimeError, match="thread"):
        lock.set(UNLOCKED)
    assert levels(factory, 17) == [False]


def test_the_real_timer_relocks_by_itself(factory: MockFactory) -> None:
    """With threading.Timer and nobody calling, the line goes back to safe."""
    lock = GpioLock(config(), max_unlock_seconds=0.02, factory=factory)
    lock.set(UNLOCKED)
    timer = lock._ceiling
    assert timer is not None
    timer.join(5)  # type: ignore[attr-defined]
    assert levels(factory, 17) == [False, True, False]
    lock.close()


def test_closing_locks_twice_over_and_unlocking_afterwards_is_an_error(
    lock: GpioLock, factory: MockFactory, timers: list[ManualTimer]
) -> None:
    """close() may be called again, and nothing moves the line after it."""
    lock.set(UNLOCKED)
    lock.close()
    lock.close()
    assert timers[0].cancelled
    assert not is_unlocked(factory)
    with pytest.raises(GpioError, match="GPIO17"):
        lock.set(UNLOCKED)
    assert not is_unlocked(factory)


def test_a_single_led_shows_any_colour(factory: MockFactory) -> None:
    """One plain LED is lit whenever some colour is."""
    indicator = GpioIndicator(config(led="single", led_pins=[27]), factory=factory)
    for lamp, lit in [
        (Lamp(), False),
        (Lamp(blue=True), True),
        (Lamp(buzzer=True), False),
        (Lamp(red=True), True),
    ]:
        indicator.show(lamp)
        assert factory.pin(27).state == lit
    indicator.close()
    assert levels(factory, 27)[-1] is False


def test_an_rgb_led_and_a_buzzer_are_driven_each_on_its_pin(factory: MockFactory) -> None:
    """Pins are red, green, blue, in that order, and the buzzer apart; active low inverts all."""
    indicator = GpioIndicator(
        config(led="rgb", led_pins=[5, 6, 13], buzzer_pin=19, led_active="low"), factory=factory
    )
    indicator.show(Lamp(green=True, buzzer=True))
    assert [bool(factory.pin(pin).state) for pin in (5, 6, 13, 19)] == [True, False, True, False]
    indicator.close()
    assert all(levels(factory, pin)[-1] for pin in (5, 6, 13, 19))


def test_without_led_and_button_nothing_is_claimed(chip: SimulatedLgpio) -> None:
    """`led = "none"` and no button: silent stand-ins."""
    indicator, buttons = GpioIndicator(config()), GpioButtons(config())
    indicator.show(Lamp(red=True))
    assert list(buttons.edges()) == []
    indicator.close()
    buttons.close()
    assert chip.calls == []


def test_the_button_yields_edges_with_their_times_once(factory: MockFactory) -> None:
    """Pressed to ground, released, each with the moment it was noticed, and handed over once."""
    ticks = iter([1.5, 2.5])
    buttons = GpioButtons(config(button_pin=22), factory=factory, now=lambda: next(ticks))
    pin = cast(MockPin, factory.pin(22))
    pin.drive_low()
    pin.drive_high()
    assert [(edge.kind, edge.at) for edge in buttons.edges()] == [
        (EdgeKind.PRESSED, 1.5),
        (EdgeKind.RELEASED, 2.5),
    ]
    assert list(buttons.edges()) == []
    buttons.close()
    pin.drive_low()
    assert list(buttons.edges()) == []


def test_a_button_already_down_at_start_is_found_down() -> None:
    """A stuck button must be seen even though there never was an edge."""

    class HeldDown(MockPin):  # type: ignore[misc]
        def _set_pull(self, value: str) -> None:
            self._pull = value
            self.drive_low()

    factory = MockFactory(pin_class=HeldDown)
    buttons = GpioButtons(config(button_pin=22), factory=factory)
    assert [edge.kind for edge in buttons.edges()] == [EdgeKind.FOUND_DOWN]
    cast(MockPin, factory.pin(22)).drive_high()
    assert [edge.kind for edge in buttons.edges()] == [EdgeKind.RELEASED]
    buttons.close()
