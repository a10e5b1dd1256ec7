"""Rendering of the HTML page of a study from its template."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from plotly.offline import get_plotlyjs

import item2vec
from item2vec.evaluation.beyond_accuracy import BEYOND_ACCURACY
from item2vec.evaluation.segments import segments
from item2vec.metrics.accuracy import ACCURACY
from item2vec.report import figures
from item2vec.report.embedding import draw_map
from item2vec.report.study import OURS, Study

__all__ = ["render"]

CURVES = ("hr", "ndcg", "recall")
LIBRARIES = ("numpy", "numba", "gensim", "faiss-cpu", "annoy", "pandas", "pyarrow", "openTSNE", "plotly")
EXAMPLES = 3
LAST_ITEMS = 8


def render(study: Study, *, now: datetime | None, seed: int, run: Mapping[str, Any] | None = None) -> str:
    """Return the HTML page of a study. ``run`` is the report of its nightly run, or ``None``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    item_map = draw_map(study.model.vectors, study.items, seed=seed)
    charts = {
        "headline": figures.headline(study),
        **{name: figures.curve_over_k(study, name) for name in CURVES},
        "coverage": figures.coverage(study),
        "exposure": figures.exposure_by_popularity(study),
        "lorenz": figures.lorenz(study),
        "map": figures.embedding_map(item_map),
    }
    by_segment = dict(_segment_charts(study))
    curve = study.model.vectors.curve
    if curve:
        charts["training"] = figures.training_curve(curve)
    return environment.get_template("page.html.jinja").render(
        study=study,
        run=run,
        title=lambda item: _title(study, item),
        ours=OURS,
        now=now,
        tables=[list(ACCURACY), list(BEYOND_ACCURACY)],
        colors=figures.colors(study),
        training_color=figures.TRAINING,
        curves=CURVES,
        segments=by_segment,
        item_map=item_map,
        examples=list(_examples(study, seed)),
        facts=_facts(study, seed),
        figures=_json({**charts, **by_segment}),
        plotly=Markup(get_plotlyjs()),  # noqa: S704 -- source code of a library, without text of users
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
        yield by, figures.segment_bars(study, ours[by], best[by])


def _examples(study: Study, seed: int) -> Iterator[dict[str, Any]]:
    """Yield random queries with a hit and random queries without a hit, with the titles of their items."""
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
    """Return the settings and library versions that are needed to reproduce the page, by section."""
    vectors, train = study.model.vectors, study.split.train
    return {
        "Data": {
            "split": repr(study.split),
            "training part": repr(train),
            "fingerprint of the training part (SHA-256)": train.fingerprint(),
        },
        "Training": vectors.config.model_dump() if vectors.config else {"configuration": "unknown"},
        "Taste": study.model.taste.model_dump(),
        "Index": {"kind": study.model.index.kind, "items": len(vectors)},
        "Versions": {
            "item2vec": item2vec.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
        "This page": {"seed": seed, "metrics at k": ", ".join(map(str, study.cutoffs))},
    }


def _json(value: Any) -> Markup:
    """Return JSON for a script element, with ``<`` escaped so that no text can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 -- ``<`` is escaped
