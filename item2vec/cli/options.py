"""Command-line options: those of several commands, and those that describe an input file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from item2vec.errors import ConfigError

__all__ = ["As", "AsJson", "Gap", "ItemsFile", "K", "Models", "Store", "Where", "pairs", "separator"]

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
        help="SQL store [default: sqlite:///item2vec.db].",
    ),
]
Gap = Annotated[
    str | None,
    typer.Option(
        "--gap",
        metavar="TIME",
        help="Split histories from the store into sessions at pauses longer than TIME, such as 30min.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
K = Annotated[int, typer.Option("-k", "--k", help="Number of items to return.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Return only active items with this attribute value in the store. May be repeated: an item must "
        "match every NAME, with any of the values given for it.",
    ),
]
ItemsFile = Annotated[
    Path | None,
    typer.Option(
        "--items",
        metavar="FILE",
        help="File of item titles and attributes, with the columns item_id and title. Without a header, the "
        "columns are id, title, artist and further attributes.",
    ),
]


class As:
    """Options that specify the columns and the format of an input file."""

    User = Annotated[str, typer.Option("--user", metavar="COLUMN", help="Column of user ids.")]
    Item = Annotated[str, typer.Option("--item", metavar="COLUMN", help="Column of item ids.")]
    Timestamp = Annotated[str, typer.Option("--timestamp", metavar="COLUMN", help="Column of timestamps.")]
    Weight = Annotated[str | None, typer.Option("--weight", metavar="COLUMN", help="Column of weights.")]
    Event = Annotated[str | None, typer.Option("--event", metavar="COLUMN", help="Column of event names.")]
    Session = Annotated[
        str | None, typer.Option("--session", metavar="COLUMN", help="Column of session ids.")
    ]
    Columns = Annotated[
        str | None,
        typer.Option("--columns", metavar="A,B,…", help="Column names of a file without a header."),
    ]
    Sep = Annotated[str | None, typer.Option("--sep", help="Column separator [default: detected].")]
    Encoding = Annotated[str, typer.Option("--encoding", help="Character encoding of text files.")]
    SkipBad = Annotated[
        bool,
        typer.Option("--skip-bad-rows", help="Skip and count invalid rows instead of failing."),
    ]


def separator(text: str) -> str:
    r"""Return the value of ``--sep``. The word ``tab`` and ``\t`` mean a tab.

    >>> separator("tab"), separator(r"\t"), separator("::")
    ('\t', '\t', '::')
    """
    return "\t" if text in {"tab", r"\t"} else text


def pairs(conditions: list[str]) -> dict[str, Any]:
    """Parse ``name=value`` conditions into a filter that maps each name to the list of its values.

    >>> pairs(["genre=jazz", "mood=calm", "mood=dark"])
    {'genre': ['jazz'], 'mood': ['calm', 'dark']}
    """
    conditions_by_name: dict[str, Any] = {}
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not (name and equals):
            raise ConfigError(f"--where is {condition!r}; expected NAME=VALUE, such as genre=jazz")
        conditions_by_name.setdefault(name, []).append(value)
    return conditions_by_name
