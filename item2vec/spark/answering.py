"""``recommend``: recommendations for every user of a DataFrame, computed in the executors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Unpack

from item2vec import bundle
from item2vec.arguments import checked_except
from item2vec.batch import Request, answers_of
from item2vec.bundle.manifest import read_manifest
from item2vec.errors import BundleNotFoundError, InputError
from item2vec.files import refusing_unreadable
from item2vec.readers.writing import arrow_table
from item2vec.recommender import Recommender
from item2vec.rules import RuleArguments
from item2vec.spark.blocks import interactions_of, user_blocks
from item2vec.spark.frames import check_frame, check_time_unit, chosen, functions, map_batches, rows_of
from item2vec.versions.layout import CURRENT, VERSIONS, served_version

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

__all__ = ["recommend"]

COLUMNS = ("user", "rank", "item", "score", "source")
ROWS_PER_BATCH = 10_000


@checked_except("df")
def recommend(
    df: DataFrame,
    *,
    model: str | PathLike[str],
    k: int = 10,
    user: str = "user_id",
    item: str = "item_id",
    timestamp: str | None = "timestamp",
    weight: str | None = None,
    event: str | None = None,
    time_unit: str | None = None,
    filter_seen: bool = True,
    partitions: int | None = None,
    **rules: Unpack[RuleArguments],
) -> DataFrame:
    """Return recommendations for every user of a Spark DataFrame, computed in the executors.

    ``recommend_all`` gives the same items and scores, bit for bit, for the same interactions and model. The
    executors receive the path of the model, not its matrices. Each Python process of an executor
    memory-maps the model once, so that the processes of a machine share the memory of the model. Like any
    DataFrame, the result is computed when it is written or collected. Each user occurs once, even if Spark
    repeats a task.

    Parameters
    ----------
    df
        The events: a row per interaction, or a row per user with an array of items, oldest first. A user
        whose array is empty or null gets the most popular items.
    model
        Path of a bundle or of a models folder, on a file system that all machines see under the same path.
        Of a models folder, the version served at the time of the call is used, even if another version is
        published before the result is computed.
    k
        Number of items per user, as in ``Recommender.recommend``.
    user, item, timestamp, weight, event
        Names of the columns; ``None`` omits an optional column. Ids and events are text or integers, weights
        are numbers, and ``timestamp`` is a column of Spark timestamps, dates or numbers. Rows with equal
        timestamps keep their order. If items are in arrays, timestamps, weights and events must be in arrays
        of the same lengths.
    time_unit
        Unit of a numeric ``timestamp`` column: ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``. ``None`` for Spark
        timestamps and dates.
    partitions
        Number of partitions of the result; by default ``spark.sql.shuffle.partitions``.
    filter_seen, rules
        As in ``Recommender.recommend``, for all users.

    Returns
    -------
    DataFrame
        The columns ``user`` (string), ``rank`` (int, from 1), ``item`` (string), ``score`` (float) and
        ``source`` (string), with up to ``k`` rows per user, in order of rank.

    Raises
    ------
    InputTypeError, InputError
        If ``df`` is not a Spark DataFrame, a column is missing or has an unsupported type, or an argument is
        invalid. An invalid id or timestamp, such as null, fails the Spark job later; the ``PythonException``
        of Spark contains the message.
    ConfigError
        If ``time_unit`` is unknown.
    BundleNotFoundError, CorruptBundleError
        If no model is at the path, or the manifest of the model is damaged. Damage of another file of the
        model fails the Spark job later.
    MissingExtraError
        If pyspark is not installed.

    Examples
    --------
    >>> events = spark.read.parquet("events/")  # doctest: +SKIP
    >>> cheap = {"price": {"<": 5}}
    >>> answers = recommend(events, model="models", k=20, where=cheap)  # doctest: +SKIP
    >>> answers.write.parquet("recommendations/")  # doctest: +SKIP
    """
    if partitions is not None and not 1 <= partitions < 2**31:
        raise InputError(f"partitions is {partitions}; expected an integer from 1 to {2**31 - 1:,}")
    check_time_unit(time_unit)
    request = Request.of(k, filter_seen, rules)
    request.described()
    path, digest = _bundle_of(Path(model))
    columns = chosen(user=user, item=item, timestamp=timestamp, weight=weight, event=event)
    check_frame(df, columns, time_unit, arrays=True)
    f = functions()
    rows = rows_of(df, columns)
    rows = rows.repartition("user") if partitions is None else rows.repartition(partitions, f.col("user"))
    task = _Answering(str(path), digest, request, time_unit)
    return map_batches(rows.sortWithinPartitions("user", "row", "place"), task)


@dataclass(frozen=True)
class _Answering:
    """Computes recommendations for the users of a partition. The rows of the partition are sorted by user."""

    model: str
    digest: str
    request: Request
    time_unit: str | None

    schema: ClassVar = "user string, rank int, item string, score float, source string"

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the recommendations in batches with the columns of ``schema``."""
        for table in user_blocks(batches):
            model = _loaded(self.model, self.digest)
            columns = answers_of(model, interactions_of(table, self.time_unit), self.request).columns()
            answers = arrow_table({name: columns[name] for name in COLUMNS})
            yield from answers.to_batches(max_chunksize=ROWS_PER_BATCH)


@refusing_unreadable()
def _bundle_of(path: Path) -> tuple[Path, str]:
    """Return the absolute path of the bundle that executors load, and the SHA-256 of its manifest."""
    if (path / CURRENT).exists() or (path / VERSIONS).is_dir():
        version = served_version(path)
        return version.path.absolute(), version.manifest_sha256
    try:
        return path.absolute(), read_manifest(path / bundle.MANIFEST)[1]
    except OSError as error:
        raise BundleNotFoundError(f"no model at {path}; expected a bundle or a models folder") from error


@lru_cache(maxsize=1)
def _loaded(path: str, digest: str) -> Recommender:
    """Load a model once per process; raise ``CorruptBundleError`` if its manifest has another SHA-256."""
    return Recommender.from_parts(bundle.read(Path(path), manifest_sha256=digest))
