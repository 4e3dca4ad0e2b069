"""Who may import whom, as data, read from the source. Each violation is a sentence."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
DAEMON = REPO / "daemon" / "facelatch"
TRAINING = REPO / "training" / "facelatch_training"

LAYERS: dict[int, str] = {
    # The nouns.
    0: "__init__ errors values",
    # Each a stop of the line, a machine, or a fact; they know the nouns and hardly one another.
    1: """align audit button config crop_png door enrolment enrolment_states finder_decode finder_refine freshness
          images indicator letterbox manifest match person_name quality references search search_picture select_face
          session wire""",
    # What the house needs of the world, what it keeps, and what joins machines into one state.
    2: """changes gallery gallery_embeddings gallery_export gallery_place gallery_rows gallery_schema ports
          situation""",
    3: "capture controller people pipeline",
    4: "adapters/* remote still_images",
    5: "loop",
    6: "app replay_lines",
    7: "bench check cli cli_people cli_try",
    8: "__main__",
}
"""A module may import what lies in lower layers. A new module has to be entered here."""

SHARED_WITHIN_LAYER_1 = {
    "align": "the size of a crop and where landmarks lie in it are facts",
    "config": "the section of the configuration that a stop or machine goes by is one of its inputs",
}

BESIDE = {
    ("enrolment", "enrolment_states"): "a machine and its states",
    ("gallery*", "gallery*"): "one store in several files",
    ("cli*", "cli*"): "one command line in several files",
    ("check", "cli*"): "commands",
    ("bench", "cli*"): "commands",
    ("cli*", "check"): "commands",
    ("cli*", "bench"): "commands",
    ("adapters.gpio", "adapters.pin_factory"): "one vendor in two files",
    ("adapters.finder_tflite", "adapters.tflite"): "one vendor, two networks",
    ("adapters.verifier_tflite", "adapters.tflite"): "one vendor, two networks",
}
"""Within one layer nothing else is imported: importer, imported, and why it may."""

ADAPTERS_KNOW = 2
"""The highest layer an adapter may import, although it lies higher itself: it makes no decisions."""

TRAINING_KNOWS = ("adapters.finder_*", "adapters.verifier_tflite", "adapters.camera_*", "adapters.clock")
"""What the training may import of the daemon besides layers 0 to 2: it collects from the door's own cameras and
judges with the door's own finder and verifier."""

VENDORS: dict[str, str] = {
    "numpy": "*",
    "cv2": """align quality images letterbox crop_png search_picture bench
              adapters.camera_* adapters.finder_cascade adapters.finder_yunet""",
    "pydantic": "config manifest people gallery_export adapters.finder_tflite",
    "click": "cli*",
    "picamera2": "adapters.camera_picamera2",
    "libcamera": "adapters.camera_picamera2",
    "gpiozero": "adapters.gpio adapters.pin_factory",
    "lgpio": "adapters.gpio adapters.pin_factory",
    "systemd": "adapters.journal adapters.systemd",
    "ai_edge_litert": "adapters.tflite",
    "tflite_runtime": "adapters.tflite",
    "ncnn": "bench",
}
"""Third-party libraries of the daemon, and which modules may import them, also by name through importlib."""

STDLIB_ONLY = "errors session door enrolment enrolment_states indicator button freshness audit changes situation"
"""The machines: no vendor at all, not even numpy."""

PURE = f"""{STDLIB_ONLY} values align quality select_face match letterbox finder_decode finder_refine search
           pipeline controller"""
IMPURE_LIBRARIES = {"asyncio", "os", "random", "secrets", "socket", "sqlite3", "subprocess", "threading", "time"}
"""What the line and the machines have no business with: they are given time and frames, and keep nothing."""


def matches(module: str, patterns: str | tuple[str, ...]) -> bool:
    names = patterns.split() if isinstance(patterns, str) else patterns
    return any(module == name or (name.endswith("*") and module.startswith(name[:-1])) for name in names)


def layer_of(module: str) -> int | None:
    if module.startswith("adapters"):
        return 4
    return next((layer for layer, names in LAYERS.items() if module in names.split()), None)


