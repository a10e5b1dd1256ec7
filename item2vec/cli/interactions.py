"""The options that describe files of interactions, passed to a command as one argument."""

from __future__ import annotations

import inspect

from item2vec.cli.options import INTERACTIONS
from item2vec.cli.parameters import option_group
from item2vec.cli.settings import ingest_config

__all__ = ["columns_format", "interactions_format"]

interactions_format = option_group(
    "read",
    [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in INTERACTIONS.items()
    ],
    lambda **flags: ingest_config(flags),
)
"""Decorator that adds the options that describe interactions, passed as ``read: IngestConfig``."""

columns_format = option_group(
    "read",
    [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in INTERACTIONS.items()
        if name != "repeats"
    ],
    lambda **flags: ingest_config(flags),
)
"""Decorator that adds the options of ``interactions_format`` except ``--repeats``, which requires a store."""
