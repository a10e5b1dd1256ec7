"""Descriptions of a model: one line of text, and HTML tables for notebooks."""

from __future__ import annotations

from item2vec.bundle import Parts
from item2vec.notebook import html_table

__all__ = ["described", "html_of"]

ADDED = ("repeat_bonus", "mixture", "popularity")
SHOWN = 5


def described(parts: Parts) -> str:
    """Return the repr of a ``Recommender``: the size of the model, its taste, and its index."""
    taste, (n_items, size) = parts.taste, parts.vectors.input.shape
    about = f"score={taste.score!r}, decay={taste.decay}, index={parts.index.kind}"
    about += "".join(f", {name}={getattr(taste, name)}" for name in ADDED if getattr(taste, name))
    return f"Recommender({n_items:,} items × {size} dimensions, {about})"


def html_of(parts: Parts) -> str:
    """Return HTML tables of the settings and of the most frequent items of a ``Recommender``."""
    vectors, config = parts.vectors, parts.vectors.config
    rows: list[tuple[str, object]] = [
        ("items", len(vectors)),
        ("dimensions", vectors.input.shape[1]),
        ("index", parts.index.kind),
        ("objective", "unknown" if config is None else config.objective),
        *parts.taste.model_dump(exclude_none=True, exclude_defaults=True).items(),
    ]
    first = vectors.vocabulary.ids[:SHOWN]
    titles = [parts.items.title(item) if parts.items else "" for item in first]
    frequent = [
        (item, title, float(count))
        for item, title, count in zip(first, titles, vectors.counts[:SHOWN], strict=True)
    ]
    return html_table("Recommender", rows) + html_table(
        "most frequent items", frequent, ("item", "title", "tokens")
    )
