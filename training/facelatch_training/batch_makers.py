"""Processes that make batches, for devices that learn faster than the threads of one Python can cook."""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facelatch_training.dataset import CROP_SIZE, CropArray
from facelatch_training.runfolder import TrainingError
from facelatch_training.samples import Samples
from facelatch_training.teacher import Embeddings

SHARED = Path("/dev/shm")
Batch = tuple[CropArray, npt.NDArray[np.int32], Embeddings]


class BatchMakers:
    """`count` processes that each know `samples`; the pictures come back through memory they share with this one.

    Raises TrainingError when there is too little of that memory.
    """

    def __init__(self, samples: Samples, size: int, count: int) -> None:
        self._shape = (size, CROP_SIZE, CROP_SIZE, 3)
        _check_room(count * int(np.prod(self._shape)))
        # Not forked: a copy of a process with the threads of a training library may wait for ever.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, context, _begin, (samples,))
        self._blocks = [SharedMemory(create=True, size=int(np.prod(self._shape))) for _ in range(count)]
        self._free: queue.SimpleQueue[SharedMemory] = queue.SimpleQueue()
        for block in self._blocks:
            self._free.put(block)

    def make(self, number: int) -> Batch:
        """Batch `number` of the stream; several threads may ask at a time.

        Raises TrainingError when one of the processes was killed.
        """
        block = self._free.get()
        try:
            labels, teacher = self._pool.submit(_make, number, self._shape, block.name).result()
            return np.ndarray(self._shape, np.uint8, block.buf).copy(), labels, teacher
        except BrokenProcessPool as error:
            raise TrainingError(
                "a process that makes batches has ended",
                hint="killed for want of memory? lower `workers` in a new run; this one goes on from its checkpoint",
            ) from error
        finally:
            self._free.put(block)

    def close(self) -> None:
        """End the processes and give the memory back."""
        self._pool.shutdown(cancel_futures=True)
        for block in self._blocks:
            block.close()
            block.unlink()


@contextmanager
def batch_makers(samples: Samples, size: int, count: int) -> Iterator[BatchMakers]:
    """Makers for the time of a stage."""
    makers = BatchMakers(samples, size, count)
    try:
        yield makers
    finally:
        makers.close()


def _check_room(needed: int) -> None:
    """Memory that is not there would end a process without a word."""
    if SHARED.is_dir() and (free := shutil.disk_usage(SHARED).free) < needed:
        raise TrainingError(
            f"{SHARED}: {needed / 1e6:,.0f} MB needed for batches, {free / 1e6:,.0f} MB free",
            hint="lower `workers`, set `processes = false`, or give the container more shared memory",
        )


_samples: Samples
_blocks: dict[str, SharedMemory] = {}


def _begin(samples: Samples) -> None:
    global _samples
    _samples = samples
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed run leaves nobody waiting for work."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(number: int, shape: tuple[int, ...], name: str) -> tuple[npt.NDArray[np.int32], Embeddings]:
    if name not in _blocks:
        _blocks[name] = SharedMemory(name)
    return _samples.batch(number, np.ndarray(shape, np.uint8, _blocks[name].buf))
