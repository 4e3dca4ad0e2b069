"""The clock of the daemon."""

from __future__ import annotations

import time


class MonotonicClock:
    """Seconds that never step back, whatever is done to the wall clock."""

    def now(self) -> float:
        """Monotonic seconds since some fixed instant, usually the start of the machine."""
        return time.monotonic()
