"""`facelatch seal`: is the gallery encrypted, and another key for it."""

from __future__ import annotations

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
