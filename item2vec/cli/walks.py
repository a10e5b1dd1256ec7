"""The command ``walks``, which writes random walks over a graph as a sharded corpus."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import show_corpus
from item2vec.cli.parameters import option_group
from item2vec.cli.sources import TEXT, WALKS, given_options

__all__ = ["walks"]


@option_group("given", [*WALKS, *TEXT], given_options)
def walks(
    *,
    edges: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Graph: edge list, table, .adjlist, GraphML or Pajek; a folder or a pattern of tables.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the corpus; it must not exist.")],
    driver: Annotated[
        str,
        typer.Option(
            metavar="memory|duckdb",
            help="memory: read all rows of --edges into memory. duckdb: out-of-core, for files larger than "
            "the memory; the graph of merged edges must fit into memory; requires the extra bigdata.",
        ),
    ] = "memory",
    memory: Annotated[
        str,
        typer.Option(
            metavar="SIZE", help="Approximate memory of --driver duckdb without the graph, at least 512MB."
        ),
    ] = "2GB",
    shards: Annotated[
        int, typer.Option(metavar="N", help="Number of shards; one at a time is in memory.")
    ] = 8,
    given: Mapping[str, Any],
    walk_seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the random walks.")] = 7,
    as_json: options.AsJson = False,
) -> None:
    """Write random walks over a graph as a sharded corpus.

    The walks equal those of "item2vec train --edges" with the same seed. Only one shard of them is in memory
    at a time. The commands train, tune and evaluate read the folder with --corpus. After an interruption, run
    the same command again: complete shards are kept.

    Example: item2vec walks --edges sample_data/friends.csv --out walks --shards 4
    """
    from item2vec import adapters
    from item2vec import corpus as corpora
    from item2vec.cli.reading import read_graph
    from item2vec.sentences import ShardedSentences
    from item2vec.shards.writer import check_absent

    check_absent(out)  # before the graph is read, which may take long
    started = time.monotonic()
    read = partial(corpora.read_graph, driver=driver, memory=memory)  # type: ignore[arg-type]  # checked there
    graph, of_walks = read_graph(edges, given, read)
    adapters.save_walks(graph, out, shards=shards, seed=walk_seed, **of_walks)
    show_corpus(out, ShardedSentences.open(out), time.monotonic() - started, as_json=as_json)
