"""The cohort beside a model: people who do not exist, and where crops fall that nobody can read.

Each of them is made of four people of the training split, each half of the face a blend of two, and is like none of the
four: below one half in similarity. They are shown as they are, covered and turned. See `facelatch.vision.cohort`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facelatch.ports import Verifier
from facelatch.values.observations import Thresholds
from facelatch.values.pictures import Image
from facelatch.vision.align import CROP_SIZE_PX, align
from facelatch.vision.cohort import KINDS, SUFFIX, Cohort, is_familiar, let_in
from facelatch.vision.manifest import CohortEntry, Manifest, load_manifest
from facelatch.vision.references import embed_reference
from facelatch.vision.turn import turned
from facelatch_training.batches.teacher import graft, morph
from facelatch_training.data.covers import COVERS, IN_CROP, covered, turned_crop
from facelatch_training.data.cropping import Finder, open_finder, subject
from facelatch_training.data.crops import CropArray, iterate_shard
from facelatch_training.data.dataset import read_index
from facelatch_training.files import TrainingError, replacing
from facelatch_training.judge.halves import calibration_half
from facelatch_training.judge.protocols import gather, prepared
from facelatch_training.judge.slices import frame_noise
from facelatch_training.judge.verifiers import open_verifier

PEOPLE = 200
MADE_OF = 4
LIKE_A_SOURCE = 0.5
"""Similarity to one of the people somebody was made of, from which that is not somebody new."""
MOST_TRIES = 20
"""Faces tried for each that is kept."""
MOST_LET_IN = 0.005
"""Of the cohort, shown in any one kind, by one person's references: one in PEOPLE. Chosen on half A of the validation
families, where it refuses 0.6 % of honest sets of eight and 0.8 % of single references."""
FAMILIAR_SHARE = 0.998
"""Of the training crops whose embeddings have to be familiar."""
SOURCES = 1600
"""Training people, a picture each, of whom all is made."""
FACE_SCORE = 0.6
"""The door's `finder.score_threshold`."""
REFERENCES = (8, 1)
"""Sizes of the sets of references that are tried: an enrolment by camera, and the least."""

Floats = npt.NDArray[np.float32]
Embed = Callable[[Image], Floats]


@dataclass(frozen=True, eq=False)
class Made:
    """What goes into the file, and the limit that was found with it."""

    vectors: Floats
    """(N, D)."""
    kinds: npt.NDArray[np.uint8]
    """(N,)."""
    points: Floats
    """(P, D)."""
    unfamiliar_from: float


