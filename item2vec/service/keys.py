"""API keys: read from a file, compared in constant time, never logged."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Literal

from item2vec.errors import ConfigError

__all__ = ["ApiKeys", "Right"]

Right = Literal["read", "write"]
SHORTEST = 16


@dataclass(frozen=True)
class ApiKeys:
    """The SHA-256 and the right of each API key: ``read``, or ``write``, which includes ``read``.

    >>> keys = ApiKeys.of([("read", "a-key-of-16-characters"), ("write", "another-key-of-this-kind")])
    >>> keys.right_of("another-key-of-this-kind"), keys.right_of("no key")
    ('write', None)
    >>> keys
    ApiKeys()
    """

    digests: tuple[tuple[Right, bytes], ...] = field(repr=False)

    @classmethod
    def of(cls, keys: Iterable[tuple[Right, str]]) -> ApiKeys:
        """Return the ``ApiKeys`` for pairs ``(right, key)``. Only hashes of the keys are kept."""
        return cls(tuple((right, sha256(key.encode()).digest()) for right, key in keys))

    @classmethod
    def read(cls, path: str | PathLike[str]) -> ApiKeys:
        """Read a file with one line ``read KEY`` or ``write KEY`` per key.

        Blank lines, and lines that start with ``#``, are skipped.

        Raises
        ------
        ConfigError
            If the file cannot be read or contains no key, or a line is invalid, for example because the key
            has fewer than 16 characters. No message contains a key.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the API key file {path} cannot be read ({type(error).__name__}); expected a UTF-8 text "
                "file: check the path and its permissions"
            ) from None
        keys = [
            _key(path, number, line)
            for number, line in enumerate(lines, 1)
            if line.strip() and not line.lstrip().startswith("#")
        ]
        if not keys:
            raise ConfigError(
                f"{path} contains no API key; expected lines of the form: read KEY, or write KEY"
            )
        return cls.of(keys)

    def right_of(self, key: str) -> Right | None:
        """Return the right of a key, or ``None`` if the key is unknown.

        The key is compared with all known keys, each in constant time.
        """
        digest, found = sha256(key.encode("utf-8", "surrogatepass")).digest(), None
        for right, known in self.digests:
            if hmac.compare_digest(digest, known):
                found = right
        return found


def key_of(authorization: str | None, api_key: str | None) -> str | None:
    """Return the key in the header ``X-API-Key`` or, if there is no such key, in ``Authorization``.

    ``Authorization`` contains the key after ``Bearer``, or as the password after ``Basic``. Return
    ``None`` if neither header contains a key. An empty key counts as missing.

    >>> key_of("Bearer secret", None), key_of("Basic dXNlcjpzZWNyZXQ=", None), key_of(None, "secret")
    ('secret', 'secret', 'secret')
    """
    if api_key:
        return api_key
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def _key(path: str | PathLike[str], number: int, line: str) -> tuple[Right, str]:
    right, _, key = line.strip().partition(" ")
    if right not in {"read", "write"} or len(key.strip()) < SHORTEST:
        raise ConfigError(
            f"line {number} of the API key file {path} is invalid; expected: read KEY, or write KEY, with a "
            f"key of at least {SHORTEST} characters"
        )
    return ("write" if right == "write" else "read"), key.strip()
