"""The clocks: the one the daemon goes by, and what is known of the wall clock."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

from facelatch.audit.chain import Moment
from facelatch.values.hours import EARLIEST_SECONDS


class MonotonicClock:
    """Seconds that never step back, whatever is done to the wall clock."""

    def now(self) -> float:
        """Monotonic seconds since some fixed instant, usually the start of the machine."""
        return time.monotonic()


SYNCHRONISED = "run/systemd/timesync/synchronized"
"""There once systemd-timesyncd has set the clock since the start of the machine."""

FROM_A_BATTERY = "sys/class/rtc/rtc*/hctosys"
"""Each says 1 when the system took the time from that clock at its start."""

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""What names this start of the machine."""

_UNSYNCHRONISED = 5
"""What adjtimex returns of a clock that nobody disciplines (TIME_ERROR)."""


def wall_clock_is_set(*, assumed: bool = False, root: Path = Path("/")) -> bool:
    """Whether the wall clock can be believed: the one answer for people's hours, the ledger and health. Never raises.

    Never at a time from before this program. Otherwise always when `assumed` (schedule.clock); else once
    systemd-timesyncd, or another time service that tells the kernel, has set it since the start, or the system took it
    from a clock with a battery.
    """
    if time.time() < EARLIEST_SECONDS:
        return False
    return assumed or (root / SYNCHRONISED).exists() or _from_a_battery(root) or _kernel_knows()


def _from_a_battery(root: Path) -> bool:
    try:
        return any(one.read_text(encoding="ascii").strip() == "1" for one in root.glob(FROM_A_BATTERY))
    except (OSError, ValueError):
        return False


def _kernel_knows() -> bool:
    # Asking only (modes = 0). The unit's sandbox may refuse it: then it is not known.
    asked = ctypes.create_string_buffer(512)
    return ctypes.CDLL(None).adjtimex(asked) not in (-1, _UNSYNCHRONISED)


def moments(*, assumed: bool = False) -> Callable[[], Moment]:
    """What tells the present moment by every clock there is, for what is written down; `assumed` trusts the one on the
    wall unasked.
    """
    try:
        boot = BOOT.read_text(encoding="ascii")[:8]
    except OSError:
        boot = ""

    def now() -> Moment:
        return Moment(
            wall_ms=time.time_ns() // 1_000_000,
            trusted=wall_clock_is_set(assumed=assumed),
            mono_ms=time.monotonic_ns() // 1_000_000,
            boot=boot,
        )

    return now
