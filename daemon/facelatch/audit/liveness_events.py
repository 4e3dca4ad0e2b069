"""How the events of requests to turn the head are written, by the journal's name of each; for audit/events.py."""

from __future__ import annotations

from collections.abc import Mapping

from facelatch.audit.spec import Priority, Spec

# fmt: off
SPECS: Mapping[str, Spec] = {
    "liveness.asked": Spec("002bbb5a5a1b436da444bf3464fe5812", Priority.INFO,
        "{PERSON} recognised; asked to turn the head {COUNT} times", frozenset({"PERSON_ID"})),
    "liveness.answered": Spec("c2fad8dbf9924da785f2c43b5aefa022", Priority.INFO,
        "{PERSON} turned the head as asked, in {SECONDS} s", frozenset({"PERSON_ID"})),
    "liveness.failed": Spec("83d1d05453f34dc2bc9a34eaf4d9c53e", Priority.NOTICE,
        "{PERSON} was asked to turn the head, in vain ({REASON}, after {COUNT} right turns)",
        frozenset({"HINT", "PERSON_ID", "SECONDS"})),
}
# fmt: on
