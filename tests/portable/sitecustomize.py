"""Imported by Python at its start: see ``without_linux.py``, beside this folder."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
import without_linux  # noqa: F401

sys.path.pop()
