"""Every error this package raises on purpose.

::

    Item2VecError
    ├── ConfigError          (ValueError)         a setting is unknown or out of range
    ├── InputError           (ValueError)         data that cannot be read as asked
    │   ├── InvalidIdError                        an id that is empty, too long or broken text
    │   └── InputTypeError   (TypeError)          a value of the wrong Python type
    ├── UnknownItemError     (KeyError)           an item the model does not know
    ├── UnknownUserError     (KeyError)           a user the store does not know
    ├── NothingToTrainError  (ValueError)         no sentence has two items to learn from
    ├── TrainingError        (RuntimeError)       training went wrong, and its result is not to be used
    ├── BundleNotFoundError  (FileNotFoundError)  no bundle where one was asked for
    ├── BundleExistsError    (FileExistsError)    a bundle would be overwritten
    ├── CorruptBundleError   (ValueError)         a bundle or data file that fails its checks
    ├── WriteError           (OSError)            the disk is full or failed; nothing has changed
    ├── DurabilityError      (OSError)            published, but the disk did not confirm it
    ├── StoreError           (RuntimeError)       the SQL store cannot do what was asked
    │   └── SchemaError                           its schema is older or newer than this package
    ├── GateRefusedError     (RuntimeError)       a new model was not shown to be good enough to be served
    ├── RunFailedError       (RuntimeError)       a nightly run crashed, or took too long or too much memory
    ├── LockHeldError        (BlockingIOError)    another run holds the lock
    └── MissingExtraError    (ImportError)        an optional dependency is not installed

Each one is also the builtin that people already catch, says what was found, what was expected and what to
do next, and knows the exit code of the command line. ``LeakWarning`` is no error but a ``UserWarning``: a
measurement that flatters, because what was learned from and what was asked are not apart. ``TuningWarning``
is another: tuning could not do all that it should within its budget.
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
    """The root of the tree: catch it to catch everything this package raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message itself (``KeyError`` would show its ``repr``)."""
        return str(self.args[0]) if len(self.args) == 1 else super().__str__()


class ConfigError(Item2VecError, ValueError):
    """A setting is unknown or out of range; nothing was read or written."""

    exit_code = 2


class InputError(Item2VecError, ValueError):
    """Data that cannot be read as asked; names the file, line and value where there is one."""

    exit_code = 2


class InvalidIdError(InputError):
    """An id that is empty, has a NUL or a lone surrogate, or is longer than 512 UTF-8 bytes."""


class InputTypeError(InputError, TypeError):
    """A value of the wrong Python type, such as a bare string where a list of ids is expected."""


class UnknownItemError(Item2VecError, KeyError):
    """An item that the model does not know; the message names the closest known ids."""

    exit_code = 2


class UnknownUserError(Item2VecError, KeyError):
    """A user that the store does not know."""

    exit_code = 2


class NothingToTrainError(Item2VecError, ValueError):
    """No sentence has two items left to learn from."""

    exit_code = 4


class TrainingError(Item2VecError, RuntimeError):
    """Training dropped tokens or diverged; its result is not to be used."""


class BundleNotFoundError(Item2VecError, FileNotFoundError):
    """There is no bundle, or no published version, at this path."""

    exit_code = 2


class BundleExistsError(Item2VecError, FileExistsError):
    """Saving here would overwrite a bundle; bundles are written once."""

    exit_code = 2


class CorruptBundleError(Item2VecError, ValueError):
    """A bundle or data file fails its checks: checksum, shape, or structure."""

    exit_code = 5


class WriteError(Item2VecError, OSError):
    """A file or folder could not be written; what was there before has not changed."""


class DurabilityError(Item2VecError, OSError):
    """A version is published, but the disk did not confirm that it will survive a power loss."""

    exit_code = 6


class StoreError(Item2VecError, RuntimeError):
    """The SQL store cannot do what was asked."""


class SchemaError(StoreError):
    """The store's schema is older or newer than this package; names both and the command to run."""

    exit_code = 2


class GateRefusedError(Item2VecError, RuntimeError):
    """A new model was not shown to be good enough, or promotions are held; what was served still is.

    ``report`` is that of the run, where there was one.
    """

    exit_code = 3
    report: Mapping[str, Any] | None = None


class RunFailedError(Item2VecError, RuntimeError):
    """The working process of a run crashed, or took too long or too much memory; what was served still is."""


class LockHeldError(Item2VecError, BlockingIOError):
    """Another run holds the lock."""

    exit_code = 75


class MissingExtraError(Item2VecError, ImportError):
    """An optional dependency is not installed; the message is the pip command that installs it."""

    exit_code = 2


class LeakWarning(UserWarning):
    """What a model learned from and what it is asked are not apart, so that its scores flatter it.

    Examples
    --------
    >>> issubclass(LeakWarning, UserWarning)
    True
    """


class TuningWarning(UserWarning):
    """A budget was too small for all that tuning should do; the text says which one would do.

    Examples
    --------
    >>> issubclass(TuningWarning, UserWarning)
    True
    """
