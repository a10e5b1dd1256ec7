"""Imports go only downwards, and each heavy library has one door."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import item2vec

PACKAGE = Path(__file__).parent.parent / "item2vec"

LAYERS = [
    {"arrays", "errors"},
    {"types", "files", "progress", "ranking", "durations", "processes"},
    {"interactions", "config", "metrics", "items", "kernels"},
    {"sentences", "graph", "catalogue"},
    {"vectors", "shaping", "neighbours"},
    {"taste"},
    {"readers", "training", "index", "prior"},
    {"adapters", "bundle", "bonuses"},
    {"recommender"},
    {"fitting", "evaluation", "versions", "store"},
    {"engine", "report", "tuning"},
    {"retraining"},
    {"cli"},
]
DOORS = {
    "gensim": "training/gensim_trainer.py",
    "numba": "kernels/",
    "llvmlite": "kernels/",
    "annoy": "index/annoy.py",
    "pandas": "readers/",
    "pyarrow": "readers/",
    "sqlalchemy": "store/",
    "alembic": "store/",
    "rich": "progress.py",
    "optuna": "tuning/search.py",
    "jinja2": "report/",
    "plotly": "report/",
    "openTSNE": "report/",
    "tomlkit": "cli/tune.py",
    "typer": "cli/",
    "pydantic": ("config/", "bundle/", "cli/"),
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def imports_of(source: Path) -> set[str]:
    """Dotted names of all modules that a file imports, wherever in it, but for type checking alone."""
    tree = ast.parse(source.read_text())
    skipped = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and getattr(branch.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room_of(source: Path) -> str:
    return source.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer_of(room: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def test_every_room_has_its_layer():
    rooms = {room_of(source) for source in SOURCES} - {"__init__", "__main__"}
    assert rooms == set().union(*LAYERS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(PACKAGE)))
def test_imports_go_only_downwards(source):
    room = room_of(source)
    if room in {"__init__", "__main__"}:
        return
    for name in imports_of(source):
        parts = name.split(".")
        if parts[0] != "item2vec" or len(parts) == 1 or parts[1] in {room, "__version__"}:
            continue
        imported = item2vec._ROOM_OF.get(parts[1], parts[1])
        assert layer_of(imported) < layer_of(room), (
            f"{source.name} ({room}) imports {name}, which is not below it"
        )


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(PACKAGE)))
def test_each_heavy_library_has_one_door(source):
    path = source.relative_to(PACKAGE).as_posix()
    for name in imports_of(source):
        door = DOORS.get(name.split(".")[0])
        assert door is None or path.startswith(door), f"{path} imports {name}; its door is {door}"


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, item2vec; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {*DOORS, "numpy", "scipy"} & set(loaded)


def test_every_public_name_can_be_had():
    for name in item2vec.__all__:
        assert getattr(item2vec, name) is not None
    assert item2vec.__all__ == sorted(item2vec.__all__)
    with pytest.raises(AttributeError, match="no attribute 'recomender'"):
        _ = item2vec.recomender


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(PACKAGE)))
def test_files_are_short(source):
    assert len(source.read_text().splitlines()) <= 400
