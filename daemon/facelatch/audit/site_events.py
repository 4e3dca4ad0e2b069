"""How the events of the site are written, by the journal's name of each; for audit/events.py."""

from __future__ import annotations

from collections.abc import Mapping

from facelatch.audit.spec import ASKER, Priority, Spec

# fmt: off
SPECS: Mapping[str, Spec] = {
    "door.opened": Spec("030204f9a5454e3fa2cb16155a36c02f", Priority.INFO,
        "Opened; let through: {PERSON}"),
    "door.closed": Spec("839f1682bf394d4fb5cf5fa865e901b4", Priority.INFO,
        "Shut after {SECONDS} s"),
    "door.not_taken": Spec("7d0f75c0e1e4441784e2f84a473d5303", Priority.NOTICE,
        "Unlocked for {PERSON}, but not opened"),
    "door.forced": Spec("9dd79d9ed25241899bd1ef9f9b12d8d1", Priority.WARNING,
        "Opened although it was locked"),
    "door.held_warning": Spec("cb22ea419c5f4d1cb14f9fabf48b9f76", Priority.NOTICE,
        "Open for {SECONDS} s: it will be an alarm"),
    "door.held_open": Spec("38a8de9944584cb69e0371d3c531b633", Priority.WARNING,
        "Held open for {SECONDS} s"),
    "door.secured": Spec("39129738b1144e919b636d63347373ba", Priority.NOTICE,
        "Shut again, {SECONDS} s after it was opened"),
    "door.propped": Spec("249ae11307a441f08341fffd9ce0d68c", Priority.NOTICE,
        "May stand open for {SECONDS} s, by request"),
    "door.found_open": Spec("53223fd06bf045ac87faf59db6a09e4a", Priority.WARNING,
        "Found open"),
    "exit.requested": Spec("f6e9519eed354f648795341ecb5cb4f3", Priority.INFO,
        "The exit button was pressed ({REASON})"),
    "tamper.opened": Spec("1352e565c2904239b9a00abb456a0bb7", Priority.WARNING,
        "The case was opened"),
    "tamper.closed": Spec("d51fb5a70b6946df86f1aa87bafce0bf", Priority.NOTICE,
        "The case is closed"),
    "fire.released": Spec("3a8479dad30a494bb7c6928478e72b8f", Priority.WARNING,
        "The fire panel releases the doors; alarms are silent"),
    "fire.ended": Spec("df38e17bdc334e1286a6c81317c4a4bc", Priority.NOTICE,
        "The fire panel releases the doors no longer"),
    "mode.changed": Spec("aa65dda85516473a9693b23140d485db", Priority.NOTICE,
        "The mode is now {VALUE} ({REASON})"),
    "mode.not_saved": Spec("a420b3e9c3e5488f96c395fa48a101f7", Priority.ERROR,
        "The mode cannot be written down and would be forgotten: {HINT}"),
    "input.unstable": Spec("15bd76218c364b9b8bd38704d8ec442a", Priority.WARNING,
        "{KEY} chatters: ignored until it is quiet"),
    "siren.on": Spec("7c93b864449b41669d57e07126cb7957", Priority.WARNING,
        "Alarm ({REASON})"),
    "siren.off": Spec("9c93d2c1870044ed9b17c271fe0dec30", Priority.NOTICE,
        "The alarm is silent ({REASON})"),
    "camera.recovered": Spec("e755dc7c932a43dd935f05df6f3b72b8", Priority.NOTICE,
        "The camera delivers again after {SECONDS} s and {COUNT} tries"),
    "preview.started": Spec("b60a20af1c6849feb8c0503c16b4907b", Priority.NOTICE,
        "The camera's picture may be seen for {SECONDS} s ({REASON})"),
    "preview.watched": Spec("d48f06799ea543b788ff228a557021b8", Priority.NOTICE,
        "User {UID} looks at the camera's picture", ASKER),
    "preview.ended": Spec("a02cbc55eee84bbda2fcac390b6894ed", Priority.NOTICE,
        "The camera's picture may be seen no longer, after {SECONDS} s ({REASON})"),
}
# fmt: on
