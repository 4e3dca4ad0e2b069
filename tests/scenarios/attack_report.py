"""The door's own attacks: a picture of somebody enrolled, filling the view, printed in a hand, on a phone.

    python tests/scenarios/attack_report.py ../shared/data/clips.tar ../shared/data/scenes/empty.tar
        [--config FILE] [--only live,full,print,phone] [--grey]

People on recorded video are enrolled from their first frames, one a door. Then pictures of them are shown for
`SECONDS`, rendered here: of one of the frames they were enrolled from, and of a later one. Their own later frames,
replayed 5 a second and run to and fro until `LIVE_SECONDS` are over, are the living visits. Prints how many of each
are let in, and why the others were not. No face and no name.

The renderer below is a yardstick: its parameters stay as they are, it shares no code with the one that the training
makes attacks by, and nothing is trained or chosen on it.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from recordings import decoded, read_clips

from facelatch.adapters import fakes
from facelatch.adapters.system.systemd import SystemdService
from facelatch.app import loop
from facelatch.app.build import build_line, fake_pins
from facelatch.app.capture import EachFrame
from facelatch.audit.events import EventKind
from facelatch.config.file import Config, load
from facelatch.gallery.export import StoredPerson, StoredReference
from facelatch.gallery.store import GalleryStore
from facelatch.line.pipeline import Line
from facelatch.line.stills import NOBODY, observe_image
from facelatch.values.observations import Judged
from facelatch.values.pictures import Frame, Image
from facelatch.vision.reduce import search_picture

ENROL_FRAMES = 5
VIEW = (640, 480)
"""Width and height of what the door's camera sees, px."""
RATE, SECONDS = 15.0, 3.0
LIVE_RATE, LIVE_SECONDS = 5.0, 4.0
SEED = 20
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Person:
    """One person's frames, and a photograph of a room to stand in."""

    frames: Sequence[Image]
    room: Image


