"""Pictures as people have them, and as an enemy makes them: every format, every fault, through the worker process."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from facelatch.decoder import reader as reading
from facelatch.decoder import worker
from facelatch.decoder.decoding import UnfitError, decode
from facelatch.decoder.files import picture_bytes, picture_files
from facelatch.decoder.formats import MAX_FILE_BYTES, kind_of
from facelatch.decoder.reader import PictureReader, read_image
from facelatch.errors import FacelatchError, InputError
from facelatch.vision.png import decode_png

GOLDEN = Path(__file__).parents[1] / "golden"

RED_LEFT = np.zeros((24, 40, 3), np.uint8)
"""RGB: red on the left, blue on the right, so that swapped channels and turned pictures show."""
RED_LEFT[:, :20] = (200, 0, 0)
RED_LEFT[:, 20:] = (0, 0, 200)


@pytest.fixture(scope="module")
def reader() -> Iterator[PictureReader]:
    with contextlib.closing(PictureReader()) as one:
        yield one


def write(path: Path, image: np.ndarray[Any, Any]) -> Path:
    assert cv2.imwrite(str(path), image[..., [2, 1, 0, *range(3, image.shape[2])]] if image.ndim == 3 else image)
    return path


def coded(image: np.ndarray[Any, Any], kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(image).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp", "bmp", "PNG"])
def test_every_format_is_read_as_rgb(reader: PictureReader, tmp_path: Path, suffix: str):
    image = reader.read(write(tmp_path / f"a.{suffix}", RED_LEFT))
    assert image.shape == RED_LEFT.shape
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - RED_LEFT)[:, [5, 35]].max() < 12


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "jpg"])
def test_a_picture_has_the_pixels_opencv_would_give_it(reader: PictureReader, tmp_path: Path, suffix: str):
    """Crops and thresholds were made with OpenCV's decoders."""
    picture = cv2.imread(str(GOLDEN / "picture.png"))
    path = tmp_path / f"a.{suffix}"
    assert cv2.imwrite(str(path), picture)
    expected = cv2.imread(str(path))[..., ::-1]
    assert np.abs(reader.read(path).astype(int) - expected).max() <= 1


def test_a_grey_picture_becomes_rgb(reader: PictureReader, tmp_path: Path):
    image = reader.read(write(tmp_path / "a.png", np.full((8, 6), 77, np.uint8)))
    assert image.shape == (8, 6, 3)
    assert (image == 77).all()


def test_transparency_is_dropped(reader: PictureReader, tmp_path: Path):
    rgba = np.dstack([RED_LEFT, np.full(RED_LEFT.shape[:2], 128, np.uint8)])
    np.testing.assert_array_equal(reader.read(write(tmp_path / "a.png", rgba)), RED_LEFT)


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 3)], ids=["grey", "colour"])
def test_sixteen_bits_become_eight(reader: PictureReader, tmp_path: Path, shape: tuple[int, ...]):
    image = reader.read(write(tmp_path / "a.png", np.full(shape, 40_000, np.uint16)))
    assert image.shape == (8, 6, 3)
    assert np.abs(image.astype(int) - 156).max() <= 1


def test_a_picture_with_a_palette_and_one_in_cmyk_become_rgb(reader: PictureReader):
    palette = Pillow.fromarray(RED_LEFT).convert("P")
    for picture, kind in [(palette, "PNG"), (Pillow.fromarray(RED_LEFT).convert("CMYK"), "JPEG")]:
        stream = io.BytesIO()
        picture.save(stream, kind)
        image = reader.decode(stream.getvalue(), "a")
        assert np.abs(image.astype(int) - RED_LEFT)[:, [5, 35]].max() < 60
        assert image[5, 5].argmax() == 0


