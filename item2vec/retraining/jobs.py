"""Jobs of a run, executed in the worker process: snapshot, train_and_evaluate, train, write, draw_page.

``run.py`` and, for the last job, ``record.py`` call the jobs in this order through ``supervisor.Worker``.
Arguments and results of jobs are JSON values.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from item2vec import bundle, files
from item2vec.adapters.histories import chosen_interactions, training_sentences
from item2vec.arrays import Floats, Offsets
from item2vec.config import AdapterConfig, EvaluationConfig, RetrainConfig
from item2vec.errors import ConfigError, InputError, LeakWarning, NothingToTrainError
from item2vec.evaluation.sentence_splits import leave_last_out, random_split
from item2vec.evaluation.split import Split
from item2vec.evaluation.temporal_splits import temporal_split
from item2vec.fitting import fit
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.recommender import Recommender
from item2vec.report import Study, write_report
from item2vec.report.study import OURS
from item2vec.retraining.drift import compare_models
from item2vec.retraining.health import measure_health
from item2vec.retraining.messages import (
    CheckpointName,
    DataSummary,
    EvaluationResult,
    Event,
    SplitName,
    TrainingResult,
)
from item2vec.retraining.prepared import PreparedCorpus
from item2vec.retraining.spool import Spool
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.store import Ahead, Store, latest_plausible
from item2vec.training.checkpoint import DamagedStateError, OtherTrainingError, remove_checkpoint
from item2vec.training.median import lower_median
from item2vec.versions import load

__all__ = ["Jobs"]

log = logging.getLogger("item2vec.retrain")


class Jobs:
    """The jobs of one run. A job reads attributes that earlier jobs have set."""

    corpus: PreparedCorpus | None
    """The prepared corpus that the settings name, from which the run trains in place of the store's
    interactions. Set by ``snapshot``; ``None`` if the settings name no corpus."""
    spool: Spool
    """Interactions of the store, on disk. Set by ``snapshot``, unless the settings name a corpus."""
    items: Items
    """Items of the store. Set by ``snapshot``."""
    adapter: AdapterConfig
    """Adapter settings with ``days`` replaced by ``since``. Set by ``snapshot``."""
    study: Study | None
    """Evaluation of a model and of all baselines. Set by ``train_and_evaluate``; ``None`` if nothing was
    evaluated."""
    model: Recommender
    """The model to be published. Set by ``train``."""

    def __init__(self, config: RetrainConfig) -> None:
        self.config = config
        self.study = self.corpus = None

    def snapshot(self, store: str, folder: str, now: str) -> DataSummary:
        """Read the store, write its interactions into a new folder, and summarise the data to train on.

        A first transaction counts the interactions dated a day or more after ``now``. A second transaction
        reads all other interactions and the items. The counted interactions are excluded, because the periods
        that the settings ``days`` specify end at the newest interaction.

        If the settings name a prepared corpus, only the items are read from the store, nothing is written,
        and the summary is that of the corpus.

        Raises
        ------
        NothingToTrainError
            If no sentence contains two tokens of items that occur at least ``min_count`` times.
        """
        if self.config.corpus is not None:
            return self._open_corpus(store, self.config.corpus, now)
        end = latest_plausible(datetime.fromisoformat(now))
        with Store(store) as opened:
            ahead = opened.ahead(end)
            interactions, self.items = opened.snapshot(end=end)
        self.spool = Spool(interactions, Path(folder))
        del interactions
        with self.spool.opened() as mapped:
            return self._summary(mapped, ahead, repr(opened), now)

    def _open_corpus(self, store: str, path: str, now: str) -> DataSummary:
        with Store(store) as opened:
            self.items = opened.items()
        self.corpus = PreparedCorpus(path, datetime.fromisoformat(now))
        span = self.corpus.span
        self.adapter = self.config.adapter.resolved(span)
        least = self.config.model.train.min_count
        if not _tokens_per_epoch(self.corpus.opened(), least):
            raise NothingToTrainError(
                f"{path} holds no sentence of two items that occur at least {least} times (min_count); "
                "expected at least one: lower min_count, or run item2vec prepare with more interactions"
            )
        first, last = (None, None) if span is None else map(_iso, span)
        return self.corpus.summary(first, last)

    def _summary(self, interactions: Interactions, ahead: Ahead | None, store: str, now: str) -> DataSummary:
        self.adapter = self.config.adapter.resolved(interactions.timestamp)
        least = self.config.model.train.min_count
        chosen, n_tokens = interactions, 0.0
        if len(interactions):  # else the filters would report every event as unknown
            chosen = chosen_interactions(interactions, self.adapter)
            n_tokens = _tokens_per_epoch(training_sentences(interactions, self.adapter, self.items), least)
        if not n_tokens:
            ignored = f", without {ahead.n:,} dated a day or more ahead of {now}" if ahead else ""
            remedy = "check the clock of this machine, and ingest" if ahead else "ingest"
            raise NothingToTrainError(
                f"{store} holds {len(chosen):,} interactions that [adapter] selects{ignored}; expected at "
                f"least two of them in one sentence, of items that occur at least {least} times (min_count): "
                f"{remedy} more interactions with item2vec ingest FILE, or lower min_count"
            )
        first, last = _span(chosen)
        return {
            "interactions": len(chosen),
            "users": int(np.unique(chosen.user).size),
            "items": int(np.unique(chosen.item).size),
            "first": first,
            "last": last,
            "split": "temporal" if interactions.timestamp is not None else _undated(self.adapter.ordered),
            "future": ahead.n if ahead else 0,
            "future_example": _example(ahead) if ahead else None,
        }

    def train_and_evaluate(self) -> EvaluationResult:
        """Train without the newest interactions, and evaluate the model and all baselines on the newest ones.

        ``_split_of_undated`` and ``PreparedCorpus.leave_last_out`` describe what is held out if the data
        cannot be split by time.
        """
        if self.corpus is not None:
            return self._evaluated(partial(_split_of_corpus, self.corpus, self.config.evaluation))
        with self.spool.opened() as interactions:
            return self._evaluated(partial(_split, interactions, self.config, self.items))

    def _evaluated(self, held_out: Callable[[], Split]) -> EvaluationResult:
        started = time.monotonic()
        try:
            split = _sampled(held_out(), self.config.evaluation.max_queries)
            if not len(split):
                return {
                    "queries": 0,
                    "why": f"{split!r} has no user whose history contains an item of the training part",
                }
            model = self._fit(split.train, "evaluation")
        except (InputError, NothingToTrainError) as error:
            return {"queries": 0, "why": str(error)}
        trained = time.monotonic()
        k = self.config.evaluation.k
        self.study = Study.of(model, split, k=sorted({max(k // 2, 1), k, 2 * k}))
        evaluation = self.study.evaluation
        return {
            "queries": len(split),
            "split": repr(split),
            "metrics": dict(evaluation.metrics),
            "intervals": self.study.intervals[OURS],
            "baselines": {name: dict(baseline.metrics) for name, baseline in self.study.baselines.items()},
            "verdict": self.study.verdict,
            "leaks": list(evaluation.leaks),
            "seconds": {"train": trained - started, "evaluate": time.monotonic() - trained},
        }

    def train(self, compared_with: str | None) -> TrainingResult:
        """Train the model to be published from scratch, on all selected interactions, and measure its health.

        ``compared_with`` is the path of the bundle of the served version, from which the drift of the new
        model is measured; ``None`` if no version is served. The training does not depend on the bundle.
        """
        if self.corpus is not None:
            return self._trained(self.corpus.opened(), compared_with)
        with self.spool.opened() as interactions:
            sentences = training_sentences(interactions, self.adapter, self.items)
            return self._trained(sentences, compared_with)

    def _trained(self, sentences: Sentences | ShardedSentences, compared_with: str | None) -> TrainingResult:
        self.model = self._fit(sentences, "model", self.adapter)
        config, tokens_read = self.model.vectors.config, self.model.vectors.tokens_read
        assert config is not None
        assert tokens_read is not None
        drift, fault = (None, None) if compared_with is None else _drift(self.model, compared_with)
        return {
            "tokens": {
                "expected": config.epochs * _tokens_per_epoch(sentences, config.min_count),
                "trained": tokens_read,
            },
            "read_share": _read_share(sentences, config.min_count),
            "items": len(self.model.vectors),
            "health": dataclasses.asdict(measure_health(self.model)),
            "drift": drift,
            "live_fault": fault,
        }

    def _fit(
        self,
        sentences: Sentences | ShardedSentences,
        name: CheckpointName,
        adapter: AdapterConfig | None = None,
    ) -> Recommender:
        """Train a model. With the setting ``checkpoint``, continue from the state in its subfolder ``name``.

        If the state is damaged, or belongs to a training on other data or with other settings, it is removed,
        and the training starts anew.
        """
        train = partial(fit, sentences, self.config.model, items=self.items, adapter=adapter)
        if self.config.checkpoint is None:
            return train()
        folder = Path(self.config.checkpoint) / name
        try:
            return train(checkpoint=folder)
        except (OtherTrainingError, DamagedStateError) as error:
            remove_checkpoint(folder)
            log.warning("a checkpoint was removed, and the training starts anew: %s", error)
        return train(checkpoint=folder)

    def write(self, folder: str, note: Mapping[str, Any], now: str) -> None:
        """Write the model that ``train`` has made as a bundle.

        If the setting ``layout`` is True, the bundle contains the positions of the items on a plane.
        """
        parts = bundle.with_layout(self.model.parts) if self.config.layout else self.model.parts
        bundle.write(parts, Path(folder), note=note, now=datetime.fromisoformat(now))

    def draw_page(self, path: str, report: Mapping[str, Any], now: str) -> bool:
        """Write the HTML page of the run, and return True. If nothing was evaluated, only return False."""
        if self.study is not None:
            write_report(self.study, path, now=datetime.fromisoformat(now), run=report)
            files.set_mode(Path(path), files.FILE_MODE)
        return self.study is not None


def _example(ahead: Ahead) -> Event:
    return {"user": ahead.user, "item": ahead.item, "timestamp": ahead.timestamp.isoformat()}


def _split_of_corpus(corpus: PreparedCorpus, evaluation: EvaluationConfig) -> Split:
    """Return a split that holds out the newest tokens, one shard at a time.

    A corpus that cannot be split by time is split by ``PreparedCorpus.leave_last_out``.
    """
    if corpus.span is None or corpus.lacking is not None:
        return corpus.leave_last_out(evaluation)
    return temporal_split(corpus.opened(), **_cut_off(corpus.span, evaluation), repeats=evaluation.repeats)


def _split(interactions: Interactions, config: RetrainConfig, items: Items) -> Split:
    """Return a split that holds out the newest interactions.

    Interactions without timestamps are split by ``_split_of_undated``.
    """
    if interactions.timestamp is None:
        return _split_of_undated(training_sentences(interactions, config.adapter, items), config.evaluation)
    return temporal_split(
        interactions,
        **_cut_off(interactions.timestamp, config.evaluation),
        repeats=config.evaluation.repeats,
        adapter=config.adapter,
        items=items,
    )


def _sampled(split: Split, most: int) -> Split:
    """Return a split with at most ``most`` queries, sampled at equal intervals from those with a known item.

    Queries whose history contains no item of the training part are excluded, because the model recommends
    the most popular items for all of these queries.
    """
    split = split.take(~split.cold_users())
    if len(split) <= most:
        return split
    return split.take(np.linspace(0, len(split) - 1, most).astype(np.intp))


def _split_of_undated(sentences: Sentences, evaluation: EvaluationConfig) -> Split:
    """Return a split that holds out the last item of each ordered sentence.

    Of unordered sentences, random items are held out. ``ConfigError`` is raised if ``evaluation.days``
    is set.
    """
    if evaluation.days is not None:
        raise ConfigError(
            f"[evaluation] days is {evaluation.days:g}, and the interactions have no timestamps; omit days"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)  # the report of the run contains its text
        if sentences.ordered:
            return leave_last_out(sentences, repeats=evaluation.repeats)
        return random_split(sentences, fraction=evaluation.fraction or 0.1)


def _undated(ordered: bool) -> SplitName:
    """Return the name of the split that ``_split_of_undated`` returns."""
    return "leave-last-out" if ordered else "random"


def _cut_off(timestamps: Offsets, evaluation: EvaluationConfig) -> dict[str, Any]:
    """Return the arguments of ``temporal_split`` for the cut-off. ``timestamps`` contains the newest one."""
    if evaluation.days is None:
        return {"fraction": evaluation.fraction}
    last = datetime.fromisoformat(_iso(timestamps.max()))
    return {"at": last - timedelta(days=evaluation.days)}


def _drift(model: Recommender, served: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return a pair: the drift from the served model; and ``None``.

    If the served model cannot be loaded or compared, the pair is ``None`` and the text of the error.
    """
    try:
        return dataclasses.asdict(compare_models(model, load(served))), None
    except Exception as error:  # noqa: BLE001 - drift is informative; no gate depends on it
        return None, f"{type(error).__name__}: {error}"


