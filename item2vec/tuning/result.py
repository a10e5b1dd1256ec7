"""Result of a tuning study, with plots and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from item2vec.config import Config
from item2vec.figures import bars, draw
from item2vec.notebook import html_table
from item2vec.tuning.display import chart_of, table_of
from item2vec.tuning.finalists import Estimate
from item2vec.tuning.folds import Protocol
from item2vec.tuning.importance import importances_of
from item2vec.tuning.trial import Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Tuning"]


@dataclass(frozen=True)
class Tuning:
    """Result of tuning: the chosen configuration, its comparison with the default, and all trials.

    Attributes
    ----------
    config
        The chosen configuration.
    metric
        Name and cut-off of the metric, such as ``ndcg@10``.
    protocol
        Protocol by which the validation queries were held out.
    trials
        All trials of the search, in ascending order of number.
    default, chosen
        Estimates of the metric for the default configuration and for ``config``.
    gain
        Estimate of the metric of ``config`` minus the metric of the default. If the default is kept, the
        estimate for the best other configuration that was compared with the default. ``None`` if no
        configuration was compared with the default.
    finals
        Trials of the finalists and of the default in the final comparison.
    unfinished
        Searched objectives without a finished trial.
    warnings
        Messages of all ``TuningWarning``.

    Examples
    --------
    >>> Tuning(Config(), "ndcg@10", "last", (), Estimate(0.2, 0.1, 0.3), Estimate(0.25, 0.15, 0.35), None)
    Tuning(0 trials, protocol 'last', ndcg@10 0.2500 (0.1500 to 0.3500), default 0.2000 (0.1000 to 0.3000))
    """

    config: Config
    metric: str
    protocol: Protocol
    trials: tuple[Trial, ...]
    default: Estimate
    chosen: Estimate
    gain: Estimate | None
    finals: tuple[Trial, ...] = ()
    unfinished: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Metric of the chosen configuration on the validation queries."""
        return self.chosen.value

    def plot(self) -> go.Figure:
        """Return a plotly figure: the trials, with a mark at the chosen trial; and the final estimates.

        Raises
        ------
        MissingExtraError
            If plotly is not installed.
        """
        return draw(chart_of(self.trials, self.config, self.metric, self._estimates))

    def importances(self) -> dict[str, float]:
        """Return the share of the variance of scores that each training setting explains by itself.

        Settings are in descending order of importance. If there are fewer than ten complete trials, the
        result is empty. Importances are hints, not tests: see ``item2vec.tuning.importance``.
        """
        return importances_of(self.trials)

    def plot_importances(self) -> go.Figure:
        """Return a plotly figure of ``importances``: a bar per setting.

        Raises
        ------
        MissingExtraError
            If plotly is not installed.
        """
        return draw(bars(self.importances(), title="share of the variance of scores"))

    @property
    def _estimates(self) -> dict[str, Estimate]:
        return {"default": self.default, "chosen": self.chosen}

    def _repr_html_(self) -> str:
        content = table_of(self.trials, self.config, self.metric, self._estimates, self.warnings)
        rows = [[name, share] for name, share in self.importances().items()]
        return content + (html_table("importance of settings", rows) if rows else "")

    def __repr__(self) -> str:
        parts = [f"{len(self.trials)} trials", f"protocol {self.protocol!r}", f"{self.metric} {self.chosen}"]
        parts.append(f"default {self.default}")
        if self.gain is not None:
            parts.append(f"gain {self.gain}")
        return f"Tuning({', '.join([*parts, *self.warnings])})"
