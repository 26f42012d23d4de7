"""Rooms keep apart, files stay small, imports stay cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "graftwork"
FILES = sorted(SRC.rglob("*.py"))
LINES, LOOP_LINES = 400, 200
LOOPS = {"training/loop.py", "pipeline/run.py", "pipeline/train.py", "pipeline/evaluate.py", "pipeline/prepare.py"}

MAY_IMPORT = {
    "core": set(),
    "base": {"core"},
    "data": {"core"},
    "registry": {"core"},
    "adapters": {"core", "base"},
    "planning": {"core", "base", "data", "adapters"},
    "training": {"core", "base", "data", "adapters"},
    "evaluation": {"core", "base", "data"},
    "serving": {"core", "base", "data", "adapters", "registry"},
    "pipeline": {"core", "base", "data", "adapters", "planning", "training", "evaluation", "serving", "registry"},
    "cli": {
        "core",
        "base",
        "data",
        "adapters",
        "planning",
        "training",
        "evaluation",
        "serving",
        "registry",
        "pipeline",
    },
}

WITHOUT_TORCH = (
    "graftwork",
    "graftwork.core.spec",
    "graftwork.core.recipe",
    "graftwork.core.files",
    "graftwork.base.facts",
    "graftwork.base.roles",
    "graftwork.base.fingerprint",
    "graftwork.base.locate",
    "graftwork.base.bundled",
    "graftwork.data.sources",
    "graftwork.data.split",
    "graftwork.data.encode",
    "graftwork.data.batches",
    "graftwork.adapters.methods",
    "graftwork.adapters.targets",
    "graftwork.adapters.ranks",
    "graftwork.training.spec",
    "graftwork.training.report",
    "graftwork.planning.plan",
    "graftwork.planning.known",
    "graftwork.pipeline.plan",
    "graftwork.evaluation.estimate",
    "graftwork.evaluation.answers",
    "graftwork.evaluation.result",
    "graftwork.evaluation.summary",
    "graftwork.evaluation.certificate.document",
    "graftwork.evaluation.dimensions",
    "graftwork.pipeline.recipes",
    "graftwork.pipeline.run",
    "graftwork.pipeline.resume.certificate",
    "graftwork.registry.naming",
    "graftwork.registry.place",
    "graftwork.cli.main",
    "graftwork.cli.watching",
    "graftwork.cli.views",
)


def imports(path):
    """Every module that a file imports, inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name(path):
    return str(path.relative_to(SRC))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_imports_only_from_rooms_below_its_own(path):
    room = path.relative_to(SRC).parts[0]
    if room == "__init__.py":
        return
    seen = {m.removeprefix("graftwork.").split(".")[0] for m in imports(path) if m.startswith("graftwork.")}
    allowed = MAY_IMPORT[room] | {room, "__version__"}
    assert not seen - allowed, f"{room} may not import {seen - allowed}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_is_small_and_says_what_it_is(path):
    text = path.read_text("utf-8")
    cap = LOOP_LINES if name(path) in LOOPS else LINES
    assert len(text.splitlines()) <= cap
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_public_function_and_class_says_what_it_is(path):
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{name(path)}: {node.name}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_function_is_longer_than_sixty_lines(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{name(path)}: {node.name}"


def test_what_needs_no_torch_does_not_load_it():
    program = f"import sys\nfor m in {WITHOUT_TORCH!r}:\n  __import__(m)\n  assert 'torch' not in sys.modules, m"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_room_of_the_picture_that_exists_is_known_here():
    rooms = {p.name for p in SRC.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert rooms == MAY_IMPORT.keys()