UPRIGHT: dict[int, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
    1: lambda i: i,
    2: lambda i: i[:, ::-1],
    3: lambda i: i[::-1, ::-1],
    4: lambda i: i[::-1],
    5: lambda i: i.transpose(1, 0, 2),
    6: lambda i: np.rot90(i, -1),
    7: lambda i: i[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_as_its_camera_was_held(reader: PictureReader, kind: str, orientation: int):
    """Whatever the format: a phone's WebP lies on its side as a JPEG does."""
    picture = RED_LEFT.copy()
    picture[:12] //= 2
    notes = Pillow.Exif()
    notes[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    image = reader.decode(coded(picture, kind, exif=notes, **options), "a")
    expected = UPRIGHT[orientation](picture).astype(int)
    assert image.shape == expected.shape
    assert np.abs(image - expected).mean() < 10


@pytest.mark.parametrize("notes", [b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0", b"Exif\0\0" + b"\xff" * 40])
def test_damaged_notes_do_not_spoil_a_picture(reader: PictureReader, notes: bytes):
    jpeg = coded(RED_LEFT, "JPEG")
    segment = b"\xff\xe1" + (len(notes) + 2).to_bytes(2, "big") + notes
    assert reader.decode(jpeg[:2] + segment + jpeg[2:], "a").shape == RED_LEFT.shape


@pytest.mark.parametrize("shape", [(1, 1, 3), (3000, 4000, 3)], ids=["1x1", "12 megapixels"])
def test_the_smallest_and_a_large_picture_are_read(reader: PictureReader, tmp_path: Path, shape: tuple[int, ...]):
    assert reader.read(write(tmp_path / "a.bmp", np.full(shape, 90, np.uint8))).shape == shape


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"hello, this is no picture", "not a picture"),
        (b"\xff\xd8\xff", "not a picture, or a damaged one"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "an AVIF picture"),
        (b"II*\0\x08\0\0\0", "a TIFF picture"),
        (b"GIF89a", "a GIF picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
        (b"\xff\x4f\xff\x51\0\x2f", "a JPEG 2000 picture"),
    ],
)
def test_a_file_that_is_not_read_is_refused_by_name(
    reader: PictureReader, tmp_path: Path, content: bytes, expected: str
):
    path = tmp_path / "anna.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=expected) as caught:
        reader.read(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 9


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_a_picture_cut_short_is_refused_not_filled_with_grey(
    reader: PictureReader, tmp_path: Path, suffix: str, share: float
):
    noise = np.random.default_rng(1).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    path = write(tmp_path / f"a.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError):
        reader.read(path)


def test_a_preview_inside_does_not_hide_that_a_jpeg_is_cut_short(reader: PictureReader):
    noise = np.random.default_rng(1).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    preview, jpeg = coded(noise[:16, :16], "JPEG"), coded(noise, "JPEG")
    whole = jpeg[:2] + b"\xff\xe2" + (len(preview) + 2).to_bytes(2, "big") + preview + jpeg[2:]
    assert reader.decode(whole, "a").shape == (60, 60, 3)
    with pytest.raises(InputError, match="cut short") as caught:
        reader.decode(whole[:-200], "a")
    assert "download it again" in caught.value.hint


def test_only_regular_files_are_opened_and_nothing_is_waited_for(reader: PictureReader, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.jpg"))
        expected = {
            tmp_path / "none.png": "No such file",
            tmp_path: "Is a directory",
            tmp_path / "pipe.jpg": "not a regular file",
            tmp_path / "socket.jpg": "not a regular file",
            Path("/dev/zero"): "not a regular file",
            Path("a\0b"): "null byte",
        }
        for path, reason in expected.items():
            with pytest.raises(InputError, match=reason) as caught:
                reader.read(path)
            assert str(path) in str(caught.value)


def test_a_file_of_absurd_length_is_not_read(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(coded(RED_LEFT, "PNG"))
    os.truncate(path, MAX_FILE_BYTES + 1)
    with pytest.raises(InputError, match="64 MiB"):
        picture_bytes(path)


def test_a_bomb_is_told_by_its_header(reader: PictureReader):
    """A small PNG that would become 2.3 GB of pixels; the worker survives it."""
    assert reader.decode(coded(RED_LEFT, "PNG"), "a").shape == RED_LEFT.shape
    served_by = reader._worker
    stream = io.BytesIO()
    Pillow.new("1", (28_000, 28_000)).save(stream, "PNG", compress_level=1)
    with pytest.raises(InputError, match="28000x28000 px: at most 50 megapixels") as caught:
        reader.decode(stream.getvalue(), "a")
    assert caught.value.hint == "make it smaller"
    assert reader.decode(coded(RED_LEFT, "PNG"), "a").shape == RED_LEFT.shape
    assert reader._worker is served_by


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_largest_picture_allowed_fits_into_the_worker(reader: PictureReader, kind: str):
    """Turned on its side, which takes it twice."""
    notes = Pillow.Exif()
    notes[0x0112] = 6
    stream = io.BytesIO()
    Pillow.new("RGB", (7000, 7100)).save(stream, kind, exif=notes, **({"progressive": True} if kind == "JPEG" else {}))
    assert reader.decode(stream.getvalue(), "a").shape == (7000, 7100, 3)


# The worker's process


VICTIM = """
import os, sys, time; sys.path[:] = sys.argv[1:]
from facelatch.decoder import decoding, worker
decode = decoding.decode
def hit(data, kinds):
    if data == b"evil": os.kill(os.getpid(), 11)
    if data == b"slow": time.sleep(60)
    return decode(data)
decoding.decode, worker.SECONDS = hit, 0.1
worker.main()
"""
"""A worker whose decoder has a hole, and one picture for which it never ends."""


@pytest.mark.parametrize(
    ("name", "cause"), [("evil", r"died of it \(SIGSEGV\)"), ("slow", r"takes longer than 30 s to decode")]
)
def test_a_worker_that_dies_names_the_picture_and_the_next_one_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str, cause: str
):
    monkeypatch.setattr(reading, "_PROGRAM", VICTIM)
    with contextlib.closing(PictureReader()) as own:
        assert own.decode(coded(RED_LEFT, "PNG"), "a").shape == RED_LEFT.shape
        with pytest.raises(InputError, match=f"{name}.png: .*{cause}"):
            own.decode(name.encode(), f"{name}.png")
        assert own.decode(coded(RED_LEFT, "PNG"), "a").shape == RED_LEFT.shape


def test_a_worker_that_ended_between_two_pictures_is_replaced_without_a_word():
    own = PictureReader()
    own.decode(coded(RED_LEFT, "PNG"), "a")
    assert own._worker is not None
    own._worker.process.kill()
    own._worker.process.wait()
    assert own.decode(coded(RED_LEFT, "PNG"), "a").shape == RED_LEFT.shape
    own.close()
    own.close()


def test_a_worker_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(reading, "_DYING_SECONDS", 0.05)
    own = PictureReader()
    own._worker = reading._Worker(heic=False)
    own._worker.process.send_signal(signal.SIGSTOP)
    with pytest.raises(InputError, match=r"slow\.png: its decoder failed"):
        own.decode(coded(RED_LEFT, "PNG"), "slow.png")
    assert own._worker is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"?",
        b"P" + struct.pack(">II", 0, 5),
        b"P" + struct.pack(">II", 2**31, 2**31),
        b"P" + struct.pack(">II", 2, 2) + b"short",
        b"E" + struct.pack(">I", 2**31),
    ],
)
def test_a_worker_that_was_taken_over_is_not_believed(monkeypatch: pytest.MonkeyPatch, answer: bytes):
    """Whatever it says instead of a picture: an error that names the picture, and no memory for what it claims."""
    monkeypatch.setattr(reading, "_DYING_SECONDS", 0.01)
    own = PictureReader()
    own._worker = reading._Worker(heic=False)
    ours, theirs = socket.socketpair()
    own._worker.connection.close()
    own._worker.connection = ours
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    with theirs, ours, pytest.raises(InputError, match="a: "):
        own.decode(b"bytes", "a")


def test_without_pillow_the_reader_says_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "_PROGRAM", "import nothing_of_that_name")
    with pytest.raises(FacelatchError, match="does not start") as caught:
        PictureReader().decode(coded(RED_LEFT, "PNG"), "a")
    assert "pillow" in caught.value.hint


def test_the_worker_gives_up_what_it_does_not_need():
    own = PictureReader()
    own.decode(coded(RED_LEFT, "PNG"), "a")
    assert own._worker is not None
    home = Path(f"/proc/{own._worker.process.pid}")
    limits = {line[:25].strip(): line[26:46].strip() for line in (home / "limits").read_text().splitlines()[1:]}
    assert limits["Max address space"] == str(worker.MEMORY_BYTES)
    assert limits["Max file size"] == limits["Max processes"] == limits["Max core file size"] == "0"
    assert (home / "oom_score_adj").read_text().strip() == "1000"
    # The socket, the null device, and nothing of this process.
    assert len(list((home / "fd").iterdir())) == 3
    own.close()


def test_the_worker_serves_any_socket_as_its_standard_input():
    """As a socket-activated unit would start it."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", "from facelatch.decoder.worker import main; main()"]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with ours, subprocess.Popen(command, stdin=theirs.fileno(), env=environment) as process:
        theirs.close()
        assert worker.receive(ours, 1) == worker.READY
        png = coded(RED_LEFT, "PNG")
        ours.sendall(worker.SIZE.pack(len(png)) + png)
        assert worker.receive(ours, 1) == worker.PICTURE
        assert worker.SHAPE.unpack(worker.receive(ours, 8)) == (40, 24)
        assert worker.receive(ours, RED_LEFT.size) == RED_LEFT.tobytes()
        ours.sendall(worker.SIZE.pack(5) + b"hello")
        assert worker.receive(ours, 1) == worker.REFUSAL
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(30) == 0


def test_the_alarm_is_set_for_each_picture_and_stopped_after_it():
    ours, theirs = socket.socketpair()
    alarms: list[float] = []
    with ours, theirs:
        ours.sendall(worker.SIZE.pack(1) + b"x" + worker.SIZE.pack(1) + b"y")
        ours.shutdown(socket.SHUT_WR)
        worker.serve(theirs, arm=alarms.append)
    assert alarms == [worker.SECONDS, 0, worker.SECONDS, 0]


@pytest.mark.parametrize("sent", [worker.SIZE.pack(MAX_FILE_BYTES + 1), worker.SIZE.pack(9) + b"half", b"\0"])
def test_a_request_too_large_or_cut_short_ends_the_worker(sent: bytes):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(sent)
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(OSError, match=r"request of|has gone"):
            worker.serve(theirs)


# What kills OpenCV 4.11



def decoded_by_opencv(data: bytes) -> int:
    """The exit status of a process in which OpenCV decodes `data`."""
    program = "import sys, cv2, numpy as np; cv2.imdecode(np.frombuffer(sys.stdin.buffer.read(), np.uint8), 1)"
    return subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=False).returncode


def animated_png() -> bytes:
    """A still crop with one chunk more, which announces a frame larger than the picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    frame = struct.pack(">IIIIIHHBB", 0, 112, 4000, 0, 0, 1, 10, 0, 0)
    pixels = np.random.default_rng(0).integers(0, 255, (112, 336), dtype=np.uint8)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 112, 112, 8, 2, 0, 0, 0))
        + chunk(b"acTL", struct.pack(">II", 2, 0))
        + chunk(b"fcTL", frame)
        + chunk(b"IDAT", zlib.compress(np.hstack([np.zeros((112, 1), np.uint8), pixels]).tobytes()))
        + chunk(b"IEND", b"")
    )


