"""Settings of the nightly run: evaluation, gates, retention and limits."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from item2vec.config.adapter import AdapterConfig, Days, Duration, Least
from item2vec.config.model import Config
from item2vec.config.settings import Finite, Settings

__all__ = [
    "EvaluationConfig",
    "GatesConfig",
    "LimitsConfig",
    "RetentionConfig",
    "RetrainConfig",
]

Share = Annotated[Finite, Field(ge=0, le=1)]


class EvaluationConfig(Settings):
    """The held-out test data, and the metric.

    >>> EvaluationConfig(days=7).fraction is None
    True
    """

    fraction: Annotated[Finite, Field(gt=0, lt=1)] | None = None
    """Share of the interactions, the newest, that is held out. 0.1 if neither this nor ``days`` is set."""
    days: Days | None = None
    """Alternative to fraction: number of newest days to hold out."""
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    """Cut-off of NDCG, the metric of the gates."""
    repeats: bool = False
    """Whether items of a user's history may be recommended and count as targets."""
    max_queries: Least = 20_000
    """Maximum number of users that are evaluated, spread evenly."""

    @model_validator(mode="after")
    def _check_split(self) -> Self:
        if self.fraction is not None and self.days is not None:
            raise ValueError("fraction and days are both given; expected one of them")
        return self


class GatesConfig(Settings):
    """Conditions for the promotion of a new model. A gate that cannot be measured fails.

    >>> GatesConfig(min_queries=200).tolerance
    0.2
    """

    min_queries: Least = 30
    """Minimum number of evaluated users: users with a history and with targets in the held-out data."""
    margin: Annotated[Finite, Field(ge=0)] = 0.05
    """NDCG must exceed that of the popularity baseline by this share."""
    tolerance: Share = 0.2
    """Largest drop of NDCG, as a share, against the live version and the median of the last seven."""
    min_growth: Annotated[Finite, Field(ge=0, le=1)] = 0.7
    """Minimum number of interactions, users and items, as a multiple of those of the live version."""
    max_growth: Annotated[Finite, Field(ge=1)] = 3.0
    """Maximum number of interactions, users and items, as a multiple of those of the live version."""
    min_read_share: Share = 0.5
    """Minimum share of tokens that an epoch is expected to read; light tokens are skipped at random."""
    min_norm_growth: Annotated[Finite, Field(ge=0)] = 3.0
    """Minimum of the median vector norm, as a multiple of the norm at the random start. Not checked for
    vectors that are compared by cosine, which start at norm 1."""
    max_norm: Annotated[Finite, Field(gt=0)] = 100.0
    """Maximum norm of an input vector, and maximum median norm of output vectors. After divergence, norms
    are in the thousands."""
    min_output_norm: Annotated[Finite, Field(ge=0)] = 0.02
    """Minimum median norm of output vectors, which start at zero."""
    min_effective_rank: Annotated[Finite, Field(ge=0)] = 10.0
    """Minimum effective rank of the vectors; for small models, a fifth of the maximum if that is less."""
    max_mean_cosine: Annotated[Finite, Field(ge=-1, le=1)] = 0.9
    """Maximum mean cosine of two different items; 1 if all vectors have one direction."""
    max_duplicates: Share = 0.1
    """Maximum share of vectors that equal another one."""
    min_self_retrieval: Share = 0.99
    """Minimum share of items for which the index returns the item itself first."""
    min_recall: Share = 0.9
    """Minimum recall@10 of the index against exact search."""


class RetentionConfig(Settings):
    """How many versions and reports are kept.

    >>> RetentionConfig().versions
    5
    """

    versions: Annotated[int, Field(ge=2)] = 5
    """Number of newest versions to keep. The live, previous, pinned and leased versions are always kept."""
    reports: Least = 100
    """Number of newest run reports to keep."""
    pages: bool = True
    """Write an HTML page for each run beside its JSON, if the extra ``report`` is installed."""


class LimitsConfig(Settings):
    """Time and memory at which a run is aborted.

    >>> LimitsConfig(time="90min", memory=4).memory
    4.0
    """

    time: Duration = "6h"
    """Maximum duration of a run."""
    memory: Annotated[Finite, Field(gt=0)] | None = None
    """Maximum memory of the worker process, in GiB. By default three quarters of the machine's memory."""


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
    """How interactions of the store become sentences."""
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    """Held-out test data, and the metric."""
    gates: GatesConfig = Field(default_factory=GatesConfig)
    """Conditions for the promotion of a new model."""
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    """How many versions and reports are kept."""
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    """Time and memory at which a run is aborted."""
