"""Read settings from flags, ITEM2VEC_* variables and item2vec.toml, in this order of precedence."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from item2vec.config import (
    DEFAULT_OBJECTIVE,
    OBJECTIVES,
    AdapterConfig,
    AdapterSection,
    Config,
    EvaluationConfig,
    GatesConfig,
    IngestConfig,
    LimitsConfig,
    RetentionConfig,
    RetrainConfig,
    Settings,
    TasteConfig,
    TrainConfig,
    objectives_with,
)
from item2vec.errors import ConfigError, reason_of, short_repr

__all__ = [
    "FILE",
    "adapter_config",
    "check_environment",
    "check_objective",
    "computes_layout",
    "from_environment",
    "ingest_config",
    "location",
    "metrics_path",
    "model_config",
    "retention",
    "retrain_config",
    "served_store",
]

FILE = Path("item2vec.toml")
PREFIX = "ITEM2VEC_"
TRUE = {"1", "true", "t", "yes", "y", "on"}
"""Texts of environment variables that set a flag, in lower case."""
READ_ELSEWHERE = {"ITEM2VEC_BENCH_DATA"}
LOCATIONS = {"models": "models", "store": "sqlite:///item2vec.db"}
EXAMPLES = {
    **LOCATIONS,
    "metrics_file": "/var/lib/node_exporter/item2vec.prom",
    "checkpoint": "/var/lib/item2vec/checkpoint",
}
"""Top-level keys of the settings file whose values are paths or URLs, each with an example."""
RETRAIN_SECTIONS: dict[str, type[Settings]] = {
    "adapter": AdapterSection,
    "evaluation": EvaluationConfig,
    "gates": GatesConfig,
    "retention": RetentionConfig,
    "limits": LimitsConfig,
}
SECTIONS: dict[str, type[Settings]] = {
    "train": TrainConfig,
    "taste": TasteConfig,
    "ingest": IngestConfig,
    **RETRAIN_SECTIONS,
}


def location(name: str, flag: str | None) -> str:
    """Return the models folder or the store URL: from the flag, else the settings file, else the default.

    ``name`` is "models" or "store". The value of ``flag`` may come from an environment variable.
    """
    return flag or _file().get(name) or LOCATIONS[name]


def served_store(flag: str | None) -> str | None:
    """Return the URL of the store to serve.

    It is ``location``, but ``None`` if no store is given, and the file of the default store does not exist.
    """
    is_missing = not os.path.lexists(LOCATIONS["store"].removeprefix("sqlite:///"))
    return None if is_missing and not (flag or _file().get("store")) else location("store", flag)


def metrics_path(flag: str | None) -> str | None:
    """Return the metrics file of ``retrain``: from the flag, else from the settings file; else ``None``."""
    return flag or _file().get("metrics_file")


def model_config(flags: Mapping[str, Any]) -> Config:
    """Return the model configuration of the settings file, overridden by flags that are not ``None``."""
    train_flags = {name: value for name, value in flags.items() if value is not None}
    file = _file()
    index: Any = train_flags.pop("index", None) or file.get("index") or "auto"
    taste_flags = {name: train_flags.pop(name) for name in TasteConfig.model_fields if name in train_flags}
    train = {**file.get("train", {}), **train_flags}
    check_objective(train, train_flags)
    taste = TasteConfig(**{**file.get("taste", {}), **taste_flags})
    return Config(train=TrainConfig(**train), taste=taste, index=index)


def check_objective(train: Mapping[str, Any], flags: Container[str]) -> None:
    """Raise ``ConfigError`` for a training setting that the chosen objective does not have."""
    objective = train.get("objective", DEFAULT_OBJECTIVE)
    for name in train:
        owners = objectives_with(name)
        if owners and objective not in owners and objective in OBJECTIVES:
            setting = f"--{name.replace('_', '-')}" if name in flags else f"{FILE} [train]: {name}"
            raise ConfigError(
                f"{setting} is a setting of --objective {' or '.join(owners)}, not of {objective}; omit "
                f"it, or set --objective {owners[0]}"
            )


def computes_layout(flag: bool | None) -> bool:
    """Return whether to compute a layout at publishing: from the flag, else the settings file, else true."""
    value = _file().get("layout", True) if flag is None else flag
    if not isinstance(value, bool):
        raise ConfigError(f"{FILE}: layout is {_type_of(value)}; expected true or false")
    return value


def retrain_config(model: Config, gap: str | None, layout: bool | None = None) -> RetrainConfig:
    """Return the configuration of a nightly run from the settings file.

    ``model`` becomes the model configuration. ``gap`` is passed to ``adapter_config``, and ``layout`` to
    ``computes_layout``. If ``[adapter]`` names a corpus, ``ConfigError`` is raised for a ``gap``, but a
    ``gap`` from the environment is ignored.
    """
    sections: dict[str, Any] = {
        name: settings(**_file().get(name, {})) for name, settings in RETRAIN_SECTIONS.items()
    }
    corpus = sections["adapter"].corpus
    if corpus is not None and from_environment("gap", gap):
        gap = None
    if corpus is not None and gap is not None:
        raise ConfigError(
            f"--gap does not apply, because [adapter] names the corpus {corpus!r}; omit it, or pass --gap to "
            "item2vec prepare"
        )
    sections |= {"adapter": adapter_config(gap), "corpus": corpus, "layout": computes_layout(layout)}
    sections["checkpoint"] = _file().get("checkpoint")
    return RetrainConfig(model=model, **sections)


def retention() -> RetentionConfig:
    """Return the settings of ``[retention]`` in the settings file."""
    return RetentionConfig(**_file().get("retention", {}))


def adapter_config(gap: str | None) -> AdapterConfig:
    """Return the settings of ``[adapter]``.

    If the argument ``gap`` is not ``None``, it replaces the setting ``gap``, and the kind is sessions.
    """
    sessions = {} if gap is None else {"kind": "sessions", "gap": gap}
    return AdapterSection(**{**_file().get("adapter", {}), **sessions}).adapter()


def ingest_config(flags: Mapping[str, Any]) -> IngestConfig:
    """Return the settings of ``[ingest]``, overridden by flags that are not ``None``.

    ``flags`` include environment variables. ``timestamp`` and ``no_timestamps`` exclude each other; the one
    from the command line overrides the other one from the environment.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if "timestamp" in given and given.get("no_timestamps"):
        of_variables = [
            name for name in ("timestamp", "no_timestamps") if from_environment(name, given[name])
        ]
        if len(of_variables) == 1:
            del given[of_variables[0]]
    is_undated = given.get("no_timestamps", False)
    if "timestamp" in given and is_undated:
        raise ConfigError(f"got --no-timestamps and --timestamp {given['timestamp']}; expected one of them")
    if given.get("repeats", "keep") not in {"keep", "merge"}:
        raise ConfigError(f"--repeats is {given['repeats']!r}; expected keep or merge")
    hidden = "timestamp" if is_undated else "no_timestamps" if "timestamp" in given else None
    in_file = {name: value for name, value in _file().get("ingest", {}).items() if name != hidden}
    return IngestConfig(**{**in_file, **given})


