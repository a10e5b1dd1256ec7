"""The page itself: everything that it shows, put into its template."""

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
LIBRARIES = ("numpy", "numba", "gensim", "annoy", "pandas", "pyarrow", "openTSNE", "plotly")
EXAMPLES = 3
LAST_ITEMS = 8


def render(study: Study, *, now: datetime | None, seed: int, run: Mapping[str, Any] | None = None) -> str:
    """Return the page of a study, and of the nightly run that it is a part of."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = draw_map(study.model.vectors, study.items, seed=seed)
    charts = {
        "headline": figures.headline(study),
        **{name: figures.curve_over_k(study, name) for name in CURVES},
        "coverage": figures.coverage(study),
        "exposure": figures.exposure_by_popularity(study),
        "lorenz": figures.lorenz(study),
        "map": figures.embedding_map(drawn),
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
        drawn=drawn,
        examples=list(_examples(study, seed)),
        facts=_facts(study, seed),
        figures=_json({**charts, **by_segment}),
        plotly=Markup(get_plotlyjs()),  # noqa: S704 -- a library, not anybody's text
    )


def _segment_charts(study: Study) -> Iterator[tuple[str, figures.Figure]]:
    evaluations = study.evaluation, study.baselines[study.best_baseline]
    ours, best = (
        {by: list(found) for by, found in groupby(segments(one, study.split), key=lambda segment: segment.by)}
        for one in evaluations
    )
    for by in ours:
        yield by, figures.segment_bars(study, ours[by], best[by])


def _examples(study: Study, seed: int) -> Iterator[dict[str, Any]]:
    """Yield some questions that were answered and some that were not, with the titles of all items."""
    rankings, split = study.evaluation.rankings, study.split
    hit = rankings.hits[:, : study.k].any(axis=1)
    random = np.random.default_rng(seed)

    for kind in (True, False):
        questions = np.flatnonzero(hit == kind)
        for question in np.sort(random.permutation(questions)[:EXAMPLES]).tolist():
            items = rankings.items[question, : study.k]
            history = split.histories[question]
            yield {
                "question": question,
                "hit": kind,
                "earlier": max(len(history) - LAST_ITEMS, 0),
                "history": [_title(study, item) for item in history[-LAST_ITEMS:]],
                "targets": [_title(study, item) for item in split.targets[question][:LAST_ITEMS]],
                "later": max(len(split.targets[question]) - LAST_ITEMS, 0),
                "recommended": [
                    (_title(study, item), is_hit)
                    for item, is_hit in zip(
                        rankings.vocabulary.decode(items[items >= 0]), rankings.hits[question], strict=False
                    )
                ],
            }


def _title(study: Study, item: str) -> str:
    return study.items.title(item) if study.items else item


def _facts(study: Study, seed: int) -> dict[str, dict[str, Any]]:
    """Return all that is needed to do the same again."""
    vectors, train = study.model.vectors, study.split.train
    return {
        "Data": {
            "split": repr(study.split),
            "training part": repr(train),
            "fingerprint of the training part (SHA-256)": train.fingerprint(),
        },
        "Training": vectors.config.model_dump() if vectors.config else {"configuration": "not known"},
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
    """Return JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 -- nothing is left in it that HTML would read