def imports(source: str) -> Iterator[str]:
    """Every module a source names, wherever in the file: `import x`, `from x import y`, importlib by string."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "facelatch" if node.level else node.module or ""
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).endswith(".interpreter"):
            yield str(node.value)


def house_module(name: str) -> str | None:
    """`facelatch.machines.session.advance` -> `session`; `facelatch.adapters.pins.lock.GpioLock` -> `adapters.gpio`."""
    parts = name.split(".")
    if parts[0] != "facelatch" or len(parts) < 2:
        return None
    if parts[1] == "adapters":
        return ".".join(parts[1:3])
    return parts[1] if (DAEMON / f"{parts[1]}.py").exists() else "__init__"


def faults_of(module: str, source: str) -> list[str]:
    """What `module` of the daemon imports and may not, in sentences."""
    layer = layer_of(module)
    if layer is None:
        return [f"{module}.py has no layer: enter it in LAYERS"]
    found = []
    for name in sorted(set(imports(source))):
        top = name.split(".")[0]
        inside = house_module(name)
        if inside is not None and inside not in (module, "adapters"):
            found += _house_fault(module, layer, inside)
        elif top in ("facelatch_training", "tensorflow", "keras"):
            found.append(f"{module}.py imports {top}, which belongs to the training")
        elif top not in sys.stdlib_module_names and top not in ("facelatch", "__future__"):
            found += _vendor_fault(module, top)
        elif top in IMPURE_LIBRARIES and matches(module, PURE):
            found.append(f"{module}.py imports {top}, but it is pure: it is told time and frames, and does no I/O")
    return sorted(set(found))


def _house_fault(module: str, layer: int, imported: str) -> list[str]:
    other = layer_of(imported)
    sentence = f"{module}.py (layer {layer}) imports {imported} (layer {other})"
    if any(matches(module, a) and matches(imported, b) for a, b in BESIDE):
        return []
    if module.startswith("adapters."):
        allowed = other is not None and other <= ADAPTERS_KNOW and not imported.startswith("gallery")
        return [] if allowed else [f"{sentence}, but an adapter knows only layers 0 to {ADAPTERS_KNOW}, no gallery"]
    if other is not None and (other < layer or (layer == other == 1 and imported in SHARED_WITHIN_LAYER_1)):
        return []
    return [sentence]


def _vendor_fault(module: str, library: str) -> list[str]:
    if matches(module, STDLIB_ONLY):
        return [f"{module}.py imports {library}, but a machine uses the standard library only"]
    if library not in VENDORS:
        return [f"{module}.py imports {library}, which no module of the daemon may: enter it in VENDORS"]
    if not matches(module, VENDORS[library]):
        return [f"{module}.py imports {library}; only {', '.join(VENDORS[library].split())} may"]
    return []


def training_faults(name: str, source: str) -> list[str]:
    """What a module of the training imports of the daemon and may not."""
    found = []
    for inside in sorted({module for module in map(house_module, imports(source)) if module}):
        layer = layer_of(inside)
        if not ((layer is not None and layer <= 2) or matches(inside, TRAINING_KNOWS)):
            found.append(f"{name} of the training imports {inside} (layer {layer}) of the daemon")
    return found


def modules() -> list[tuple[str, Path]]:
    return [
        (".".join(path.relative_to(DAEMON).with_suffix("").parts), path)
        for path in sorted(DAEMON.rglob("*.py"))
        if path.name != "__init__.py" or path.parent == DAEMON
    ]


@pytest.mark.parametrize(("module", "path"), modules(), ids=[module for module, _ in modules()])
def test_a_module_imports_only_what_its_layer_may(module: str, path: Path):
    assert faults_of(module, path.read_text(encoding="utf-8")) == []


def test_the_training_imports_only_the_pure_part_of_the_daemon_and_its_models():
    found = []
    for path in sorted(TRAINING.rglob("*.py")):
        found += training_faults(str(path.relative_to(TRAINING)), path.read_text(encoding="utf-8"))
    assert found == []


def test_the_table_names_no_module_that_is_gone():
    known = {module for module, _ in modules()}
    named = {name for names in LAYERS.values() for name in names.split()} - {"adapters/*"}
    assert named - known == set()


@pytest.mark.parametrize(
    ("module", "source", "sentence"),
    [
        ("session", "import facelatch.adapters.gpio", "session.py (layer 1) imports adapters.gpio (layer 4)"),
        ("session", "def f():\n    import facelatch.app.loop", "session.py (layer 1) imports loop (layer 5)"),
        ("pipeline", "from facelatch import controller", "pipeline.py (layer 3) imports controller (layer 3)"),
        ("door", "import numpy", "door.py imports numpy, but a machine uses the standard library only"),
        ("match", "import cv2", "match.py imports cv2; only align, quality"),
        ("match", "import time", "match.py imports time, but it is pure"),
        ("match", "from facelatch import session", "match.py (layer 1) imports session (layer 1)"),
        ("adapters.gpio", "from facelatch.adapters import journal", "gpio.py (layer 4) imports adapters.journal"),
        ("adapters.gpio", "from facelatch.gallery.store import Gallery", "an adapter knows only layers 0 to 2, no gallery"),
        ("loop", "import tflite_runtime.interpreter", "loop.py imports tflite_runtime; only adapters.tflite"),
        ("loop", "x = load('ai_edge_litert.interpreter')", "loop.py imports ai_edge_litert; only"),
        ("app", "from facelatch_training import fit", "app.py imports facelatch_training, which belongs"),
        ("app", "import requests", "app.py imports requests, which no module of the daemon may"),
        ("novel", "", "novel.py has no layer"),
    ],
)
def test_a_violation_would_be_seen(module: str, source: str, sentence: str):
    assert any(sentence in fault for fault in faults_of(module, source))


def test_a_violation_of_the_training_would_be_seen():
    assert training_faults("fit.py", "from facelatch import loop") == [
        "fit.py of the training imports loop (layer 5) of the daemon"
    ]


def test_help_needs_no_heavy_library():
    """`facelatch --help` on a Pi must not wait for OpenCV."""
    heavy = "numpy cv2 pydantic tflite_runtime ai_edge_litert gpiozero sqlite3"
    program = f"import sys, facelatch.cli.root; print(*[m for m in {heavy.split()} if m in sys.modules])"
    environment = {"PYTHONPATH": str(DAEMON.parent)}
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert answer.stdout.split() == []
