"""Read the data counts and the scores of earlier versions, with which a run compares its new model.

Counts and scores are stored in the notes of manifests and in the reports of runs. A note or report may be
damaged or edited by hand: counts and scores that are missing, not finite or out of range are ignored.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, TypeGuard

from item2vec import files
from item2vec.bundle.manifest import read_manifest
from item2vec.config import RetrainConfig
from item2vec.errors import CorruptBundleError
from item2vec.retraining.messages import SplitName
from item2vec.versions import Version, list_versions
from item2vec.versions.layout import generation_of
from item2vec.versions.overview import NOTE

__all__ = [
    "COUNTED",
    "RUNS",
    "EarlierResults",
    "EarlierScore",
    "EvaluationProtocol",
    "PromotedScore",
    "last_promotion",
    "name_of_last_promoted",
    "protocol_of",
    "read_earlier_results",
    "report_order",
]

RUNS = "runs"
"""Name of the subfolder of the models folder that holds the reports of runs."""
PROMOTIONS = 7
"""Maximum number of promotions whose scores are read: one week of nightly runs."""
COUNTED: tuple[Literal["interactions", "users", "items"], ...] = ("interactions", "users", "items")
"""Counts of a ``DataSummary`` that gates compare with the counts of the served version."""
RENAMED = {"questions": "queries", "max_questions": "max_queries"}
"""Keys of older manifests and reports, and the present names of these keys."""
ADDED = {"ordered": True, "core": False, "drop_longer_than": None}
"""Settings of ``[adapter]`` that older manifests and reports lack, and the values that their runs used."""

IN_A_REPORT = ("version", "forced", "data", "evaluation", "finished_at")
"""Parts of the report of a promoted run that are read."""

log = logging.getLogger("item2vec.retrain")


class EvaluationProtocol(TypedDict):
    """Metric and settings of an evaluation. Two scores are comparable if their protocols are equal."""

    metric: str
    """Name of the metric that gates compare, such as ``ndcg@10``."""
    evaluation: dict[str, Any]
    """Settings of the section ``[evaluation]``."""
    adapter: dict[str, Any]
    """Settings of the section ``[adapter]``."""
    split: SplitName
    """Protocol by which data were held out."""
    corpus: NotRequired[bool]
    """True if the data were those of a prepared corpus. Runs on the store have no such key."""


class EarlierScore(TypedDict):
    """Recorded evaluation of one earlier version."""

    protocol: EvaluationProtocol
    metrics: dict[str, float]
    """Value of the protocol's metric, under its name."""


class PromotedScore(TypedDict):
    """Recorded score of one promoted version, evaluated by the protocol of the present run."""

    version: str
    score: float
    interval: list[float] | None
    """Lower and upper bound of the confidence interval; ``None`` if no valid interval was recorded."""


class EarlierResults(TypedDict, total=False):
    """Results of earlier versions. If no valid record of a result exists, its key is missing.

    ``read_earlier_results`` describes from which version ``data`` and ``evaluation`` are read if the manifest
    of the served version contains neither.
    """

    data: dict[str, float]
    """Counts of the served version, by their names in ``COUNTED``."""
    evaluation: EarlierScore
    """Score of the served version, with its protocol, which may differ from that of the present run."""
    promoted: list[PromotedScore]
    """Scores of at most seven promoted versions by the protocol of the present run, newest first."""


def protocol_of(config: RetrainConfig, split: SplitName = "temporal") -> EvaluationProtocol:
    """Return the protocol of the evaluation of a run that holds out data by ``split``.

    >>> protocol_of(RetrainConfig())["metric"]
    'ndcg@10'
    """
    protocol: EvaluationProtocol = {
        "metric": f"ndcg@{config.evaluation.k}",
        "evaluation": config.evaluation.model_dump(mode="json"),
        "adapter": config.adapter.model_dump(mode="json"),
        "split": split,
    }
    if config.corpus is not None:
        protocol["corpus"] = True
    return protocol


