"""Makes the faces of nobody in `people/`: each is the mean of twelve look-alikes, twelve different people.

Not a test and not needed to run one: it documents where the pictures come from, and makes them anew.
It wants the face crops (`faces/`) and the reference network (`reference/`) of the shared data folder, which
are not part of the project, and `pip install ncnn`. Takes about three minutes:

    python tests/scenarios/make_demo_people.py ../shared/data --sheet candidates.png
    python tests/scenarios/make_demo_people.py ../shared/data --out tests/scenarios/people

The first writes all candidates side by side; `CHOSEN` are the numbers (row by row, from 0) taken from it by
eye: sharp, plain, unlike each other. Nobody is in such a picture with more than a twelfth, and the figures
printed at the end say how alike it is to the nearest real person in the data.
"""

from __future__ import annotations

import csv
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from facelatch.vision.align import TEMPLATE

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

SEED = 7
ANCHORS = 300
LOOKALIKES = 12
CHOSEN = (23, 96, 39, 28, 35, 62, 82, 36)
SHEET_COLUMNS = 14


@dataclass(frozen=True)
class Crops:
    """The pool the look-alikes come from: two crops of everybody, (N, 112, 112, 3) RGB."""

    images: Image
    identities: NDArray[np.str_]
    embeddings: Floats


class ReferenceNetwork:
    """MobileFaceNet on ncnn; embeddings of length one."""

    def __init__(self, folder: Path) -> None:
        import ncnn

        self._ncnn: Any = ncnn
        self._net = ncnn.Net()
        self._net.opt.num_threads = 1  # more only wait for each other on so small a network
        self._net.load_param(str(folder / "mobilefacenet.param"))
        self._net.load_model(str(folder / "mobilefacenet.bin"))

    def embed(self, crop: Image) -> Floats:
        """The embedding (128,) of an aligned crop."""
        mat = self._ncnn.Mat
        extractor = self._net.create_extractor()
        extractor.input(
            "data", mat.from_pixels(np.ascontiguousarray(crop), mat.PixelType.PIXEL_RGB, 112, 112)
        )
        embedding = np.array(extractor.extract("fc1")[1], dtype=np.float64)
        return embedding / float(np.linalg.norm(embedding))


