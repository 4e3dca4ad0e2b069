"""Pictures that somebody uploads, made into aligned crops: a process for each connection, which may do nothing else.

On the connection go, again and again, the size of a picture (4 bytes, big-endian) and its bytes; after each the answer
comes back, one JSON object on a line: `problem` (empty when it is good), then `crop` (PNG in base64), `yaw`, `pitch`
and `roll`. It ends when the connection does, after MOST_PICTURES, and with the first size that is none.
"""

from __future__ import annotations

import base64
import json
from contextlib import closing
from dataclasses import asdict
from typing import Any, BinaryIO

from facelatch.app.build import build_line
from facelatch.config.file import Config
from facelatch.decoder import heic
from facelatch.decoder.formats import HEAD_BYTES, refusal
from facelatch.decoder.reader import PictureReader
from facelatch.errors import FacelatchError
from facelatch.line import stills
from facelatch.line.pipeline import Line
from facelatch.values.observations import Judged
from facelatch.vision.png import encode_png

MOST_BYTES, MOST_PICTURES = 16 * 1024 * 1024, 16


def serve(config: Config, reading: BinaryIO, writing: BinaryIO) -> None:
    """Answers until the connection ends. Raises ModelError; what a picture is like is an answer, never an error."""
    line = build_line(config)
    with closing(PictureReader(heic=True)) as reader:
        for number in range(1, MOST_PICTURES + 1):
            picture = _next(reading)
            if picture is None:
                return
            answer = look(line, reader, picture, f"picture {number}")
            writing.write(json.dumps(answer).encode() + b"\n")
            writing.flush()


def look(line: Line, reader: PictureReader, picture: bytes, name: str) -> dict[str, Any]:
    """The answer to one picture."""
    refused = refusal(picture[:HEAD_BYTES], heic=heic.available())
    if refused is not None:
        return {"problem": f"{refused.reason}: {refused.hint}"}
    try:
        observation = stills.observe_image(line, reader.decode(picture, name), stills.NOBODY)
    except FacelatchError as error:
        return {"problem": str(error).removeprefix(f"{name}: ")}
    if not isinstance(observation, Judged):
        return {"problem": f"{observation.reason}: {observation.reason.hint}"}
    crop = base64.b64encode(encode_png(observation.crop)).decode()
    return {"problem": "", "crop": crop, **asdict(observation.pose)}


def _next(reading: BinaryIO) -> bytes | None:
    head = reading.read(4)
    size = int.from_bytes(head, "big")
    if len(head) < 4 or not 0 < size <= MOST_BYTES:
        return None
    picture = reading.read(size)
    return picture if len(picture) == size else None
