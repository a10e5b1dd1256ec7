import gc
import os
import sys
from pathlib import Path

import pytest
import threads  # noqa: F401 - sets variables of libraries that NumPy loads
import without_linux  # noqa: F401 - removes calls with PORTABLE=1
from canaries import canary_in_this_process, canary_process
from commands import item2vec
from databases import cluster, engine, memory, new_url, other_url, server, sql, store, url
from examples import load_profile
from layouts import layouts_by_components, layouts_by_tsne
from services import served, service
from sparks import spark
from turns import take_turns
from users import outside

__all__ = [
    "canary_in_this_process",
    "canary_process",
    "cluster",
    "engine",
    "item2vec",
    "layouts_by_components",
    "layouts_by_tsne",
    "memory",
    "new_url",
    "other_url",
    "outside",
    "served",
    "server",
    "service",
    "spark",
    "sql",
    "store",
    "url",
]

collect_ignore = ["portable/sitecustomize.py"]  # Debian has a module of this name

# Workers and child processes share the bytecode of the package, whatever the environment says.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
take_turns()
KERNELS = Path(__file__).parent.parent / "item2vec" / "kernels"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the examples of kernels slow: their arrays are writable, for which kernels are compiled again."""
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.path.parent == KERNELS:
            item.add_marker("slow")


def pytest_collection_finish():
    """Exempt modules and tests from garbage collection, which would visit them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_configure(config):
    load_profile(quick=config.option.markexpr == "not slow and not exhaustive")
