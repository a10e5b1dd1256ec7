"""The documentation site is complete. ``scripts/docs`` builds it, and checks its links and anchors."""

import importlib
import inspect
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from test_docs import PACKAGES

ROOT = Path(__file__).parent.parent
MODULES = (
    "item2vec",
    *(f"item2vec.{name}" for name in PACKAGES),
    *("item2vec.conditions", "item2vec.config", "item2vec.contexts", "item2vec.mapping", "item2vec.phrases"),
    *("item2vec.retraining", "item2vec.translation", "item2vec.versions"),
)
INTERNAL = {  # names of these modules that only item2vec itself uses
    "item2vec.conditions": {"Column", "Expression", "condition_of"},
    "item2vec.config": {
        *("DEFAULT_OBJECTIVE", "OBJECTIVES", "PLAIN_DECAY", "SETTINGS_OF_TRAINING"),
        *("AdapterSection", "IngestConfig", "ModelSettings", "Settings", "TrainSettings", "Training"),
        *("objectives_with", "of_its_objective"),
    },
    "item2vec.mapping": {"ItemMap", "MapArguments", "figure_of", "map_items"},
    "item2vec.versions": {
        "Attempt",
        "Live",
        "Overview",
        "attempt",
        "check_reason",
        "load_served",
        "overview",
    },
}
INTERNAL_RESULTS = {"Baseline", "Column", "Index", "Manifest", "NeighbourTable", "Parts", "Truth"}


def documented():
    """Return the objects of the reference."""
    for page in sorted((ROOT / "docs" / "reference").glob("*.md")):
        for module, name in re.findall(r"^::: ([\w.]+)\.(\w+)$", page.read_text(), re.MULTILINE):
            yield getattr(importlib.import_module(module), name, None)  # None for a module


@pytest.mark.parametrize("package", MODULES)
def test_every_public_name_is_in_the_reference(package):
    module = importlib.import_module(package)
    names = set(module.__all__) - INTERNAL.get(package, set())
    public = {name: getattr(module, name) for name in names}
    found = {id(value) for value in documented()}
    assert [n for n, value in public.items() if not inspect.ismodule(value) and id(value) not in found] == []


def results(value):
    """Yield the classes of item2vec that a public function, or a member of a public class, returns or is."""
    bases = [base for base in getattr(value, "__mro__", ()) if base.__module__.startswith("item2vec")]
    members = [one for base in bases for name, one in vars(base).items() if name[0] != "_"]
    if inspect.isfunction(value):
        members.append(value)
    hints = [(base, hint) for base in bases for hint in inspect.get_annotations(base).values()]
    for member in members:
        own = [getattr(member, name, None) for name in ("fget", "func", "__func__")]
        function = inspect.unwrap(next(filter(None, own), member))
        if inspect.isfunction(function):
            hints.append((function, inspect.get_annotations(function).get("return")))
    for owner, hint in hints:
        for name in re.findall(r"[A-Z]\w+", str(hint)):
            found = getattr(sys.modules[owner.__module__], name, None)
            if inspect.isclass(found) and found.__module__.startswith("item2vec"):
                yield found


def test_every_class_that_a_public_function_returns_is_in_the_reference():
    reference = [value for value in documented() if value is not None]
    found = {id(value) for value in reference}
    missing = {one.__name__ for value in reference for one in results(value) if id(one) not in found}
    assert missing - INTERNAL_RESULTS == set()


def test_the_guide_lists_the_settings_that_tune_searches():
    from item2vec.tuning.sampler import SPACES

    text = (ROOT / "docs" / "evaluate-and-tune.md").read_text()
    rows = re.findall(r"^  \| (`.*`) \| (`.*`) \|$", text, re.MULTILINE)
    listed = {tuple(re.findall(r"\w+", row)): {*re.findall(r"\w+", settings)} for row, settings in rows}
    setting_of = {"memory": "context_decay", "part_size": "vector_size"}
    searched = {}
    for family, space in SPACES.items():
        own = {setting_of.get(name, name) for name in space if name != "objective"}
        searched[space["objective"].choices if "objective" in space else (family,)] = own
    assert listed == searched


def test_every_route_is_in_the_page_of_http():
    from item2vec.service.routes import catalogue, events, explorer, operations, recommendations

    listed = re.findall(r"`([A-Z]+) (/\S*)`", (ROOT / "docs" / "http.md").read_text())
    routes = [
        (method, route.path)
        for module in (catalogue, events, explorer, operations, recommendations)
        for route in module.router.routes
        for method in route.methods
    ]
    assert set(listed) == {*routes, ("GET", "/openapi.json")}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_files_that_a_page_of_the_root_links_exist(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_dependency_but_annoy_is_in_the_commands_without_a_compiler():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    text = (ROOT / "docs" / "platforms.md").read_text()
    (listed,) = re.findall(r'^pip install ("alembic.*)$', text, re.MULTILINE)
    needed = {one.partition(";")[0] for one in dependencies if not one.startswith("annoy")}
    assert set(shlex.split(listed)) == needed


def navigation():
    """Return the pages of the navigation, in its order."""
    text = (ROOT / "scripts" / "mkdocs.yml").read_text()
    return re.findall(r"^ +- (?:[^\n:]+: )?(\S+\.md)$", text, re.MULTILINE)


def test_every_page_is_in_the_navigation():
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(navigation()) == sorted(pages)


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_page_links_every_guide(page):
    guides = {name for name in navigation() if "/" not in name} - {"index.md"}
    links = re.findall(r"\]\((?:docs/)?(\S+\.md)\)", (ROOT / page).read_text())
    assert guides - {*links} == set()
