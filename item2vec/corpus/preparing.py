"""``prepare`` writes a sharded corpus from files of interactions, which may be larger than the memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypedDict

from item2vec import files as disk
from item2vec.adapters.histories import EVERYTHING, chosen_interactions
from item2vec.adapters.shards import save_shards, sentences_of_users
from item2vec.arguments import checked
from item2vec.config import AdapterConfig
from item2vec.config.settings import either
from item2vec.corpus.buckets import BYTES_PER_ROW, read_bucket, sentences_of, write_buckets
from item2vec.errors import (
    BundleExistsError,
    ConfigError,
    CorruptBundleError,
    InputError,
    InputTypeError,
    MissingExtraError,
    NothingToTrainError,
    Remedy,
    refusing_unwritable,
    short_repr,
)
from item2vec.interactions import Interactions
from item2vec.opening import reading
from item2vec.progress import progress_bar
from item2vec.readers import read_interactions
from item2vec.readers.staging import InteractionFormat, StagedRows
from item2vec.readers.tables import data_files_of
from item2vec.sentences import ShardedSentences
from item2vec.sharded import ShardWriter
from item2vec.shards.arrow import open_vocabulary
from item2vec.shards.locks import locked
from item2vec.shards.writer import check_absent
from item2vec.types import Vocabulary, as_history

__all__ = ["DRIVERS", "SHARE_OF_DATABASE", "bytes_of", "database_module", "prepare"]

LEAST_MEMORY = 512 << 20
SHARE_OF_DATABASE, SHARE_OF_SHARD = 0.5, 0.25
"""Shares of the memory for the buffers of DuckDB, and for the rows of one shard."""

_SIZE = re.compile(r"(\d+)\s*([KMGT]?)i?B?", re.IGNORECASE)
_SHIFTS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}

DRIVERS = ("duckdb", "memory")


class _Coded(TypedDict):
    """The content of ``coded.json``: the state of a preparation after all ids were replaced by codes.

    ``rows`` holds the number of rows of each shard. ``adapter`` holds the settings still to be applied.
    """

    source: str
    columns: list[str]
    rows: list[int]
    events: list[str] | None
    adapter: dict[str, Any]


@checked
def prepare(
    files: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    out: str | PathLike[str],
    memory: str = "2GB",
    shards: int | None = None,
    driver: Literal["duckdb", "memory"] = "duckdb",
    adapter: AdapterConfig = EVERYTHING,
    **columns: Any,
) -> ShardedSentences:
    """Convert interactions in files to training sentences, write a sharded corpus, and open the corpus.

    With ``driver="duckdb"``, the files may be larger than the memory. With either driver, the sentences are
    those of ``adapters.histories`` or ``adapters.sessions``, in the shards and the order of
    ``adapters.save_shards``. If the process is killed, repeat the call: it keeps the complete shards and,
    with ``"duckdb"``, the temporary files if the ids of all rows were replaced by codes. With ``"duckdb"``, a
    call with another setting, or after a change of a file's size or modification time, begins again.

    Parameters
    ----------
    files
        Path of a file, folder or pattern, or a list of them, as in ``readers.read_interactions``.
    out
        Folder to create. It must not exist. With ``"duckdb"``, temporary files of about the size of the
        uncompressed rows are in the folder ``.NAME.rows`` beside it, where NAME is the name of ``out``.
    memory
        Approximate limit of memory, such as ``"2GB"``; at least ``"512MB"``. Each row group of a Parquet file
        must fit into it. The driver ``"memory"`` has no limit, and uses the setting only for the default of
        ``shards``.
    shards
        Number of shards: 1 to 100,000. By default, the rows of an average shard take at most about a quarter
        of ``memory``.
    driver
        ``"duckdb"`` reads, counts and sorts with DuckDB (extra ``bigdata``). ``"memory"`` reads all
        interactions into memory.
    adapter
        Settings of the sentences. ``group_by`` is not supported; ``adapters.save_shards`` supports it with
        the parameter ``items``.
    columns
        Names of columns, format of the files, and handling of bad rows: the keyword arguments of
        ``readers.read_interactions``, except ``connection``.

    Raises
    ------
    ConfigError
        If ``memory`` or ``driver`` is invalid, ``shards`` is below 1, ``group_by`` is set, or the adapter
        needs timestamps that are missing.
    InputError
        For the same reasons as in ``readers.read_interactions``; if there are no rows, or the adapter needs a
        column or event that is missing; if a file changes during the call; if ``memory`` is not sufficient;
        or if ``shards`` is above 100,000.
    NothingToTrainError
        If the adapter selects no interaction.
    BundleExistsError
        If ``out`` exists.
    LockHeldError
        If another call, in this or another process, prepares the same folder.
    MissingExtraError
        If ``driver`` is ``"duckdb"``, and DuckDB is not installed.
    WriteError
        If ``out`` cannot be written, or DuckDB cannot read or write a file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     prepare("sample_data/listens.csv.gz", out=f"{folder}/corpus", shards=4)
    ShardedSentences(4 shards, 800 sentences, 59,096 tokens, 1,500 items)
    """
    sources = _paths(files)
    if driver not in DRIVERS:
        raise ConfigError(f"driver is {short_repr(driver)}; expected {either(DRIVERS)}")
    limit = bytes_of(memory)
    if shards is not None and shards < 1:
        raise ConfigError(f"shards is {shards}; expected an integer of at least 1")
    if adapter.group_by is not None:
        raise ConfigError(
            f"group_by is {short_repr(adapter.group_by)}, and interactions have no attributes; omit group_by",
            remedies=[Remedy("items", text="or call adapters.save_shards with {}")],
        )
    form = _format(columns)
    target = Path(out)
    try:
        check_absent(target)
    except BundleExistsError:
        shutil.rmtree(_work_folder(target), ignore_errors=True)  # a killed process may have left it
        raise
    if driver == "memory":
        _prepare_in_memory(sources, target, limit, shards, adapter, form)
    else:
        database = database_module()
        with database.failures(target, memory), refusing_unwritable(target):
            _Preparation(database, sources, target, limit, shards, adapter, form).run()
    return ShardedSentences.open(target)


def _prepare_in_memory(
    sources: list[Any],
    target: Path,
    memory: int,
    shards: int | None,
    adapter: AdapterConfig,
    form: InteractionFormat,
) -> None:
    interactions = read_interactions(sources[0] if len(sources) == 1 else sources, **form.arguments())
    n_chosen = len(chosen_interactions(interactions, adapter))
    _check_rows(len(interactions), n_chosen, sources)
    save_shards(interactions, adapter, target, shards=shards or _default_shards(n_chosen, memory))


class _Preparation:
    """One call of ``prepare`` with the driver ``"duckdb"``."""

    def __init__(
        self,
        database: ModuleType,
        sources: list[Any],
        target: Path,
        memory: int,
        shards: int | None,
        adapter: AdapterConfig,
        form: InteractionFormat,
    ) -> None:
        self.database, self.sources, self.target, self.memory = database, sources, target, memory
        self.shards, self.adapter, self.form = shards, adapter, form
        self.work = _work_folder(target)

    def run(self) -> None:
        """Assign codes to the rows, unless an earlier call has done so, and write the missing shards."""
        self.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = locked(self.work)
        try:
            coded = self._coded()
            self._write_shards(coded)
            shutil.rmtree(self.work)
        finally:
            if not (self.work / "coded.json").exists():
                shutil.rmtree(self.work, ignore_errors=True)
            if lock is not None:
                os.close(lock)

    def _coded(self) -> _Coded:
        path = self.work / "coded.json"
        source = self._source()
        with contextlib.suppress(CorruptBundleError):  # the file is missing or damaged
            earlier: _Coded = disk.parse_json(disk.read_text(path), path)
            if earlier["source"] == source:
                return earlier
        for leftover in self.work.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        coded = self._code(source)
        if self._source() != source:
            raise InputError(
                "the files were changed while they were read; expected files that do not change: run again"
            )
        disk.write_json(path, coded, replace=True)
        return coded

    def _source(self) -> str:
        """Return a digest of the paths, sizes and modification times of the files, and of all settings."""
        found = []
        for file in data_files_of(self.sources, self.form.encoding):
            with reading(file):
                status = file.stat()
            found.append((str(file), status.st_size, status.st_mtime_ns))
        settings = [self.form.arguments(), self.adapter.model_dump(mode="json"), self.shards or self.memory]
        return hashlib.sha256(repr([found, settings]).encode()).hexdigest()

    def _code(self, source: str) -> _Coded:
        with progress_bar("counting and coding", total=4) as advance, self._opened() as (rows, database):
            advance("read")
            adapter = self.adapter
            if adapter.days is not None:
                adapter = adapter.resolved(database.newest())
            events = database.events()
            _check_columns(rows, events, adapter)
            database.choose(adapter)
            advance("filtered")
            n_chosen = database.write_vocabulary(self.work / "vocabulary.parquet")
            _check_rows(rows.n_rows, n_chosen, self.sources)
            advance("counted")
            n_shards = self.shards or _default_shards(n_chosen, self.memory)
            others = [name for name in rows.columns if name not in ("user", "item")]
            columns = ["user", "item", "row", *others]
            database.write_users(self.work / "users.parquet", n_shards)
            batches = database.coded()
            n_rows = write_buckets(self.work / "buckets", batches, columns, n_shards)
            advance("coded")
        (self.work / "rows.parquet").unlink(missing_ok=True)
        if sum(n_rows) != n_chosen:
            raise InputError(
                f"{n_chosen:,} rows were counted, and {sum(n_rows):,} were coded; expected equal numbers: "
                "the files were changed while they were read; run again"
            )
        once = adapter.replace(min_item_count=1, min_user_count=1, core=False)
        return {
            "source": source,
            "columns": columns,
            "rows": n_rows,
            "events": None if events is None else list(events.ids),
            "adapter": once.model_dump(mode="json", exclude_unset=True),
        }

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[StagedRows, Any]]:
        """Yield the rows, and a database with their counts. Convert files that DuckDB might misread."""
        limit, spill = int(SHARE_OF_DATABASE * self.memory), self.work / "spill"
        rows = self.form.as_found(self.sources)
        database = self.database.Database(spill, limit, rows) if rows is not None else None
        if database is None or rows is None or not database.count_if_valid():
            if database is not None:
                database.close()
            rows = self.form.converted(self.sources, self.work / "rows.parquet")
            database = self.database.Database(spill, limit, rows)
            database.count()
        with contextlib.closing(database):
            yield rows, database
        shutil.rmtree(spill, ignore_errors=True)

    def _write_shards(self, coded: _Coded) -> None:
        adapter = AdapterConfig(**coded["adapter"])
        events = None if coded["events"] is None else Vocabulary(tuple(coded["events"]))
        is_weighted = "weight" in coded["columns"] or isinstance(adapter.events, dict)
        columns = [*(["weights"] * is_weighted), *(["timestamps"] * ("timestamp" in coded["columns"]))]
        with ShardWriter(
            self.target,
            self.database.read_vocabulary(self.work / "vocabulary.parquet"),
            ordered=adapter.ordered,
            columns=columns,
            n_shards=len(coded["rows"]),
            source=coded["source"],
        ) as writer:
            items = open_vocabulary(writer.folder, writer.n_items)
            missing = writer.missing()
            with progress_bar("writing shards", total=len(missing)) as advance:
                for number in missing:
                    records = read_bucket(
                        self.work / "buckets", number, coded["columns"], coded["rows"][number]
                    )
                    shard, owners = sentences_of(records, items, events, adapter)
                    users = self.database.read_users(self.work / "users.parquet", number).take(owners)
                    of_tokens = {"weights": shard.weights, "timestamps": shard.timestamps}
                    writer.write(number, shard.tokens, shard.offsets, **of_tokens, users=users)
                    advance("")
            writer.finish()


def _paths(files: Any) -> list[Any]:
    sources = [files] if isinstance(files, str | PathLike) else as_history(files, "files")
    for source in sources:
        if not isinstance(source, str | PathLike) or "\0" in os.fspath(source):
            raise InputTypeError(
                f"files contains {short_repr(source)}; expected only paths (str or os.PathLike), without NUL"
            )
    if not sources:
        raise InputError("files is empty; expected at least one path")
    return list(sources)


def _format(columns: dict[str, Any]) -> InteractionFormat:
    if unknown := columns.keys() - InteractionFormat().arguments().keys():
        known = ", ".join(InteractionFormat().arguments())
        raise InputTypeError(f"unknown argument {min(unknown)!r}; expected some of {known}")
    return InteractionFormat(**columns)


def database_module() -> ModuleType:
    """Return the module ``database``, which imports duckdb; raise ``MissingExtraError`` without duckdb."""
    try:
        from item2vec.corpus import database
    except ModuleNotFoundError as error:
        if error.name != "duckdb":
            raise
        raise MissingExtraError(
            "duckdb is not installed; files larger than the memory need it: pip install 'item2vec[bigdata]'",
            remedies=[Remedy("driver", "memory", "or read them into memory with {}")],
        ) from error
    return database


def bytes_of(memory: str) -> int:
    """Return a size in bytes; raise ``ConfigError`` if it is invalid or below 512MB. 1 GB is 2**30 bytes.

    >>> bytes_of("2GB") == 2 << 30
    True
    """
    parsed = _SIZE.fullmatch(memory.strip())
    n_bytes = int(parsed[1]) << _SHIFTS[parsed[2].upper()] if parsed else 0
    if n_bytes < LEAST_MEMORY:
        raise ConfigError(f"memory is {short_repr(memory)}; expected a size of at least 512MB, such as '2GB'")
    return n_bytes


def _default_shards(n_rows: int, memory: int) -> int:
    """Return the least number of shards whose average size is at most ``SHARE_OF_SHARD`` of the memory.

    >>> _default_shards(100_000_000, 2 << 30)
    23
    """
    return -(-n_rows * BYTES_PER_ROW // int(SHARE_OF_SHARD * memory)) or 1


def _check_columns(rows: StagedRows, events: Vocabulary | None, adapter: AdapterConfig) -> None:
    """Raise the error that the adapter raises for interactions with these columns and events."""
    n = max(1, len(events or ()))
    columns: dict[str, Any] = {"timestamp": [0] * n} if "timestamp" in rows.columns else {}
    columns |= {"event": events.ids} if events is not None else {}
    columns |= {"session": ["s"] * n} if "session" in rows.columns else {}
    sample = Interactions.of(user=["u"] * n, item=["i"] * n, **columns)
    sentences_of_users(
        chosen_interactions(sample, adapter.replace(min_item_count=1, min_user_count=1)), adapter
    )


def _check_rows(n_rows: int, n_chosen: int, sources: list[Any]) -> None:
    found = ", ".join(map(str, sources))
    if not n_rows:
        raise InputError(f"found no rows in {found}; expected interactions")
    if not n_chosen:
        raise NothingToTrainError(
            f"{found}: the adapter settings select none of {n_rows:,} interactions; expected at least one: "
            "check events, since, days and the minimum counts"
        )


def _work_folder(target: Path) -> Path:
    return target.parent / f".{target.name}.rows"
