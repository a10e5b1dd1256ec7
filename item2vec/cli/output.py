"""Print results to stdout, as aligned text or as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import typer

from item2vec.items import Items
from item2vec.sentences import ShardedSentences
from item2vec.types import Recommendation

__all__ = ["as_rows", "discard", "echo", "show", "show_corpus", "show_rows", "table"]

EMPTY: tuple[Any, ...] = (None, "", [], {})


def echo(text: str) -> None:
    """Print a text in the encoding of stdout.

    ``main`` configures stdout, so that characters outside this encoding are escaped.
    """
    typer.echo(text, file=sys.stdout)  # without a file, typer replaces the encoding ASCII by UTF-8


def discard(stream: TextIO) -> None:
    """Redirect a stream to ``os.devnull``, because Python tries again at exit to write the buffered text."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def show(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print name-value pairs: one line per pair, or one JSON object."""
    if as_json:
        echo(_json(facts))
    else:
        echo("\n".join(_lines(facts)))


def show_corpus(path: Path, corpus: ShardedSentences, seconds: float, *, as_json: bool) -> None:
    """Print the sizes of a new corpus, and the duration of the command in seconds."""
    facts = {
        "corpus": str(path),
        "shards": len(corpus.shards),
        "sentences": len(corpus),
        "tokens": corpus.n_tokens,
        "items": len(corpus.vocabulary),
        "seconds": round(seconds, 1),
    }
    show(facts, as_json=as_json)


def show_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print rows as a table, or as a JSON array of objects."""
    echo(_json(rows) if as_json else table(rows))


def table(rows: Sequence[Mapping[str, Any]], *, exact: bool = False) -> str:
    """Format rows as a text table with a header; numeric columns are right-aligned.

    Floats are rounded to three decimals. With ``exact``, they are not rounded.

    >>> print(table([{"rank": 1, "item": "blue-harbour", "score": 0.91234}]))
    rank  item          score
       1  blue-harbour  0.912
    """
    if not rows:
        return "(none)"
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_text(row.get(name, ""), exact=exact) for name in names] for row in rows]
    to_right = [all(isinstance(row.get(name), int | float) for row in rows) for name in names]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, to_right, strict=True)
        ).rstrip()
        for line in [names, *cells]
    ]
    return "\n".join(lines)


def as_rows(
    recommendations: Sequence[Recommendation],
    items: Items | None,
    *,
    with_source: bool = False,
    as_json: bool = False,
) -> list[dict[str, Any]]:
    """Convert recommendations to rows of rank, item id and score.

    If ``items`` is not ``None``, the attributes of each item are added and, if one of ``items`` has a title,
    the title or else the id. With ``with_source``, the source of the recommendation is added. An attribute
    that is named as one of the other columns, such as "rank", is added as "attribute.rank". For a table,
    all rows have the attributes of all recommended items, so that the score follows them, and attributes that
    are numbers or booleans are converted to text as in JSON, so that a year has no thousands separator. With
    ``as_json``, attributes are not converted.
    """
    abouts = [{} if items is None else items.about(recommendation.item) for recommendation in recommendations]
    names = list(dict.fromkeys(name for about in abouts for name in about))
    has_titles = items is not None and any(items.titles)
    optional = {"title": has_titles, "source": with_source}
    reserved = {"rank", "item", "score"} | {name for name, is_shown in optional.items() if is_shown}
    rows = []
    for rank, (recommendation, about) in enumerate(zip(recommendations, abouts, strict=True), start=1):
        row: dict[str, Any] = {"rank": rank, "item": recommendation.item}
        if items is not None and has_titles:
            row["title"] = items.title(recommendation.item)
        shown = about if as_json else {name: _plain(about.get(name)) for name in names}
        row |= {f"attribute.{name}" if name in reserved else name: value for name, value in shown.items()}
        row["score"] = recommendation.score
        if with_source:
            row["source"] = recommendation.source
        rows.append(row)
    return rows


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, int | float) else value


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines for name-value pairs; empty values are omitted, and numbers are not rounded.

    The value of a pair is an indented block if it is a mapping, and an indented table if it is a list of
    mappings.

    >>> for line in _lines({"tokens": 59096.0, "hold": None, "train": {"min_alpha": 0.0001, "seed": 1}}):
    ...     print(line)
    tokens  59,096
    train
      min_alpha  0.0001
      seed       1
    """
    blocks = {name: _block(value) for name, value in facts.items() if value not in EMPTY}
    width = max((len(name) for name, block in blocks.items() if block is None), default=0)
    for name, block in blocks.items():
        if block is None:
            yield f"{name:<{width}}  {_text(facts[name], exact=True)}"
        else:
            yield name
            yield from (f"  {line}" for line in block)


def _json(value: Any) -> str:
    """Return JSON text. Unless stdout has a UTF encoding, all characters outside of ASCII are escaped."""
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return json.dumps(value, ensure_ascii=not is_unicode, allow_nan=False, default=str)


def _block(value: Any) -> list[str] | None:
    """Return the lines of a mapping or a list of mappings, or ``None`` for any other value."""
    if isinstance(value, Mapping):
        return list(_lines(value))
    if isinstance(value, list) and all(isinstance(part, Mapping) for part in value):
        return table(value, exact=True).splitlines()
    return None


def _text(value: Any, *, exact: bool) -> str:
    if isinstance(value, float):
        return f"{value:,}".removesuffix(".0") if exact else f"{value:.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
