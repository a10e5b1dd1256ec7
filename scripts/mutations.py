#!/usr/bin/env python3
"""Mutation testing: apply one mutation of the code at a time, and check that the tests detect it.

A mutation of mutations.toml replaces one text in a copy of this checkout, and names the tests to run there.
The tests must pass without the mutation, and fail with it. Exit code: 1 if a mutation survives, 2 if a
mutation cannot be run. All mutations take about an hour on two cores.

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
    "CONTRIBUTING.md",
    "LICENSE",
)
SECONDS = 300
PASSED, FAILED = 0, 1
RESULTS = {FAILED: "red", PASSED: "SURVIVED", None: "red (hung)"}


@dataclass(frozen=True)
class Mutation:
    """The replacement of ``old`` by ``new`` in ``file``, and the tests (paths or pytest ids) to run."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]

    def changed(self):
        """Return the mutated text of the file; exit with an error if ``old`` does not occur exactly once."""
        text = (ROOT / self.file).read_text()
        if (n := text.count(self.old)) != 1:
            sys.exit(
                f"{self.name}: {self.file} has `old` {n} times; expected once: update the entry\n{self.old}"
            )
        return text.replace(self.old, self.new)


def copy(folder):
    """Copy the files that the tests require, including compiled kernels."""
    for name in COPIED:
        path = ROOT / name
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, folder / name)


def run(folder, tests, seconds=SECONDS):
    """Run tests in a copy; return the exit code of pytest (``None`` after a timeout) and its output."""
    slow = ("-m", "not exhaustive")  # slow tests, and all examples of property tests
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *slow, *tests]
    environment = {
        **os.environ,
        # The copy takes precedence over an installed checkout.
        "PYTHONPATH": str(folder),
        # Python compares bytecode with its source by size and modification time, which may both be equal.
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
        output, _ = pytest.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(pytest.pid, 9)
        output, _ = pytest.communicate()
        return None, output
    return pytest.returncode, output


def run_mutation(mutation):
    """Run the tests of a mutation; return the mutation, its result and the duration in seconds."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy(Path(folder))
        Path(folder, mutation.file).write_text(mutation.changed())
        code, output = run(folder, mutation.tests)
    result = RESULTS.get(code, f"ERROR {code}")
    seconds = time.monotonic() - started
    print(f"{result:<10} {mutation.name}", file=sys.stderr, flush=True)
    if result.startswith("ERROR"):
        print(output[-3000:], file=sys.stderr, flush=True)
    return mutation, result, seconds


def check_unchanged(mutations):
    """Run all tests in an unchanged copy; exit with code 2 if a test fails."""
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    whole = {test for test in tests if "::" not in test}
    tests = [test for test in tests if test in whole or test.split("::")[0] not in whole]
    with tempfile.TemporaryDirectory() as folder:
        copy(Path(folder))
        code, output = run(folder, tests, seconds=None)
    if code != PASSED:
        print(f"tests fail without a mutation; fix them first:\n{output[-5000:]}", file=sys.stderr)
        sys.exit(2)


def show(results):
    """Print the results as a Markdown table."""
    print("| Mutation | File | Tests | Result | Seconds |\n|---|---|---|---|---|")
    for mutation, result, seconds in results:
        tests = ", ".join(f"`{test.removeprefix('tests/')}`" for test in mutation.tests)
        print(f"| {mutation.name} | `{mutation.file}` | {tests} | {result} | {seconds:.0f} |")
    n_red = sum(result.startswith("red") for _, result, _ in results)
    print(f"\n{n_red} of {len(results)} mutations are detected.")


def main():
    """Run the selected mutations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--list", action="store_true", help="list the mutations without running them")
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        help="run only mutations whose name contains NAME; may be repeated",
    )
    parser.add_argument("--jobs", type=int, default=2, help="number of parallel jobs [default: 2]")
    options = parser.parse_args()
    entries = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["mutation"]
    mutations = [Mutation(**entry) for entry in entries]
    if options.only:
        mutations = [m for m in mutations if any(part in m.name for part in options.only)]
    for mutation in mutations:
        mutation.changed()
    if options.list:
        print("\n".join(f"{mutation.name} ({mutation.file})" for mutation in mutations))
        return
    check_unchanged(mutations)
    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(run_mutation, mutations))
    show(results)
    if any(result.startswith("ERROR") for _, result, _ in results):
        sys.exit(2)
    sys.exit(any(result == "SURVIVED" for _, result, _ in results))


if __name__ == "__main__":
    main()
