"""Documentation is executed: code blocks, commands, and the examples of public names."""

import csv
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
from nights import InProcessWorker

import item2vec

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = (
    *("adapters", "corpus", "errors", "evaluation", "metrics", "readers", "report"),
    *("spark", "store", "tuning"),
)
QUICK = "README.md"
NO_PAGES = "[retention]\npages = false\n"
OF_SPARK = ROOT / "docs" / "spark.md"  # its blocks are run by test_spark.py


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """Return the code blocks in a language, each with the block of its output, if one follows."""
    pattern = rf"^```{language}\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?"
    return re.findall(pattern, page.read_text(), flags=re.MULTILINE | re.DOTALL)


def form(output: str) -> list[list[str]]:
    """Return the parts of an output that do not depend on the data.

    These are all columns of a line without a number, which is a header; the first column of a row, and the
    first word of a sentence. Numbers and the ids of versions are replaced.

    >>> form("rank  item\\n   1  blue-harbour\\n\\nversion  g0000000001-70977a7c\\nndcg is 0.2, and so on")
    [['rank', 'item'], ['#'], ['version'], ['ndcg']]
    """
    found = []
    for line in filter(None, map(str.strip, output.splitlines())):
        columns = re.split(r"\s{2,}", line)
        if re.search(r"\d", line):
            columns = columns[:1] if len(columns) > 1 else line.split()[:1]
        found.append([re.sub(r"-[0-9a-f]{8}\b|[\d.,]+", "#", column) for column in columns])
    return found


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[] if page.name == QUICK else [pytest.mark.slow])
        for page in PAGES
        if page != OF_SPARK and (blocks(page, "sh") or blocks(page, "python"))
    ],
)
def test_code_blocks_run_from_top_to_bottom(page, tmp_path, monkeypatch, capsys, item2vec):
    """Run the commands of a page, then its Python blocks, in one folder with the sample data.

    The form of an output that the page shows is that of the output of the block before it. The page leaves no
    settings behind, so that the pages can be typed one after another in one folder.
    """
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    shutil.copytree(ROOT / "tests" / "inputs", tmp_path / "tests" / "inputs")
    shorten(tmp_path / "sample_data")
    for name in [name for name in os.environ if name.startswith("ITEM2VEC_")]:
        monkeypatch.delenv(name)
    # In this process: starting another takes two seconds.
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
    # Smaller settings make the same commands several times as fast.
    monkeypatch.setenv("ITEM2VEC_EPOCHS", "3")
    monkeypatch.setenv("ITEM2VEC_VECTOR_SIZE", "48")
    # The HTML page of a nightly run takes longer than its other steps; a page may replace the file.
    settings = tmp_path / "item2vec.toml"
    settings.write_text(NO_PAGES)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for block, shown in blocks(page, "sh"):
        printed = ""
        for is_command, lines in groupby(block.splitlines(), lambda line: line.startswith("item2vec ")):
            if not is_command:
                printed += _run(["bash", "-e", "-c", "\n".join(lines)], tmp_path)
                continue
            for line in lines:
                code, out, err = item2vec(*shlex.split(line)[1:])
                assert code == 0, f"{line}\n{out}\n{err}"
                printed += out
        assert not shown or form(printed) == form(shown), block
    names = {"__name__": "__main__"}
    for block, shown in blocks(page, "python"):
        exec(compile(block, f"{page.name}: {block}", "exec"), names)
        printed = capsys.readouterr().out
        assert not shown or form(printed) == form(shown), block
    left = settings.read_text() if settings.exists() else NO_PAGES
    assert left == NO_PAGES, "the next page would read these settings: remove item2vec.toml at the end"


def _run(step: list[str], folder: Path) -> str:
    done = subprocess.run(step, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{step[-1]}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def shorten(folder: Path) -> None:
    """Keep 500 playlists, and the listens of 400 users to 500 items, to save time."""
    playlists, listens = folder / "playlists.jsonl", folder / "listens.csv.gz"
    playlists.write_text("".join(playlists.read_text().splitlines(keepends=True)[:500]))
    header, *rows = gzip.decompress(listens.read_bytes()).decode().splitlines(keepends=True)
    users = {f"u{number}" for number in range(1, 401)}
    items = {line.partition(",")[0] for line in (folder / "items.csv").read_text().splitlines()[1:501]}
    kept = [row for row in rows if row.split(",")[0] in users and row.split(",")[1] in items]
    listens.write_bytes(gzip.compress("".join([header, *kept]).encode()))


def test_songs_that_pages_show_exist():
    """The rows of items in shown outputs are those of the sample data."""
    rows = list(csv.reader((ROOT / "sample_data" / "items.csv").read_text().splitlines()))
    known = {tuple(row) for row in rows[1:]}
    shown = [
        columns[1:7]
        for page in PAGES
        for _, output in blocks(page, "sh")
        for columns in (re.split(r"\s{2,}", line.strip()) for line in output.splitlines())
        if len(columns) >= 8 and columns[0].isdigit()
    ]
    assert shown
    assert [row for row in shown if tuple(row) not in known] == []


def commands() -> dict[str, list[str]]:
    """Return each command by its name, such as ``models list``."""
    import typer

    from item2vec.cli import app

    leaves, stack = {}, [("", typer.main.get_command(app))]
    while stack:
        words, command = stack.pop()
        children = getattr(command, "commands", {})
        stack += [(f"{words} {name}".strip(), child) for name, child in children.items()]
        if words and (not children or command.invoke_without_command):
            leaves[words] = command
    return leaves


def test_the_command_reference_is_up_to_date():
    script = runpy.run_path(str(ROOT / "scripts" / "make_command_docs.py"))
    assert script["page"]() == script["PAGE"].read_text(), "run scripts/make_command_docs.py"


def test_every_command_in_the_docs_exists():
    known = commands()
    for page in PAGES:
        text = re.sub(r"^```text\n.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for line in re.findall(r"^(?:\$ )?item2vec ([^#\n]*)", text, flags=re.MULTILINE):
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
                yield f"{package.__name__}.{name}", value


def has_its_documentation(value) -> bool:
    """Return whether an error has a docstring, and another public name an example; protocols need none."""
    if inspect.isclass(value) and issubclass(value, Exception):
        return bool(value.__doc__)
    if getattr(value, "_is_protocol", False):
        return True
    return any(test.examples for test in doctest.DocTestFinder(recurse=False).find(value))


def test_every_public_name_has_an_example():
    assert [name for name, value in public_names() if not has_its_documentation(value)] == []
