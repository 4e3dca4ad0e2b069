"""Who may import whom: the rooms and their floors as data, read from the source. Each violation is a sentence."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
PACKAGES = {"facelatch": REPO / "daemon", "facelatch_training": REPO / "training"}

FLOORS: dict[str, tuple[str, ...]] = {
    "facelatch": (
        "errors values audit",
        "config ports private_files streams control decoder",
        "vision machines site sharing keeper console fleet",
        "line controller gallery ledger adapters.cameras adapters.models adapters.pins adapters.readers adapters.system"
        " adapters.fakes",
        "api",
        "app",
        "diagnosis",
        "cli",
        "__main__",
    ),
    "facelatch_training": (
        "recipe files montage",
        "data",
        "batches model",
        "judge",
        "fitting report finder",
        "export liveness",
        "chain",
        "cli",
    ),
}
"""Rooms from the ground up. A room may import what lies on lower floors, never a room on its own floor."""

NEVER = {"adapters.*": "machines site"}
"""What a room may not import although it lies lower: an adapter makes no decisions."""

TRAINING_KNOWS = """errors values audit config ports private_files control decoder vision gallery.names
                    adapters.models adapters.cameras adapters.system.clock cli.output"""
"""What the training may import of the daemon: it collects from the door's cameras, judges with its
networks, and prints as its commands do."""

VENDORS = {
    "PIL": "decoder.decoding",
    "pillow_heif": "decoder.heic",
    "numpy": "values decoder vision sharing.content line gallery adapters.* ports app diagnosis",
    "cv2": "vision adapters.cameras adapters.models.finder_* diagnosis.bench diagnosis.peer",
    "pydantic": "config vision.manifest vision.finder_manifest vision.liveness_manifest api gallery.export"
    " sharing.content",
    "click": "cli",
    "paho": "fleet.broker fleet.subscriber",
    "starlette uvicorn jinja2 markupsafe": "console",
    "picamera2 libcamera": "adapters.cameras.picamera2 adapters.cameras.identity",
    "gpiozero lgpio": "adapters.pins",
    "systemd": "adapters.system",
    "gpiod": "adapters.readers.wiegand",
    "evdev": "adapters.readers.hid",
    "webauthn": "console.passkeys",
    "argon2": "console gallery.credentials",
    "ai_edge_litert tflite_runtime": "adapters.models.tflite",
    "ncnn": "diagnosis.peer",
    "cryptography": "gallery.seal sharing console.authority",
    "pyrage": "gallery.age",
}
"""Third-party libraries of the daemon and where they may be imported, also by name through importlib."""

PURE = "values audit vision machines site line controller"
IMPURE_LIBRARIES = {
    "asyncio",
    "os",
    "random",
    "secrets",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "time",
}
"""What the line and the machines have no business with: they are given time and frames, and keep nothing."""

MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_POSITIONAL, MOST_UNNAMED = 300, 45, 6, 3
STATES = "machines site controller app line.search line.pipeline values.observations diagnosis"
TABLE_ROWS = {"machines.indicator.Row"}
"""Dataclasses whose instances are the rows of a table, read across: they may be made by position."""


def within(module: str, places: str) -> bool:
    """Whether `module` is one of `places` or lies in one; a place may end in a star."""
    return any(
        module == place or module.startswith(place.rstrip("*") if place.endswith("*") else f"{place}.")
        for place in places.split()
    )


def floor_of(package: str, module: str) -> tuple[int, str] | None:
    """The floor and the room that `module` lies in."""
    for floor, rooms in enumerate(FLOORS[package]):
        for room in rooms.split():
            if within(module, room):
                return floor, room
    return None


def sources(package: str) -> Iterator[tuple[str, Path]]:
    """Every module of `package`, named from inside it (`vision.align`)."""
    root = PACKAGES[package] / package
    for path in sorted(root.rglob("*.py")):
        if path != root / "__init__.py":
            yield ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"), path


def imports(source: str) -> Iterator[str]:
    """Every module a source names, wherever in the file: `import x`, `from x import y`, importlib by string."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "a relative import" if node.level else node.module or ""
            modules = [f"{base}.{alias.name}" for alias in node.names if _exists(f"{base}.{alias.name}")]
            yield from modules if len(modules) == len(node.names) else [base, *modules]
        elif isinstance(node, ast.Constant) and str(node.value).endswith(".interpreter"):
            yield str(node.value)


