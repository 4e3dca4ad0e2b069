"""`facelatch bridge`: tells a broker, Home Assistant and notifications about the door."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import click

from facelatch import __version__
from facelatch.cli.settings import Settings
from facelatch.errors import InputError, NotInstalledError


@click.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=Path("/var/lib/facelatch-bridge"),
    show_default=True,
    help="Where it keeps how far it has told.",
)
@click.pass_obj
def bridge(settings: Settings, state: Path) -> None:
    """Tell a broker and phones about the door, until stopped.

    facelatch-bridge.service does this.

    \b
    [fleet] in the configuration says whom. Nothing that comes back can open the door; in a fleet it also carries sealed
    envelopes of people, which it cannot read and the daemon verifies.
      broker = "localhost"                        states and visits by MQTT, entities in Home Assistant
      notify = ["fault"], webhook = "https://..."  a message when something is wrong
    """
    from facelatch.fleet.settings import of_values

    config = settings.config()
    wanted = config.fleet
    if not wanted.broker and not (wanted.notify and (wanted.webhook or wanted.command)):
        raise InputError("there is nobody to tell", hint="[fleet] broker, or notify with webhook or command")
    if wanted.broker and importlib.util.find_spec("paho") is None:
        raise NotInstalledError(
            "the bridge's library is not installed: paho-mqtt",
            hint="the installer brings it (deploy/install.sh --upgrade); in a checkout `sh deploy/venv.sh fleet`",
        )
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    ours = {"socket": config.control.socket, "state_directory": str(state), "version": __version__}
    told = of_values({**wanted.model_dump(), **ours})
    # A new program instead of this one: the configuration's reader needs more memory than the bridge.
    words = [sys.executable, "-m", "facelatch.fleet"]
    os.execve(sys.executable, words, {**os.environ, "FACELATCH_BRIDGE": told.dumps()})
