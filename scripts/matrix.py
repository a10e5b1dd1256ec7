#!/usr/bin/env python3
"""Run a part of the tests with several Pythons, each with the newest and the lowest allowed dependencies.

Usage: matrix.py [--work DIR] [--dependencies newest|lowest] [PYTHON…]

PYTHON is the path or name of an interpreter; the default is each of python3.11 to python3.14 that is found.
The lowest dependencies are the versions in pyproject.toml; if such a version has no wheel for a Python, the
lowest version that has one. The combinations run one after the other, each in a new virtual environment.

Prints a table in Markdown. Exit code: 1 if a test or an installation fails.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
RESOLUTIONS = {"newest": "highest", "lowest": "lowest-direct"}
FROM_SOURCE = ("annoy", "gensim")
"""Packages that are compiled if they have no wheel."""
TOOLS = ("hypothesis", "polars", "pytest")
SHOWN = ("numpy", "pandas", "pyarrow", "numba", "gensim", "sqlalchemy", "pydantic", "typer", "optuna")
TESTS = (
    "test_adapters",
    "test_bundle",
    "test_cli",
    "test_line",
    "test_readers_edges",
    "test_readers_faults",
    "test_readers_interactions",
    "test_readers_items",
    "test_recommender",
    "test_store",
    "test_versions",
)
VERSIONS = f"""
import json, platform
from importlib.metadata import distributions
found = {{distribution.name.lower(): distribution.version for distribution in distributions()}}
shown = {{name: found.get(name, "none") for name in {SHOWN!r}}}
print(json.dumps({{"python": platform.python_version(), **shown}}))
"""


def uv_in(work):
    """Return the path of the program uv, installed into a folder if it is not found."""
    if (found := shutil.which("uv")) is not None:
        return found
    venv.create(work / "uv", with_pip=True)
    programs = work / "uv" / "bin"
    subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", "uv"], check=True)
    return programs / "uv"


def requirements():
    """Return the dependencies of the package, of its reports, and of the tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tools = project["dependency-groups"]["dev"]
    return [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["report"],
        *(tool for tool in tools if name_of(tool) in TOOLS),
    ]


def name_of(requirement):
    """Return the name of the package in a requirement such as ``numpy>=2``."""
    return re.match("[A-Za-z0-9_-]+", requirement)[0]


def install(python, dependencies, uv, folder):
    """Install dependencies into a new virtual environment; return whether that succeeds."""
    environment = {**os.environ, "VIRTUAL_ENV": str(folder), "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run([uv, "venv", "--quiet", "--python", python, folder], check=True)
    command = [uv, "pip", "install", "--quiet", "--resolution", RESOLUTIONS[dependencies]]
    binary = {"scipy", *map(name_of, requirements())}.difference(FROM_SOURCE)
    command += [word for name in sorted(binary) for word in ("--only-binary", name)]
    return subprocess.run([*command, *requirements()], env=environment, check=False).returncode == 0


def run(python, dependencies, uv, work):
    """Return the row of the table for one combination, and whether all tests passed."""
    folder = work / f"{Path(python).name}-{dependencies}-{time.monotonic_ns()}"
    if not install(python, dependencies, uv, folder):
        return [python, dependencies, *("" for _ in SHOWN), "not installed", ""], False
    command = [folder / "bin" / "python"]
    versions = json.loads(subprocess.check_output([*command, "-c", VERSIONS]))
    started = time.monotonic()
    command += ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not postgresql"]
    command += [f"tests/{name}.py" for name in TESTS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    tests = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    print(tests.stdout, file=sys.stderr)
    outcome = re.sub(" in .*", "", tests.stdout.strip().rpartition("\n")[2])
    seconds = f"{time.monotonic() - started:.0f}"
    row = [versions["python"], dependencies, *(versions[name] for name in SHOWN), outcome, seconds]
    return row, tests.returncode == 0


def main():
    """Run all combinations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    parser.add_argument("--work", type=Path, help="folder for the virtual environments; default: temporary")
    parser.add_argument("--dependencies", choices=RESOLUTIONS, help="dependencies to install; default: both")
    options = parser.parse_args()
    pythons = options.pythons or [name for name in PYTHONS if shutil.which(name)]
    wanted = [options.dependencies] if options.dependencies else list(RESOLUTIONS)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        uv = uv_in(work)
        results = [run(python, dependencies, uv, work) for python in pythons for dependencies in wanted]
    header = ["Python", "dependencies", *SHOWN, "tests", "seconds"]
    for row in [header, ["---"] * len(header), *(row for row, _ in results)]:
        print("| " + " | ".join(row) + " |")
    sys.exit(not all(passed for _, passed in results))


if __name__ == "__main__":
    main()