def _exists(name: str) -> bool:
    package, _, module = name.partition(".")
    path = PACKAGES.get(package, Path("/nowhere")) / package / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or path.is_dir()


def faults_of(package: str, module: str, source: str) -> list[str]:
    """What `module` of `package` imports and may not, in sentences."""
    if floor_of(package, module) is None:
        holds_rooms = any(room.startswith(f"{module}.") for room in " ".join(FLOORS[package]).split())
        return [] if holds_rooms else [f"{module} of {package} lies in no room: enter its room in FLOORS"]
    found = set()
    for name in set(imports(source)):
        top, _, inside = name.partition(".")
        if name == "a relative import":
            found.add(f"{module} has {name}: name the module in full")
        elif top == package and inside:
            found.add(_house_fault(package, module, inside))
        elif package == "facelatch":
            found.add(_daemon_fault(module, top))
        elif top == "facelatch" and inside and not within(inside, TRAINING_KNOWS):
            found.add(f"{module} of the training imports {inside} of the daemon")
    return sorted(fault for fault in found if fault)


def _house_fault(package: str, module: str, imported: str) -> str:
    here, there = floor_of(package, module), floor_of(package, imported)
    if here is None or there is None:
        return "" if imported == "adapters" else f"{module} imports {imported}, which lies in no room"
    if here[1] == there[1]:
        return ""
    sentence = f"{module} (floor {here[0]}) imports {imported} (floor {there[0]})"
    if any(within(module, room) and within(imported, barred) for room, barred in NEVER.items()):
        return f"{sentence}: an adapter knows no machine"
    if here[0] == there[0]:
        return f"{sentence}: rooms on one floor do not know each other"
    return "" if there[0] < here[0] else f"{sentence}: imports go down only"


def _daemon_fault(module: str, library: str) -> str:
    if library in ("facelatch_training", "tensorflow", "keras"):
        return f"{module} imports {library}, which belongs to the training"
    if library in sys.stdlib_module_names:
        pure = library in IMPURE_LIBRARIES and within(module, PURE)
        return f"{module} imports {library}, but it is pure: it is given time and frames" if pure else ""
    if library in ("facelatch", "__future__"):
        return ""
    allowed = next((places for names, places in VENDORS.items() if library in names.split()), None)
    if allowed is None:
        return f"{module} imports {library}, which no module of the daemon may: enter it in VENDORS"
    return (
        ""
        if within(module, allowed)
        else f"{module} imports {library}; only {', '.join(allowed.split())} may"
    )


MODULES = [(package, module, path) for package in PACKAGES for module, path in sources(package)]


@pytest.mark.parametrize(("package", "module", "path"), MODULES, ids=[f"{p}.{m}" for p, m, _ in MODULES])
def test_a_module_imports_only_what_its_room_may(package: str, module: str, path: Path):
    assert faults_of(package, module, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package: str):
    """Not even within a room, nor by an import inside a function."""
    known = {module for module, _ in sources(package)}
    knows: dict[str, set[str]] = {}
    for module, path in sources(package):
        named = {name.partition(".")[2] for name in imports(path.read_text(encoding="utf-8"))}
        knows[module] = (named & known) - {module}
    while leaves := {module for module, others in knows.items() if not others & knows.keys()}:
        knows = {module: others for module, others in knows.items() if module not in leaves}
    assert knows == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_table_names_no_room_that_is_gone(package: str):
    modules = [module for module, _ in sources(package)]
    rooms = " ".join(FLOORS[package]).split()
    assert [room for room in rooms if not any(within(module, room) for module in modules)] == []


def test_the_init_of_a_room_is_a_docstring_and_nothing_else():
    """Names that are passed on would load heavy libraries for `facelatch --help`."""
    for _, _, path in MODULES:
        if path.name == "__init__.py":
            (only,) = ast.parse(path.read_text(encoding="utf-8")).body
            assert isinstance(only, ast.Expr), path


