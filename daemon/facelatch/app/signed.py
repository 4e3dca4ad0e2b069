"""Only models whose manifests somebody signed who may."""

from __future__ import annotations

from pathlib import Path

from facelatch.adapters.system.signature import UNSIGNED, signer
from facelatch.app.model_files import allowed_signers
from facelatch.config.line import ModelConfig
from facelatch.errors import ModelError
from facelatch.vision.finder_manifest import FinderManifest
from facelatch.vision.liveness_manifest import LivenessManifest
from facelatch.vision.manifest import Manifest


def signed_by(manifest: Path, config: ModelConfig) -> str | None:
    """Who signed a manifest; None where nobody did. Raises ModelError, as `signer` does."""
    return _content_and_signer(manifest, config)[1]


def require(model: Path, loaded: Manifest | FinderManifest | LivenessManifest, config: ModelConfig) -> None:
    """Raises ModelError unless the manifest of `model` is signed, and is the one that was `loaded`."""
    manifest = model.with_suffix(".json")
    content, name = _content_and_signer(manifest, config)
    if name is None:
        raise ModelError(f"{manifest}: not signed, and model.require_signature asks for it", hint=UNSIGNED)
    # The file may have been another one when the model was loaded.
    if type(loaded).model_validate_json(content) != loaded:
        raise ModelError(f"{manifest}: was exchanged while the model was loaded", hint="start again")


def _content_and_signer(manifest: Path, config: ModelConfig) -> tuple[bytes, str | None]:
    try:
        content = manifest.read_bytes()
    except OSError as error:
        raise ModelError(f"{manifest}: {error.strerror}", hint="fetch the model and its manifest again") from error
    return content, signer(manifest, content, allowed_signers(config))
