"""Where the files are that come with the project."""

from __future__ import annotations

import sysconfig
from pathlib import Path


def model_file(named: str, shipped: str) -> Path:
    """The model at the path `named` in the configuration; where that is empty, `shipped` with the project."""
    return Path(named) if named else shipped_file("models", shipped)


def shipped_file(folder: str, name: str) -> Path:
    """A file that comes with the project (`models`, `config`): beside a checkout, or where the wheel put it."""
    checkout = Path(__file__).resolve().parents[3] / folder / name
    if checkout.is_file():
        return checkout
    return Path(sysconfig.get_path("data")) / "share" / "facelatch" / folder / name
