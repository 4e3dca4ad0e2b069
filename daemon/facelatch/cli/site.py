"""`facelatch mode`, `alarm` and `aim`: what holds for everybody at the door, its alarms, and what its camera sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from facelatch.cli.settings import Settings, as_json


@click.command()
@click.argument("name", required=False, type=click.Choice(["normal", "locked", "free", "lockdown"]))
@click.option("--for", "seconds", type=click.FloatRange(1, 86_400), help="Seconds; of locked and free.")
@as_json
@click.pass_obj
def mode(settings: Settings, name: str | None, seconds: float | None) -> None:
    """Show or change the door's mode.

    \b
    normal    whoever is recognised is let in
    locked    nobody is let in
    free      unlocked for everybody, for mode.free_seconds; a restart ends it
    lockdown  nobody is let in, also after a restart, until `mode normal`

    To change it takes the right `mode`.
    """
    from facelatch.control.client import ControlClient

    if seconds is not None and name not in ("locked", "free"):
        raise click.UsageError("--for goes with locked and free")
    request = {"action": "mode", **({"mode": name} if name else {}), **({"seconds": seconds} if seconds else {})}
    answer = ControlClient(Path(settings.config().control.socket)).ask(request)
    left = answer["mode_seconds"]
    settings.show(answer, answer["mode"] + (f" for {left:.0f} s" if left is not None else ""))


@click.command()
@click.option("--acknowledge", is_flag=True, help="Silence siren and buzzer.")
@click.option("--prop", is_flag=True, help="Let the open door stand open for door.prop_seconds.")
@as_json
@click.pass_obj
def alarm(settings: Settings, acknowledge: bool, prop: bool) -> None:
    """Show or silence the door's alarms.

    With --prop it may stand open for a while. To do more than look takes the right `mode`.
    """
    from facelatch.control.client import ControlClient

    if acknowledge and prop:
        raise click.UsageError("--acknowledge and --prop exclude each other")
    request = {"action": "alarm", "acknowledge": acknowledge, "prop": prop}
    answer = ControlClient(Path(settings.config().control.socket)).ask(request)
    settings.show(answer, site_text(answer))


@click.command()
@click.argument("what", default="on", type=click.Choice(["on", "off", "status"]))
@as_json
@click.pass_obj
def aim(settings: Settings, what: str) -> None:
    """Show the camera's picture on the console, for five minutes.

    \b
    on      (or nothing) as root only; pressing the button briefly twice does the same
    off     at once; takes the right `preview`
    status  whether it is shown

    Whoever has signed in there as enroller or admin sees it on the page Aim, and each of them is written into the audit
    log. An enrolment, a lockdown and an alarm end it.
    """
    from facelatch.control.client import ControlClient

    request = {"action": "aim", **({"on": what == "on"} if what != "status" else {})}
    answer = ControlClient(Path(settings.config().control.socket)).ask(request)
    text = f"the camera's picture is shown for {answer['seconds']:.0f} s" if answer["armed"] else "not shown"
    settings.show(answer, text)


def site_text(site: dict[str, Any]) -> str:
    """The site in one line: mode, contact, camera, alarms."""
    parts = [f"mode {site['mode']}", f"door {site['door']}", f"camera {site.get('camera', 'unknown')}"]
    parts += ["ALARM"] if site["alarm"] else []
    parts += ["fire"] if site["fire"] else []
    parts += ["case open"] if site.get("tamper") else []
    return ", ".join(parts + [f"{wire} unstable" for wire in site["unstable"]])
