"""Run a snippet in a process of its own: whatever goes wrong there, it must not die by a signal, or hang."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}

LIMIT_MEMORY = "import resource; resource.setrlimit(resource.RLIMIT_AS, ({0}, {0}))\n"


def run(snippet, *arguments, seconds=60, megabytes=None, prefix=()):
    """Run Python code (``sys.argv[1:]`` are the arguments) and return what it printed; fail if it fails.

    ``megabytes`` limits its memory; ``prefix`` is a command that runs it.
    """
    if megabytes is not None:
        snippet = LIMIT_MEMORY.format(megabytes << 20) + snippet
    command = [*prefix, sys.executable, "-W", "error", "-c", snippet, *map(str, arguments)]
    try:
        done = subprocess.run(
            command, env=ENVIRONMENT, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"no end within {seconds} s")
    if done.returncode < 0:
        pytest.fail(f"died by signal {-done.returncode}\n{done.stderr[-2000:]}")
    if done.returncode:
        pytest.fail(f"exit code {done.returncode}\n{done.stderr[-4000:]}")
    return done.stdout
