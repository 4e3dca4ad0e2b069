"""Which TFLite runtime is there: shared by the two networks, and the only import of one."""

from __future__ import annotations

import importlib
from typing import Any

from facelatch.errors import ModelError

RUNTIMES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
)
"""Module and package, best first: LiteRT is the faster and has wheels for every Python here."""


def load_runtime(wanted: str | None = None) -> tuple[Any, str]:
    """The interpreter module and its package; `wanted` names one package. Raises ModelError when there is none."""
    for module, package in RUNTIMES:
        if wanted in (None, package):
            try:
                return importlib.import_module(module), package
            except ImportError:
                continue
    raise ModelError(
        f"no TFLite runtime is installed ({wanted or 'ai-edge-litert or tflite-runtime'})",
        hint="pip install ai-edge-litert; tflite-runtime under Python 3.11 with numpy below 2",
    )
