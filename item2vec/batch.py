"""``recommend_all``: the recommendations of every user, as Parquet files or in the store."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, Unpack

import numpy as np
import numpy.typing as npt

from item2vec import files
from item2vec.adapters.histories import user_histories
from item2vec.answers import Answers
from item2vec.arguments import checked
from item2vec.catalogue import Eligible
from item2vec.config import AdapterConfig
from item2vec.errors import ConfigError, InputError
from item2vec.interactions import Interactions
from item2vec.progress import progress_bar
from item2vec.readers.writing import count_rows, parquet
from item2vec.recommender import Recommender
from item2vec.rules import RuleArguments, Rules
from item2vec.sentences import Sentences
from item2vec.store import Store
from item2vec.store.recommendations import (
    count_users,
    last_user,
    replace_recommendations,
    users_of,
    without_recommendations,
)
from item2vec.types import as_history, check_k
from item2vec.versions.locks import locked
from item2vec.view import View

__all__ = ["Recommended", "Request", "answers_of", "recommend_all"]

MANIFEST = "_manifest.json"
LOCK = "_LOCK"
FORMAT = 1
USERS_PER_FILE = 10_000
USERS_PER_TRANSACTION = 1_000
COLUMNS = ("user", "rank", "item", "score", "source")


@dataclass(frozen=True)
class Recommended:
    """Numbers of users, rows and blocks of users; an earlier call finished ``n_resumed`` of the blocks.

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
    histories: Store | Interactions | Sentences | Mapping[str, Iterable[str]],
    *,
    k: int = 50,
    out: str | PathLike[str] | None = None,
    to_store: Store | None = None,
    version: str | None = None,
    users: Sequence[str] | None = None,
    filter_seen: bool = True,
    block_users: int | None = None,
    **rules: Unpack[RuleArguments],
) -> Recommended:
    """Write the recommendations of every user to Parquet files, or to the table ``recommendation``.

    Users are processed in blocks, so that memory does not grow with their number. After an interruption, even
    by SIGKILL or a power loss, repeat the call: finished blocks are kept, and no user occurs twice.

    Parameters
    ----------
    histories
        The history of each user: a ``Store``, whose users and catalogue are read; ``Interactions``; a mapping
        from user ids to lists of items, oldest first; or ``Sentences`` together with ``users``. The events of
        ``Store`` and ``Interactions`` become histories by the model's adapter settings. The histories of
        later blocks of a store contain the events that arrive meanwhile; users who arrive meanwhile are left
        out.
    k
        Number of items per user, as in ``Recommender.recommend``.
    out
        Folder of the files ``part-00000.parquet``, …, one per block, with the columns ``user rank item score
        source``. Ranks start at 1. A finished file is flushed to the disk and renamed. ``_manifest.json``
        describes the model, the rules and the histories.
    to_store
        Store whose table ``recommendation`` is filled under ``version``, in place of ``out``. ``histories``
        must be the same ``Store``. A block is one transaction. Users who have recommendations of this version
        are skipped.
    version
        Id of the version. Part of the manifest; required for ``to_store``.
    users
        User id of each history of ``Sentences``; by default, its position.
    block_users
        Number of users per block: by default 10,000 per file, or 1,000 per transaction.
    filter_seen, rules
        As in ``Recommender.recommend``, for all users.

    Raises
    ------
    ConfigError
        If ``out`` contains the recommendations of another model, other rules or other histories, or both or
        neither of ``out`` and ``to_store`` are specified.
    InputError
        If user ids are repeated, or their number differs from the number of histories.
    LockHeldError
        If another process writes to the folder.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import ItemVectors, Vocabulary, readers
    >>> vectors = ItemVectors(Vocabulary(("a", "b", "c")), np.eye(3), None, np.ones(3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     recommend_all(Recommender(vectors), {"ann": ["a"], "bob": ["a", "b"]}, k=2, out=folder)
    Recommended(n_users=2, n_rows=3, n_blocks=1, n_resumed=0)
    """
    if (out is None) == (to_store is None):
        raise ConfigError(f"got {'neither' if out is None else 'both'} of out and to_store; expected one")
    request = Request.of(k, filter_seen, rules)
    if to_store is not None:
        if histories is not to_store or version is None:
            raise ConfigError("to_store requires the same store as histories, and the id of the version")
        return _fill_table(model, to_store, request, version, block_users or USERS_PER_TRANSACTION)
    folder = Path(str(out))
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, "recommend --all", name=LOCK):
        return _write_files(model, histories, request, folder, version, users, block_users or USERS_PER_FILE)


