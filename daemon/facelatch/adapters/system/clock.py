"""The clocks: the one the daemon goes by, and what is known of the wall clock."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

from facelatch.audit.chain import Moment


class MonotonicClock:
    """Seconds that never step back, whatever is done to the wall clock."""

    def now(self) -> float:
        """Monotonic seconds since some fixed instant, usually the start of the machine."""
        return time.monotonic()


SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
"""There once systemd-timesyncd has set the clock since the start of the machine."""

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""What names this start of the machine."""

_UNSYNCHRONISED = 5
"""What adjtimex returns of a clock that nobody disciplines (TIME_ERROR)."""


def wall_clock_is_set() -> bool:
    """Whether the wall clock was set since the start: by systemd-timesyncd, or others who told the kernel."""
    return SYNCHRONISED.exists() or _kernel_knows()


def _kernel_knows() -> bool:
    # Asking only (modes = 0). The unit's sandbox may refuse it: then it is not known.
    asked = ctypes.create_string_buffer(512)
    return ctypes.CDLL(None).adjtimex(asked) not in (-1, _UNSYNCHRONISED)


def moments() -> Callable[[], Moment]:
    """What tells the present moment by every clock there is, for what is written down; nothing is decided by it."""
    try:
        boot = BOOT.read_text(encoding="ascii")[:8]
    except OSError:
        boot = ""

    def now() -> Moment:
        return Moment(
            wall_ms=time.time_ns() // 1_000_000,
            trusted=wall_clock_is_set(),
            mono_ms=time.monotonic_ns() // 1_000_000,
            boot=boot,
        )

    return now
