"""Items of `facelatch check` about what the door stands on: the state directory's file system, the machine's health."""

from __future__ import annotations

import os
import time
from pathlib import Path

from facelatch.adapters.system.health import MachineHealth
from facelatch.config.file import Config
from facelatch.diagnosis.finding import Finding
from facelatch.errors import FacelatchError, GalleryError
from facelatch.gallery.place import VOLATILE_HINT, broken_promise, file_system, volatile_file_system
from facelatch.machines.health import HINTS, Level, Trouble, judge
from facelatch.values.hours import EARLIEST_SECONDS

LEAST_BYTES = 1_000_000
"""With less free space SQLite may not even start."""

_OTHER_PLACE = "put storage.state_directory on a file system such as ext4"


def storage(config: Config) -> str | Finding:
    """What the state directory's file system can promise. Raises GalleryError where the door could not even start."""
    folder = Path(config.storage.state_directory)
    if not folder.exists():
        return f"{folder} is not there: see gallery"
    there = os.statvfs(folder)
    if there.f_flag & os.ST_RDONLY:
        hint = "`dmesg` says whether the card failed; else `mount -o remount,rw`, or another storage.state_directory"
        raise GalleryError(f"{folder} is on a read-only file system: nobody can be enrolled or removed", hint=hint)
    if there.f_bavail * there.f_frsize < LEAST_BYTES:
        raise GalleryError(f"{folder}: its file system is full", hint=HINTS[Trouble.LITTLE_SPACE])
    kind = volatile_file_system(folder)
    if kind is not None:
        detail = f"{folder} is on {kind}: people enrolled may be gone at the next start, and people removed be back"
        return Finding(item="storage", ok=True, detail=detail, hint=VOLATILE_HINT, warning=True)
    kind = file_system(folder)
    broken = broken_promise(kind)
    if broken is not None:
        detail = f"{folder} is on {kind}: {broken}"
        return Finding(item="storage", ok=True, detail=detail, hint=_OTHER_PLACE, warning=True)
    return f"{folder} is on a file system that stays{f' ({kind})' if kind else ''}"


def health(config: Config) -> str | Finding:
    """What one look at the machine says; what lasts a moment is seen by the running daemon (`facelatch status`)."""
    reading = MachineHealth(
        Path(config.storage.state_directory), clock_assumed=config.schedule.clock_assumed
    ).read()
    judged = {trouble: judge(trouble, reading, config.health) for trouble in Trouble}
    ill = {trouble: text for trouble, (level, text) in judged.items() if level is Level.ILL}
    if ill:
        hint = "; ".join(HINTS[trouble] for trouble in ill)
        return Finding(item="health", ok=True, detail="; ".join(ill.values()), hint=hint, warning=True)
    return "; ".join(text for level, text in judged.values() if level is not Level.UNKNOWN)


def clock() -> str:
    """The time, as the system believes. Raises FacelatchError when it was never set."""
    if time.time() < EARLIEST_SECONDS:
        raise FacelatchError("the clock was never set", hint="timedatectl; the door works, but log times lie")
    return time.strftime("%Y-%m-%d %H:%M:%S")
