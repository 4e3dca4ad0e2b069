"""Processes that make batches, for a GPU that trains faster than the threads of one Python process prepare them."""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facelatch_training.batches.samples import Batch, Samples
from facelatch_training.batches.teacher import Embeddings
from facelatch_training.data.crops import CROP_SIZE
from facelatch_training.files import TrainingError

SHARED = Path("/dev/shm")


class BatchMakers:
    """`count` processes that each know `samples` and make batches of `size` crops; the crops come back through memory
    they share with this one.

    They start with the first batch, as a stage that has ended already needs none. Call `close` at the end.
    """

    def __init__(self, samples: Samples, size: int, count: int) -> None:
        self._samples, self._count, self._shape = samples, count, (size, CROP_SIZE, CROP_SIZE, 3)
        self._pool: ProcessPoolExecutor | None = None
        self._blocks: list[SharedMemory] = []
        self._free: queue.SimpleQueue[SharedMemory] = queue.SimpleQueue()
        self._begins = threading.Lock()

    def make(self, number: int) -> Batch:
        """Batch `number` of the stream; several threads may ask at a time.

        Raises TrainingError when there is too little shared memory, or one of the processes was killed.
        """
        with self._begins:
            pool = self._pool or self._begin()
        block = self._free.get()
        try:
            labels, teacher = pool.submit(_fill, number, self._shape, block.name).result()
            return np.ndarray(self._shape, np.uint8, block.buf).copy(), labels, teacher
        except BrokenProcessPool as error:
            raise TrainingError(
                "a process that makes batches has ended",
                hint="killed for want of memory? lower `workers` and run the same command again: it goes on from "
                "its checkpoint",
            ) from error
        finally:
            self._free.put(block)

    def _begin(self) -> ProcessPoolExecutor:
        size = int(np.prod(self._shape))
        _check_room(self._count * size)
        # Not forked: a copy of a process with the threads of a training library may wait for ever.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(self._count, context, _start_worker, (self._samples,))
        for _ in range(self._count):
            self._blocks.append(SharedMemory(create=True, size=size))
            self._free.put(self._blocks[-1])
        return self._pool

    def close(self) -> None:
        """End the processes and give the memory back."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        for block in self._blocks:
            block.unlink()
            with suppress(BufferError):  # a thread that was not waited for still copies from it
                block.close()


def _check_room(needed: int) -> None:
    """Raises TrainingError when shared memory is too small: writing beyond it kills a process without a message."""
    if SHARED.is_dir() and (free := shutil.disk_usage(SHARED).free) < needed:
        raise TrainingError(
            f"{SHARED}: {needed / 1e6:,.0f} MB needed for batches, {free / 1e6:,.0f} MB free",
            hint="lower `workers` or set `processes = false` in the recipe; or give the container more of it",
        )


_samples: Samples
_blocks: dict[str, SharedMemory] = {}


def _start_worker(samples: Samples) -> None:
    """What each process does first: it keeps `samples`, and ends with its parent."""
    global _samples
    _samples = samples
    cv2.setNumThreads(1)
    # Ctrl-C is the parent's business: here it would end a batch that somebody waits for.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when its parent was killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _fill(number: int, shape: tuple[int, ...], name: str) -> tuple[npt.NDArray[np.int32], Embeddings]:
    if name not in _blocks:
        _blocks[name] = SharedMemory(name)
    return _samples.fill(np.ndarray(shape, np.uint8, _blocks[name].buf), number)
