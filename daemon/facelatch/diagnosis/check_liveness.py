"""What `facelatch check` says of the door's asking for a living face."""

from __future__ import annotations

from facelatch.app import build, model_files
from facelatch.config.line import ModelConfig
from facelatch.config.liveness import LivenessConfig
from facelatch.diagnosis.finding import Finding
from facelatch.vision.liveness_manifest import load_liveness

_OFF = "off: a good photograph of somebody enrolled opens the door"
_ASKS = {
    "never": "",
    "doubt": "; whoever is in doubt has to turn the head {turns} times",
    "always": "; everybody has to turn the head {turns} times",
}
_OFF_HINT = 'liveness.level = "basic" asks for a living face; models/liveness.md says what that is worth'


def finding(config: LivenessConfig, models: ModelConfig) -> str | Finding:
    """The level with its rates, once the network has answered; a warning where it is off. Raises ModelError."""
    asks = _ASKS[config.ask].format(turns=config.turns)
    if build.build_liveness(config, models) is None:
        if config.ask == "always":
            return f"off{asks}: a recording guesses that once in {2**config.turns} requests"
        return Finding(item="liveness", ok=True, detail=_OFF, hint=_OFF_HINT, warning=True)
    manifest = load_liveness(model_files.liveness_path(config))[0]
    level = build.liveness_level(config, manifest, config.level)
    return (
        f"{config.level}, {manifest.model_sha256[:12]}, threshold {level.threshold:.2f}: of unknown cameras "
        f"{level.apcer:.0%} of attacks pass a single look, {level.bpcer:.0%} of the living do not{asks}"
    )
