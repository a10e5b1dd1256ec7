"""Write the sentences of interactions to a sharded corpus. The hash of the user id determines the shard."""

from __future__ import annotations

import dataclasses
import hashlib
from os import PathLike

import numpy as np

from item2vec.adapters.histories import by_session, by_user, chosen_interactions
from item2vec.arguments import checked
from item2vec.arrays import Codes, Offsets
from item2vec.config import AdapterConfig
from item2vec.durations import SECOND, seconds_of
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.sentences import Sentences
from item2vec.shaping import check_least, group_collapse_truncate, grouping_of, shape_by
from item2vec.sharded import ShardWriter, shard_of
from item2vec.types import Vocabulary

__all__ = ["save_shards", "sentences_of_users"]


@checked
def save_shards(
    interactions: Interactions,
    adapter: AdapterConfig,
    out: str | PathLike[str],
    *,
    shards: int = 8,
    items: Items | None = None,
) -> None:
    """Write the training sentences of interactions to a sharded corpus, which ``Sentences.open`` reads.

    The sentences are those of ``histories`` or ``sessions`` with the settings of the adapter, in another
    order. A user belongs to shard ``shard_of(user, shards)``. Within a shard, users are in the order of the
    UTF-8 bytes of their ids, and the sessions of a user are in the order in which ``sessions``
    returns them. The corpus stores the user of each sentence.

    The ids (of items or, with ``group_by``, of groups) are in descending order of their counts: the numbers
    of interactions after the filters by time, event and minimum counts. Ids with equal counts are in the
    order of their UTF-8 bytes. Some ids may occur in no sentence, because sentences are shortened or dropped
    after the interactions are counted.

    If the process is killed, repeat the call: complete shards are kept, and the others are written.

    Parameters
    ----------
    interactions, adapter
        The interactions, and the settings of the sentences.
    out
        Folder to create. It must not exist.
    shards
        Number of shards: 1 to 100,000.
    items
        Items with the attribute ``adapter.group_by``. Required if this setting is not ``None``.

    Raises
    ------
    InputError
        For the same reasons as in ``histories`` and ``sessions``, or if ``shards`` is above 100,000.
    ConfigError
        If ``shards`` is below 1, or ``adapter`` needs ``items`` or timestamps that are missing.
    BundleExistsError
        If ``out`` exists.
    LockHeldError
        If another writer, in this or another process, writes to the same folder.

    Examples
    --------
    >>> import tempfile
    >>> listens = Interactions.of(user=["bob", "ann", "bob"], item=["b", "b", "a"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_shards(listens, AdapterConfig(), f"{folder}/corpus", shards=2)
    ...     corpus = Sentences.open(f"{folder}/corpus")
    ...     [list(shard) for shard in corpus.shards], corpus.vocabulary.ids
    ([[['b'], ['b', 'a']], []], ('b', 'a'))
    """
    check_least("shards", shards, 1)
    chosen = chosen_interactions(interactions, adapter)
    unshaped, owners = sentences_of_users(chosen, adapter)
    group_by = grouping_of(adapter, items)
    shaped, numbers = shape_by(unshaped, adapter, group_by)
    vocabulary, counts = _by_count(
        group_collapse_truncate(unshaped, max_length=None, collapse_repeats=False, group_by=group_by)
    )
    users = owners[numbers]
    shard, place = _shards_and_places(chosen.users, shards)
    order = np.lexsort((place[users], shard[users]))  # stable: the sessions of a user stay in order
    code_of = vocabulary.encode(shaped.vocabulary.ids)
    dealt = shaped.take(order)
    dealt = dataclasses.replace(dealt, vocabulary=vocabulary, tokens=code_of[dealt.tokens])
    bounds = np.searchsorted(shard[users[order]], np.arange(shards + 1))
    names = chosen.users.decode(users[order])
    with ShardWriter(
        out,
        vocabulary.ids,
        counts,
        ordered=adapter.ordered,
        columns=dealt.columns,
        n_shards=shards,
        source=dealt.fingerprint() + hashlib.sha256("\0".join(names).encode()).hexdigest(),
    ) as writer:
        writer.write_runs(bounds, dealt.tokens, dealt.offsets, dealt.weights, dealt.timestamps, names)


def sentences_of_users(chosen: Interactions, adapter: AdapterConfig) -> tuple[Sentences, Codes]:
    """Return a pair: the histories or sessions of these interactions; and the user code of each sentence.

    Only ``kind``, ``gap`` and ``ordered`` of the adapter are applied: the sentences are not yet grouped,
    collapsed or truncated.
    """
    if adapter.kind == "histories":
        rows, offsets = by_user(chosen)
    else:
        rows, offsets = by_session(chosen, round(seconds_of(adapter.gap, "gap") * SECOND))
    weights = None if chosen.weight is None else chosen.weight[rows]
    timestamps = None if chosen.timestamp is None else chosen.timestamp[rows]
    sentences = Sentences(
        chosen.items, chosen.item[rows], offsets, weights, timestamps, ordered=adapter.ordered
    )
    return sentences, chosen.user[rows[offsets[:-1]]]


def _by_count(sentences: Sentences) -> tuple[Vocabulary, Offsets]:
    """Return a pair: the ids that occur, by descending count and then by id; and the count of each id."""
    counts = sentences.counts()
    ids = sentences.vocabulary.ids
    # Python compares strings by code points; UTF-8 bytes have the same order.
    codes = sorted(np.flatnonzero(counts).tolist(), key=lambda code: (-counts[code], ids[code]))
    return Vocabulary(tuple(ids[code] for code in codes)), counts[codes]


def _shards_and_places(users: Vocabulary, n_shards: int) -> tuple[Codes, Codes]:
    """Return a pair of arrays by user code: the shard of the user; and the rank of the user's id."""
    shard = np.array([shard_of(user, n_shards) for user in users.ids], dtype=np.int32)
    place = np.empty(len(users), dtype=np.int32)
    place[sorted(range(len(users)), key=users.ids.__getitem__)] = np.arange(len(users))
    return shard, place
