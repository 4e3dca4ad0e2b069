"""gpiozero's pin factories, chosen by name. The only file that knows lgpio."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

from facelatch.config.wires import GpioConfig

_DEVICES = Path("/dev")
_HEADER_CHIPS = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")


def for_inputs(config: GpioConfig) -> Any:
    """A factory for lines that are read. Raises whatever gpiozero and lgpio raise."""
    if config.pin_factory == "mock":
        return _mock()
    lgpio = _import_lgpio()
    from gpiozero.pins.lgpio import LGPIOFactory

    return _reentrant(LGPIOFactory(chip=_header_chip(lgpio)))


def for_outputs(config: GpioConfig) -> Any:
    """A factory whose pins go from unclaimed to driven at the wanted level in one call to the kernel.

    gpiozero's own pins are claimed as an input, then as an output that is low, and only then set: on an
    active-low relay that is a pulse.
    """
    if config.pin_factory == "mock":
        return _mock()
    lgpio, factory = _import_lgpio(), for_inputs(config)
    from gpiozero.pins.local import LocalPiPin

    chip = factory._handle

    class OutputPin(LocalPiPin):  # type: ignore[misc]
        """A line that is claimed by `output_with_state` and never becomes an input."""

        def output_with_state(self, state: bool) -> None:
            lgpio.gpio_claim_output(chip, self._number, int(bool(state)))

        def _get_function(self) -> str:
            return "output"

        def _get_state(self) -> bool:
            return bool(lgpio.gpio_read(chip, self._number))

        def _set_state(self, value: bool) -> None:
            lgpio.gpio_write(chip, self._number, int(bool(value)))

        def close(self) -> None:
            with suppress(lgpio.error):  # not claimed
                lgpio.gpio_free(chip, self._number)

    factory.pin_class = OutputPin
    return factory


def remember(config: GpioConfig) -> None:
    """Notes the pins about to be driven, for `remembered`. Never raises."""
    if record := _record():
        with suppress(OSError):  # then relock goes by the configuration
            record.write_text(config.model_dump_json())


def remembered() -> GpioConfig | None:
    """The pins the daemon drove last, when systemd runs us; None when that is not known.

    The relock must not depend on a file that somebody may have broken since the daemon read it.
    """
    record = _record()
    try:
        return GpioConfig.model_validate_json(record.read_bytes()) if record else None
    except (OSError, ValueError):
        return None


def _record() -> Path | None:
    runtime = _runtime_directory()
    return Path(runtime) / "pins.json" if runtime else None


def _runtime_directory() -> str | None:
    return os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or None


def _mock() -> Any:
    from gpiozero.pins.mock import MockFactory, MockPin

    return _reentrant(MockFactory(pin_class=MockPin))


def _reentrant(factory: Any) -> Any:
    """Lets a device that is collected as garbage while another one is being made release its pin.

    With gpiozero's plain lock that is a deadlock, in the very call that claims the door's line.
    """
    factory._res_lock = threading.RLock()
    return factory


def _header_chip(lgpio: Any) -> int | None:
    """The number of the gpiochip behind the 40-pin header, which differs between models and kernels.

    None when none has a known label: then gpiozero decides by the board's revision.
    """
    for device in sorted(_DEVICES.glob("gpiochip*")):
        number = int(device.name.removeprefix("gpiochip"))
        with suppress(lgpio.error):  # not ours to open
            handle = lgpio.gpiochip_open(number)
            label = lgpio.gpio_get_chip_info(handle)[3]
            lgpio.gpiochip_close(handle)
            if label in _HEADER_CHIPS:
                return number
    return None


def _import_lgpio() -> Any:
    """Imports lgpio, which on import makes a pipe in the current directory and needs to write there.

    So it gets a folder of its own, which can go as soon as the pipe is open at both ends.
    """
    with tempfile.TemporaryDirectory(prefix="lgpio-", dir=_runtime_directory()) as folder, chdir(folder):
        import lgpio
    return lgpio
