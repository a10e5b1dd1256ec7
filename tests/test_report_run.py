"""The HTML page of a nightly run shows its gates and the drift from the served version."""

import dataclasses
import json
from datetime import UTC, datetime

from nights import QUICK, made_listens

import item2vec
from item2vec import adapters
from item2vec.evaluation import temporal_split
from item2vec.report import Study, write_report
from item2vec.retraining.drift import compare_models
from item2vec.retraining.gates import within

NASTY = "</script><b>x</b> & é"


def test_the_page_shows_gates_and_drift(tmp_path):
    listens = made_listens(60)
    split = temporal_split(listens)
    model = item2vec.fit(split.train, QUICK.model)
    drift = compare_models(item2vec.fit(adapters.histories(listens), QUICK.model), model)
    gates = [
        within("ndcg@10", 0.125, least=0.5, what=NASTY),
        within("norm_max", float("nan"), most=1, what=""),
    ]
    run = {
        "run": "g0000000002-0a1b2c3d",
        "status": "refused",
        "reason": NASTY,
        "gates": json.loads(json.dumps([dataclasses.asdict(gate) for gate in gates]).replace("NaN", '"nan"')),
        "live": {"version": "g0000000001-0a1b2c3d"},
        "model": {"drift": dataclasses.asdict(drift)},
    }
    page = tmp_path / "run.html"
    write_report(Study.of(model, split), page, now=datetime(2025, 1, 1, tzinfo=UTC), run=run)
    text = page.read_text()
    assert "<b>Refused</b> <code>g0000000002-0a1b2c3d</code>: " in text
    assert (
        text.index('id="run"')
        < text.index('id="verdict"')
        < text.index('id="metrics"')
        < text.index('id="gates"')
    )
    assert len(text.encode()) < 500_000
    assert "<td>0.125</td><td>0.5</td><td></td>" in text
    assert "<td>nan</td>" in text
    assert "Drift from g0000000001-0a1b2c3d" in text
    assert drift.movers[0].item in text
    assert NASTY not in text
    write_report(Study.of(model, split), page)
    assert "Gates" not in page.read_text()
