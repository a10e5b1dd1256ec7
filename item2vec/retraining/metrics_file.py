"""Metrics of the last run as a text file, for the textfile collector of Prometheus' node_exporter.

The file is written at the end of a run: after a promotion, a refusal by a gate and an error. It remains
unchanged only if the argument ``force`` or ``metrics_file`` of ``retrain`` is invalid, if the system has no
file locks (Windows), if the process is killed (SIGKILL), or if the file cannot be written. The format is
Prometheus' text format 0.0.4. The extra ``serve``, which contains a client of Prometheus, is not required.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from item2vec import files
from item2vec.errors import ConfigError, Item2VecError
from item2vec.report.study import OURS
from item2vec.retraining.earlier_versions import last_promotion
from item2vec.retraining.record import Record

__all__ = ["Measured", "metrics_file"]

log = logging.getLogger("item2vec.retrain")

SUFFIX = ".prom"
"""Suffix of the files that node_exporter reads."""
PREFIX = "item2vec_retrain_"
INTERRUPTED = 130
"""Exit code of a command that Ctrl-C interrupts, as typer sets it."""

Labels = Mapping[str, str]
Samples = Sequence[tuple[Labels, float | None]]


@dataclass
class Measured:
    """The run that ``metrics_file`` measures. ``record`` is ``None`` until ``record.begin`` returns."""

    record: Record | None = None


@contextlib.contextmanager
def metrics_file(path: str | PathLike[str] | None, models: str | PathLike[str]) -> Iterator[Measured]:
    """Write the metrics of the run that the block carries out, at the end of the block.

    The file is replaced atomically and has mode 0644. The exit code in the file is 0 or, if the block raises
    an error, the ``exit_code`` of an ``Item2VecError``, 130 for Ctrl-C (``KeyboardInterrupt``), or 1 for any
    other error. The error propagates. If the file cannot be written, a warning is logged. If ``path`` is
    ``None``, nothing is written.

    Raises
    ------
    ConfigError
        Before the block is entered, if the name does not end with ``.prom``, or the folder does not exist.
    CorruptBundleError
        Before the block is entered, if the folder cannot be looked up, for example because access is denied
        to one of its parents.
    """
    run = Measured()
    if path is None:
        yield run
        return
    file = _checked(Path(path))
    started, code = time.monotonic(), 1
    try:
        yield run
        code = 0
    except Item2VecError as error:
        code = error.exit_code
        raise
    except KeyboardInterrupt:
        code = INTERRUPTED
        raise
    finally:
        _write(file, run.record.report if run.record else {}, Path(models), code, time.monotonic() - started)


def _checked(path: Path) -> Path:
    if path.suffix != SUFFIX:
        raise ConfigError(
            f"metrics_file is {str(path)!r}; expected a name that ends with {SUFFIX}, because node_exporter "
            "reads no other files"
        )
    with files.refusing_unreadable():
        has_folder = path.parent.is_dir()
    if not has_folder:
        raise ConfigError(
            f"metrics_file is {str(path)!r}; expected a file in an existing folder: create {path.parent}"
        )
    return path


def _write(path: Path, report: Mapping[str, Any], models: Path, code: int, seconds: float) -> None:
    try:
        now = datetime.now(UTC)
        text = _rendered(report, models, code, seconds, now, last_promotion(models))
        files.replace_bytes(path, text.encode(), files.FILE_MODE)
    except BaseException as error:  # noqa: BLE001 - this error does not change the outcome of the run
        facts = {"file": str(path), "error": f"{type(error).__name__}: {error}"}
        log.warning("the metrics file was not written", extra={"facts": facts})


def _rendered(
    report: Mapping[str, Any],
    models: Path,
    code: int,
    seconds: float,
    now: datetime,
    promoted: datetime | None,
) -> str:
    """Return the metrics of a run in Prometheus' text format.

    Every sample has the label ``models``, the path of the models folder, because node_exporter may read the
    metrics files of several models folders. A metric whose value is unknown has no sample; for example, a run
    that evaluated nothing has no ``score``.
    """
    data, gates = report.get("data", {}), report.get("gates", [])
    values: dict[str, tuple[str, Samples]] = {
        "last_run_timestamp_seconds": ("End of the last run.", [({}, now.timestamp())]),
        "last_success_timestamp_seconds": (
            "End of the last run that published a version.",
            [({}, promoted.timestamp() if promoted else None)],
        ),
        "duration_seconds": ("Duration of the last run.", [({}, seconds)]),
        "phase_seconds": (
            "Duration of a phase of the last run.",
            [({"phase": name}, value) for name, value in report.get("seconds", {}).items()],
        ),
        "exit_code": ("Exit code of the last run.", [({}, code)]),
        "peak_memory_bytes": ("Peak memory of the worker process.", [({}, report.get("peak_memory"))]),
        "gate_passed": (
            "Whether a gate was passed (1) or not (0).",
            [({"gate": gate["name"]}, int(gate["passed"])) for gate in gates],
        ),
        "gate_value": (
            "Value that a gate compares with its bounds.",
            [({"gate": gate["name"]}, gate["value"]) for gate in gates],
        ),
        "interactions": (
            "Number of interactions that [adapter] selects; for a corpus, number of tokens.",
            [({}, data.get("interactions"))],
        ),
        "users": (
            "Number of users with interactions that [adapter] selects; for a corpus, number of sentences.",
            [({}, data.get("users"))],
        ),
        "items": (
            "Number of items with interactions that [adapter] selects; for a corpus, of items with tokens.",
            [({}, data.get("items"))],
        ),
        "score": (
            "Score of the new model or of a baseline on the held-out items.",
            _scores(report.get("evaluation", {})),
        ),
    }
    # Not Path.resolve, which raises an error for a loop of symbolic links.
    common = {"models": os.path.realpath(models)}
    return "".join(
        _family(PREFIX + name, about, samples, common) for name, (about, samples) in values.items()
    )


def _scores(evaluation: Mapping[str, Any]) -> Samples:
    """Return the values of the metric that gates compare, for the model and each baseline.

    The result is empty if nothing was evaluated.
    """
    if not evaluation.get("metrics"):
        return []
    metric = evaluation["protocol"]["metric"]
    models = {OURS: evaluation["metrics"], **evaluation["baselines"]}
    return [({"metric": metric, "model": name}, scores[metric]) for name, scores in models.items()]


def _family(name: str, about: str, samples: Samples, common: Labels) -> str:
    lines = [
        f"{name}{{{_labels({**common, **labels})}}} {_number(value)}\n"
        for labels, value in samples
        if value is not None
    ]
    return "".join([f"# HELP {name} {about}\n# TYPE {name} gauge\n", *lines]) if lines else ""


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(text: str) -> str:
    r"""Escape a label value.

    >>> print(_escaped('a"b\\c'))
    a\"b\\c
    """
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float | str) -> str:
    """Return a number in Prometheus' text format. Reports contain numbers that are not finite as text.

    >>> _number(3), _number(0.1), _number("nan"), _number("-inf")
    ('3', '0.1', 'NaN', '-Inf')
    """
    if not isinstance(value, str) and math.isfinite(value):
        return repr(value)
    return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(float(value))]
