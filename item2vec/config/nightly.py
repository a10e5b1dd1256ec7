"""How the nightly run reads the store, judges what it trained, and cleans up."""

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
    """What is held back, and how the model is asked about it.

    >>> EvaluationConfig(days=7).fraction is None
    True
    """

    fraction: Annotated[Finite, Field(gt=0, lt=1)] | None = None
    """The share of interactions, the newest, that is held back. 0.1 if neither this nor ``days`` is given."""
    days: Days | None = None
    """Instead: hold back the newest so many days."""
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    """The cut-off of the metric that gates look at, NDCG."""
    repeats: bool = False
    """Whether what a user had before may be an answer."""
    max_queries: Least = 20_000
    """At most so many users are asked, spread evenly."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.fraction is not None and self.days is not None:
            raise ValueError("fraction and days are both given; expected one of them")
        return self


class GatesConfig(Settings):
    """What a new model must be shown to be before it is served. A gate that cannot be measured is not passed.

    >>> GatesConfig(min_queries=200).tolerance
    0.2
    """

    min_queries: Least = 30
    """Users with a history who have something new in the held-out part: fewer tell nothing."""
    margin: Annotated[Finite, Field(ge=0)] = 0.05
    """NDCG must be above that of popularity by this share."""
    tolerance: Share = 0.2
    """NDCG may be below what the version before, and the last seven in the median, recorded by this share."""
    min_growth: Annotated[Finite, Field(ge=0, le=1)] = 0.7
    """Interactions, users and items, as a multiple of those the version before was made of: at least."""
    max_growth: Annotated[Finite, Field(ge=1)] = 3.0
    """And at most this."""
    min_read_share: Share = 0.5
    """Expected share of tokens that an epoch reads; weights make it skip the others."""
    min_norm_growth: Annotated[Finite, Field(ge=0)] = 3.0
    """Median length of a vector over that of the random start: 1 of an untrained model. Not checked where
    vectors are compared by cosine, since these start at length 1."""
    max_norm: Annotated[Finite, Field(gt=0)] = 100.0
    """Longest input vector, and median output vector: a model that diverged is in the thousands."""
    min_output_norm: Annotated[Finite, Field(ge=0)] = 0.02
    """Median length of an output vector, which starts at zero."""
    min_effective_rank: Annotated[Finite, Field(ge=0)] = 10.0
    """How many directions the vectors spread over; of a small model a fifth of what is possible will do."""
    max_mean_cosine: Annotated[Finite, Field(ge=-1, le=1)] = 0.9
    """Mean cosine of two different items: near 1 where all have collapsed into one direction."""
    max_duplicates: Share = 0.1
    """Share of vectors that equal another one."""
    min_self_retrieval: Share = 0.99
    """Share of items that the index finds as the nearest to themselves."""
    min_recall: Share = 0.9
    """Recall@10 of the index against exact search."""


class RetentionConfig(Settings):
    """What is kept of former nights.

    >>> RetentionConfig().versions
    5
    """

    versions: Annotated[int, Field(ge=2)] = 5
    """The newest so many versions. The live, the previous, pinned and leased ones are always kept."""
    reports: Least = 100
    """Reports of the newest so many runs."""
    pages: bool = True
    """Draw each run as an HTML page beside its JSON, where the extra ``report`` is installed."""


class LimitsConfig(Settings):
    """When a run is given up.

    >>> LimitsConfig(time="90min", memory=4).memory
    4.0
    """

    time: Duration = "6h"
    """The whole run may take so long."""
    memory: Annotated[Finite, Field(gt=0)] | None = None
    """GiB that the working process may use; three quarters of the machine's unless told otherwise."""


class RetrainConfig(Settings):
    """All settings of a nightly run.

    Examples
    --------
    >>> RetrainConfig(adapter=AdapterConfig(kind="sessions")).gates.min_queries
    30
    """

    model: Config = Field(default_factory=Config)
    """How the model is trained and read."""
    adapter: AdapterConfig = Field(default_factory=AdapterConfig)
    """How the store's interactions become sentences."""
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    """What is held back, and how the model is asked about it."""
    gates: GatesConfig = Field(default_factory=GatesConfig)
    """What a new model must be shown to be."""
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    """What is kept of former nights."""
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    """When a run is given up."""
