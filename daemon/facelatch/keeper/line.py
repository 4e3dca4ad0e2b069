"""One output line by the kernel's own interface: linux/gpio.h, version 2, three ioctls and three structs."""

from __future__ import annotations

import fcntl
import os
import struct

HEADER_CHIPS = (b"pinctrl-rp1", b"pinctrl-bcm2711", b"pinctrl-bcm2835")
"""Labels of the chip behind the 40-pin header; its number differs between models and kernels."""

DEVICES = "/dev"

_CHIP_INFO = struct.Struct("=32s32sI")  # name, label, lines
_REQUEST = struct.Struct("=64I32sQI20xIIQQ216xII20xi")
"""offsets, consumer, flags, attributes, (id, padding, value, mask) and nine unused ones, lines, buffer, descriptor"""
_VALUES = struct.Struct("=QQ")  # bits, mask

_GET_CHIP_INFO, _GET_LINE, _GET_VALUES, _SET_VALUES = 0x8044B401, 0xC250B407, 0xC010B40E, 0xC010B40F
_FLAG_OUTPUT, _ATTRIBUTE_OUTPUT_VALUES = 1 << 3, 2


def header_chip() -> int:
    """An open descriptor of the chip behind the header. Raises OSError."""
    for name in sorted(name for name in os.listdir(DEVICES) if name.startswith("gpiochip")):
        try:
            chip = os.open(os.path.join(DEVICES, name), os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # not ours to open
            continue
        info = bytearray(_CHIP_INFO.size)
        fcntl.ioctl(chip, _GET_CHIP_INFO, info)
        if _CHIP_INFO.unpack(info)[1].rstrip(b"\0") in HEADER_CHIPS:
            return chip
        os.close(chip)
    raise OSError(f"no chip of a Raspberry Pi's header among {DEVICES}/gpiochip*")


class OutputLine:
    """An output, claimed at a level in one call: it is never an input, nor at the other level, in between."""

    def __init__(self, pin: int, high: bool) -> None:
        """Raises OSError, such as EBUSY while another process has the line."""
        chip = header_chip()
        try:
            request = bytearray(
                _REQUEST.pack(
                    *(pin, *[0] * 63), b"facelatch-lock", _FLAG_OUTPUT, 1, _ATTRIBUTE_OUTPUT_VALUES, 0, high, 1, 1, 0, 0
                )
            )
            fcntl.ioctl(chip, _GET_LINE, request)
            self._descriptor: int = _REQUEST.unpack(request)[-1]
        finally:
            os.close(chip)

    def write(self, high: bool) -> None:
        """Drives the level. Raises OSError, also when the line then reads otherwise."""
        fcntl.ioctl(self._descriptor, _SET_VALUES, bytearray(_VALUES.pack(high, 1)))
        values = bytearray(_VALUES.pack(0, 1))
        try:
            fcntl.ioctl(self._descriptor, _GET_VALUES, values)
        except OSError:
            return  # a chip that cannot tell
        if bool(_VALUES.unpack(values)[0] & 1) != high:
            raise OSError("the line does not follow: is it shorted?")

    def close(self) -> None:
        """Lets the line go; its level is then nobody's."""
        os.close(self._descriptor)


class MockLine:
    """Drives nothing: a desk without pins."""

    def __init__(self, pin: int, high: bool) -> None:
        self.pin = pin
        self.write(high)

    def write(self, high: bool) -> None:
        """Takes the level."""
        self.high = high

    def close(self) -> None:
        """There is nothing to let go."""