@dataclass(frozen=True)
class Request:
    """The arguments of ``recommend_many`` that apply to all users."""

    k: int
    filter_seen: bool
    rules: Mapping[str, Any]

    @classmethod
    def of(cls, k: int, filter_seen: bool, rules: Mapping[str, Any]) -> Request:
        """Check ``k``, and that no rule has a list per user."""
        read = {name: list(rule) if isinstance(rule, Iterator) else rule for name, rule in rules.items()}
        disliked = () if read.get("disliked") is None else as_history(read["disliked"], "disliked")
        if read.get("exclude") is not None or any(not isinstance(one, str) for one in disliked):
            raise InputError("exclude or disliked has a list per user; expected deny or ids, for all users")
        return cls(check_k(k), filter_seen, read)

    def described(self) -> dict[str, Any]:
        """Return JSON values that identify the request. An invalid rule raises an error."""
        rules: Any = dict(self.rules)
        digest = _digest([_canonical(Rules.of(rules, many=True))])
        return {"k": self.k, "filter_seen": self.filter_seen, "rules": digest}


class _Users(Protocol):
    """The histories of numbered users. A number may belong to no user."""

    @property
    def n_numbers(self) -> int:
        """One more than the highest number of a user."""

    @property
    def n_users(self) -> int:
        """The number of users."""

    def answers(self, start: int, stop: int, request: Request) -> Answers:
        """Return the answers of the users with ``start <= number < stop``."""

    def described(self) -> dict[str, Any]:
        """Return JSON values that identify the histories."""


@dataclass(frozen=True)
class _Listed:
    """Histories in memory, and the seen items of the users; ``None``: the items of the histories."""

    model: Recommender
    users: Sequence[str]
    histories: Sentences
    seen: Sentences | None = None

    @property
    def n_numbers(self) -> int:
        return len(self.users)

    @property
    def n_users(self) -> int:
        return len(self.users)

    def answers(self, start: int, stop: int, request: Request) -> Answers:
        rules, filter_seen, part = dict(request.rules), request.filter_seen, slice(start, stop)
        if filter_seen and self.seen is not None:
            # With seen_events, the other items of the history stay eligible.
            rules["exclude"], filter_seen = self.seen[part], self.model.adapter.seen_events is None
        answers = self.model.recommend_many(
            self.histories[part], k=request.k, as_arrays=True, filter_seen=filter_seen, **rules
        )
        return dataclasses.replace(answers, users=tuple(self.users[part]))

    def described(self) -> dict[str, Any]:
        return {"users": _digest(self.users), "histories": self.histories.fingerprint()}


@dataclass(frozen=True)
class _Stored:
    """Histories in a store. Users are numbered by their rows in the store, up to ``last``."""

    view: View
    store: Store
    last: int

    @classmethod
    def of(cls, model: Recommender, store: Store, last: int | None = None) -> _Stored:
        catalogue = store.catalogue()
        serving = model.with_catalogue(Eligible(catalogue, model.vocabulary, attributes=model.items))
        return cls(View(serving, None, catalogue, store), store, last or last_user(store))

    @property
    def n_numbers(self) -> int:
        return self.last

    @property
    def n_users(self) -> int:
        return count_users(self.store, self.last)

    def answers(self, start: int, stop: int, request: Request) -> Answers:
        return self.answers_of(users_of(self.store, (start + 1, min(stop, self.last))), request)

    def answers_of(self, users: Iterable[str], request: Request) -> Answers:
        """Return the answers of these users."""
        return self.view.recommend_many(
            users, k=request.k, as_arrays=True, filter_seen=request.filter_seen, **request.rules
        )

    def described(self) -> dict[str, Any]:
        return {"store": repr(self.store), "last_user": self.last}


def answers_of(model: Recommender, interactions: Interactions, request: Request) -> Answers:
    """Return the answers of all users of these interactions, as ``recommend_all`` writes them."""
    return _listed(interactions, None, model).answers(0, len(interactions.users), request)


