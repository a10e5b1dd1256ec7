"""Read the training data of a nightly run from a prepared corpus, in place of the store."""

from __future__ import annotations

import logging
import warnings
from datetime import datetime
from functools import cached_property

import numpy as np

from item2vec.arrays import Offsets
from item2vec.config import EvaluationConfig
from item2vec.durations import microseconds_of
from item2vec.errors import BundleNotFoundError, ConfigError, CorruptBundleError, InputError, LeakWarning
from item2vec.evaluation.sentence_splits import leave_last_out
from item2vec.evaluation.split import Split
from item2vec.evaluation.temporal_shards import lacking_for_time
from item2vec.retraining.messages import DataSummary
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.store import latest_plausible

__all__ = ["PreparedCorpus"]

log = logging.getLogger(__name__)


class PreparedCorpus:
    """The corpus that ``[adapter] corpus`` names, which must not change during a run.

    The checksums of a shard are verified when a job first reads the shard.

    Raises
    ------
    InputError
        If the folder does not exist.
    CorruptBundleError
        If a file of the corpus is missing or damaged. Of a corpus with shards, only the manifest and the
        vocabulary are checked.
    """

    def __init__(self, path: str, now: datetime) -> None:
        try:
            corpus = Sentences.open(path)
        except BundleNotFoundError as error:
            raise InputError(
                f"[adapter] corpus is {path!r}, and there is no such folder; expected a folder of item2vec "
                "prepare: run item2vec prepare first"
            ) from error
        self._path, self.fingerprint = path, corpus.fingerprint()
        self._timed = "timestamps" in corpus.columns
        self._end = microseconds_of(latest_plausible(now))

    def opened(self) -> Sentences | ShardedSentences:
        """Open the corpus, and return its sentences.

        Raises
        ------
        CorruptBundleError
            If the corpus has been replaced since this object was created, or is damaged. Of a corpus with
            shards, only the manifest and the vocabulary are checked.
        """
        corpus = Sentences.open(self._path)
        if corpus.fingerprint() != self.fingerprint:
            raise CorruptBundleError(
                f"{self._path} was changed during the run, so nothing was published; run the command again"
            )
        return corpus

    @cached_property
    def span(self) -> Offsets | None:
        """The earliest and the latest timestamp, in microseconds.

        ``None`` if the corpus has no column of timestamps. The array is empty if the corpus has such a
        column, but no tokens. Timestamps a day or more after ``now`` are left out, unless there are no
        others: a single wrong date must not move the periods that ``days`` specifies.
        """
        if not self._timed:
            return None
        plausible, ahead, n_ahead = [], [], 0
        for shard in self.opened().shards:
            times = shard.timestamps
            assert times is not None, "the corpus has a column of timestamps"
            is_ahead = times >= self._end
            n_ahead += int(np.count_nonzero(is_ahead))
            plausible += _ends(times[~is_ahead])
            ahead += _ends(times[is_ahead])
        if n_ahead:
            log.warning(
                "%s tokens of %s are dated a day or more in the future; correct the dates at their source, "
                "and prepare the corpus again",
                f"{n_ahead:,}",
                self._path,
            )
        ends = plausible or ahead
        return np.array([min(ends), max(ends)] if ends else [], dtype=np.int64)

    @cached_property
    def lacking(self) -> str | None:
        """What a split by time requires and the corpus lacks; ``None`` if it can be split by time."""
        corpus = self.opened()
        lacking = lacking_for_time(corpus)
        users = corpus.users if isinstance(corpus, ShardedSentences) else None
        if lacking is None and users is None:
            return "user ids; the corpus has none, so its sentences may be sessions"
        return lacking

    def summary(self, first: str | None, last: str | None) -> DataSummary:
        """Return the counts of the corpus. The number of users is the number of sentences.

        ``first`` and ``last`` are the earliest and the latest timestamp as ISO text, or ``None``.
        """
        corpus = self.opened()
        return {
            "interactions": corpus.n_tokens,
            "users": len(corpus),
            "items": int(np.count_nonzero(corpus.counts())),
            "first": first,
            "last": last,
            "split": "temporal" if self.lacking is None else "leave-last-out",
            "future": 0,
            "future_example": None,
            "corpus": {"path": self._path, "fingerprint": self.fingerprint},
        }

    def leave_last_out(self, evaluation: EvaluationConfig) -> Split:
        """Return a split that holds out the last item of each sentence.

        Raises
        ------
        ConfigError
            If ``fraction`` or ``days`` of the evaluation is set.
        """
        for name in ("fraction", "days"):
            if (value := getattr(evaluation, name)) is not None:
                raise ConfigError(
                    f"[evaluation] {name} is {value:g}, and a split by time requires {self.lacking}, so the "
                    f"run holds out the last item of each sentence; omit {name}, or prepare a corpus of "
                    "histories with timestamps"
                )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LeakWarning)  # the report of the run contains its text
            return leave_last_out(self.opened(), repeats=evaluation.repeats)


def _ends(times: Offsets) -> list[int]:
    return [int(times.min()), int(times.max())] if len(times) else []
