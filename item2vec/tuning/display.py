"""Display of the trials and of the result of a tuning study, as a chart and as HTML tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from item2vec.config import Config
from item2vec.figures import Chart, trials
from item2vec.notebook import html_table
from item2vec.tuning.finalists import Estimate
from item2vec.tuning.trial import Trial

__all__ = ["chart_of", "table_of"]

BEST = 5


def chart_of(done: Sequence[Trial], chosen: Config, metric: str, estimates: Mapping[str, Estimate]) -> Chart:
    """Return a chart of the final estimates and of the trials, in which the chosen trial is marked."""
    points = [(trial.number, trial.score, trial.state, settings_of(trial)) for trial in done]
    bounds = {name: (part.value, *(part.interval or (None, None))) for name, part in estimates.items()}
    return trials(points, metric=metric, chosen=_chosen(done, chosen), estimates=bounds)


def table_of(
    done: Sequence[Trial],
    chosen: Config,
    metric: str,
    estimates: Mapping[str, Estimate],
    warnings: Sequence[str],
) -> str:
    """Return HTML tables of the final estimates, of the best trials of the search, and of the warnings."""
    best = sorted((trial for trial in done if trial.state == "complete"), key=lambda trial: -trial.score)
    number = _chosen(done, chosen)
    rows = [[trial.number, trial.score, settings_of(trial)] for trial in best[:BEST]]
    marked = {(row, 1) for row, trial in enumerate(best[:BEST]) if trial.number == number}
    parts = [
        html_table(
            f"Tuning: {len(done)} trials",
            [[name, part.value, _interval_of(part)] for name, part in estimates.items()],
            ["settings", metric, "95 % interval"],
        ),
        html_table("best trials of the search", rows, ["trial", metric, "settings"], best=marked),
    ]
    parts += [html_table("warnings", [[warning] for warning in warnings])] if warnings else []
    return "".join(parts)


def settings_of(trial: Trial) -> str:
    """Return the explicitly set settings of a trial as text, without ``workers`` and ``seed``.

    If the trial was ended early or failed, the text ends with the reason.

    >>> settings_of(Trial(1, Config().with_settings(epochs=3, decay=0.5), "complete", 0.1))
    'objective=next_item, epochs=3, decay=0.5'
    """
    given = {**trial.config.train.given(), **trial.config.taste.given()}
    parts = [f"{name}={value}" for name, value in given.items() if name not in {"workers", "seed"}]
    return ", ".join([*parts, *([trial.reason] if trial.reason else [])])


def _interval_of(estimate: Estimate) -> str:
    return "unknown" if estimate.interval is None else "{:.4f} to {:.4f}".format(*estimate.interval)


def _chosen(done: Sequence[Trial], chosen: Config) -> int | None:
    """Return the number of the trial with the chosen configuration, or ``None`` if there is no such trial.

    The chosen configuration may also be one of the ``others`` of the trial. Configurations that differ only
    in ``epochs`` count as equal.
    """
    for trial in done:
        if any(_same(one.config, chosen) for one in (trial, *trial.others)):
            return trial.number
    return None


def _same(first: Config, second: Config) -> bool:
    """Return whether two configurations are equal except for ``epochs``, because the finals may raise it."""
    epochs = {"epochs": 1}
    return first.taste == second.taste and first.train.replace(**epochs) == second.train.replace(**epochs)
