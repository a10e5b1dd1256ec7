"""The command group ``models``, which manages the versions in a models folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import show, show_rows
from item2vec.cli.settings import location, retention
from item2vec.errors import ConfigError, CorruptBundleError

if TYPE_CHECKING:
    from item2vec.versions import Overview

__all__ = ["models"]

models = typer.Typer(
    help="List, check, roll back and remove versions of the model.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Id = Annotated[str | None, typer.Argument(metavar="ID", help="Version id [default: the served version].")]


@models.command("list")
def list_versions(models: options.Models = None, as_json: options.AsJson = False) -> None:
    """List all versions and their states, oldest first.

    States: served, previous (served before the served version), pinned, held (on hold since a rollback),
    leased (loaded by a process), damaged (detected from the manifest and the file sizes; "item2vec models
    verify" compares all checksums). The columns metric and value are the metric of the gates and its value on
    the held-out interactions. Only versions published by "item2vec retrain" have these values.

    Example: item2vec models list
    """
    from item2vec.versions import held, overview
    from item2vec.versions.layout import find, served_version_or_none

    folder = Path(location("models", models))
    rows = [_row(entry) for entry in overview(folder)]
    show_rows(rows if as_json else [_as_text(row) for row in rows], as_json=as_json)
    # CURRENT and HOLD are checked last, so that the list is printed even if one of these files is damaged.
    if (served := served_version_or_none(folder)) is not None:
        find(folder, served.id)
    held(folder)


@models.command("show")
def show_version(version: Id = None, models: options.Models = None, as_json: options.AsJson = False) -> None:
    """Show states, metric, settings and library versions of a version.

    Example: item2vec models show
    """
    from item2vec.versions import held, overview, served_version, verify

    folder = Path(location("models", models))
    id_ = served_version(folder).id if version is None else version
    entry = next((entry for entry in overview(folder) if entry.version.id == id_), None)
    if entry is None or entry.manifest is None:
        verify(folder, id_)
        raise CorruptBundleError(f"{folder} was changed while it was read; run the command again")
    about = entry.manifest.model_dump(mode="json")
    facts = _row(entry) | {"path": str(entry.version.path), "manifest_sha256": entry.version.manifest_sha256}
    names = ("vector_size", "tokens", "train", "taste", "index", "similar_index", "note")
    facts |= {name: about[name] for name in names if name in about}
    hold = held(folder)
    if hold is not None and hold.version == id_:
        facts["hold"] = {"reason": hold.reason, "at": hold.at.isoformat(), "to": hold.to}
    facts["libraries"] = about["libraries"]
    show(facts, as_json=as_json)


@models.command()
def verify(
    version: Id = None,
    all_: Annotated[bool, typer.Option("--all", help="Check all versions.")] = False,
    models: options.Models = None,
    as_json: options.AsJson = False,
) -> None:
    """Compare the files of a version with their checksums.

    The exit code is 5 if a version is damaged, or the served version is missing.

    Example: item2vec models verify --all
    """
    from item2vec.versions import list_versions, served_version, verify
    from item2vec.versions.layout import find, served_version_or_none

    folder = Path(location("models", models))
    if not all_:
        id_ = served_version(folder).id if version is None else version
        manifest = verify(folder, id_)
        show({"version": id_, "result": "sound", "items": manifest.n_items}, as_json=as_json)
        return
    if version is not None:
        raise ConfigError(f"got both {version} and --all; expected one of them")
    rows = []
    for listed in list_versions(folder):
        try:
            verify(folder, listed.id)
            rows.append({"version": listed.id, "result": "sound", "found": ""})
        except CorruptBundleError as error:
            rows.append({"version": listed.id, "result": "damaged", "found": str(error)})
    show_rows(rows, as_json=as_json)
    damaged = [row["version"] for row in rows if row["result"] == "damaged"]
    if damaged:
        raise CorruptBundleError(f"{len(damaged)} of {len(rows)} versions are damaged: {', '.join(damaged)}")
    if (served := served_version_or_none(folder)) is not None:
        find(folder, served.id)


@models.command()
def rollback(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason for the rollback; stored in the hold.")],
    to: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Version to serve [default: the previous version]."),
    ] = None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Serve another version, and freeze promotions (hold).

    Until "item2vec models release", the commands "train" and "retrain" publish nothing. The rollback is also
    recorded in the store, if the store is available.

    Example: item2vec models rollback --reason "low diversity in recommendations"
    """
    from item2vec.retraining import rollback

    version = rollback(location("models", models), location("store", store), to=to, reason=reason)
    facts = {
        "version": version.id,
        "generation": version.generation,
        "previous": version.previous,
        "path": str(version.path),
        "reason": reason,
    }
    show(facts, as_json=as_json)


@models.command()
def release(models: options.Models = None, as_json: options.AsJson = False) -> None:
    """End the hold of a rollback, so that models can be published.

    Example: item2vec models release
    """
    from item2vec.versions import release

    hold = release(location("models", models))
    facts: dict[str, Any] = {"released": hold is not None}
    if hold is not None:
        facts |= {"version": hold.version, "to": hold.to, "reason": hold.reason, "at": hold.at.isoformat()}
    show(facts, as_json=as_json)


@models.command()
def gc(
    keep: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of newest versions to keep [default: the setting versions of [retention], or 5].",
        ),
    ] = None,
    reports: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of newest runs whose reports and pages to keep [default: the setting reports of "
            "[retention], or 100].",
        ),
    ] = None,
    models: options.Models = None,
    as_json: options.AsJson = False,
) -> None:
    """Remove old versions, and old reports and pages of runs.

    The served, previous and pinned versions, and versions loaded by a process, are always kept.

    Example: item2vec models gc --keep 5
    """
    from item2vec.retraining.record import remove_old_reports
    from item2vec.versions import gc

    folder = location("models", models)
    n_versions = retention().versions if keep is None else keep
    n_reports = retention().reports if reports is None else reports
    # Checked before any version is removed; gc checks keep.
    if n_reports < 1:
        raise ConfigError(f"reports is {n_reports}; expected at least 1")
    removed = [version.id for version in gc(folder, keep=n_versions)]
    removed += remove_old_reports(folder, keep=n_reports)
    show_rows([{"removed": name} for name in removed], as_json=as_json)


