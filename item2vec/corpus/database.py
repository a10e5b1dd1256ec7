"""Process rows that may be larger than the memory with DuckDB.

``Database`` counts the ids of interactions, and assigns codes to the ids. ``EdgeDatabase`` merges edges.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from item2vec.config import AdapterConfig
from item2vec.durations import PLAUSIBLE, SECOND, TICKS, microseconds_of
from item2vec.errors import InputError, Remedy, WriteError
from item2vec.processes import usable_cpus
from item2vec.readers.edge_staging import StagedEdges
from item2vec.readers.staging import StagedRows
from item2vec.shards.arrow import vocabulary_of
from item2vec.types import MAX_ID_BYTES, Vocabulary

__all__ = ["Database", "EdgeDatabase", "failures", "read_users", "read_vocabulary"]

_BATCH_ROWS = 1 << 19
_LEAST_MEMORY = 128 << 20
_COUNTED = ("item", "user")
_GLOB = re.compile(r"([*?\[])")
_NAMES = {
    "user": "user_id",
    "item": "item_id",
    "timestamp": "micros",
    "weight": "weight",
    "event": "event_id",
    "session": "session_id",
}
"""Names of the columns in the views and tables of ``Database``, by parameter of ``read_interactions``."""


class Database:
    """The rows of interactions as views and tables of DuckDB.

    ``memory`` limits the buffers of DuckDB, in bytes; further data is spilled to ``folder``. The view
    ``source`` has the columns of the rows, and a column ``position``, which ascends in the order of the rows.
    The view ``chosen`` has the rows that ``choose`` selects, and initially all rows. Text is compared by its
    bytes.
    """

    def __init__(self, folder: Path, memory: int, rows: StagedRows) -> None:
        self._has, self._n_rows = [*rows.columns], rows.n_rows
        self._conditions: list[str] = []
        self._chosen_all = True
        self._connection = _connected(folder, memory)
        self._run(f"SET streaming_buffer_size = '{memory // 16}B'")
        columns = ", ".join(f"{_expression(rows, name)} AS {_NAMES[name]}" for name in rows.columns)
        self._run(
            f"CREATE VIEW source AS SELECT {columns}, file_index::BIGINT << 40 | file_row_number AS position "
            f"FROM {_parquet(rows.files)}"
        )
        self._choose_rows(())

    def close(self) -> None:
        """Close the connection, and remove the spilled data."""
        self._connection.close()

    def count(self) -> None:
        """Count the rows of each item and of each user, in the tables ``all_items`` and ``all_users``."""
        for name in _COUNTED:
            self._run(
                f"CREATE TEMP TABLE all_{name}s AS "
                f"SELECT {_NAMES[name]}, count(*) AS n FROM source GROUP BY {_NAMES[name]}"
            )

    def count_if_valid(self) -> bool:
        """Call ``count``; return whether all values are present and valid (dates from 1990 to 2099).

        If they are, ``read_interactions`` would read the same values as DuckDB. The result is also False if
        DuckDB cannot read the values, or reads more or fewer rows than the files state.
        """
        others = [_is_valid(name) for name in self._has if name not in _COUNTED] or ["true"]
        try:
            self.count()
            counts = self._value("SELECT coalesce(sum(n), 0) FROM all_items")
            n_invalid = sum(
                self._value(f"SELECT count(*) FROM {table} WHERE NOT ({condition})")
                for table, condition in (
                    ("all_items", _is_valid("item")),
                    ("all_users", _is_valid("user")),
                    ("source", " AND ".join(others)),
                )
            )
            return bool(counts == self._n_rows and not n_invalid)
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            return False

    def newest(self) -> npt.NDArray[Any] | None:
        """Return an array of the latest timestamp, empty without rows; ``None`` without timestamps."""
        if "timestamp" not in self._has:
            return None
        newest = self._value("SELECT max(micros) FROM source")
        return np.array([] if newest is None else [newest], dtype=np.int64)

    def events(self) -> Vocabulary | None:
        """Return the names of the events, in the order of their first rows; ``None`` without events."""
        if "event" not in self._has:
            return None
        self._run(
            "CREATE TEMP TABLE events AS SELECT event_id, row_number() OVER (ORDER BY first) - 1 AS code "
            "FROM (SELECT event_id, min(position) AS first FROM source GROUP BY event_id)"
        )
        rows = self._connection.execute("SELECT event_id FROM events ORDER BY code").fetchall()
        return Vocabulary(tuple(name for (name,) in rows))

    def choose(self, adapter: AdapterConfig) -> None:
        """Define the view ``chosen``: filter the rows by time and event, then apply the minimum counts.

        The minimum counts of items and of users are applied once, in this order. With the setting ``core``,
        they are applied repeatedly until no further row is removed.
        """
        if adapter.since is not None:
            self._conditions.append(f"micros >= {microseconds_of(adapter.since)}")
        if adapter.events is not None:
            weighted = isinstance(adapter.events, Mapping)
            liked = [n for n in adapter.events if not weighted or adapter.events[n] >= 0]  # type: ignore[call-overload]
            self._conditions.append(f"event_id IN ({', '.join(map(_text, liked))})" if liked else "false")
        least = {"item": adapter.min_item_count, "user": adapter.min_user_count}
        self._chosen_all = not self._conditions and max(least.values()) == 1
        sizes: dict[str, int] = {}
        while True:
            before = dict(sizes)
            for name in (name for name, n in least.items() if n > 1):
                self._choose_rows(sizes)
                self._run(
                    f"CREATE TEMP TABLE counted AS SELECT {_NAMES[name]} FROM chosen "
                    f"GROUP BY 1 HAVING count(*) >= {least[name]}"
                )
                self._run(f"DROP TABLE IF EXISTS frequent_{name}")
                self._run(f"ALTER TABLE counted RENAME TO frequent_{name}")
                sizes[name] = self._value(f"SELECT count(*) FROM frequent_{name}")
            self._choose_rows(sizes)
            if not adapter.core or sizes == before:
                return

    def write_vocabulary(self, path: Path) -> int:
        """Write the id and the number of chosen rows of each item. Return the total number of chosen rows.

        The most frequent item is first. Items of equal frequency are in the order of the bytes of their ids.
        """
        counted = (
            "all_items" if self._chosen_all else "(SELECT item_id, count(*) AS n FROM chosen GROUP BY 1)"
        )
        self._run(
            "CREATE TEMP TABLE items AS SELECT *, row_number() OVER (ORDER BY n DESC, item_id) - 1 AS code "
            f"FROM {counted}"
        )
        ordered = "SELECT item_id AS id, n AS count FROM items ORDER BY code"
        self._run(f"COPY ({ordered}) TO {_text(str(path))} (FORMAT parquet)")
        return int(self._value("SELECT coalesce(sum(n), 0) FROM items"))

    def write_users(self, path: Path, n_shards: int) -> None:
        """Write the ids of the chosen users, shard by shard, in the order of the bytes of the ids."""
        users = "all_users" if self._chosen_all else "(SELECT DISTINCT user_id FROM chosen)"
        self._run(
            "CREATE TEMP TABLE users AS "
            "SELECT *, row_number() OVER (PARTITION BY shard ORDER BY user_id) - 1 AS code "
            f"FROM (SELECT user_id, ('0x' || left(md5(user_id), 8))::BIGINT % {n_shards} AS shard "
            f"FROM {users})"
        )
        ordered = "SELECT shard, user_id FROM users ORDER BY shard, code"
        self._run(f"COPY ({ordered}) TO {_text(str(path))} (FORMAT parquet)")

    def coded(self) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """Yield the chosen rows, in any order, in batches. A batch maps names of columns to arrays.

        ``item`` and ``event`` are codes in the order of ``write_vocabulary`` and ``events``. ``session`` is
        an arbitrary integer per session id. ``user`` is the rank of the user in the ``shard``, in the order
        of ``write_users``. ``row`` is the column ``position`` of the view ``source``. ``event``,
        ``session``, ``timestamp`` and ``weight`` are included if the rows have these columns.
        """
        coded = ["user", "item", *(name for name in ("event", "session") if name in self._has)]
        if "session" in self._has:
            self._run(
                "CREATE TEMP TABLE sessions AS SELECT session_id, row_number() OVER () AS code "
                "FROM (SELECT DISTINCT session_id FROM chosen)"
            )
        columns = {"shard": "users.shard", "row": "position"} | {name: f"{name}s.code" for name in coded}
        columns |= {name: _NAMES[name] for name in ("timestamp", "weight") if name in self._has}
        chosen = ", ".join(f"{column} AS {_quoted(name)}" for name, column in columns.items())
        joins = " ".join(f"JOIN {name}s USING ({_NAMES[name]})" for name in coded)
        rows = self._connection.sql(f"SELECT {chosen} FROM chosen {joins}")
        for batch in rows.to_arrow_reader(_BATCH_ROWS):
            yield {name: batch.column(name).to_numpy(zero_copy_only=False) for name in columns}

    def _choose_rows(self, frequent: Iterable[str]) -> None:
        """Define the view ``chosen``: the rows that meet the conditions and have frequent ids.

        For each name in ``frequent``, the id must be in the table ``frequent_item`` or ``frequent_user``.
        """
        joins = " ".join(f"SEMI JOIN frequent_{name} USING ({_NAMES[name]})" for name in frequent)
        where = f"WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
        self._run(f"CREATE OR REPLACE VIEW chosen AS SELECT * FROM source {joins} {where}")

    def _run(self, query: str) -> None:
        self._connection.execute(query)

    def _value(self, query: str) -> Any:
        return self._connection.execute(query).fetchall()[0][0]


class EdgeDatabase:
    """The rows of edges as views and tables of DuckDB. ``memory`` and ``folder`` are as in ``Database``.

    The view ``rows`` has the ids of the source and target, the weight if edges are weighted, and a column
    ``position`` as in ``Database``.
    """

    def __init__(self, folder: Path, memory: int, rows: StagedEdges) -> None:
        self.weighted = "weight" in rows.columns
        self._connection = _connected(folder, memory)
        self._connection.execute(f"SET streaming_buffer_size = '{memory // 16}B'")
        weight = f", TRY_CAST({_quoted(rows.columns['weight'])} AS FLOAT) AS weight" if self.weighted else ""
        self._connection.execute(
            f"CREATE VIEW rows AS SELECT {_as_text(rows.columns['source'])} AS source_id, "
            f"{_as_text(rows.columns['target'])} AS target_id{weight}, "
            f"file_index::BIGINT << 40 | file_row_number AS position FROM {_parquet(rows.files)}"
        )

    def close(self) -> None:
        """Close the connection, and remove the spilled data."""
        self._connection.close()

    def is_valid(self) -> bool:
        """Return whether DuckDB can read the rows, and all ids and weights (finite, above 0) are valid."""
        conditions = [_is_id("source_id"), _is_id("target_id")]
        conditions += ["isfinite(weight) AND weight > 0"] * self.weighted
        query = f"SELECT count(*) FROM rows WHERE NOT coalesce({' AND '.join(conditions)}, false)"
        try:
            return bool(self._value(query) == 0)
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            return False

    def nodes(self) -> Vocabulary:
        """Return the ids of the nodes by code. Codes are assigned in order of first appearance."""
        self._connection.execute(
            "CREATE TEMP TABLE nodes AS SELECT id, (row_number() OVER (ORDER BY place) - 1)::INTEGER AS code "
            "FROM (SELECT id, min(place) AS place FROM ("
            "SELECT source_id AS id, 2 * position AS place FROM rows UNION ALL "
            "SELECT target_id, 2 * position + 1 FROM rows WHERE target_id IS NOT NULL) GROUP BY id)"
        )
        table = self._connection.sql("SELECT id FROM nodes ORDER BY code").to_arrow_table()
        return vocabulary_of(table["id"])

    def merge(self, directed: bool) -> int:
        """Merge duplicate edges, and return the sum of the degrees of all nodes. Call ``nodes`` first.

        In a directed graph, the degree is the number of outgoing edges. An undirected edge between two nodes
        counts twice, because each node is a neighbour of the other. A self-loop counts once.
        """
        ends = ("s.code", "t.code")
        a, b = ends if directed else (f"{name}({', '.join(ends)})" for name in ("least", "greatest"))
        inner, outer = (", weight", ", fsum(weight) AS weight") if self.weighted else ("", "")
        self._connection.execute(
            f"CREATE TEMP TABLE edges AS SELECT a, b{outer} FROM (SELECT {a} AS a, {b} AS b{inner} FROM rows "
            "JOIN nodes s ON s.id = source_id JOIN nodes t ON t.id = target_id) GROUP BY a, b"
        )
        both = "count(*)" if directed else "count(*) + count(*) FILTER (a <> b)"
        return int(self._value(f"SELECT {both} FROM edges"))

    def edges(self, directed: bool) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """Yield the merged edges in order of source and target, in batches. Call ``merge`` first.

        A batch maps ``"source"``, ``"target"`` (codes) and, for weighted edges, ``"weight"`` to arrays. An
        undirected edge between two nodes is yielded in both directions.
        """
        weight = ", weight" * self.weighted
        reverse = "" if directed else f" UNION ALL SELECT b, a{weight} FROM edges WHERE a <> b"
        rows = self._connection.sql(
            f"SELECT * FROM (SELECT a AS source, b AS target{weight} FROM edges{reverse}) "
            "ORDER BY source, target"
        )
        for batch in rows.to_arrow_reader(_BATCH_ROWS):
            yield {name: batch.column(name).to_numpy() for name in batch.schema.names}

    def _value(self, query: str) -> Any:
        return self._connection.execute(query).fetchall()[0][0]


def read_vocabulary(path: Path) -> Any:
    """Return an iterator over the Arrow batches of a file of ``Database.write_vocabulary``, in its order."""
    connection = _connected(path.parent, _LEAST_MEMORY)
    connection.execute("SET preserve_insertion_order = true")  # otherwise, threads interleave row groups
    return connection.sql(f"SELECT id, count FROM {_parquet([path])}").to_arrow_reader(_BATCH_ROWS)


def read_users(path: Path, shard: int) -> Any:
    """Return the ids of the users of a shard as an Arrow array, in the order of ``Database.write_users``."""
    with contextlib.closing(_connected(path.parent, _LEAST_MEMORY)) as connection:
        query = f"SELECT user_id FROM {_parquet([path])} WHERE shard = {shard} ORDER BY file_row_number"
        return connection.sql(query).to_arrow_table()["user_id"].combine_chunks()


@contextlib.contextmanager
def failures(folder: Path, memory: str) -> Iterator[None]:
    """Convert errors of DuckDB to ``InputError`` or ``WriteError`` that name ``folder`` or ``memory``."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise InputError(
            f"memory is {memory}, which is too little for these rows: {_line(error)}",
            remedies=[Remedy("memory", text="pass more with {}, such as 8GB")],
        ) from error
    except duckdb.IOException as error:
        raise WriteError(
            f"{folder}: DuckDB could not read or write a file: {_line(error)}; check the space on the disk, "
            "and run again"
        ) from error
    except duckdb.Error as error:
        raise InputError(
            f"DuckDB failed: {_line(error)} (working in {folder}); the input may have changed during the run",
            remedies=[Remedy("driver", "memory", "run again, or read the files into memory with {}")],
        ) from error


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _connected(folder: Path, memory: int) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{memory}B",
            "threads": usable_cpus(),
            "temp_directory": str(folder),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )


