"""Child processes that run a module of this package, so that a crash does not end the parent process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["module_command"]


def module_command(module: str, *arguments: str) -> dict[str, Any]:
    """Return arguments of ``subprocess.run`` to run a module with this interpreter and import path.

    >>> module_command("item2vec", "--version")["args"][1:]
    ['-P', '-m', 'item2vec', '--version']
    """
    path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
    command = [sys.executable, "-P", "-m", module, *arguments]
    return {"args": command, "env": {**os.environ, "PYTHONPATH": path}}
