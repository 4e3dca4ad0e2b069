"""Which files the door goes by when it finds and judges a face."""

from __future__ import annotations

from pathlib import Path

from facelatch.adapters.system.signature import signature_of
from facelatch.config.file import Config
from facelatch.config.line import FinderConfig, ModelConfig
from facelatch.config.liveness import LivenessConfig
from facelatch.config.shipped import model_file, shipped_file


def siamese_path(config: ModelConfig) -> Path:
    """The Siamese model the configuration names."""
    return model_file(config.path, "siamese.tflite")


def finder_path(config: FinderConfig) -> Path:
    """The face finder's network that the configuration names."""
    return model_file(config.model, "finder.tflite")


def liveness_path(config: LivenessConfig) -> Path:
    """The liveness network the configuration names."""
    return model_file(config.model, "liveness.tflite")


def models(config: Config) -> list[Path]:
    """The networks that the configuration uses and that have a manifest beside them."""
    finders = [finder_path(config.finder)] if config.finder.kind == "network" else []
    living = [liveness_path(config.liveness)] if config.liveness.level != "off" else []
    return [siamese_path(config.model), *finders, *living]


def deciding_files(config: Config) -> list[Path]:
    """Every file by which a face is found, judged or let pass as signed, whether it is there or not."""
    files = models(config)
    manifests = [model.with_suffix(".json") for model in files]
    files += [*manifests, *map(signature_of, manifests)]
    files.append(siamese_path(config.model).with_suffix(".cohort"))
    others = [config.finder.model if config.finder.kind == "yunet" else ""]
    others.append(config.liveness.extra_model if config.liveness.level != "off" else "")
    return [*files, *(Path(one) for one in others if one), *allowed_signers(config.model)]


def allowed_signers(config: ModelConfig) -> tuple[Path, ...]:
    """The files with the keys of those who may sign."""
    return shipped_file("models", "allowed_signers"), Path(config.allowed_signers)
