"""A version on trial: a process of its own reads all of it and answers from it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from item2vec.bundle.manifest import Manifest, read_manifest
from item2vec.errors import CorruptBundleError
from item2vec.processes import running

__all__ = ["manifest_of", "try_out"]

SECONDS = 600


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
