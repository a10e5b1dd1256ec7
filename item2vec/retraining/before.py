"""What is known of the versions before: their data, and how they were evaluated on days they had not seen.

Manifests and reports may be damaged, or written by anybody. Every number that comes from here is finite.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from item2vec import files
from item2vec.bundle.manifest import read_manifest
from item2vec.errors import CorruptBundleError
from item2vec.retraining.gates import COUNTED
from item2vec.versions import Version, list_versions
from item2vec.versions.layout import generation_of

__all__ = ["NOTE", "RUNS", "known_before"]

NOTE = "retrain"
"""Under this name a manifest's note holds what a nightly run says of itself."""
PROMOTIONS = 7
"""How many promotions a new score is compared with: those of a week."""

RUNS = "runs"
"""The folder of the runs' reports, in the models folder."""

Facts = Mapping[str, Any]

log = logging.getLogger("item2vec.retrain")


def known_before(served: Version | None, models: Path, protocol: Facts) -> dict[str, Any]:
    """Return ``data`` and ``evaluation`` of what is served, and the last ``promoted`` scores.

    The scores are those of the same protocol. Data and evaluation are those of the served manifest; where it
    is damaged or says nothing, since another command made it, those of the newest report of a promoted run.
    What is not known is left out.
    """
    notes = {version.id: note for version in list_versions(models) if (note := _note(version)) is not None}
    reports = [*_reported(models / RUNS)]
    known: dict[str, Any] = {"promoted": _last_promoted(notes, reports, protocol)}
    for record in ([notes[served.id]] if served and served.id in notes else []) + reports:
        about = {"data": _data(record.get("data")), "evaluation": _evaluation(record.get("evaluation"))}
        if any(about.values()):
            known |= about
            break
    return {name: value for name, value in known.items() if value}


def _note(version: Version) -> Facts | None:
    try:
        note = read_manifest(version.path / "manifest.json")[0].note.get(NOTE)
    except (OSError, CorruptBundleError) as error:
        facts = {"version": version.id, "error": str(error)}
        log.warning("a version is damaged", extra={"facts": facts})
        return None
    return note if isinstance(note, Mapping) else None


def _reported(runs: Path) -> Iterator[Facts]:
    """Yield what the reports of promoted runs say of the model, newest first."""
    for path in sorted(runs.glob("[0-9]*.json"), reverse=True):
        try:
            report = files.parse_json(files.read_text(path), path)
        except CorruptBundleError:
            continue
        if isinstance(report, Mapping) and report.get("status") == "promoted":
            yield {name: report.get(name) for name in ("version", "forced", "data", "evaluation")}


def _last_promoted(
    notes: Mapping[str, Facts], reports: Iterable[Facts], protocol: Facts
) -> list[dict[str, Any]]:
    """Return ``version``, ``score`` and ``interval`` of the last promotions, newest first; at most seven.

    A promotion that was forced is the oldest that counts: whoever forced it accepted its score.
    """
    record_of = {str(report["version"]): report for report in reports} | dict(notes)
    generations = [(generation, id_) for id_ in record_of if (generation := generation_of(id_)) is not None]
    last: list[dict[str, Any]] = []
    for _, id_ in sorted(generations, reverse=True):
        score = _score(record_of[id_].get("evaluation"), protocol)
        if score is not None:
            last.append({"version": id_, **score})
        if len(last) == PROMOTIONS or isinstance(record_of[id_].get("forced"), str):
            break
    return last


def _data(record: Any) -> dict[str, float]:
    record = record if isinstance(record, Mapping) else {}
    return {name: record[name] for name in COUNTED if _is_number(record.get(name)) and record[name] > 0}


def _evaluation(record: Any) -> dict[str, Any]:
    match record:
        case {"protocol": {"metric": str(metric)} as protocol, "metrics": dict(metrics)} if _is_number(
            metrics.get(metric)
        ):
            return {"protocol": protocol, "metrics": {metric: metrics[metric]}}
    return {}


def _score(record: Any, protocol: Facts) -> dict[str, Any] | None:
    """Return the score of an evaluation by this protocol, and its interval where one was recorded."""
    metric = protocol["metric"]
    match record:
        case {"protocol": found, "metrics": dict(metrics)} if found == protocol:
            score = metrics.get(metric)
            if _is_share(score):
                return {"score": score, "interval": _interval(record.get("intervals"), metric, score)}
    return None


def _interval(record: Any, metric: str, score: float) -> list[float] | None:
    bounds = record.get(metric) if isinstance(record, Mapping) else None
    if isinstance(bounds, list) and len(bounds) == 2 and all(map(_is_share, bounds)):
        return bounds if bounds[0] <= score <= bounds[1] else None
    return None


def _is_share(value: Any) -> TypeGuard[float]:
    return _is_number(value) and 0 <= value <= 1


def _is_number(value: Any) -> TypeGuard[float]:
    """Return whether this is a number that a float can hold; a whole number in JSON may be of any length."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max
