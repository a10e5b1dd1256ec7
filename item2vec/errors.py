"""The exceptions and warnings that this package defines.

::

    Item2VecError
    ├── ConfigError          (ValueError)         a setting is unknown or out of range
    ├── InputError           (ValueError)         data or an argument is invalid
    │   ├── InvalidIdError                        an id is empty, too long or not valid text
    │   └── InputTypeError   (TypeError)          a value has the wrong Python type
    ├── UnknownItemError     (KeyError)           an id, such as an item id, is not in a vocabulary
    ├── NothingToTrainError  (ValueError)         fewer than two items, or no interaction, are left
    ├── TrainingError        (RuntimeError)       training failed; there are no usable vectors
    ├── BundleNotFoundError  (FileNotFoundError)  a path has no bundle, corpus or published version
    ├── BundleExistsError    (FileExistsError)    the path of a new bundle or corpus already exists
    ├── CorruptBundleError   (ValueError)         a bundle or data file fails validation
    ├── WriteError           (OSError)            a file or folder could not be written or removed
    ├── DurabilityError      (OSError)            a version is served, but may be lost in a power failure
    ├── StoreError           (RuntimeError)       an operation on the SQL store failed
    │   └── SchemaError                           the schema of the store is missing, older or newer
    ├── GateRefusedError     (RuntimeError)       a new model failed a gate, or a hold forbids promotions
    ├── RunFailedError       (RuntimeError)       a retraining run crashed or exceeded its limits
    ├── LockHeldError        (BlockingIOError)    another writer holds or ignored the lock of a folder
    ├── MissingExtraError    (ImportError)        a dependency is not installed
    └── PlatformError        (NotImplementedError)  the operating system lacks a required feature

An exception with a builtin exception in parentheses also derives from that exception. Messages state the
value found, the values expected, and the next step, where they are known. If the next step is to pass an
argument, the exception has a ``Remedy``. ``str`` renders the remedy in Python (``pass encoding='latin-1'``),
and the command line renders it as a flag (``pass --encoding latin-1``). ``exit_code`` is the exit code of a
command that fails with the exception.

Two warnings derive from ``UserWarning``. ``LeakWarning``: the training data overlap with the test data, or
contain later events, so that an evaluation overestimates the model. ``TuningWarning``: a tuning budget is too
small, or the data of a tuning study have too few users.
"""

from __future__ import annotations

import contextlib
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "BundleExistsError",
    "BundleNotFoundError",
    "ConfigError",
    "CorruptBundleError",
    "DurabilityError",
    "GateRefusedError",
    "InputError",
    "InputTypeError",
    "InvalidIdError",
    "Item2VecError",
    "LeakWarning",
    "LockHeldError",
    "MissingExtraError",
    "NothingToTrainError",
    "PlatformError",
    "Remedy",
    "RunFailedError",
    "SchemaError",
    "StoreError",
    "TrainingError",
    "TuningWarning",
    "UnknownItemError",
    "WriteError",
    "listed",
    "masked",
    "reason_of",
    "refusing_unwritable",
    "short_repr",
]

LISTED = 10
LONGEST_VALUE = 80
LONGEST_MESSAGE = 4_000
# The value of a secret: in quotes (a truncated repr has no closing quote), or up to the next white space.
_VALUE = r"""(?:'(?:[^'\\]|\\.)*(?:'|$)|"(?:[^"\\]|\\.)*(?:"|$)|\S+)"""
_NAME = r"(?:pass(?:word|wd|phrase|code)|pwd|secret|token|credentials?|signature|[-_]key|apikey|\bauth)"
_NOT_A_PORT = r"""(?!\*\*\*|\d{1,5}(?:[/?,;:\s'")\]]|$))"""
_SECRETS = (
    # scheme://user:secret@host: up to the last @ of the line, because passwords may contain any character
    re.compile(rf"""(:/+[^\s/:'"]*(?::|%3A)){_NOT_A_PORT}.*(?=@)""", re.IGNORECASE),
    # scheme://user:secret, without @host
    re.compile(rf"""(:/+[^\s/:@'"]*:){_NOT_A_PORT}[^\s/?@'")\]]+"""),
    # password=secret, 'sslpassword': 'secret'
    re.compile(rf"""({_NAME}(?:['"]\s*:|['"]?\s*(?:=|%3D))\s*)(?!\*\*\*){_VALUE}""", re.IGNORECASE),
    # ?key=secret
    re.compile(r"""([?&;](?:key|sig)=)(?!\*\*\*)[^\s&;'")]+""", re.IGNORECASE),
)
_BOUNDED = reprlib.Repr()
_BOUNDED.maxlevel = 5
_BOUNDED.maxlist = _BOUNDED.maxtuple = _BOUNDED.maxdict = _BOUNDED.maxset = LONGEST_VALUE
_BOUNDED.maxfrozenset = _BOUNDED.maxdeque = _BOUNDED.maxarray = LONGEST_VALUE
_BOUNDED.maxstring = _BOUNDED.maxother = _BOUNDED.maxlong = LONGEST_MESSAGE


