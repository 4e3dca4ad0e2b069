"""For the tests in this folder, which run in the root that run.sh makes and nowhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

if "FACELATCH_VIRTUAL_CABLE" in os.environ:
    sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scenarios")]
else:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def patience() -> float:
    """By how much a busy machine may be slower than an idle one."""
    return float(os.environ.get("FACELATCH_PATIENCE", "6"))


@pytest.fixture
def cable() -> Iterator[Callable[[bool], None]]:
    """`cable(False)` pulls the camera's cable, `cable(True)` plugs it in; after the test it is in."""
    out = Path(os.environ["FACELATCH_VIRTUAL_CABLE"])

    def plug(plugged_in: bool) -> None:
        if plugged_in:
            out.unlink(missing_ok=True)
        else:
            out.touch()

    yield plug
    plug(True)
