"""Listens to topics of the broker and answers, a message at a time, until the process is stopped."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from facelatch.fleet.broker import client
from facelatch.fleet.settings import Settings
from facelatch.streams import say

UNDER_WAY = 20
"""Messages that the broker may hand over before the first is answered."""

Answer = Callable[[str, bytes], tuple[str, Mapping[str, object]] | None]
"""Gets topic and message, gives topic and message."""


@dataclass(frozen=True)
class Service:
    """What is listened to, and as whom."""

    client_id: str
    topics: str
    presence: str
    """Where others see, retained, whether it is there."""
    most_bytes: int
    """Of a message; the broker does not hand over larger ones."""


def serve(settings: Settings, service: Service, answer: Answer) -> None:
    """Until SIGTERM or SIGINT. Raises ConfigError for certificates, and whatever `answer` raises."""
    over, failures = threading.Event(), list[BaseException]()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: over.set())

    def connected(
        one: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        say(f"{settings.broker}: {reason}")
        if not reason.is_failure:
            one.subscribe(service.topics, qos=1)
            one.publish(service.presence, json.dumps({"online": True}), qos=1, retain=True)

    def heard(one: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        # The client's only thread: what the broker has beyond the limits waits there meanwhile.
        try:
            found = answer(message.topic, bytes(message.payload))
        except BaseException as error:
            failures.append(error)
            over.set()
            return
        if found is not None:
            one.publish(found[0], json.dumps(found[1]), qos=1)

    connection = client(settings, service.client_id)
    connection.will_set(service.presence, json.dumps({"online": False}), qos=1, retain=True)
    connection.on_connect, connection.on_message = connected, heard
    limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    limits.ReceiveMaximum, limits.MaximumPacketSize = UNDER_WAY, service.most_bytes + 1024
    connection.connect_async(settings.broker, settings.port, settings.keepalive_seconds, properties=limits)
    connection.loop_start()
    try:
        over.wait()
    finally:
        connection.publish(service.presence, json.dumps({"online": False}), qos=1, retain=True)
        connection.disconnect()
        connection.loop_stop()
    if failures:
        raise failures[0]