@models.command()
def pin(version: Id = None, models: options.Models = None, as_json: options.AsJson = False) -> None:
    """Protect a version from removal until it is unpinned.

    Example: item2vec models pin
    """
    from item2vec.versions import pin, served_version

    folder = location("models", models)
    id_ = served_version(folder).id if version is None else version
    pin(folder, id_)
    show({"version": id_, "pinned": True}, as_json=as_json)


@models.command()
def unpin(version: Id = None, models: options.Models = None, as_json: options.AsJson = False) -> None:
    """Unpin a version, so that it can be removed.

    Example: item2vec models unpin
    """
    from item2vec.versions import served_version, unpin

    folder = location("models", models)
    id_ = served_version(folder).id if version is None else version
    unpin(folder, id_)
    show({"version": id_, "pinned": False}, as_json=as_json)


def _row(entry: Overview) -> dict[str, Any]:
    created_at = entry.manifest and entry.manifest.created_at
    age = (datetime.now(UTC) - created_at).total_seconds() if created_at else None
    metric, score = entry.score or (None, None)
    return {
        "version": entry.version.id,
        "generation": entry.version.generation,
        "states": list(entry.states),
        "created_at": created_at.isoformat(timespec="seconds") if created_at else None,
        "age_s": None if age is None else round(age),
        "metric": metric,
        "value": score,
        "items": entry.manifest.n_items if entry.manifest else None,
        "bytes": entry.size,
    }


def _as_text(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of ``models list`` with the age as text in days, hours or minutes, not in seconds."""
    age = None if row["age_s"] is None else _age(row["age_s"])
    return {"age" if name == "age_s" else name: value for name, value in (row | {"age_s": age}).items()}


def _age(seconds: int) -> str:
    """Return a duration in the largest of the units d, h and min that fits. A negative duration is 0 min.

    >>> _age(59), _age(7_199), _age(200_000)
    ('0 min', '1 h', '2 d')
    """
    for name, length in (("d", 86_400), ("h", 3_600)):
        if seconds >= length:
            return f"{seconds // length} {name}"
    return f"{max(seconds, 0) // 60} min"