def write_cohort(model: Path, data: Path, *, seed: int = 0, people: int | None = None) -> CohortEntry:
    """Makes `model`'s cohort of the training people in `data`, writes it beside the model and into its manifest.

    `model` is a calibrated `.tflite` file; `people` None: PEOPLE. Raises ModelError and InputError as loading does,
    TrainingError where the people in `data` do not suffice.
    """
    people = people or PEOPLE
    manifest, verifier = load_manifest(model), open_verifier(model)
    limits = Thresholds(
        detection=manifest.detection_threshold,
        verification=manifest.verification_threshold,
        ambiguity_margin=0.0,
    )
    made = make(verifier, training_faces(data, seed), open_finder("network", score_threshold=FACE_SCORE), people, seed)
    stored, scales = rounded(made.vectors)
    # The limits are tried on what the door will load, not on what it was rounded from.
    cohort = Cohort(stored * scales[:, None], made.kinds, made.points, made.unfamiliar_from, MOST_LET_IN)
    figures = measured(verifier, cohort, limits, data, seed)
    path = model.with_suffix(SUFFIX)
    with replacing(path) as partial, partial.open("wb") as stream:
        np.savez(stream, vectors=stored, scales=scales, kinds=made.kinds, points=made.points)
    entry = CohortEntry(
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        people=people,
        unfamiliar_from=made.unfamiliar_from,
        most_let_in=MOST_LET_IN,
        figures=figures,
    )
    whole = Manifest(**{**manifest.model_dump(), "cohort": entry.model_dump()})
    with replacing(model.with_suffix(".json")) as partial:
        partial.write_text(whole.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return entry


def training_faces(data: Path, seed: int) -> CropArray:
    """One crop (N, 112, 112, 3) each of at most SOURCES people of the training split."""
    index = read_index(data)
    rows = index.rows("train")
    _, first = np.unique([index.identities[row] for row in rows], return_index=True)
    chosen = np.random.default_rng(seed).permutation(rows[first])[:SOURCES]
    if len(chosen) < MADE_OF:
        raise TrainingError(f"{data}: {len(chosen)} training people; {MADE_OF} make one", hint="prepare more people")
    wanted = set(chosen.tolist())
    shards = sorted({index.shards[row] for row in wanted})
    return np.stack([crop for shard in shards for row, crop in iterate_shard(index, shard) if row in wanted])


def make(verifier: Verifier, faces: CropArray, finder: Finder, people: int, seed: int) -> Made:
    """Cohort, points and limit from training faces (N, 112, 112, 3)."""
    rng = np.random.default_rng([seed, 0x636F686F7274])
    bare = np.stack([verifier.embed(face) for face in faces])
    shown = [shown_as(face, kind, rng) for face in new_people(verifier, faces, bare, people, rng) for kind in KINDS]
    points = unreadable_points(verifier.embed, faces, finder, rng)
    nearest = (bare @ points.T).max(axis=1) / np.linalg.norm(bare, axis=1)
    return Made(
        vectors=np.stack([verifier.embed(crop) for crop in shown]),
        kinds=np.tile(np.arange(len(KINDS), dtype=np.uint8), people),
        points=points,
        unfamiliar_from=float(np.quantile(nearest, FAMILIAR_SHARE)),
    )


def new_people(
    verifier: Verifier, faces: CropArray, embedded: Floats, people: int, rng: np.random.Generator
) -> list[Image]:
    """`people` crops of faces that are like none of those they are made of. Raises TrainingError."""
    kept: list[Image] = []
    for _ in range(MOST_TRIES * people):
        parts = [int(row) for row in rng.choice(len(faces), MADE_OF, replace=False)]
        halves = np.stack([morph(faces, parts[0], parts[1], rng), morph(faces, parts[2], parts[3], rng)])
        face = graft(halves, 0, 1, rng)
        if verifier.compare(verifier.embed(face), embedded[parts]).max() < LIKE_A_SOURCE:
            kept.append(face)
        if len(kept) == people:
            return kept
    raise TrainingError(
        f"only {len(kept)} of {people} new faces are like nobody they were made of",
        hint="a model that has learnt little takes all for alike; train it on more people",
    )


def shown_as(face: Image, kind: str, rng: np.random.Generator) -> Image:
    """A crop as one of KINDS."""
    if kind == "turned":
        return turned_crop(face, rng)
    return covered(face, kind, IN_CROP, rng) if kind in COVERS else face


def unreadable_points(
    embed: Embed, faces: CropArray, finder: Finder, rng: np.random.Generator
) -> Floats:
    """Unit means (P, D) of what the model makes of crops in which nobody can be read.

    Of turned faces by the turn, once as they are and once as the finder cuts them, and of one colour and noise.
    """
    groups: list[list[Image]] = [
        [np.full((CROP_SIZE_PX, CROP_SIZE_PX, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(50)],
        [rng.integers(0, 256, (CROP_SIZE_PX, CROP_SIZE_PX, 3)).astype(np.uint8) for _ in range(50)],
    ]
    for degrees in (90, 180, 270):
        groups.append([turned(face, degrees) for face in faces[: len(faces) // 2]])
        groups.append([crop for face in faces if (crop := found_turned(face, degrees, finder)) is not None])
    means = [np.mean([embed(crop) for crop in group], axis=0) for group in groups if group]
    return np.asarray([mean / np.linalg.norm(mean) for mean in means], np.float32)


def found_turned(face: Image, degrees: int, finder: Finder) -> Image | None:
    """The crop that the door would cut of a face in a turned picture; None where it finds none there."""
    large = cv2.resize(face, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR)
    framed = np.asarray(cv2.copyMakeBorder(large, 60, 60, 100, 100, cv2.BORDER_REPLICATE), np.uint8)
    picture = turned(framed, degrees)
    found = subject(finder.find(picture), picture)
    return None if found is None else align(picture, found.landmarks)


def rounded(vectors: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Vectors (N, D) in int8 with a scale (N,) each."""
    scales = np.maximum(np.abs(vectors).max(axis=1), np.finfo(np.float32).tiny) / 127
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales.astype(np.float32)


def measured(
    verifier: Verifier, cohort: Cohort, limits: Thresholds, data: Path, seed: int
) -> dict[str, float]:
    """What the limits do on half B of the validation families: shares of probes found unfamiliar, and of sets of
    references refused, bare and covered."""
    protocol = prepared(data)
    judged = ~calibration_half(protocol.families)
    crops, names = gather(protocol)[judged], np.array(protocol.identities)[judged]
    rng = np.random.default_rng([seed, 0x6D656173])
    unread = [not is_familiar(verifier.embed(crop), cohort) for crop in crops]
    figures = {"probes_unfamiliar": float(np.mean(unread))}
    for kind in KINDS:
        sets = [references(crops[names == name], kind, verifier.embed, rng) for name in np.unique(names)]
        for count in REFERENCES:
            shares = [let_in(each[:count], verifier, cohort, limits).share for each in sets]
            title = f"sets_refused_{kind.replace(' ', '_')}_{count}"
            figures[title] = float(np.mean(np.array(shares) > cohort.most_let_in))
    _, first = np.unique(names, return_index=True)
    for kind in KINDS:
        median, detected = alike(verifier, crops[first], kind, limits.detection, rng)
        figures[f"strangers_median_{kind.replace(' ', '_')}"] = median
        figures[f"strangers_detected_{kind.replace(' ', '_')}"] = detected
    return figures


def alike(
    verifier: Verifier, crops: CropArray, kind: str, detection: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Of crops (N, 112, 112, 3) of N people, all shown as `kind`: the median similarity of two, and the share of pairs
    in which one would be a detection of the other. What only training can mend."""
    probes = np.stack([verifier.embed(shown_as(crop, kind, rng)) for crop in crops])
    others = ~np.eye(len(probes), dtype=bool)
    similarities = np.stack([verifier.compare(probe, probes) for probe in probes])[others]
    return float(np.median(similarities)), float(np.mean(similarities >= detection))


def references(photos: CropArray, kind: str, embed: Embed, rng: np.random.Generator) -> Floats:
    """The references (R, D), R = max(REFERENCES), that photos (N, 112, 112, 3) of a person make.

    Where there are too few photos, further frames of them.
    """
    order: Sequence[int] = rng.permutation(len(photos)).tolist()
    made = []
    for number in range(max(REFERENCES)):
        crop = photos[order[number % len(order)]]
        crop = crop if number < len(order) else frame_noise(crop, rng)
        made.append(embed_reference(embed, shown_as(crop, kind, rng)))
    return np.stack(made)