def _write_files(
    model: Recommender,
    histories: Store | Interactions | Sentences | Mapping[str, Iterable[str]],
    request: Request,
    folder: Path,
    version: str | None,
    users: Sequence[str] | None,
    size: int,
) -> Recommended:
    earlier = _read_manifest(folder)
    if isinstance(histories, Store):
        pinned = {} if earlier is None else earlier["histories"]
        source: _Users = _Stored.of(model, histories, pinned.get("last_user"))
    else:
        source = _listed(histories, users, model)
    manifest = {"format": FORMAT, "kind": "recommendations", "version": version, "block_users": size}
    manifest |= {"model": _model_digest(model), "histories": source.described(), **request.described()}
    _check_same(earlier, manifest, folder)
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink()
    if earlier is None:
        files.write_json(folder / MANIFEST, manifest)
        files.sync_folder(folder)
    n_blocks = -(-source.n_numbers // size)
    n_rows = n_resumed = 0
    with progress_bar("recommending", n_blocks) as advance:
        for number in range(n_blocks):
            path = folder / f"part-{number:05}.parquet"
            if path.exists():
                n_resumed += 1
            else:
                columns = source.answers(number * size, (number + 1) * size, request).columns()
                content = parquet({name: columns[name] for name in COLUMNS})
                files.replace_bytes(path, content, files.FILE_MODE)
            n_rows += count_rows(path)
            advance(f"{n_rows:,} rows")
    return Recommended(source.n_users, n_rows, n_blocks, n_resumed)


def _fill_table(model: Recommender, store: Store, request: Request, version: str, size: int) -> Recommended:
    source = _Stored.of(model, store)
    n_blocks = -(-source.last // size)
    n_rows = n_resumed = 0
    with progress_bar("recommending", n_blocks) as advance:
        for number in range(n_blocks):
            missing = without_recommendations(store, version, (number * size + 1, (number + 1) * size))
            if missing:
                answers = source.answers_of(missing, request)
                n_rows += replace_recommendations(store, version, missing, answers)
            else:
                n_resumed += 1
            advance(f"{n_rows:,} rows")
    return Recommended(source.n_users, n_rows, n_blocks, n_resumed)


def _listed(
    histories: Interactions | Sentences | Mapping[str, Iterable[str]],
    users: Sequence[str] | None,
    model: Recommender,
) -> _Listed:
    if users is not None and not isinstance(histories, Sentences):
        raise InputError("users is given together with histories that have user ids; expected Sentences")
    if isinstance(histories, Interactions):
        adapter, items = model.adapter, model.items
        seen = AdapterConfig(events=adapter.seen_events, group_by=adapter.group_by)
        read = user_histories(histories, adapter, items)
        return _Listed(model, histories.users.ids, read, user_histories(histories, seen, items))
    if isinstance(histories, Mapping):
        return _Listed(model, list(histories), Sentences.of(histories.values()))
    names = list(map(str, range(len(histories)))) if users is None else as_history(users, "users")
    if len(set(names)) != len(names) or len(names) != len(histories):
        raise InputError(
            f"found {len(set(names)):,} distinct user ids for {len(histories):,} histories; expected one each"
        )
    return _Listed(model, names, histories)


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    path = folder / MANIFEST
    if path.exists():
        manifest: dict[str, Any] = files.parse_json(files.read_text(path, files.MAX_JSON_BYTES), path)
        return manifest
    others = [file.name for file in folder.iterdir() if not file.name.startswith((".", "_"))]
    if others:
        raise ConfigError(f"{folder} contains {others[0]!r} and no {MANIFEST}; expected an empty folder")
    return None


def _check_same(earlier: Mapping[str, Any] | None, manifest: Mapping[str, Any], folder: Path) -> None:
    if earlier is None or earlier == manifest:
        return
    names = [name for name, value in manifest.items() if earlier.get(name) != value]
    raise ConfigError(
        f"{folder} contains recommendations with another {' and another '.join(names)}; expected the same "
        "arguments to resume: repeat them, or choose another folder"
    )


def _model_digest(model: Recommender) -> str:
    """Return the SHA-256 of everything that the recommendations of a model depend on."""
    parts = model.parts
    about = (parts.taste, parts.adapter, parts.index.kind, parts.vectors.config)
    digest = hashlib.sha256(repr(about).encode())
    digest.update(_digest(model.vocabulary.ids).encode())
    vectors, table = parts.vectors, parts.neighbours
    arrays: list[npt.NDArray[Any] | None] = [vectors.input, vectors.output, vectors.positions, vectors.counts]
    arrays += [parts.prior, *(() if table is None else (table.offsets, table.items, table.weights))]
    for array in arrays:
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _canonical(value: object) -> str:
    """Return a text that does not depend on the order of sets, which differs between processes."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name!r}: {_canonical(part)}" for name, part in value.items()) + "}"
    if isinstance(value, frozenset | tuple | list):
        parts = [_canonical(part) for part in value]
        return f"({', '.join(sorted(parts) if isinstance(value, frozenset) else parts)})"
    return repr(value)


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{len(text.encode())}:{text}" for text in texts).encode()).hexdigest()
