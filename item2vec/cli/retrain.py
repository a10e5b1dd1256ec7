"""The command ``retrain``, which performs the nightly run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import discard, show
from item2vec.cli.parameters import settings
from item2vec.cli.settings import location, metrics_path, retrain_config
from item2vec.config import Config
from item2vec.errors import ConfigError, GateRefusedError

__all__ = ["retrain"]

log = logging.getLogger("item2vec.retrain")


@settings
def retrain(
    *,
    models: options.Models = None,
    store: options.Store = None,
    gap: options.Gap = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Publish despite failed gates; requires --reason. hold and training cannot be overridden.",
        ),
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Reason for --force; recorded in the report, the manifest and the store."
        ),
    ] = None,
    metrics_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.prom",
            envvar="ITEM2VEC_METRICS_FILE",
            help="File to write the metrics of the run to, for the textfile collector of Prometheus' "
            "node_exporter.",
        ),
    ] = None,
    config: Config,
    layout: options.Layout = None,
    as_json: options.AsJson = False,
) -> None:
    """Run the nightly job: snapshot, evaluate, train, publish.

    Gates (quality thresholds) are checked before the snapshot, and after the snapshot, the evaluation and the
    training. If a gate fails, the run ends, and the served version is unchanged (exceptions: see --force).
    The model for the evaluation and the published model are both trained from scratch.

    Exit codes: 0 published; 1 any other error; 2 invalid configuration, or a store without schema; 3 a gate
    failed, or a hold after a rollback; 4 nothing to train; 5 corrupt data or bundle; 6 published, durability
    unknown; 75 another run holds the lock. docs/retraining.md describes steps and exit codes, and the gates,
    retention and limits of item2vec.toml.

    Example: item2vec retrain --epochs 10
    """
    import item2vec

    if force != (reason is not None):
        got = "--force without --reason" if force else "--reason without --force"
        raise ConfigError(f"got {got}; specify both or neither")
    try:
        result = item2vec.retrain(
            models=location("models", models),
            store=location("store", store),
            config=retrain_config(config, gap, layout),
            force=reason,
            metrics_file=metrics_path(metrics_file),
        )
    except GateRefusedError as error:
        if error.report is not None and as_json:
            _print(error.report)
        raise
    _print(result.report, None if as_json else str(result.path))


def _print(report: Mapping[str, Any], path: str | None = None) -> None:
    """Print a report as JSON or, if ``path`` is given, as a text summary.

    Errors do not change the exit code.
    """
    try:
        show(report if path is None else _facts(report, path), as_json=path is None)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - also SIGTERM and Ctrl-C must not change the exit code
        problem = f"{type(error).__name__}: {error}"
        log.warning("the result was not printed", extra={"facts": {"error": problem}})
        discard(sys.stdout)


def _facts(report: Mapping[str, Any], path: str) -> dict[str, Any]:
    evaluation = report.get("evaluation", {})
    metric = evaluation["protocol"]["metric"]
    scores = {metric: round(evaluation["metrics"][metric], 4)} if evaluation.get("metrics") else {}
    baselines = {
        f"{metric} of {name}": round(metrics[metric], 4)
        for name, metrics in evaluation.get("baselines", {}).items()
    }
    return {
        "version": report["version"],
        "interactions": report["data"]["interactions"],
        "items": report["model"]["items"],
        "queries": evaluation["queries"],
        **scores,
        **baselines,
        "seconds": round(sum(report["seconds"].values()), 1),
        "report": path,
    }
