"""`facelatch people set`, `pin` and `card`: when somebody may come, and by what besides the face."""

from __future__ import annotations

import sys
from typing import Any

import click

from facelatch.cli.asking import ask
from facelatch.cli.settings import Settings, as_json
from facelatch.errors import InputError


@click.command("set")
@click.argument("name")
@click.option("--schedule", help="Hours of schedules.toml.")
@click.option("--from", "valid_from", metavar="DATE", help="The first day, such as 2026-12-01.")
@click.option("--until", "valid_until", metavar="DATE", help="The last day, which still counts.")
@click.option("--suspend/--resume", "suspended", default=None, help="Let in no more, without forgetting; and again.")
@click.option("--forget/--no-forget", default=None, help="Remove the person when the last day is over.")
@click.option("--no-schedule", is_flag=True, help="At any hour.")
@click.option("--no-from", is_flag=True, help="Without a first day.")
@click.option("--no-until", is_flag=True, help="Without a last day.")
@as_json
@click.pass_obj
def set_(settings: Settings, /, name: str, **options: Any) -> None:
    """Say when a person may come.

    What is not named stays as it is. People with a schedule or a date are refused while the door has no clock that it
    can trust.
    """
    changes: dict[str, Any] = {}
    for key in ("schedule", "valid_from", "valid_until"):
        option = key.removeprefix("valid_")
        without = options[f"no_{option}"]
        if without and options[key] is not None:
            raise click.UsageError(f"--{option} and --no-{option} exclude each other")
        if without or options[key] is not None:
            changes[key] = options[key]
    changes |= {key: options[key] for key in ("suspended", "forget") if options[key] is not None}
    if not changes:
        raise click.UsageError("say what to change: --schedule, --from, --until, --suspend ...")
    answer = ask(settings.config(), {"action": "set", "name": name, **changes})
    settings.show(answer, f"{answer['name']}: {access_text(answer['access']) or 'may come at any time'}")


@click.command()
@click.argument("name")
@click.option("--duress", is_flag=True, help="Also ask for a PIN for an emergency: it opens, and tells silently.")
@click.option("--remove", is_flag=True, help="Take the PINs away.")
@as_json
@click.pass_obj
def pin(settings: Settings, name: str, duress: bool, remove: bool) -> None:
    """Give a person a PIN, asked for here and never shown.

    It takes the place of the one before, and so does --duress: without it there is no PIN for an emergency any more.
    """
    request: dict[str, Any] = {"action": "pin", "name": name, "pin": None if remove else _secret(f"PIN for {name}")}
    if duress and not remove:
        request["duress"] = _secret(f"PIN for an emergency of {name}")
    answer = ask(settings.config(), request)
    settings.show(answer, f"{answer['name']} has {'a' if answer['pin'] else 'no'} PIN now")


@click.command()
@click.argument("name")
@click.option("--remove", is_flag=True, help="Take the card away.")
@as_json
@click.pass_obj
def card(settings: Settings, name: str, remove: bool) -> None:
    """Give a person a card, in place of the one before.

    The number is asked for here: hold the card to a USB reader at this computer, which types it, or type what is
    printed on it, facility and number as 12,34567.
    """
    number = None if remove else _secret(f"Card of {name}", confirm=False)
    answer = ask(settings.config(), {"action": "card", "name": name, "number": number})
    settings.show(answer, f"{answer['name']} has {'a' if answer['card'] else 'no'} card now")


def _secret(question: str, *, confirm: bool = True) -> str:
    """What is typed, unseen; from a pipe one line each. Raises InputError when nothing is."""
    if sys.stdin.isatty():
        return str(click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True))
    line = sys.stdin.readline().strip()
    if not line:
        raise InputError(f"{question}: nothing was given", hint="type it, or write it to the standard input")
    return line


def access_text(access: dict[str, Any]) -> str:
    """The hours, PIN and card of somebody on one line; empty for whoever may always come."""
    words = [
        f"schedule {access['schedule']}" if "schedule" in access else "",
        f"from {access['valid_from']}" if "valid_from" in access else "",
        f"until {access['valid_until']}" if "valid_until" in access else "",
        *(word for word in ("suspended", "forget", "pin", "card") if access.get(word)),
    ]
    return ", ".join(filter(None, words)).replace("forget", "then forgotten").replace("pin", "PIN")
