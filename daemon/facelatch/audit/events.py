"""What the door writes down: events of fixed kinds, each with its fields, priority and MESSAGE_ID.

Field names are those of the journal. None of them ever holds an image, an embedding or a similarity:
SIMILARITY_SHARE is the share of somebody's references that were detections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from facelatch.audit import fleet_events, hours_events, liveness_events, site_events
from facelatch.audit.spec import ASKER, VERDICT, Priority, Spec

Value = str | int | float


class EventKind(StrEnum):
    """All events there are; the value is the journal's EVENT field."""

    DAEMON_READY = "daemon.ready"
    DAEMON_STOPPING = "daemon.stopping"
    CONFIG_LOADED = "config.loaded"
    MODEL_LOADED = "model.loaded"
    THRESHOLDS_OVERRIDDEN = "thresholds.overridden"
    FAULT = "fault"
    VISIT_GRANTED = "visit.granted"
    VISIT_REFUSED = "visit.refused"
    VISIT_ABANDONED = "visit.abandoned"
    VISIT_TURNED_AWAY = "visit.turned_away"
    VISIT_STAYS = "visit.stays"
    LOCKOUT_STARTED = "visit.lockout_started"
    LOCKOUT_ENDED = "visit.lockout_ended"
    LOCKOUT_CLEARED = "visit.lockout_cleared"
    STILL_FACE = "camera.still_face"
    CAMERA_CHANGED = "camera.changed"
    DOOR_UNLOCKED = "door.unlocked"
    DOOR_LOCKED = "door.locked"
    DOOR_CEILING = "door.ceiling"
    DOOR_LAPSED = "door.lapsed"
    ENROLMENT_AUTHORISING = "enrolment.authorising"
    ENROLMENT_AUTHORISED = "enrolment.authorised"
    ENROLMENT_ARMED = "enrolment.armed"
    ENROLMENT_PROGRESS = "enrolment.progress"
    ENROLMENT_LOOKALIKE = "enrolment.lookalike_warning"
    ENROLMENT_LEFT_OUT = "enrolment.left_out"
    ENROLMENT_SAVED = "enrolment.saved"
    REFERENCES_CHANGED = "enrolment.references_changed"
    ENROLMENT_SAVE_FAILED = "enrolment.save_failed"
    ENROLMENT_ABORTED = "enrolment.aborted"
    BUTTON_STUCK = "button.stuck"
    PERSON_RENAMED = "gallery.person_renamed"
    PERSON_REMOVED = "gallery.person_removed"
    GALLERY_WIPED = "gallery.wiped"
    GALLERY_NOT_WIPED = "gallery.not_wiped"
    GALLERY_VOLATILE = "gallery.volatile"
    GALLERY_GENERATION = "gallery.generation"
    GALLERY_ACCEPTED = "gallery.accepted"
    ADMIN_CHANGED = "gallery.admin_changed"
    PERSON_ADDED = "gallery.person_added"
    GALLERY_IMPORTED = "gallery.imported"
    GALLERY_EXPORTED = "gallery.exported"
    GALLERY_REEMBEDDED = "gallery.reembedded"
    CONTROL_REQUEST = "control.request"
    CONTROL_REFUSED = "control.refused"
    CONTROL_NOT_SHARED = "control.not_shared"
    HEALTH_DEGRADED = "health.degraded"
    HEALTH_RESTORED = "health.restored"
    LEDGER_STARTED = "ledger.started"
    LEDGER_KEY_NOT_NOTED = "ledger.key_not_noted"
    LEDGER_FAILED = "ledger.failed"
    LEDGER_RESTORED = "ledger.restored"
    LEDGER_PRUNED = "ledger.pruned"
    LEDGER_ANCHOR = "ledger.anchor"
    PERSON_UNUSED = "gallery.person_unused"
    PERSON_RECEIPT = "gallery.person_receipt"
    CONSENT_RECORDED = "enrolment.consent_recorded"
    SCHEDULE_DENIED = "schedule.denied"
    FACTOR_AWAITED = "factor.awaited"
    FACTOR_ACCEPTED = "factor.accepted"
    FACTOR_REFUSED = "factor.refused"
    DURESS = "duress"
    READER_LOST = "reader.lost"
    READER_BACK = "reader.back"
    READER_UNREADABLE = "reader.unreadable"
    ACCESS_CHANGED = "gallery.access_changed"
    CREDENTIAL_CHANGED = "gallery.credential_changed"
    ACCESS_EXPIRING = "access.expiring"
    ACCESS_EXPIRED = "access.expired"
    FLEET_PERSON_TAKEN = "fleet.person_taken"
    FLEET_PERSON_REVOKED = "fleet.person_revoked"
    FLEET_PERSON_HELD = "fleet.person_held"
    FLEET_PERSON_RELEASED = "fleet.person_released"
    FLEET_PERSON_SHARED = "fleet.person_shared"
    FLEET_PERSON_SENT = "fleet.person_sent"
    FLEET_REFUSED = "fleet.refused"
    LIVENESS_ASKED = "liveness.asked"
    LIVENESS_ANSWERED = "liveness.answered"
    LIVENESS_FAILED = "liveness.failed"
    DOOR_OPENED = "door.opened"
    DOOR_CLOSED = "door.closed"
    DOOR_NOT_TAKEN = "door.not_taken"
    DOOR_FORCED = "door.forced"
    DOOR_HELD_WARNING = "door.held_warning"
    DOOR_HELD_OPEN = "door.held_open"
    DOOR_SECURED = "door.secured"
    DOOR_PROPPED = "door.propped"
    DOOR_FOUND_OPEN = "door.found_open"
    EXIT_REQUESTED = "exit.requested"
    TAMPER_OPENED = "tamper.opened"
    TAMPER_CLOSED = "tamper.closed"
    FIRE_RELEASED = "fire.released"
    FIRE_ENDED = "fire.ended"
    MODE_CHANGED = "mode.changed"
    MODE_NOT_SAVED = "mode.not_saved"
    INPUT_UNSTABLE = "input.unstable"
    SIREN_ON = "siren.on"
    SIREN_OFF = "siren.off"
    CAMERA_RECOVERED = "camera.recovered"
    PREVIEW_STARTED = "preview.started"
    PREVIEW_WATCHED = "preview.watched"
    PREVIEW_ENDED = "preview.ended"

    @property
    def spec(self) -> Spec:
        """How this kind of event is written."""
        return SPECS[self]


