"""The house's one rule: a room imports only from lower floors, and only the third-party packages it may.

Both are read from the imports themselves, those inside functions included. Besides: no modules import each
other in a circle, folders and files keep a size that people find their way in, and what recognises frames
imports nothing of what writes and decodes tokens.
"""

import ast
import functools
import graphlib
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

FLOORS = {
    "music": 0,
    **dict.fromkeys(("audio", "tokens", "model", "metrics"), 1),
    **dict.fromkeys(("checkpoints", "synthesis", "score"), 2),
    **dict.fromkeys(("transcription", "data"), 3),
    **dict.fromkeys(("training", "tasks", "bridges"), 4),
    "apps": 5,
}

ALLOWED_PACKAGES = {
    "music": {"numpy", "mido", "pretty_midi", "note_seq"},
    "audio": {"numpy", "jax", "soundfile", "soxr", "sounddevice", "av"},
    "tokens": {"numpy"},
    "model": {"numpy", "jax", "flax"},
    "metrics": {"numpy", "matplotlib"},
    "score": {"numpy", "jax", "flax", "partitura", "music21", "verovio", "cairosvg", "matplotlib"},
    "synthesis": {"numpy", "scipy", "jax", "soundfile", "soxr", "fluidsynth"},
    "checkpoints": {"numpy", "jax", "orbax", "tensorstore", "msgpack", "ml_dtypes"},
    "transcription": {"numpy", "jax", "flax", "matplotlib", "note_seq", "pretty_midi"},
    "training": {"numpy", "jax", "flax", "optax", "tensorboardX"},
    "data": {
        *{"numpy", "jax", "soundfile", "yaml", "array_record", "grain", "absl"},
        *{"tensorflow", "seqio", "tensorflow_datasets"},
    },
    "tasks": {"numpy", "tensorflow", "seqio", "tensorflow_datasets"},
    "bridges": {"numpy", "jax", "flax", "t5x", "tensorflow", "apache_beam", "seqio"},
    "apps": {"numpy", "gin", "optax", "soundfile"},
    "": set(),
}
"""Third-party packages by room; "" is the package itself (`mt3x/__init__.py`, `mt3x/__main__.py`)."""


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    if parts[0] == "tasks":
        return "tasks"
    return parts[1] if len(parts) > 2 else ""


@functools.cache
def imported_modules(path: Path) -> list[str]:
    """Absolute module names that a file imports anywhere; relative imports are not used in this project."""
    modules = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
    return modules


SOURCES = sorted([*(ROOT / "mt3x").rglob("*.py"), *(ROOT / "tasks").rglob("*.py")])


def forbidden_imports(room: str, modules: list[str]) -> list[str]:
    """Sentences about imports that the floors or `ALLOWED_PACKAGES` do not allow `room`."""
    found = []
    for module in modules:
        package, *rest = module.split(".")
        if package == "mt3x":
            other = rest[0] if rest else ""
            if room and other in FLOORS and other != room and FLOORS[other] >= FLOORS[room]:
                found.append(f"{room} (floor {FLOORS[room]}) imports mt3x.{other}")
        elif package not in sys.stdlib_module_names and package not in ALLOWED_PACKAGES[room]:
            found.append(f"{room} may not import {package}")
    return found


def test_every_source_file_is_in_a_room_of_the_house():
    assert len(SOURCES) > 20
    assert {room_of(path) for path in SOURCES} == ALLOWED_PACKAGES.keys() == {"", *FLOORS}


def test_imports_come_from_lower_floors():
    found = {path: forbidden_imports(room_of(path), imported_modules(path)) for path in SOURCES}
    assert not {str(path.relative_to(ROOT)): sentences for path, sentences in found.items() if sentences}


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SOURCES
    if path.is_relative_to(ROOT / "mt3x")
}


def imported_sources(path: Path) -> set[str]:
    """The names in `MODULES` of what a file imports."""
    found = set()
    for module in imported_modules(path):
        name = module if module in MODULES else module.rpartition(".")[0]
        found |= {name} & MODULES.keys()
    return found


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: imported_sources(path) - {name} for name, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


SCORE_WINGS = {"": 0, "rhythm": 1, "graphs": 1, "spelling": 2, "notation": 3, "io": 4}
"""The wings of score/ from the lowest; "" is what lies in the room itself, as score.py."""

SCORE_SOURCES = [path for path in SOURCES if path.is_relative_to(ROOT / "mt3x/score")]


def wing_of(module: str) -> str:
    """The wing of a module of score/: `mt3x.score.io.musicxml` -> `io`, `mt3x.score.score` -> ``."""
    wing, _, file = module.removeprefix("mt3x.score.").partition(".")
    return wing if file else ""


def test_wings_of_the_score_room_import_only_from_lower_wings():
    assert SCORE_SOURCES
    for path in SCORE_SOURCES:
        parts = path.relative_to(ROOT / "mt3x/score").parts
        wing = parts[0] if len(parts) > 1 else ""
        for module in imported_sources(path):
            if module.startswith("mt3x.score.") and (other := wing_of(module)) != wing:
                assert SCORE_WINGS[other] < SCORE_WINGS[wing], f"{wing or 'score'}/ imports {module}"


def test_files_and_folders_keep_their_size():
    long = {str(path.relative_to(ROOT)) for path in SOURCES if len(path.read_text().splitlines()) > 400}
    folders = [path.parent for path in SOURCES]
    wide = {str(folder.relative_to(ROOT)) for folder in folders if folders.count(folder) > 15}
    assert not long, "split a second idea off"
    assert not wide, "give the folder wings"


def test_the_frame_recogniser_imports_nothing_that_writes_or_decodes_tokens():
    allowed = {"mt3x.tokens.spec", "mt3x.tokens.report"}  # tables that every transcription needs
    others = ("mt3x.tokens.", "mt3x.transcription.tokens", "mt3x.model.decoding", "mt3x.model.policies")
    names = [name for name in MODULES if name.startswith("mt3x.transcription.frames")]
    assert names
    for name in names:
        found = imported_sources(MODULES[name]) - allowed
        assert not {other for other in found if other.startswith(others)}, name


def test_what_is_not_allowed_is_found(tmp_path):
    (tmp_path / "sample.py").write_text(
        "import json\nimport mt3x.music\ndef f():\n    from mt3x.apps import cli\n    import torch, numpy\n"
    )
    modules = imported_modules(tmp_path / "sample.py")
    assert modules == ["json", "mt3x.music", "mt3x.apps.cli", "torch", "numpy"]
    assert forbidden_imports("audio", modules) == [
        "audio (floor 1) imports mt3x.apps",
        "audio may not import torch",
    ]
    assert forbidden_imports("audio", ["mt3x.model.trunk"]) == ["audio (floor 1) imports mt3x.model"]
    assert forbidden_imports("", ["mt3x.apps.cli"]) == []
