"""The lock, through its keeper: the process `facelatch-lock`, which alone has the line.

Locked and unlocked become high and low here and nowhere else; the keeper is told which is which when it is started.
The loop's own turn renews the keeper's lease, by asking for the level again; no thread does, which would hide a loop
that hangs.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from facelatch.config.wires import GpioConfig
from facelatch.errors import GpioError
from facelatch.keeper.line import OutputLine
from facelatch.values.wires import LockLevel

SOCKET = Path("/run/facelatch-lock/lock.sock")
"""Where the keeper serves that systemd has started."""

ANSWER_SECONDS = 1.0
"""The keeper answers within a millisecond; one that took this long is stopped, or its machine is."""

LOCKED_IS_HIGH = {
    ("to_unlock", "high"): False,
    ("to_unlock", "low"): True,
    ("to_lock", "high"): True,
    ("to_lock", "low"): False,
}
"""(lock_energise, lock_active) -> whether the line is high while the door is locked: the safe level."""

_WORDS = {LockLevel.LOCKED: "lock", LockLevel.UNLOCKED: "grant", LockLevel.FREE: "free"}

_LOST_HINT = "`systemctl status facelatch-lock`, `journalctl -u facelatch-lock`"


def locked_is_high(config: GpioConfig) -> bool:
    """Whether the line is high while the door is locked."""
    return LOCKED_IS_HIGH[config.lock_energise, config.lock_active]


def keeper_arguments(config: GpioConfig, max_unlock_seconds: float) -> list[str]:
    """What `facelatch-lock` has to be told of the configuration, which it never reads."""
    level = "high" if locked_is_high(config) else "low"
    words = ["--pin", str(config.lock_pin), "--locked", level, "--ceiling", f"{max_unlock_seconds:g}"]
    if config.heartbeat_pin != "none":
        words += ["--heartbeat", str(config.heartbeat_pin)]
    return words + (["--mock"] if config.pin_factory == "mock" else [])


def keeper_settings(config: GpioConfig, max_unlock_seconds: float) -> str:
    """The same as the daemon says it in its greeting."""
    return " ".join(keeper_arguments(config, max_unlock_seconds))


class KeeperLock:
    """The lock, as its keeper's only client."""

    def __init__(
        self,
        connection: socket.socket,
        settings: str,
        *,
        hello_seconds: float = ANSWER_SECONDS,
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        """Greets the keeper, which may take `hello_seconds` to answer if it is only just starting.

        Raises GpioError, also when it was started with other settings. `ended` is called after the connection has
        been closed.
        """
        connection.settimeout(hello_seconds)
        self._connection, self._ended = connection, ended
        self._ended_by = ""
        if self._ask(f"hello {settings}") == "other":
            self._hang_up()
            raise GpioError("the keeper of the lock was started with other settings", hint=_LOST_HINT)
        connection.settimeout(ANSWER_SECONDS)

    @property
    def ceiling_fired(self) -> bool:
        """Whether the hard ceiling ended the last unlocking; true until the next one begins."""
        return self._ended_by == "ceiling"

    @property
    def lapsed(self) -> bool:
        """Whether the last unlocking ended because this process was too late to ask for more, or somebody relocked."""
        return self._ended_by in ("late", "told")

    def set(self, level: LockLevel) -> None:
        """Asks for the level. Raises GpioError when the keeper is lost or cannot drive its line.

        After an unlocking has ended by the ceiling or for want of renewal, UNLOCKED keeps the line locked until LOCKED
        was asked for once.
        """
        answer = self._ask(_WORDS[level])
        if answer in ("fault", "busy"):
            raise GpioError(
                {
                    "fault": "the keeper cannot drive the lock's line",
                    "busy": "another process has the lock's lease",
                }[answer],
                hint=_LOST_HINT,
            )
        self._ended_by = answer.partition(" ")[2]

    def close(self) -> None:
        """Leaves the keeper, which then locks if it has not; never raises."""
        self._hang_up()

    def _ask(self, word: str) -> str:
        try:
            self._connection.send(word.encode("ascii"))
            answer = self._connection.recv(100).decode("ascii", "replace")
        except OSError as error:
            answer, reason = "", f": {type(error).__name__}"
        else:
            reason = ""
        if not answer:
            self._hang_up()  # which locks, should it only be late
            raise GpioError(f"the keeper of the lock does not answer{reason}", hint=_LOST_HINT)
        return answer

    def _hang_up(self) -> None:
        self._connection.close()
        ended, self._ended = self._ended, lambda: None
        ended()


def connected(path: Path) -> socket.socket:
    """A connection to the keeper that serves there. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(ANSWER_SECONDS)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def keepers_lock(path: Path, settings: str, *, patience_seconds: float) -> KeeperLock:
    """The lock by the keeper that serves at `path`, which may still be starting, or start anew for other settings.

    Raises GpioError when none was to be had in time.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return KeeperLock(connected(path), settings)
        except OSError as error:  # a GpioError is one, too
            if time.monotonic() > deadline:
                raise GpioError(f"{path}: no keeper of the lock: {error}", hint=_LOST_HINT) from error
        time.sleep(0.1)


def ask_keeper(path: Path, word: str) -> str:
    """The answer to `lock` or `state` of a keeper that may be serving somebody else. Raises OSError when none does."""
    with connected(path) as connection:
        connection.send(word.encode("ascii"))
        if answer := connection.recv(100).decode("ascii", "replace"):
            return answer
    raise ConnectionError(f"{path}: the keeper hung up")


def relock(
    config: GpioConfig,
    keeper: Path = SOCKET,
    *,
    attempts: int = 10,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Locks, for after the daemon has died: by the keeper, or by its line where no keeper answers. Raises GpioError.

    The line is tried for about a second, because a dying process may still hold it.
    """
    with suppress(OSError):
        if ask_keeper(keeper, "lock").startswith("locked"):
            return
    for attempt in range(1, attempts + 1):
        try:
            if config.pin_factory != "mock":
                line = OutputLine(config.lock_pin, locked_is_high(config))
                line.write(locked_is_high(config))
                line.close()
            return
        except OSError as error:
            if attempt == attempts:
                raise GpioError(
                    f"GPIO{config.lock_pin}: {error.strerror or error}",
                    hint="is this a Raspberry Pi, the user in group gpio, no other program using the pin?",
                ) from error
        pause(0.1)
