"""Which processor this is, and whether it has the instructions that int8 networks gain most by."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

_DOT_PRODUCTS = ("asimddp", "i8mm", "avx_vnni", "avx512_vnni")
"""As /proc/cpuinfo names them: ARM's dot and matrix products (a Pi 5 has the first, a Pi 4 none), Intel's and AMD's."""


@dataclass(frozen=True, slots=True)
class Processor:
    """Its name, and its instructions that multiply and add 8-bit numbers."""

    name: str
    dot_products: tuple[str, ...]


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """By what the kernel says; the architecture's name where it says no other."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    said: dict[str, str] = {}
    for key, colon, value in (line.partition(":") for line in lines):
        if colon:
            said.setdefault(key.strip().lower(), value.strip())
    name = said.get("model name") or said.get("model") or platform.machine()
    flags = (said.get("flags") or said.get("features") or "").split()
    return Processor(name, tuple(flag for flag in _DOT_PRODUCTS if flag in flags))
