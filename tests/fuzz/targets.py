"""What is fuzzed: whole inputs to begin with, how they are broken, and the code that has to survive them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

REPO = Path(__file__).resolve().parents[2]
GOLDEN = REPO / "tests" / "golden"

Bytes = Sequence[bytes]


@dataclass(frozen=True)
class Target:
    """`trial` returns for an input that was taken and for one refused by an error of ours; all else is a find."""

    seeds: Callable[[], list[bytes]]
    trial: Callable[[bytes], None]
    mutate: Callable[[bytes, random.Random, Bytes], bytes]
    address_space: int = 2 << 30


def _plainly(*words: bytes) -> Callable[[bytes, random.Random, Bytes], bytes]:
    from mutations import mutated

    return lambda data, rng, others: mutated(data, rng, words, others)


# Pictures and crops


def _picture() -> np.ndarray:
    """Smooth, with some noise, so that every coder has something to do. (40, 48, 3)."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 200, 48)[None, :, None] * np.ones((40, 1, 3))
    return (ramp + rng.integers(0, 40, (40, 48, 3))).astype(np.uint8)


@cache
def _pictures() -> list[bytes]:
    from PIL import Image

    colour, made = Image.fromarray(_picture()), []
    notes = Image.Exif()
    notes[0x0112] = 6
    for picture, kind, options in [
        (colour, "JPEG", {"exif": notes}),
        (colour, "JPEG", {"progressive": True, "subsampling": 0}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour.convert("L"), "JPEG", {"optimize": True}),
        (colour, "PNG", {"exif": notes}),
        (colour.convert("P"), "PNG", {"transparency": 3}),
        (colour.convert("1"), "PNG", {}),
        (colour.convert("L").convert("I;16"), "PNG", {}),
        (colour, "WEBP", {"exif": notes}),
        (colour.convert("RGBA"), "WEBP", {"lossless": True}),
        (colour, "BMP", {}),
        (colour.convert("P"), "BMP", {}),
    ]:
        stream = io.BytesIO()
        picture.save(stream, kind, **options)
        made.append(stream.getvalue())
    for kind in ("PNG", "WEBP"):
        stream = io.BytesIO()
        colour.save(stream, kind, save_all=True, append_images=[colour.rotate(90), colour.rotate(180)])
        made.append(stream.getvalue())
    stream = io.BytesIO()
    colour.save(stream, "MPO", save_all=True, append_images=[colour])
    return [*made, stream.getvalue()]


def _mutate_picture(data: bytes, rng: random.Random, others: Bytes) -> bytes:
    from mutations import mutated, mutated_png

    if data.startswith(b"\x89PNG") and rng.random() < 0.5:
        return mutated_png(data, rng, others)
    return mutated(data, rng, (b"Exif\0\0", b"MPF\0", b"VP8X", b"ALPH", b"ANMF"), others)


def _try_picture(data: bytes) -> None:
    from facelatch.decoder.decoding import UnfitError, decode

    try:
        picture = decode(data)
    except UnfitError:
        return
    assert picture.mode == "RGB"
    assert len(picture.tobytes()) == 3 * picture.width * picture.height


@cache
def _phone_pictures() -> list[bytes]:
    from PIL import Image

    from facelatch.decoder import heic

    heic.prepare()
    colour, made = Image.fromarray(_picture()), []
    notes = Image.Exif()
    notes[0x0112] = 6
    for picture, options in [
        (colour, {"quality": 60}),
        (colour.resize((160, 128)), {"quality": 30, "exif": notes.tobytes()}),
        (colour.convert("L"), {}),
        (colour.convert("RGBA"), {"quality": -1}),
        (colour, {"save_all": True, "append_images": [colour.rotate(90)]}),
    ]:
        stream = io.BytesIO()
        picture.save(stream, heic.KIND, **options)
        made.append(stream.getvalue())
    return made


def _mutate_phone_picture(data: bytes, rng: random.Random, others: Bytes) -> bytes:
    from mutations import mutated

    boxes = (b"meta", b"iloc", b"iinf", b"ipco", b"ipma", b"ispe", b"hvcC", b"irot", b"grid", b"mdat", b"pixi", b"Exif")
    return mutated(data, rng, boxes, others)


def _try_phone_picture(data: bytes) -> None:
    from facelatch.decoder import heic
    from facelatch.decoder.decoding import UnfitError, decode

    try:
        picture = decode(data, heic.prepare())
    except UnfitError:
        return
    assert picture.mode == "RGB"
    assert len(picture.tobytes()) == 3 * picture.width * picture.height


