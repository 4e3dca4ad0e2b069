"""How the events of a fleet's people are written, by the journal's name of each; for audit/events.py."""

from __future__ import annotations

from collections.abc import Mapping

from facelatch.audit.spec import ASKER, Priority, Spec

# fmt: off
SPECS: Mapping[str, Spec] = {
    "fleet.person_taken": Spec("bb7fad5fd28246d2b834be0dc70c951d", Priority.NOTICE,
        "{PERSON} came from another door, {REASON}: signed by {SIGNER}", frozenset({"PERSON_ID"})),
    "fleet.person_revoked": Spec("37d469530cf04f4baf4d280eea6b07a0", Priority.NOTICE,
        "{PERSON} is revoked for all doors: signed by {SIGNER}", frozenset({"PERSON_ID"})),
    "fleet.person_held": Spec("4b80ffa3f0394d679e48994d8a495dc7", Priority.WARNING,
        "{PERSON} is held and cannot come in ({REASON}): {HINT}", frozenset({"PERSON_ID"})),
    "fleet.person_released": Spec("4cecfd2f38904aa5b4b2e78cf40c8a6e", Priority.NOTICE,
        "{PERSON} is held no more", frozenset({"PERSON_ID"})),
    "fleet.person_shared": Spec("bd449653c4644d4c89ab0abd5033ec0b", Priority.NOTICE,
        "{PERSON} is known to {REASON}", frozenset({"PERSON_ID"}) | ASKER),
    "fleet.person_sent": Spec("8806a125b43040d9bfd451995e6653f4", Priority.INFO,
        "Version {SEQ} of a person was sealed for the other doors ({REASON})", frozenset({"PERSON_ID"})),
    "fleet.refused": Spec("ad0a0284715b4ee7af7501bdc17aa0a5", Priority.WARNING,
        "Messages of the fleet refused ({REASON})", frozenset({"COUNT"})),
}
# fmt: on
