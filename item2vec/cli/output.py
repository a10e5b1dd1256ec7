"""What commands print: a table for people, or JSON for programs, on stdout."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from item2vec.items import Items
from item2vec.types import Recommendation

__all__ = ["described", "show", "show_rows", "table"]


def show(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing's facts, a line each, or as a JSON object."""
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, allow_nan=False, default=str))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' '):<{width}}  {_text(value)}")


def show_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print rows of equal keys as a table, or as a JSON array of objects."""
    typer.echo(json.dumps(rows, ensure_ascii=False, allow_nan=False) if as_json else table(rows))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as aligned columns under a header; numbers to the right.

    >>> print(table([{"rank": 1, "item": "blue-harbour", "score": 0.91234}]))
    rank  item          score
       1  blue-harbour  0.912
    """
    if not rows:
        return "(none)"
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_text(row.get(name, "")) for name in names] for row in rows]
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


def described(
    recommendations: Sequence[Recommendation], items: Items | None, *, with_source: bool = False
) -> list[dict[str, Any]]:
    """Return recommendations as rows: rank, item, what is known of it, score."""
    rows = []
    for rank, one in enumerate(recommendations, start=1):
        row: dict[str, Any] = {"rank": rank, "item": one.item}
        if items is not None:
            row |= {"title": items.title(one.item)} | items.about(one.item)
        row["score"] = one.score
        if with_source:
            row["source"] = one.source
        rows.append(row)
    return rows


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