def masked(text: str) -> str:
    """Return a text with the secrets in URLs and in ``name=value`` pairs replaced by ``***``.

    The messages of ``Item2VecError``, and the log lines of the command line, pass through this function. It
    recognises passwords in URLs, and values with names such as password, token and api_key.

    >>> masked("postgresql://ann:secret@db/shop?sslpassword=secret")
    'postgresql://ann:***@db/shop?sslpassword=***'
    >>> masked("host=db password = 'my secret' user=ann")
    'host=db password = *** user=ann'
    """
    for secret in _SECRETS:
        text = secret.sub(r"\1***", text)
    return text


def short_repr(value: Any) -> str:
    """Return the repr of a value for a message: at most 80 characters, with secrets masked.

    Large and deeply nested values are abbreviated. If the repr of a value raises an exception, the result is
    the name of its type in angle brackets.

    >>> short_repr(["a"] * 1_000_000)[-10:], short_repr("sqlite:///a.db?password=secret")
    (" 'a', 'a'…", "'sqlite:///a.db?password=***")
    """
    if isinstance(value, str | bytes):
        value = value[:LONGEST_MESSAGE]
    try:
        # The repr of an array has several lines.
        text = masked(re.sub(r"\s*\n\s*", " ", _BOUNDED.repr(value)[:LONGEST_MESSAGE]))
    except Exception:  # noqa: BLE001 - the repr of a foreign class can raise any exception
        text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def listed(values: Sequence[object]) -> str:
    """Return a text that lists up to 10 values, for a message; ``"none"`` for an empty list.

    >>> listed(["a", "b"]), listed([])
    ("'a', 'b'", 'none')
    """
    return ", ".join(map(short_repr, values[:LISTED])) + ", …" * (len(values) > LISTED) or "none"


def reason_of(error: OSError) -> str:
    """Return the reason of an ``OSError`` for a message: ``strerror``, or else the text of the error.

    Libraries may leave ``strerror`` ``None``. If the text of the error is empty as well, the name of
    its class is returned.

    >>> reason_of(OSError(28, "No space left on device")), reason_of(OSError("a disk failed"))
    ('No space left on device', 'a disk failed')
    """
    return error.strerror or str(error) or type(error).__name__


@contextlib.contextmanager
def refusing_unwritable(
    path: object, advice: str = "check the disk and the permissions of the folder, or choose another path"
) -> Iterator[None]:
    """Convert an ``OSError`` of the block, which writes to ``path``, to ``WriteError`` with advice.

    Errors of this package are not converted.

    >>> with refusing_unwritable("corpus", "choose another path"):
    ...     raise PermissionError(13, "Permission denied")
    Traceback (most recent call last):
    item2vec.errors.WriteError: corpus could not be written: Permission denied; choose another path
    """
    try:
        yield
    except Item2VecError:
        raise
    except OSError as error:
        raise WriteError(f"{path} could not be written: {reason_of(error)}; {advice}") from error


@dataclass(frozen=True, slots=True)
class Remedy:
    """An argument that avoids an error or a warning.

    Parameters
    ----------
    argument
        Name of the parameter of the function; empty if the advice is not to pass an argument.
    value
        Value to pass; Ellipsis (``...``) if the value depends on the data.
    text
        Advice, in which ``{}`` stands for the argument with its value, such as ``encoding='latin-1'``.
    otherwise
        Advice on the command line if the running command has no flag for the argument, or if the flag is
        already set as proposed. If this text is empty, the command line gives no advice.

    Examples
    --------
    >>> print(Remedy("encoding", "latin-1"))
    pass encoding='latin-1'
    >>> print(Remedy("timestamp", text="name the column with {}"))
    name the column with timestamp=
    """

    argument: str
    value: Any = ...
    text: str = "pass {}"
    otherwise: str = ""

    def __str__(self) -> str:
        return self.text.format(f"{self.argument}={'' if self.value is ... else repr(self.value)}")


