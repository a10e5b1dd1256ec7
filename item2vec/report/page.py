"""Rendering of the HTML page of a study from its template."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

import item2vec
from item2vec.evaluation.beyond_accuracy import BEYOND_ACCURACY
from item2vec.evaluation.segments import segments
from item2vec.metrics.accuracy import ACCURACY
from item2vec.report import figures, svg
from item2vec.report.embedding import draw_map
from item2vec.report.study import OURS, Study

__all__ = ["render"]

CURVES = ("hr", "ndcg", "recall")
LIBRARIES = ("numpy", "numba", "gensim", "faiss-cpu", "annoy", "pandas", "pyarrow", "openTSNE")
MEANINGS = {
    "hr": "Share of the queries with a target among the first k recommendations.",
    "recall": "Share of the targets of a query that are among the first k recommendations.",
    "precision": "Number of targets among the first k recommendations, divided by k.",
    "ndcg": "Sum of 1 / log2(rank + 1) over the hits, divided by the largest possible sum.",
    "mrr": "1 / rank of the first hit, 0 without a hit.",
    "map": "Sum of the precisions at the ranks of the hits, divided by the number of targets.",
    "coverage": "Share of the items of the training part that are recommended for at least one query.",
    "novelty": "Mean self-information of the recommended items, in bits: rare items have more.",
    "diversity": "1 minus the mean similarity of two items of the same ranking.",
    "gini": "Concentration: 0 if all items are recommended equally often, near 1 if one item has most ranks.",
    "popularity-bias": "Mean count of recommended items / mean count of history items, minus 1; 0 if equal.",
    "serendipity": "Share of the first k ranks that contain targets outside of the k most popular items.",
}
"""Meaning of each metric, in one line."""
SEGMENTS = {
    "history length": "Items in the history",
    "popularity": "Popularity of the target",
    "known": "Known users and items",
}
"""Headings of the groups of segments."""
BIAS = "popularity-bias"
EXAMPLES = 3
LAST_ITEMS = 8


def render(study: Study, *, now: datetime | None, seed: int, run: Mapping[str, Any] | None = None) -> str:
    """Return the HTML page of a study. The other arguments are described in ``write_report``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    item_map = draw_map(study.model.vectors, study.items, seed=seed)
    charts = {
        study.metric: figures.headline(study),
        **{name: figures.curve_over_k(study, name) for name in CURVES},
        "coverage": figures.coverage(study),
        "exposure": figures.exposure_by_popularity(study),
        "concentration": figures.lorenz(study),
        "map": figures.embedding_map(item_map),
    }
    by_segment = dict(_segment_charts(study))
    if study.model.vectors.curve:
        charts["training"] = figures.training_curve(study.model.vectors.curve)
    return environment.get_template("page.html.jinja").render(
        study=study,
        run=run,
        title=lambda item: _title(study, item),
        ours=OURS,
        now=now,
        tables=[list(ACCURACY), list(BEYOND_ACCURACY)],
        meanings=MEANINGS,
        best=_best_values(study),
        legend=_legend(study),
        legend_of_segments=dict(list(_legend(study).items())[:2]),
        exposed={"training part": figures.TRAINING, **_legend(study)},
        curves=CURVES,
        segments={name: SEGMENTS[name] for name in by_segment},
        about=_about(study),
        item_map=item_map,
        examples=list(_examples(study, seed)),
        facts=_facts(study, seed),
        charts={name: svg.draw(chart, name) for name, chart in {**charts, **by_segment}.items()},
    )


def _best_values(study: Study) -> dict[str, float]:
    """Return the best value of each metric among all models.

    The best gini is the lowest value, the best popularity bias the value nearest to 0, and the best value of
    every other metric the highest.
    """
    best = {}
    for metric in study.evaluation.metrics:
        values = [evaluation.metrics[metric] for evaluation in study.evaluations.values()]
        name = metric.partition("@")[0]
        best[metric] = (
            min(values) if name == "gini" else min(values, key=abs) if name == BIAS else max(values)
        )
    return best


