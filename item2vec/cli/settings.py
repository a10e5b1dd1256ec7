"""Settings: from flags, then ITEM2VEC_* variables, then item2vec.toml; an unknown name is an error."""

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
    Config,
    EvaluationConfig,
    GatesConfig,
    LimitsConfig,
    RetentionConfig,
    RetrainConfig,
    Settings,
    TasteConfig,
    TrainConfig,
    objectives_with,
)
from item2vec.errors import ConfigError

__all__ = [
    "FILE",
    "adapter_config",
    "check_environment",
    "check_objective",
    "model_config",
    "place",
    "retrain_config",
]

FILE = Path("item2vec.toml")
PREFIX = "ITEM2VEC_"
READ_ELSEWHERE = {"ITEM2VEC_BENCH_DATA"}
PLACES = {"models": "models", "store": "sqlite:///item2vec.db"}
OF_RETRAIN: dict[str, type[Settings]] = {
    "adapter": AdapterConfig,
    "evaluation": EvaluationConfig,
    "gates": GatesConfig,
    "retention": RetentionConfig,
    "limits": LimitsConfig,
}
SECTIONS: dict[str, type[Settings]] = {"train": TrainConfig, "taste": TasteConfig, **OF_RETRAIN}


def place(name: str, flag: str | None) -> str:
    """Return where the models or the store are: the flag, the file's value, or the default."""
    return flag or _file().get(name) or PLACES[name]


def model_config(flags: Mapping[str, Any]) -> Config:
    """Return a model's configuration: the file's, changed by the flags that were given (not ``None``)."""
    given = {name: value for name, value in flags.items() if value is not None}
    file = _file()
    index: Any = given.pop("index", None) or file.get("index") or "auto"
    of_taste = {name: given.pop(name) for name in TasteConfig.model_fields if name in given}
    train = {**file.get("train", {}), **given}
    check_objective(train, given)
    taste = TasteConfig(**{**file.get("taste", {}), **of_taste})
    return Config(train=TrainConfig(**train), taste=taste, index=index)


def check_objective(train: Mapping[str, Any], flags: Container[str]) -> None:
    """Refuse settings of training that belong to another objective; say which were flags."""
    objective = train.get("objective", DEFAULT_OBJECTIVE)
    for name in train:
        others = objectives_with(name)
        if others and objective not in others and objective in OBJECTIVES:
            setting = f"--{name.replace('_', '-')}" if name in flags else f"{FILE} [train]: {name}"
            raise ConfigError(
                f"{setting} is a setting of --objective {' or '.join(others)}, not of {objective}; leave it "
                f"out, or set --objective {others[0]}"
            )


def retrain_config(model: Config, gap: str | None) -> RetrainConfig:
    """Return a nightly run's configuration: the file's; ``gap`` cuts histories into sessions."""
    made: dict[str, Any] = {name: kind(**_file().get(name, {})) for name, kind in OF_RETRAIN.items()}
    return RetrainConfig(model=model, **{**made, "adapter": adapter_config(gap)})


def adapter_config(gap: str | None) -> AdapterConfig:
    """Return how the store's events become sentences: the file's; ``gap`` cuts histories into sessions."""
    sessions = {} if gap is None else {"kind": "sessions", "gap": gap}
    return AdapterConfig(**{**_file().get("adapter", {}), **sessions})


def check_environment(known: Iterable[str]) -> None:
    """Refuse variables of ours that nothing reads: most likely a name with a typing error."""
    known = READ_ELSEWHERE | set(known)
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            raise ConfigError(f"unknown environment variable {name}{_nearest(name, known)}")


def _file() -> dict[str, Any]:
    """Return what item2vec.toml in this folder says, checked name by name; nothing if there is none."""
    try:
        content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{FILE} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{FILE} is not TOML: {error}") from error
    known = {*PLACES, *SECTIONS, "index"}
    for name in content:
        if name not in known:
            raise ConfigError(f"{FILE}: unknown key {name!r}{_nearest(name, known)}")
    for section, settings in SECTIONS.items():
        try:
            settings(**content.get(section, {}))
        except (ConfigError, TypeError) as error:
            raise ConfigError(f"{FILE} [{section}]: {error}") from error
    return content


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known))}"
