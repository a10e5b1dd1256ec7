"""Other processes that run this package: whatever they do, they cannot take this one down."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["running"]


def running(module: str, *arguments: str) -> dict[str, Any]:
    """Return what ``subprocess`` needs to run a module of ours, by this interpreter, with its import path.

    >>> running("item2vec", "--version")["args"][1:]
    ['-P', '-m', 'item2vec', '--version']
    """
    path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
    command = [sys.executable, "-P", "-m", module, *arguments]
    return {"args": command, "env": {**os.environ, "PYTHONPATH": path}}
