"""Settings of ``item2vec ingest``: the columns and the format of files of interactions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from item2vec.config.settings import Settings, Share

__all__ = ["IngestConfig"]

Name = Annotated[str, Field(min_length=1)]


def _split(names: Any) -> Any:
    return tuple(names.split(",")) if isinstance(names, str) else names


class IngestConfig(Settings):
    """Settings of the section ``[ingest]``, named as the flags of ``item2vec ingest``.

    >>> IngestConfig(user="customer").item
    'item_id'
    """

    user: Name = "user_id"
    """Column of user ids."""
    item: Name = "item_id"
    """Column of item ids."""
    timestamp: Name = "timestamp"
    """Column of timestamps."""
    weight: Name | None = None
    """Column of weights."""
    event: Name | None = None
    """Column of event names."""
    session: Name | None = None
    """Column of session ids."""
    columns: Annotated[tuple[str, ...] | None, BeforeValidator(_split)] = None
    """Column names of a file without a header."""
    sep: Name | None = None
    """Column separator: one or several characters, or "tab". Default: detected."""
    encoding: Name = "utf-8"
    """Character encoding of text files."""
    time_unit: Name | None = None
    """Unit of timestamps that are numbers: s, ms, us or ns. Default: detected from the numbers."""
    time_format: Name | None = None
    """Format of timestamps, as in Python's strptime. Without %z, times are in UTC."""
    no_timestamps: bool = False
    """Ingest interactions without timestamps. The order of the rows is the order of the interactions."""
    repeats: Literal["keep", "merge"] | None = None
    """Rows of a file with equal user, item, event and timestamp: keep each as an event, or merge them into
    one event with the sum of their weights. Default: merge; with no_timestamps: keep."""
    no_quotes: bool = False
    """Read quotes in delimited text as ordinary characters."""
    skip_bad_rows: bool = False
    """Skip and count invalid rows instead of failing."""
    max_bad: Share = 0.05
    """Largest share of rows that skip_bad_rows may skip. If more rows are invalid, the command fails."""
    max_line: Name = "16MB"
    """Largest permitted length of a line of a text file, such as 16MB."""

    @model_validator(mode="after")
    def _check_timestamps(self) -> Self:
        if self.no_timestamps and "timestamp" in self.model_fields_set:
            raise ValueError(f"no_timestamps and timestamp={self.timestamp!r} are both set; omit one of them")
        return self
