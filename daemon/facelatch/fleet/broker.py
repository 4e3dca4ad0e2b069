"""The connection to the MQTT broker (paho-mqtt): states retained, events not, availability by last will."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from facelatch.errors import ConfigError
from facelatch.fleet import homeassistant
from facelatch.fleet.settings import Settings

MOST_QUEUED = 1000
"""Messages kept while the broker is away."""

MOST_BYTES = 512 * 1024
"""Of a message; the broker keeps larger ones to itself."""


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

    def __init__(self, settings: Settings, connected: Callable[[], None]) -> None:
        """`connected` is called from the client's thread on every connection, and when Home Assistant has started.

        Raises ConfigError for certificates that cannot be read.
        """
        self._settings, self._connected = settings, connected
        self._client = client(settings, f"facelatch-{settings.door}")
        self._client.max_queued_messages_set(MOST_QUEUED)
        self._alone: mqtt.MQTTMessageInfo | None = None
        self._availability = homeassistant.topic(settings, "availability")
        self._client.will_set(self._availability, "offline", qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._listeners: dict[str, Callable[[], None]] = {}
        limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        limits.MaximumPacketSize = MOST_BYTES
        self._client.connect_async(
            settings.broker, settings.port, settings.keepalive_seconds, properties=limits
        )
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

    @property
    def connected(self) -> bool:
        """Whether the broker can be reached now."""
        return self._client.is_connected()

    def listen(self, topic: str, heard: Callable[[str, bytes], None], begun: Callable[[], None]) -> None:
        """From every connection on, before which `begun()` is called.

        `heard(topic, message)` is called for each message. Both run on the client's thread.
        """
        self._client.message_callback_add(topic, lambda _c, _d, message: heard(message.topic, bytes(message.payload)))
        self._listeners[topic] = begun
        self.again(topic)

    def again(self, topic: str) -> None:
        """Asks for what is retained once more."""
        self._client.subscribe(topic, qos=1)

    def send(self, topic: str, message: bytes) -> None:
        """Publishes bytes, retained."""
        self._client.publish(topic, message, qos=1, retain=True)

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
        client.publish(self._availability, "online", qos=1, retain=True)
        self._connected()
        for topic, begun in tuple(self._listeners.items()):
            begun()
            self.again(topic)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.payload == b"online":  # Home Assistant has started, and knows nothing yet
            self._connected()
