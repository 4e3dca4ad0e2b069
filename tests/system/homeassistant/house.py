"""A real Home Assistant with its MQTT integration, in a Python of its own; asked by lines on standard input.

    python house.py FOLDER BROKER_PORT

Each line gets one line of JSON: `entities` (state, attributes and device class by the entity's unique id), `events`
(what the event entities told since the start), `checked` (each component of a discovery message, given on the same line
behind the word, by Home Assistant's own schemas: null, or what is wrong), `end`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import voluptuous as vol
from homeassistant import loader, setup
from homeassistant.auth import auth_manager_from_config
from homeassistant.config_entries import ConfigEntries, ConfigEntry, ConfigEntryState
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import (
    area_registry,
    category_registry,
    device_registry,
    entity,
    entity_registry,
    floor_registry,
    frame,
    issue_registry,
    label_registry,
    restore_state,
    template,
    translation,
)
from homeassistant.util.json import json_loads


async def started(folder: str, port: int) -> HomeAssistant:
    """The core, its registries and the integration; without the pages for people, which need another 300 MB."""
    (Path(folder) / "configuration.yaml").touch()
    hass = HomeAssistant(folder)
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = ConfigEntries(hass, {})
    for one in (entity, frame, template, translation):
        one.async_setup(hass)
    for registry in (
        area_registry, category_registry, device_registry, entity_registry, floor_registry, issue_registry,
        label_registry, restore_state,
    ):  # fmt: skip
        loading = registry.async_load(hass)
        if loading is not None:
            await loading
    hass.auth = await auth_manager_from_config(hass, [], [])
    await hass.config_entries.async_initialize()
    assert await setup.async_setup_component(hass, "homeassistant", {})
    known = hass.config_entries.async_entries("mqtt")
    if known:  # it was here before
        (entry,) = known
        assert await setup.async_setup_component(hass, "mqtt", {})
    else:
        data = {"broker": "127.0.0.1", "port": port, "protocol": "5"}
        entry = ConfigEntry(
            data=data, discovery_keys={}, domain="mqtt", minor_version=2, options={}, source="user",
            subentries_data=None, title="broker", unique_id=None, version=1,
        )  # fmt: skip
        await hass.config_entries.async_add(entry)
    assert entry.state is ConfigEntryState.LOADED, (entry.state, entry.reason)
    await hass.async_start()
    return hass


def entities(hass: HomeAssistant) -> dict[str, Any]:
    found = {}
    devices = device_registry.async_get(hass).devices
    for entry in entity_registry.async_get(hass).entities.values():
        state = hass.states.get(entry.entity_id)
        device = devices.get(entry.device_id) if entry.device_id else None
        if entry.platform == "mqtt" and state is not None:
            found[entry.unique_id] = {
                "entity": entry.entity_id, "state": state.state, "attributes": dict(state.attributes),
                "device": device.name if device else None, "category": entry.entity_category,
            }  # fmt: skip
    return found


def checked(message: dict[str, Any]) -> dict[str, str | None]:
    """By the schemas that the integration itself applies to what is discovered."""
    from homeassistant.components.mqtt import binary_sensor, event, lock, sensor
    from homeassistant.components.mqtt.schemas import MQTT_ORIGIN_INFO_SCHEMA

    schemas = {
        "binary_sensor": binary_sensor.DISCOVERY_SCHEMA, "event": event.DISCOVERY_SCHEMA, "lock": lock.DISCOVERY_SCHEMA,
        "sensor": sensor.DISCOVERY_SCHEMA,
    }  # fmt: skip
    found: dict[str, str | None] = {}
    for key, component in message["components"].items():
        plain = {name: value for name, value in component.items() if name != "platform"}
        try:
            schemas[component["platform"]]({**plain, "device": message["device"]})
            found[key] = None
        except vol.Invalid as error:
            found[key] = str(error)
    MQTT_ORIGIN_INFO_SCHEMA(message["origin"])
    return found


def say(answer: Any) -> None:
    sys.stdout.write(f"{json.dumps(answer, default=str)}\n")
    sys.stdout.flush()


async def serve(folder: str, port: int) -> None:
    begun = datetime.now(UTC).isoformat()
    hass = await started(folder, port)
    events: dict[str, dict[str, Any]] = {}

    def note(event: Event) -> None:
        state = event.data["new_state"]
        # The state of an event entity is when it was; one that comes back with an old one was only remembered.
        told = state is not None and state.state not in ("unknown", "unavailable")
        if told and event.data["entity_id"].startswith("event.") and state.state > begun:
            events[state.state] = dict(state.attributes)

    hass.bus.async_listen("state_changed", note)
    say({"ready": True})
    while line := await hass.async_add_executor_job(sys.stdin.readline):
        word, _, rest = line.strip().partition(" ")
        if word == "end":
            break
        match word:
            case "entities":
                say(entities(hass))
            case "events":
                say([*events.values()])
            case "checked":
                say(checked(json_loads(rest)))
    await hass.async_stop(force=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
