"""Option groups, each passed to a command as one argument: the model settings and the items file."""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from item2vec.cli.options import separator
from item2vec.cli.settings import check_objective, model_config
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
from item2vec.errors import ConfigError

__all__ = [
    "MODEL_SETTINGS",
    "ItemsFile",
    "fixed_settings",
    "items_file",
    "items_file_with_encoding",
    "option",
    "option_group",
    "settings",
]

Command = Callable[..., None]
Owners = Mapping[str, Settings]
"""For one setting: maps each objective that has this setting to a settings object with default values."""

TEXTS = tuple[str, ...]
# The setting of early stopping. It is not an option, because it requires validation sentences, and
# ``item2vec train`` has none.
NEEDS_VALIDATION = "patience"


@dataclass(frozen=True)
class ItemsFile:
    """The file of item titles and attributes of ``--items``, and the options that describe it.

    ``columns`` and ``sep`` are ``None`` if they are to be detected. ``list_sep`` is ``None`` if text is not
    to be split into lists. ``encoding`` is ``None`` if the command has no option for the encoding of this
    file, or the option is not set. ``id`` and ``title`` are the names of the columns of ids and titles, or
    ``None`` if these options are not set.

    >>> ItemsFile(Path("u.item"), sep="|", encoding="latin-1").columns is None
    True
    """

    path: Path
    columns: tuple[str, ...] | None = None
    sep: str | None = None
    list_sep: str | None = None
    encoding: str | None = None
    id: str | None = None
    title: str | None = None


