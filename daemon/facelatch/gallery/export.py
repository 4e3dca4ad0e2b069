"""The export file: a zip of `people.json` and one PNG per reference image. Embeddings stay behind."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import IO, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from facelatch.errors import InputError
from facelatch.gallery.names import clean_name, name_key
from facelatch.values.hours import SCHEDULE_PATTERN, Access
from facelatch.values.pictures import Pose
from facelatch.values.records import Person
from facelatch.vision.align import ALIGN_VERSION
from facelatch.vision.png import MAX_BYTES, decode_png

MANIFEST = "people.json"

MAX_REFERENCES = 64
"""Per person, as in `enrolment.references`."""

MAX_PEOPLE = 10_000
MAX_ALL_REFERENCES = 80_000
"""In one gallery: twice as many as a door has been tried with."""

_OF_AN_ENTRY = b"PK\x01\x02"
"""What every entry of a zip's directory begins with."""

_HINT = "export it again with `facelatch people export` on the device it comes from"

Angle = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
"""Of a pose; far wider than any real one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one export file may hold."""

    people: int
    references: int
    """Of all people together."""
    manifest_bytes: int
    """Unpacked."""


LARGE = Limits(people=MAX_PEOPLE, references=MAX_ALL_REFERENCES, manifest_bytes=32 * 1024 * 1024)
"""For a command of its own."""

SMALL = Limits(people=1_000, references=2_000, manifest_bytes=1024 * 1024)
"""For what one message brings to the running daemon."""


