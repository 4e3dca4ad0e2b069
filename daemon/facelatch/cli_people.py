"""`facelatch people` and `facelatch enroll`: through the running daemon when there is one, else directly."""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelatch.cli import Settings, as_json
from facelatch.errors import InputError
from facelatch.gallery.names import clean_name

if TYPE_CHECKING:
    from facelatch.config.file import Config
    from facelatch.ports import Verifier
    from facelatch.values.records import Gallery

POLL_SECONDS = 0.3


def ask(config: Config, request: dict[str, Any], *, audited: bool = True) -> dict[str, Any]:
    """One people request: answered by the running daemon, or by the gallery itself when none runs.

    Then `audited` says whether it is worth an audit event: not when a command looks for its own use.
    """
    from facelatch.api import people
    from facelatch.app import build
    from facelatch.control.client import ControlClient, NobodyThereError
    from facelatch.gallery.store import GalleryStore

    try:
        return ControlClient(Path(config.control.socket)).ask(request)
    except NobodyThereError:
        with GalleryStore.open(Path(config.storage.state_directory)) as store:
            answer = people.execute(store, request)
        if audited:
            audit = build.build_audit()
            for event in answer.events:
                audit.write(event)
        return answer.reply


def exported_people(config: Config) -> bytes | None:
    """Everybody enrolled as one export file; None when nobody is."""
    if not ask(config, {"action": "list"})["people"]:
        return None
    return base64.b64decode(ask(config, {"action": "export"}, audited=False)["payload"])


def everybody(config: Config, verifier: Verifier) -> Gallery:
    """All people enrolled as `verifier` sees them: in a gallery of our own, as a running daemon holds the real one."""
    from facelatch.gallery.place import scratch_directory
    from facelatch.gallery.store import GalleryStore

    with scratch_directory() as scratch, GalleryStore.open(Path(scratch) / "state") as store:
        export = exported_people(config)
        if export is not None:
            store.import_from(export)
        return store.load(verifier.model_sha256, verifier.embed)


@click.group()
def people() -> None:
    """Show and change who may come in.

    \b
    A copy of everybody:  facelatch people export people.facelatch
    On another door:      facelatch people import people.facelatch
    """


@people.command("list")
@as_json
@click.pass_obj
def list_(settings: Settings) -> None:
    """Everybody enrolled."""
    found = ask(settings.config(), {"action": "list"})["people"]
    rows = [
        f"{p['name']:<32} {p['references']:>3} images  {'admin' if p['admin'] else ''}".rstrip()
        for p in found
    ]
    settings.show(found, "\n".join(rows) or "nobody is enrolled")


@people.command()
@click.argument("name")
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
    rows += [
        f"{f'image {number}':<12} "
        f"yaw {pose['yaw']:+.2f}, pitch {pose['pitch']:+.2f}, roll {pose['roll']:+.0f}\N{DEGREE SIGN}"
        for number, pose in enumerate(person["poses"], 1)
    ]
    settings.show(person, "\n".join(rows))


@people.command()
@click.argument("name")
@click.argument("new_name")
@as_json
@click.pass_obj
def rename(settings: Settings, name: str, new_name: str) -> None:
    """Give a person another name."""
    answer = ask(settings.config(), {"action": "rename", "name": name, "new_name": new_name})
    settings.show(answer, f"{name} is now {new_name}")


@people.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@click.pass_obj
def remove(settings: Settings, name: str, yes: bool) -> None:
    """Forget a person: images, embeddings, name. Cannot be undone."""
    if not yes:
        click.confirm(f"Remove {name} and every image of this person?", abort=True, err=True)
    settings.show(ask(settings.config(), {"action": "remove", "name": name}), f"{name} removed")


@people.command()
@click.argument("name")
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
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@as_json
@click.pass_obj
def export(settings: Settings, file: Path, overwrite: bool) -> None:
    """Write everybody into one file (0600). It holds faces: keep it as you would a key."""
    from facelatch.gallery.export import write_private_file

    if file.exists() and not overwrite:
        raise InputError(f"{file}: exists already", hint="choose another name, or --overwrite")
    answer = ask(settings.config(), {"action": "export", "file": str(file)})
    write_private_file(file, base64.b64decode(answer.pop("payload")))
    settings.show(answer, f"{_people(answer['count'])} written to {file}")


