"""Imports go only to lower layers, never in cycles, and one module imports each heavy library."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import item2vec

PACKAGE = Path(__file__).parent.parent / "item2vec"

LAYERS = [
    {"arrays", "deprecated", "errors", "kinds"},
    {"arguments", "figures", "types", "files", "matrices", "notebook", "progress", "ranking"}
    | {"durations", "opening", "processes", "conditions", "direction", "json_values"},
    {"curve", "interactions", "config", "metrics", "items", "kernels", "lines", "markup", "outputs", "rules"}
    | {"shards"},
    {"sentences", "graph", "catalogue", "layouts", "word2vec_files", "geometry"}
    | {"keyed_vectors", "vector_folders"},
    {"histories", "sharded", "shaping", "vectors"},
    {"taste", "row_rules", "cold", "mapping", "neighbours", "interests", "phrases", "contexts"}
    | {"translation"},
    {"readers", "training", "index", "prior", "dislikes"},
    {"adapters", "answers", "bundle", "bonuses", "sources", "user_vectors"},
    {"described", "model_parts", "selection"},
    {"ranker", "extension", "item_queries"},
    {"recommender"},
    {"corpus", "fitting", "evaluation", "periods", "versions", "store"},
    {"catalogue_cache", "report", "tuning", "view"},
    {"together"},
    {"preparation"},
    {"batch", "engine", "retraining"},
    {"service", "spark"},
    {"cli"},
]
IMPORTERS = {
    "gensim": "training/gensim_trainer.py",
    "numba": "kernels/",
    "llvmlite": "kernels/",
    "annoy": "index/annoy.py",
    "faiss": "index/faiss.py",
    "pandas": "readers/",
    "pyarrow": ("readers/", "shards/", "spark/"),
    "duckdb": "corpus/database.py",
    "pyspark": "spark/",
    "sqlalchemy": "store/",
    "alembic": "store/",
    "rich": "progress.py",
    "IPython": "progress.py",
    "optuna": "tuning/sampler.py",
    "jinja2": "report/",
    "plotly": "figures/",
    "matplotlib": "mapping/picture.py",
    "scipy": ("training/", "tuning/finalists.py"),
    "openTSNE": "mapping/tsne.py",
    "umap": "mapping/umap.py",
    "tomlkit": "cli/tune.py",
    "typer": "cli/",
    "pydantic": ("config/", "bundle/", "cli/", "service/"),
    "fastapi": "service/",
    "starlette": "service/",
    "uvicorn": "service/",
    "prometheus_client": "service/",
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


@cache
def tree_of(source: Path) -> ast.Module:
    return ast.parse(source.read_text())


@cache
def imports_of(source: Path, *, type_checking: bool = False) -> frozenset[str]:
    """Return the dotted names that a file imports, inside functions, too.

    Imports under ``if TYPE_CHECKING`` are included only with ``type_checking``.
    """
    tree = tree_of(source)
    skipped = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If)
        and getattr(branch.test, "id", "") == "TYPE_CHECKING"
        and not type_checking
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
    return frozenset(names)


def package_of(source: Path) -> str:
    """Return the first name below ``item2vec``: a package, or a module at the top level."""
    return source.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer_of(package: str) -> int:
    return next(number for number, packages in enumerate(LAYERS) if package in packages)


def module_of(source: Path) -> str:
    parts = source.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def import_graph() -> dict[str, set[str]]:
    """Return the modules that each module imports, inside functions and for type checking, too.

    The root package is left out, because it loads its public names on first use. An import of such a name
    counts as an import of the module that defines it.
    """
    modules = {module_of(source): source for source in SOURCES}
    del modules["item2vec"]
    graph = {}
    for module, source in modules.items():
        names = imports_of(source, type_checking=True)
        public = {
            f"item2vec.{defining}"
            for name, defining in item2vec._MODULE_OF.items()
            if f"item2vec.{name}" in names
        }
        resolved = {name if name in modules else name.rpartition(".")[0] for name in names}
        graph[module] = ((resolved | public) & modules.keys()) - {module}
    return graph


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one import cycle, in the order of import; empty if there is none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        done.add(module)
        return next(filter(None, (visit(name, [*path, module]) for name in sorted(graph[module]))), [])

    return next(filter(None, (visit(module, []) for module in sorted(graph))), [])


def test_every_package_has_a_layer():
    packages = {package_of(source) for source in SOURCES} - {"__init__", "__main__"}
    assert packages == set().union(*LAYERS)


def not_lower(source: Path) -> list[str]:
    """Return the imports of a file from other packages that are not in a lower layer."""
    package = package_of(source)
    if package in {"__init__", "__main__"}:
        return []
    found = []
    for name in sorted(imports_of(source)):
        parts = name.split(".")
        if parts[0] != "item2vec" or len(parts) == 1 or parts[1] in {package, "__version__"}:
            continue
        imported = item2vec._MODULE_OF.get(parts[1], parts[1])
        if layer_of(imported) >= layer_of(package):
            found.append(f"{module_of(source)} imports {name}")
    return found


def test_imports_go_only_to_lower_layers():
    assert [line for source in SOURCES for line in not_lower(source)] == []


def test_a_cycle_of_imports_is_named():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_the_import_graph_has_no_cycle():
    cycle = find_cycle(import_graph())
    assert not cycle, " → ".join(cycle)


def test_one_module_imports_each_heavy_library():
    found = [
        (path, name)
        for source in SOURCES
        for path in [source.relative_to(PACKAGE).as_posix()]
        for name in sorted(imports_of(source))
        if not path.startswith(IMPORTERS.get(name.split(".")[0], ""))
    ]
    assert found == []


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, item2vec; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {*IMPORTERS, "numpy", "scipy"} & set(loaded)


def test_every_public_name_is_importable():
    for name in item2vec.__all__:
        assert getattr(item2vec, name) is not None
    assert sorted(item2vec.__all__) == sorted(set(item2vec.__all__))
    with pytest.raises(AttributeError, match="no attribute 'recomender'"):
        _ = item2vec.recomender


def test_files_are_short():
    lines = {str(source): len(source.read_text().splitlines()) for source in SOURCES}
    assert {source: n for source, n in lines.items() if n > 400} == {}
