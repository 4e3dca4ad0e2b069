"""Writing and knowing files: replaced in one step, told apart by their hash, and no faces in a git checkout."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from facelatch.errors import FacelatchError, InputError
from facelatch.values.pictures import Image

if TYPE_CHECKING:
    from pydantic import BaseModel


class TrainingError(FacelatchError):
    """A training run cannot start, go on or be saved; what was saved before is still there."""

    exit_code = 11


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A file to fill beside `target`, which takes its place in one step when the block ends well.

    Raises TrainingError, the old `target` intact, when there is no space or no right to write.
    """
    partial = target.with_name(f"partial-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb+") as stream:
            os.fsync(stream.fileno())
        partial.replace(target)
    except OSError as error:
        raise TrainingError(
            f"{target}: cannot be written ({error.strerror or error})",
            hint="what was saved before is untouched; free some space, then run the same command again",
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def file_sha256(file: Path) -> str:
    """SHA-256 of a file's bytes, which tells files apart whatever they are called."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def save_array(path: Path, array: npt.NDArray[np.generic]) -> None:
    """An array as the file `path`, whose name ends in .npy. Raises TrainingError when it cannot be written."""
    with replacing(path) as partial:
        np.save(partial, array)


def write_manifest(model: Path, manifest: BaseModel) -> None:
    """Puts the manifest beside `model`. Raises TrainingError when it cannot be written."""
    with replacing(model.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(manifest.model_dump(), indent=1) + "\n", encoding="utf-8")


def keep_out_of_git(folder: Path) -> None:
    """Raises InputError when `folder` lies in a git checkout and is not ignored there by name."""
    resolved = folder.resolve()
    for parent in (resolved, *resolved.parents):
        if (parent / ".git").exists():
            ignored = (
                (parent / ".gitignore").read_text(encoding="utf-8")
                if (parent / ".gitignore").is_file()
                else ""
            )
            names = {line.strip().strip("/") for line in ignored.splitlines()}
            if resolved != parent and resolved.relative_to(parent).parts[0] in names:
                return
            raise InputError(
                f"{folder}: lies in the git checkout {parent.name}; pictures of people must not",
                hint="choose a place outside, or in a folder that .gitignore names (runs/faces)",
            )


def write_png(path: Path, picture: Image) -> None:
    """An RGB picture as PNG, complete or not at all. Raises InputError when it cannot be written."""
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))  # of such pictures it always can
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data.tobytes())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(
            f"{path}: {error.strerror}", hint="is the disk full, or the folder read-only?"
        ) from error
