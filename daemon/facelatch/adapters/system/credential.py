"""The key of the gallery's seal, as systemd hands it to a unit: a file that only this service reads."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from facelatch.config.service import SealConfig
from facelatch.errors import GalleryError

NAME, NEXT = "facelatch-seal", "facelatch-seal-next"
"""The credential with the key, and the one that `facelatch seal rotate` goes over to."""

KEY_BYTES = 32

FILE = Path("/etc/facelatch/seal.cred")
"""Where `facelatch-seal make` keeps the key, encrypted."""

_HINT = "`sudo facelatch-seal make` makes one; `sudo facelatch-seal run ...` runs a command as the unit does"

_LEVELS = {
    "5a1c6a86df9d4096b1d5a65e0862f19a": "host key",
    "0c7cc07b117645919c4b0bea08bc20fe": "TPM",
    "faf7eb9341e3412ca1a436f95a29362f": "TPM",
    "93a894094874449090caf2fc93cab553": "host key and TPM",
    "af4950a849134eb1a73846304ff30c05": "host key and TPM",
    "058469daf6f54324800549da0f8ea2fb": "no key at all",
}
"""What an encrypted credential begins with, and by what it was encrypted (systemd's creds-util.h)."""


def seal_keys(config: SealConfig) -> tuple[bytes, ...]:
    """The keys that are there: the one in force, and the next one while it is being replaced. None: no seal.

    Raises GalleryError: one is asked for and none is there, or it is not 32 bytes long.
    """
    if config.key == "none":
        return ()
    found = _found()
    if not found and config.key == "credential":
        raise GalleryError(f'seal.key = "credential", and there is no credential {NAME}', hint=_HINT)
    return tuple(_key(path) for path in found)


def is_sealed(config: SealConfig) -> bool:
    """Whether the gallery of this start is a sealed one, as far as the key tells; never raises."""
    if config.key != "auto":
        return config.key == "credential"
    return bool(_found())


def _found() -> list[Path]:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return [path for path in (Path(folder, NAME), Path(folder, NEXT)) if path.exists()] if folder else []


def _key(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise GalleryError(f"{path}: {error.strerror}", hint=_HINT) from error
    if len(key) != KEY_BYTES:
        raise GalleryError(f"{path}: {len(key)} bytes, a key has {KEY_BYTES}", hint=_HINT)
    return key


def level(file: Path = FILE) -> str:
    """By what the key in `file` is encrypted, in words; "unknown" where that cannot be seen."""
    try:
        start = base64.b64decode(file.read_bytes()[:24])[:16]
    except (OSError, binascii.Error):
        return "unknown"
    return _LEVELS.get(start.hex(), "unknown")
