"""What an event may carry, whatever its kind: names as the journal knows them."""

from __future__ import annotations

from collections.abc import Mapping

FIELDS: Mapping[str, str] = {
    "PERSON": "name of the person the event is about; of a door ? or exit button where nobody was recognised",
    "PERSON_ID": "number of that person in the gallery; never reused",
    "NEAREST": "name of the enrolled person who came closest without matching",
    "ORIGIN": "where the images of an enrolment came from: button, command (by the camera) or images",
    "PURPOSE": "what a granted visit was for: door or enrolment",
    "REASON": "stable code of the cause",
    "HINT": "what a person can do about it",
    "SIMILARITY_SHARE": "share of the person's references that were detections, 0 to 1",
    "DETECTIONS": "how many references were detections",
    "REFERENCES": "how many references there are",
    "MODEL": "first 12 digits of the model file's sha256",
    "FRAME_AGE_MS": "age of the newest frame, milliseconds",
    "SECONDS": "a duration",
    "COUNT": "a number of frames, attempts, images or people",
    "KEY": "a key of the configuration",
    "VALUE": "its value, or a mode",
    "DETECTION_THRESHOLD": "the detection threshold in force",
    "VERIFICATION_THRESHOLD": "the verification threshold in force",
    "FILE": "path of a file",
    "ADMIN": "whether the face may authorise enrolments from then on: yes or no",
    "LIVENESS": "whether a living face was seen when somebody was enrolled: proven or unproven",
    "RIGHT": "the rights that were missing for it",
    "ACTION": "what was asked for over the control socket",
    "ACTOR": "on whose behalf that user claims to ask: an account of a console, a client of a bridge",
    "PID": "number of the process that asked",
    "UID": "number of the local user who asked",
    "MEASURED": "what was measured, in words with its unit",
    "RULE": "what it takes to come in: face, face+pin, face+card or card+pin",
    "DEVICE": "a reader at the door: wiegand, hid_keypad or hid_card_reader",
    "VALID_UNTIL": "a person's last day",
    "DAYS_LEFT": "how many days are left until then",
    "GALLERY": "which sealed gallery, by a random number",
    "GENERATION": "how many changes the sealed gallery has seen",
    "FILE_SYSTEM": "type of the file system a file lies on",
    "SEQ": "number of a row of the ledger",
    "HASH": "a sha256 in hex, of a row of the ledger or of a receipt",
    "DAYS": "a number of days",
    "SIGNER": "name of the door of the fleet that signed",
    "TEXT_VERSION": "which text a person has agreed to",
}
"""Every field an event may carry besides EVENT, MESSAGE, MESSAGE_ID and PRIORITY, with its meaning."""
