"""Teachers in ONNX files: what they say of clean crops, asked once and packed, so that no machine has to ask again.

Answers are of the clean crop and its mirror image; the student is to give the same for the face covered, turned away
from the light, blurred. Several teachers answer together: their unit vectors side by side, reduced to the student's
dimensions along which they vary most.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from facelatch.errors import InputError
from facelatch_training.batches.teacher import Embeddings
from facelatch_training.data.crops import CropArray, Crops
from facelatch_training.files import file_sha256, replacing, save_array

PART_BYTES = 64 * 2**20
"""Most that a packed part holds."""

INDEX = "answers.json"
_BATCH = 16
_ROUND = 512
"""Crops between two files while answering, each written whole: a run that is killed repeats one."""

Answers = npt.NDArray[np.float16]


class OnnxTeacher:
    """Face recognisers in ONNX: uint8 RGB crops (B, 112, 112, 3) -> one unit vector each, (B, D), side by side.

    Raises InputError for a file that is missing or that takes no such crops.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        self._sessions: list[Any] = []
        for file in files:
            try:
                session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            except Exception as error:  # onnxruntime's own exceptions share no other base
                raise InputError(f"{file}: not read by onnxruntime: {error}", hint="copy the file again") from error
            if list(session.get_inputs()[0].shape[1:]) != [3, 112, 112]:
                raise InputError(f"{file}: takes no crops of 112x112", hint="give a recogniser of aligned crops")
            self._sessions.append(session)

    def teach(self, crops: CropArray) -> Embeddings:
        """Unit mean of what is said of the crops (B, 112, 112, 3) and of their mirror images, per teacher: (B, D)."""
        pixels = np.ascontiguousarray(crops.astype(np.float32).transpose(0, 3, 1, 2) / 127.5 - 1)
        both = np.concatenate([pixels, pixels[:, :, :, ::-1]])
        answers = []
        for session in self._sessions:
            sides = _unit(session.run(None, {session.get_inputs()[0].name: both})[0])
            answers.append(_unit(sides[: len(crops)] + sides[len(crops) :]))
        return np.concatenate(answers, axis=1)


def answer_all(files: Sequence[Path], crops: Crops, mark: str, folder: Path) -> Path:
    """The teachers' answers to all `crops`, packed in `folder` in parts of at most PART_BYTES; returns its index.

    `mark`: fingerprint of the crop set. Resumes where it was killed. Raises InputError when `folder` holds the answers
    of other teachers or to other crops.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {"crops": len(crops), "data": mark, "teachers": {file.name: file_sha256(file) for file in files}}
    _claim(folder / "asked.json", about)
    teacher, rounds = OnnxTeacher(files), folder / "rounds"
    rounds.mkdir(exist_ok=True)
    for start in tqdm(range(0, len(crops), _ROUND), desc="teachers", unit="round", mininterval=2):
        path = rounds / f"{start:08d}.npy"
        if not path.is_file():
            stop = min(start + _ROUND, len(crops))
            said = [
                teacher.teach(np.stack([crops[row] for row in range(first, min(first + _BATCH, stop))]))
                for first in range(start, stop, _BATCH)
            ]
            save_array(path, np.concatenate(said).astype(np.float16))
    return _pack(sorted(rounds.glob("*.npy")), folder, about)


def load_answers(folder: Path, mark: str) -> Answers:
    """Packed answers (N, D). Raises InputError when they are to other crops than those of fingerprint `mark`."""
    index = folder / INDEX
    if not index.is_file():
        raise InputError(f"{index}: not there", hint="`facelatch-train teach` makes it")
    about = json.loads(index.read_text(encoding="utf-8"))
    if about["data"] != mark:
        raise InputError(
            f"{index}: answers to the crops of fingerprint {about['data'][:16]}, not {mark[:16]}",
            hint="give the folder that was made of this crop set",
        )
    return np.concatenate([np.load(folder / name) for name in about["parts"]])


def reduced(answers: Answers, width: int, like: Embeddings | None = None) -> Embeddings:
    """Answers (N, D) in the `width` dimensions in which they vary most, as unit vectors (N, width).

    `like` (M, width), M at most N, is what a student says of the first M: then the answers are turned towards it, which
    changes no angle between them, and the student has less to unlearn. Raises InputError for fewer answers than
    dimensions.
    """
    if len(answers) < width:
        raise InputError(f"{len(answers)} answers for {width} dimensions", hint="prepare more crops")
    whole = answers.astype(np.float32)
    _, axes = np.linalg.eigh((whole.T @ whole).astype(np.float64))
    few = _unit((whole @ axes[:, -width:]).astype(np.float32))
    if like is not None:
        left, _, right = np.linalg.svd(few[: len(like)].T @ like)
        few = np.asarray(few @ (left @ right), np.float32)
    return few


def nobody(answers: Embeddings) -> Embeddings:
    """Where crops that nobody can be read from belong (D,): the direction in which unit answers (N, D) lie least."""
    _, axes = np.linalg.eigh(answers.astype(np.float64).T @ answers)
    axis = axes[:, 0]
    return np.asarray(-axis if float((answers @ axis).mean()) > 0 else axis, np.float32)


def _claim(path: Path, about: dict[str, Any]) -> None:
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != about:
            raise InputError(f"{path}: other teachers or other crops", hint="use a new folder")
        return
    with replacing(path) as partial:
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _pack(rounds: Sequence[Path], folder: Path, about: dict[str, Any]) -> Path:
    whole: Answers = np.concatenate([np.load(path) for path in rounds])
    rows = max(1, (PART_BYTES - 1024) // (whole.shape[1] * whole.itemsize))
    parts = {f"answers-{start // rows:02d}.npy": whole[start : start + rows] for start in range(0, len(whole), rows)}
    for name, part in parts.items():
        save_array(folder / name, part)
    with replacing(folder / INDEX) as partial:
        partial.write_text(json.dumps({**about, "parts": sorted(parts)}, indent=1) + "\n", encoding="utf-8")
    return folder / INDEX


def _unit(rows: npt.NDArray[np.float32]) -> Embeddings:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
