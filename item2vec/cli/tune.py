"""The command that finds settings that suit the data: tune."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from item2vec.cli import options, parameters
from item2vec.cli.output import show, table
from item2vec.cli.parameters import Source
from item2vec.errors import ConfigError, TuningWarning

if TYPE_CHECKING:
    from item2vec.config import Config
    from item2vec.tuning import Estimate, Trial, Tuning

__all__ = ["tune"]

LEADERS = 5
PROTOCOLS = ("temporal", "last", "prefix")


@parameters.source
@parameters.given_settings
def tune(
    *,
    source: Source,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long, such as 5min or 1h [default: 5min].")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="How many configurations to try.")] = None,
    metric: Annotated[
        str, typer.Option(help="What to maximise: hr, recall, precision, ndcg, mrr or map at a cut-off.")
    ] = "ndcg@10",
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What validation holds back: temporal (all new items after a cut-off), last (the last item "
            "of each sentence) or prefix (every next item) [default: temporal from the store, else last].",
        ),
    ] = None,
    repeats: Annotated[
        bool | None,
        typer.Option(
            "--repeats/--no-repeats", help="Whether items of a history may be answers [default: with prefix]."
        ),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Remember trials here; go on if it exists, or join in."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the settings there, such as item2vec.toml; keep the rest."),
    ] = None,
    fixed: dict[str, Any],
    as_json: options.AsJson = False,
) -> None:
    """Find the settings that suit the data, on validation carved from it; settings that are given are kept.

    The default settings stay unless others are better by more than the noise.

    Example: item2vec tune --playlists sample_data/playlists.jsonl --trials 3 --epochs 5
    """
    import item2vec
    from item2vec import files
    from item2vec.cli.reading import adapter_of, read_events

    if protocol is not None and protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol is {protocol!r}; expected one of {', '.join(PROTOCOLS)}")
    if protocol == "temporal" and source.playlists is not None:
        raise ConfigError("--protocol temporal needs timestamps, and playlists have none; read a store")
    if out is not None:
        _text_of(out)
    events, items = read_events(source)
    with warnings.catch_warnings():
        # They are a part of what is printed.
        warnings.simplefilter("ignore", TuningWarning)
        found = item2vec.tune(
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
    if out is not None:
        files.replace_bytes(out, _updated(_text_of(out), found.config).encode())
    if as_json:
        show(_facts(found), as_json=True)
    else:
        typer.echo(_text(found, out))


def _text_of(path: Path) -> str:
    """Return what a TOML file holds; nothing if there is none."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--out {path}: no folder {path.parent}; make it first")
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        tomlkit.parse(text)
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise ConfigError(f"--out {path} is not TOML: {error}; expected a file of settings") from error
    return text


def _updated(text: str, config: Config) -> str:
    """Return TOML with the settings of a model in place of what it had; all else stays, comments too."""
    import tomlkit

    document = tomlkit.parse(text)
    settings = tomlkit.parse(config.to_toml())
    if "workers" in document.get("train", {}):  # belongs to the machine, not to the model
        settings["train"]["workers"] = document["train"]["workers"]
    for name, value in settings.items():
        document[name] = value
    return tomlkit.dumps(document)


def _facts(found: Tuning) -> dict[str, Any]:
    rows = [
        {"number": t.number, "state": t.state, found.metric: t.score, "reason": t.reason, **_settings(t)}
        for t in found.trials
    ]
    return {
        "metric": found.metric,
        "protocol": found.protocol,
        "value": found.score,
        "default": _interval(found.default),
        "chosen": _interval(found.chosen),
        "gain": None if found.gain is None else _interval(found.gain),
        "config": found.config.model_dump(),
        "unfinished": found.unfinished,
        "warnings": found.warnings,
        "trials": rows,
    }


def _interval(estimate: Estimate) -> dict[str, float | None]:
    low, high = (None if math.isnan(bound) else bound for bound in (estimate.low, estimate.high))
    return {"value": estimate.value, "low": low, "high": high}


def _text(found: Tuning, out: Path | None) -> str:
    complete = sorted((t for t in found.trials if t.state == "complete"), key=lambda t: -t.score)
    rows = [{found.metric: f"{t.score:.4f}", **_settings(t)} for t in complete[:LEADERS]]
    states = [trial.state for trial in found.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    verdict = (
        f"{found.metric} on validation ({found.protocol}), with 95 % intervals:\n"
        f"  default  {found.default!r}\n  chosen   {found.chosen!r}"
    )
    if found.gain is not None:
        kept = found.chosen == found.default
        verdict += f"\n  gain     {found.gain!r}" + (
            "; not above the noise: the default stays" if kept else ""
        )
    notes = [f"Warning: {text}" for text in found.warnings]
    written = f"Written to {out}" if out else f"The settings as item2vec.toml:\n\n{found.config.to_toml()}"
    return "\n\n".join([f"{len(states)} trials: {counts}", table(rows), verdict, *notes, written])


def _settings(trial: Trial) -> dict[str, Any]:
    """Return the settings that trials differ in."""
    from item2vec.tuning.sampler import searched

    return searched(trial.config) | trial.config.taste.model_dump(exclude_none=True)
