"""What is sealed in an envelope: name, hours, PIN and card, and references as embeddings. No picture travels.

Its bytes are the length of a JSON object (4, big-endian), the object, and the embeddings (float32, little-endian) one
behind the other, in the order in which the object names the models.
"""

from __future__ import annotations

import json
import struct
from datetime import date
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from facelatch.values.hours import SCHEDULE_PATTERN, Access

MOST_REFERENCES, MOST_MODELS, MOST_NUMBERS, MOST_NAME, MOST_BESIDE = 64, 2, 4096, 64, 32
NORMS = (1e-2, 1e3)
"""The Euclidean lengths an embedding may have; ours have about 1."""
FLEET_HASH = "fleet:"
"""What the hash of a PIN or card begins with that every door of the fleet can compare."""
LATEST_MS = 4_102_444_800_000
"""The year 2100."""

_LENGTH, _VECTOR = struct.Struct(">I"), np.dtype("<f4")


def _day(value: object) -> date | None:
    if value is None or isinstance(value, date):
        return value
    if not isinstance(value, str) or len(value) != 10:
        raise ValueError("no day")
    return date.fromisoformat(value)


Day = Annotated[date | None, BeforeValidator(_day)]
Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_ARGON2 = r"\$argon2id\$v=19\$m=[1-9][0-9]{0,4},t=[1-9],p=[1-4]\$[A-Za-z0-9+/]{1,64}\$[A-Za-z0-9+/]{1,128}"
"""A hash says itself how much memory it takes to compare it: not more than a door has to spare."""
PinHash = Annotated[str | None, Field(pattern=rf"^{FLEET_HASH}{_ARGON2}$", repr=False)]
CardHash = Annotated[str | None, Field(pattern=rf"^{FLEET_HASH}[0-9a-f]{{64}}$", repr=False)]



class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    made_by: Annotated[str, Field(pattern=r"^[ -~]{1,128}$")]
    """Which model made the embeddings, and how it was asked."""
    count: Annotated[int, Field(ge=1, le=MOST_REFERENCES)]
    size: Annotated[int, Field(ge=1, le=MOST_NUMBERS)]


class Content(BaseModel):
    """A person, without the references."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=MOST_NAME)]
    enrolled: Annotated[int, Field(ge=0, le=LATEST_MS)]
    """Milliseconds since 1970, by the clock of the door that enrolled."""
    valid_from: Day = None
    valid_until: Day = None
    schedule: Annotated[str, Field(pattern=SCHEDULE_PATTERN)] | None = None
    suspended: bool = False
    forget: bool = False
    pin: PinHash = None
    duress: PinHash = None
    card: CardHash = None
    beside: Annotated[tuple[Uuid, ...], Field(max_length=MOST_BESIDE, strict=False)] = ()
    """Who looks like this person and is another one, by uuid."""
    models: Annotated[tuple[_Model, ...], Field(max_length=MOST_MODELS, strict=False)] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise ValueError("the last day is before the first")
        return self

    @property
    def access(self) -> Access:
        """When the person may come."""
        return Access(
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            schedule=self.schedule,
            suspended=self.suspended,
            forget=self.forget,
        )


Vectors = dict[str, NDArray[np.float32]]
"""The embeddings (N, D) by each model, by what made them."""


def pack(content: Content, vectors: Vectors) -> bytes:
    """As `unpack` takes it; the models of `content` are replaced by those of `vectors`."""
    models = [
        {"made_by": made_by, "count": len(rows), "size": rows.shape[1]} for made_by, rows in vectors.items()
    ]
    told = {**content.model_dump(mode="json", exclude={"models"}), "models": models}
    text = json.dumps(told, sort_keys=True, separators=(",", ":")).encode("ascii")
    rows_of_all = b"".join(np.ascontiguousarray(rows, dtype=_VECTOR).tobytes() for rows in vectors.values())
    return _LENGTH.pack(len(text)) + text + rows_of_all


def unpack(data: bytes) -> tuple[Content, Vectors]:
    """What `pack` gave. Raises ValueError for anything else, also for embeddings that no model can have made."""
    if len(data) < _LENGTH.size:
        raise ValueError("too short")
    (length,) = _LENGTH.unpack(data[: _LENGTH.size])
    position = _LENGTH.size + length
    try:
        content = Content.model_validate(json.loads(data[_LENGTH.size : position]))
    except (ValidationError, ValueError, RecursionError):
        raise ValueError("not a person") from None
    vectors: Vectors = {}
    if not content.models:
        raise ValueError("embeddings are missing")
    for model in content.models:
        size = model.count * model.size * _VECTOR.itemsize
        part = data[position : position + size]
        if len(part) != size or model.made_by in vectors:
            raise ValueError("embeddings are missing")
        rows = np.frombuffer(part, dtype=_VECTOR).reshape(model.count, model.size).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(rows, axis=1)
        # Written so that a length that is not a number is out of bounds.
        if not ((lengths >= NORMS[0]) & (lengths <= NORMS[1])).all():
            raise ValueError("embeddings that no model has made")
        vectors[model.made_by] = rows
        position += size
    if position != len(data):
        raise ValueError("more than a person")
    return content, vectors
