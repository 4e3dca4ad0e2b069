"""The liveness network in TFLite; the line asks the Liveness port."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facelatch.adapters.models.tflite import load_runtime
from facelatch.errors import InferenceError, ModelError
from facelatch.ports import Liveness
from facelatch.values.liveness import Aliveness
from facelatch.values.pictures import Box, Image
from facelatch.vision.liveness import VIEW_PX, logit, view, views
from facelatch.vision.liveness_manifest import (
    AGAIN,
    CONVERT,
    SIGNATURE,
    extra_signature,
    load_extra,
    load_liveness,
)


class TfliteLiveness:
    """The Liveness port on a `liveness.tflite` and the manifest beside it."""

    def __init__(self, model: Path) -> None:
        """Loads the model. Raises ModelError: whatever `load_liveness` finds, no runtime, another network."""
        self.manifest, content = load_liveness(model)
        interpreters, package = load_runtime()
        try:
            interpreter = interpreters.Interpreter(model_content=content, num_threads=1)
            self._look = interpreter.get_signature_runner(SIGNATURE)
            image = self._look.get_input_details()["image"]
            logits = self._look.get_output_details()["logits"]
        except (ValueError, RuntimeError, SystemError, KeyError) as error:
            raise ModelError(f"{model}: {package} cannot load it: {error}", hint=AGAIN) from error
        if list(image["shape"]) != [1, VIEW_PX, VIEW_PX, 3] or list(logits["shape"]) != [1, 2]:
            raise ModelError(f"{model}: takes {image['shape']}, gives {logits['shape']}", hint=AGAIN)

    def look(self, image: Image, box: Box) -> Aliveness:
        """What all looks at one face say together. Raises InferenceError: not finite, or no answer."""
        logits = self.logits(views(image, box, self.manifest.looks)).mean(axis=0)
        return Aliveness(alive=float(logits[0]), screen=float(logits[1]))

    def logits(self, seen: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 2) for views (N, VIEW_PX, VIEW_PX, 3). Raises InferenceError."""
        rows = []
        for one in seen:
            try:
                rows.append(self._look(image=one[np.newaxis])["logits"].reshape(2))
            except (ValueError, RuntimeError) as error:
                raise InferenceError(f"the liveness network cannot be run: {error}", hint=AGAIN) from error
        logits = np.array(rows, np.float32).reshape(-1, 2)
        if not np.isfinite(logits).all():
            raise InferenceError("the liveness network gave an answer that is not finite", hint=AGAIN)
        return logits


class ExtraLiveness:
    """The owner's MiniFASNet pair: each network sees its own surroundings of the face."""

    def __init__(self, model: Path) -> None:
        """Loads the pair. Raises ModelError: whatever `load_extra` finds, no runtime, another network."""
        self._manifest, content = load_extra(model)
        interpreters, package = load_runtime()
        try:
            interpreter = interpreters.Interpreter(model_content=content, num_threads=1)
            self._looks = [
                (scale, interpreter.get_signature_runner(extra_signature(scale)))
                for scale in self._manifest.scales
            ]
            self.share(np.zeros((VIEW_PX, VIEW_PX, 3), np.uint8), Box(20, 20, 40, 40))
        except (ValueError, RuntimeError, SystemError, LookupError) as error:
            raise ModelError(f"{model}: {package} cannot use it: {error}", hint=CONVERT) from error

    def share(self, image: Image, box: Box) -> float:
        """The mean share of alive, 0 to 1."""
        answers = [
            look(image=view(image, box, scale)[np.newaxis].astype(np.float32))["shares"].reshape(-1)
            for scale, look in self._looks
        ]
        return float(np.mean([shares[self._manifest.live] for shares in answers]))


class Together:
    """The Liveness port on two networks whose errors differ: their logits are summed."""

    def __init__(self, own: Liveness, extra: ExtraLiveness) -> None:
        self._own, self._extra = own, extra

    def look(self, image: Image, box: Box) -> Aliveness:
        """The sum. Raises InferenceError: one of them gives no answer."""
        own = self._own.look(image, box)
        try:
            share = self._extra.share(image, box)
        except (ValueError, RuntimeError) as error:
            raise InferenceError(
                f"the extra liveness network cannot be run: {error}", hint=CONVERT
            ) from error
        if not np.isfinite(share):
            raise InferenceError("the extra liveness network gave an answer that is not finite", hint=CONVERT)
        return Aliveness(alive=own.alive + logit(share), screen=own.screen)
