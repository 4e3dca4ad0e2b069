"""What may be a person's name, when two names are the same, and when people would take one for the other."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

from facelatch.errors import InputError

MAX_LENGTH = 64
"""Characters after normalisation."""

_MAX_RAW_LENGTH = 16 * MAX_LENGTH
"""Characters before it, which takes time by their square: a million would keep the whole program busy for hours."""

_UNSEEN = frozenset(
    chr(code)
    for first, last in (
        *((0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800)),
        *((0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF)),
    )
    for code in range(first, last + 1)
)
"""What Python calls printable although nothing is printed: Unicode's Default_Ignorable_Code_Point (joiners, Hangul
fillers, variation selectors), and the Braille pattern without a dot. Emoji need variation selectors, so a name may
hold them; it may not consist of them."""

_MARK = "\u200e"
"""Left-to-right mark: in the Unicode table of confusables it stands about letters written from right to left."""

_HINT = (
    f"use 1 to {MAX_LENGTH} letters, digits, spaces or signs, no slash, and begin with neither '.' nor '-'"
)


def clean_name(text: str) -> str:
    """`text` as it is stored: Unicode NFC, without spaces around it. Raises InputError when it is no name.

    Anything printable is a name, emoji included. Refused: nothing, more than 64 characters, slashes and
    leading dots or dashes (names end up in file names and on command lines), and characters that cannot
    be seen, such as line breaks and changes of the writing direction (they could forge a log line); and a
    name of which nothing is seen, or nothing but accents.
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
    if all(letter in _UNSEEN or unicodedata.category(letter)[0] in "MZ" for letter in name):
        raise InputError(f"name {name!a}: nothing of it can be seen", hint=_HINT)
    if "/" in name or "\\" in name:
        raise InputError(f"name {name!r}: holds a slash", hint=_HINT)
    if name[0] in ".-":
        raise InputError(f"name {name!r}: begins with {name[0]!r}", hint=_HINT)
    return name


def name_key(name: str) -> str:
    """Equal for names that people would take for the same: upper and lower case, wide and narrow letters."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def skeletons(name: str) -> frozenset[str]:
    """What is left of a name once everything is gone that the eye does not tell apart.

    Two names of which one skeleton is the same look alike, in some spelling in upper and lower case at least: Latin a
    and Cyrillic а, `Al` and `AI`, `Anna` and the same with a variation selector behind. Skeletons are those of
    Unicode's UTS 39, with the table of confusables of the package confusable-homoglyphs.
    """
    return frozenset((_skeleton(name_key(name)), name_key(_skeleton(name))))


def alike(names: Iterable[str]) -> list[tuple[str, str]]:
    """The pairs among `names` of which people would take one for the other."""
    found: set[tuple[str, str]] = set()
    first: dict[str, str] = {}
    for name in names:
        for skeleton in skeletons(name):
            other = first.setdefault(skeleton, name)
            if other != name:
                found.add((other, name))
    return sorted(found)


def _skeleton(text: str) -> str:
    prototypes = _prototypes()
    seen = (letter for letter in unicodedata.normalize("NFD", text) if letter not in _UNSEEN)
    mapped = "".join(prototypes.get(letter, letter) for letter in seen)
    return unicodedata.normalize("NFD", mapped)


@cache
def _prototypes() -> Mapping[str, str]:
    """For each confusable character the characters that stand for all that look like it.

    Read at the first name that is compared, as it takes some hundredths of a second. The package's own functions
    answer whether a text holds confusables, not what its skeleton is. Its table tells of each character or sequence
    what it is confusable with, in both directions: one that several are confusable with is a prototype.
    """
    table = json.loads(files("confusable_homoglyphs").joinpath("confusables.json").read_text("utf-8"))
    alike = {one: [other["c"] for other in others] for one, others in table.items()}
    found: dict[str, str] = {}
    for marked, others in alike.items():
        letter = marked.strip(_MARK)
        if len(letter) != 1 or len(others) != 1:
            continue
        (only,) = others
        prototype = only.strip(_MARK)
        # Of two characters that are alike to each other only, the first in Unicode's order stands for both.
        if len(prototype) > 1 or len(alike.get(only, ())) > 1 or prototype < letter:
            found[letter] = prototype
    return {
        letter: "".join(found.get(one, one) for one in unicodedata.normalize("NFD", prototype))
        for letter, prototype in found.items()
    }
