"""Check a version before it is served: read it from the disk and query it, in a process of its own."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np

from item2vec.bundle.manifest import Manifest, read_manifest
from item2vec.errors import CorruptBundleError
from item2vec.processes import running
from item2vec.recommender import Recommender
from item2vec.types import Recommendation

__all__ = ["ask", "manifest_of", "try_out"]

SECONDS = 600
ASKED = 32
ASKED_BRIEFLY = 4
K = 10


def manifest_of(folder: Path) -> tuple[Manifest, str]:
    """Return the manifest of what is to be tried out, and its SHA-256.

    Raises
    ------
    CorruptBundleError
        If it is damaged or missing, or the folder is not a folder.
    """
    if folder.is_symlink():
        raise CorruptBundleError(f"{folder} is a symbolic link; expected a folder")
    try:
        return read_manifest(folder / "manifest.json")
    except OSError as error:
        raise CorruptBundleError(f"{folder / 'manifest.json'} cannot be read: {error.strerror}") from error


def try_out(folder: Path, manifest_sha256: str) -> None:
    """Let another process check a bundle and answer from it: a crash of a native library stays there.

    Raises
    ------
    CorruptBundleError
        If the bundle is not whole, does not answer, or is not the one with this manifest.
    """
    try:
        done = subprocess.run(
            **running("item2vec.versions.canary", str(folder), manifest_sha256),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CorruptBundleError(f"the model at {folder} gave no answer within {SECONDS} s") from error
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise CorruptBundleError(
            f"the model at {folder} does not answer (exit code {done.returncode}: {told[0]})"
        )


def ask(model: Recommender, *, briefly: bool = False) -> None:
    """Ask a model about items from the most to the least frequent one: what follows, and what is similar.

    ``briefly``: about few items and not for similar ones, as suits a process that answers requests meanwhile,
    and may never need the matrix of unit vectors that similarity takes.

    Raises
    ------
    CorruptBundleError
        If an answer is shorter than it must be, names an item twice, or has a score that is not finite.
    """
    n_items = len(model.vectors)
    rows = np.linspace(0, n_items - 1, min(ASKED_BRIEFLY if briefly else ASKED, n_items)).astype(int)
    asked = model.vocabulary.decode(np.unique(rows))
    expected = min(K, n_items - 1)
    for item in asked:
        if not briefly:
            _check(f"similar to {item!r}", model.similar_items(item, k=K), expected)
        _check(f"after {item!r}", model.recommend([item], k=K), expected)
    for item, answer in zip(asked, model.recommend_many([[item] for item in asked], k=K), strict=True):
        _check(f"after {item!r}, one of many", answer, expected)


def _check(question: str, answer: list[Recommendation], expected: int) -> None:
    distinct = {found.item for found in answer}
    if len(distinct) != expected or not all(math.isfinite(found.score) for found in answer):
        raise CorruptBundleError(f"{question}: {answer}; expected {expected} items with finite scores")