@dataclass(frozen=True, slots=True)
class StoredReference:
    """A reference image as it is kept and travels."""

    crop_png: bytes = field(repr=False)
    pose: Pose


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """A person as exported."""

    name: str
    admin: bool
    references: tuple[StoredReference, ...]
    access: Access = Access()  # noqa: RUF009  (frozen)
    """PIN and card stay behind: their hashes need the key of the device."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Reference(_Strict):
    file: str
    yaw: Angle
    pitch: Angle
    roll: Angle


class _Person(_Strict):
    """What is not None besides is told since version 0.3: an older Facelatch refuses the file, instead of letting
    somebody in at any hour."""

    name: str
    admin: bool
    references: Annotated[list[_Reference], Field(min_length=1, max_length=MAX_REFERENCES)]
    valid_from: date | None = None
    valid_until: date | None = None
    schedule: Annotated[str, Field(pattern=SCHEDULE_PATTERN)] | None = None
    suspended: Literal[True] | None = None
    forget: Literal[True] | None = None

    @classmethod
    def of(cls, person: StoredPerson, references: list[_Reference]) -> Self:
        """The entry of `person`."""
        access = person.access
        return cls(
            name=person.name,
            admin=person.admin,
            references=references,
            valid_from=access.valid_from,
            valid_until=access.valid_until,
            schedule=access.schedule,
            suspended=access.suspended or None,
            forget=access.forget or None,
        )

    @property
    def access(self) -> Access:
        """When this person may come."""
        return Access(
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            schedule=self.schedule,
            suspended=bool(self.suspended),
            forget=bool(self.forget),
        )


class _Manifest(_Strict):
    format: Literal["facelatch-people"]
    version: Literal[1]
    align_version: int
    people: Annotated[list[_Person], Field(max_length=MAX_PEOPLE)]


def refuse_named(person: Person, wanted: Set[int] | None) -> None:
    """Raises InputError where somebody of whom there are no pictures here is among those `wanted`."""
    if wanted is not None and person.id in wanted:
        raise InputError(
            f"{person.name} was enrolled at another door of the fleet: there are no pictures here",
            hint="export at that door",
        )


def pack(people: Iterable[StoredPerson]) -> bytes:
    """The export file with `people`. The same people give the same bytes."""
    buffer = io.BytesIO()
    write_export(buffer, people)
    return buffer.getvalue()


def write_export(stream: IO[bytes], people: Iterable[StoredPerson]) -> int:
    """Writes the export file with `people`, one after the other, and returns how many they were. Raises OSError."""
    listed = []
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for number, person in enumerate(people, start=1):
            references = []
            for count, reference in enumerate(person.references, start=1):
                name = f"people/{number:04}/{count:02}.png"
                archive.writestr(_entry(name), reference.crop_png)
                pose = reference.pose
                references.append(_Reference(file=name, yaw=pose.yaw, pitch=pose.pitch, roll=pose.roll))
            listed.append(_Person.of(person, references))
        manifest = _Manifest(
            format="facelatch-people", version=1, align_version=ALIGN_VERSION, people=listed
        ).model_dump_json(indent=1, exclude_none=True)
        archive.writestr(_entry(MANIFEST), manifest)
    return len(listed)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o600 << 16
    return entry


def unpack(data: bytes, limits: Limits = LARGE) -> tuple[StoredPerson, ...]:
    """The people in an export file, every picture and name checked. Raises what `read_export` raises."""
    if data.count(_OF_AN_ENTRY) > limits.references + limits.people:
        # Counted before zipfile makes an object of each: 46 bytes there are a thousand here.
        raise InputError("not a sound export file: too many entries", hint=_HINT)
    return tuple(read_export(io.BytesIO(data), limits))


def read_export(stream: IO[bytes], limits: Limits = LARGE) -> Iterator[StoredPerson]:
    """The people in an export file, one after the other; each picture is checked when its person comes.

    Raises InputError: not an export file, damaged, of another format version, cropped by another alignment
    version, more than the limits allow, a name that is none, one name or one picture twice.
    """
    with _explained(), zipfile.ZipFile(stream) as archive:
        manifest = _read_manifest(archive, limits.manifest_bytes)
        names = [clean_name(person.name) for person in manifest.people]
        _refuse_double(names, manifest.people, limits)
        for name, person in zip(names, manifest.people, strict=True):
            yield StoredPerson(name, person.admin, _references(archive, person), person.access)


def count_people(stream: IO[bytes]) -> int:
    """How many people are in an export file, by its list alone. Raises InputError."""
    with _explained(), zipfile.ZipFile(stream) as archive:
        return len(_read_manifest(archive, LARGE.manifest_bytes).people)


@contextmanager
def _explained() -> Iterator[None]:
    """Turns what zipfile raises for damaged archives, encrypted ones included, into InputError."""
    try:
        yield
    except InputError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        raise InputError(f"not a whole export file: {error}", hint=_HINT) from error


def _refuse_double(names: list[str], people: list[_Person], limits: Limits) -> None:
    """Raises InputError for more than the limits allow, and for a name or a picture that occurs twice."""
    files = [reference.file for person in people for reference in person.references]
    for what, count, limit in (
        ("people", len(people), limits.people),
        ("images", len(files), limits.references),
    ):
        if count > limit:
            raise InputError(f"{count} {what} in the export file, at most {limit} are taken", hint=_HINT)
    seen: set[str] = set()
    for name in names:
        if name_key(name) in seen:
            raise InputError(f"not a sound export file: the name {name!r} occurs twice", hint=_HINT)
        seen.add(name_key(name))
    if len(set(files)) < len(files):
        raise InputError("not a sound export file: a picture occurs twice", hint=_HINT)


def _read_manifest(archive: zipfile.ZipFile, limit: int) -> _Manifest:
    try:
        manifest = _Manifest.model_validate_json(_read(archive, MANIFEST, limit))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise InputError(f"{MANIFEST} in the export file: {where}: {fault['msg']}", hint=_HINT) from error
    if manifest.align_version != ALIGN_VERSION:
        raise InputError(
            f"the export file has alignment {manifest.align_version}, this Facelatch has {ALIGN_VERSION}",
            hint="its crops do not fit the model here: enrol these people again",
        )
    return manifest


def _references(archive: zipfile.ZipFile, person: _Person) -> tuple[StoredReference, ...]:
    references = []
    for reference in person.references:
        crop_png = _read(archive, reference.file, MAX_BYTES)
        try:
            decode_png(crop_png)
        except InputError as error:
            raise InputError(f"{reference.file!a} in the export file: {error}", hint=_HINT) from error
        references.append(StoredReference(crop_png, Pose(reference.yaw, reference.pitch, reference.roll)))
    return tuple(references)


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """An entry of at most `limit` bytes, whatever its header claims. Raises what zipfile raises."""
    entry = archive.getinfo(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{name!a} in the export file: unknown compression", hint=_HINT)
    with archive.open(entry) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise InputError(f"{name!a} in the export file: larger than {limit} bytes", hint=_HINT)
    return data
