"""The command group ``runs``, which shows the runs of ``retrain`` that are recorded in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import show, show_rows
from item2vec.cli.settings import location
from item2vec.errors import InputError

if TYPE_CHECKING:
    from item2vec.store import Run

__all__ = ["runs"]

MAX_REASON = 60
LARGEST_ID = 2**63 - 1

runs = typer.Typer(no_args_is_help=False, rich_markup_mode=None)


@runs.callback(invoke_without_command=True)
def list_runs(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1_000_000, help="Number of newest runs to list.")
    ] = 20,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """List the recorded nightly runs, newest first.

    A row contains the id of the run, its start, its duration in seconds, its status (running, promoted,
    refused or failed), and the promoted version. The column passed is the number of passed gates, and the
    column refused lists the failed gates. The columns metric and value are the metric by which the gates
    compare models, and its value on the held-out interactions. The column reason states why a run was
    refused, failed, interrupted or forced (retrain --force). With --json, a row has the fields of GET
    /v1/runs.

    Example: item2vec runs --limit 7
    """
    if context.invoked_subcommand is not None:
        return
    from item2vec.store import Store

    with Store(location("store", store)) as opened:
        recorded = opened.runs(limit)
    show_rows([run.as_json() if as_json else _row(run) for run in recorded], as_json=as_json)


@runs.command("show")
def show_run(
    id_: Annotated[int, typer.Argument(metavar="ID", min=0, max=LARGEST_ID, help="Id of the run.")],
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Show a run with its gates and metrics.

    Example: item2vec runs show 1
    """
    from item2vec.store import Store

    with Store(location("store", store)) as opened:
        found = opened.runs(1, id=id_)
    if not found:
        raise InputError(f"the store has no run {id_}; list the runs with item2vec runs")
    facts = found[0].as_json()
    if not as_json:
        gates = [{"gate": name} | _without_name(gate) for name, gate in facts["gates"].items()]
        facts = {name: value for name, value in facts.items() if name not in {"passed", "refused"}}
        facts["gates"] = gates
    show(facts, as_json=as_json)


def _without_name(gate: Any) -> dict[str, Any]:
    return {name: value for name, value in gate.items() if name != "name"} if isinstance(gate, dict) else {}


def _row(run: Run) -> dict[str, Any]:
    facts = run.as_json()
    reason = (facts["reason"] or "").splitlines()
    text = reason[0] if reason else ""
    return {
        "id": facts["id"],
        "started_at": run.started_at.isoformat(timespec="seconds"),
        "seconds": facts["seconds"] and round(facts["seconds"]),
        "status": facts["status"],
        "version": facts["version"],
        "passed": len(facts["passed"]),
        "refused": facts["refused"],
        "metric": facts["metric"],
        "value": facts["value"],
        "reason": text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 1]}…",
    }
