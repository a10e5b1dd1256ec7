"""The jobs of a run, each leaning on what those before it have left: snapshot, judge, train, write, page."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from item2vec import bundle
from item2vec.adapters.histories import chosen_interactions, training_sentences
from item2vec.config import AdapterConfig, EvaluationConfig, RetrainConfig
from item2vec.errors import InputError, NothingToTrainError
from item2vec.evaluation import Split, temporal_split
from item2vec.fitting import fit
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.recommender import Recommender
from item2vec.report import Study, write_report
from item2vec.retraining.drift import compare_models
from item2vec.retraining.health import measure_health
from item2vec.retraining.spool import spooled
from item2vec.sentences import Sentences
from item2vec.store import Ahead, Store
from item2vec.versions import load

__all__ = ["Jobs"]

ALLOWED_AHEAD = timedelta(days=1)
"""How far ahead of the run's clock an interaction may lie: clocks differ, and so do time zones."""


class Jobs:
    """A run's data and models, as far as the run has come."""

    interactions: Interactions
    items: Items
    adapter: AdapterConfig
    model: Recommender

    def __init__(self, config: RetrainConfig) -> None:
        self.config = config
        self.study: Study | None = None

    def snapshot(self, store: str, folder: str, now: str) -> dict[str, Any]:
        """Read what the store holds, as it was at one moment, and put it on the disk; say how much it is.

        Interactions dated a day or more after ``now`` are ignored and counted: one wrong date would otherwise
        be the last interaction, from which days are counted.
        """
        end = datetime.fromisoformat(now) + ALLOWED_AHEAD
        with Store(store) as opened:
            ahead = opened.ahead(end)
            read, self.items = opened.snapshot(end=end)
        self.interactions = spooled(read, Path(folder))
        del read
        self.adapter = self.config.adapter.resolved(self.interactions.timestamp)
        chosen = chosen_interactions(self.interactions, self.adapter)
        sentences = training_sentences(self.interactions, self.adapter, self.items)
        if not _tokens_an_epoch(sentences, self.config.model.train.min_count):
            ignored = f", without {ahead.n:,} dated a day or more ahead of {now}" if ahead else ""
            raise NothingToTrainError(
                f"{opened!r} holds {len(chosen):,} interactions that [adapter] asks for{ignored}, and no "
                "two of them in one sentence; bring more: item2vec ingest FILE"
            )
        timestamps = chosen.timestamp
        assert timestamps is not None
        return {
            "interactions": len(chosen),
            "users": int(np.unique(chosen.user).size),
            "items": int(np.unique(chosen.item).size),
            "first": _iso(timestamps.min()),
            "last": _iso(timestamps.max()),
            "future": ahead.n if ahead else 0,
            "future_example": _example(ahead) if ahead else None,
        }

    def judge(self) -> dict[str, Any]:
        """Train on the past, and ask what came then, all baselines too; or say why nobody can be asked."""
        started = time.monotonic()
        try:
            split = _split(self.interactions, self.config, self.items)
            if not len(split):
                return {"questions": 0, "why": f"{split!r} has no user with a history"}
            model = fit(split.train, self.config.model, items=self.items)
        except (InputError, NothingToTrainError) as error:
            return {"questions": 0, "why": str(error)}
        trained = time.monotonic()
        k = self.config.evaluation.k
        self.study = Study.of(model, split, k=sorted({max(k // 2, 1), k, 2 * k}))
        measured = self.study.evaluation
        return {
            "questions": len(split),
            "split": repr(split),
            "metrics": dict(measured.metrics),
            "intervals": self.study.intervals["item2vec"],
            "baselines": {name: dict(one.metrics) for name, one in self.study.baselines.items()},
            "verdict": self.study.verdict,
            "leaks": list(measured.leaks),
            "seconds": {"train": trained - started, "evaluate": time.monotonic() - trained},
        }

    def train(self, live: str | None) -> dict[str, Any]:
        """Train on everything; say how sound the model is, and how it differs from the live one."""
        sentences = training_sentences(self.interactions, self.adapter, self.items)
        self.model = fit(sentences, self.config.model, items=self.items, adapter=self.adapter)
        config = self.model.vectors.config
        assert config is not None
        drift, fault = (None, None) if live is None else _drift(self.model, live)
        return {
            "tokens": {
                "expected": config.epochs * _tokens_an_epoch(sentences, config.min_count),
                "trained": self.model.vectors.tokens_read,
            },
            "read_share": _read_share(sentences, config.min_count),
            "items": len(self.model.vectors),
            "health": dataclasses.asdict(measure_health(self.model)),
            "drift": drift,
            "live_fault": fault,
        }

    def write(self, folder: str, note: Mapping[str, Any], now: str) -> None:
        """Write the model as a bundle."""
        bundle.write(self.model.parts, Path(folder), note=note, now=datetime.fromisoformat(now))

    def page(self, path: str, run: Mapping[str, Any], now: str) -> dict[str, Any]:
        """Draw the run as an HTML page; tell whether there was anything to draw."""
        if self.study is not None:
            write_report(self.study, path, now=datetime.fromisoformat(now), run=run)
        return {"drawn": self.study is not None}


def _example(ahead: Ahead) -> dict[str, str]:
    return {"user": ahead.user, "item": ahead.item, "timestamp": ahead.timestamp.isoformat()}


def _split(interactions: Interactions, config: RetrainConfig, items: Items) -> Split:
    """Hold back the newest; only users with a history are asked, since all others get what is popular."""
    split = temporal_split(
        interactions,
        **_when(interactions, config.evaluation),
        repeats=config.evaluation.repeats,
        adapter=config.adapter,
        items=items,
    )
    split = split.take(~split.cold_users())
    if len(split) <= config.evaluation.max_queries:
        return split
    return split.take(np.linspace(0, len(split) - 1, config.evaluation.max_queries).astype(np.intp))


def _when(interactions: Interactions, evaluation: EvaluationConfig) -> dict[str, Any]:
    if evaluation.days is None:
        return {"fraction": evaluation.fraction}
    assert interactions.timestamp is not None
    last = datetime.fromisoformat(_iso(interactions.timestamp.max()))
    return {"at": last - timedelta(days=evaluation.days)}


def _drift(model: Recommender, live: str) -> tuple[dict[str, Any] | None, str | None]:
    """Compare with the live model; if that is damaged, say so: it is all the more to be replaced."""
    try:
        return dataclasses.asdict(compare_models(model, load(live))), None
    except Exception as error:  # noqa: BLE001 - it is for people to read, and stops nothing
        return None, f"{type(error).__name__}: {error}"


def _tokens_an_epoch(sentences: Sentences, min_count: int) -> float:
    """Return the expected number of tokens that an epoch reads, counted without the trainer's help."""
    weights = np.ones(len(sentences.tokens)) if sentences.weights is None else sentences.weights
    counts = np.bincount(sentences.tokens, weights > 0, len(sentences.vocabulary))
    frequent = (counts[sentences.tokens] >= min_count) & (weights > 0)
    owner = np.repeat(np.arange(len(sentences)), sentences.lengths)
    together = frequent & (np.bincount(owner, frequent, len(sentences))[owner] >= 2)
    ascending = np.sort(weights[together].astype(np.float64))
    if not len(ascending):
        return 0.0
    median = ascending[(len(ascending) - 1) // 2]
    return float(np.minimum(ascending / median, 1).sum())


def _read_share(sentences: Sentences, min_count: int) -> float:
    """Return the expected share of tokens that an epoch reads, of those that it would without weights."""
    unweighted = dataclasses.replace(sentences, weights=None)
    return _tokens_an_epoch(sentences, min_count) / _tokens_an_epoch(unweighted, min_count)


def _iso(moment: np.int64) -> str:
    return str(np.datetime64(int(moment), "us")) + "+00:00"
