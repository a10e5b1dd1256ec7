"""Declarations of options that several commands share or that describe input files, and their parsers."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from item2vec.errors import ConfigError

__all__ = ["INTERACTIONS", "AsJson", "Gap", "K", "Layout", "Models", "Store", "separator", "size"]

_SIZE = re.compile(r"(\d+)\s*([KMG]?)B?", re.IGNORECASE)


def separator(text: str | None) -> str | None:
    r"""Return the separator that an option such as ``--sep`` specifies; ``tab`` and ``\t`` mean a tab.

    >>> separator("tab"), separator(r"\t"), separator("::")
    ('\t', '\t', '::')
    """
    return "\t" if text in ("tab", r"\t") else text


def size(text: str, name: str = "--max-line (max_line in [ingest])") -> int:
    """Convert a size, such as ``16MB``, to a number of bytes (1 KB is 1,024 bytes).

    Raise ``ConfigError`` if the text is not a number with an optional unit KB, MB or GB. ``name`` is the name
    of the option in the message.

    >>> size("16MB"), size("512 kb"), size("1000")
    (16777216, 524288, 1000)
    """
    parsed = _SIZE.fullmatch(text.strip())
    if parsed is None:
        raise ConfigError(f"{name} is {text!r}; expected a number of bytes, such as 16MB or 1GB")
    return int(parsed[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[parsed[2].upper()]


Models = Annotated[
    str | None,
    typer.Option(
        "--models", metavar="DIR", envvar="ITEM2VEC_MODELS", help="Models folder [default: models]."
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="ITEM2VEC_STORE",
        help="URL of the SQL store [default: sqlite:///item2vec.db].",
    ),
]
Gap = Annotated[
    str | None,
    typer.Option(
        "--gap",
        metavar="TIME",
        envvar="ITEM2VEC_GAP",
        help="Sessionise the histories: split them by session ids if there are any, otherwise at pauses "
        "longer than TIME, such as 30min.",
    ),
]
Layout = Annotated[
    bool | None,
    typer.Option(
        "--layout/--no-layout",
        envvar="ITEM2VEC_LAYOUT",
        help="Compute the layout, the two-dimensional positions of the items for maps [default: yes].",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
K = Annotated[int, typer.Option("-k", "--k", help="Maximum number of items to return.")]


def _key(kind: Any, flag: str, **about: Any) -> Any:
    """Return the annotation of a flag that is also a key of item2vec.toml, and so an environment variable."""
    variable = f"ITEM2VEC_{flag.removeprefix('--').replace('-', '_').upper()}"
    return Annotated[kind | None, typer.Option(flag, envvar=variable, **about)]


INTERACTIONS: dict[str, Any] = {
    "user": _key(str, "--user", metavar="COLUMN", help="Column of user ids [default: user_id]."),
    "item": _key(str, "--item", metavar="COLUMN", help="Column of item ids [default: item_id]."),
    "timestamp": _key(
        str, "--timestamp", metavar="COLUMN", help="Column of timestamps [default: timestamp]."
    ),
    "weight": _key(str, "--weight", metavar="COLUMN", help="Column of weights [default: none]."),
    "event": _key(str, "--event", metavar="COLUMN", help="Column of event names [default: none]."),
    "session": _key(str, "--session", metavar="COLUMN", help="Column of session ids [default: none]."),
    "columns": _key(str, "--columns", metavar="A,B,…", help="Column names of a file without a header."),
    "sep": _key(
        str,
        "--sep",
        metavar="TEXT",
        callback=separator,
        help="Column separator: one or several characters, or 'tab' [default: detected].",
    ),
    "encoding": _key(str, "--encoding", help="Character encoding of text files [default: utf-8]."),
    "time_unit": _key(
        str,
        "--time-unit",
        metavar="s|ms|us|ns",
        help="Unit of timestamps that are numbers [default: detected from the numbers].",
    ),
    "time_format": _key(
        str,
        "--time-format",
        metavar="FORMAT",
        help="Format of timestamps, as in Python's strptime, such as '%d.%m.%Y %H:%M'. "
        "Without %z, times are in UTC.",
    ),
    "no_timestamps": _key(
        bool,
        "--no-timestamps",
        help="Ignore timestamps; interactions keep the order of the rows.",
    ),
    "repeats": _key(
        str,
        "--repeats",
        metavar="keep|merge",
        help="Deduplication of rows of one input with equal user, item, event and timestamp: keep (separate "
        "events), or merge (one event with the sum of their weights) [default: merge; with --no-timestamps: "
        "keep].",
    ),
    "no_quotes": _key(bool, "--no-quotes", help="Treat quotes in delimited text as ordinary characters."),
    "skip_bad_rows": _key(
        bool,
        "--skip-bad-rows",
        help="Skip bad rows, and log their number. By default, the first bad row is an error.",
    ),
    "max_bad": _key(
        float,
        "--max-bad",
        metavar="SHARE",
        help="Maximum share of rows that --skip-bad-rows may skip [default: 0.05].",
    ),
    "max_line": _key(
        str,
        "--max-line",
        metavar="SIZE",
        help="Maximum length of a line, or of a row that spans several lines [default: 16MB].",
    ),
}
"""The options for reading interactions, by name of the setting in ``[ingest]``: columns and format of the
input, repeated rows, invalid rows, and the maximum length of a line."""
