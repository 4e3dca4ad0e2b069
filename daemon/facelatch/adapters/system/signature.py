"""Signatures of ssh-keygen (SSHSIG) over a model's manifest, which holds the hashes of everything that goes with it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from facelatch.errors import ModelError

NAMESPACE = "facelatch-model"
"""What a signature is for: one that was made for anything else is refused."""

KEYGEN = "ssh-keygen"
SECONDS = 20.0

UNSIGNED = "sign it with a key of yours: ssh-keygen -Y sign -n facelatch-model -f KEY MANIFEST (deploy/README.md)"


def signature_of(manifest: Path) -> Path:
    """Where the signature of a manifest lies: `siamese.json.sig`."""
    return manifest.with_name(f"{manifest.name}.sig")


def signer(manifest: Path, content: bytes, allowed: Sequence[Path]) -> str | None:
    """Who signed `content`, the manifest's, by the files with the keys of those who may; None where nobody has.

    Raises ModelError: a signature that does not fit, or of nobody who may; no ssh-keygen.
    """
    signature = signature_of(manifest)
    if not signature.exists():
        return None
    for keys in allowed:
        if keys.is_file() and (name := _principal(signature, keys)):
            words: list[str | Path] = ["verify", "-f", keys, "-I", name, "-n", NAMESPACE, "-s", signature]
            if _keygen(words, content).returncode == 0:
                return name
            raise ModelError(f"{signature}: does not fit {manifest.name}", hint="fetch both again together")
    raise ModelError(
        f"{signature}: signed by nobody who may", hint=f"keys are in {' and '.join(map(str, allowed))}"
    )


def _principal(signature: Path, keys: Path) -> str:
    found = _keygen(["find-principals", "-f", keys, "-s", signature], b"")
    return found.stdout.decode(errors="replace").partition("\n")[0].strip() if found.returncode == 0 else ""


def _keygen(words: Sequence[str | Path], content: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            [KEYGEN, "-Y", *words],
            input=content,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelError(f"{KEYGEN}: {error}", hint="sudo apt install openssh-client") from error