def test_an_animated_png_kills_opencv_and_is_no_crop_and_harmless_as_a_picture(reader: PictureReader):
    if cv2.__version__.startswith("4.11."):
        assert decoded_by_opencv(animated_png()) == -signal.SIGSEGV
    with pytest.raises(InputError):
        decode_png(animated_png())
    with contextlib.suppress(InputError):
        assert reader.decode(animated_png(), "a").shape == (112, 112, 3)
    assert reader.decode(coded(RED_LEFT, "PNG"), "a").shape == RED_LEFT.shape


def test_a_jpeg_2000_named_jpg_kills_opencv_and_is_not_decoded(reader: PictureReader, tmp_path: Path):
    """Noise of 40x40 px with a few bytes changed."""
    path = tmp_path / "holiday.jpg"
    path.write_bytes((GOLDEN / "kills-opencv-4.11.jp2").read_bytes())
    if cv2.__version__.startswith("4.11."):
        assert decoded_by_opencv(path.read_bytes()) == -signal.SIGSEGV
    with pytest.raises(InputError, match="JPEG 2000"):
        reader.read(path)


# Folders


def test_a_folder_tells_its_pictures_and_all_it_leaves_out(tmp_path: Path):
    """As it comes from a phone. The name does not matter, the content does."""
    jpeg = coded(RED_LEFT, "JPEG")
    for name, content in {
        "IMG_10.JPG": jpeg,
        "IMG_9.jfif": jpeg,
        "IMG_11": jpeg,
        "IMG_12.heic": b"\0\0\0\x18ftypheic\0\0\0\0",
        "IMG_13.jpg": b"\0\0\0\x18ftypheic\0\0\0\0",
        "clip.mp4": b"\0\0\0\x18ftypisom\0\0\0\0",
        "notes.txt": b"x",
        "void.jpg": b"",
        ".DS_Store": b"x",
    }.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "d.png").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    folder = picture_files(tmp_path)
    assert [path.name for path in folder.pictures] == ["IMG_9.jfif", "IMG_10.JPG", "IMG_11"]
    reasons = {one.path.name: one.reason for one in folder.left_out}
    assert set(reasons) == {"IMG_12.heic", "IMG_13.jpg", "clip.mp4", "notes.txt", "void.jpg", "d.png", "pipe.jpg"}
    expected = "a HEIC picture, which is not read here: convert it to JPEG"
    assert reasons["IMG_12.heic"] == reasons["IMG_13.jpg"] == expected
    assert reasons["d.png"] == "Is a directory"