def from_environment(name: str, value: object) -> bool:
    """Return whether the environment variable of a flag is the source of its value."""
    text = os.environ.get(f"{PREFIX}{name.upper()}")
    return text is not None and (text == value or (value is True and text.lower() in TRUE))


def check_environment(known: Iterable[str]) -> None:
    """Raise ``ConfigError`` for an ITEM2VEC_* variable that is not in ``known``, since it may be misspelt."""
    known = READ_ELSEWHERE | set(known)
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            raise ConfigError(f"unknown environment variable {name}{_nearest(name, known)}")


def _file() -> dict[str, Any]:
    """Return the content of item2vec.toml in the current folder; an empty dict if there is no such file.

    Raise ``ConfigError`` for a file that cannot be read as TOML, an unknown key, an invalid section, or a
    path or URL that is not text. The keys ``index`` and ``layout`` are checked where they are used.
    """
    content = _content()
    known = {*EXAMPLES, *SECTIONS, "index", "layout"}
    for name in content:
        if name not in known:
            raise ConfigError(f"{FILE}: unknown key {short_repr(name)}{_nearest(name, known)}")
    for name, example in EXAMPLES.items():
        if not isinstance(content.get(name, ""), str):
            # The message omits the value, because the value may contain a password.
            found = _type_of(content[name])
            raise ConfigError(f'{FILE}: {name} is {found}; expected text, such as {name} = "{example}"')
    for section, settings in SECTIONS.items():
        values = content.get(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{FILE}: {section} is {_type_of(values)}; expected the table [{section}]")
        try:
            settings(**values)
        except (ConfigError, TypeError) as error:
            raise ConfigError(f"{FILE} [{section}]: {error}") from error
    return content


def _content() -> dict[str, Any]:
    """Return the parsed content of item2vec.toml. If the file does not exist, the content is empty."""
    try:
        return tomllib.loads(FILE.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{FILE} cannot be read: {reason_of(error)}; check its permissions") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{FILE} is not UTF-8 text: {error}; save the file as UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{FILE} is not valid TOML: {error}; correct the file") from error


def _type_of(value: Any) -> str:
    """Return the name of the TOML type of a value, with an article."""
    names = {dict: "a table", list: "an array", str: "text", bool: "a boolean"}
    return names.get(type(value), f"a value of type {type(value).__name__}")


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; expected one of {', '.join(sorted(known))}"