class Item2VecError(Exception):
    """The base class of the public exceptions of this package.

    ``remedies`` are arguments that avoid the error. The text of the exception is the message, followed by
    the remedies. Secrets in the message are masked, and a message of more than 4,000 characters is shortened
    in its middle, because messages contain arguments, and are written to logs and reports.

    >>> print(Item2VecError("no timestamps", remedies=[Remedy("timestamp", "when"), Remedy("gap", None)]))
    no timestamps; pass timestamp='when', or pass gap=None
    """

    exit_code = 1

    def __init__(self, *args: object, remedies: Sequence[Remedy] = ()) -> None:
        super().__init__(*(_fit_for_display(part) if isinstance(part, str) else part for part in args))
        self.remedies = tuple(remedies)

    def __str__(self) -> str:
        """Return the message (``KeyError`` would return the ``repr`` of the message) and the remedies."""
        return self.described(str)

    def described(self, render: Callable[[Remedy], str]) -> str:
        """Return the message, then the rendered remedies. Remedies that are rendered as "" are omitted."""
        message = str(self.args[0]) if len(self.args) == 1 else super().__str__()
        advice = ", or ".join(filter(None, map(render, self.remedies)))
        return f"{message}; {advice}" if advice else message


def _fit_for_display(message: str) -> str:
    if len(message) > LONGEST_MESSAGE:
        message = f"{message[: LONGEST_MESSAGE // 2]} … {message[-LONGEST_MESSAGE // 4 :]}"
    return masked(message)


class ConfigError(Item2VecError, ValueError):
    """A setting is unknown, out of range, or does not fit other settings or the data. No model is written."""

    exit_code = 2


class InputError(Item2VecError, ValueError):
    """Data or an argument is invalid. For a line of a file, the message names file, line and value."""

    exit_code = 2


class InvalidIdError(InputError):
    """An id is empty, contains a NUL or a lone surrogate, or is longer than 512 UTF-8 bytes."""


class InputTypeError(InputError, TypeError):
    """A value has the wrong Python type, such as a string instead of a list of ids."""


class UnknownItemError(Item2VecError, KeyError):
    """An id is not in a vocabulary, such as the id of an item that the model does not know.

    The message suggests known ids with a similar spelling, if there are any.
    """

    exit_code = 2


class NothingToTrainError(Item2VecError, ValueError):
    """No interaction is selected, or fewer than two items are left in sentences of two or more tokens."""

    exit_code = 4


class TrainingError(Item2VecError, RuntimeError):
    """Training failed, and there are no usable vectors.

    For example, a vector is not finite, no vector changed, the trainer skipped tokens, gensim or a training
    process failed, or the matrix of LSA or the table of neighbours is empty.
    """


class BundleNotFoundError(Item2VecError, FileNotFoundError):
    """There is no bundle, corpus or published version at this path."""

    exit_code = 2


class BundleExistsError(Item2VecError, FileExistsError):
    """The path of a new bundle, corpus or other folder already exists. Nothing is overwritten."""

    exit_code = 2


class CorruptBundleError(Item2VecError, ValueError):
    """A bundle or data file cannot be read, or has an invalid checksum, shape or structure."""

    exit_code = 5


class WriteError(Item2VecError, OSError):
    """A file or folder could not be written or removed. The served version, if any, is unchanged."""


class DurabilityError(Item2VecError, OSError):
    """The served version changed, but the disk did not confirm the write: a power failure may undo it."""

    exit_code = 6


class StoreError(Item2VecError, RuntimeError):
    """An operation on the SQL store failed."""


class SchemaError(StoreError):
    """The store has no schema, or a schema that is older or newer than the one that this package requires.

    The message contains the command to run.
    """

    exit_code = 2


class GateRefusedError(Item2VecError, RuntimeError):
    """A new model failed a gate, its training failed in a run, or a hold forbids its promotion.

    The served version is unchanged.

    ``report`` is the report of the run; ``None`` if the exception was not raised by a run.
    """

    exit_code = 3
    report: Mapping[str, Any] | None = None


class RunFailedError(Item2VecError, RuntimeError):
    """The worker process of a run crashed or exceeded a limit. The served version is unchanged."""


class LockHeldError(Item2VecError, BlockingIOError):
    """Another writer, in this or another process, holds or ignored the lock of a folder."""

    exit_code = 75


class MissingExtraError(Item2VecError, ImportError):
    """A dependency is not installed. The message contains the pip command that installs it."""

    exit_code = 2


class PlatformError(Item2VecError, NotImplementedError):
    """The operating system lacks a required feature, such as POSIX file locks (missing on Windows)."""

    exit_code = 2


class LeakWarning(UserWarning):
    """The training data overlap with the test data, or contain later events: metrics overestimate the model.

    Examples
    --------
    >>> issubclass(LeakWarning, UserWarning)
    True
    """


class TuningWarning(UserWarning):
    """A tuning budget was too small to finish the necessary trials, or the data have too few users.

    A searched objective has no finished trial, or no other configuration was compared with the default. The
    message then contains an estimate of a sufficient budget. Or the comparison with the default has queries
    of fewer than ten users, so that only large gains are significant.

    Examples
    --------
    >>> issubclass(TuningWarning, UserWarning)
    True
    """
