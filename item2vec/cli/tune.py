"""The command ``tune``, which searches for the best settings."""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from item2vec.cli import options, parameters, sources
from item2vec.cli.output import echo, show, table
from item2vec.cli.sources import Source
from item2vec.errors import ConfigError, TuningWarning, reason_of

if TYPE_CHECKING:
    from item2vec.cli.reading import Events
    from item2vec.config import AdapterConfig, TrainConfig
    from item2vec.items import Items
    from item2vec.tuning import Estimate, Trial, Tuning

__all__ = ["tune"]

SHOWN = 0.05
"""Smallest importance of a setting that is printed."""
LEADERS = 5
PROTOCOLS = ("temporal", "last", "prefix")


@sources.source
@parameters.fixed_settings
def tune(
    *,
    source: Source,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time limit, such as 1h [default: 5min; with --trials: no limit]."),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Maximum number of trials [default: no limit].")] = None,
    metric: Annotated[
        str, typer.Option(help="Metric to maximise, with a cut-off: hr, recall, precision, ndcg, mrr or map.")
    ] = "ndcg@10",
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Validation targets: temporal (the new items of each user in the newest tenth of the "
            "events), last (the last item or items of each sentence) or prefix (the item after each prefix "
            "of the last tenth of the sentences) [default: temporal for a store with timestamps, or a corpus "
            "with timestamps and a sentence per user; otherwise last, or a random tenth of each sentence for "
            "sets].",
        ),
    ] = None,
    repeats: Annotated[
        bool | None,
        typer.Option(
            "--repeats/--no-repeats",
            help="Whether seen items (of the history) may be targets and candidates [default: only with "
            "prefix].",
        ),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File that records the trials; an existing study is resumed."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML file to update, or to create. Replaces index, [train] (except workers) and [taste] by "
            "the settings that are fixed or differ from their built-in defaults, and writes --gap to "
            "[adapter]. Replaced values are printed to stderr.",
        ),
    ] = None,
    fixed: dict[str, Any],
    as_json: options.AsJson = False,
) -> None:
    """Search for the best settings of the model.

    An option fixes its setting, which is then excluded from the search. The search starts from the built-in
    defaults; index, [train] and [taste] of item2vec.toml are ignored. next_item, skipgram and cbow are
    searched together; select lsa, glove, transitions, linkprop or ease with --objective. Candidates are
    compared on validation data held out from training. The built-in defaults are kept unless a candidate is
    significantly better.

    Example: item2vec tune --playlists sample_data/playlists.jsonl --trials 3 --epochs 5
    """
    import item2vec
    from item2vec.cli.reading import adapter_of, check_timestamps, read_events
    from item2vec.outputs import output

    if protocol is not None and protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol is {protocol!r}; expected one of {', '.join(PROTOCOLS)}")
    if out is not None:
        _existing_toml(out)
    fixed_names = {*fixed}
    events, items = read_events(source, now=datetime.now(UTC))
    check_timestamps(protocol, events)
    with warnings.catch_warnings():
        # The text of each TuningWarning is printed with the result.
        warnings.simplefilter("ignore", TuningWarning)
        tuning = item2vec.tune(
            events,
            budget=budget,
            trials=trials,
            metric=metric,
            protocol=protocol,  # type: ignore[arg-type]  # checked above
            repeats=repeats,
            adapter=adapter_of(source),
            items=items,
            study=study,
            seed=fixed.pop("seed", 1),
            **fixed,
        )
    sections = _sections(tuning, fixed_names, events, items, adapter_of(source))
    gap = source.adapter_options.get("gap") if source.is_store else None
    if out is not None:
        old = _existing_toml(out)
        new = _updated(old, sections, gap)
        with output(out) as file:
            file.write(new.encode())
        if replaced := _replaced(old, new):
            typer.echo(f"item2vec: {out} had other settings, now replaced: {replaced}", err=True)
    if as_json:
        show(_facts(tuning), as_json=True)
    else:
        echo(_text(tuning, study, out, _updated("", sections, gap)))


