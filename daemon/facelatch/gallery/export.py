"""The export file: a zip of `people.json` and one PNG per reference image. Embeddings stay behind."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from facelatch.errors import InputError
from facelatch.gallery.names import clean_name, name_key
from facelatch.values.pictures import Pose
from facelatch.vision.align import ALIGN_VERSION
from facelatch.vision.png import MAX_BYTES, decode_png

MANIFEST = "people.json"

MAX_MANIFEST_BYTES = 32 * 1024 * 1024

MAX_REFERENCES = 64
"""Per person, as in `enrolment.references`."""

_HINT = "export it again with `facelatch people export FILE` on the device it comes from"

Angle = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
"""Of a pose; far wider than any real one."""


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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Reference(_Strict):
    file: str
    yaw: Angle
    pitch: Angle
    roll: Angle


class _Person(_Strict):
    name: str
    admin: bool
    references: Annotated[list[_Reference], Field(min_length=1, max_length=MAX_REFERENCES)]


class _Manifest(_Strict):
    format: Literal["facelatch-people"]
    version: Literal[1]
    align_version: int
    people: Annotated[list[_Person], Field(max_length=10_000)]


def pack(people: Iterable[StoredPerson]) -> bytes:
    """The export file with `people`. The same people give the same bytes."""
    listed, buffer = [], io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for number, person in enumerate(people, start=1):
            references = []
            for count, reference in enumerate(person.references, start=1):
                name = f"people/{number:04}/{count:02}.png"
                archive.writestr(_entry(name), reference.crop_png)
                pose = reference.pose
                references.append(_Reference(file=name, yaw=pose.yaw, pitch=pose.pitch, roll=pose.roll))
            listed.append(_Person(name=person.name, admin=person.admin, references=references))
        manifest = _Manifest(
            format="facelatch-people", version=1, align_version=ALIGN_VERSION, people=listed
        ).model_dump_json(indent=1)
        archive.writestr(_entry(MANIFEST), manifest)
    return buffer.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o600 << 16
    return entry


def unpack(data: bytes) -> tuple[StoredPerson, ...]:
    """The people in an export file, every picture and name checked.

    Raises InputError: not an export file, damaged, of another format version, cropped by another
    alignment version, a name that is none, one name twice.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            manifest = _read_manifest(archive)
            people = tuple(_unpack_person(archive, person) for person in manifest.people)
    except InputError:
        raise
    # What zipfile raises for damaged archives, encrypted ones included.
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
    seen: set[str] = set()
    for person in people:
        if name_key(person.name) in seen:
            raise InputError(f"not a sound export file: the name {person.name!r} occurs twice", hint=_HINT)
        seen.add(name_key(person.name))
    return people


def _read_manifest(archive: zipfile.ZipFile) -> _Manifest:
    try:
        manifest = _Manifest.model_validate_json(_read(archive, MANIFEST, MAX_MANIFEST_BYTES))
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


def _unpack_person(archive: zipfile.ZipFile, person: _Person) -> StoredPerson:
    references = []
    for reference in person.references:
        crop_png = _read(archive, reference.file, MAX_BYTES)
        try:
            decode_png(crop_png)
        except InputError as error:
            raise InputError(f"{reference.file!a} in the export file: {error}", hint=_HINT) from error
        references.append(StoredReference(crop_png, Pose(reference.yaw, reference.pitch, reference.roll)))
    return StoredPerson(clean_name(person.name), person.admin, tuple(references))


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
