"""Commands around a models folder: which versions there are, and which one is served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import show, show_rows
from item2vec.cli.settings import place
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
    str | None, typer.Argument(metavar="ID", help="A version's id [default: that of the served one].")
]


@models.command("list")
def list_versions(models: options.Models = None, as_json: options.AsJson = False) -> None:
    """List all versions, oldest first: which one is served, and what keeps the others.

    Example: item2vec models list
    """
    from item2vec.versions import held, overview
    from item2vec.versions.layout import served

    folder = Path(place("models", models))
    show_rows([_row(one) for one in overview(folder)], as_json=as_json)
    # Only now: that CURRENT or HOLD is damaged is no reason not to say which versions there are.
    served(folder)
    held(folder)


@models.command("show")
def show_version(version: Id = None, models: options.Models = None, as_json: options.AsJson = False) -> None:
    """Show what a version says of itself: how it was made, from what, and how good it was found to be.

    Example: item2vec models show
    """
    from item2vec.versions import current, held, overview, verify

    folder = Path(place("models", models))
    id_ = current(folder).id if version is None else version
    one = next((one for one in overview(folder) if one.version.id == id_), None)
    if one is None or one.manifest is None:
        verify(folder, id_)
        raise CorruptBundleError(f"{folder} changed while it was read; try again")
    about = one.manifest.model_dump(mode="json")
    facts = _row(one) | {"path": str(one.version.path), "manifest_sha256": one.version.manifest_sha256}
    facts |= {name: about[name] for name in ("vector_size", "tokens", "train", "taste", "index", "note")}
    hold = held(folder)
    if hold is not None and hold.version == id_:
        facts["hold"] = {"reason": hold.reason, "at": str(hold.at), "to": hold.to}
    facts["libraries"] = about["libraries"]
    show(facts if as_json else dict(_flat(facts)), as_json=as_json)


@models.command()
def verify(
    version: Id = None,
    all_: Annotated[bool, typer.Option("--all", help="All versions.")] = False,
    models: options.Models = None,
    as_json: options.AsJson = False,
) -> None:
    """Read all of a version, or of all, and compare it with its checksums; exit code 5 if one is damaged.

    Example: item2vec models verify --all
    """
    from item2vec.versions import current, list_versions, verify

    folder = place("models", models)
    if not all_:
        id_ = current(folder).id if version is None else version
        manifest = verify(folder, id_)
        show({"version": id_, "result": "sound", "items": manifest.n_items}, as_json=as_json)
        return
    if version is not None:
        raise ConfigError(f"{version} and --all; expected one of the two")
    rows = []
    for one in list_versions(folder):
        try:
            verify(folder, one.id)
            rows.append({"version": one.id, "result": "sound", "found": ""})
        except CorruptBundleError as error:
            rows.append({"version": one.id, "result": "damaged", "found": str(error)})
    show_rows(rows, as_json=as_json)
    damaged = [row["version"] for row in rows if row["result"] == "damaged"]
    if damaged:
        raise CorruptBundleError(f"{len(damaged)} of {len(rows)} versions are damaged: {', '.join(damaged)}")


@models.command()
def rollback(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the hold.")],
    to: Annotated[
        str | None, typer.Option(metavar="ID", help="Which version [default: the one served before].")
    ] = None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Serve an older version again, and hold the nightly retraining until it is released.

    The store keeps a record of it, if it can be reached.

    Example: item2vec models rollback --reason "everybody gets jazz"
    """
    from item2vec.retraining import rollback

    version = rollback(place("models", models), place("store", store), to=to, reason=reason)
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
    """End the hold that a rollback has left, so that new versions are published again.

    Example: item2vec models release
    """
    from item2vec.versions import release

    hold = release(place("models", models))
    facts: dict[str, Any] = {"released": hold is not None}
    if hold is not None:
        facts |= {"version": hold.version, "to": hold.to, "reason": hold.reason, "at": str(hold.at)}
    show(facts, as_json=as_json)


@models.command()
def gc(
    keep: Annotated[int, typer.Option(metavar="N", help="How many of the newest versions to keep.")] = 5,
    models: options.Models = None,
    as_json: options.AsJson = False,
) -> None:
    """Remove old versions, but none that is served, was served before it, is pinned, or is loaded somewhere.

    Example: item2vec models gc --keep 5
    """
    from item2vec.versions import gc

    removed = gc(place("models", models), keep=keep)
    show_rows([{"removed": version.id} for version in removed], as_json=as_json)


@models.command()
def pin(version: Id = None, models: options.Models = None, as_json: options.AsJson = False) -> None:
    """Keep a version from being removed.

    Example: item2vec models pin
    """
    from item2vec.versions import current, pin

    folder = place("models", models)
    id_ = current(folder).id if version is None else version
    pin(folder, id_)
    show({"version": id_, "pinned": True}, as_json=as_json)


@models.command()
def unpin(version: Id = None, models: options.Models = None, as_json: options.AsJson = False) -> None:
    """Let a version be removed again when it is old enough.

    Example: item2vec models unpin
    """
    from item2vec.versions import current, unpin

    folder = place("models", models)
    id_ = current(folder).id if version is None else version
    unpin(folder, id_)
    show({"version": id_, "pinned": False}, as_json=as_json)


def _row(one: Overview) -> dict[str, Any]:
    made = one.manifest and one.manifest.created_at
    return {
        "version": one.version.id,
        "generation": one.version.generation,
        "states": list(one.states),
        "created_at": made.isoformat(sep=" ", timespec="seconds") if made else None,
        "items": one.manifest.n_items if one.manifest else None,
        "bytes": one.size,
    }


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is nested in a JSON value by dotted names; what is empty is left out.

    >>> dict(_flat({"gates": [{"name": "norms", "ok": True}], "days": [1, 2], "why": None}))
    {'gates.0.name': 'norms', 'gates.0.ok': True, 'days': [1, 2]}
    """
    if isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        value = dict(enumerate(value))
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else str(key))
    elif value not in (None, [], ""):
        yield name, value
