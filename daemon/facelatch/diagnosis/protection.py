"""By what the gallery here is sealed, and who signed the models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facelatch.adapters.system import credential
from facelatch.adapters.system.signature import UNSIGNED
from facelatch.app import signed
from facelatch.app.build import open_gallery
from facelatch.app.model_files import models
from facelatch.config.file import Config
from facelatch.errors import ModelError

if TYPE_CHECKING:
    from facelatch.control.client import ControlClient

_MEANING = {
    "host key": "a copy of the gallery says nothing; whoever has the whole card has its key too",
    "TPM": "the card says nothing without this device's TPM; whoever has the whole device has both",
    "no key at all": "the key itself is not protected: whoever has the card has the faces",
    "host key and TPM": "the card says nothing without this device's TPM; whoever has the whole device has both",
}


def seal_state(config: Config) -> tuple[str, str]:
    """How the gallery is sealed, as the daemon says or, where none runs, as it is; and what that protects against.

    Raises GalleryError, as opening it does.
    """
    from facelatch.control.client import ControlClient, NobodyThereError

    try:
        state = served_seal(ControlClient(Path(config.control.socket)))
    except NobodyThereError:
        with open_gallery(config) as store:
            state = store.seal.words
    return explained(state, config)


def served_seal(client: ControlClient) -> str:
    """How the gallery of the running daemon is sealed. Raises what the client raises."""
    return str(client.ask({"action": "status"}).get("seal", "unknown"))


def explained(state: str, config: Config) -> tuple[str, str]:
    """A state of the seal with what its key is kept by, and what that protects against."""
    if not state.startswith("sealed"):
        return state, f"whoever has the card, or a copy of {config.storage.state_directory}, has the faces"
    level = credential.level()
    meaning = _MEANING.get(level, "what the key itself is kept by cannot be seen from here")
    return f"{state}, kept by {level}" if level in _MEANING else state, meaning


def signature(config: Config) -> str:
    """For `facelatch check`: who signed the models. Raises ModelError: a signature that is wrong, or missing and asked
    for.
    """
    # Where one is missing that is an item of its own.
    manifests = [path for model in models(config) if (path := model.with_suffix(".json")).exists()]
    names = {manifest.name: signed.signed_by(manifest, config.model) for manifest in manifests}
    missing = [manifest for manifest, name in names.items() if name is None]
    if missing and config.model.require_signature:
        raise ModelError(f"nobody signed {', '.join(missing)}, and model.require_signature asks for it", hint=UNSIGNED)
    return "; ".join(f"{manifest}: {f'signed by {name}' if name else 'not signed'}" for manifest, name in names.items())
