"""The connection to the MQTT broker (paho-mqtt): states retained, events not, availability by last will."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from facelatch.errors import ConfigError
from facelatch.fleet import homeassistant
from facelatch.fleet.settings import Settings

MOST_QUEUED = 1000
"""Messages kept while the broker is away."""


def client(settings: Settings, client_id: str) -> mqtt.Client:
    """A client that is not connected yet. Raises ConfigError for certificates that cannot be read."""
    made = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5)
    made.reconnect_delay_set(1, 30)
    try:
        if settings.ca:
            made.tls_set(settings.ca, settings.certificate or None, settings.key or None)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"fleet.ca, certificate, key: {error}", hint="PEM files that this user may read"
        ) from error
    return made


class Broker:
    """Connects by itself, again and again; whoever publishes never waits."""

    def __init__(
        self,
        settings: Settings,
        connected: Callable[[], None],
        heard: Mapping[str, Callable[[object], None]] | None = None,
    ) -> None:
        """`connected` is called from the client's thread on every connection, and when Home Assistant has started.

        `heard` has topics, and what is called from that thread with each message there, parsed. Raises ConfigError for
        certificates that cannot be read.
        """
        self._settings, self._connected, self._heard = settings, connected, heard or {}
        self._client = client(settings, f"facelatch-{settings.door}")
        self._client.max_queued_messages_set(MOST_QUEUED)
        self._alone: mqtt.MQTTMessageInfo | None = None
        self._availability = homeassistant.topic(settings, "availability")
        self._client.will_set(self._availability, "offline", qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.connect_async(settings.broker, settings.port, settings.keepalive_seconds)
        self._client.loop_start()

    def publish(self, topic: str, message: Mapping[str, Any], *, retain: bool) -> mqtt.MQTTMessageInfo:
        """Hands a message over; it is delivered at least once, or is lost with this process."""
        return self._client.publish(topic, json.dumps(message), qos=1, retain=retain)

    def publish_alone(self, topic: str, message: Mapping[str, Any]) -> bool:
        """The same for what is large and sent again anyway: nothing of it waits here while the broker is away.

        False where nothing was handed over: there is no connection, or the message before is still on its way.
        """
        if not self._client.is_connected():
            return False
        if self._alone is not None and self._alone.rc == mqtt.MQTT_ERR_SUCCESS and not self._alone.is_published():
            return False
        self._alone = self.publish(topic, message, retain=False)
        return True

    def close(self) -> None:
        """Says that the door is not to be reached any more, and goes."""
        self._client.publish(self._availability, "offline", qos=1, retain=True)
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self,
        client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            return
        if self._settings.discovery_prefix:
            client.subscribe(f"{self._settings.discovery_prefix}/status", qos=1)
        for topic in self._heard:
            client.subscribe(topic, qos=1)
        client.publish(self._availability, "online", qos=1, retain=True)
        self._connected()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic in self._heard:
            with suppress(ValueError, RecursionError):
                self._heard[message.topic](json.loads(message.payload))
        elif message.payload == b"online":  # Home Assistant has started, and knows nothing yet
            self._connected()
