"""`facelatch seal`: is the gallery encrypted, and another key for it."""

from __future__ import annotations

from pathlib import Path

import click

from facelatch.cli.settings import Settings, as_json


@click.group()
def seal() -> None:
    """The encryption of faces, embeddings and names.

    \b
    As root, sudo facelatch-seal make makes the key, and sudo facelatch-seal rotate replaces it.
    """


@seal.command()
@as_json
@click.pass_obj
def status(settings: Settings) -> None:
    """Say whether the gallery is sealed, and what the key is kept by."""
    from facelatch.diagnosis.protection import seal_state

    state, meaning = seal_state(settings.config())
    settings.show({"seal": state, "meaning": meaning}, f"{state}: {meaning}")


@seal.command()
@as_json
@click.pass_obj
def rotate(settings: Settings) -> None:
    """Seal everything anew. With the daemon stopped; usually by sudo facelatch-seal rotate, which makes a new key."""
    from facelatch.adapters.system.credential import seal_keys
    from facelatch.app.build import open_gallery
    from facelatch.gallery.rotation import rotate as seal_anew

    config = settings.config()
    with open_gallery(config) as store:
        number = seal_anew(store, seal_keys(config.seal))
        while store.wipe_due and not store.wipe_failed:
            store.wipe()
    settings.show({"key": number}, f"sealed anew: key {number} is in force")


@seal.command()
@as_json
@click.pass_obj
def accept(settings: Settings) -> None:
    """Let an older gallery serve that you have put back yourself. With the daemon stopped.

    Whoever was removed since it was copied is enrolled in it again, with the hours, PINs and cards of then.
    """
    import os

    from facelatch.api.generation import accepted
    from facelatch.app.build import open_gallery
    from facelatch.cli.asking import audited

    config = settings.config()
    with open_gallery(config, older=True) as store:
        event = accepted(store, Path(config.storage.state_directory), os.getuid(), os.getpid())
        with audited(config) as audit:
            audit.write(event)
    settings.show(dict(event.fields), f"{event.message}: it serves from now on")
