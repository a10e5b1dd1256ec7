"""Check a version before it is served: a child process reads it from the disk and queries it."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np

from item2vec.bundle.manifest import Manifest, read_manifest
from item2vec.errors import CorruptBundleError
from item2vec.files import unreadable
from item2vec.processes import module_command
from item2vec.recommender import Recommender
from item2vec.types import Recommendation

__all__ = ["check_rankings", "manifest_of", "run_canary"]

CANARY_SECONDS = 600
N_QUERIES = 32
N_BRIEF_QUERIES = 4
K = 10


def manifest_of(folder: Path) -> tuple[Manifest, str]:
    """Return the manifest of a bundle, and the SHA-256 of the manifest.

    Raises
    ------
    CorruptBundleError
        If the manifest is damaged, missing or unreadable, or ``folder`` is a symbolic link.
    """
    if folder.is_symlink():
        raise CorruptBundleError(
            f"{folder} is a symbolic link; expected a folder: replace the link by the folder"
        )
    try:
        return read_manifest(folder / "manifest.json")
    except OSError as error:
        raise unreadable(folder / "manifest.json", error) from error


def run_canary(folder: Path, manifest_sha256: str) -> None:
    """Load and query a bundle in a child process, so that a crash of a native library ends only that process.

    Raises
    ------
    CorruptBundleError
        If the bundle is damaged, fails a query, or has a manifest with another SHA-256; if the child process
        crashes; or if the check takes more than ``CANARY_SECONDS``.
    """
    try:
        completed = subprocess.run(
            **module_command("item2vec.versions.canary", str(folder), manifest_sha256),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=CANARY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CorruptBundleError(
            f"the canary process did not finish its check of {folder} within {CANARY_SECONDS} s; "
            "check the load of the machine, then run the command again"
        ) from error
    if completed.returncode:
        lines = completed.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise CorruptBundleError(
            f"the canary process rejected the model at {folder} "
            f"(exit code {completed.returncode}: {lines[-1]})"
        )


def check_rankings(model: Recommender, *, brief: bool = False) -> None:
    """Check the rankings of a model for a sample of items, at equal intervals of frequency rank.

    The history of each query is one sampled item. Each history is passed to ``recommend``, and all histories
    together to ``recommend_many``. ``similar_items`` is called for each sampled item. Items without a vector,
    which a model of imported vectors may have, are not sampled, and are not counted in the expected lengths
    of rankings.

    With ``brief``, the sample is smaller, and ``similar_items`` is not called. In a serving process, this
    saves time, and the memory of the matrix of unit vectors.

    Raises
    ------
    CorruptBundleError
        If a ranking has too few or repeated items, or a score that is not finite.
    """
    with_vector = np.flatnonzero(model.vectors.has_vector)
    n_items = len(with_vector)
    sample = np.linspace(0, n_items - 1, min(N_BRIEF_QUERIES if brief else N_QUERIES, n_items)).astype(int)
    queries = model.vocabulary.decode(with_vector[np.unique(sample)])
    expected = min(K, n_items - 1)
    for item in queries:
        if not brief:
            _check(f"similar_items({item!r})", model.similar_items(item, k=K), expected)
        _check(f"recommend([{item!r}])", model.recommend([item], k=K), expected)
    for item, ranking in zip(queries, model.recommend_many([[item] for item in queries], k=K), strict=True):
        _check(f"recommend_many, history [{item!r}]", ranking, expected)


def _check(query: str, ranking: list[Recommendation], expected: int) -> None:
    distinct = {entry.item for entry in ranking}
    if len(distinct) != expected or not all(math.isfinite(entry.score) for entry in ranking):
        raise CorruptBundleError(
            f"{query} returned {ranking}; expected {expected} distinct items with finite scores"
        )
