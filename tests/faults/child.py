"""Run a code snippet in a child process; the test fails if the process dies by a signal or hangs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from without_linux import PORTABLE, SITECUSTOMIZE

TESTS = Path(__file__).parent.parent
FOLDERS = [*([SITECUSTOMIZE] if PORTABLE else []), str(TESTS), str(TESTS.parent)]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(FOLDERS)}
needs_proc = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system has no /proc")

HANGING = 900
"""Seconds after which a process counts as hanging: many times its duration, even on a busy machine."""
LIMIT_MEMORY = "import resource; resource.setrlimit(resource.RLIMIT_AS, ({0}, {0}))\n"


def run(snippet, *arguments, megabytes=None, prefix=()):
    """Run Python code (``sys.argv[1:]`` are the arguments) and return its output; fail if it fails.

    ``megabytes`` limits its memory; ``prefix`` is a command that runs the interpreter.
    """
    if megabytes is not None:
        snippet = LIMIT_MEMORY.format(megabytes << 20) + snippet
    command = [*prefix, sys.executable, "-W", "error", "-c", snippet, *map(str, arguments)]
    try:
        completed = subprocess.run(
            command, env=ENVIRONMENT, capture_output=True, text=True, timeout=HANGING, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"still running after {HANGING} s")
    if completed.returncode < 0:
        pytest.fail(f"died by signal {-completed.returncode}\n{completed.stderr[-2000:]}")
    if completed.returncode:
        pytest.fail(f"exit code {completed.returncode}\n{completed.stderr[-4000:]}")
    return completed.stdout
