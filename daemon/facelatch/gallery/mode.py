"""The lockdown on disk, beside the gallery: a file that is there while one is in force."""

from __future__ import annotations

from pathlib import Path

from facelatch.errors import GalleryError, InputError
from facelatch.private_files import sync_directory, write_private_file

NAME = "lockdown"


class ModeFile:
    """Whether a lockdown is in force, over restarts and power cuts."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def load(self) -> bool:
        """Whether a lockdown was in force; true also when the folder cannot be read."""
        try:
            self._path.lstat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def save(self, lockdown: bool) -> None:
        """Writes it down before it returns. Raises GalleryError."""
        hint = "the disk is full or failing: `df`, `dmesg`"
        try:
            if lockdown:
                write_private_file(self._path, b"facelatch mode normal ends it\n")
            else:
                self._path.unlink(missing_ok=True)
                sync_directory(self._path.parent)
        except InputError as error:
            raise GalleryError(str(error), hint=hint) from error
        except OSError as error:
            raise GalleryError(f"{self._path}: {error.strerror or error}", hint=hint) from error
