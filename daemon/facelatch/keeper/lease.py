"""Whether the line may be unlocked: a lease that is renewed, or over. Pure; it is told words and times.

| lease    | what happens                                  | next     | the line |
|----------|-----------------------------------------------|----------|----------|
| none     | `grant` or `free` is said                     | running  | unlocked |
| running  | the same or the other word again, in time     | running  | unlocked |
| running  | `lock` is said                                | none     | locked   |
| running  | LEASE_SECONDS without a word                  | spent    | locked   |
| running  | `grant`, and the ceiling since it was begun   | spent    | locked   |
| running  | the line fails, or somebody else says `lock`  | spent    | locked   |
| spent    | anything but `lock`                           | spent    | locked   |
| spent    | `lock` is said                                | none     | locked   |

`free` has no ceiling. A spent lease stays spent until its holder has said `lock`: whoever woke up late learns so, and
cannot stretch one unlocking by asking on.
"""

from __future__ import annotations

LEASE_SECONDS = 0.5
"""Silence for this long ends a lease."""

KINDS = ("grant", "free")


class Lease:
    """The one lease there is. `ended` says how the last one ended: `ceiling`, `late`, `told`, `fault`; empty: well."""

    __slots__ = ("_ceiling", "_end_by", "_kind", "_renew_by", "_spent", "ended")

    def __init__(self, ceiling_seconds: float) -> None:
        self._ceiling = ceiling_seconds
        self._kind = ""
        self._renew_by = self._end_by = 0.0
        self._spent = False
        self.ended = ""

    def unlocked(self, now: float) -> bool:
        """Whether the line may be unlocked at `now` (monotonic seconds); ends a lease whose time is over."""
        if self._kind and now >= self._end_by:
            self.end("ceiling")
        elif self._kind and now >= self._renew_by:
            self.end("late")
        return bool(self._kind)

    def renew(self, kind: str, now: float) -> None:
        """`grant` or `free`: begins a lease, or renews it; a spent one stays spent."""
        running = self.unlocked(now)
        if self._spent:
            return
        if not running:
            self.ended = ""
        if not running or kind != self._kind:
            self._end_by = now + self._ceiling if kind == "grant" else float("inf")
        self._kind, self._renew_by = kind, now + LEASE_SECONDS

    def lock(self) -> None:
        """The holder's own word: over, and a new one may begin."""
        self._kind, self._spent = "", False

    def end(self, reason: str) -> None:
        """Over against the holder's will: it has to say `lock` before it gets another."""
        if self._kind:
            self._kind, self._spent, self.ended = "", True, reason

    def seconds_left(self, now: float) -> float:
        """Until the lease is over, if nothing is said; infinite without one."""
        return max(0.0, min(self._renew_by, self._end_by) - now) if self._kind else float("inf")
