"""What the kernel and the firmware say of the machine, read from their files."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from facelatch.adapters.system.clock import wall_clock_is_set
from facelatch.values.health import Reading

_MB = 1_000_000
_UNDER_VOLTAGE, _HELD_BACK = 0b0001, 0b1110
"""Of the firmware's `get_throttled`, as now: voltage low; frequency capped, throttled, soft limit of heat."""

_THROTTLED = (
    "sys/bus/platform/drivers/raspberrypi-firmware/*/get_throttled",
    "sys/devices/platform/soc*/*firmware/get_throttled",
)


class MachineHealth:
    """Reads files of /sys, /proc and /run, which the daemon's sandbox leaves readable: nothing is started for it.

    `vcgencmd` would need the firmware's device; the files have the same bits.
    """

    def __init__(self, state_directory: Path, root: Path = Path("/"), *, clock_assumed: bool = False) -> None:
        """`root` is where these folders are; `clock_assumed` trusts the clock on the wall unasked."""
        self._state, self._root, self._assumed = state_directory, root, clock_assumed

    def read(self) -> Reading:
        """One look. Never raises; may take as long as a disk that hangs."""
        free_mb, read_only = self._space()
        throttled = self._throttled()
        alarm = self._alarm()
        low = None if throttled is None else bool(throttled & _UNDER_VOLTAGE)
        return Reading(
            under_voltage=None if alarm is None and low is None else bool(alarm or low),
            throttled=None if throttled is None else bool(throttled & _HELD_BACK),
            temperature_celsius=self._temperature(),
            free_mb=free_mb,
            read_only=read_only,
            card_errors=self._card_errors(),
            wall_seconds=time.time(),
            clock_set=wall_clock_is_set(assumed=self._assumed, root=self._root),
            swap_mb=self._swap(),
        )

    def _texts(self, *patterns: str) -> Iterator[str]:
        for pattern in patterns:
            for path in sorted(self._root.glob(pattern)):
                text = _text(path)
                if text is not None:
                    yield text

    def _throttled(self) -> int | None:
        found = (_integer(text, base=16) for text in self._texts(*_THROTTLED))
        return next((bits for bits in found if bits is not None), None)

    def _alarm(self) -> bool | None:
        """The kernel's under-voltage monitor, which keeps an alarm for the two seconds until its next look."""
        for name in sorted(self._root.glob("sys/class/hwmon/hwmon*/name")):
            if _text(name) == "rpi_volt":
                alarm = _integer(_text(name.with_name("in0_lcrit_alarm")) or "")
                return None if alarm is None else alarm != 0
        return None

    def _temperature(self) -> float | None:
        """The hottest zone of the processor; other zones (a battery, a radio) may be as hot as they like."""
        found = []
        for kind in self._root.glob("sys/class/thermal/thermal_zone*/type"):
            milli = _integer(_text(kind.with_name("temp")) or "")
            if milli is not None and (_text(kind) or "").startswith("cpu"):
                found.append(milli / 1000)
        return max(found, default=None)

    def _space(self) -> tuple[int | None, bool | None]:
        try:
            there = os.statvfs(self._state)
        except OSError:
            return None, None
        return there.f_bavail * there.f_frsize // _MB, bool(there.f_flag & os.ST_RDONLY)

    def _card_errors(self) -> int | None:
        counts = [_integer(text) for text in self._texts("sys/fs/ext4/*/errors_count")]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    def _swap(self) -> int | None:
        found = dict(re.findall(r"^(SwapTotal|SwapFree): +(\d+) kB$", _text(self._root / "proc/meminfo") or "", re.M))
        if len(found) < 2:
            return None
        return (int(found["SwapTotal"]) - int(found["SwapFree"])) * 1024 // _MB


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def _integer(text: str, base: int = 10) -> int | None:
    try:
        return int(text, base)
    except ValueError:
        return None
