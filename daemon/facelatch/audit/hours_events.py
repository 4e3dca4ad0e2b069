"""How the events of hours, PINs, cards and readers are written, for audit/events.py: kind -> MESSAGE_ID, priority,
sentence, and the fields it may carry besides those of the sentence."""

from __future__ import annotations

from collections.abc import Mapping

_VERDICT = frozenset({"SIMILARITY_SHARE", "DETECTIONS", "REFERENCES", "MODEL", "FRAME_AGE_MS"})
_ASKER = frozenset({"UID", "PID", "ACTOR"})

DISCREET = frozenset({"duress"})
"""Shown to admins only."""

# fmt: off
ROWS: Mapping[str, tuple[str, str, str, frozenset[str]]] = {
    "schedule.denied": ("04c0d1c4b3c844b99cfecea22786a51c", "NOTICE",
        "{PERSON} recognised, but not let in ({REASON}): {HINT}", _VERDICT | {"COUNT", "PERSON_ID"}),
    "factor.awaited": ("72c4117e41ab425da0ee0dfb56f5ba04", "INFO",
        "{PERSON} recognised; {RULE} is asked for", frozenset({"PERSON_ID"})),
    "factor.accepted": ("7641fd5244cc4f9ea56ae8d5893e4efd", "NOTICE",
        "{PERSON} let in by {RULE}", frozenset({"PERSON_ID"})),
    "factor.refused": ("31308bb3c16b42138c0f45b17222b038", "NOTICE",
        "Second factor refused ({REASON}): {HINT}", frozenset({"PERSON", "PERSON_ID"})),
    "duress": ("0d500b5ac25844c095a92ae2df34121b", "ALERT",
        "{PERSON} entered the duress PIN", frozenset({"PERSON_ID"})),
    "reader.lost": ("69a3f0ef5b88459791dc7b5c9b962db0", "WARNING",
        "The {DEVICE} cannot be read: {REASON}", frozenset({"HINT"})),
    "reader.back": ("6ce188bdf1344820ab448660d8a441a7", "NOTICE",
        "The {DEVICE} can be read again", frozenset()),
    "reader.unreadable": ("16397c1f96454e8785c0299dad56bc42", "INFO",
        "{COUNT} things read at the door were thrown away: not whole", frozenset()),
    "gallery.access_changed": ("2f65d080ede940e5857f40bc40f78053", "NOTICE",
        "Hours of {PERSON} changed: {VALUE}", frozenset({"PERSON_ID"}) | _ASKER),
    "gallery.credential_changed": ("8eca407379c943248a9cc560a214e9ce", "NOTICE",
        "{KEY} of {PERSON} {REASON}", frozenset({"PERSON_ID"}) | _ASKER),
    "access.expiring": ("6d938fb6426d46cc896af23b60b45095", "NOTICE",
        "{PERSON} may come until {VALID_UNTIL}: {DAYS_LEFT} days left", frozenset({"PERSON_ID"})),
    "access.expired": ("b5b9506303984681945c2179ce9023b4", "NOTICE",
        "{PERSON} was forgotten: the last day was {VALID_UNTIL}", frozenset({"PERSON_ID"})),
}
# fmt: on
