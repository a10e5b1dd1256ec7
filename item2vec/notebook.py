"""HTML tables of values, for notebooks, without scripts, colours or styles. Text is escaped."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

__all__ = ["html_table"]

MAX_CHARACTERS = 120


def html_table(
    title: str,
    rows: Sequence[Sequence[object]],
    header: Sequence[str] = (),
    *,
    best: Collection[tuple[int, int]] = (),
) -> str:
    """Return a table with a title. The cells ``best``, as (row, column) indices, are bold.

    Integers have thousands separators, and floats have four decimals. Text is shortened to 120 characters.

    >>> html_table("<b>", [["hr@10", 0.5]])
    '<table><caption>&lt;b&gt;</caption><tbody><tr><th>hr@10</th><td>0.5000</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{_text(name)}</th>" for name in header)
    body = "".join(_row(row, {j for i, j in best if i == number}) for number, row in enumerate(rows))
    return (
        f"<table><caption>{_text(title)}</caption>"
        + (f"<thead><tr>{head}</tr></thead>" if header else "")
        + f"<tbody>{body}</tbody></table>"
    )


def _row(row: Sequence[object], best: set[int]) -> str:
    first, *others = row
    cells = [f"<th>{_text(first)}</th>"]
    for number, value in enumerate(others, start=1):
        text = _text(value)
        cells.append(f"<td><b>{text}</b></td>" if number in best else f"<td>{text}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _text(value: object) -> str:
    if isinstance(value, float):
        text = f"{value:.4f}"
    elif isinstance(value, int) and not isinstance(value, bool):
        text = f"{value:,}"
    else:
        text = str(value)
        text = text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"
    return html.escape(text)