@people.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="People of the same name are replaced instead of refused.")
@as_json
@click.pass_obj
def import_(settings: Settings, file: Path, replace: bool) -> None:
    """Add everybody from an export file."""
    payload = base64.b64encode(file.read_bytes()).decode()
    try:
        answer = ask(
            settings.config(), {"action": "import", "payload": payload, "replace": replace, "file": str(file)}
        )
    except InputError as error:
        taken = "; --replace replaces whoever has a name in the file" if "is taken" in str(error) else ""
        raise InputError(f"{file}: {error}", hint=error.hint + taken) from error
    settings.show(answer, f"{_people(answer['count'])} imported: {', '.join(answer['names'])}")


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


@click.command()
@click.argument("name")
@click.option("--images", type=click.Path(path_type=Path), help="A folder of pictures, or one picture.")
@click.option("--camera", is_flag=True, help="Look into the running daemon's camera instead.")
@click.option("--admin", "as_admin", is_flag=True, help="This face may authorise enrolments.")
@click.option("--force", is_flag=True, help="Even if the face is already enrolled under another name.")
@as_json
@click.pass_obj
def enroll(
    settings: Settings, name: str, images: Path | None, camera: bool, as_admin: bool, force: bool
) -> None:
    """Enrol NAME from pictures or from the camera.

    Pictures that show nobody, two people, somebody else or a bad view are skipped and named.
    """
    if camera == (images is not None):
        raise click.UsageError("give either --images DIR or --camera")
    if camera and force:
        raise click.UsageError("--force goes with --images only")
    name = clean_name(name)
    if images is None:
        _enroll_by_camera(settings, name, as_admin)
    else:
        _enroll_by_images(settings, name, images, as_admin, force)


def _enroll_by_images(settings: Settings, name: str, source: Path, as_admin: bool, force: bool) -> None:
    from facelatch.app import build
    from facelatch.gallery.export import pack
    from facelatch.line import stills as still_images
    from facelatch.vision.images import image_files

    config = settings.config()
    paths = [source] if source.is_file() else image_files(source)
    line = build.build_line(config)
    gallery = everybody(config, line.verifier)
    with click.progressbar(paths, label="looking", file=sys.stderr) as shown:
        stills = [still_images.observe_still(line, path, gallery) for path in shown]
    stills = still_images.without_strangers(line, stills)
    for still in stills:
        if still.problem:
            click.echo(f"  skipped {still.path.name}: {still.problem}", err=True)
    kept = still_images.spread(still_images.usable(source, stills), config.enrolment.references)
    double = still_images.already_enrolled(kept)
    if double is not None and not force:
        raise InputError(
            f"{name}: this face is already enrolled as {double.name}",
            hint=f"`facelatch people remove {double.name}` first, or --force for twins",
        )
    newcomer = still_images.new_person(name, kept, admin=as_admin)
    payload = base64.b64encode(pack([newcomer])).decode()
    ask(config, {"action": "import", "payload": payload, "file": str(source)})
    result = {"name": name, "references": len(kept), "pictures": len(paths), "admin": as_admin}
    settings.show(result, f"{name} enrolled with {len(kept)} of {len(paths)} pictures")


def _enroll_by_camera(settings: Settings, name: str, as_admin: bool) -> None:
    from facelatch.control.client import ControlClient

    client = ControlClient(Path(settings.config().control.socket))
    client.ask({"action": "enroll", "name": name, "admin": as_admin})
    click.echo("look at the camera and move your head a little ...", err=True)
    kept = 0
    while True:
        answer = client.ask({"action": "status"})["enrolment"]
        if answer["state"] == "done":
            settings.show(answer, f"{answer['person']} enrolled")
            return
        if answer["state"] in ("failed", "idle"):
            raise InputError(f"{name} not enrolled: {answer['reason'] or 'aborted'}", hint=answer["hint"])
        if answer["kept"] != kept:
            kept = answer["kept"]
            click.echo(f"  {kept} of {answer['wanted']} images kept", err=True)
        time.sleep(POLL_SECONDS)
