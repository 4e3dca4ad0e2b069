"""The console's words, one file for each language."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

FALLBACK = "en"

Say = Callable[..., str]
"""say("people.kept", kept=3, wanted=8): what stands under that key in the reader's language."""


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """All languages by code, each with its texts by `section.key`."""
    languages = {}
    for file in sorted(Path(__file__).parent.glob("texts/*.toml")):
        document: dict[str, dict[str, str]] = tomllib.loads(file.read_text(encoding="utf-8"))
        languages[file.stem] = {
            f"{section}.{key}": text for section, texts in document.items() for key, text in texts.items()
        }
    return languages


def chosen(accepted: str) -> str:
    """The code of the language that a browser's Accept-Language wants most, of those there are."""
    wanted = []
    for number, part in enumerate(accepted.split(",")):
        code, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), number, code.split("-")[0].lower()))
        except ValueError:
            continue
    return next((code for _, _, code in sorted(wanted) if code in catalogue()), FALLBACK)


def speaker(language: str) -> Say:
    """Says things in `language`; what is missing there, in English. An unknown key is a KeyError."""
    texts = {**catalogue()[FALLBACK], **catalogue()[language]}

    def say(key: str, **values: Any) -> str:
        return texts[key].format(**values)

    return say
