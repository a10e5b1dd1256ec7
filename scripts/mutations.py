#!/usr/bin/env python3
"""Break the code on purpose, one promise at a time, and see whether the tests that keep it notice.

Each mutation of mutations.toml replaces one text by another in a copy of this checkout, and runs the tests
that it names there. Those must pass before, and fail after. Exit code 1 if a mutation survives, 2 if one
cannot be tried. It takes twenty minutes on two cores.

Usage: mutations.py [--list] [--only NAME]… [--jobs N]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPIED = (
    "item2vec",
    "tests",
    "sample_data",
    "alembic",
    "scripts",
    "docs",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
)
SECONDS = 300
PASSED, FAILED = 0, 1
RESULTS = {FAILED: "red", PASSED: "SURVIVED", None: "red (hung)"}


@dataclass(frozen=True)
class Mutation:
    """In ``file``, ``old`` becomes ``new``, and one of ``tests`` (paths or pytest's ids) must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]

    def changed(self):
        """Return what the file would be; what is to be replaced must be there exactly once."""
        text = (ROOT / self.file).read_text()
        if (n := text.count(self.old)) != 1:
            sys.exit(f"{self.name}: {self.file} has {n} of what is to be replaced; expected 1:\n{self.old}")
        return text.replace(self.old, self.new)


def copy(folder):
    """Copy what the tests need; machine code too, whose name says of which kernels it is."""
    for name in COPIED:
        place = ROOT / name
        (shutil.copytree if place.is_dir() else shutil.copy2)(place, folder / name)


def run(folder, tests):
    """Run tests on a copy; return pytest's exit code (``None`` if it hung) and what it said."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {
        **os.environ,
        # Before this checkout, which may be installed.
        "PYTHONPATH": str(folder),
        # A mutation may be as long as what it replaces, and as old, to the second.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    pytest = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = pytest.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(pytest.pid, 9)
        said, _ = pytest.communicate()
        return None, said
    return pytest.returncode, said


def tried(mutation):
    """Try a mutation; return it with what came of it, in how many seconds, and what pytest said."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy(Path(folder))
        Path(folder, mutation.file).write_text(mutation.changed())
        code, said = run(folder, mutation.tests)
    result = RESULTS.get(code, f"ERROR {code}")
    seconds = time.monotonic() - started
    print(f"{result:<10} {mutation.name}", file=sys.stderr, flush=True)
    if result.startswith("ERROR"):
        print(said[-3000:], file=sys.stderr, flush=True)
    return mutation, result, seconds


def check_unchanged(mutations):
    """Run all the tests once on a copy that nothing was changed in: else red would mean nothing."""
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    whole = {test for test in tests if "::" not in test}
    tests = [test for test in tests if test in whole or test.split("::")[0] not in whole]
    with tempfile.TemporaryDirectory() as folder:
        copy(Path(folder))
        code, said = run(folder, tests)
    if code != PASSED:
        print(f"these tests do not pass as it is:\n{said[-5000:]}", file=sys.stderr)
        sys.exit(2)


def show(results):
    """Print a table in Markdown."""
    print("| Mutation | File | Tests | Result | Seconds |\n|---|---|---|---|---|")
    for mutation, result, seconds in results:
        tests = ", ".join(f"`{test.removeprefix('tests/')}`" for test in mutation.tests)
        print(f"| {mutation.name} | `{mutation.file}` | {tests} | {result} | {seconds:.0f} |")
    n_red = sum(result.startswith("red") for _, result, _ in results)
    print(f"\n{n_red} of {len(results)} mutations are noticed.")


def main():
    """Try the mutations that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--list", action="store_true", help="only say what would be tried")
    parser.add_argument("--only", metavar="NAME", action="append", help="try those whose name holds this")
    parser.add_argument("--jobs", type=int, default=2, help="at the same time [default: 2]")
    asked = parser.parse_args()
    told = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    mutations = [Mutation(**one) for one in told["mutation"]]
    mutations = [one for one in mutations if not asked.only or any(part in one.name for part in asked.only)]
    if asked.list:
        print("\n".join(f"{one.name} ({one.file})" for one in mutations))
        return
    for mutation in mutations:
        mutation.changed()
    check_unchanged(mutations)
    with ThreadPoolExecutor(asked.jobs) as pool:
        results = list(pool.map(tried, mutations))
    show(results)
    if any(result.startswith("ERROR") for _, result, _ in results):
        sys.exit(2)
    sys.exit(any(result == "SURVIVED" for _, result, _ in results))


if __name__ == "__main__":
    main()