@pytest.mark.parametrize(
    ("module", "source", "sentence"),
    [
        (
            "machines.session",
            "import facelatch.adapters.pins.lock",
            "imports adapters.pins.lock (floor 3): imports go",
        ),
        (
            "machines.session",
            "def f():\n    import facelatch.app.loop",
            "session (floor 2) imports app.loop (floor 5)",
        ),
        (
            "line.pipeline",
            "from facelatch.controller import step",
            "rooms on one floor do not know each other",
        ),
        ("adapters.pins.lock", "from facelatch.machines import door", "an adapter knows no machine"),
        ("adapters.pins.lock", "from facelatch.adapters.system import journal", "rooms on one floor"),
        ("machines.door", "import numpy", "machines.door imports numpy; only values, decoder"),
        ("line.match", "import cv2", "line.match imports cv2; only vision"),
        ("line.match", "import time", "line.match imports time, but it is pure"),
        (
            "app.loop",
            "import tflite_runtime.interpreter",
            "imports tflite_runtime; only adapters.models.tflite",
        ),
        ("app.loop", "x = load('ai_edge_litert.interpreter')", "app.loop imports ai_edge_litert; only"),
        ("app.run", "from facelatch_training import fit", "imports facelatch_training, which belongs"),
        ("app.run", "import requests", "app.run imports requests, which no module of the daemon may"),
        ("app.run", "from . import loop", "app.run has a relative import"),
        ("novel.thing", "", "novel.thing of facelatch lies in no room"),
    ],
)
def test_a_violation_would_be_seen(module: str, source: str, sentence: str):
    assert any(sentence in fault for fault in faults_of("facelatch", module, source))


def test_a_violation_of_the_training_would_be_seen():
    assert faults_of("facelatch_training", "data.crops", "from facelatch.app import loop") == [
        "data.crops of the training imports app.loop of the daemon"
    ]


def test_help_needs_no_heavy_library():
    """`facelatch --help` on a Pi must not wait for OpenCV."""
    heavy = "numpy cv2 PIL pydantic tflite_runtime ai_edge_litert gpiozero sqlite3"
    program = f"import sys, facelatch.cli.root; print(*[m for m in {heavy.split()} if m in sys.modules])"
    environment = {"PYTHONPATH": str(PACKAGES["facelatch"])}
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert answer.stdout.split() == []


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("package", "module", "path"), MODULES, ids=[f"{p}.{m}" for p, m, _ in MODULES])
def test_modules_functions_and_lists_of_arguments_stay_small(package: str, module: str, path: Path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MOST_LINES, "split it along meaning"
    for function in functions(ast.parse(text)):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= MOST_LINES_OF_A_FUNCTION, f"{function.name} has {lines} lines"
        decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
        if not any(".command" in name or ".group" in name for name in decorators):  # click calls by keyword
            positional = {argument.arg for argument in function.args.posonlyargs + function.args.args}
            assert len(positional - {"self", "cls"}) <= MOST_POSITIONAL, f"{function.name}: use keywords"


def states() -> dict[str, int]:
    """The dataclasses of the rooms of state, and how many fields each has."""
    found = {}
    for module, path in sources("facelatch"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.ClassDef)
                and within(module, STATES)
                and f"{module}.{node.name}" not in TABLE_ROWS
                and any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
            ):
                found[node.name] = sum(isinstance(part, ast.AnnAssign) for part in node.body)
    return found


def test_a_state_of_many_fields_is_made_by_keyword():
    """`Gathering(100.0, None, 0, 1, {...})` says nothing to whoever reads it, in tests least of all."""
    large = {name for name, fields in states().items() if fields > MOST_UNNAMED}
    assert "Gathering" in large
    found = []
    for path in [*(REPO / "daemon").rglob("*.py"), *(REPO / "tests" / "daemon").rglob("*.py")]:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        namesakes = (
            {node.name for node in nodes if isinstance(node, ast.ClassDef)}
            if "tests" in path.parts
            else set()
        )
        for node in nodes:
            name = ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""
            if name in large - namesakes and isinstance(node, ast.Call) and node.args:
                found.append(f"{path.relative_to(REPO)}:{node.lineno}: {ast.unparse(node.func)}")
    assert found == []
