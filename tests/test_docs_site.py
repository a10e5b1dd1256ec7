"""The documentation site is complete. ``scripts/docs`` builds it, and checks its links and anchors."""

import importlib
import inspect
import re
from pathlib import Path

import pytest
from test_docs import PACKAGES

ROOT = Path(__file__).parent.parent
MODULES = ("item2vec", *(f"item2vec.{name}" for name in (*PACKAGES, "contexts", "phrases", "translation")))


def documented():
    """Return the objects of the reference."""
    for page in sorted((ROOT / "docs" / "reference").glob("*.md")):
        for module, name in re.findall(r"^::: ([\w.]+)\.(\w+)$", page.read_text(), re.MULTILINE):
            yield getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("package", MODULES)
def test_every_public_name_is_in_the_reference(package):
    module = importlib.import_module(package)
    public = {name: getattr(module, name) for name in module.__all__}
    found = {id(value) for value in documented()}
    assert [n for n, value in public.items() if not inspect.ismodule(value) and id(value) not in found] == []


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


def test_every_page_is_in_the_navigation():
    text = (ROOT / "scripts" / "mkdocs.yml").read_text()
    listed = re.findall(r"^ +- (?:[^\n:]+: )?(\S+\.md)$", text, re.MULTILINE)
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted(pages)
