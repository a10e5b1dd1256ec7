"""Groups of options that a command receives as one value: the settings of a model, and a data source."""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from item2vec.cli.options import Gap, Store
from item2vec.cli.settings import check_objective, location, model_config
from item2vec.config import (
    DEFAULT_OBJECTIVE,
    OBJECTIVES,
    SETTINGS_OF_TRAINING,
    Config,
    Settings,
    TasteConfig,
    objectives_with,
)
from item2vec.config.settings import Learned

__all__ = ["MODEL_SETTINGS", "Source", "fixed_settings", "settings", "source", "source_with_walks"]

Command = Callable[..., None]
Owners = Mapping[str, Settings]
"""The objectives that have a setting, each with its settings at their defaults."""

# The setting of early stopping, which needs validation sentences; ``item2vec train`` has none.
NEEDS_VALIDATION = "patience"


@dataclass(frozen=True)
class Source:
    """The source of sentences, a file or else the store, and the options of its adapter.

    >>> Source(Path("lists.txt"), None, "sqlite:///item2vec.db", {"skip_lines": 1}).adapter_options
    {'skip_lines': 1}
    """

    playlists: Path | None
    edges: Path | None
    store: str
    adapter_options: Mapping[str, Any] = field(default_factory=dict)


def _option_group(
    name: str, options: Iterable[inspect.Parameter], make: Callable[..., Any]
) -> Callable[[Command], Command]:
    """Return a decorator that replaces the parameter ``name`` of a command by several options.

    On the command line, the command has the options. The function gets ``make(**values)`` as ``name``.
    """
    options = list(options)

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            values = {option.name: arguments.pop(option.name) for option in options}
            command(**arguments, **{name: make(**values)})

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            parameters += options if parameter.name == name else [parameter]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _option(name: str, kind: Any, **about: Any) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    declared = f"{flag}/--no-{flag[2:]}" if kind is bool else flag
    annotation = Annotated[kind | None, typer.Option(declared, **about)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _setting(name: str, owners: Owners) -> inspect.Parameter:
    kinds = _kinds(name)
    choices = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    help_ = [_described(name, owners)]
    if choices and all(get_origin(kind) is Literal for kind in kinds):
        help_.append(f"One of: {', '.join(choices)}.")
    if default := _default(name, owners):
        help_.append(f"[default: {default}]")
    several = any(get_origin(kind) is tuple for kind in kinds)
    return _option(
        name,
        str if choices or several else kinds[0],
        envvar=f"ITEM2VEC_{name.upper()}",
        help=" ".join(help_),
        rich_help_panel="Settings of the model",
        metavar="<float or learned,…>" if several else None,
    )


def _described(name: str, owners: Owners) -> str:
    """Return the description of a setting; one per objective where descriptions differ."""
    texts = {
        objective: " ".join((type(owner).model_fields[name].description or "").replace("``", "").split())
        for objective, owner in owners.items()
    }
    groups = _grouped(texts)
    if len(groups) == 1 and texts.keys() == OBJECTIVES.keys():
        return next(iter(groups))
    return " ".join(f"{objectives}: {text}" for text, objectives in groups.items())


def _default(name: str, owners: Owners) -> str:
    """Return the default of a setting; one per objective where they differ; none for ``workers``."""
    if name == "objective":
        return DEFAULT_OBJECTIVE
    values = {objective: getattr(owner, name) for objective, owner in owners.items()}
    groups = _grouped(
        {objective: _formatted(value) for objective, value in values.items() if value is not None}
    )
    if name == "workers" or len(groups) <= 1:
        return "" if name == "workers" else "".join(groups)
    return ", ".join(f"{objectives} {value}" for value, objectives in groups.items())


def _grouped(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the distinct texts, each with the objectives that have it.

    >>> _grouped({"next_item": "15", "skipgram": "40", "cbow": "40"})
    {'15': 'next_item', '40': 'skipgram and cbow'}
    """
    objectives: dict[str, list[str]] = {}
    for objective, text in texts.items():
        objectives.setdefault(text, []).append(objective)
    return {text: " and ".join(names) for text, names in objectives.items()}


def _kinds(name: str) -> list[Any]:
    """Return the Python types of a setting; all words that it accepts are one ``Literal``."""
    kinds: list[Any] = []
    words: dict[str, None] = {}
    waiting: list[Any] = [
        type(owner).model_fields[name].annotation for owner in MODEL_SETTINGS[name].values()
    ]
    while waiting:
        kind = waiting.pop(0)
        if get_origin(kind) is Annotated:
            waiting.append(get_args(kind)[0])
        elif get_origin(kind) in {Union, types.UnionType}:
            waiting += get_args(kind)
        elif get_origin(kind) is Literal:
            words |= dict.fromkeys(get_args(kind))
        elif kind is not type(None) and kind not in kinds:
            kinds.append(kind)
    return [*kinds, Literal[tuple(words)]] if words else kinds


def _formatted(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return ("no", "yes")[default] if isinstance(default, bool) else str(default)


def _model_config(**flags: Any) -> Config:
    return model_config(_parsed(flags))


def _fixed(**flags: Any) -> dict[str, Any]:
    fixed = _parsed(flags)
    if "objective" in fixed:
        check_objective(fixed, fixed)
    return fixed


def _parsed(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that are not ``None``; text is parsed for settings that accept words and numbers."""
    return {
        name: _number_or_word(value, _kinds(name)) if isinstance(value, str) else value
        for name, value in flags.items()
        if value is not None
    }


def _number_or_word(text: str, kinds: Iterable[Any]) -> Any:
    """Parse ``"5"`` as a number and ``"learned,0.9"`` as a tuple, if the setting accepts them."""
    if int in kinds and text.removeprefix("-").isdecimal():
        return int(text)
    if any(get_origin(kind) is tuple for kind in kinds):
        with contextlib.suppress(ValueError):
            values = tuple(part if part in get_args(Learned) else float(part) for part in text.split(","))
            return values[0] if len(values) == 1 and float in kinds else values
    return text


def _source(
    playlists: Path | None, store: str | None, edges: Path | None = None, **adapter_options: Any
) -> Source:
    options = {name: value for name, value in adapter_options.items() if value is not None}
    return Source(playlists, edges, location("store", store), options)


MODEL_SETTINGS: Mapping[str, Owners] = {
    **{name: {of: OBJECTIVES[of]() for of in objectives_with(name)} for name in SETTINGS_OF_TRAINING},
    **{name: dict.fromkeys(OBJECTIVES, TasteConfig()) for name in TasteConfig.model_fields},
    "index": dict.fromkeys(OBJECTIVES, Config()),
}
"""All settings of a model by name, each with the objectives that have it and their defaults."""
PLAYLISTS = [
    _option(
        "playlists",
        Path,
        metavar="FILE",
        help="Playlists: JSON lines, or text with one playlist of ids per line [default: the store].",
    ),
    inspect.Parameter("store", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Store),
    inspect.Parameter("gap", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Gap),
    _option("skip_lines", int, help="Number of lines to skip at the top of --playlists."),
    _option("skip_fields", int, help="Number of fields to skip on each line of --playlists."),
]
WALKS = [
    _option("edges", Path, metavar="FILE", help="Graph for random walks: a file of edges, or .adjlist."),
    _option("walks_per_node", int, help="Number of walks from each node of --edges."),
    _option("walk_length", int, help="Number of nodes per walk."),
    _option("p", float, help="node2vec's return parameter p."),
    _option("q", float, help="node2vec's in-out parameter q."),
]

settings = _option_group(
    "config",
    [_setting(name, owners) for name, owners in MODEL_SETTINGS.items() if name != NEEDS_VALIDATION],
    _model_config,
)
"""Decorator: an option for each setting of a model; the command gets them as ``config: Config``."""

fixed_settings = _option_group(
    "fixed",
    [
        _setting(name, owners)
        for name, owners in MODEL_SETTINGS.items()
        if name not in {NEEDS_VALIDATION, "index"}
    ],
    _fixed,
)
"""Decorator: the same options without ``index``; the command gets those given as ``fixed: dict``.

The settings of ``item2vec.toml`` are not included.
"""

source = _option_group("source", PLAYLISTS, _source)
"""Decorator: options for playlists and the store; the command gets them as ``source: Source``."""

source_with_walks = _option_group("source", PLAYLISTS + WALKS, _source)
"""Decorator: the same options, and those of walks over a graph."""
