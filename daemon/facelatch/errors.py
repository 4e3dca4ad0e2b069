"""Every error a user can meet: one root, one class per cause, an exit code and a hint on each."""

from __future__ import annotations


class FacelatchError(Exception):
    """The root. `str(error)` states the fault, `hint` what a person can do about it."""

    exit_code = 70
    """What the process ends with when this error reaches the top level."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotInstalledError(FacelatchError):
    """The libraries of a part that not every door has are missing: the console's or the bridge's."""

    exit_code = 2


class ConfigError(FacelatchError, ValueError):
    """The configuration file is unreadable or breaks a rule; restarting cannot help."""

    exit_code = 3


class ModelError(FacelatchError):
    """A model file or its manifest is missing, damaged or made for another version of this code."""

    exit_code = 4


class InferenceError(FacelatchError):
    """A model that loaded well gave something that cannot be while it ran; a fresh start may cure it."""

    exit_code = 11


class CameraError(FacelatchError, OSError):
    """The camera cannot be opened or no longer delivers fresh frames."""

    exit_code = 5


class GpioError(FacelatchError, OSError):
    """A pin cannot be claimed or driven."""

    exit_code = 6


class GalleryError(FacelatchError):
    """The gallery cannot be opened, read or written."""

    exit_code = 7


class AlreadyRunningError(FacelatchError):
    """Another process holds the gallery."""

    exit_code = 8


class InputError(FacelatchError, ValueError):
    """Something a person gave (an image, a name, a file) cannot be used."""

    exit_code = 9


class AdmissionError(InputError):
    """Pictures that cannot become somebody's references, whatever way they came."""

    def __init__(self, message: str, *, hint: str = "", code: str = "", person: str = "") -> None:
        """`code` is stable: another_person, duplicate or indistinct; `person` whoever it is already."""
        super().__init__(message, hint=hint)
        self.code, self.person = code, person


class ControlError(FacelatchError, ConnectionError):
    """The running daemon cannot be reached or did not answer."""

    exit_code = 10


class NotAllowedError(FacelatchError, PermissionError):
    """The running daemon knows who asked, and that user has not the right to."""

    exit_code = 12


class LedgerError(FacelatchError):
    """The ledger cannot be opened, read or written. The door serves on without it."""

    exit_code = 13