def _tokens_per_epoch(
    sentences: Sentences | ShardedSentences, min_count: int, *, weighted: bool = True
) -> float:
    """Return the expected number of tokens that an epoch reads, computed without the trainer.

    Tokens of weight 0 or below, tokens of items with fewer than ``min_count`` tokens of positive weight, and
    tokens that are then alone in their sentence are not read. A remaining token of weight w is read with the
    probability min(1, w / m), where m is the median weight of the remaining tokens. If ``weighted`` is False,
    all weights count as 1. Several shards are read one after another, in four passes.
    """
    counts = np.zeros(len(sentences.vocabulary))
    for shard in sentences.shards:
        counts += np.bincount(shard.tokens, _weights(shard, weighted) > 0, len(counts))

    def remaining(shard: Sentences) -> Floats:
        weights = _weights(shard, weighted)
        frequent = (counts[shard.tokens] >= min_count) & (weights > 0)
        owner = np.repeat(np.arange(len(shard)), shard.lengths)
        return weights[frequent & (np.bincount(owner, frequent, len(shard))[owner] >= 2)]

    median = lower_median(lambda: map(remaining, sentences.shards))
    if not median:  # no token remains: all remaining weights are positive
        return 0.0
    return float(sum(np.minimum(remaining(shard) / median, 1).sum() for shard in sentences.shards))


def _weights(shard: Sentences, weighted: bool) -> Floats:
    """Return the token weights of a shard; ones if the shard has no weights, or if ``weighted`` is False."""
    if shard.weights is None or not weighted:
        return np.ones(len(shard.tokens), dtype=np.float32)
    return shard.weights


def _read_share(sentences: Sentences | ShardedSentences, min_count: int) -> float:
    """Return the expected number of tokens per epoch, relative to training with equal token weights."""
    unweighted = _tokens_per_epoch(sentences, min_count, weighted=False)
    return _tokens_per_epoch(sentences, min_count) / unweighted


def _span(interactions: Interactions) -> tuple[str | None, str | None]:
    """Return the earliest and the latest timestamp as ISO text, or ``(None, None)`` without timestamps."""
    timestamps = interactions.timestamp
    return (None, None) if timestamps is None else (_iso(timestamps.min()), _iso(timestamps.max()))


def _iso(microseconds: np.int64) -> str:
    return str(np.datetime64(int(microseconds), "us")) + "+00:00"
