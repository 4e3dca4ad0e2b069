"""How the events of hours, PINs, cards and readers are written, by the journal's name of each; for audit/events.py."""

from __future__ import annotations

from collections.abc import Mapping

from facelatch.audit.spec import ASKER, VERDICT, Priority, Spec

# fmt: off
SPECS: Mapping[str, Spec] = {
    "schedule.denied": Spec("04c0d1c4b3c844b99cfecea22786a51c", Priority.NOTICE,
        "{PERSON} recognised, but not let in ({REASON}): {HINT}", VERDICT | {"COUNT", "PERSON_ID"}),
    "factor.awaited": Spec("72c4117e41ab425da0ee0dfb56f5ba04", Priority.INFO,
        "{PERSON} recognised; {RULE} is asked for", frozenset({"PERSON_ID"})),
    "factor.accepted": Spec("7641fd5244cc4f9ea56ae8d5893e4efd", Priority.NOTICE,
        "{PERSON} let in by {RULE}", frozenset({"PERSON_ID"})),
    "factor.refused": Spec("31308bb3c16b42138c0f45b17222b038", Priority.NOTICE,
        "Second factor refused ({REASON}): {HINT}", frozenset({"PERSON", "PERSON_ID"})),
    "duress": Spec("0d500b5ac25844c095a92ae2df34121b", Priority.ALERT,
        "{PERSON} entered the duress PIN", frozenset({"PERSON_ID"}), discreet=True),
    "reader.lost": Spec("69a3f0ef5b88459791dc7b5c9b962db0", Priority.WARNING,
        "The {DEVICE} cannot be read: {REASON}", frozenset({"HINT"})),
    "reader.back": Spec("6ce188bdf1344820ab448660d8a441a7", Priority.NOTICE,
        "The {DEVICE} can be read again"),
    "reader.unreadable": Spec("16397c1f96454e8785c0299dad56bc42", Priority.INFO,
        "{COUNT} things read at the door were thrown away: not whole"),
    "gallery.access_changed": Spec("2f65d080ede940e5857f40bc40f78053", Priority.NOTICE,
        "Hours of {PERSON} changed: {VALUE}", frozenset({"PERSON_ID"}) | ASKER),
    "gallery.credential_changed": Spec("8eca407379c943248a9cc560a214e9ce", Priority.NOTICE,
        "{KEY} of {PERSON} {REASON}", frozenset({"PERSON_ID"}) | ASKER),
    "access.expiring": Spec("6d938fb6426d46cc896af23b60b45095", Priority.NOTICE,
        "{PERSON} may come until {VALID_UNTIL}: {DAYS_LEFT} days left", frozenset({"PERSON_ID"})),
    "access.expired": Spec("b5b9506303984681945c2179ce9023b4", Priority.NOTICE,
        "{PERSON} was forgotten: the last day was {VALID_UNTIL}", frozenset({"PERSON_ID"})),
}
# fmt: on
