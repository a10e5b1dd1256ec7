"""The command ``evaluate``: train a model, and evaluate it and baselines on held-out data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from item2vec.cli import options, parameters, sources
from item2vec.cli.output import echo, show, table
from item2vec.cli.parameters import ItemsFile
from item2vec.cli.sources import Source
from item2vec.config import Config
from item2vec.errors import ConfigError, LeakWarning
from item2vec.files import refusing_unreadable
from item2vec.types import check_k

if TYPE_CHECKING:
    from item2vec.cli.reading import Events
    from item2vec.evaluation import Split
    from item2vec.evaluation.split import ColdTargets
    from item2vec.items import Items
    from item2vec.report import Study

__all__ = ["evaluate"]

PROTOCOLS = ("temporal", "leave-last-out", "random", "prefix", "k-fold")
WITH_REPEATS = ("temporal", "leave-last-out", "k-fold")
COLD_TARGETS = ("keep", "drop")
CUTOFFS = (5, 10, 20)
SHOWN = ("hr", "recall", "ndcg", "mrr", "coverage", "novelty", "diversity")


@sources.source
@parameters.settings
@parameters.items_file
def evaluate(
    *,
    source: Source,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Evaluation protocol, the split into training and test part: {', '.join(PROTOCOLS)} "
            "[default: temporal for a store with timestamps, or a corpus with timestamps and a sentence per "
            "user; otherwise leave-last-out, or random for sets].",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Only for temporal, not with --fraction: start of the test part (ISO 8601)."
        ),
    ] = None,
    fraction: Annotated[
        float | None,
        typer.Option(
            help="Only for temporal, random and prefix: fraction to hold out of the interactions (temporal), "
            "of each sentence (random) or of the sentences (prefix) [default: 0.1; random: 0.2]."
        ),
    ] = None,
    repeats: Annotated[
        bool,
        typer.Option(
            "--repeats",
            help=f"Only for {', '.join(WITH_REPEATS)}: seen items (of the history) may be targets and "
            "candidates.",
        ),
    ] = False,
    cold_targets: Annotated[
        str,
        typer.Option(
            metavar="keep|drop",
            help="Cold-start targets, which are absent from the training part: keep (normally misses) or "
            "drop.",
        ),
    ] = "keep",
    min_history: Annotated[
        int, typer.Option(metavar="N", help="Drop queries with fewer than N items in their history.")
    ] = 0,
    k: Annotated[
        list[int] | None,
        typer.Option("-k", "--k", help="Cut-off of the metrics; may be repeated [default: 5 10 20]."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write an HTML report to this file.")
    ] = None,
    items: ItemsFile | None,
    config: Config,
    as_json: options.AsJson = False,
) -> None:
    """Train a model, and evaluate it and baselines on held-out data.

    The model and the baselines are trained on the training part, and evaluated on the held-out test part.

    Example: item2vec evaluate --playlists sample_data/playlists.jsonl --report report.html
    """
    from item2vec.cli.reading import check_timestamps, default_protocol, read_events
    from item2vec.cli.titles import read_titles_beside
    from item2vec.report import Study, write_report

    _check_filters(cold_targets, min_history)
    kept: ColdTargets = "drop" if cold_targets == "drop" else "keep"
    cutoffs = [check_k(cutoff) for cutoff in k or CUTOFFS]
    if protocol is not None:
        _check(protocol, at, fraction, report, repeats=repeats)
    titles, source = read_titles_beside(items, source)
    events, stored_items = read_events(source, now=datetime.now(UTC))
    check_timestamps(protocol, events)
    if protocol is None:
        protocol = default_protocol(source, events)
        _check(protocol, at, fraction, report, repeats=repeats)
    titles = stored_items if titles is None else titles
    with warnings.catch_warnings():
        # The text of each LeakWarning is printed with the result.
        warnings.simplefilter("ignore", LeakWarning)
        splits = _splits(events, source, titles, protocol, at, fraction, config.train.seed, repeats=repeats)
        splits = [split.filtered(cold_targets=kept, min_history=min_history) for split in splits]
        studies = [_study(split, config, cutoffs, titles) for split in splits]
    if report is not None:
        write_report(studies[0], report, now=datetime.now(UTC), seed=config.train.seed)
    study = Study.pooled(studies)
    if as_json:
        show(_facts(study, splits, report), as_json=True)
    else:
        echo(_text(study, splits, report))


def _check(
    protocol: str, at: str | None, fraction: float | None, report: Path | None, *, repeats: bool
) -> None:
    """Check the options before the training starts.

    Raise ``ConfigError`` for an unknown protocol, an option that does not apply to it, or a report in a
    folder that does not exist, ``CorruptBundleError`` for a report in a folder that cannot be looked up, and
    ``MissingExtraError`` if the libraries of the report are not installed.
    """
    from item2vec.report import check_extra

    if protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol is {protocol!r}; expected one of {', '.join(PROTOCOLS)}")
    if at is not None and protocol != "temporal":
        raise ConfigError(
            f"--at does not apply to --protocol {protocol}; omit it, or use --protocol temporal"
        )
    if fraction is not None and protocol in {"leave-last-out", "k-fold"}:
        raise ConfigError(f"--fraction does not apply to --protocol {protocol}; omit it")
    if repeats and protocol not in WITH_REPEATS:
        raise ConfigError(
            f"--repeats does not apply to --protocol {protocol}; use it with {', '.join(WITH_REPEATS)}"
        )
    if report is None:
        return
    if protocol == "k-fold":
        raise ConfigError(
            "--report requires a protocol with one split, and k-fold has several; omit it, or choose another "
            "--protocol"
        )
    with refusing_unreadable():
        has_folder = report.absolute().parent.is_dir()
    if not has_folder:
        raise ConfigError(f"--report {report}: the folder {report.parent} does not exist; create it first")
    check_extra()


def _check_filters(cold_targets: str, min_history: int) -> None:
    """Raise ``ConfigError`` for an invalid ``--cold-targets`` or ``--min-history``, before data are read."""
    if cold_targets not in COLD_TARGETS:
        raise ConfigError(f"--cold-targets is {cold_targets!r}; expected {' or '.join(COLD_TARGETS)}")
    if min_history < 0:
        raise ConfigError(f"--min-history is {min_history}; expected a number of items of at least 0")


def _splits(
    events: Events,
    source: Source,
    items: Items | None,
    protocol: str,
    at: str | None,
    fraction: float | None,
    seed: int,
    *,
    repeats: bool,
) -> list[Split]:
    from item2vec.cli.reading import adapter_of, as_sentences
    from item2vec.evaluation.sentence_splits import k_fold, leave_last_out, prefix_split, random_split
    from item2vec.evaluation.temporal_splits import temporal_split
    from item2vec.interactions import Interactions
    from item2vec.sentences import ShardedSentences

    share: dict[str, Any] = {} if fraction is None else {"fraction": fraction}
    adapter = adapter_of(source)
    if protocol == "temporal":
        options: dict[str, Any] = {"at": at, "repeats": repeats, **share}
        if isinstance(events, Interactions):
            options |= {"adapter": adapter, "items": items}
        return [temporal_split(events, **options)]
    sentences = as_sentences(events, adapter, items)
    if protocol == "leave-last-out":
        return [leave_last_out(sentences, repeats=repeats)]
    if protocol == "prefix":
        return [prefix_split(sentences, **share)]
    if isinstance(sentences, ShardedSentences):
        sentences = sentences.whole()
    if protocol == "random":
        return [random_split(sentences, seed=seed, **share)]
    return k_fold(sentences, repeats=repeats, seed=seed)


def _study(split: Split, config: Config, k: list[int], items: Items | None) -> Study:
    from item2vec import fit
    from item2vec.report import Study

    # The test part must not be the validation data: with patience, it would determine the epoch.
    return Study.of(fit(split.train, config, items=items), split, k=k)


def _facts(study: Study, splits: list[Split], report: Path | None) -> dict[str, Any]:
    from item2vec.report import OURS

    comparison = study.comparison
    return {
        "splits": [repr(split) for split in splits],
        "queries": study.evaluation.n_queries,
        "metrics": {name: dict(found.metrics) for name, found in study.evaluations.items()},
        "intervals": study.intervals[OURS],
        "exact": None if study.evaluation.exact is None else dict(study.evaluation.exact),
        "best_baseline": study.best_baseline,
        "comparison": {name: getattr(comparison, name) for name in comparison.__slots__},
        "beats_all_baselines": study.beats_all,
        "leaks": list(study.evaluation.leaks),
        "report": None if report is None else str(report),
    }


def _text(study: Study, splits: list[Split], report: Path | None) -> str:
    from item2vec.report import OURS

    ours, shown = study.evaluation, [f"{name}@{study.k}" for name in SHOWN]
    low, high = ({name: ends[side] for name, ends in study.intervals[OURS].items()} for side in (0, 1))
    rows: dict[str, Mapping[str, float] | None] = {
        OURS: ours.metrics,
        "  95 % from": low,
        "  95 % to": high,
        "  exact search": ours.exact,
        **{name: evaluation.metrics for name, evaluation in study.baselines.items()},
    }
    cells = [
        {"model": name} | {metric: f"{row[metric]:.4f}" if metric in row else "" for metric in shown}
        for name, row in rows.items()
        if row is not None
    ]
    lines = [*map(repr, splits), "", table(cells), "", study.verdict]
    lines += [f"Leak: {leak}" for leak in ours.leaks]
    if report is not None:
        lines.append(f"Report: {report}")
    return "\n".join(lines)
