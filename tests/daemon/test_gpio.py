"""The pins that stay in the daemon: LED and buzzer do not flash at start, the button is heard."""

from __future__ import annotations

import gc
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import gpiozero.pins.local
import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from facelatch.adapters.pins import factory as pin_factory
from facelatch.adapters.pins.indicator import GpioIndicator
from facelatch.adapters.pins.inputs import GpioButtons
from facelatch.config.wires import GpioConfig
from facelatch.errors import GpioError
from facelatch.values.wires import EdgeKind, Lamp

PI_5 = 0xC04170


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


def config(**keys: Any) -> GpioConfig:
    return GpioConfig.model_validate({"led": "none", "led_pins": [], "button_pin": "none"} | keys)


def levels(factory: MockFactory, pin: int) -> list[bool]:
    return [state.state for state in cast(MockPin, factory.pin(pin)).states]


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
    with pytest.raises(GpioError, match="GPIO27") as caught:
        GpioIndicator(config(led="single", led_pins=[27]))
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
    indicator = GpioIndicator(config(led="single", led_pins=[17], lock_pin=5), factory=factory)
    indicator.show(Lamp(red=True))
    assert factory.pin(17).state
    indicator.close()


def test_two_devices_cannot_share_a_pin(factory: MockFactory) -> None:
    """A pin that is taken is a GpioError that names it."""
    first = GpioIndicator(config(led="single", led_pins=[17], lock_pin=5), factory=factory)
    with pytest.raises(GpioError, match="GPIO17"):
        GpioIndicator(config(led="single", led_pins=[17], lock_pin=5), factory=factory)
    first.close()


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
