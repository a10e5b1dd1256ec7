"""Settings of the nightly run: evaluation, gates, retention and limits."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from item2vec.config.adapter import AdapterConfig, Days, Duration, Least
from item2vec.config.model import Config
from item2vec.config.settings import Finite, Settings, Share

__all__ = [
    "EvaluationConfig",
    "GatesConfig",
    "LimitsConfig",
    "RetentionConfig",
    "RetrainConfig",
]


class EvaluationConfig(Settings):
    """Settings of the test data and of the metric.

    >>> EvaluationConfig(days=7).fraction is None
    True
    """

    fraction: Annotated[Finite, Field(gt=0, lt=1)] | None = None
    """Share of the interactions to hold out, newest first. 0.1 if neither fraction nor days is set. If
    interactions have no timestamps, the last item of each ordered sentence is held out instead, or this share
    of the items of each unordered sentence. Of a prepared corpus without timestamps or with
    several sentences of a user, the last item of each sentence is held out, and this setting is an error."""
    days: Days | None = None
    """Alternative to fraction: number of days to hold out, newest first. Requires timestamps and, in a
    prepared corpus, one sentence per user."""
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    """Cut-off of NDCG, the metric of the gates."""
    repeats: bool = False
    """Whether items of a user's history may be recommended and count as targets."""
    max_queries: Least = 20_000
    """Maximum number of evaluated users, sampled at equal intervals."""

    @model_validator(mode="after")
    def _check_split(self) -> Self:
        if self.fraction is not None and self.days is not None:
            raise ValueError("fraction and days are both set; set only one of them")
        return self


class GatesConfig(Settings):
    """Conditions for the promotion of a new model.

    A gate whose value cannot be measured is not passed. A gate that compares the new model with earlier
    versions is passed if no comparable result is known. Gates that do not apply to a model, such as the norm
    of output vectors if there are none, are omitted.

    >>> GatesConfig(min_queries=200).tolerance
    0.2
    """

    min_queries: Least = 30
    """Minimum number of evaluated users: users with a history and with targets in the held-out data."""
    margin: Annotated[Finite, Field(ge=0)] = 0.05
    """Minimum relative gain of NDCG over the popularity baseline."""
    tolerance: Share = 0.2
    """Maximum loss of NDCG, relative to the served version and to the median of the last seven promotions.
    Relative to the median, the permitted loss is at least half the median width of the confidence intervals
    of these promotions."""
    min_growth: Annotated[Finite, Field(ge=0, le=1)] = 0.7
    """Minimum numbers of interactions, users and items, as multiples of the numbers of the served version."""
    max_growth: Annotated[Finite, Field(ge=1)] = 3.0
    """Maximum numbers of interactions, users and items, as multiples of the numbers of the served version."""
    min_read_share: Share = 0.5
    """Minimum share of tokens that an epoch is expected to read; tokens of low weight may be skipped."""
    min_norm_growth: Annotated[Finite, Field(ge=0)] = 3.0
    """Minimum median norm of vectors, as a multiple of the norm of the random initial vectors. Not checked
    for LSA and tables of neighbours, which have no initial vectors, and for next_item with
    similarity="cosine", because the parts of its initial vectors already have norm 1."""
    max_norm: Annotated[Finite, Field(gt=0)] = 100.0
    """Maximum norm of an input vector, and maximum median norm of output vectors. Norms above 1,000
    indicate divergence."""
    min_output_norm: Annotated[Finite, Field(ge=0)] = 0.02
    """Minimum median norm of output vectors, which skip-gram, CBOW, and next_item with similarity="inner"
    initialise with zero."""
    min_effective_rank: Annotated[Finite, Field(ge=0)] = 10.0
    """Minimum effective rank of the vectors; for small models, a fifth of the possible rank."""
    max_mean_cosine: Annotated[Finite, Field(ge=-1, le=1)] = 0.9
    """Maximum mean cosine of two different items. The mean is 1 if all vectors have the same direction."""
    max_duplicates: Share = 0.1
    """Maximum share of vectors that equal an earlier vector."""
    min_self_retrieval: Share = 0.99
    """Minimum share of sampled items whose nearest item by cosine is the item itself, or an item with an
    equal vector. The index is searched if the score is cosine and popularity is 0, otherwise all rows."""
    min_recall: Share = 0.9
    """Minimum recall@10 of the index, relative to exact search."""


class RetentionConfig(Settings):
    """Settings of retention: numbers of versions and reports to keep, and whether to write HTML pages.

    >>> RetentionConfig().versions
    5
    """

    versions: Annotated[int, Field(ge=2)] = 5
    """Number of newest versions to keep. The served and the previous version, pinned versions, and versions
    loaded by a process are always kept."""
    reports: Least = 100
    """Number of newest run reports to keep."""
    pages: bool = True
    """Write an HTML page of each promoted or refused run that evaluated a model, if the extra ``report`` is
    installed: next to the JSON report and, for a promoted run, also in its version."""


class LimitsConfig(Settings):
    """Limits of time and memory, checked during the jobs of the worker process.

    A run that exceeds a limit fails. If the limit is exceeded while the HTML page is drawn, only the page is
    missing.

    >>> LimitsConfig(time="90min", memory=4).memory
    4.0
    """

    time: Duration = "6h"
    """Maximum time since the start of the worker process, checked during its jobs."""
    memory: Annotated[Finite, Field(gt=0)] | None = None
    """Maximum memory of the worker process, in GiB. The default is three quarters of the memory of the
    machine or container."""


class RetrainConfig(Settings):
    """All settings of a nightly run.

    Examples
    --------
    >>> RetrainConfig(adapter=AdapterConfig(kind="sessions")).gates.min_queries
    30
    """

    model: Config = Field(default_factory=Config)
    """Training, taste and index of the model."""
    adapter: AdapterConfig = Field(default_factory=AdapterConfig)
    """Settings for building sentences from the interactions of the store."""
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    """Settings of the test data and of the metric."""
    gates: GatesConfig = Field(default_factory=GatesConfig)
    """Conditions for the promotion of a new model."""
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    """Numbers of versions and reports to keep, and whether to write HTML pages."""
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    """Limits of time and memory of the worker process; a run that exceeds a limit fails."""
    corpus: Annotated[str, Field(min_length=1)] | None = None
    """Folder of a prepared corpus to train on, in place of the interactions of the store."""
    layout: bool = True
    """Whether to compute the layout: 2-D coordinates of the items, for maps of the catalogue."""
    checkpoint: Annotated[str, Field(min_length=1)] | None = None
    """Folder for the states of the trainings, which are written after each shard of a corpus, or after each
    epoch. After a killed or failed run, the next run on the same data with the same settings of training
    continues from them. They are removed when a model has been published or refused. Not for lsa,
    transitions, linkprop and ease."""
