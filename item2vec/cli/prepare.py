"""The command ``prepare``, which converts files that may be larger than memory to a sharded corpus."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from item2vec.cli import options
from item2vec.cli.data import columns_of
from item2vec.cli.interactions import columns_format
from item2vec.cli.output import show_corpus
from item2vec.cli.settings import adapter_config
from item2vec.config import IngestConfig

__all__ = ["prepare"]


@columns_format
def prepare(
    *,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="CSV, TSV, JSON lines, Parquet or Arrow files, folders of such files, or patterns of paths. "
            "Text files may be compressed. Several files are read as one.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the corpus; it must not exist.")],
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Approximate limit of memory, at least 512MB.")
    ] = "2GB",
    shards: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of shards [default: the smallest number for which the rows of an average shard take "
            "at most a quarter of --memory].",
        ),
    ] = None,
    driver: Annotated[
        str,
        typer.Option(
            metavar="duckdb|memory",
            help="duckdb: out-of-core, for files larger than the memory; requires the extra bigdata. memory: "
            "read all interactions into memory, and ignore --memory.",
        ),
    ] = "duckdb",
    read: IngestConfig,
    gap: options.Gap = None,
    as_json: options.AsJson = False,
) -> None:
    """Convert files, even larger than memory, to a sharded corpus.

    The commands train, tune and evaluate read the corpus with --corpus, and retrain reads it if the key
    corpus of [adapter] in item2vec.toml names its folder. The other settings of [adapter] determine the
    sentences, as for the store. After an interruption, run the same command again: complete shards are kept.
    With --driver duckdb, the files are read again only if no shard is complete yet. The flags that describe
    interactions are also environment variables, and keys of [ingest].

    Example: item2vec prepare sample_data/listens.csv.gz --out corpus --shards 4
    """
    from item2vec.corpus import prepare as prepare_corpus

    started = time.monotonic()
    corpus = prepare_corpus(
        files,
        out=out,
        memory=memory,
        shards=shards,
        driver=driver,  # type: ignore[arg-type]  # checked by the function
        adapter=adapter_config(gap),
        sep=options.separator(read.sep),
        encoding=read.encoding,
        quotes=not read.no_quotes,
        max_line=options.size(read.max_line),
        **columns_of(read),
    )
    show_corpus(out, corpus, time.monotonic() - started, as_json=as_json)