def load_crops(faces: Path, network: ReferenceNetwork) -> Crops:
    """The two most typical crops of every identity of the training split (CelebA part)."""
    by_identity: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (faces / "faces.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if row["split"] == "train" and row["source"] == "celeba":
                by_identity[row["identity"]].append(row)
    wanted = {
        row["path"] for rows in by_identity.values() for row in sorted(rows, key=_typical, reverse=True)[:2]
    }
    images, identities, embeddings = [], [], []
    with click.progressbar(_pictures(faces, wanted), length=len(wanted), label="embedding") as pictures:
        for path, image in pictures:
            images.append(image)
            identities.append(path.split("/", 1)[0])
            embeddings.append(network.embed(image))
    return Crops(np.array(images), np.array(identities), np.array(embeddings))


def _typical(row: dict[str, str]) -> float:
    agreement = float(row["agreement"])
    return agreement if agreement < 1.0 else 0.5  # 1.0 only says that there were too few to compare


def _pictures(faces: Path, wanted: set[str]) -> Iterator[tuple[str, Image]]:
    for shard in sorted(faces.glob("faces-*.tar")):
        with tarfile.open(shard) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.name in wanted else None
                if content is not None:
                    encoded = np.frombuffer(content.read(), np.uint8)
                    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
                    yield member.name, np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def lookalikes(crops: Crops, anchor: int) -> tuple[list[int], float]:
    """The nearest neighbours of one crop, each of another identity, and how near they are on average."""
    cosines = crops.embeddings @ crops.embeddings[anchor]
    chosen: list[int] = []
    seen = {crops.identities[anchor]}
    for index in np.argsort(-cosines):
        if crops.identities[index] not in seen:
            seen.add(crops.identities[index])
            chosen.append(int(index))
        if len(chosen) == LOOKALIKES:
            break
    return chosen, float(cosines[chosen].mean())


def mean_face(images: Image) -> Image:
    """The mean of crops after each is bent onto it; without the bending it would be a blur."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    rows, columns = np.mgrid[:112, :112].astype(np.float32)
    mean = images.mean(axis=0)
    for _ in range(2):
        target = _soft_grey(mean.astype(np.uint8))
        bent = []
        for image in images:
            shift = flow.calc(target, _soft_grey(image), None)  # type: ignore[call-overload]
            shift = np.clip(cv2.GaussianBlur(shift, (0, 0), 4), -5, 5)
            source = columns + shift[..., 0], rows + shift[..., 1]
            bent.append(cv2.remap(image, *source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
        mean = np.mean(bent, axis=0)
    return np.asarray(mean.astype(np.uint8))


def _soft_grey(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1), dtype=np.uint8)


def candidates(crops: Crops, finder: Any) -> list[Image]:
    """Mean faces around random crops: those that look straight ahead and came out sharp, in a fixed order."""
    anchors = np.random.default_rng(SEED).choice(len(crops.images), ANCHORS, replace=False)
    faces, nearness, sharpness = [], [], []
    with click.progressbar(anchors, label="averaging") as progress:
        for anchor in progress:
            if not _frontal(finder, crops.images[anchor], 6):
                continue
            members, near = lookalikes(crops, int(anchor))
            face = mean_face(crops.images[members])
            if _frontal(finder, face, 5):
                faces.append(face)
                nearness.append(near)
                sharpness.append(_sharpness(face))
    best = (nearness > np.quantile(nearness, 0.3)) & (sharpness > np.quantile(sharpness, 0.3))
    return [faces[index] for index in np.flatnonzero(best)]


def _frontal(finder: Any, crop: Image, tolerance_px: float) -> bool:
    padded = cv2.copyMakeBorder(crop, 56, 56, 56, 56, cv2.BORDER_REPLICATE)
    found = finder.detect(np.ascontiguousarray(padded[..., ::-1]))[1]
    if found is None or len(found) != 1:
        return False
    landmarks = found[0, 4:14].reshape(5, 2) - 56
    return bool(np.abs(landmarks - TEMPLATE).max() <= tolerance_px)


def _sharpness(face: Image) -> float:
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float64)
    inner = slice(20, 100), slice(20, 92)
    return float(cv2.Laplacian(grey, cv2.CV_64F)[inner].var() / grey[inner].std())


@click.command(help=__doc__)
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--sheet", type=click.Path(dir_okay=False, path_type=Path), help="Write all candidates side by side."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write the chosen faces here.")
def main(data: Path, sheet: Path | None, out: Path | None) -> None:
    """Makes the faces; the help text is the head of this file."""
    network = ReferenceNetwork(data / "reference")
    finder = cv2.FaceDetectorYN.create(str(data / "reference/yunet_2026may.onnx"), "", (224, 224), 0.5)
    crops = load_crops(data / "faces", network)
    faces = candidates(crops, finder)
    if sheet:
        whole = len(faces) // SHEET_COLUMNS * SHEET_COLUMNS
        rows = [np.hstack(faces[start : start + SHEET_COLUMNS]) for start in range(0, whole, SHEET_COLUMNS)]
        _write(sheet, np.vstack(rows))
    if out:
        out.mkdir(parents=True, exist_ok=True)
        chosen = [faces[number] for number in CHOSEN]
        for number, face in enumerate(chosen, start=1):
            _write(out / f"nobody-{number}.png", face)
        embeddings = np.array([network.embed(face) for face in chosen])
        among = embeddings @ embeddings.T - 2 * np.eye(len(chosen))
        click.echo(f"largest cosine between two of them: {among.max():.2f}")
        nearest = (crops.embeddings @ embeddings.T).max(axis=0)
        click.echo(f"cosine to the nearest of {len(crops.images)} real crops: {np.round(nearest, 2)}")


def _write(path: Path, image: Image) -> None:
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise click.ClickException(f"cannot write {path}")


if __name__ == "__main__":
    main()
