"""What is published, as pure functions: topics, the discovery of Home Assistant, the state, and events of visits.

The lock is a binary sensor and no lock: Home Assistant's lock asks for a topic of commands, and there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from facelatch.fleet.settings import Settings

VISITS = {
    "visit.granted": "granted",
    "visit.refused": "refused",
    "factor.accepted": "granted",
    "factor.refused": "refused",
    "schedule.denied": "refused",
    "visit.lockout_started": "lockout",
    "door.forced": "forced",
    "door.held_open": "held_open",
    "exit.requested": "exit",
}
"""Events of the door, and what they are called among the entities."""


def topic(settings: Settings, *parts: str) -> str:
    """Of this door."""
    return "/".join(("facelatch", settings.door, *parts))


def discovery(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Topic and message that make the entities of this door."""
    id_ = _id(settings)
    message = {
        "device": {
            "identifiers": [id_],
            "name": settings.title,
            "manufacturer": "Facelatch",
            "sw_version": settings.version,
        },
        "origin": {"name": "facelatch", "sw_version": settings.version},
        "availability": [{"topic": topic(settings, "availability")}],
        "components": _components(settings),
    }
    return f"{settings.discovery_prefix}/device/{id_}/config", message


def _id(settings: Settings) -> str:
    return f"facelatch_{settings.door}"


def _components(settings: Settings) -> dict[str, Any]:
    diagnostic = {"entity_category": "diagnostic"}
    return {
        "lock_state": _sensor(settings, "lock_state", "Lock", "lock", on="unlocked"),
        "contact": _sensor(settings, "contact", "Door", "door", on="open"),
        "alarm": _sensor(settings, "alarm", "Alarm", "safety", on="alarm"),
        "tamper": _sensor(settings, "tamper", "Tamper", "tamper", on="tamper"),
        "problem": {**_sensor(settings, "problem", "Fault", "problem", on="fault"), **diagnostic},
        "locked_out": {
            **_sensor(settings, "locked_out", "Nobody judged", "problem", on="locked_out"),
            **diagnostic,
        },
        "visit": {
            "platform": "event",
            "unique_id": f"{_id(settings)}_visit",
            "name": "Visit",
            "event_types": sorted(set(VISITS.values())),
            "state_topic": topic(settings, "event"),
        },
        "last_person": {
            "platform": "sensor",
            "unique_id": f"{_id(settings)}_last_person",
            "name": "Last person",
            "state_topic": topic(settings, "state"),
            "value_template": "{{ value_json.last_person or 'nobody' }}",
        },
    }


def _sensor(settings: Settings, key: str, name: str, device_class: str, *, on: str) -> dict[str, Any]:
    return {
        "platform": "binary_sensor",
        "unique_id": f"{_id(settings)}_{key}",
        "name": name,
        "device_class": device_class,
        "state_topic": topic(settings, "state"),
        "value_template": f"{{{{ 'ON' if value_json.{on} else 'OFF' }}}}",
    }


def state(status: Mapping[str, Any] | None, last_person: str | None) -> dict[str, Any]:
    """What is retained: how the door stands; None: the daemon does not answer."""
    if status is None:
        nothing = dict.fromkeys(("unlocked", "open", "alarm", "tamper", "locked_out"), False)
        return {**nothing, "people": None, "fault": True, "last_person": last_person}
    around = status.get("site", {})
    return {
        "unlocked": str(status["door"]).startswith("unlocked"),
        "open": around.get("door", "unwatched") not in ("unwatched", "shut", "expecting"),
        "alarm": bool(around.get("alarm")),
        "tamper": bool(around.get("tamper")),
        "fault": around.get("camera", "seeing") != "seeing",
        "locked_out": status["lockout"]["seconds"] > 0,
        "people": status["people"],
        "last_person": last_person,
    }


def visit(settings: Settings, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The event for Home Assistant that a row of the history is; None for what is none."""
    if row["event"] not in VISITS:
        return None
    reason = row["fields"].get("REASON")
    return {
        "event_type": VISITS[row["event"]],
        "person": who(settings, row),
        "time": row["time"],
        **({"reason": reason} if reason else {}),
    }


def who(settings: Settings, row: Mapping[str, Any]) -> str | None:
    """Whoever a row is about: a name only where names may leave the device."""
    number = row["fields"].get("PERSON_ID")
    if number is None:
        return None
    return row["person"] if settings.publish_names and row["person"] else f"#{number}"


def last_person(settings: Settings, rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Whoever came last by rows of which the newest is first; None: nobody did."""
    return next((who(settings, row) for row in rows if row["event"] == "visit.granted"), None)


def told(settings: Settings, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as notifications tell it: without names and words that hold them, unless those may leave the device."""
    plain = {"door": settings.door, "seq": row["seq"], "time": row["time"], "event": row["event"]}
    reason = row["fields"].get("REASON")
    more = {"reason": reason} if reason else {}
    words = {"text": row["text"]} if settings.publish_names or row["fields"].get("PERSON_ID") is None else {}
    return {**plain, **more, **words, "person": who(settings, row)}
