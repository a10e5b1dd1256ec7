"""Read sentences and events from the input files of a command, or from the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from item2vec import adapters, readers
from item2vec.adapters.histories import training_sentences
from item2vec.cli.settings import adapter_config, from_environment
from item2vec.cli.sources import Source
from item2vec.config import AdapterConfig
from item2vec.errors import ConfigError, NothingToTrainError
from item2vec.graph import Graph
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.store import Store, latest_plausible

__all__ = [
    "Events",
    "adapter_of",
    "as_sentences",
    "check_timestamps",
    "default_protocol",
    "read_events",
    "read_graph",
    "read_sentences",
]

log = logging.getLogger("item2vec.cli")


Events = Sentences | ShardedSentences | Interactions

PLAYLIST_OPTIONS = ("skip_lines", "skip_fields", "unit", "collapse_repeats", "sep", "encoding")
GRAPH_OPTIONS = {
    "source": "source_column",
    "target": "target_column",
    "weight": "weight",
    "weights": "weight",
    "directed": "directed",
    "header": "format",
    "quotes": "quotes",
    "sep": "sep",
    "encoding": "encoding",
}
"""Maps the options that describe ``--edges`` to parameters of ``readers.read_edges``."""
WALK_OPTIONS = ("walks_per_node", "walk_length", "p", "q")


def read_sentences(
    source: Source, *, seed: int, now: datetime
) -> tuple[Sentences | ShardedSentences, Items | None, AdapterConfig]:
    """Return a tuple: the sentences of a source; the items of the store; and the adapter settings.

    If the source is not the store, the items are ``None``. If the source is a graph, the sentences are random
    walks, and ``seed`` is the random seed of the walks. For ``now``, see ``read_events``.
    """
    if source.edges is None:
        events, items = read_events(source, now=now)
        adapter = adapter_of(source)
        if isinstance(events, Interactions):
            adapter = adapter.resolved(events.timestamp)
        return as_sentences(events, adapter, items), items, adapter
    options = _checked_options(source, "--edges", *GRAPH_OPTIONS, *WALK_OPTIONS)
    graph, of_walks = read_graph(source.edges, options)
    return adapters.walks(graph, seed=seed, **of_walks), None, AdapterConfig()


def read_graph(
    path: Path, given: Mapping[str, Any], read: Callable[..., Graph] = readers.read_edges
) -> tuple[Graph, dict[str, Any]]:
    """Read a graph from a file with ``read``; return a pair: the graph, and the options of the random walks.

    ``given`` holds the options of the graph and of the walks by name.
    """
    options = {name: given[name] for name in GRAPH_OPTIONS if name in given}
    of_walks = {name: value for name, value in given.items() if name not in options}
    if options.pop("weights", None) is False:
        options["weight"] = False
    if (header := options.pop("header", None)) is not None:
        options["header"] = "edges" if header else "lines"
    graph = read(path, **{GRAPH_OPTIONS[name]: value for name, value in options.items()})
    return graph, of_walks


def read_events(source: Source, *, now: datetime) -> tuple[Events, Items | None]:
    """Return a pair: the events of the source; and the items of the store, ``None`` for any other source.

    The events are the playlists of a file, the sentences of a corpus, or the interactions of the store.
    Interactions dated a day or more after ``now`` are omitted with a warning, as in a nightly run.
    If no interactions are left, ``NothingToTrainError`` is raised.
    """
    if source.corpus is not None:
        _checked_options(source, "--corpus")
        return Sentences.open(source.corpus), None
    if source.playlists is not None:
        options = _checked_options(source, "--playlists", *PLAYLIST_OPTIONS)
        return adapters.playlists(source.playlists, **options), None
    _checked_options(source, "the store", "gap")
    end = latest_plausible(now)
    with Store(source.store) as store:
        if (ahead := store.ahead(end)) is not None:
            facts = {"n": ahead.n, "user": ahead.user, "item": ahead.item, "timestamp": ahead.timestamp}
            log.warning("interactions dated a day or more in the future are ignored", extra={"facts": facts})
        interactions, items = store.snapshot(end=end)
    if not len(interactions):
        others = f", apart from {ahead.n:,} dated a day or more in the future" if ahead else ""
        raise NothingToTrainError(
            f"{store!r} holds no interactions{others}; expected at least one: check the URL of the store, or "
            "ingest interactions with item2vec ingest FILE"
        )
    return interactions, items


def default_protocol(source: Source, events: Events) -> str:
    """Return the default protocol of an evaluation: ``temporal`` for events that can be split by time.

    For other events, it is ``leave-last-out`` if sentences are ordered, and ``random`` if they are sets.
    """
    if _lacking(events) is None:
        return "temporal"
    ordered = adapter_of(source).ordered if isinstance(events, Interactions) else events.ordered
    return "leave-last-out" if ordered else "random"


def check_timestamps(protocol: str | None, events: Events) -> None:
    """Raise ``ConfigError`` for the protocol ``temporal`` if events cannot be split by time."""
    if protocol == "temporal" and (lacking := _lacking(events)) is not None:
        raise ConfigError(f"--protocol temporal requires {lacking}: use another protocol")


def _lacking(events: Events) -> str | None:
    """Return what a split by time requires and the events lack; ``None`` if events can be split by time."""
    from item2vec.evaluation.temporal_shards import lacking_for_time

    if isinstance(events, Interactions):
        return "timestamps; the interactions of the store have none" if events.timestamp is None else None
    return lacking_for_time(events)


def as_sentences(events: Events, adapter: AdapterConfig, items: Items | None) -> Sentences | ShardedSentences:
    """Convert interactions to sentences by the adapter settings; sentences are returned unchanged."""
    return training_sentences(events, adapter, items) if isinstance(events, Interactions) else events


def adapter_of(source: Source) -> AdapterConfig:
    """Return the adapter settings from ``[adapter]`` in item2vec.toml and from ``--gap``.

    If the source is not the store, the default settings are returned. ``days`` is not resolved to a timestamp
    here, because a split counts the days back from its own cut-off.
    """
    if not source.is_store:
        return AdapterConfig()
    return adapter_config(source.adapter_options.get("gap"))


def _checked_options(source: Source, kind: str, *names: str) -> dict[str, Any]:
    """Return the options of a source; raise ``ConfigError`` if the name of an option is not in ``names``.

    Options from the environment that are not in ``names`` are ignored. ``kind`` names the source in the
    message.
    """
    options = dict(source.adapter_options)
    for name, value in source.adapter_options.items():
        if name not in names and from_environment(name, value):
            del options[name]
        elif name not in names:
            flag = f"--{'no-' if value is False else ''}{name.replace('_', '-')}"
            raise ConfigError(f"{flag} does not apply to sentences from {kind}; omit it")
    return options