def _try_opencv(data: bytes) -> None:
    import cv2

    with contextlib.suppress(cv2.error):
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@cache
def _crops() -> list[bytes]:
    from PIL import Image

    from facelatch.vision.png import encode_png

    rng = np.random.default_rng(0)
    crop = np.kron(rng.integers(0, 255, (14, 14, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    stream = io.BytesIO()
    Image.fromarray(crop).save(stream, "PNG")  # with the filters that others use
    return [encode_png(crop), encode_png(rng.integers(0, 255, (112, 112, 3), dtype=np.uint8)), stream.getvalue()]


def _mutate_crop(data: bytes, rng: random.Random, others: Bytes) -> bytes:
    """Also rows with filters that fit and bytes that do not, compressed anew."""
    from mutations import mutated, mutated_png

    match rng.randrange(3):
        case 0:
            return mutated(data, rng, (b"IDAT", b"IEND", b"IHDR"), others)
        case 1:
            return mutated_png(data, rng, others)
        case _:
            rows = bytearray(rng.randbytes(112 * 337) if rng.random() < 0.5 else 112 * 337)
            rows[::337] = bytes(rng.randrange(5 + (rng.random() < 0.02)) for _ in range(112))
            body = zlib.compress(bytes(rows[: None if rng.random() < 0.9 else rng.randrange(len(rows))]), 1)
            chunk = struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))
            return data[:33] + chunk + data[-12:]


def _try_crop(data: bytes) -> None:
    from facelatch.errors import InputError
    from facelatch.vision.png import decode_png, encode_png

    try:
        crop = decode_png(data)
    except InputError:
        return
    assert crop.shape == (112, 112, 3)
    assert (decode_png(encode_png(crop)) == crop).all()


# Exports and control messages


@cache
def _exports() -> list[bytes]:
    from facelatch.gallery.export import StoredPerson, StoredReference, pack
    from facelatch.values.pictures import Pose

    references = tuple(StoredReference(crop, Pose(0.1, -0.2, 3.0)) for crop in _crops())
    return [pack([]), pack([StoredPerson("ada", True, references), StoredPerson("Bo-ëe", False, references[:1])])]


def _mutate_export(data: bytes, rng: random.Random, others: Bytes) -> bytes:
    """Half of them as a sound zip around broken files."""
    from mutations import mutated

    if rng.random() < 0.5:
        return mutated(data, rng, (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"people.json"), others)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if rng.random() < 0.5:
                change = _mutate_crop if entry.filename.endswith(".png") else _plainly(b'"name"', b"..", b"people/")
                content = change(content, rng, others)
            new.writestr(entry.filename, content, rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    return buffer.getvalue()


def _try_export(data: bytes) -> None:
    from facelatch.errors import InputError
    from facelatch.gallery.export import unpack

    try:
        people = unpack(data)
    except InputError:
        return
    assert all(person.name.isprintable() for person in people)


def _messages() -> list[bytes]:
    import base64

    crop = base64.b64encode(_crops()[0]).decode()
    picture = {"crop": crop, "yaw": 0.1, "pitch": 0, "roll": -3.5}
    return [
        json.dumps(message).encode()
        for message in (
            {"action": "status"},
            {"action": "enroll", "name": "ada", "admin": True},
            {"action": "abort"},
            {"action": "list"},
            {"action": "show", "name": "ada"},
            {"action": "rename", "name": "ada", "new_name": "eva"},
            {"action": "remove", "name": "ada"},
            {"action": "admin", "name": "ada", "admin": False},
            {"action": "enroll_pictures", "name": "ada", "admin": False, "pictures": [picture]},
            {"action": "export", "names": ["ada", "eva"], "file": "x"},
            {"action": "import", "payload": "UEsFBg==", "replace": True, "file": "x"},
            {"action": "judge", "person": "ada"},
            {"action": "lockout", "clear": True},
            {"action": "config"},
            {"action": "mode", "mode": "free", "seconds": 60.0},
            {"action": "alarm", "acknowledge": True, "prop": True},
            {"action": "set", "name": "ada", "schedule": "office", "valid_until": "2026-12-31", "suspended": False},
            {"action": "pin", "name": "ada", "pin": "2468", "duress": "1357"},
            {"action": "card", "name": "ada", "number": "12,3456"},
            {"action": "history", "since": 1e9, "person": "#2", "refused": True, "before": 9, "most": 250},
            {"action": "report", "name": "ada"},
            {"action": "forget", "name": "ada"},
        )
    ]


def _try_message(data: bytes) -> None:
    from facelatch.api.intake import admitted
    from facelatch.api.rights import ALL, Asker
    from facelatch.control import wire
    from facelatch.errors import FacelatchError

    try:
        admitted(wire.decode(data), Asker(uid=0, pid=0, rights=ALL))
    except FacelatchError as error:
        assert len(str(error)) < 100_000


# Configuration, manifests, models


def _try_configuration(data: bytes) -> None:
    from facelatch.config.file import load
    from facelatch.errors import ConfigError

    path = _scratch() / "facelatch.toml"
    path.write_bytes(data)
    try:
        load(path)
    except ConfigError as error:
        assert error.hint


@cache
def _scratch() -> Path:
    """A folder of this process; its end removes what the next one does not overwrite."""
    return Path(tempfile.mkdtemp(prefix="facelatch-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))


def _manifests() -> list[bytes]:
    return [(REPO / "models" / name).read_bytes() for name in ("siamese.json", "finder.json", "liveness.json")]


def _try_manifest(data: bytes) -> None:
    from facelatch.errors import ModelError
    from facelatch.vision.finder_manifest import load_finder
    from facelatch.vision.liveness_manifest import load_liveness
    from facelatch.vision.manifest import load_model

    model = _scratch() / "model.tflite"
    model.write_bytes(b"content")
    model.with_suffix(".json").write_bytes(data)
    for load in (load_model, load_finder, load_liveness):
        try:
            load(model)
        except ModelError as error:
            assert error.hint


def _models() -> list[bytes]:
    return [(GOLDEN / "tiny_siamese.tflite").read_bytes()]


def _try_model(data: bytes) -> None:
    """As somebody would leave it who changes the model and not its manifest."""
    _load_changed(data, _models()[0])


def _try_trusted_model(data: bytes) -> None:
    """As somebody would leave it who may write both: nothing stands between that person and the runtime."""
    _load_changed(data, data)


def _load_changed(data: bytes, described: bytes) -> None:
    from facelatch.adapters.models.verifier_tflite import TfliteVerifier
    from facelatch.errors import InferenceError, ModelError
    from facelatch.vision.align import ALIGN_VERSION

    manifest = json.loads((REPO / "models" / "siamese.json").read_text())
    manifest |= {
        "model_sha256": hashlib.sha256(described).hexdigest(),
        "align_version": ALIGN_VERSION,
        "embedding_size": 16,
    }
    model = _scratch() / "siamese.tflite"
    model.write_bytes(data)
    model.with_suffix(".json").write_text(json.dumps(manifest))
    try:
        TfliteVerifier(model).embed(np.zeros((112, 112, 3), np.uint8))
    except (ModelError, InferenceError):
        return
    assert data == described


# Videos, by hand only: OpenCV's FFmpeg reads what the admin names for a replay


@cache
def _videos() -> list[bytes]:
    import cv2

    made = []
    for suffix, code in (("mp4", "mp4v"), ("avi", "MJPG")):
        path = _scratch() / f"seed.{suffix}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 25.0, (48, 40))
        for turn in range(4):
            writer.write(np.ascontiguousarray(np.roll(_picture(), turn, axis=1)))
        writer.release()
        made.append(path.read_bytes())
    return made


def _try_video(data: bytes) -> None:
    from facelatch.adapters.cameras.files import FilesCamera
    from facelatch.adapters.fakes import FakeClock
    from facelatch.config.line import CameraConfig
    from facelatch.errors import CameraError

    path = _scratch() / "clip.mp4"
    path.write_bytes(data)
    try:
        camera = FilesCamera(CameraConfig.model_validate({"source": "files", "device": str(path)}), FakeClock())
        for _ in range(50):
            if camera.read() is None:
                break
        camera.close()
    except CameraError:
        return


TARGETS = {
    "pictures": Target(_pictures, _try_picture, _mutate_picture, address_space=768 << 20),
    "phone-pictures": Target(_phone_pictures, _try_phone_picture, _mutate_phone_picture, address_space=768 << 20),
    "crops": Target(_crops, _try_crop, _mutate_crop),
    "exports": Target(_exports, _try_export, _mutate_export),
    "messages": Target(_messages, _try_message, _plainly(b'{"', b'":', b"[[", b"null", b"\\ud800", b"\xff", b"1e999")),
    "configuration": Target(
        lambda: [(REPO / "config" / "facelatch.toml").read_bytes(), b"[gpio]\nled_pins = [1, 2]\n"],
        _try_configuration,
        _plainly(b"[[", b"]", b'"""', b"= {", b"nan", b"1979-05-27", b"\xef\xbb\xbf", b"\\U00110000", b"a.b.c = 1\n"),
    ),
    "manifests": Target(_manifests, _try_manifest, _plainly(b"null", b"[[", b"{", b"\xff", b"\\ud800", b"1e999")),
    "models": Target(_models, _try_model, _plainly(b"TFL3")),
}
"""In continuous integration, some seconds each."""

BY_HAND = {
    "opencv": Target(_pictures, _try_opencv, _mutate_picture),
    "trusted-models": Target(_models, _try_trusted_model, _plainly(b"TFL3")),
    "videos": Target(_videos, _try_video, _plainly(b"moov", b"mdat", b"stsz", b"stco", b"idx1"), 4 << 30),
}
"""Where finds are expected, in code that is not ours and that reads only what the administrator has chosen."""
