"""`facelatch people share` and `resolve`: who is known to all doors of the fleet."""

from __future__ import annotations

from pathlib import Path

import click

from facelatch.cli.settings import Settings, as_json, person_name


@click.command()
@click.argument("name", type=person_name)
@click.option("--stop", is_flag=True, help="Known to this door alone again; all others forget.")
@as_json
@click.pass_obj
def share(settings: Settings, name: str, stop: bool) -> None:
    """Make a person known to all doors of the fleet. Asks the running daemon of a door that enrols.

    Name, hours, PIN, card and embeddings travel, sealed; no picture does. A PIN or card from before this door was in
    the fleet has to be set again to hold elsewhere. Who may authorise enrolments is for each door to say.
    """
    from facelatch.control.client import ControlClient

    request = {"action": "share", "name": name, "stop": stop}
    answer = ControlClient(Path(settings.config().control.socket)).ask(request)
    known = "all doors of the fleet" if answer["shared"] else "this door alone"
    settings.show(answer, f"{answer['name']} is known to {known}")


@click.command()
@click.argument("name", type=person_name)
@click.argument("beside", type=person_name)
@as_json
@click.pass_obj
def resolve(settings: Settings, name: str, beside: str) -> None:
    """Say that NAME and BESIDE look alike and are two people: whoever is held comes in, at all doors.

    Where both match it is a tie, which opens for neither. If they are one person, remove one of the two instead.
    """
    from facelatch.control.client import ControlClient

    request = {"action": "resolve", "name": name, "beside": beside}
    answer = ControlClient(Path(settings.config().control.socket)).ask(request)
    settings.show(answer, f"{answer['name']} and {answer['beside']} are two people")
