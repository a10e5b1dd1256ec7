"""The command that finds settings that suit the data: tune."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from item2vec.cli import options, parameters
from item2vec.cli.output import show, table
from item2vec.cli.parameters import Source
from item2vec.errors import ConfigError

if TYPE_CHECKING:
    from item2vec.tuning import Trial, Tuning

__all__ = ["tune"]

LEADERS = 5


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
            metavar="NAME", help="prefix: ask for every click of a session [default: the last item]."
        ),
    ] = None,
    filter_seen: Annotated[
        bool | None, typer.Option("--filter-seen/--repeats", help="Whether answers leave out what users had.")
    ] = None,
    study: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Remember trials here; go on if it exists.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the configuration there, such as item2vec.toml."),
    ] = None,
    fixed: dict[str, Any],
    as_json: options.AsJson = False,
) -> None:
    """Find the settings that suit the data, on validation carved from it; settings that are given are kept.

    Example: item2vec tune --playlists sample_data/playlists.jsonl --trials 3 --epochs 5
    """
    import item2vec
    from item2vec import files
    from item2vec.cli.reading import read_sentences
    from item2vec.evaluation import prefix_split

    if protocol not in {None, "prefix"}:
        raise ConfigError(f"--protocol is {protocol!r}; expected prefix, or none of it")
    if out is not None and out.exists():
        raise ConfigError(f"{out} exists; expected the name of a new file")
    seed = fixed.pop("seed", 1)
    found = item2vec.tune(
        read_sentences(source, seed=seed)[0],
        budget=budget,
        trials=trials,
        metric=metric,
        split=prefix_split if protocol else None,
        filter_seen=filter_seen,
        study=study,
        seed=seed,
        **fixed,
    )
    if out is not None:
        files.replace_bytes(out, found.config.to_toml().encode())
    if as_json:
        show(_facts(found), as_json=True)
    else:
        typer.echo(_text(found, out))


def _facts(found: Tuning) -> dict[str, Any]:
    rows = [
        {"number": t.number, "state": t.state, found.metric: t.score, "reason": t.reason, **_settings(t)}
        for t in found.trials
    ]
    return {"metric": found.metric, "value": found.score, "config": found.config.model_dump(), "trials": rows}


def _text(found: Tuning, out: Path | None) -> str:
    complete = sorted((t for t in found.trials if t.state == "complete"), key=lambda t: -t.score)
    rows = [{found.metric: f"{t.score:.4f}", **_settings(t)} for t in complete[:LEADERS]]
    counts = {
        state: sum(t.state == state for t in found.trials) for state in ("complete", "stopped", "failed")
    }
    told = ", ".join(f"{n} {state}" for state, n in counts.items() if n)
    written = f"Written to {out}" if out else f"The best as item2vec.toml:\n\n{found.config.to_toml()}"
    return f"{found!r}: {told}\n\n{table(rows)}\n\n{written}"


def _settings(trial: Trial) -> dict[str, Any]:
    """Return the settings that trials differ in."""
    from item2vec.tuning.search import searched

    return searched(trial.config) | trial.config.taste.model_dump(exclude={"half_life"}, exclude_none=True)
