"""A result that cannot be written is an error with exit code 1, never a traceback; existing files survive."""

import os
import stat
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from faults.child import ENVIRONMENT
from faults.made import made_model

import item2vec as package
from item2vec.errors import WriteError
from item2vec.outputs import output
from item2vec.report import Study, write_report

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs") / "models"
    package.publish(made_model(seed=0), folder)
    return folder


def run(folder, *words, **streams):
    command = [sys.executable, "-m", "item2vec", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    buffered = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, cwd=folder, env=buffered, text=True, check=False, **pipes)


@needs_full
@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        pytest.param(("--help",), marks=pytest.mark.slow),
        ("models", "list"),
        pytest.param(("models", "list", "--json"), marks=pytest.mark.slow),
        pytest.param(("export", "v.txt"), marks=pytest.mark.slow),
    ],
)
def test_a_full_stdout_is_an_error(models, tmp_path, words):
    options = ["--models", models] if words[0] not in {"--version", "--help"} else []
    with FULL.open("w") as full:
        ended = run(tmp_path, *words, *options, stdout=full)
    assert ended.returncode == 1
    expected = "stdout could not be written: No space left on device; check the disk, or redirect the output"
    assert ended.stderr == f"item2vec: {expected}\n"


@needs_full
def test_the_exit_code_does_not_depend_on_a_full_stderr(tmp_path):
    with FULL.open("w") as full:
        assert run(tmp_path, "models", "verify", "--models", "missing", stderr=full).returncode == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("/dev/full", "No space left on device; check the disk", marks=needs_full),
        (
            "missing/vectors.txt",
            "No such file or directory; the folder FOLDER/missing does not exist; create it",
        ),
        ("a folder", "Is a directory; it is a folder; choose the name of a file"),
        ("a file/vectors.txt", "Not a directory; check"),
    ],
)
def test_an_export_that_cannot_be_written_is_an_error(item2vec, models, tmp_path, name, text):
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a file").touch()
    before = sorted(tmp_path.rglob("*"))
    suffixes = [""] if name in {"/dev/full", "a folder"} else ["", ".gz"]
    for suffix, *options in product(suffixes, ["--no-binary", "--binary"]):
        code, out, err = item2vec("export", name + suffix, "--models", str(models), *options)
        assert (code, out) == (1, "")
        assert err.startswith(
            f"item2vec: {name}{suffix} could not be written: {text.replace('FOLDER', str(tmp_path))}"
        )
        assert len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before
    if FULL.exists():
        assert stat.S_ISCHR(FULL.stat().st_mode)


@needs_full
def test_a_report_is_not_written_to_a_full_device(monkeypatch):
    monkeypatch.setattr("item2vec.report.page.render", lambda *_, **__: "<h1>")
    with pytest.raises(WriteError, match=r"/dev/full could not be written: No space left"):
        write_report(Study.__new__(Study), FULL)
    assert stat.S_ISCHR(FULL.stat().st_mode)


def test_a_file_is_replaced_only_at_the_end(tmp_path):
    path = tmp_path / "result"
    path.write_bytes(b"old")
    path.chmod(0o640)

    def fail():
        with output(path) as file:
            file.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"old"
    with output(path) as file:
        file.write(b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_links_are_followed_and_pipes_are_written(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "result")
    with output(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "result").read_bytes() == b"new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with output(tmp_path / "pipe") as file:
        file.write(b"new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
