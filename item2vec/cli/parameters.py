"""Options that a command takes as one value: all settings of a model, and where its sentences come from."""

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

from item2vec.cli.options import Store
from item2vec.cli.settings import check_objective, model_config, place
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

__all__ = ["Source", "given_settings", "settings", "source", "source_with_walks"]

Command = Callable[..., None]
Owners = Mapping[str, Settings]
"""Who has a setting: an objective, and its settings with their defaults."""

# No command has validation sentences to give to train.
NEEDS_VALIDATION = "patience"


@dataclass(frozen=True)
class Source:
    """Where sentences come from: one file, or else the store; and how they are made of it.

    >>> Source(Path("lists.txt"), None, "sqlite:///item2vec.db", {"skip_lines": 1}).adapter_options
    {'skip_lines': 1}
    """

    playlists: Path | None
    edges: Path | None
    store: str
    adapter_options: Mapping[str, Any] = field(default_factory=dict)


def _gathered(
    name: str, options: Iterable[inspect.Parameter], make: Callable[..., Any]
) -> Callable[[Command], Command]:
    """Return a decorator: where a command has the parameter ``name``, the command line has these options.

    The command is called with what ``make`` makes of their values.
    """
    options = list(options)

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            own = {option.name: given.pop(option.name) for option in options}
            command(**given, **{name: make(**own)})

        shown: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            shown += options if parameter.name == name else [parameter]
        run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
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
    """Return what a setting means, for each objective where it does not mean the same for all of them."""
    texts = {
        objective: " ".join((type(owner).model_fields[name].description or "").replace("``", "").split())
        for objective, owner in owners.items()
    }
    groups = _alike(texts)
    if len(groups) == 1 and texts.keys() == OBJECTIVES.keys():
        return next(iter(groups))
    return " ".join(f"{objectives}: {text}" for text, objectives in groups.items())


def _default(name: str, owners: Owners) -> str:
    """Return the default of a setting, or those of the objectives; of ``workers``, the machine decides."""
    if name == "objective":
        return DEFAULT_OBJECTIVE
    values = {objective: getattr(owner, name) for objective, owner in owners.items()}
    groups = _alike({objective: _shown(value) for objective, value in values.items() if value is not None})
    if name == "workers" or len(groups) <= 1:
        return "" if name == "workers" else "".join(groups)
    return ", ".join(f"{objectives} {value}" for value, objectives in groups.items())


def _alike(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the different texts, and whose each is.

    >>> _alike({"next_item": "15", "skipgram": "40", "cbow": "40"})
    {'15': 'next_item', '40': 'skipgram and cbow'}
    """
    objectives: dict[str, list[str]] = {}
    for objective, text in texts.items():
        objectives.setdefault(text, []).append(objective)
    return {text: " and ".join(names) for text, names in objectives.items()}


def _kinds(name: str) -> list[Any]:
    """Return the Python types, or one literal of all words, that a setting may be of."""
    kinds: list[Any] = []
    words: dict[str, None] = {}
    waiting: list[Any] = [type(owner).model_fields[name].annotation for owner in SETTINGS[name].values()]
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


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return ("no", "yes")[default] if isinstance(default, bool) else str(default)


def _model_config(**given: Any) -> Config:
    return model_config(_read(given))


def _fixed(**given: Any) -> dict[str, Any]:
    fixed = _read(given)
    if "objective" in fixed:
        check_objective(fixed, fixed)
    return fixed


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were given, of which text may say a number, or several."""
    return {
        name: _number_or_word(value, _kinds(name)) if isinstance(value, str) else value
        for name, value in given.items()
        if value is not None
    }


def _number_or_word(text: str, kinds: Iterable[Any]) -> Any:
    """Return ``"5"``, of a setting that may also be a word, as a number; ``"learned,0.9"`` as several."""
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
    given = {name: value for name, value in adapter_options.items() if value is not None}
    return Source(playlists, edges, place("store", store), given)


SETTINGS: Mapping[str, Owners] = {
    **{name: {of: OBJECTIVES[of]() for of in objectives_with(name)} for name in SETTINGS_OF_TRAINING},
    **{name: dict.fromkeys(OBJECTIVES, TasteConfig()) for name in TasteConfig.model_fields},
    "index": dict.fromkeys(OBJECTIVES, Config()),
}
"""All settings of a model, and the defaults that each objective has for them."""
PLAYLISTS = [
    _option(
        "playlists",
        Path,
        metavar="FILE",
        help="Playlists: JSON lines, or text with ids on a line [default: the store].",
    ),
    inspect.Parameter("store", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Store),
    _option("gap", str, help="Cut the store's histories into sessions at such pauses, e.g. 30min."),
    _option("skip_lines", int, help="Lines to skip at the top of --playlists."),
    _option("skip_fields", int, help="Ids to skip on each line of --playlists."),
]
WALKS = [
    _option("edges", Path, metavar="FILE", help="A graph to walk: edges, or .adjlist."),
    _option("walks_per_node", int, help="Walks from each node of --edges."),
    _option("walk_length", int, help="Nodes in a walk."),
    _option("p", float, help="node2vec's return parameter."),
    _option("q", float, help="node2vec's in-out parameter."),
]

settings = _gathered(
    "config",
    [_setting(name, owners) for name, owners in SETTINGS.items() if name != NEEDS_VALIDATION],
    _model_config,
)
"""Gives a command an option for each setting of a model; it takes them as ``config: Config``."""

given_settings = _gathered(
    "fixed",
    [_setting(name, owners) for name, owners in SETTINGS.items() if name not in {NEEDS_VALIDATION, "index"}],
    _fixed,
)
"""The same options, of which a command takes those that were given, not those of ``item2vec.toml``."""

source = _gathered("source", PLAYLISTS, _source)
"""Gives a command the options that say where sentences come from; it takes them as ``source: Source``."""

source_with_walks = _gathered("source", PLAYLISTS + WALKS, _source)
"""The same, and walks over a graph."""
