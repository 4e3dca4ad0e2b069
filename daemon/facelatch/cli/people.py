"""`facelatch people`: shows and changes who may come in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from facelatch.cli.asking import ask, import_all, listed
from facelatch.cli.hours import access_text, card, pin, set_
from facelatch.cli.output import echo, for_progress, standard_output
from facelatch.cli.settings import Settings, as_json, person_name
from facelatch.cli.sharing import resolve, share
from facelatch.errors import FacelatchError, InputError


@click.group()
def people() -> None:
    """Show and change who may come in.

    \b
    A copy of everybody:  facelatch people export people.age --passphrase
    On another door:      facelatch people import people.age
    """


@people.command("list")
@as_json
@click.pass_obj
def list_(settings: Settings) -> None:
    """Everybody enrolled."""
    found = listed(settings.config())
    rows = [
        f"{p['name']:<32} {p['references']:>3} images  {'admin' if p['admin'] else '':<6}"
        f" {access_text(p.get('access', {}))}{_of_the_fleet(p)}".rstrip()
        for p in found
    ]
    settings.show(found, "\n".join(rows) or "nobody is enrolled")


def _of_the_fleet(person: dict[str, Any]) -> str:
    """What the list says of somebody whom other doors know as well."""
    if person.get("held"):
        return f" held: {person['held']}"
    return {"here": " shared", "elsewhere": " from another door"}.get(person.get("fleet", ""), "")


@people.command()
@click.argument("name", type=person_name)
@as_json
@click.pass_obj
def show(settings: Settings, name: str) -> None:
    """One person: since when, how many images, in which poses.

    Yaw is 0 straight ahead and 1 with the nose under an eye, positive towards image right; pitch likewise
    between eyes and mouth, positive down.
    """
    person = ask(settings.config(), {"action": "show", "name": name})["person"]
    rows = [f"{key:<12} {person[key]}" for key in ("name", "id", "created")]
    rows.append(f"{'admin':<12} {'yes' if person['admin'] else 'no'}")
    rows.append(f"{'access':<12} {access_text(person.get('access', {})) or 'at any time'}")
    rows += [
        f"{f'image {number}':<12} "
        f"yaw {pose['yaw']:+.2f}, pitch {pose['pitch']:+.2f}, roll {pose['roll']:+.0f}\N{DEGREE SIGN}"
        for number, pose in enumerate(person["poses"], 1)
    ]
    settings.show(person, "\n".join(rows))


@people.command()
@click.argument("name", type=person_name)
@click.argument("new_name", type=person_name)
@as_json
@click.pass_obj
def rename(settings: Settings, name: str, new_name: str) -> None:
    """Give a person another name."""
    answer = ask(settings.config(), {"action": "rename", "name": name, "new_name": new_name})
    settings.show(answer, f"{name} is now {new_name}")


@people.command()
@click.argument("name", type=person_name)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@click.pass_obj
def remove(settings: Settings, name: str, yes: bool) -> None:
    """Forget a person: images, embeddings, name. Cannot be undone."""
    if not yes:
        click.confirm(f"Remove {name} and every image of this person?", abort=True, err=True)
    answer = ask(settings.config(), {"action": "remove", "name": name})
    traces = "" if answer["wiped"] else "; traces may still be there: the log says why"
    settings.show(answer, f"{answer['name']} removed{traces}")


@people.command()
@click.argument("name", type=person_name)
@click.option("--receipt", type=click.Path(dir_okay=False, path_type=Path), help="Write what was removed there (0600).")
@click.option("--sign", type=click.Path(exists=True, dir_okay=False), help="Sign it with this SSH key, in FILE.sig.")
@click.option("--keep-key", is_flag=True, help="Leave a sealed gallery's key: quick, but old copies can still be read.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@click.pass_obj
def forget(
    settings: Settings, name: str, receipt: Path | None, sign: str | None, keep_key: bool, yes: bool
) -> None:
    """Forget a person as `remove` does, with a receipt.

    The receipt says what was removed and what is kept without a name; its sha256 stands in the ledger
    (gallery.person_receipt). Events that are kept have a number of the person only.

    With --receipt a sealed gallery gets another key, so that no old copy of it can be read with the present one. That
    takes root, and the door is locked meanwhile.
    """
    from facelatch.cli import receipts
    from facelatch.private_files import write_private_file

    if sign is not None and receipt is None:
        raise click.UsageError("--sign goes with --receipt")
    receipts.refuse_existing(receipt)
    config = settings.config()
    another = receipt is not None and not keep_key and receipts.needs_another_key(config)
    if not yes:
        cost = f" {receipts.COST}" if another else ""
        click.confirm(f"Forget {name} and every image of this person?{cost}", abort=True, err=True)
    answer = receipts.under_another_key(name) if another else ask(config, {"action": "forget", "name": name})
    if receipt is not None:
        from facelatch.api.records import receipt_text

        write_private_file(receipt, receipt_text(answer["receipt"]).encode("ascii"))
        if sign is not None:
            receipts.signed(receipt, sign)
    settings.show(answer, receipts.told(answer))


@people.command()
@click.argument("name", type=person_name)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write it there (0600).")
@click.pass_obj
def report(settings: Settings, name: str, output: Path | None) -> None:
    """Everything that is stored about a person, as JSON, for whoever asks what is known of them.

    Images, embeddings, consent and events. It holds a face: hand it to that person only.
    """
    from facelatch.cli.asking import report as asked
    from facelatch.cli.receipts import refuse_existing
    from facelatch.private_files import write_private_file

    refuse_existing(output)
    found = asked(settings.config(), name)
    if output is None:
        echo(found.decode("ascii"))
    else:
        write_private_file(output, found + b"\n")
        echo(f"written to {output}")


@people.command()
@click.argument("name", type=person_name)
@click.option("--off", is_flag=True, help="Take the right away.")
@as_json
@click.pass_obj
def admin(settings: Settings, name: str, off: bool) -> None:
    """Let a person authorise enrolments by face.

    Asked for where enrolment.authorisation = "admin" in the configuration.
    """
    answer = ask(settings.config(), {"action": "admin", "name": name, "admin": not off})
    settings.show(answer, f"{name} is {'no longer ' if off else ''}admin")


@people.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--to", multiple=True, metavar="age1...", help="Only the holder of this age key can read it; repeatable.")
@click.option("--passphrase", is_flag=True, help="Asks for a passphrase that opens it.")
@click.option("--plain", is_flag=True, help="Do not encrypt it: whoever has the file has the faces.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@as_json
@click.pass_obj
def export(
    settings: Settings, file: Path, to: tuple[str, ...], passphrase: bool, plain: bool, overwrite: bool
) -> None:
    """Write everybody into one file (0600), encrypted with age, or to standard output for FILE `-`.

    It holds faces. Say who may read it: --to, --passphrase or --plain.
    """
    from facelatch.cli import exports
    from facelatch.private_files import private_file

    if [bool(to), passphrase, plain].count(True) != 1:
        raise click.UsageError("say who may read the file: --to age1..., --passphrase, or --plain for everybody")
    config, piped = settings.config(), str(file) == "-"
    if not piped and os.path.lexists(file) and not overwrite:
        raise InputError(f"{file}: exists already", hint="choose another name, or --overwrite")
    secret = exports.new_passphrase() if passphrase else None
    count = exports.everybody(config, standard_output() if piped else private_file(file), to=to, passphrase=secret)
    if piped:
        echo(f"{_people(count)} written to standard output", err=True)
    else:
        settings.show({"count": count}, f"{_people(count)} written to {file}")


@people.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--recipients",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the age keys (age1...) whose holders can read it, one a line.",
)
@click.option("--keep", type=click.IntRange(1, 1000), default=8, show_default=True, help="How many backups stay.")
@as_json
@click.pass_obj
def backup(settings: Settings, folder: Path, recipients: Path, keep: int) -> None:
    """Write an encrypted export under the time of day into FOLDER, and remove the oldest ones.

    For facelatch-backup.timer, or a timer of yours.
    """
    from facelatch.cli import exports
    from facelatch.gallery.age import recipients_in
    from facelatch.private_files import private_file

    config, file = settings.config(), folder / exports.backup_name()
    count = exports.everybody(config, private_file(file), to=recipients_in(recipients))
    gone = exports.rotate(folder, keep)
    settings.show(
        {"count": count, "file": file.name, "removed": [one.name for one in gone]},
        f"{_people(count)} written to {file}, {len(gone)} older backups removed",
    )


@people.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the age key that opens the export (AGE-SECRET-KEY-1...).",
)
@click.option("--replace", is_flag=True, help="People of the same name are replaced instead of refused.")
@click.option("--keep-admins", is_flag=True, help="Admins of the other door are admins here.")
@click.option("--skip", is_flag=True, help="Leave out whoever cannot be admitted, instead of refusing all.")
@click.option(
    "--force",
    is_flag=True,
    help="Also faces that are enrolled under another name (a tie opens for neither), and names that look like one.",
)
@as_json
@click.pass_obj
def import_(
    settings: Settings,
    file: Path,
    identity: Path | None,
    replace: bool,
    keep_admins: bool,
    skip: bool,
    force: bool,
) -> None:
    """Add everybody from an export file.

    Their pictures are judged as those of any enrolment, and nobody of them may authorise enrolments unless that is
    asked for. A passphrase is asked for where the file has one.
    """
    from facelatch.cli.exports import opened
    from facelatch.gallery.export import count_people, read_export

    options = {"replace": replace, "keep_admins": keep_admins, "skip": skip, "force": force}
    try:
        with (
            opened(file, identity) as stream,
            click.progressbar(length=count_people(stream), label="importing", file=for_progress()) as bar,
        ):
            answer = import_all(settings.config(), read_export(stream), options, bar.update)
    except InputError as error:
        taken = "; --replace replaces whoever has a name in the file" if "is taken" in str(error) else ""
        raise InputError(f"{file}: {error}", hint=error.hint + taken) from error
    except FacelatchError:
        raise
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}", hint="name an export file you may read") from error
    for one in answer["skipped"]:
        echo(f"  skipped {one['name']}: {one['reason']}", err=True)
    for warning in answer["warnings"]:
        echo(f"  warning: {warning}", err=True)
    if answer["admins"]:
        echo(
            f"  no longer admin: {', '.join(answer['admins'])}; --keep-admins or `people admin NAME`", err=True
        )
    names = ", ".join(answer["names"]) + (", ..." if len(answer["names"]) < answer["count"] else "")
    settings.show(answer, f"{_people(answer['count'])} imported: {names}")


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


for command in (set_, pin, card, share, resolve):
    people.add_command(command)
