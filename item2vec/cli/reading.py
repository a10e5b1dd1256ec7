"""What commands read: sentences from one of several sources, titles with or without a header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from item2vec import adapters, readers
from item2vec.adapters.histories import training_sentences
from item2vec.cli.parameters import Source
from item2vec.cli.settings import adapter_config
from item2vec.config import AdapterConfig
from item2vec.errors import ConfigError
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.sentences import Sentences
from item2vec.store import Store

__all__ = ["adapter_of", "as_sentences", "read_events", "read_sentences", "read_titles"]


def read_titles(path: Path) -> Items:
    """Read titles from a file as people have them.

    The id is in the column ``item_id``, or else the first; the title in ``title``, or else the first column
    whose name ends in title or name. A file whose first line names no such column has no header: its columns
    are id, title, artist, and more.
    """
    if path.suffix in {".jsonl", ".parquet", ".gz"} or not path.is_file():
        return readers.read_items(path)
    with path.open("rb") as file:
        first = file.readline().removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    sep = chr(max(b"\t,;|", key=first.count))
    cells = [cell.strip('"') for cell in first.decode("utf-8", "replace").split(sep)]
    names = [cell.partition(":")[0] for cell in cells]
    titled = [name for name in names if name.lower().endswith(("title", "name"))]
    if not titled and "item_id" not in names:
        columns = ["item_id", "title", "artist", *(f"column_{i}" for i in range(4, len(names) + 1))]
        return readers.read_items(path, columns=columns[: len(names)], sep=sep)
    item = "item_id" if "item_id" in names else names[0]
    title = "title" if "title" in names or not titled else titled[0]
    return readers.read_items(path, item=item, title=title, sep=sep)


def read_sentences(source: Source, *, seed: int) -> tuple[Sentences, Items | None, AdapterConfig]:
    """Return sentences from the file that is named, or else from the store.

    Also return the store's items, and the settings by which its events became sentences. ``seed`` is that of
    walks.
    """
    if source.edges is None:
        events, items = read_events(source)
        adapter = adapter_of(source)
        if not isinstance(events, Sentences):
            adapter = adapter.resolved(events.timestamp)
        return as_sentences(events, adapter, items), items, adapter
    if source.playlists is not None:
        raise ConfigError(
            f"two sources, {source.playlists} and {source.edges}; expected one of --playlists and --edges"
        )
    given = _only(source, "--edges", "walks_per_node", "walk_length", "p", "q")
    return adapters.walks(readers.read_edges(source.edges), seed=seed, **given), None, AdapterConfig()


def read_events(source: Source) -> tuple[Sentences | Interactions, Items | None]:
    """Return playlists as they stand in their file, or else all that the store holds."""
    if source.playlists is not None:
        given = _only(source, "--playlists", "skip_lines", "skip_fields")
        return adapters.playlists(source.playlists, **given), None
    _only(source, "the store", "gap")
    with Store(source.store) as opened:
        return opened.interactions(), opened.items()


def as_sentences(events: Sentences | Interactions, adapter: AdapterConfig, items: Items | None) -> Sentences:
    """Return the sentences that the settings make of the store's events; playlists are sentences already."""
    return events if isinstance(events, Sentences) else training_sentences(events, adapter, items)


def adapter_of(source: Source) -> AdapterConfig:
    """Return how the store's events become sentences: ``[adapter]`` in item2vec.toml, and --gap.

    ``days`` stay days: a split counts them back from its cut, not from events that it holds back.
    """
    if source.playlists is not None:
        return AdapterConfig()
    return adapter_config(source.adapter_options.get("gap"))


def _only(source: Source, kind: str, *names: str) -> dict[str, Any]:
    odd = [name for name in source.adapter_options if name not in names]
    if odd:
        raise ConfigError(f"--{odd[0].replace('_', '-')} means nothing for sentences from {kind}")
    return dict(source.adapter_options)