def main() -> None:
    """Reads the command line, shows, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, help="tar of one folder a person")
    parser.add_argument("rooms", type=Path, help="tar of photographs without people")
    parser.add_argument("--config", type=Path, help="configuration of the door")
    parser.add_argument("--only", default="live," + ",".join(ATTACKS), help="which kinds, by comma")
    parser.add_argument("--grey", action="store_true", help="as a grey camera with a lamp beside its lens sees it")
    options = parser.parse_args()
    config = load(options.config) if options.config else Config()
    line = build_line(config)
    clips = [*read_clips(options.clips).values()]
    rooms = read_pictures(options.rooms, len(clips))
    people = [Person(frames, room) for frames, room in zip(clips, rooms, strict=True)]
    for kind in options.only.split(","):
        report(line, config, kind, people, lit if options.grey else np.asarray)


def report(line: Line, config: Config, kind: str, people: Sequence[Person], seen: Callable[[Image], Image]) -> None:
    """Shows everybody in one way, each frame as `seen` makes it, prints a line."""
    outcomes: Counter[str] = Counter()
    visits = granted = 0
    for number, person in enumerate(people):
        enrolled = enrol(line, [seen(frame) for frame in person.frames[:ENROL_FRAMES]])
        if enrolled is None:
            continue
        for rate, frames in shows(kind, person, number):
            outcome = visit(line, config, enrolled, [seen(frame) for frame in frames], rate)
            visits += 1
            granted += outcome == "granted"
            outcomes[outcome] += 1
    words = ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
    print(f"{kind:<6} let in {granted:>3} of {visits}: {words}", flush=True)


def shows(kind: str, person: Person, number: int) -> Iterator[tuple[float, list[Image]]]:
    """Frames a second and the frames of each visit of one kind."""
    if kind == "live":
        yield LIVE_RATE, live(person, np.random.default_rng([SEED, number]))
        return
    for turn, photograph in enumerate((person.frames[0], person.frames[-1])):
        rng = np.random.default_rng([SEED, number, turn])
        yield RATE, list(ATTACKS[kind](photograph, person.room, rng))


def visit(line: Line, config: Config, enrolled: StoredPerson, frames: Sequence[Image], rate: float) -> str:
    """`granted`, or the reason of the refusal that came first."""
    clock, audit = fakes.FakeClock(), fakes.FakeAudit()
    lock, indicator, buttons = fake_pins(clock)
    store = GalleryStore.in_memory()
    store.restore([enrolled])
    world = loop.World(
        clock=clock,
        frames=EachFrame(Shown(frames, config, rate), clock, pace=None),
        line=line,
        store=store,
        lock=lock,
        indicator=indicator,
        buttons=buttons,
        audit=audit,
        service=SystemdService(None),
    )
    loop.run(world, config)
    endings = [event for event in audit.events if event.kind in ENDINGS]
    if any(event.kind is EventKind.VISIT_GRANTED for event in endings):
        return "granted"
    return str(endings[0].fields["REASON"]) if endings else "undecided"


ENDINGS = (EventKind.VISIT_GRANTED, EventKind.VISIT_REFUSED, EventKind.VISIT_ABANDONED)


class Shown:
    """A camera that hands over pictures from memory."""

    def __init__(self, frames: Sequence[Image], config: Config, rate: float) -> None:
        self._frames, self._config, self._rate = iter(enumerate(frames)), config.camera, rate

    def read(self) -> Frame | None:
        """As a recording does."""
        number, image = next(self._frames, (0, None))
        if image is None:
            return None
        return Frame(image, search_picture(image, self._config), number / self._rate, number)

    def close(self) -> None:
        """Nothing to release."""


def enrol(line: Line, frames: Sequence[Image]) -> StoredPerson | None:
    """The person of these frames as a gallery keeps people."""
    references = []
    for frame in frames:
        seen = observe_image(line, np.asarray(cv2.resize(frame, None, fx=2, fy=2), np.uint8), NOBODY)
        if isinstance(seen, Judged):
            stream = io.BytesIO()
            Pillow.fromarray(seen.crop).save(stream, "png")
            references.append(StoredReference(stream.getvalue(), seen.pose))
    return StoredPerson("somebody", admin=False, references=tuple(references)) if references else None


def read_pictures(path: Path, count: int) -> list[Image]:
    """The first `count` pictures of a tar."""
    with tarfile.open(path) as archive:
        streams = (archive.extractfile(member) for member in archive)
        pictures = (decoded(stream.read()) for stream in streams if stream is not None)
        return [picture for picture, _ in zip(pictures, range(count), strict=False)]


def lit(picture: Image) -> Image:
    """Grey, brightest in the middle: what an infrared camera would see, were skin in infrared as it is in red light."""
    high, wide = picture.shape[:2]
    rows, columns = np.mgrid[:high, :wide].astype(np.float32)
    away = np.hypot((rows - high / 2) / high, (columns - wide / 2) / wide)[..., None]
    grey = picture.astype(np.float32) @ np.array([[0.6], [0.3], [0.1]], np.float32)
    return np.asarray(np.clip(grey * (1.25 - 0.9 * away), 0, 255).repeat(3, axis=2), np.uint8)


# The renderer. ------------------------------------------------------------------------------------------------------


def live(person: Person, rng: np.random.Generator) -> list[Image]:
    """The later frames, larger, each seen by the same camera as the attacks; run to and fro until the time is over."""
    later = list(person.frames[ENROL_FRAMES:])
    order = later + later[-2:0:-1]
    count = round(LIVE_RATE * LIVE_SECONDS)
    return [camera(fill(order[number % len(order)], 1.0), rng) for number in range(count)]


def filling(photograph: Image, room: Image, rng: np.random.Generator) -> Iterator[Image]:
    """A picture held so near that its edges are out of view; the hand trembles and the paper tilts."""
    del room
    sheet = printed(fill(photograph, 1.18), rng)
    for shift, tilt in motion(rng, tremble=3.0):
        yield camera(
            warp(sheet, np.zeros((VIEW[1], VIEW[0], 3), np.float32), corners(1.18, shift, tilt)), rng
        )


def print_in_hand(photograph: Image, room: Image, rng: np.random.Generator) -> Iterator[Image]:
    """A print with a white margin held before a room."""
    sheet = printed(fill(photograph, 1.0), rng)
    margin = 24
    sheet = cv2.copyMakeBorder(
        sheet, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(236, 236, 232)
    )
    yield from held(sheet, fill(room, 1.0), rng, size=0.78)


def phone_in_hand(photograph: Image, room: Image, rng: np.random.Generator) -> Iterator[Image]:
    """A phone that shows the picture, held before a room."""
    screen = displayed(fill(photograph, 1.0), rng)
    screen = cv2.copyMakeBorder(screen, 14, 14, 44, 44, cv2.BORDER_CONSTANT, value=(9, 9, 11))
    yield from held(screen, fill(room, 1.0), rng, size=0.74)


def held(sheet: Image, room: Image, rng: np.random.Generator, size: float) -> Iterator[Image]:
    """Something flat in a hand, which is a patch of skin at its lower edge."""
    skin = np.array([rng.uniform(150, 225), rng.uniform(110, 165), rng.uniform(85, 140)], np.float32)
    for shift, tilt in motion(rng, tremble=5.0):
        places = corners(size, shift, tilt)
        frame = warp(sheet, room.astype(np.float32), places)
        foot = (places[2] + places[3]) / 2
        thumb = tuple(int(one) for one in foot - (0, 18))
        cv2.ellipse(frame, thumb, (24, 46), 12, 0, 360, skin.tolist(), -1, cv2.LINE_AA)
        yield camera(frame, rng)


ATTACKS: dict[str, Callable[[Image, Image, np.random.Generator], Iterator[Image]]] = {
    "full": filling,
    "print": print_in_hand,
    "phone": phone_in_hand,
}


def fill(picture: Image, factor: float) -> Image:
    """The picture enlarged until it covers `factor` of the view, its middle kept."""
    wide, high = (round(side * factor) for side in VIEW)
    scale = max(wide / picture.shape[1], high / picture.shape[0])
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top, left = (large.shape[0] - high) // 2, (large.shape[1] - wide) // 2
    return np.asarray(large[max(top, 0) : max(top, 0) + high, max(left, 0) : max(left, 0) + wide], np.uint8)


def printed(picture: Image, rng: np.random.Generator) -> Image:
    """What a home printer makes of it: paler blacks, less colour, the dots of its raster."""
    values = picture.astype(np.float32)
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * rng.uniform(0.65, 0.9)
    values = 28 + values * rng.uniform(0.78, 0.86)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    period = rng.uniform(2.6, 4.2)
    dots = np.sin(2 * np.pi * (rows + columns) / period) * np.sin(2 * np.pi * (rows - columns) / period)
    return np.asarray(np.clip(values + rng.uniform(2, 6) * dots[..., None], 0, 255), np.uint8)


def displayed(picture: Image, rng: np.random.Generator) -> Image:
    """What a phone makes of it: deep contrast, a cold white, stripes of subpixels."""
    values = 255 * (picture.astype(np.float32) / 255) ** rng.uniform(1.0, 1.25)
    values *= np.array([0.94, 1.0, rng.uniform(1.02, 1.12)], np.float32) * rng.uniform(0.9, 1.1)
    columns = np.arange(picture.shape[1], dtype=np.float32)
    for channel in range(3):
        wave = np.sin(2 * np.pi * (columns / 2.37 + channel / 3))
        values[..., channel] *= 1 + rng.uniform(0.03, 0.08) * wave
    rows = np.arange(picture.shape[0], dtype=np.float32)[:, None, None]
    glow = rng.uniform(4, 16) * np.exp(-(((rows - rng.uniform(0, picture.shape[0])) / 120) ** 2))
    return np.asarray(np.clip(values + glow, 0, 255), np.uint8)


def motion(rng: np.random.Generator, tremble: float) -> Iterator[tuple[Matrix, Matrix]]:
    """For each frame where the hand is, px, and how the sheet tilts, px of each corner."""
    count = round(RATE * SECONDS)
    phases, speeds = rng.uniform(0, 2 * np.pi, 4), rng.uniform(0.3, 1.1, 4)
    strength = np.array([tremble, tremble, rng.uniform(4, 22), rng.uniform(4, 22)])
    for number in range(count):
        along = strength * np.sin(phases + 2 * np.pi * speeds * number / RATE)
        shift = along[:2] + rng.normal(0, 0.4, 2)
        across, down = along[2:]
        tilt = np.array([[across, down], [-across, -down], [across, down], [-across, -down]])
        yield shift, tilt


def corners(size: float, shift: Matrix, tilt: Matrix) -> Matrix:
    """Where the four corners of a sheet lie that covers `size` of the view, clockwise from the top left."""
    half = np.array(VIEW) * size / 2
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return np.array(VIEW) / 2 + signs * half + shift + tilt


def warp(sheet: Image, room: npt.NDArray[np.float32], places: Matrix) -> npt.NDArray[np.float32]:
    """The sheet with its corners at `places`, before the room."""
    high, wide = sheet.shape[:2]
    source = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, places.astype(np.float32))
    there = cv2.warpPerspective(np.ones((high, wide), np.float32), matrix, VIEW)[..., None]
    return np.asarray(
        cv2.warpPerspective(sheet.astype(np.float32), matrix, VIEW) * there + room * (1 - there)
    )


def camera(picture: npt.NDArray[np.float32] | Image, rng: np.random.Generator) -> Image:
    """A cheap camera: a soft lens, noise of its sensor, sharpening, JPEG."""
    values = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.8)
    values = values + rng.normal(0, 2.5, values.shape).astype(np.float32)
    values = values + 0.4 * (values - cv2.GaussianBlur(values, (0, 0), 1.2))
    stream = io.BytesIO()
    Pillow.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(stream, "jpeg", quality=88)
    return decoded(stream.getvalue())


if __name__ == "__main__":
    main()