# fmt: off
SPECS: Mapping[EventKind, Spec] = {
    EventKind.DAEMON_READY: Spec("f70c4632c70d4b0b9cc2b3e7682f00b9", Priority.NOTICE,
        "Ready", frozenset({"COUNT", "MODEL", "SECONDS"})),
    EventKind.DAEMON_STOPPING: Spec("c1b4bc9cd5874978a7959247ff707fdd", Priority.NOTICE,
        "Stopping ({REASON}); the door is locked"),
    EventKind.CONFIG_LOADED: Spec("535e05ea55d94b2e804432af4f012e35", Priority.INFO,
        "Configuration read from {FILE}"),
    EventKind.MODEL_LOADED: Spec("c00b048a4dc64e0ca65d844a562a5a03", Priority.INFO,
        "Model {MODEL} loaded", frozenset({"DETECTION_THRESHOLD", "FILE", "VERIFICATION_THRESHOLD"})),
    EventKind.THRESHOLDS_OVERRIDDEN: Spec("e282d7b2fa9d4f199bd3d87a278fff81", Priority.WARNING,
        "The configuration overrides a threshold: {KEY} = {VALUE}", frozenset({"MODEL"})),
    EventKind.FAULT: Spec("a200ae0f591c4286bb27ee52577b9252", Priority.ERROR,
        "Fault: {REASON}; the door is locked", frozenset({"FRAME_AGE_MS", "HINT"})),
    EventKind.VISIT_GRANTED: Spec("ff48f4a5f6f94cb4b395e64609c9d8ee", Priority.NOTICE,
        "{PERSON} recognised, for the {PURPOSE}", VERDICT | {"COUNT", "PERSON_ID"}),
    EventKind.VISIT_REFUSED: Spec("bb1e0de99ae0489c93c70f6977ce5961", Priority.NOTICE,
        "Visitor refused ({REASON}): {HINT}", VERDICT | {"COUNT", "NEAREST"}),
    EventKind.VISIT_ABANDONED: Spec("c5458f5e75874d5aaffad56085cd1cf2", Priority.INFO,
        "Visitor left undecided ({REASON}): {HINT}", VERDICT | {"COUNT", "NEAREST"}),
    EventKind.VISIT_TURNED_AWAY: Spec("e9dbb861f2814b379aecd3a7a3857ce1", Priority.NOTICE,
        "Visitor not judged ({REASON}): {HINT}", frozenset({"COUNT", "FRAME_AGE_MS", "MODEL"})),
    EventKind.VISIT_STAYS: Spec("15278aec3b7f4887a66d149dbf0898af", Priority.INFO,
        "{PERSON} stays in view: no further grant before {SECONDS} s out of view", frozenset({"PERSON_ID"})),
    EventKind.LOCKOUT_STARTED: Spec("4209c65e62024ec5a35df45a74297359", Priority.WARNING,
        "No attempts for {SECONDS} s after {COUNT} refusals in a row"),
    EventKind.LOCKOUT_ENDED: Spec("167209855b5147f1a5e6d3f90f021db5", Priority.NOTICE,
        "Attempts allowed again; {COUNT} refusals are not forgotten yet"),
    EventKind.LOCKOUT_CLEARED: Spec("7d5c79dadf21459c91a9bc1209ba0b8e", Priority.NOTICE,
        "{COUNT} refusals forgotten by request; attempts are allowed"),
    EventKind.STILL_FACE: Spec("0df48b07f5e649a89d113483f351de75", Priority.WARNING,
        "A face that does not move is taken for a picture: {HINT}"),
    EventKind.CAMERA_CHANGED: Spec("a2b3dbba82ab4b1b975e4920e1b31948", Priority.WARNING,
        "The camera is another one than before: nobody is let in for {SECONDS} s: {HINT}"),
    EventKind.DOOR_UNLOCKED: Spec("7317f216ac524680a5aa82e9c8f4d467", Priority.NOTICE,
        "Unlocked for {PERSON} for {SECONDS} s", frozenset({"PERSON_ID"})),
    EventKind.DOOR_LOCKED: Spec("a81674a739e74250b2402f3a8f4abe52", Priority.INFO,
        "Locked ({REASON})", frozenset({"SECONDS"})),
    EventKind.DOOR_CEILING: Spec("f896313ff163467996ead712e90a2ac3", Priority.WARNING,
        "The lock's keeper relocked after {SECONDS} s: the loop was late"),
    EventKind.DOOR_LAPSED: Spec("7c6c783c483e445babddffb3f7358362", Priority.WARNING,
        "The lock's keeper relocked before its time: a turn of the loop took too long"),
    EventKind.ENROLMENT_AUTHORISING: Spec("2fbe8627f7db422d867a1ff0bdf8a3b5", Priority.NOTICE,
        "Enrolment asked for by {REASON}; waiting for an admin's face", frozenset({"SECONDS"})),
    EventKind.ENROLMENT_AUTHORISED: Spec("a55ac9043b84405985508b3ff005dd28", Priority.NOTICE,
        "Enrolment authorised by {PERSON}", frozenset({"PERSON_ID"})),
    EventKind.ENROLMENT_ARMED: Spec("eed850d7e5c6452a91c3dad06f724578", Priority.NOTICE,
        "Enrolment begun by {REASON}; waiting for a face", frozenset({"PERSON", "SECONDS"})),
    EventKind.ENROLMENT_PROGRESS: Spec("264b20629c304a73820d24e3c2855acb", Priority.INFO,
        "Enrolment: {COUNT} of {REFERENCES} images kept"),
    EventKind.ENROLMENT_LOOKALIKE: Spec("e5abadd5e91a43de94545ede47da37ad", Priority.WARNING,
        "The face being enrolled is alike to {NEAREST}",
        frozenset({"DETECTIONS", "REFERENCES", "SIMILARITY_SHARE"})),
    EventKind.ENROLMENT_LEFT_OUT: Spec("f8f4285b7abd43dfb5eefbeeb91deeef", Priority.WARNING,
        "{COUNT} images of {PERSON} left out: {HINT}", frozenset({"REASON"})),
    EventKind.ENROLMENT_SAVED: Spec("a01110d23eba4da1ab74eb6f5143a1dc", Priority.NOTICE,
        "{PERSON} enrolled with {COUNT} images",
        frozenset({"ADMIN", "LIVENESS", "MODEL", "ORIGIN", "PERSON_ID"}) | ASKER),
    EventKind.REFERENCES_CHANGED: Spec("e01abffb22534fa4ab74356bafe0d754", Priority.NOTICE,
        "New images of {PERSON} {REASON}: {COUNT} images now",
        frozenset({"ADMIN", "LIVENESS", "MODEL", "ORIGIN", "PERSON_ID"}) | ASKER),
    EventKind.ENROLMENT_SAVE_FAILED: Spec("512b93f513264c029d7e021583455bec", Priority.ERROR,
        "Enrolment not saved: {REASON}", frozenset({"HINT"})),
    EventKind.ENROLMENT_ABORTED: Spec("201e7dd73e47408f969124b369dbbf87", Priority.NOTICE,
        "Enrolment aborted, nothing written ({REASON}): {HINT}", frozenset({"COUNT", "NEAREST"})),
    EventKind.BUTTON_STUCK: Spec("1a31fc2b186e4e20947373dc20ddd4be", Priority.WARNING,
        "The button has been down for {SECONDS} s: ignored until released"),
    EventKind.PERSON_RENAMED: Spec("756afaae8640478883f6c8a56fcd57b3", Priority.NOTICE,
        "Person {PERSON_ID} is now called {PERSON}", ASKER),
    EventKind.PERSON_REMOVED: Spec("2419b2de12ce400b821c47a2335fe9a3", Priority.NOTICE,
        "{PERSON} removed", frozenset({"PERSON_ID"}) | ASKER),
    EventKind.GALLERY_WIPED: Spec("f4479e3f060a46c79c0bd3d37e515bcc", Priority.NOTICE,
        "The traces of people removed are overwritten"),
    EventKind.GALLERY_NOT_WIPED: Spec("0de2a27f84a24d7f8f852ab4c1eb1ae9", Priority.WARNING,
        "Traces of people removed may still be there: {REASON}", frozenset({"HINT"})),
    EventKind.GALLERY_VOLATILE: Spec("fdd5603f63b84bdfb8dc7f12c6306591", Priority.WARNING,
        "The gallery lies on {FILE_SYSTEM}, which may forget at the next start who was enrolled or removed: {HINT}"),
    EventKind.GALLERY_GENERATION: Spec("b5479dd485544352a06f0a012e81a3ef", Priority.INFO,
        "The sealed gallery is at generation {GENERATION}", frozenset({"GALLERY"})),
    EventKind.GALLERY_ACCEPTED: Spec("76b9d916ea8f4acbab7538e5376b08ea", Priority.WARNING,
        "A gallery older than the one before is accepted, of generation {GENERATION}", ASKER | {"GALLERY"}),
    EventKind.ADMIN_CHANGED: Spec("6f7c371348be41589e3ea93d164db90f", Priority.NOTICE,
        "{PERSON}: admin {REASON}", frozenset({"ADMIN", "PERSON_ID"}) | ASKER),
    EventKind.PERSON_ADDED: Spec("f4da69db3ac2419699188bd9cdff4d7c", Priority.NOTICE,
        "{PERSON} added from an export", frozenset({"ADMIN", "LIVENESS", "PERSON_ID"}) | ASKER),
    EventKind.GALLERY_IMPORTED: Spec("7bcdae4fa23344b99d42d395cdb14205", Priority.NOTICE,
        "{COUNT} people imported", ASKER),
    EventKind.GALLERY_EXPORTED: Spec("fb33232a02bb450daeda9cad08352d6c", Priority.NOTICE,
        "{COUNT} people handed over for an export", ASKER),
    EventKind.GALLERY_REEMBEDDED: Spec("f8c6aa1123994a409af2415d322a6735", Priority.NOTICE,
        "{COUNT} images embedded anew for model {MODEL}", frozenset({"SECONDS"})),
    EventKind.CONTROL_REQUEST: Spec("7f43092d09844088a7503623993aa920", Priority.INFO,
        "User {UID} asked for {ACTION}", frozenset({"ACTOR", "ADMIN", "COUNT", "PERSON", "PID", "VALUE"})),
    EventKind.CONTROL_REFUSED: Spec("d64b02ca411541c9a5eb8a59316cd309", Priority.WARNING,
        "User {UID} may not ask for {ACTION}: {RIGHT} is missing", frozenset({"COUNT", "PID"})),
    EventKind.CONTROL_NOT_SHARED: Spec("643c9e92a1af419ea67ec2e4e7ec6217", Priority.WARNING,
        "Only root and the daemon's own user may connect, not the group {VALUE}: {REASON}"),
    EventKind.HEALTH_DEGRADED: Spec("bad7bfd1dc974f499995c7dce492a6d2", Priority.WARNING,
        "The machine is not well ({REASON}): {MEASURED}; {HINT}"),
    EventKind.HEALTH_RESTORED: Spec("982e7503b6634a538352d992f3a87b8a", Priority.NOTICE,
        "The machine is well again ({REASON}) after {SECONDS} s: {MEASURED}"),
    EventKind.LEDGER_STARTED: Spec("10e04e6db411498f94d62a2014242c5b", Priority.NOTICE,
        "The ledger has a new start key ({REASON})"),
    EventKind.LEDGER_KEY_NOT_NOTED: Spec("7c644c1a958a4126bafd34f9a6570ed7", Priority.WARNING,
        "Nobody has noted the ledger's start key yet: {HINT}"),
    EventKind.LEDGER_FAILED: Spec("473cc494dd6c4a228708a0410596ef9d", Priority.WARNING,
        "The ledger cannot be written ({REASON}); the door serves on: {HINT}"),
    EventKind.LEDGER_RESTORED: Spec("85754b261cbd4e278577774d11dc2175", Priority.NOTICE,
        "The ledger is written again; {COUNT} events are missing from it"),
    EventKind.LEDGER_PRUNED: Spec("12f4c051c9ab4bd0bbf308b992355ed6", Priority.NOTICE,
        "{COUNT} events older than {DAYS} days removed from the ledger, up to row {SEQ}", frozenset({"HASH"})),
    EventKind.LEDGER_ANCHOR: Spec("3e7a8d7551ca4efe9a46b6b34b392506", Priority.INFO,
        "Row {SEQ} of the ledger has hash {HASH}"),
    EventKind.PERSON_UNUSED: Spec("24b82b7c9b9449a498e6373d6350d63e", Priority.WARNING,
        "{PERSON} has not come for {DAYS} days and will be forgotten: {HINT}", frozenset({"PERSON_ID"})),
    EventKind.PERSON_RECEIPT: Spec("50ea524de6644934b590c44fb600bd64", Priority.NOTICE,
        "Receipt for the removal of person {PERSON_ID}: {HASH}", ASKER),
    EventKind.CONSENT_RECORDED: Spec("618f97cb880a4e868f52de39d721e6a4", Priority.NOTICE,
        "{PERSON} agreed to text {TEXT_VERSION} ({REASON})", frozenset({"PERSON_ID"}) | ASKER),
} | {EventKind(kind): spec for part in (hours_events, fleet_events, liveness_events, site_events)
     for kind, spec in part.SPECS.items()}
# fmt: on
"""The vocabulary."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. Raises ValueError for a field its kind does not have, or lacks."""

    kind: EventKind
    fields: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec, given = self.kind.spec, set(self.fields)
        if unknown := given - spec.required - spec.optional:
            raise ValueError(f"{self.kind} has no field {', '.join(sorted(unknown))}")
        if missing := spec.required - given:
            raise ValueError(f"{self.kind} needs {', '.join(sorted(missing))}")

    @property
    def message(self) -> str:
        """The event as one sentence."""
        return self.kind.spec.template.format_map(self.fields)


def fault(code: str, hint: str = "", **fields: Value) -> Event:
    """The one event of everything that breaks: a stable code, and what a person can do about it."""
    return Event(EventKind.FAULT, {"REASON": code, **({"HINT": hint} if hint else {}), **fields})


def table() -> list[tuple[str, str, str, str]]:
    """The vocabulary as rows for a reader: event, priority, sentence, all fields."""
    return [
        (
            kind.value,
            spec.priority.name.lower(),
            spec.template,
            " ".join(sorted(spec.required | spec.optional)),
        )
        for kind, spec in SPECS.items()
    ]
