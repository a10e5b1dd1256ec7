"""Write and read JSON files that contain the SHA-256 of their own content, so that damage is detected."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from item2vec.errors import CorruptBundleError
from item2vec.files import MAX_JSON_BYTES, READ_REGULAR, parse_json, unreadable

__all__ = ["read_sealed", "sealed"]

FORMAT = 1


def sealed(content: Mapping[str, Any]) -> bytes:
    """Return the content as JSON text, with the SHA-256 of the content as the additional member ``sha256``.

    Equal content gives identical text.

    Raises
    ------
    ValueError, TypeError, RecursionError
        If the content cannot be represented as JSON, for example because it contains NaN, a lone surrogate or
        bytes, or is nested too deeply.

    Examples
    --------
    >>> print(sealed({"format": 1}).decode())
    {
     "format": 1,
     "sha256": "01b14c2998f6fe7b3b85f8a4b43ccb48699847edd157c5f30e5b5073388d6190"
    }
    <BLANKLINE>
    """
    return _canonical({**content, "sha256": hashlib.sha256(_canonical(content)).hexdigest()})


def read_sealed(path: Path) -> tuple[dict[str, Any], str]:
    """Read a file that was written by ``sealed``; return the content and the SHA-256 of the whole file.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If the file does not exist.
    CorruptBundleError
        If the file cannot be read, is not a regular file, is larger than 1 MiB, is not a JSON object in
        UTF-8, does not match its checksum, or has a newer format.
    """
    text = _read_regular(path)
    try:
        content = parse_json(text.decode(), path)
    except UnicodeDecodeError as error:
        raise CorruptBundleError(f"{path} is not UTF-8 text: {error}; use another copy") from error
    if not isinstance(content, dict):
        raise CorruptBundleError(
            f"{path} contains JSON of type {type(content).__name__}; expected an object: use another copy"
        )
    version = content.get("format")
    if type(version) is int and version > FORMAT:
        raise CorruptBundleError(
            f"{path} has format {version}, of a newer version of item2vec; expected format {FORMAT}: "
            "upgrade item2vec"
        )
    content.pop("sha256", None)
    try:
        unchanged = sealed(content) == text
    except (ValueError, RecursionError):
        unchanged = False
    if not unchanged:
        raise CorruptBundleError(
            f"{path} does not match the SHA-256 that it contains, or contains none: the file was damaged or "
            "edited; use another copy"
        )
    return content, hashlib.sha256(text).hexdigest()


def _read_regular(path: Path) -> bytes:
    try:
        descriptor = os.open(path, READ_REGULAR)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a Path cannot open a descriptor
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise CorruptBundleError(
                    f"{path} is not a regular file; expected a JSON file: use another copy"
                )
            text = file.read(MAX_JSON_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    if len(text) > MAX_JSON_BYTES:
        raise CorruptBundleError(
            f"{path} has more than {MAX_JSON_BYTES:,} bytes; expected at most this size: the file was "
            "damaged or replaced; use another copy"
        )
    return text


def _canonical(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"