def _legend(study: Study) -> dict[str, str]:
    """Return the colours of the model, of the best baseline, and of the other baselines if there are any."""
    best = study.best_baseline
    legend = {OURS: figures.ACCENT, f"{best} (best baseline)": figures.BEST}
    if len(study.baselines) > 1:
        legend["other baselines"] = figures.BASELINE
    return {name: svg.themed(color) for name, color in legend.items()}


def _about(study: Study) -> str:
    """Describe the model and the split in two sentences."""
    vectors, split = study.model.vectors, study.split
    objective = f"{vectors.config.objective}, " if vectors.config else ""
    return (
        f"{len(vectors):,} items, {vectors.input.shape[1]} dimensions, {objective}index "
        f"{study.model.index.kind}. Split: {split.protocol}; {len(split):,} queries, "
        f"{len(split.targets.tokens):,} targets."
    )


def _segment_charts(study: Study) -> Iterator[tuple[str, figures.Figure]]:
    evaluations = study.evaluation, study.baselines[study.best_baseline]
    ours, best = (
        {
            by: list(parts)
            for by, parts in groupby(segments(evaluation, study.split), key=lambda segment: segment.by)
        }
        for evaluation in evaluations
    )
    for by in ours:
        if len(ours[by]) > 1:
            yield by, figures.segment_bars(study, ours[by], best[by])


def _examples(study: Study, seed: int) -> Iterator[dict[str, Any]]:
    """Yield up to three random queries with a hit and three without a hit, with the titles of their items."""
    rankings, split = study.evaluation.rankings, study.split
    hit = rankings.hits[:, : study.k].any(axis=1)
    random = np.random.default_rng(seed)

    for is_hit in (True, False):
        queries = np.flatnonzero(hit == is_hit)
        for query in np.sort(random.permutation(queries)[:EXAMPLES]).tolist():
            items = rankings.items[query, : study.k]
            history = split.histories[query]
            yield {
                "query": query,
                "hit": is_hit,
                "earlier": max(len(history) - LAST_ITEMS, 0),
                "history": [_title(study, item) for item in history[-LAST_ITEMS:]],
                "targets": [_title(study, item) for item in split.targets[query][:LAST_ITEMS]],
                "later": max(len(split.targets[query]) - LAST_ITEMS, 0),
                "recommended": [
                    (_title(study, item), is_target)
                    for item, is_target in zip(
                        rankings.vocabulary.decode(items[items >= 0]), rankings.hits[query], strict=False
                    )
                ],
            }


def _title(study: Study, item: str) -> str:
    return study.items.title(item) if study.items else item


def _facts(study: Study, seed: int) -> dict[str, dict[str, Any]]:
    """Return the origin of the page by section: data, fingerprint, settings, versions, seed and cut-offs."""
    vectors, train = study.model.vectors, study.split.train
    return {
        "Data": {
            "protocol": study.split.protocol,
            "queries": f"{len(study.split):,}",
            "targets": f"{len(study.split.targets.tokens):,}",
            "training part": f"{len(train):,} sentences, {train.n_tokens:,} tokens",
            **{f"time of {part}": f"{first} to {last}" for part, (first, last) in study.split.spans.items()},
            **{f"dropped: {what}": f"{n:,}" for what, n in study.split.dropped.items() if n},
            "fingerprint of the training part (SHA-256)": train.fingerprint(),
        },
        "Training": _plain(vectors.config.model_dump()) if vectors.config else {"configuration": "unknown"},
        "Taste": _plain(study.model.taste.model_dump()),
        "Index": {"kind": study.model.index.kind, "items": len(vectors)},
        "Versions": {
            "item2vec": item2vec.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
        "This page": {"seed": seed, "metrics at k": ", ".join(map(str, study.cutoffs))},
    }


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings for display: lists as text without brackets, and empty text instead of ``None``."""
    return {
        name: ", ".join(map(str, value))
        if isinstance(value, tuple | list)
        else ""
        if value is None
        else value
        for name, value in settings.items()
    }
