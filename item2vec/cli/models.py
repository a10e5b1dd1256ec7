"""The ``models`` group: inspect the versions in a models folder, and choose the one that is served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import show, show_rows
from item2vec.cli.settings import location
from item2vec.errors import ConfigError, CorruptBundleError

if TYPE_CHECKING:
    from item2vec.versions import Overview

__all__ = ["models"]

models = typer.Typer(
    help="List, check, roll back and remove the versions of a model.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Id = Annotated[
    str | None, typer.Argument(metavar="ID", help="The id of a version [default: the served version].")
]


@models.command("list")
def list_versions(models: options.Models = None, as_json: options.AsJson = False) -> None:
    """List all versions with their states, oldest first.

    States: served, previous, pinned, leased (loaded by a process), held, damaged.

    Example: item2vec models list
    """
    from item2vec.versions import held, overview
    from item2vec.versions.layout import served

    folder = Path(location("models", models))
    show_rows([_row(entry) for entry in overview(folder)], as_json=as_json)
    # Checked after printing: a damaged CURRENT or HOLD must not hide the list of versions.
    served(folder)
    held(folder)


@models.command("show")
def show_version(version: Id = None, models: options.Models = None, as_json: options.AsJson = False) -> None:
    """Show a version's settings, training data and metrics.

    Example: item2vec models show
    """
    from item2vec.versions import current, held, overview, verify

    folder = Path(location("models", models))
    id_ = current(folder).id if version is None else version
    entry = next((entry for entry in overview(folder) if entry.version.id == id_), None)
    if entry is None or entry.manifest is None:
        verify(folder, id_)
        raise CorruptBundleError(f"{folder} changed while it was read; try again")
    about = entry.manifest.model_dump(mode="json")
    facts = _row(entry) | {"path": str(entry.version.path), "manifest_sha256": entry.version.manifest_sha256}
    facts |= {name: about[name] for name in ("vector_size", "tokens", "train", "taste", "index", "note")}
    hold = held(folder)
    if hold is not None and hold.version == id_:
        facts["hold"] = {"reason": hold.reason, "at": str(hold.at), "to": hold.to}
    facts["libraries"] = about["libraries"]
    show(facts, as_json=as_json)


@models.command()
def verify(
    version: Id = None,
    all_: Annotated[bool, typer.Option("--all", help="Check all versions.")] = False,
    models: options.Models = None,
    as_json: options.AsJson = False,
) -> None:
    """Check a version's files against their checksums.

    The exit code is 5 if a version is damaged.

    Example: item2vec models verify --all
    """
    from item2vec.versions import current, list_versions, verify

    folder = location("models", models)
    if not all_:
        id_ = current(folder).id if version is None else version
        manifest = verify(folder, id_)
        show({"version": id_, "result": "sound", "items": manifest.n_items}, as_json=as_json)
        return
    if version is not None:
        raise ConfigError(f"both {version} and --all are given; expected one of them")
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


@models.command()
def rollback(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="The reason, which is recorded with the hold.")],
    to: Annotated[
        str | None, typer.Option(metavar="ID", help="The version to serve [default: the previous one].")
    ] = None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Serve an older version again, and hold new promotions.

    Nightly runs publish nothing until "item2vec models release". The rollback is also recorded in the
    store, if the store can be reached.

    Example: item2vec models rollback --reason "everybody gets jazz"
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
    """End the hold of a rollback; nightly runs publish again.

    Example: item2vec models release
    """
    from item2vec.versions import release

    hold = release(location("models", models))
    facts: dict[str, Any] = {"released": hold is not None}
    if hold is not None:
        facts |= {"version": hold.version, "to": hold.to, "reason": hold.reason, "at": str(hold.at)}
    show(facts, as_json=as_json)


@models.command()
def gc(
    keep: Annotated[int, typer.Option(metavar="N", help="Number of newest versions to keep.")] = 5,
    models: options.Models = None,
    as_json: options.AsJson = False,
) -> None:
    """Remove old versions.

    Versions that are served, previous, pinned, or loaded by a process are kept.

    Example: item2vec models gc --keep 5
    """
    from item2vec.versions import gc

    removed = gc(location("models", models), keep=keep)
    show_rows([{"removed": version.id} for version in removed], as_json=as_json)


@models.command()
def pin(version: Id = None, models: options.Models = None, as_json: options.AsJson = False) -> None:
    """Pin a version: it is not removed until it is unpinned.

    Example: item2vec models pin
    """
    from item2vec.versions import current, pin

    folder = location("models", models)
    id_ = current(folder).id if version is None else version
    pin(folder, id_)
    show({"version": id_, "pinned": True}, as_json=as_json)


@models.command()
def unpin(version: Id = None, models: options.Models = None, as_json: options.AsJson = False) -> None:
    """Unpin a version: it may be removed again.

    Example: item2vec models unpin
    """
    from item2vec.versions import current, unpin

    folder = location("models", models)
    id_ = current(folder).id if version is None else version
    unpin(folder, id_)
    show({"version": id_, "pinned": False}, as_json=as_json)


def _row(entry: Overview) -> dict[str, Any]:
    created_at = entry.manifest and entry.manifest.created_at
    return {
        "version": entry.version.id,
        "generation": entry.version.generation,
        "states": list(entry.states),
        "created_at": created_at.isoformat(sep=" ", timespec="seconds") if created_at else None,
        "items": entry.manifest.n_items if entry.manifest else None,
        "bytes": entry.size,
    }
