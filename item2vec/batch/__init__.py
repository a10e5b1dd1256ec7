"""``recommend_all``: write the recommendations for every user to Parquet files or to the store."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from item2vec import files
from item2vec.arguments import checked
from item2vec.batch.similar import FOLDER, SimilarUsers
from item2vec.batch.users import Listed, Request, Stored, Users, UserTastes, answers_of, digest_of, users_in
from item2vec.errors import ConfigError, CorruptBundleError, InputError, refusing_unwritable, short_repr
from item2vec.interactions import Interactions
from item2vec.outputs import output
from item2vec.progress import progress_bar
from item2vec.readers.writing import count_rows, write_parquet
from item2vec.recommender import Recommender
from item2vec.rules import RuleArguments
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.shaping import check_least
from item2vec.store import Store
from item2vec.store.recommendations import (
    largest_rank,
    replace_recommendations,
    users_of,
    without_recommendations,
)
from item2vec.versions.locks import locked

__all__ = ["Recommended", "Request", "answers_of", "recommend_all"]

log = logging.getLogger(__name__)

MANIFEST = "_manifest.json"
LOCK = "_LOCK"
FORMAT = 2
USERS_PER_FILE = 10_000
USERS_PER_TRANSACTION = 1_000
USERS_IN_MEMORY = 100_000
COLUMNS = ("user", "rank", "item", "score", "source")


@dataclass(frozen=True)
class Recommended:
    """The result of ``recommend_all``: the numbers of users, of rows, and of blocks of users.

    ``n_resumed`` is the number of blocks that an earlier call had finished. With ``out``, ``n_rows`` includes
    the rows of these blocks. With ``to_store``, ``n_rows`` is the number of rows that this call wrote, and
    blocks without users do not count as resumed.

    >>> Recommended(n_users=3, n_rows=30, n_blocks=1, n_resumed=0).n_rows
    30
    """

    n_users: int
    n_rows: int
    n_blocks: int
    n_resumed: int


@checked
def recommend_all(
    model: Recommender,
    histories: Store | Interactions | Sentences | ShardedSentences | Mapping[str, Iterable[str]],
    *,
    k: int = 50,
    out: str | PathLike[str] | None = None,
    to_store: Store | None = None,
    version: str | None = None,
    users: Sequence[str] | None = None,
    filter_seen: bool = True,
    block_users: int | None = None,
    similar_users: int | None = None,
    **rules: Unpack[RuleArguments],
) -> Recommended:
    """Write recommendations for every user to Parquet files, or to the table ``recommendation``.

    Users are processed in blocks, so that the memory for recommendations does not grow with the number of
    users. After an interruption, even by SIGKILL or a power loss, repeat the call: finished blocks are kept,
    and no user occurs twice.

    Parameters
    ----------
    model
        The model that computes the recommendations. With a ``Store``, pass the model of a version, such as
        ``Engine.model``: rows for the new items of the store are added as in an ``Engine``.
    histories
        The history of each user: a ``Store``, whose users and catalogue are read; ``Interactions``; a mapping
        from user ids to lists of items, oldest first; ``Sentences``, usually with ``users``; or
        ``ShardedSentences`` that contain user ids, whose shards are read one at a time. The events of
        ``Store`` and ``Interactions``, and all sentences of a user of ``ShardedSentences`` together, in order
        of time, are converted to histories with the adapter settings of the model. A user whose sentences
        were all dropped when the corpus was made is not in the corpus, and has no recommendations. If events
        are ingested into the store during the call, the histories of later blocks contain them. Users who are
        added to the store during the call are left out. The catalogue of a store is read at the start of the
        call. If the call is repeated after an interruption, finished blocks are kept, and the remaining users
        are served from the catalogue at the time of the restart.
    k
        Maximum number of items per user, as in ``Recommender.recommend``.
    out
        Folder of the files ``part-00000.parquet``, …, one per block, with the columns ``user rank item score
        source``. Ranks start at 1. A finished file is flushed to the disk and renamed. ``_manifest.json``
        contains the arguments of the call, and digests of the model (with the attributes of its items), the
        rules and the histories. For a ``Store``, the manifest contains the URL and the highest row number of
        a user, instead of a digest of the histories, and nothing of its catalogue.
    to_store
        Store to write to, instead of the folder ``out``: the recommendations become rows of the table
        ``recommendation``, with ``version`` in each row. ``histories`` must be the same ``Store``. A block is
        one transaction. Users who have recommendations of this version are skipped, even if the rules were
        different, or ``k`` was lower.
    version
        Id of the version of the model. It is part of the manifest, and required for ``to_store``.
    users
        User id of each history of ``Sentences``; by default, the position of the history.
    block_users
        Maximum number of users per block: by default 10,000 per file, or 1,000 per transaction. For a sharded
        corpus, a block is a shard, and ``block_users`` is the maximum number of users whose recommendations
        are in memory at a time, by default 100,000.
    similar_users
        Number of similar users per user. They are written to the files ``part-00000.parquet``, …, in the
        folder ``_similar_users`` of ``out``, one file per block, with the columns ``user rank similar_user
        score``. The score is the cosine of the user vectors, which are those of ``Recommender.tastes``: rules
        do not change them. A user without a user vector has no rows, and is in no rows of other users. Users
        with equal scores are in the order of the blocks. From 50,000 users on, the search is approximate
        (recall of at least .95) if FAISS is installed and faster than a scan; scores are exact.

        The user vectors are written to ``_user_vectors`` in ``out`` during the pass over the users, and
        removed at the end. n users × dimensions × 4 bytes are mapped from this folder, which takes twice this
        space on the disk; the user ids are in memory. An approximate search takes about five times this space
        in memory while its index is built.
    filter_seen, rules
        As in ``Recommender.recommend``, for all users: no rule may have a list per user.

    Raises
    ------
    ConfigError
        If ``out`` is not a folder, or contains other files, or recommendations of another version of
        item2vec, or of a call with other arguments, another model or other histories; if both or neither of
        ``out`` and ``to_store`` are specified; or if ``to_store`` is specified without ``version``, or is not
        ``histories``, or has recommendations of this version with ranks above ``k``; or if ``block_users`` is
        below 1; or if ``similar_users`` is below 1, or is specified with ``to_store``.
    InputError
        If ``k`` or a rule is invalid, ``k`` exceeds both 10,000 and the number of items, or a rule has a list
        per user; if a user id is not a valid id, user ids are repeated, or their number differs from the
        number of histories; if ``users`` is specified for histories other than ``Sentences``; or if
        ``ShardedSentences`` contain no user ids.
    CorruptBundleError
        If ``_manifest.json`` in the folder cannot be read.
    StoreError
        If the store cannot be read or written.
    WriteError
        If ``out`` cannot be created, or a file in it cannot be written.
    LockHeldError
        If another call, in this or another process, writes to the folder.
    PlatformError
        If ``out`` is specified, and the system has no POSIX file locks (Windows).

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import ItemVectors, Vocabulary, readers
    >>> vectors = ItemVectors(Vocabulary(("a", "b", "c")), np.eye(3), None, np.ones(3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     recommend_all(Recommender(vectors), {"ann": ["a"], "bob": ["a", "b"]}, k=2, out=folder)
    Recommended(n_users=2, n_rows=3, n_blocks=1, n_resumed=0)
    >>> import pandas as pd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     users = {"ann": ["a"], "bob": ["a", "b"]}
    ...     _ = recommend_all(Recommender(vectors), users, out=folder, similar_users=1)
    ...     pd.read_parquet(f"{folder}/_similar_users")
      user  rank similar_user     score
    0  ann     1          bob  0.573462
    1  bob     1          ann  0.573462
    """
    if (out is None) == (to_store is None):
        raise ConfigError(f"got {'neither' if out is None else 'both'} of out and to_store; expected one")
    if block_users is not None:
        check_least("block_users", block_users, 1)
    if similar_users is not None:
        check_least("similar_users", similar_users, 1)
        if to_store is not None:
            raise ConfigError(
                "got similar_users with to_store, and the store has no table of similar users; expected "
                "similar_users with out"
            )
    if users is not None and not isinstance(histories, Sentences):
        kind = type(histories).__name__
        raise InputError(f"users is given with histories of type {kind}; expected Sentences, or no users")
    request = Request.of(k, filter_seen, rules)
    if to_store is not None:
        if histories is not to_store or version is None:
            raise ConfigError(
                f"got to_store with histories of type {type(histories).__name__} and version={version!r}; "
                "expected the same store as histories, and a version"
            )
        return _fill_table(model, to_store, request, version, block_users or USERS_PER_TRANSACTION)
    folder = Path(str(out))
    # Read before the block, because an OSError of the caller's iterables is not an error of the folder.
    source: Store | Users = histories if isinstance(histories, Store) else users_in(histories, model, users)
    with refusing_unwritable(folder):
        _make_folder(folder)
        with locked(folder, "recommend --all", name=LOCK):
            size = USERS_IN_MEMORY if isinstance(histories, ShardedSentences) else USERS_PER_FILE
            return _write_files(model, source, request, folder, version, block_users or size, similar_users)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ConfigError(
            f"out is {folder}, which is not a folder; expected a new or empty folder, or a folder of "
            "recommendations: choose another path"
        ) from error


def _write_files(
    model: Recommender,
    given: Store | Users,
    request: Request,
    folder: Path,
    version: str | None,
    size: int,
    similar_users: int | None,
) -> Recommended:
    earlier = _read_manifest(folder)
    pinned = {} if earlier is None else earlier["histories"]
    source = Stored.of(model, given, pinned.get("last_user")) if isinstance(given, Store) else given
    manifest = {"format": FORMAT, "kind": "recommendations", "version": version, "block_users": int(size)}
    manifest |= {"model": _model_digest(model), "histories": source.described(), **request.described()}
    manifest |= {} if similar_users is None else {"similar_users": int(similar_users)}
    _check_same(earlier, manifest, folder)
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink()
    n_blocks = source.n_blocks(size)
    if earlier is None and not n_blocks:
        _write_manifest(folder, manifest)
    similar = None if similar_users is None else SimilarUsers.unfinished(folder, similar_users, n_blocks)
    n_rows = n_resumed = 0
    with progress_bar("recommending", n_blocks) as advance:
        for number in range(n_blocks):
            path = folder / f"part-{number:05}.parquet"
            parts = source.parts(number, size)
            if path.exists():
                n_resumed += 1
                if similar is not None:
                    similar.complete(number, parts)
            else:
                tastes: list[UserTastes] = []
                with output(path, files.FILE_MODE) as file:
                    write_parquet(file, _columns(parts, request, None if similar is None else tastes))
                    # The rules suit the model, so the folder may be resumed.
                    if earlier is None and number == 0:
                        _write_manifest(folder, manifest)
                    if similar is not None:
                        similar.save(number, tastes)
            n_rows += count_rows(path)
            advance(f"{n_rows:,} rows")
    if similar is not None:
        similar.write()
    return Recommended(source.n_users, n_rows, n_blocks, n_resumed)


def _columns(
    parts: Iterable[Listed], request: Request, tastes: list[UserTastes] | None
) -> Iterator[dict[str, Any]]:
    """Yield the columns of the recommendations for each part; append its user vectors to ``tastes``."""
    for part in parts:
        if tastes is not None:
            tastes.append(part.tastes())
        columns = part.answers(request).columns()
        yield {name: columns[name] for name in COLUMNS}


def _fill_table(model: Recommender, store: Store, request: Request, version: str, size: int) -> Recommended:
    if (largest := largest_rank(store, version)) > request.k:
        raise ConfigError(
            f"k is {request.k}, and the store has recommendations of version {version} with up to {largest} "
            f"items per user; expected the k of that call, or {_removal(version)}"
        )
    source = Stored.of(model, store)
    n_blocks = source.n_blocks(size)
    n_rows = n_resumed = 0
    with progress_bar("recommending", n_blocks) as advance:
        for number in range(n_blocks):
            numbers = source.numbers(number, size)
            missing = without_recommendations(store, version, numbers)
            if missing:
                answers = source.answers_of(missing, request)
                n_rows += replace_recommendations(store, version, missing, answers)
            elif users_of(store, numbers):
                n_resumed += 1
            advance(f"{n_rows:,} rows")
    if largest:
        log.info(
            "users who had recommendations of version %s keep them, whatever k and rules are now; to replace "
            "them, %s",
            version,
            _removal(version),
        )
    return Recommended(source.n_users, n_rows, n_blocks, n_resumed)


def _removal(version: str) -> str:
    return f"first delete the rows with version = '{version}' from the table recommendation"


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    files.write_json(folder / MANIFEST, manifest, replace=True)


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    path = folder / MANIFEST
    if path.exists():
        manifest: dict[str, Any] = files.parse_json(files.read_text(path, files.MAX_JSON_BYTES), path)
        if not isinstance(manifest, dict) or not isinstance(manifest.get("histories"), dict):
            raise CorruptBundleError(
                f"{path} is {short_repr(manifest)}; expected a JSON object with the object 'histories': "
                "choose another folder"
            )
        if manifest.get("format") != FORMAT:
            raise ConfigError(
                f"{path} has format {short_repr(manifest.get('format'))}, of another version of item2vec; "
                f"expected format {FORMAT}: choose another folder"
            )
        return manifest
    names = [file.name for file in folder.iterdir()]
    others = [name for name in names if name == FOLDER or not name.startswith((".", "_"))]
    if others:
        raise ConfigError(
            f"{folder} contains {others[0]!r} and no {MANIFEST}; expected an empty folder, or a folder of "
            "recommendations: choose another folder"
        )
    return None


def _check_same(earlier: Mapping[str, Any] | None, manifest: Mapping[str, Any], folder: Path) -> None:
    if earlier is None or earlier == manifest:
        return
    # An argument that was not given, such as similar_users, is not in the manifest.
    names = [name for name in {**manifest, **earlier} if earlier.get(name) != manifest.get(name)]
    raise ConfigError(
        f"{folder} contains the recommendations of a call in which {' and '.join(names)} differed; to resume "
        "that call, repeat its arguments, otherwise choose another folder"
    )


def _model_digest(model: Recommender) -> str:
    """Return the SHA-256 of the settings, items and arrays that determine a model's recommendations.

    Titles and attributes are included whether or not a rule reads them: ``group_by`` reads attributes, too.
    """
    parts = model.parts
    about = (parts.taste, parts.adapter, parts.index.kind, parts.vectors.config)
    digest = hashlib.sha256(repr(about).encode())
    digest.update(digest_of(model.vocabulary.ids).encode())
    if (items := parts.items) is not None:
        digest.update(digest_of(items.vocabulary.ids).encode())
        digest.update(repr((items.titles, items.attributes)).encode())
    vectors, table = parts.vectors, parts.neighbours
    arrays: list[npt.NDArray[Any] | None] = [vectors.input, vectors.output, vectors.positions, vectors.counts]
    arrays += [parts.prior, *(() if table is None else (table.offsets, table.items, table.weights))]
    for array in arrays:
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
