"""`facelatch fleet`: several doors, one gallery, one log. Makes what each machine needs, away from the doors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelatch.cli.lazy import LazyGroup
from facelatch.cli.settings import Settings, as_json

if TYPE_CHECKING:
    from facelatch.sharing.authority import Part

FOLDER = Path("facelatch-fleet")

_folder = click.option(
    "--fleet",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    help="The folder that `init` made.",
)

AFTERWARDS = """\
then copy, to every machine what is its own:
  {folder}/broker/*            to the broker, {broker}, with facelatch.conf in /etc/mosquitto/conf.d
  {folder}/doors/NAME/bridge/* to door NAME, /etc/facelatch/fleet/bridge, readable by facelatch-bridge only
  {folder}/doors/NAME/daemon/* to door NAME, /etc/facelatch/fleet, readable by facelatch only
  of a collector NAME, bridge/* to its machine, /etc/facelatch/collect, readable by facelatch-collect only
and restart mosquitto, facelatch, facelatch-bridge and facelatch-collect there"""


class _Fleet(LazyGroup):
    elsewhere = {  # noqa: RUF012  (a constant)
        "collect": "facelatch.cli.fleet_collect",
        "collected": "facelatch.cli.fleet_collect",
    }


@click.group(cls=_Fleet)
def fleet() -> None:
    """Several doors with one gallery and one log.

    Whoever is shared at one door comes in at all.

    \b
    On a computer that is none of the doors:
      facelatch fleet init facelatch-fleet --broker hub.local
      facelatch fleet join front --enroller        may enrol and revoke for all
      facelatch fleet join garage                  takes people, enrols none
      facelatch fleet join home --reader           Home Assistant: listens only
      facelatch fleet doors                        who is in it
    At a door that enrols:
      facelatch people share anna                  known to all doors from now on
      facelatch people remove anna                 removed at all doors, for good
    On the machine that keeps the log of all doors:
      facelatch fleet join hub --collector         its certificate, made where the fleet is
      facelatch fleet collected                    what every door has told, and what is wrong with it
    A door was stolen:
      facelatch fleet revoke-door garage           then copy the new files to all the others

    Keep the folder offline and in two copies: whoever has it is every door, and without it no door can join or be
    revoked.
    """


@fleet.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=FOLDER)
@click.option(
    "--broker",
    "hosts",
    multiple=True,
    default=("localhost",),
    show_default=True,
    help="Name or address by which doors reach the broker; may be repeated.",
)
@as_json
@click.pass_obj
def init(settings: Settings, folder: Path, hosts: tuple[str, ...]) -> None:
    """Make a fleet.

    Keys, an authority for certificates, and the broker's files go to FOLDER (0700, its files 0600).
    """
    from facelatch.cli.fleet_files import found

    made = found(folder, hosts)
    told = {"fleet": made.fleet, "folder": str(folder)}
    settings.show(told, f"fleet {made.fleet[:8]} is in {folder}; next: facelatch fleet join DOOR --fleet {folder}")


@fleet.command()
@click.argument("door")
@click.option("--enroller", is_flag=True, help="May enrol and revoke people for all doors.")
@click.option("--reader", is_flag=True, help="No door: hears how the doors are, such as Home Assistant.")
@click.option("--collector", is_flag=True, help="No door: keeps the log of all doors.")
@_folder
@as_json
@click.pass_obj
def join(settings: Settings, door: str, enroller: bool, reader: bool, collector: bool, folder: Path) -> None:
    """Let a door in, under the name that its `fleet.door` says.

    One that enrols should stand where nobody can carry it off: its signature lets people in at every door. All doors
    get another membership.json when one more may enrol.
    """
    from facelatch.cli.fleet_files import changed
    from facelatch.sharing.authority import joined

    asked: dict[Part, bool] = {"enroller": enroller, "reader": reader, "collector": collector}
    parts: list[Part] = [part for part, wanted in asked.items() if wanted] or ["follow"]
    if len(parts) > 1:
        raise click.UsageError("--enroller, --reader and --collector exclude one another")
    (part,) = parts
    new = changed(folder, lambda authority: joined(authority, door, part))
    whose = sorted(new.members) if enroller else [door]
    _tell(settings, folder, {"door": door, "part": part, "copy_to": whose}, f"{door} is in the fleet, as {part}")


@fleet.command()
@_folder
@as_json
@click.pass_obj
def doors(settings: Settings, folder: Path) -> None:
    """Say who is in the fleet, and which key is in force."""
    from facelatch.cli.fleet_files import read

    known = read(folder)
    rows = [f"{name:<32} {one.part}" for name, one in sorted(known.members.items())]
    told = {
        "fleet": known.fleet,
        "key": max(known.keys),
        "doors": {name: one.part for name, one in sorted(known.members.items())},
        "revoked_certificates": len(known.revoked),
    }
    settings.show(told, "\n".join([*rows, f"key {max(known.keys)}, {len(known.revoked)} certificates revoked"]))


@fleet.command("revoke-door")
@click.argument("door")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_folder
@as_json
@click.pass_obj
def revoke_door(settings: Settings, door: str, yes: bool, folder: Path) -> None:
    """Take a door out that was stolen or given away.

    Its certificate, signature and key count no more. The broker's files go first: they shut the door out. With the
    other doors' files it can open nothing new, and a door that enrols seals and signs everybody anew. Whom a stolen
    door enrolled stays: look at `facelatch people list` for people you do not know.
    """
    from facelatch.cli.fleet_files import changed, forget_files
    from facelatch.sharing.authority import revoked

    if not yes:
        click.confirm(f"Take {door} out of the fleet?", abort=True, err=True)
    new = changed(folder, lambda authority: revoked(authority, door))
    forget_files(folder, door)
    told = {"door": door, "key": max(new.keys), "copy_to": sorted(new.members)}
    _tell(settings, folder, told, f"{door} is out of the fleet; key {max(new.keys)} is in force")


@fleet.command()
@_folder
@as_json
@click.pass_obj
def rotate(settings: Settings, folder: Path) -> None:
    """Make another key for the fleet, such as once a year.

    Doors that do not have it yet learn of no change until then. Revocations need no key: these are obeyed meanwhile.
    """
    from facelatch.cli.fleet_files import changed
    from facelatch.sharing.authority import rotated

    new = changed(folder, rotated)
    told = {"key": max(new.keys), "copy_to": sorted(new.members)}
    _tell(settings, folder, told, f"key {max(new.keys)} is in force")


def _tell(settings: Settings, folder: Path, told: dict[str, object], text: str) -> None:
    from facelatch.cli.fleet_files import BROKER_FOLDER

    settings.show(told, f"{text}\n{AFTERWARDS.format(folder=folder, broker=BROKER_FOLDER)}")
