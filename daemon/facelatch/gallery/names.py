"""What may be a person's name, and when two names are the same."""

from __future__ import annotations

import unicodedata

from facelatch.errors import InputError

MAX_LENGTH = 64
"""Characters after normalisation."""

_MAX_RAW_LENGTH = 16 * MAX_LENGTH
"""Characters before it, which takes time by their square: a million would keep the whole program busy for hours."""

_HINT = (
    f"use 1 to {MAX_LENGTH} letters, digits, spaces or signs, no slash, and begin with neither '.' nor '-'"
)


def clean_name(text: str) -> str:
    """`text` as it is stored: Unicode NFC, without spaces around it. Raises InputError when it is no name.

    Anything printable is a name, emoji included. Refused: nothing, more than 64 characters, slashes and
    leading dots or dashes (names end up in file names and on command lines), and characters that cannot
    be seen, such as line breaks and changes of the writing direction (they could forge a log line).
    """
    if len(text) > _MAX_RAW_LENGTH:
        raise InputError(f"a name of {len(text)} characters: at most {MAX_LENGTH} are allowed", hint=_HINT)
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise InputError("a name must not be empty", hint=_HINT)
    if len(name) > MAX_LENGTH:
        raise InputError(
            f"name {name[:20]!a}...: {len(name)} characters, at most {MAX_LENGTH} are allowed",
            hint=_HINT,
        )
    if not name.isprintable():
        unseen = next(character for character in name if not character.isprintable())
        raise InputError(f"name {name!a}: holds the invisible character {unseen!a}", hint=_HINT)
    if "/" in name or "\\" in name:
        raise InputError(f"name {name!r}: holds a slash", hint=_HINT)
    if name[0] in ".-":
        raise InputError(f"name {name!r}: begins with {name[0]!r}", hint=_HINT)
    return name


def name_key(name: str) -> str:
    """Equal for names that people would take for the same: upper and lower case, wide and narrow letters."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