def read_earlier_results(
    served: Version | None, models: Path, protocol: EvaluationProtocol
) -> EarlierResults:
    """Return the results with which gates compare a new version.

    ``data`` and ``evaluation`` are read from the manifest of the served version. If no version is served, or
    if the manifest contains neither because it is damaged or was not written by a run, both are read from one
    report: the newest report of a promoted run that contains ``data`` or ``evaluation``. ``promoted`` holds
    only scores that were measured by the given protocol.
    """
    notes = {version.id: note for version in list_versions(models) if (note := _note(version)) is not None}
    reports = [report for _, report in _promoted_reports(models / RUNS)]
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
        log.warning("the manifest of a version cannot be read", extra={"facts": facts})
        return None
    return _with_present_keys(note) if isinstance(note, Mapping) else None


def last_promotion(models: Path) -> datetime | None:
    """Return the end time of the last promoted run; ``None`` if it is unknown.

    Reports without a valid end time are skipped. The time is unknown if no report contains one, or if the
    models folder cannot be read.
    """
    with contextlib.suppress(OSError):
        for _, report in _promoted_reports(models / RUNS):
            with contextlib.suppress(TypeError, ValueError):
                return datetime.fromisoformat(report["finished_at"])
    return None


def name_of_last_promoted(runs: Path) -> str | None:
    """Return the name, without suffix, of the newest report of a promoted run; ``None`` if there is none."""
    return next((path.stem for path, _ in _promoted_reports(runs)), None)


def report_order(path: Path) -> tuple[int, str]:
    """Return the sort key of a report's file, TIME-ID.json: the generation in the id, then the file name.

    The time, with which the file name begins, is not the first key, because the clock of an earlier run may
    have been ahead.

    >>> report_order(Path("20240101T000000Z-g0000000012-0a1b2c3d.json"))[0]
    12
    """
    return generation_of(path.stem.partition("-")[2]) or 0, path.name


def _promoted_reports(runs: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield path and parts ``IN_A_REPORT`` of each readable report of a promoted run, newest first."""
    for path in sorted(runs.glob("[0-9]*.json"), key=report_order, reverse=True):
        try:
            report = files.parse_json(files.read_text(path), path)
        except CorruptBundleError:
            continue
        if isinstance(report, Mapping) and report.get("status") == "promoted":
            record = {name: report.get(name) for name in IN_A_REPORT}
            yield path, _with_present_keys(record)


def _with_present_keys(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a note or report in the present format.

    Keys are renamed as in ``RENAMED``, missing adapter settings have the values in ``ADDED``, and a missing
    split is that of ``_former_split``.
    """
    if not isinstance(evaluation := record.get("evaluation"), dict):
        return record
    evaluation = _renamed(evaluation)
    match evaluation:
        case {"protocol": {"evaluation": dict(settings), "adapter": dict(adapter)} as protocol}:
            present = {"evaluation": _renamed(settings), "adapter": ADDED | adapter}
            former = {"split": _former_split(record.get("data"), protocol)}
            evaluation["protocol"] = former | protocol | present
    return {**record, "evaluation": evaluation}


def _former_split(data: Any, protocol: Mapping[str, Any]) -> SplitName:
    """Return the split of a run of an earlier release, whose record does not name it.

    Data in the store were split by time if they had timestamps. Of a corpus, the last items were held out.
    """
    if "corpus" in protocol:
        return "leave-last-out"
    if not isinstance(data, Mapping) or data.get("first", "") is not None:
        return "temporal"
    return "random" if protocol["adapter"].get("ordered") is False else "leave-last-out"


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    return {RENAMED.get(name, name): value for name, value in values.items()}


def _last_promoted(
    notes: Mapping[str, Mapping[str, Any]], reports: Iterable[Mapping[str, Any]], protocol: EvaluationProtocol
) -> list[PromotedScore]:
    """Return the scores of at most ``PROMOTIONS`` promoted versions, newest first.

    Versions without a valid score by ``protocol`` are skipped. Versions older than the last forced promotion
    are excluded, because the user has accepted the score of the forced version.
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
    """Return the recorded score; ``None`` if it is missing, invalid or measured by another protocol."""
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
    """Return whether a JSON value is a number in the range of a float: JSON allows integers of any length."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max
