"""The two lines of a Wiegand reader, through libgpiod 2."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from facelatch.config.access import FactorsConfig
from facelatch.errors import GpioError
from facelatch.values.readers import Pulse

BUFFER = 1024
"""Edges that the kernel keeps for us: some thirty cards. Without asking it would be 16 a line, half a card."""
_DEVICES = Path("/dev")
_HEADER_CHIPS = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")


class WiegandReader:
    """Falling edges only: no level is read back, so that a pulse of 50 microseconds cannot be mistaken.

    One request for both lines, because only then the kernel numbers the edges of both in one row.
    """

    def __init__(self, config: FactorsConfig) -> None:
        """Claims both lines. Raises GpioError."""
        data0, data1 = config.wiegand_pins
        self._lines = {data0: 0, data1: 1}
        gpiod = _import_gpiod()
        line = gpiod.line
        settings = gpiod.LineSettings(
            direction=line.Direction.INPUT,
            edge_detection=line.Edge.FALLING,
            bias=line.Bias.PULL_UP,
            event_clock=line.Clock.MONOTONIC,
        )
        try:
            self._request: Any = gpiod.request_lines(
                str(header_chip(gpiod)),
                consumer="facelatch",
                config={(data0, data1): settings},
                event_buffer_size=BUFFER,
            )
        except (OSError, ValueError) as error:
            raise GpioError(
                f"GPIO{data0}, GPIO{data1}: {error}",
                hint="are the pins of factors.wiegand_pins free, and the user in group gpio?",
            ) from error

    def signals(self) -> Sequence[Pulse]:
        """The edges since the last call, in order; never blocks. Raises OSError."""
        pulses: list[Pulse] = []
        while self._request.wait_edge_events(timedelta(0)):
            pulses += [
                Pulse(line=self._lines[event.line_offset], at=event.timestamp_ns / 1e9, number=event.global_seqno)
                for event in self._request.read_edge_events(BUFFER)
            ]
        return pulses

    def close(self) -> None:
        """Releases the lines; never raises."""
        with suppress(Exception):
            self._request.release()


def header_chip(gpiod: Any) -> Path:
    """The chip behind the 40-pin header. Raises GpioError where there is none."""
    for device in sorted(_DEVICES.glob("gpiochip*")):
        with suppress(OSError), gpiod.Chip(str(device)) as chip:  # not ours to open
            if chip.get_info().label in _HEADER_CHIPS:
                return device
    raise GpioError("no chip of the 40-pin header in /dev", hint="is this a Raspberry Pi, and the user in group gpio?")


def _import_gpiod() -> Any:
    try:
        import gpiod
    except ImportError as error:
        raise GpioError(f"gpiod is not installed: {error}", hint="pip install 'gpiod>=2.2'") from error
    return gpiod
