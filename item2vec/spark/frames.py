"""Functions that call pyspark: check a DataFrame, convert its rows, run a task in the executors."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from item2vec import errors
from item2vec.durations import TICKS
from item2vec.errors import ConfigError, InputError, InputTypeError, MissingExtraError, Remedy, short_repr

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

__all__ = [
    "Task",
    "check_frame",
    "check_time_unit",
    "chosen",
    "functions",
    "map_batches",
    "original_errors",
    "rows_of",
]

IDS = ("user", "item", "event", "session")
_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_NUMBERS = (*_INTEGERS, "float", "double")
_TIMES = ("timestamp", "timestamp_ntz", "date")
_ERROR = re.compile(r"^item2vec\.errors\.(\w+): (.*)$", re.MULTILINE)


class Task(Protocol):
    """A function that an executor calls with the batches of a partition.

    ``schema`` is the Spark schema of the batches that the function yields.
    """

    schema: ClassVar[str]

    def __call__(self, batches: Iterator[pa.RecordBatch], /) -> Iterator[pa.RecordBatch]:
        """Yield batches of results."""


def functions() -> Any:
    """Return ``pyspark.sql.functions``; raise ``MissingExtraError`` if pyspark is not installed."""
    try:
        from pyspark.sql import functions
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"pyspark", "py4j"}:
            raise
        raise MissingExtraError(
            "pyspark is not installed; item2vec.spark needs it: pip install 'item2vec[spark]'"
        ) from error
    return functions


def chosen(**columns: str | None) -> dict[str, str]:
    """Drop the columns that are ``None``; raise ``InputTypeError`` if ``user`` or ``item`` is ``None``."""
    for parameter in ("user", "item"):
        if columns[parameter] is None:
            raise InputTypeError(f"{parameter} is None; expected the name of a column")
    return {parameter: name for parameter, name in columns.items() if name is not None}


def check_time_unit(unit: str | None) -> None:
    """Raise ``ConfigError`` for an unknown unit."""
    if unit is not None and unit not in TICKS:
        raise ConfigError(f"time_unit is {short_repr(unit)}; expected 's', 'ms', 'us' or 'ns'")


def check_frame(
    df: object, columns: Mapping[str, str | None], time_unit: str | None, *, arrays: bool = False
) -> None:
    """Check that ``df`` is a Spark DataFrame with columns of supported types.

    ``columns`` maps parameters to names of columns, or to ``None`` for a column that is not used. If
    ``arrays`` is true, all columns except ``user`` may contain arrays; if one of them does, all of them must.

    Raises
    ------
    InputTypeError
        If ``df`` is not a Spark DataFrame, a column has an unsupported type, or only some of the columns
        contain arrays.
    InputError
        If a column does not exist, ``time_unit`` is missing for timestamps that are numbers, or ``time_unit``
        is set for timestamps of another type.
    MissingExtraError
        If pyspark is not installed.
    """
    functions()
    from pyspark.sql import DataFrame

    if not isinstance(df, DataFrame):
        raise InputTypeError(f"df is {short_repr(df)}; expected a Spark DataFrame")
    types = dict(df.dtypes)
    for parameter, name in columns.items():
        if name is None:
            continue
        if name not in types:
            advice = [Remedy(parameter, text="name the column with {}")]
            advice += [Remedy(parameter, None)] if parameter not in {"user", "item"} else []
            found = ", ".join(types)
            raise InputError(f"df has no column {short_repr(name)}; found {found}", remedies=advice)
        nested = arrays and parameter != "user"
        _check_type(parameter, name, _element(types[name]) if nested else types[name], time_unit)
    if arrays and any(types[name].startswith("array<") for name in columns.values() if name is not None):
        _check_arrays({p: n for p, n in columns.items() if n is not None and p != "user"}, types)


def rows_of(df: DataFrame, columns: Mapping[str, str]) -> DataFrame:
    """Return one row per interaction; columns have the names of their parameters, and ids are text.

    Arrays are exploded. ``row`` is an integer that ascends with the rows of ``df``, and ``place`` is the
    position in the array, or 0 if there are no arrays. A user whose array is empty or null has one row. The
    column ``present`` is false in this row, and true in all other rows.
    """
    f = functions()
    number = f.monotonically_increasing_id().alias("row")
    if not dict(df.dtypes)[columns["item"]].startswith("array<"):
        chosen = [_as_text(f.col(_quoted(name)), p).alias(p) for p, name in columns.items()]
        return df.select(*chosen, f.lit(True).alias("present"), number, f.lit(0).alias("place"))
    arrays = [f.col(_quoted(name)).alias(p) for p, name in columns.items() if p != "user"]
    user = _as_text(f.col(_quoted(columns["user"])), "user").alias("user")
    exploded = df.select(user, number, f.posexplode_outer(f.arrays_zip(*arrays)))
    values = [_as_text(f.col(f"col.{p}"), p).alias(p) for p in columns if p != "user"]
    return exploded.select(
        "user", *values, f.col("pos").isNotNull().alias("present"), "row", f.col("pos").alias("place")
    )


def map_batches(df: DataFrame, task: Task) -> DataFrame:
    """Return a DataFrame of the batches that ``task`` yields for each partition."""
    with warnings.catch_warnings():
        # The warning concerns the version of pandas, but Arrow batches are not converted to pandas.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        return df.mapInArrow(task, task.schema)


@contextmanager
def original_errors() -> Iterator[None]:
    """Raise the item2vec error that failed a task, in place of Spark's ``PythonException``.

    A ``PythonException`` that contains no such error is raised unchanged.
    """
    from pyspark.errors import PythonException

    try:
        yield
    except PythonException as error:
        found = _ERROR.findall(str(error))
        if not found:
            raise
        name, message = found[-1]
        raise getattr(errors, name)(message) from error


def _check_type(parameter: str, name: str, kind: str, time_unit: str | None) -> None:
    is_number = kind in _NUMBERS or kind.startswith("decimal")
    if parameter in IDS:
        fits, expected = (
            kind in {"string", *_INTEGERS} or kind.startswith(("varchar", "char")),
            "text or integers",
        )
    elif parameter == "weight":
        fits, expected = is_number, "numbers"
    else:
        fits, expected = kind in _TIMES or is_number, "timestamps, dates or numbers"
        if is_number and time_unit is None:
            raise InputError(
                f"column {name!r} is of type {kind}; expected the unit of the numbers as time_unit",
                remedies=[Remedy("time_unit", text="pass {}, such as time_unit='s'")],
            )
        if fits and not is_number and time_unit is not None:
            raise InputError(
                f"column {name!r} is of type {kind}, and time_unit is {time_unit!r}; expected a unit only "
                "for numbers: remove time_unit"
            )
    if not fits:
        raise InputTypeError(f"column {name!r} is of type {kind}; expected {expected}: cast the column")


def _check_arrays(columns: Mapping[str, str], types: Mapping[str, str]) -> None:
    for parameter, name in columns.items():
        if not types[name].startswith("array<"):
            raise InputTypeError(
                f"column {name!r} ({parameter}) is of type {types[name]}, and another column holds arrays; "
                "expected arrays in all columns except that of users, or in none"
            )


def _element(kind: str) -> str:
    return kind[len("array<") : -1] if kind.startswith("array<") else kind


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _as_text(column: Column, parameter: str) -> Column:
    return column.cast("string") if parameter in IDS else column
