"""All exceptions and warnings that this package raises deliberately.

::

    Item2VecError
    ├── ConfigError          (ValueError)         a setting is unknown or out of range
    ├── InputError           (ValueError)         data or an argument is invalid
    │   ├── InvalidIdError                        an id is empty, too long or not valid text
    │   └── InputTypeError   (TypeError)          a value has the wrong Python type
    ├── UnknownItemError     (KeyError)           an item is not in the model's vocabulary
    ├── UnknownUserError     (KeyError)           a user is not in the store
    ├── NothingToTrainError  (ValueError)         no sentence has at least two items
    ├── TrainingError        (RuntimeError)       training failed or diverged; its result is unusable
    ├── BundleNotFoundError  (FileNotFoundError)  there is no bundle at a path
    ├── BundleExistsError    (FileExistsError)    a bundle would be overwritten
    ├── CorruptBundleError   (ValueError)         a bundle or data file fails its checks
    ├── WriteError           (OSError)            writing failed; existing files are unchanged
    ├── DurabilityError      (OSError)            published, but not confirmed to be on disk
    ├── StoreError           (RuntimeError)       an operation on the SQL store failed
    │   └── SchemaError                           its schema is older or newer than this package
    ├── GateRefusedError     (RuntimeError)       a new model did not pass every gate
    ├── RunFailedError       (RuntimeError)       a nightly run crashed or exceeded its limits
    ├── LockHeldError        (BlockingIOError)    another run holds the lock
    └── MissingExtraError    (ImportError)        an optional dependency is not installed

Each exception also derives from the matching builtin. Its message says what was found, what was expected and
what to do next. ``exit_code`` is the exit code of the command line. ``LeakWarning`` and ``TuningWarning`` are
``UserWarning``: an evaluation overestimates a model because training and test data overlap, and a tuning
budget is too small.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    "RunFailedError",
    "SchemaError",
    "StoreError",
    "TrainingError",
    "TuningWarning",
    "UnknownItemError",
    "UnknownUserError",
    "WriteError",
]


class Item2VecError(Exception):
    """The base class of all exceptions that this package raises deliberately."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message itself (``KeyError`` would return its ``repr``)."""
        return str(self.args[0]) if len(self.args) == 1 else super().__str__()


class ConfigError(Item2VecError, ValueError):
    """A setting is unknown or out of range. Nothing was read or written."""

    exit_code = 2


class InputError(Item2VecError, ValueError):
    """Data or an argument is invalid. The message names the file, line and value, if any."""

    exit_code = 2


class InvalidIdError(InputError):
    """An id is empty, contains a NUL or a lone surrogate, or is longer than 512 UTF-8 bytes."""


class InputTypeError(InputError, TypeError):
    """A value has the wrong Python type, such as a string instead of a list of ids."""


class UnknownItemError(Item2VecError, KeyError):
    """An item is not in the model's vocabulary. The message suggests the closest known ids."""

    exit_code = 2


class UnknownUserError(Item2VecError, KeyError):
    """A user is not in the store."""

    exit_code = 2


class NothingToTrainError(Item2VecError, ValueError):
    """No sentence has at least two items, so there is nothing to train on."""

    exit_code = 4


class TrainingError(Item2VecError, RuntimeError):
    """Training skipped tokens or diverged. Its result is unusable."""


class BundleNotFoundError(Item2VecError, FileNotFoundError):
    """There is no bundle, or no published version, at this path."""

    exit_code = 2


class BundleExistsError(Item2VecError, FileExistsError):
    """Saving would overwrite an existing bundle. Bundles are written once."""

    exit_code = 2


class CorruptBundleError(Item2VecError, ValueError):
    """A bundle or data file fails its checks of checksum, shape or structure."""

    exit_code = 5


class WriteError(Item2VecError, OSError):
    """A file or folder could not be written. Existing files are unchanged."""


class DurabilityError(Item2VecError, OSError):
    """A version is published, but the disk did not confirm that it would survive a power failure."""

    exit_code = 6


class StoreError(Item2VecError, RuntimeError):
    """An operation on the SQL store failed."""


class SchemaError(StoreError):
    """The store's schema is older or newer than this package. The message names the command to run."""

    exit_code = 2


class GateRefusedError(Item2VecError, RuntimeError):
    """A new model did not pass every gate, or promotions are held. The live version is unchanged.

    ``report`` is the report of the run, if there was one.
    """

    exit_code = 3
    report: Mapping[str, Any] | None = None


class RunFailedError(Item2VecError, RuntimeError):
    """The worker process of a run crashed, or exceeded its limits. The live version is unchanged."""


class LockHeldError(Item2VecError, BlockingIOError):
    """Another run holds the lock."""

    exit_code = 75


class MissingExtraError(Item2VecError, ImportError):
    """An optional dependency is not installed. The message has the pip command that installs it."""

    exit_code = 2


class LeakWarning(UserWarning):
    """Training and test data overlap, so that metrics overestimate the model.

    Examples
    --------
    >>> issubclass(LeakWarning, UserWarning)
    True
    """


class TuningWarning(UserWarning):
    """A tuning budget is too small for a reliable result. The message names a sufficient one.

    Examples
    --------
    >>> issubclass(TuningWarning, UserWarning)
    True
    """
