"""The options that specify the source of the sentences, passed to a command as one ``Source``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from item2vec.cli.options import Gap, Store, separator
from item2vec.cli.parameters import option, option_group
from item2vec.cli.settings import location
from item2vec.errors import ConfigError

__all__ = ["TEXT", "WALKS", "Source", "given_options", "source", "source_with_walks"]


@dataclass(frozen=True)
class Source:
    """The source of the sentences, and the options of its reader and adapter.

    The source is the file ``playlists`` or ``edges`` or the folder ``corpus`` if one of them is not ``None``,
    else the store.

    >>> Source(Path("lists.txt"), None, "sqlite:///item2vec.db", {"skip_lines": 1}).adapter_options
    {'skip_lines': 1}
    """

    playlists: Path | None
    edges: Path | None
    store: str = field(repr=False)
    adapter_options: Mapping[str, Any] = field(default_factory=dict)
    corpus: Path | None = None

    @property
    def is_store(self) -> bool:
        """Whether the source is the store."""
        return self.playlists is None and self.edges is None and self.corpus is None


def _source(
    playlists: Path | None,
    store: str | None,
    corpus: Path | None,
    edges: Path | None = None,
    **adapter_options: Any,
) -> Source:
    files = {"--playlists": playlists, "--edges": edges, "--corpus": corpus}
    given = [f"{flag} {path}" for flag, path in files.items() if path is not None]
    if len(given) > 1:
        raise ConfigError(f"got {' and '.join(given)}; expected at most one of them")
    return Source(playlists, edges, location("store", store), given_options(**adapter_options), corpus)


def given_options(**options: Any) -> dict[str, Any]:
    """Return the options that are not ``None``. The value of ``sep`` is converted by ``separator``."""
    given = {name: value for name, value in options.items() if value is not None}
    return given | ({"sep": separator(given["sep"])} if "sep" in given else {})


TEXT = [
    option(
        "sep",
        str,
        help="Separator of fields in text, such as ',', tab or ' ' (spaces and tabs) [default: detected].",
    ),
    option("encoding", str, help="Character encoding of text files [default: utf-8]."),
]
PLAYLISTS = [
    option(
        "playlists",
        Path,
        metavar="FILE",
        help="Playlist file: JSON, M3U, PLS, XSPF, or text with the item ids of one playlist per line "
        "[default: read from the store].",
    ),
    option("corpus", Path, metavar="DIR", help="Sharded corpus, written by item2vec prepare or walks."),
    inspect.Parameter("store", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Store),
    inspect.Parameter("gap", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Gap),
    option("skip_lines", int, help="Number of lines to skip at the start of --playlists [default: 0]."),
    option(
        "skip_fields",
        int,
        help="Number of fields to skip at the start of each --playlists line [default: 0].",
    ),
    option(
        "unit",
        str,
        metavar="FIELD",
        help="Field of a track in JSON or XSPF --playlists whose value is the item id, such as artist_name.",
    ),
    option(
        "collapse_repeats", bool, help="Merge consecutive repeats of an item in --playlists [default: no]."
    ),
    *TEXT,
]
EDGES = option(
    "edges",
    Path,
    metavar="FILE",
    help="Graph for random walks: edge list, table, .adjlist, GraphML or Pajek.",
)
WALKS = [
    option("source", str, metavar="COLUMN", help="Column of source nodes in --edges [default: source]."),
    option("target", str, metavar="COLUMN", help="Column of target nodes in --edges [default: target]."),
    option(
        "weight",
        str,
        metavar="COLUMN",
        help="Column of edge weights in --edges [default: weight, if there is one].",
    ),
    option("weights", bool, help="Whether to read weights of --edges [default: yes, if the file has any]."),
    option(
        "directed",
        bool,
        help="Whether the --edges are directed [default: as the file states, otherwise no].",
    ),
    option("header", bool, help="Whether an --edges table has a header [default: detected]."),
    option("quotes", bool, help="Whether quotes enclose fields of --edges [default: yes]."),
    option("walks_per_node", int, help="Number of random walks from each node of --edges [default: 10]."),
    option("walk_length", int, help="Maximum number of nodes per random walk [default: 80]."),
    option("p", float, help="Return parameter p of node2vec [default: 1]."),
    option("q", float, help="In-out parameter q of node2vec [default: 1]."),
]

source = option_group("source", PLAYLISTS, _source)
"""Decorator that adds the options for playlists, a corpus and the store, passed as ``source: Source``."""

source_with_walks = option_group("source", [*PLAYLISTS, EDGES, *WALKS], _source)
"""Decorator that adds the options of ``source``, and the options of graphs and random walks."""