def _parquet(files: Iterable[Path]) -> str:
    paths = [_text(_GLOB.sub(r"[\1]", str(file.resolve()))) for file in files]
    # DuckDB must not read a folder "key=value" as a column: the readers decide which folders are partitions.
    return f"read_parquet([{', '.join(paths)}], hive_partitioning = false)"


def _expression(rows: StagedRows, name: str) -> str:
    """Return the SQL expression that computes a column of the view ``source`` from a column of the files.

    Timestamps are microseconds since 1970 (BIGINT), weights are FLOAT, and ids are VARCHAR.
    """
    column = _quoted(rows.columns[name])
    if name == "weight":
        return f"TRY_CAST({column} AS FLOAT)"
    if name != "timestamp":
        return _as_text(rows.columns[name])
    if rows.unit is None:
        return f"epoch_us({column})"
    ticks = TICKS[rows.unit]
    factor = f"* {SECOND // ticks}" if ticks <= SECOND else f"// {ticks // SECOND}"
    return f"CAST({column} AS BIGINT) {factor}"


def _is_valid(name: str) -> str:
    column = _NAMES[name]
    if name == "weight":
        valid = f"isfinite({column}) AND {column} >= 0"
    elif name == "timestamp":
        first, last = PLAUSIBLE
        valid = f"{column} >= {first * SECOND} AND {column} < {last * SECOND}"
    else:
        valid = _is_id(column)
    return f"coalesce({valid}, false)"


def _is_id(column: str) -> str:
    return f"strlen({column}) BETWEEN 1 AND {MAX_ID_BYTES} AND NOT contains({column}, chr(0))"


def _as_text(name: str) -> str:
    return f"CAST({_quoted(name)} AS VARCHAR)"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
