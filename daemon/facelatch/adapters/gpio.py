"""Lock, indicator and button on the Pi's pins, through gpiozero with the pin factory named, never guessed.

Locked and unlocked become high and low here and nowhere else. A released line is driven by nobody (on the
Raspberry Pi kernel without `strict_gpiod` it keeps its last level): the wiring needs an external resistor
that pulls it to the safe side.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from facelatch.adapters import pin_factory
from facelatch.config.wires import GpioConfig
from facelatch.errors import GpioError
from facelatch.values.wires import Edge, EdgeKind, Lamp, LockLevel

try:
    from gpiozero import DigitalInputDevice, OutputDevice
except ImportError as error:
    raise GpioError(
        f"gpiozero is not installed: {error}", hint="`apt install python3-gpiozero python3-lgpio`"
    ) from error

LOCKED_IS_HIGH = {
    ("to_unlock", "high"): False,
    ("to_unlock", "low"): True,
    ("to_lock", "high"): True,
    ("to_lock", "low"): False,
}
"""(lock_energise, lock_active) -> whether the line is high while the door is locked: the safe level."""

_LEDS: dict[str, tuple[str, ...]] = {"none": (), "single": ("lit",), "rgb": ("red", "green", "blue")}


class Timer(Protocol):
    """A `threading.Timer`."""

    daemon: bool

    def start(self) -> None: ...  # noqa: D102
    def cancel(self) -> None: ...  # noqa: D102


class GpioLock:
    """The lock line, with a hard ceiling on every unlocking kept by a timer of its own."""

    def __init__(
        self,
        config: GpioConfig,
        *,
        max_unlock_seconds: float,
        factory: Any = None,
        timer: Callable[[float, Callable[[], None]], Timer] = threading.Timer,
    ) -> None:
        """Claims the line at its safe level. Raises GpioError. `factory` is for tests."""
        self._pin = config.lock_pin
        self._locked_is_high = LOCKED_IS_HIGH[config.lock_energise, config.lock_active]
        self._max_unlock_seconds = max_unlock_seconds
        self._new_timer = timer
        self._guard = threading.RLock()
        self._ceiling: Timer | None = None
        self._unlockings = 0
        self._ceiling_fired = False
        self._refusing = False
        with _gpio_errors(self._pin):
            self._line = OutputDevice(
                self._pin,
                initial_value=self._locked_is_high,
                pin_factory=factory or pin_factory.for_outputs(config),
            )

    @property
    def ceiling_fired(self) -> bool:
        """Whether the hard ceiling ended the last unlocking; true until the next one begins."""
        return self._ceiling_fired

    def set(self, level: LockLevel) -> None:
        """Drives the level. Raises GpioError.

        After the ceiling has fired, UNLOCKED keeps the line locked until LOCKED was asked for once.
        """
        with self._guard:
            if level is LockLevel.LOCKED:
                self._refusing = False
            unlock = level is LockLevel.UNLOCKED and not self._refusing
            if not unlock:
                self._stop_ceiling()
            elif self._ceiling is None:
                self._start_ceiling()  # before the line moves: unlocked without a timer must not happen
            self._drive(unlocked=unlock)

    def close(self) -> None:
        """Drives the safe level, then releases the line; never raises."""
        with self._guard:
            self._stop_ceiling()
            with suppress(Exception):
                self._drive(unlocked=False)
            with suppress(Exception):
                self._line.close()

    def _drive(self, *, unlocked: bool) -> None:
        with _gpio_errors(self._pin):
            self._line.value = self._locked_is_high != unlocked

    def _start_ceiling(self) -> None:
        self._unlockings += 1
        this_one = self._unlockings
        timer = self._new_timer(self._max_unlock_seconds, lambda: self._on_ceiling(this_one))
        timer.daemon = True
        timer.start()
        self._ceiling = timer
        self._ceiling_fired = False

    def _stop_ceiling(self) -> None:
        if self._ceiling is not None:
            self._ceiling.cancel()
            self._ceiling = None

    def _on_ceiling(self, unlocking: int) -> None:
        """Runs in the timer's thread."""
        with self._guard:
            if self._ceiling is None or unlocking != self._unlockings:
                return  # locked in time; this call was already on its way
            self._ceiling = None
            self._ceiling_fired = self._refusing = True
            self._drive(unlocked=False)


