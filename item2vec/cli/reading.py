"""What commands read: sentences from one of several sources, titles with or without a header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from item2vec import adapters, readers
from item2vec.errors import ConfigError
from item2vec.items import Items
from item2vec.sentences import Sentences
from item2vec.store import Store

__all__ = ["read_sentences", "read_titles"]


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


def read_sentences(
    playlists: Path | None, edges: Path | None, store: str, options: Mapping[str, Any]
) -> tuple[Sentences, Items | None]:
    """Return sentences from the one file that was named, or from the store; and the store's items.

    ``options`` are those of the adapters that were given on the command line; one that the source cannot
    use is an error.
    """
    if playlists is not None and edges is not None:
        raise ConfigError(f"two sources, {playlists} and {edges}; expected one of --playlists and --edges")
    given = {name: value for name, value in options.items() if value is not None}
    if playlists is not None:
        return adapters.playlists(playlists, **_only(given, "--playlists", "skip_lines", "skip_fields")), None
    if edges is not None:
        names = ("walks_per_node", "walk_length", "p", "q", "seed")
        return adapters.walks(readers.read_edges(edges), **_only(given, "--edges", *names)), None
    with Store(store) as opened:
        interactions, items = opened.interactions(), opened.items()
    cut = _only(given, "the store", "gap")
    return (adapters.sessions(interactions, **cut) if cut else adapters.histories(interactions)), items


def _only(given: Mapping[str, Any], source: str, *names: str) -> dict[str, Any]:
    odd = [name for name in given if name not in (*names, "seed")]
    if odd:
        raise ConfigError(f"--{odd[0].replace('_', '-')} means nothing for sentences from {source}")
    return {name: value for name, value in given.items() if name in names}
