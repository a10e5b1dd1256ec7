"""The command of the night: retrain."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import show
from item2vec.cli.parameters import settings
from item2vec.cli.settings import place, retrain_config
from item2vec.config import Config
from item2vec.errors import ConfigError, GateRefusedError

__all__ = ["retrain"]

log = logging.getLogger("item2vec.retrain")


@settings
def retrain(
    *,
    models: options.Models = None,
    store: options.Store = None,
    gap: Annotated[
        str | None, typer.Option(help="Cut the store's histories into sessions at such pauses, e.g. 30min.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Publish although gates are not passed; needs --reason.")
    ] = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why --force; it is recorded.")] = None,
    config: Config,
    as_json: options.AsJson = False,
) -> None:
    """Train on what the store holds, judge the model, and publish it; or leave what is served as it is.

    Exit codes: 0 promoted, 3 refused by a gate, 4 nothing to train, 6 promoted but durability unknown, 75
    another run holds the lock. More settings are in item2vec.toml: docs/retraining.md.

    Example: item2vec retrain --epochs 10
    """
    import item2vec

    if force != (reason is not None):
        raise ConfigError("--force needs --reason TEXT, and --reason is for --force; expected both or none")
    try:
        done = item2vec.retrain(
            models=place("models", models),
            store=place("store", store),
            config=retrain_config(config, gap),
            force=reason,
        )
    except GateRefusedError as error:
        if error.report is not None and as_json:
            show(error.report, as_json=True)
        raise
    try:
        show(done.report if as_json else _facts(done.report, str(done.path)), as_json=as_json)
        sys.stdout.flush()
    except OSError as error:
        # It is promoted, whether or not anybody can be told.
        log.warning("the result was not printed", extra={"facts": {"error": error.strerror}})
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _facts(report: Mapping[str, Any], path: str) -> dict[str, Any]:
    evaluation = report.get("evaluation", {})
    metric = evaluation["protocol"]["metric"]
    scores = {metric: evaluation["metrics"][metric]} if evaluation.get("metrics") else {}
    rivals = {f"{metric} of {name}": one[metric] for name, one in evaluation.get("baselines", {}).items()}
    return {
        "version": report["version"],
        "interactions": report["data"]["interactions"],
        "items": report["model"]["items"],
        "queries": evaluation["queries"],
        **scores,
        **rivals,
        "seconds": round(sum(report["seconds"].values()), 1),
        "report": path,
    }
