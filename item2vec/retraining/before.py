"""What is known of the version before: its data, and how it was evaluated on days that it had not seen."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from item2vec import files
from item2vec.bundle.manifest import read_manifest
from item2vec.errors import CorruptBundleError
from item2vec.retraining.gates import COUNTED
from item2vec.versions import Version

__all__ = ["NOTE", "known_before"]

NOTE = "retrain"
"""Under this name a manifest's note holds what a nightly run says of itself."""

log = logging.getLogger("item2vec.retrain")


def known_before(served: Version | None, runs: Path) -> dict[str, Any]:
    """Return ``data`` and ``evaluation`` of what is served; each is left out where it is not known.

    As its manifest says; where that is damaged or says nothing, since another command made it, as the newest
    report of a promoted run does. Nothing that is no number comes from here, whoever wrote it.
    """
    for told in [*_noted(served), *_reported(runs)]:
        known = {"data": _data(told.get("data")), "evaluation": _evaluation(told.get("evaluation"))}
        if any(known.values()):
            return {name: value for name, value in known.items() if value}
    return {}


def _noted(served: Version | None) -> Iterator[Mapping[str, Any]]:
    if served is None:
        return
    try:
        note = read_manifest(served.path / "manifest.json")[0].note.get(NOTE)
    except (OSError, CorruptBundleError) as error:
        facts = {"version": served.id, "error": str(error)}
        log.warning("the live version is damaged", extra={"facts": facts})
        return
    if isinstance(note, Mapping):
        yield note


def _reported(runs: Path) -> Iterator[Mapping[str, Any]]:
    for path in sorted(runs.glob("[0-9]*.json"), reverse=True):
        try:
            report = files.parse_json(files.read_text(path), path)
        except CorruptBundleError:
            continue
        if isinstance(report, Mapping) and report.get("status") == "promoted":
            yield report


def _data(told: Any) -> dict[str, float]:
    told = told if isinstance(told, Mapping) else {}
    return {name: told[name] for name in COUNTED if _is_number(told.get(name)) and told[name] > 0}


def _evaluation(told: Any) -> dict[str, Any]:
    match told:
        case {"protocol": {"metric": str(metric)} as protocol, "metrics": dict(metrics)} if _is_number(
            metrics.get(metric)
        ):
            return {"protocol": protocol, "metrics": {metric: metrics[metric]}}
    return {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
