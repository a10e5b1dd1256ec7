"""The baseline of a run: data counts and scores that earlier versions recorded.

They are read from the notes of manifests and from the reports of runs. Either may be damaged, or edited by
hand; every number returned is finite.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeGuard

from item2vec import files
from item2vec.bundle.manifest import read_manifest
from item2vec.config import RetrainConfig
from item2vec.errors import CorruptBundleError
from item2vec.versions import Version, list_versions
from item2vec.versions.layout import generation_of

__all__ = [
    "COUNTED",
    "NOTE",
    "RUNS",
    "EarlierResults",
    "EarlierScore",
    "EvaluationProtocol",
    "PromotedScore",
    "protocol_of",
    "read_earlier_results",
]

NOTE = "retrain"
"""Key in the note of a manifest under which a run describes itself."""
RUNS = "runs"
"""Folder of the reports of runs, in the models folder."""
PROMOTIONS = 7
"""Number of promotions whose scores are read: one week of nights."""
COUNTED: tuple[Literal["interactions", "users", "items"], ...] = ("interactions", "users", "items")
"""Counts of a ``DataSummary`` that are compared with those of the version before."""
RENAMED = {"questions": "queries", "max_questions": "max_queries"}
"""Keys that older manifests and reports contain, and their present names."""

log = logging.getLogger("item2vec.retrain")


class EvaluationProtocol(TypedDict):
    """Everything that two scores must have in common to be comparable."""

    metric: str
    """The metric that gates compare, such as ``ndcg@10``."""
    evaluation: dict[str, Any]
    """Settings ``[evaluation]``."""
    adapter: dict[str, Any]
    """Settings ``[adapter]``."""


class EarlierScore(TypedDict):
    """The evaluation of one earlier version."""

    protocol: EvaluationProtocol
    metrics: dict[str, float]
    """The protocol's metric."""


class PromotedScore(TypedDict):
    """The score of one promotion, evaluated by the same protocol as this run."""

    version: str
    score: float
    interval: list[float] | None
    """Confidence interval, lower and upper bound."""


class EarlierResults(TypedDict, total=False):
    """Results of earlier versions. What was not recorded has no key."""

    data: dict[str, float]
    """Counts of the version before (``COUNTED``)."""
    evaluation: EarlierScore
    """Score of the version before, by any protocol."""
    promoted: list[PromotedScore]
    """Scores of the last seven promotions, newest first."""


def protocol_of(config: RetrainConfig) -> EvaluationProtocol:
    """Return the protocol of a run's evaluation.

    >>> protocol_of(RetrainConfig())["metric"]
    'ndcg@10'
    """
    return {
        "metric": f"ndcg@{config.evaluation.k}",
        "evaluation": config.evaluation.model_dump(mode="json"),
        "adapter": config.adapter.model_dump(mode="json"),
    }


def read_earlier_results(
    served: Version | None, models: Path, protocol: EvaluationProtocol
) -> EarlierResults:
    """Return the results with which a new version is compared.

    ``data`` and ``evaluation`` come from the manifest of the served version. If it is damaged, or was not
    written by a run, they come from the newest report of a promoted run. ``promoted`` holds only scores by
    the given protocol.
    """
    notes = {version.id: note for version in list_versions(models) if (note := _note(version)) is not None}
    reports = [*_promoted_reports(models / RUNS)]
    results: EarlierResults = {}
    if promoted := _last_promoted(notes, reports, protocol):
        results["promoted"] = promoted
    for record in ([notes[served.id]] if served and served.id in notes else []) + reports:
        data, evaluation = _data(record.get("data")), _evaluation(record.get("evaluation"))
        if data:
            results["data"] = data
        if evaluation is not None:
            results["evaluation"] = evaluation
        if data or evaluation is not None:
            break
    return results


def _note(version: Version) -> Mapping[str, Any] | None:
    try:
        note = read_manifest(version.path / "manifest.json")[0].note.get(NOTE)
    except (OSError, CorruptBundleError) as error:
        facts = {"version": version.id, "error": str(error)}
        log.warning("a version is damaged", extra={"facts": facts})
        return None
    return _with_present_keys(note) if isinstance(note, Mapping) else None


def _promoted_reports(runs: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the parts of the reports of promoted runs that concern the model, newest first."""
    for path in sorted(runs.glob("[0-9]*.json"), reverse=True):
        try:
            report = files.parse_json(files.read_text(path), path)
        except CorruptBundleError:
            continue
        if isinstance(report, Mapping) and report.get("status") == "promoted":
            record = {name: report.get(name) for name in ("version", "forced", "data", "evaluation")}
            yield _with_present_keys(record)


def _with_present_keys(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a note or report with ``RENAMED`` keys of its evaluation under their present names."""
    if not isinstance(evaluation := record.get("evaluation"), dict):
        return record
    evaluation = _renamed(evaluation)
    match evaluation:
        case {"protocol": {"evaluation": dict(settings)} as protocol}:
            evaluation["protocol"] = protocol | {"evaluation": _renamed(settings)}
    return {**record, "evaluation": evaluation}


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    return {RENAMED.get(name, name): value for name, value in values.items()}


def _last_promoted(
    notes: Mapping[str, Mapping[str, Any]], reports: Iterable[Mapping[str, Any]], protocol: EvaluationProtocol
) -> list[PromotedScore]:
    """Return the scores of the last promotions, newest first.

    A forced promotion is the oldest that counts: its score was accepted, however low it was.
    """
    record_of = {str(report["version"]): report for report in reports} | dict(notes)
    generations = [(generation, id_) for id_ in record_of if (generation := generation_of(id_)) is not None]
    last: list[PromotedScore] = []
    for _, id_ in sorted(generations, reverse=True):
        score = _promoted_score(id_, record_of[id_].get("evaluation"), protocol)
        if score is not None:
            last.append(score)
        if len(last) == PROMOTIONS or isinstance(record_of[id_].get("forced"), str):
            break
    return last


def _data(record: Any) -> dict[str, float]:
    record = record if isinstance(record, Mapping) else {}
    return {name: record[name] for name in COUNTED if _is_number(record.get(name)) and record[name] > 0}


def _evaluation(record: Any) -> EarlierScore | None:
    match record:
        case {"protocol": {"metric": str(metric)} as protocol, "metrics": dict(metrics)} if _is_number(
            metrics.get(metric)
        ):
            return {"protocol": protocol, "metrics": {metric: metrics[metric]}}
    return None


def _promoted_score(id_: str, record: Any, protocol: EvaluationProtocol) -> PromotedScore | None:
    """Return the recorded score, or ``None`` if the evaluation used another protocol."""
    metric = protocol["metric"]
    match record:
        case {"protocol": recorded, "metrics": dict(metrics)} if recorded == protocol:
            score = metrics.get(metric)
            if _is_share(score):
                interval = _interval(record.get("intervals"), metric, score)
                return {"version": id_, "score": score, "interval": interval}
    return None


def _interval(record: Any, metric: str, score: float) -> list[float] | None:
    bounds = record.get(metric) if isinstance(record, Mapping) else None
    if isinstance(bounds, list) and len(bounds) == 2 and all(map(_is_share, bounds)):
        return bounds if bounds[0] <= score <= bounds[1] else None
    return None


def _is_share(value: Any) -> TypeGuard[float]:
    return _is_number(value) and 0 <= value <= 1


def _is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value is a number that a float can hold; JSON allows integers of any length."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max
