"""`facelatch check`: is everything there that the door needs? Each item ok, or a fault with a hint."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from functools import cache
from pathlib import Path
from shlex import quote
from typing import Any

from facelatch.adapters.pins import lock
from facelatch.api.rights import group_exists, unknown_accounts
from facelatch.app import build, keeper, model_files
from facelatch.config.file import Config
from facelatch.diagnosis import (
    bypass,
    check_liveness,
    hours,
    ledger,
    ownership,
    protection,
    surroundings,
    wiring,
)
from facelatch.diagnosis.enrolled import Enrolled, read_enrolled
from facelatch.diagnosis.finding import Finding
from facelatch.errors import (
    CameraError,
    ConfigError,
    FacelatchError,
    GalleryError,
    GpioError,
    ModelError,
)
from facelatch.gallery.names import alike
from facelatch.gallery.place import explained, require_state_directory
from facelatch.line.background import STILL_FACE_HINT
from facelatch.line.orientation import turn_of_picture
from facelatch.ports import EndOfFrames, FaceFinder, FrameSource
from facelatch.vision.cohort import load_cohort
from facelatch.vision.manifest import Manifest

FRAME_SECONDS = 5.0
LOOKS = 10
"""Frames in which a face is looked for."""

JOURNAL_SOCKET = Path("/run/systemd/journal/socket")


BESIDE_THE_DOOR = frozenset(
    {"signature", "storage", "ledger", "permissions", "clock", "journal"}
    | {"rights", "bypass", "owners", "health", "readers"}
)
"""What a daemon that serves can try of that in a moment; that model, camera and gallery are right it has shown."""


def check(
    config: Config, *, with_hardware: bool = True, file: Path | None = None, only: Collection[str] = ()
) -> Iterator[Finding]:
    """Tries one thing after the other; a fault in one does not stop the next.

    `with_hardware` also opens the camera and claims the pins, which a running daemon holds. `file` is where the
    configuration was read; `only`: these items, or all.
    """
    enrolled = cache(lambda: read_enrolled(config))  # opened once: to examine a large gallery takes seconds
    steps: list[tuple[str, Callable[[], str | Finding]]] = [
        ("model", lambda: _model(config)),
        ("finder", lambda: _finder(config)),
        ("liveness", lambda: check_liveness.finding(config.liveness, config.model)),
        ("signature", lambda: protection.signature(config)),
        ("gallery", lambda: _gallery(enrolled())),
        ("seal", lambda: ": ".join(protection.explained(enrolled().seal, config))),
        ("storage", lambda: surroundings.storage(config)),
        ("ledger", lambda: ledger.finding(config)),
        ("permissions", lambda: _permissions(config)),
        ("clock", surroundings.clock),
        ("journal", _journal),
        ("rights", lambda: _rights(config)),
        ("view", lambda: _view(config)),
        ("bypass", _bypass),
        ("owners", lambda: ownership.owned(config, file)),
        ("health", lambda: surroundings.health(config)),
        ("hours", lambda: hours.schedules(config, _with_hours(enrolled))),
        ("readers", lambda: hours.readers(config, open_them=with_hardware)),
        ("wiring", lambda: "\n".join(wiring.drawing(config))),
    ]
    if with_hardware:
        steps[4:4] = [("camera", lambda: _camera(config)), ("pins", lambda: _pins(config))]
    for item, step in steps:
        if only and item not in only:
            continue
        try:
            found = step()
            yield found if isinstance(found, Finding) else Finding(item=item, ok=True, detail=found)
        except FacelatchError as error:
            yield Finding(item=item, ok=False, detail=str(error), hint=error.hint)
        except (OSError, ImportError) as error:
            yield Finding(item=item, ok=False, detail=f"{type(error).__name__}: {error}", hint=_cause(error))


def _cause(error: OSError | ImportError) -> str:
    """What to do about an error that no adapter has put into words."""
    if isinstance(error, ImportError):
        return "is the package there? deploy/install.sh installs all that the door needs"
    if isinstance(error, PermissionError):
        return "run it as the daemon's user: `sudo -u facelatch facelatch check`"
    return "is the device or file there?"


def _model(config: Config) -> str:
    verifier = build.build_verifier(config.model)
    load_cohort(model_files.siamese_path(config.model), verifier.manifest)
    limits = build.thresholds(config.model, verifier.manifest)
    speed = "accelerated" if verifier.accelerated else "not accelerated"
    changed = _overrides(config, verifier.manifest)
    alone = "" if limits.likeness is not None else "; frames are judged one by one, as it is calibrated for"
    return (
        f"{verifier.model_sha256[:12]}, {verifier.runtime}, {speed}; detection threshold {limits.detection:.4g}, "
        f"verification threshold {limits.verification:.4g}{changed}{alone}"
    )


def _overrides(config: Config, manifest: Manifest) -> str:
    parts = [
        f"{key} overridden, calibrated {getattr(manifest, key):.4g}"
        for key in ("detection_threshold", "verification_threshold")
        if getattr(config.model, key) is not None
    ]
    door = manifest.calibrated_for
    if door is not None:
        parts += [
            f"{key} is {actual}, calibrated for {calibrated}"
            for key, actual, calibrated in (
                ("session.required_matches", config.session.required_matches, door.required_matches),
                ("enrolment.references", config.enrolment.references, door.references),
            )
            if actual != calibrated
        ]
    return f" ({'; '.join(parts)})" if parts else ""


def _finder(config: Config) -> str:
    build.build_finder(config.finder)
    return config.finder.kind


def _camera(config: Config) -> str:
    from facelatch.adapters.system.clock import MonotonicClock
    from facelatch.app.capture import NewestFrame

    clock = MonotonicClock()
    try:
        finder: FaceFinder | None = build.build_finder(config.finder)
    except ModelError:  # has an item of its own
        finder = None
    frames = NewestFrame(build.build_camera(config.camera, clock), clock)
    try:
        size, turn = _looked_through(frames, finder)
    finally:
        frames.close()
    return f"{config.camera.source} delivers {size}, {_upright(config, turn)}"


def _looked_through(frames: FrameSource, finder: FaceFinder | None) -> tuple[str, int | None]:
    """The size of the frames, and how a face in them stands; None when none comes into view.

    Several, as the first ones of many a camera are dark.
    """
    size = ""
    for _ in range(LOOKS):
        try:
            frame = frames.next(FRAME_SECONDS)
        except EndOfFrames:
            break
        if frame is None:
            raise CameraError(
                f"no frame within {FRAME_SECONDS:g} s",
                hint="is the cable seated, is another program using the camera?",
            )
        size = f"{frame.image.shape[1]}x{frame.image.shape[0]}"
        turn = None if finder is None else turn_of_picture(finder, frame.search)
        if turn is not None:
            return size, turn
    return size, None


def _upright(config: Config, turn: int | None) -> str:
    """What a face in view says of how the camera hangs. Raises CameraError when the picture is not upright."""
    if turn is None:
        return "nobody in view to see whether it is upright: stand before it and check again"
    if turn:
        fault = "the picture is upside down" if turn == 180 else "the picture lies on its side"
        right = (config.camera.rotation_degrees + turn) % 360
        raise CameraError(fault, hint=f"set camera.rotation_degrees = {right}")
    return "a face in view stands upright"


def _pins(config: Config) -> str:
    path = keeper.served_at() or lock.SOCKET
    if not path.exists():
        for claimed in (*build.build_pins(config), build.build_site(config)):
            claimed.close()
        return f"lock on GPIO {config.gpio.lock_pin}, claimed at its safe level"
    answer = lock.ask_keeper(path, "state")
    if answer == "fault":
        raise GpioError("facelatch-lock cannot drive the lock", hint="`journalctl -u facelatch-lock`")
    for part in (*build.build_other_pins(config), build.build_site(config)):
        part.close()
    return f"lock on GPIO {config.gpio.lock_pin}, its keeper says {answer}"


def _bypass() -> str:
    nodes = bypass.pin_memory()
    if users := bypass.users(nodes):
        # No fault: whoever may use sudo, as the first user of Raspberry Pi OS may, is root anyway.
        devices = ", ".join(map(str, nodes))
        return f"{', '.join(users)} can drive the lock past its keeper, by {devices} (`sudo gpasswd -d USER gpio`)"
    return "only root can drive pins past the lock's keeper" if nodes else "no pins here that could be driven past it"


def _gallery(enrolled: Enrolled) -> str | Finding:
    names = [person["name"] for person in enrolled.people]
    people = f"{len(names)} people{', says the running daemon' if enrolled.served else ''}"
    pairs = alike(names)
    if not pairs:
        return people
    detail = "; ".join(f"{one!r} and {other!r} look alike ({one!a}, {other!a})" for one, other in pairs)
    hint = "both work; `facelatch people rename` tells them apart"
    return Finding(item="gallery", ok=True, detail=f"{people}; {detail}", hint=hint, warning=True)


def _with_hours(enrolled: Callable[[], Enrolled]) -> list[dict[str, Any]]:
    """Everybody enrolled; nobody where the gallery cannot be read, which has an item of its own."""
    try:
        return enrolled().people
    except FacelatchError:
        return []


def _view(config: Config) -> str | Finding:
    """Whether the daemon has had a face in view that does not move: nobody else has looked for long enough."""
    from facelatch.control.client import ControlClient, NobodyThereError

    try:
        still = int(ControlClient(Path(config.control.socket)).ask({"action": "status"}).get("still_faces", 0))
    except NobodyThereError:
        return "no daemon runs that could say whether a picture of somebody hangs in view"
    if not still:
        return "no picture of somebody hangs in view, says the running daemon"
    detail = f"{still} still {'face is' if still == 1 else 'faces are'} in view for a minute or longer, and ignored"
    return Finding(item="view", ok=True, detail=detail, hint=STILL_FACE_HINT, warning=True)


def _rights(config: Config) -> str:
    if (group := config.control.group) and not group_exists(group):
        raise ConfigError(
            f"control.group = {group!r}: no such group, so only root and the daemon's own user reach the daemon",
            hint='`getent group` shows all names; control.group = "" says that it is meant so',
        )
    if unknown := unknown_accounts(config.control):
        raise ConfigError(
            f"control.rights names {', '.join(unknown)}: no such user or group",
            hint="a group has an @ before its name; `getent passwd` and `getent group` show all names",
        )
    entries = len(config.control.rights)
    return f"{entries} entries in control.rights" if entries else "root may do everything, the group the default"


def _permissions(config: Config) -> str:
    folder = Path(config.storage.state_directory)
    require_state_directory(folder)
    with explained(folder):
        for path in [folder, *folder.iterdir()]:
            mode = stat.S_IMODE(path.stat().st_mode)
            allowed = 0o700 if path.is_dir() else 0o600
            if mode & ~allowed:
                raise GalleryError(f"{path}: mode {mode:04o}", hint=f"chmod {allowed:04o} {quote(str(path))}")
    return f"{folder} is private"


def _journal() -> str:
    if not JOURNAL_SOCKET.exists():
        return "no journald here: the audit log goes to stderr"
    if not os.access(JOURNAL_SOCKET, os.W_OK):
        raise FacelatchError(f"{JOURNAL_SOCKET}: not writable", hint="run as a user who may write to it")
    return "events go to journald"
