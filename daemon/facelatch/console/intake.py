"""The other end of `facelatch console intake`: uploaded pictures go there, and what comes back is crops and reasons."""

from __future__ import annotations

import base64
import binascii
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from facelatch.errors import ControlError

PICTURE_SECONDS = 60.0
_MOST_ANSWER = 256 * 1024


@dataclass(frozen=True, slots=True)
class Looked:
    """What has become of one picture."""

    name: str
    problem: str
    """Why it cannot be used; empty when it can."""
    crop: bytes
    pose: dict[str, float]


def looked_at(path: Path, pictures: Iterable[tuple[str, BinaryIO]]) -> list[Looked]:
    """`pictures` (name and file) one after the other. Raises ControlError when nobody is there to look."""
    found = []
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PICTURE_SECONDS)
            connection.connect(str(path))
            answers = connection.makefile("rb")
            for name, file in pictures:
                picture = file.read()
                connection.sendall(len(picture).to_bytes(4, "big"))
                connection.sendall(picture)
                found.append(_read(name, answers.readline(_MOST_ANSWER)))
    except OSError as error:
        raise ControlError(
            f"{path}: {error.strerror or 'no answer in time'}",
            hint="`systemctl status facelatch-intake.socket`",
        ) from error
    return found


def _read(name: str, line: bytes) -> Looked:
    """One answer; whatever else comes back is a picture that its reader did not survive."""
    try:
        answer: dict[str, Any] = json.loads(line)
        if answer["problem"]:
            return Looked(name=name, problem=str(answer["problem"]), crop=b"", pose={})
        pose = {key: float(answer[key]) for key in ("yaw", "pitch", "roll")}
        return Looked(name=name, problem="", crop=base64.b64decode(answer["crop"], validate=True), pose=pose)
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise ControlError(
            f"{name}: the pictures' reader ended",
            hint="the picture may be damaged: leave it out, and try again",
        ) from None
