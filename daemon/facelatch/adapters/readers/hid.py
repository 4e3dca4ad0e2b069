"""USB devices that type: keypads, and card readers that type the number of a card."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from facelatch.errors import GpioError
from facelatch.values.readers import Stroke

_SYMBOLS = {
    **{f"KEY_{symbol}": symbol for symbol in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    **{f"KEY_KP{symbol}": symbol for symbol in "0123456789"},
    "KEY_ENTER": "#",
    "KEY_KPENTER": "#",
    "KEY_NUMERIC_POUND": "#",
    "KEY_BACKSPACE": "*",
    "KEY_KPASTERISK": "*",
    "KEY_NUMERIC_STAR": "*",
    "KEY_ESC": "*",
    **{f"KEY_NUMERIC_{symbol}": symbol for symbol in "0123456789"},
}
"""Names of the kernel's keys; the others say nothing."""


class HidReader:
    """One device, taken from everybody else: what it types must not end up at a login prompt."""

    def __init__(self, path: str, device: str) -> None:
        """Opens and grabs `path`; `device` (keypad or card) is told with each stroke. Raises GpioError."""
        self._device = device
        try:
            import evdev
        except ImportError as error:
            raise GpioError(f"evdev is not installed: {error}", hint="`apt install python3-evdev`") from error
        self._codes = evdev.ecodes
        try:
            self._input: Any = evdev.InputDevice(path)
            self._input.grab()
        except OSError as error:
            raise GpioError(
                f"{path}: {error.strerror or error}",
                hint="is it plugged in, and allowed in the unit (DeviceAllow, group input)?",
            ) from error

    def signals(self) -> Sequence[Stroke]:
        """The strokes since the last call, in order; never blocks. Raises OSError when the device is gone."""
        # The kernel stamps them by a clock that may be set back.
        found, at = list[Stroke](), time.monotonic()
        codes = self._codes
        while (event := self._input.read_one()) is not None:
            if event.type == codes.EV_SYN and event.code == codes.SYN_DROPPED:
                found.append(Stroke(device=self._device, symbol="", at=at))
            elif event.type == codes.EV_KEY and event.value == 1:
                names = codes.KEY.get(event.code, "")
                aliases = [names] if isinstance(names, str) else names
                symbol = next((_SYMBOLS[name] for name in aliases if name in _SYMBOLS), None)
                found += [Stroke(device=self._device, symbol=symbol, at=at)] if symbol is not None else []
        return found

    def close(self) -> None:
        """Gives the device back; never raises."""
        with suppress(Exception):
            self._input.ungrab()
        with suppress(Exception):
            self._input.close()
