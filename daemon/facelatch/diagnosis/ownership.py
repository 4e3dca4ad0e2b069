"""Who could change the configuration or a model: whoever can decides for whom the door opens."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from shlex import quote

from facelatch.app.model_files import deciding_files
from facelatch.config.file import Config
from facelatch.diagnosis import bypass
from facelatch.errors import ConfigError

TRUSTED = frozenset({"root"})


def owned(config: Config, file: Path | None) -> str:
    """Whether only root and this user could change the configuration's `file` and the models, or put others in their
    place. Raises ConfigError that names the first others and how to mend it; OSError.
    """
    for path in [*([] if file is None else [file]), *deciding_files(config)]:
        for part in _way_to(path):
            if who := others(part):
                raise ConfigError(f"{part}: {who} can change it, and so for whom the door opens", hint=_mend(part))
    trusted = sorted(TRUSTED | {bypass.name_of(os.geteuid())})
    return f"only {' and '.join(trusted)} can change the configuration and the models"


def _way_to(path: Path) -> Iterable[Path]:
    """The file, and every folder and link on the way to it: whoever can rename one of them can put another there."""
    named, real = path.absolute(), path.resolve()
    return dict.fromkeys(part for end in (named, real) for part in (end, *end.parents) if os.path.lexists(part))


def others(path: Path) -> str:
    """In words, who besides root and this user may write to `path`; empty when nobody may. Raises OSError.

    In a folder with the sticky bit, such as /tmp, everybody may add files, but not replace those of others. Of a group
    it counts who is in it: on Debian every user has one alone.
    """
    found, trusted = path.lstat(), TRUSTED | {bypass.name_of(os.geteuid())}
    owner = bypass.name_of(found.st_uid)
    if owner not in trusted:
        return owner
    sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if stat.S_ISLNK(found.st_mode) or sticky:
        return ""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    members = bypass.members(found.st_gid) - trusted if found.st_mode & stat.S_IWGRP else set()
    return ", ".join(sorted(members))


def _mend(path: Path) -> str:
    return f"sudo chown root {quote(str(path))} && sudo chmod go-w {quote(str(path))}"