def relock(config: GpioConfig, *, attempts: int = 10, pause: Callable[[float], None] = time.sleep) -> None:
    """Drives the lock's safe level once and lets go, for after the daemon has died.

    Tries for about a second, because a dying process may still hold the line. Raises GpioError.
    """
    for attempt in range(1, attempts + 1):
        try:
            GpioLock(config, max_unlock_seconds=0).close()
            return
        except GpioError:
            if attempt == attempts:
                raise
        # gpiozero holds the pin reserved for the device that was half made, until that one is collected.
        gc.collect()
        pause(0.1)


class GpioIndicator:
    """One LED or a red, a green and a blue one, and a buzzer: whatever of them is configured."""

    def __init__(self, config: GpioConfig, *, factory: Any = None) -> None:
        """Claims the lines dark and silent. Raises GpioError."""
        pins = dict(zip(_LEDS[config.led], config.led_pins, strict=False))
        if config.buzzer_pin != "none":
            pins["buzzer"] = config.buzzer_pin
        self._outputs: dict[str, Any] = {}
        self._pins = pins
        if pins and factory is None:
            factory = pin_factory.for_outputs(config)
        try:
            for name, pin in pins.items():
                with _gpio_errors(pin):
                    self._outputs[name] = OutputDevice(
                        pin, active_high=config.led_active == "high", initial_value=False, pin_factory=factory
                    )
        except GpioError:
            self.close()
            raise

    def show(self, lamp: Lamp) -> None:
        """Drives every light and the buzzer as they should be at this instant. Raises GpioError."""
        for name, output in self._outputs.items():
            with _gpio_errors(self._pins[name]):
                output.value = getattr(lamp, name)

    def close(self) -> None:
        """Everything off, then released; never raises."""
        for output in self._outputs.values():
            with suppress(Exception):
                output.off()
            with suppress(Exception):
                output.close()


class GpioButtons:
    """The enrolment button to ground, or none. gpiozero's callback thread only takes notes."""

    def __init__(
        self, config: GpioConfig, *, factory: Any = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Claims the line with a pull-up. A button that is down already is noted as found down. Raises GpioError."""
        self._now = now
        self._noted: deque[Edge] = deque()
        self._guard = threading.Lock()
        self._down = False
        self._device: Any = None
        if config.button_pin == "none":
            return
        with _gpio_errors(config.button_pin):
            # gpiozero's Button is this class plus a thread that watches for holding, which we do ourselves.
            self._device = DigitalInputDevice(
                config.button_pin,
                pull_up=True,
                bounce_time=config.button_bounce_seconds or None,
                pin_factory=factory or pin_factory.for_inputs(config),
            )
            self._device.when_activated = self._pressed
            self._device.when_deactivated = self._released
            if self._device.is_active:
                self._note(True, EdgeKind.FOUND_DOWN)

    def edges(self) -> Sequence[Edge]:
        """What happened since the last call, in order; pressed (or found down at first) and released alternate."""
        with self._guard:
            noted = tuple(self._noted)
            self._noted.clear()
            return noted

    def close(self) -> None:
        """Releases the line; never raises."""
        if self._device is not None:
            with suppress(Exception):
                self._device.close()

    def _pressed(self) -> None:
        self._note(True, EdgeKind.PRESSED)

    def _released(self) -> None:
        self._note(False, EdgeKind.RELEASED)

    def _note(self, down: bool, kind: EdgeKind) -> None:
        with self._guard:
            if down != self._down:
                self._down = down
                self._noted.append(Edge(kind, self._now()))


@contextmanager
def _gpio_errors(pin: int) -> Iterator[None]:
    """Turns whatever gpiozero and lgpio raise (they share no root) into a GpioError that names the pin."""
    try:
        yield
    except GpioError:
        raise
    except Exception as error:
        raise GpioError(
            f"GPIO{pin}: {getattr(error, 'value', error) or type(error).__name__}",
            hint="is this a Raspberry Pi, the pin free, the user in group gpio, lgpio at least 0.2.2? "
            'On a desk set gpio.pin_factory = "mock"',
        ) from error