def test_a_folder_that_is_none_is_refused(tmp_path: Path):
    assert picture_files(tmp_path).pictures == ()
    with pytest.raises(InputError, match="No such file"):
        picture_files(tmp_path / "none")


_heads = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBPVP8 ", b"BM"]


@given(st.sampled_from(_heads), st.binary(max_size=200))
def test_any_bytes_are_a_picture_or_unfit(head: bytes, rest: bytes):
    with contextlib.suppress(UnfitError):
        assert decode(head + rest).mode == "RGB"
    assert isinstance(kind_of(head + rest), str)


def test_one_picture_can_be_read_without_keeping_a_reader():
    assert read_image(GOLDEN / "picture.png").ndim == 3


def test_the_decoder_starts_where_the_package_is_not_on_the_path(tmp_path: Path) -> None:
    """As of an installation that can be edited, whose modules are found by a hook."""
    daemon = Path(__file__).resolve().parents[2] / "daemon"
    face = Path(__file__).resolve().parents[1] / "scenarios" / "people" / "nobody-1.png"
    program = (
        f"import sys; sys.path.insert(0, {str(daemon)!r}); from facelatch.decoder.reader import read_image;"
        f" sys.path.remove({str(daemon)!r}); from pathlib import Path; print(read_image(Path({str(face)!r})).shape)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "(112, 112, 3)" in done.stdout, done.stderr