def option_group(
    name: str, options: Iterable[inspect.Parameter], make: Callable[..., Any]
) -> Callable[[Command], Command]:
    """Return a decorator that replaces the parameter ``name`` of a command by ``options``.

    The decorated command passes ``make(**values)``, where ``values`` are the values of the options, as the
    argument ``name``.
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


def option(name: str, kind: Any, **about: Any) -> inspect.Parameter:
    """Return the parameter of an optional flag of the same name. A ``bool`` flag also has a ``--no-`` form.

    ``kind`` is the type of the value, and ``about`` holds further arguments of ``typer.Option``.
    """
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
    return option(
        name,
        str if choices or several else kinds[0],
        envvar=f"ITEM2VEC_{name.upper()}",
        help=" ".join(help_),
        rich_help_panel="Settings of the model",
        metavar=("<name,…>" if TEXTS in kinds else "<float or learned,…>") if several else None,
    )


def _described(name: str, owners: Owners) -> str:
    """Return the description of a setting.

    If only some objectives have the setting, or their descriptions differ, each description follows the
    names of its objectives.
    """
    texts = {
        objective: " ".join((type(owner).model_fields[name].description or "").replace("``", "").split())
        for objective, owner in owners.items()
    }
    groups = _grouped(texts)
    if len(groups) == 1 and texts.keys() == OBJECTIVES.keys():
        return next(iter(groups))
    return " ".join(f"{objectives}: {text}" for text, objectives in groups.items())


def _default(name: str, owners: Owners) -> str:
    """Return the default of a setting, or the default for each objective if the defaults differ.

    A default ``None`` is omitted. The result is empty for ``workers``, whose default depends on the machine.
    """
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
    """Group objectives by their text: map each distinct text to the names of its objectives.

    >>> _grouped({"next_item": "15", "skipgram": "40", "cbow": "40"})
    {'15': 'next_item', '40': 'skipgram and cbow'}
    """
    objectives: dict[str, list[str]] = {}
    for objective, text in texts.items():
        objectives.setdefault(text, []).append(objective)
    return {text: " and ".join(names) for text, names in objectives.items()}


def _kinds(name: str) -> list[Any]:
    """Return the types other than ``None`` that a setting accepts. Accepted words form one ``Literal``."""
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
    """Return the flags that are not ``None``, with text values converted to the types of their settings."""
    return {
        name: _number_or_word(value, _kinds(name)) if isinstance(value, str) else value
        for name, value in flags.items()
        if value is not None
    }


def _number_or_word(text: str, kinds: Iterable[Any]) -> Any:
    """Convert text to an integer or a tuple if ``kinds`` contains that type, else return the text.

    A tuple of one number or word becomes this number or word if ``kinds`` contains ``float``. Text that
    cannot be converted is returned unchanged.

    For example, ``"5"`` becomes ``5``, and ``"learned,0.9"`` becomes ``("learned", 0.9)``.
    """
    if TEXTS in kinds:
        return tuple(text.split(","))
    if int in kinds and text.removeprefix("-").isdecimal():
        return int(text)
    if any(get_origin(kind) is tuple for kind in kinds):
        with contextlib.suppress(ValueError):
            values = tuple(part if part in get_args(Learned) else float(part) for part in text.split(","))
            return values[0] if len(values) == 1 and float in kinds else values
    return text


def _items_file(items: Path | None, **given: str | None) -> ItemsFile | None:
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if items is None:
        if options:
            flag = f"--{next(iter(options)).replace('_', '-')}"
            raise ConfigError(f"{flag} describes the file of --items; add --items FILE, or omit {flag}")
        return None
    columns = options.get("items_columns")
    sep = options.get("items_sep")
    return ItemsFile(
        items,
        None if columns is None else tuple(columns.split(",")),
        None if sep is None else separator(sep),
        options.get("list_sep"),
        options.get("encoding"),
        options.get("items_id"),
        options.get("items_title"),
    )


MODEL_SETTINGS: Mapping[str, Owners] = {
    **{name: {of: OBJECTIVES[of]() for of in objectives_with(name)} for name in SETTINGS_OF_TRAINING},
    **{name: dict.fromkeys(OBJECTIVES, TasteConfig()) for name in TasteConfig.model_fields},
    "index": dict.fromkeys(OBJECTIVES, Config()),
}
"""Maps the name of each model setting to the objectives that have it, with their default settings."""
ITEMS = [
    option(
        "items",
        Path,
        metavar="FILE",
        help="File of item titles and attributes, with the columns item_id and title. The default columns of "
        "a file without a header are id, title, artist and further attributes; see --items-columns.",
    ),
    option(
        "items_id",
        str,
        metavar="COLUMN",
        help="Column of ids in --items; the file has a header [default: item_id, else the first column].",
    ),
    option(
        "items_title",
        str,
        metavar="COLUMN",
        help="Column of titles in --items; the file has a header [default: title, else the first column "
        "whose name ends in title or name].",
    ),
    option("items_columns", str, metavar="A,B,…", help="Column names of an --items file without a header."),
    option("items_sep", str, metavar="SEP", help="Column separator of --items [default: detected]."),
    option(
        "list_sep",
        str,
        metavar="SEP",
        help="Separator of lists in --items, such as '|': a text attribute with this separator is a list.",
    ),
]
settings = option_group(
    "config",
    [_setting(name, owners) for name, owners in MODEL_SETTINGS.items() if name != NEEDS_VALIDATION],
    _model_config,
)
"""Decorator that adds an option for each model setting but ``patience``, passed as ``config: Config``."""

fixed_settings = option_group(
    "fixed",
    [
        _setting(name, owners)
        for name, owners in MODEL_SETTINGS.items()
        if name not in {NEEDS_VALIDATION, "index"}
    ],
    _fixed,
)
"""Decorator that adds the options of ``settings`` except ``index``, passed as ``fixed: dict``.

The dictionary contains only options that are set by a flag or an environment variable, and no settings from
``item2vec.toml``.
"""

items_file = option_group("items", ITEMS, _items_file)
"""Decorator that adds the options of an items file, passed as ``items: ItemsFile | None``.

The encoding is an option of the command or of its source.
"""

items_file_with_encoding = option_group(
    "items",
    [*ITEMS, option("encoding", str, help="Character encoding of --items [default: utf-8].")],
    _items_file,
)
"""Decorator that adds the options of ``items_file`` and ``--encoding``."""
