"""Documentation is executed: code blocks, commands, and the examples of public names."""

import doctest
import gzip
import importlib
import inspect
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

import item2vec

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = ("adapters", "errors", "evaluation", "metrics", "readers", "report", "store", "tuning")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if blocks(page, "sh") or blocks(page, "python")],
    ids=lambda page: page.name,
)
def test_code_blocks_run_from_top_to_bottom(page, tmp_path, monkeypatch, item2vec):
    """Run the commands of a page, then its Python blocks, in one folder with the sample data."""
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    shutil.copytree(ROOT / "tests" / "inputs", tmp_path / "tests" / "inputs")
    _shorten(tmp_path / "sample_data")
    for name in [name for name in os.environ if name.startswith("ITEM2VEC_")]:
        monkeypatch.delenv(name)
    # Smaller settings make the same commands several times as fast.
    monkeypatch.setenv("ITEM2VEC_EPOCHS", "3")
    monkeypatch.setenv("ITEM2VEC_VECTOR_SIZE", "48")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for block in blocks(page, "sh"):
        for is_command, lines in groupby(block.splitlines(), lambda line: line.startswith("item2vec ")):
            if not is_command:
                _run(["bash", "-e", "-c", "\n".join(lines)], tmp_path)
                continue
            for line in lines:
                # In this process: starting another takes a second.
                code, out, err = item2vec(*shlex.split(line)[1:])
                assert code == 0, f"{line}\n{out}\n{err}"
    for block in blocks(page, "python"):
        exec(compile(block, f"{page.name}: {block}", "exec"), {"__name__": "__main__"})


def _run(step: list[str], folder: Path) -> None:
    done = subprocess.run(step, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{step[-1]}\n{done.stdout}\n{done.stderr}"


def _shorten(folder: Path) -> None:
    """Keep 500 playlists, and the listens of 400 users to 500 items, to save time."""
    playlists, listens = folder / "playlists.jsonl", folder / "listens.csv.gz"
    playlists.write_text("".join(playlists.read_text().splitlines(keepends=True)[:500]))
    header, *rows = gzip.decompress(listens.read_bytes()).decode().splitlines(keepends=True)
    users = {f"u{number}" for number in range(1, 401)}
    items = {line.partition(",")[0] for line in (folder / "items.csv").read_text().splitlines()[1:501]}
    kept = [row for row in rows if row.split(",")[0] in users and row.split(",")[1] in items]
    listens.write_bytes(gzip.compress("".join([header, *kept]).encode()))


def commands() -> dict[str, list[str]]:
    """Return each command by its name, such as ``models list``."""
    import typer

    from item2vec.cli import app

    leaves, stack = {}, [("", typer.main.get_command(app))]
    while stack:
        words, command = stack.pop()
        children = getattr(command, "commands", {})
        stack += [(f"{words} {name}".strip(), child) for name, child in children.items()]
        if not children:
            leaves[words] = command
    return leaves


def test_the_command_reference_is_up_to_date():
    script = runpy.run_path(str(ROOT / "scripts" / "make_command_docs.py"))
    assert script["page"]() == script["PAGE"].read_text(), "run scripts/make_command_docs.py"


def test_every_command_in_the_docs_exists():
    known = commands()
    for page in PAGES:
        for line in re.findall(r"^(?:\$ )?item2vec ([^#\n]*)", page.read_text(), flags=re.MULTILINE):
            words = shlex.split(line)
            named = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in known), None)
            assert named, f"{page.name}: no command in {line!r}"
            flags = {flag for parameter in known[named].params for flag in parameter.opts}
            for word in words:
                assert not word.startswith("--") or word.split("=")[0] in flags, (
                    f"{page.name}: {word} in {line!r}"
                )


def test_every_command_has_an_example_and_json():
    for words, command in commands().items():
        assert f"item2vec {words}" in (command.help or ""), f"{words} --help has no example"
        assert any("--json" in parameter.opts for parameter in command.params), words


def public_names():
    packages = [item2vec, *(importlib.import_module(f"item2vec.{name}") for name in PACKAGES)]
    for package in packages:
        for name in package.__all__:
            value = getattr(package, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield pytest.param(value, id=f"{package.__name__}.{name}")


@pytest.mark.parametrize("value", list(public_names()))
def test_every_public_name_has_an_example(value):
    if inspect.isclass(value) and issubclass(value, Exception):
        assert value.__doc__
        return
    if getattr(value, "_is_protocol", False):
        return
    examples = doctest.DocTestFinder(recurse=False).find(value)
    assert examples, f"{value} has no docstring"
    assert any(test.examples for test in examples), f"{value} has no example"