def _existing_toml(path: Path) -> str:
    """Return the text of the file ``--out``, or an empty string if the file does not exist.

    Raise ``ConfigError`` if the folder of the file does not exist, or the file cannot be read as TOML.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        if not path.absolute().parent.is_dir():
            raise ConfigError(f"--out {path}: the folder {path.parent} does not exist; create it first")
        text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
        tomlkit.parse(text)
    except OSError as error:
        raise ConfigError(
            f"--out {path} cannot be read: {reason_of(error)}; check its permissions, or use another file"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"--out {path} is not UTF-8 text: {error}; save it as UTF-8, or use another file"
        ) from error
    except TOMLKitError as error:
        raise ConfigError(
            f"--out {path} is not valid TOML: {error}; correct it, or use another file"
        ) from error
    return text


def _sections(
    tuning: Tuning, fixed: Collection[str], events: Events, items: Items | None, adapter: AdapterConfig
) -> dict[str, dict[str, Any]]:
    """Return the chosen settings in ``[train]`` and ``[taste]`` that are fixed or differ from their defaults.

    Training with these settings on the same data equals training with all chosen settings. If the default
    training is kept, defaults that depend on the data, such as the number of epochs, are left out.
    """
    from item2vec.cli.reading import as_sentences
    from item2vec.config import TasteConfig
    from item2vec.interactions import Interactions
    from item2vec.tuning.problem import n_readable

    if tuning.config.train == tuning.trials[0].config.train:
        # The defaults of the study are those for this number of events; training counts tokens.
        n_tokens = n_readable(events)
        ordered = adapter.ordered if isinstance(events, Interactions) else events.ordered
    else:
        if isinstance(events, Interactions):
            adapter = adapter.resolved(events.timestamp)
        sentences = as_sentences(events, adapter, items)
        n_tokens, ordered = sentences.n_tokens, sentences.ordered
    defaults = TasteConfig().model_dump(mode="json")
    taste = tuning.config.taste.model_dump(mode="json", exclude_none=True).items()
    return {
        "train": _without_defaults(tuning.config.train, fixed, n_tokens, ordered=ordered),
        "taste": {name: value for name, value in taste if name in fixed or value != defaults[name]},
    }


def _without_defaults(
    train: TrainConfig, fixed: Collection[str], n_tokens: int, *, ordered: bool
) -> dict[str, Any]:
    """Return the settings of a training without those whose default for this data has the same value.

    Settings in ``fixed`` are kept, and ``workers`` is left out.
    """
    from item2vec.config import TrainConfig

    def resolved(settings: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            own = TrainConfig(**settings).for_data(n_tokens, ordered=ordered)
        except ConfigError:
            return None
        return own.model_dump(exclude={"workers"})

    settings = train.model_dump(mode="json", exclude_none=True, exclude={"workers"})
    expected = resolved(settings)
    # In reverse, because the default of a setting may depend on settings that are declared before it.
    for name in [name for name in reversed(settings) if name not in fixed]:
        fewer = {other: value for other, value in settings.items() if other != name}
        settings = fewer if resolved(fewer) == expected else settings
    return settings


def _updated(text: str, sections: Mapping[str, Mapping[str, Any]], gap: str | None) -> str:
    """Return TOML text in which ``index`` and the tables ``[train]`` and ``[taste]`` are replaced.

    ``gap`` is written to ``[adapter]``, with the kind sessions. All other content is kept, and so is
    ``workers`` in ``[train]``.
    """
    import tomlkit

    document = tomlkit.parse(text)
    document.pop("index", None)  # the default, because the index is neither searched nor fixed
    old = document.get("train", {})
    workers = {name: old[name] for name in old if name == "workers"}  # of the machine, not of the model
    for name, settings in {**sections, "train": {**sections["train"], **workers}}.items():
        if settings:
            document[name] = _table(settings)
        else:
            document.pop(name, None)
    if gap is not None:
        sessions = {"kind": "sessions", "gap": gap}
        if "adapter" in document:
            document["adapter"].update(sessions)
        else:
            document["adapter"] = _table(sessions)
    return f"{tomlkit.dumps(document).strip()}\n"


def _replaced(old: str, new: str) -> str:
    """Return the settings of a TOML text that are missing or different in a new text, joined by commas.

    >>> _replaced("train = {epochs = 9, window = 5}", "train = {window = 5}")
    'train.epochs = 9'
    """
    import tomlkit

    after = tomllib.loads(new)
    lost: dict[str, Any] = {}
    for name, value in tomllib.loads(old).items():
        if isinstance(value, dict):
            kept = after.get(name, {})
            lost |= {f"{name}.{key}": one for key, one in value.items() if kept.get(key) != one}
        elif after.get(name) != value:
            lost[name] = value
    return ", ".join(f"{name} = {tomlkit.item(value).as_string()}" for name, value in lost.items())


def _table(settings: Mapping[str, Any]) -> Any:
    """Return a TOML table that ends with an empty line."""
    import tomlkit

    table = tomlkit.table()
    table.update(settings)
    table.add(tomlkit.nl())
    return table


def _facts(tuning: Tuning) -> dict[str, Any]:
    rows = [
        {"number": t.number, "state": t.state, tuning.metric: t.score, "reason": t.reason, **_settings(t)}
        for t in tuning.trials
    ]
    return {
        "metric": tuning.metric,
        "protocol": tuning.protocol,
        "value": tuning.score,
        "default": _interval(tuning.default),
        "chosen": _interval(tuning.chosen),
        "gain": None if tuning.gain is None else _interval(tuning.gain),
        "config": tuning.config.model_dump(),
        "importances": tuning.importances(),
        "unfinished": tuning.unfinished,
        "warnings": tuning.warnings,
        "trials": rows,
    }


def _interval(estimate: Estimate) -> dict[str, float | None]:
    low, high = estimate.interval or (None, None)
    return {"value": estimate.value, "low": low, "high": high}


def _text(tuning: Tuning, study: Path | None, out: Path | None, toml: str) -> str:
    complete = sorted((t for t in tuning.trials if t.state == "complete"), key=lambda t: -t.score)
    rows = [{tuning.metric: f"{t.score:.4f}", **_settings(t)} for t in complete[:LEADERS]]
    states = [trial.state for trial in tuning.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    verdict = (
        f"{tuning.metric} on validation ({tuning.protocol}), with 95 % intervals:\n"
        f"  default  {tuning.default!r}\n  chosen   {tuning.chosen!r}"
    )
    if tuning.gain is not None:
        kept = tuning.chosen == tuning.default
        verdict += f"\n  gain     {tuning.gain!r}" + (
            "; not significant: the built-in default is kept" if kept else ""
        )
    if important := [(name, share) for name, share in tuning.importances().items() if share >= SHOWN]:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in important)
        verdict += f"\nshare of the variance of the scores that each setting explains: {shares}"
    notes = [f"Warning: {text}" for text in tuning.warnings]
    if any("budget" in text for text in tuning.warnings):
        keeping = f"--study {study} keeps" if study else "with --study FILE, a run keeps"
        notes.append(
            f"To go on, run the same command with a longer --budget; {keeping} its trials for the next"
        )
    written = f"Written to {out}" if out else f"The settings as item2vec.toml:\n\n{toml}"
    if not toml.strip():
        written = f"All settings have their built-in defaults{f'; {out} sets none' if out else ''}"
    return "\n\n".join([f"{len(states)} trials: {counts}", table(rows), verdict, *notes, written])


def _settings(trial: Trial) -> dict[str, Any]:
    """Return a trial's settings by name: searched training settings, and taste settings that are not None."""
    from item2vec.tuning.sampler import searched

    return searched(trial.config) | trial.config.taste.model_dump(exclude_none=True)
