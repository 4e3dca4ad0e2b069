"""The Siamese network in TFLite; whoever needs a verdict asks the Verifier port."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facelatch.adapters.models.tflite import load_runtime
from facelatch.errors import InferenceError, ModelError
from facelatch.values.pictures import Image
from facelatch.vision.align import CROP_SIZE_PX
from facelatch.vision.manifest import SIGNATURES, load_model

_AGAIN = "fetch the model and its manifest again together, or export both with `facelatch-train export`"

_BLOCK_ROWS = 512
"""References in one call of the runtime: with more, its intermediate tensors no longer fit the processor's cache."""

Floats = NDArray[np.float32]


class TfliteVerifier:
    """The Verifier port on a `siamese.tflite` and the manifest beside it."""

    def __init__(self, model: Path, *, threads: int = 1, runtime: str | None = None) -> None:
        """Loads the model. `runtime` (a package name) asks for one runtime instead of the best installed.

        Raises ModelError: whatever `load_model` finds, no runtime, a file that is no model, or one whose
        signatures are not those of its manifest.
        """
        self.manifest, content = load_model(model)
        interpreters, self._package = load_runtime(runtime)
        try:
            interpreter = interpreters.Interpreter(model_content=content, num_threads=threads)
            found = interpreter.get_signature_list()
        except (ValueError, RuntimeError, SystemError) as error:
            raise ModelError(f"{model}: {self.runtime} cannot load it: {error}", hint=_AGAIN) from error
        self._check_signatures(model, found)
        self._embed = interpreter.get_signature_runner("embed")
        self._compare = interpreter.get_signature_runner("compare")
        self._verify = interpreter.get_signature_runner("verify")
        self._check_shapes(model)

    @property
    def model_sha256(self) -> str:
        """Of the model file."""
        return self.manifest.model_sha256

    @property
    def embedding_size(self) -> int:
        """The length of an embedding."""
        return self.manifest.embedding_size

    @property
    def runtime(self) -> str:
        """Which TFLite runtime runs the model, with its version."""
        try:
            return f"{self._package} {version(self._package)}"
        except PackageNotFoundError:  # a vendored or distribution build without metadata
            return self._package

    @property
    def accelerated(self) -> bool:
        """Whether this runtime is expected to run int8 by vector kernels on this processor.

        LiteRT does so everywhere (XNNPACK). Its predecessor gives signatures no XNNPACK, and has fast int8
        kernels of its own only on ARM.
        """
        return self._package == "ai-edge-litert" or platform.machine() in {"aarch64", "arm64", "armv7l"}

    def embed(self, crop: Image) -> Floats:
        """The embedding (D,) of an aligned crop (112, 112, 3). Raises InferenceError: not finite, or nothing."""
        batch = np.ascontiguousarray(crop[np.newaxis], dtype=np.uint8)
        output = _called(self._embed, image=batch)["embedding"]
        vector = np.array(output, dtype=np.float32).reshape(-1)
        if not np.isfinite(vector).all():
            raise InferenceError("the model gave an embedding that is not finite", hint=_AGAIN)
        if not vector.any():  # by its distance it would be near to everybody
            raise InferenceError("the model gave an embedding of zeros", hint=_AGAIN)
        return vector

    def compare(self, probe: Floats, gallery: Floats) -> Floats:
        """Similarities (N,) in 0..1 of one embedding (D,) to N others (N, D); (0,) for an empty gallery."""
        if len(gallery) == 0:
            return np.zeros(0, dtype=np.float32)
        row = np.ascontiguousarray(probe[np.newaxis], dtype=np.float32)
        blocks = [gallery[begin : begin + _BLOCK_ROWS] for begin in range(0, len(gallery), _BLOCK_ROWS)]
        return np.concatenate([self._compare_block(row, block) for block in blocks])

    def _compare_block(self, row: Floats, block: Floats) -> Floats:
        output = _called(self._compare, probe=row, gallery=np.ascontiguousarray(block, dtype=np.float32))
        return np.array(output["similarity"], dtype=np.float32).reshape(-1)

    def verify(self, anchor: Image, validation: Image) -> float:
        """The similarity of two aligned crops by the whole network at once."""
        output = _called(
            self._verify,
            anchor=np.ascontiguousarray(anchor[np.newaxis], dtype=np.uint8),
            validation=np.ascontiguousarray(validation[np.newaxis], dtype=np.uint8),
        )
        return float(np.ravel(output["similarity"])[0])

    def _check_signatures(self, model: Path, found: dict[str, dict[str, list[str]]]) -> None:
        for name, (inputs, outputs) in SIGNATURES.items():
            has = found.get(name)
            if has is None or set(has["inputs"]) != set(inputs) or set(has["outputs"]) != set(outputs):
                raise ModelError(
                    f"{model}: signature {name!r} of the file is {has}, "
                    f"expected inputs {list(inputs)} and outputs {list(outputs)}",
                    hint=_AGAIN,
                )

    def _check_shapes(self, model: Path) -> None:
        image = self._embed.get_input_details()["image"]
        embedding = self._embed.get_output_details()["embedding"]
        size = self.manifest.embedding_size
        crop = [1, CROP_SIZE_PX, CROP_SIZE_PX, 3]
        if image["dtype"] is not np.uint8 or list(image["shape"]) != crop:
            raise ModelError(
                f"{model}: embed takes {np.dtype(image['dtype']).name} {image['shape'].tolist()}, "
                f"expected uint8 {crop}",
                hint=_AGAIN,
            )
        if list(embedding["shape"]) != [1, size]:
            raise ModelError(
                f"{model}: embeddings are {embedding['shape'].tolist()}, its manifest says [1, {size}]",
                hint=_AGAIN,
            )


def _called(runner: Callable[..., dict[str, Any]], **inputs: NDArray[Any]) -> dict[str, Any]:
    """What the model makes of `inputs`. Raises InferenceError where the runtime only now finds that it cannot."""
    try:
        return runner(**inputs)
    except (ValueError, RuntimeError) as error:
        raise InferenceError(f"the model cannot be run: {error}", hint=_AGAIN) from error
