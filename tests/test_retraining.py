"""A nightly run promotes what is shown to be good, refuses the rest, and says why; readers never notice."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from faults.made import made_model
from faults.operations import without_canary
from nights import QUICK, Here, changed, cut, fill, made_listens, shuffled

import item2vec
from item2vec import Interactions, adapters, versions
from item2vec.config import AdapterConfig, EvaluationConfig, LimitsConfig, RetentionConfig
from item2vec.errors import (
    ConfigError,
    GateRefusedError,
    LockHeldError,
    NothingToTrainError,
    RunFailedError,
    SchemaError,
)
from item2vec.prior import prior_for
from item2vec.retraining import rollback
from item2vec.retraining.earlier_versions import protocol_of, read_earlier_results
from item2vec.store import Store


@pytest.fixture(scope="module")
def listens():
    return made_listens()


@pytest.fixture(scope="module")
def healthy(listens, tmp_path_factory):
    """A store, and a models folder whose live version a healthy run has made."""
    folder = tmp_path_factory.mktemp("healthy")
    url = fill(f"sqlite:///{folder}/item2vec.db", listens)
    first = item2vec.retrain(models=folder / "models", store=url, config=QUICK)
    return folder / "models", url, first


@pytest.fixture
def here(monkeypatch, tmp_path_factory):
    """Let nights work in this process, without a canary; for tests of what a night decides."""
    monkeypatch.setattr("item2vec.retraining.run.Worker", Here)
    monkeypatch.syspath_prepend(without_canary(tmp_path_factory.mktemp("here")))


def report_of(path):
    return json.loads(Path(path).read_text())


def refused(models, url, config=QUICK, **more):
    """Retrain; return why it was refused, once it is clear that nothing else has changed."""
    before = versions.current(models) if (models / "CURRENT").exists() else None
    with pytest.raises(GateRefusedError) as caught:
        item2vec.retrain(models=models, store=url, config=config, **more)
    assert caught.value.exit_code == 3
    assert before == (versions.current(models) if before else None)
    assert list((models / "staging").iterdir()) == []
    with Store(url) as store:
        run = store.runs(limit=1)[0]
    assert (run.status, run.version, run.reason) == ("refused", None, str(caught.value))
    report = max((models / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    assert report_of(report) == caught.value.report
    return str(caught.value)


def test_a_healthy_run_is_promoted_and_recorded(healthy):
    models, url, first = healthy
    assert versions.current(models) == first.version
    assert item2vec.load(models).recommend(["g0 s0 é", "g0 s1 é"], k=3)[0].item.startswith("g0 ")
    assert report_of(first.path) == first.report
    data = first.report["data"]
    assert (data["interactions"], data["users"], data["items"]) == (3840, 240, 144)
    assert data["first"] < data["last"] < "1970-01-02T06"
    assert {"snapshot", "evaluate", "train", "write", "publish"} == set(first.report["seconds"])
    assert all(gate["passed"] for gate in first.report["gates"])
    assert first.report["evaluation"]["leaks"] == []
    with Store(url) as store:
        (run,) = [run for run in store.runs() if run.version == first.version.id]
        (promotion,) = [one for one in store.promotions() if one.version == first.version.id]
    assert (run.status, promotion.run_id, promotion.generation) == ("promoted", run.id, 1)
    assert promotion.manifest_sha256 == first.version.manifest_sha256
    assert run.metrics["ndcg@10"] == first.report["evaluation"]["metrics"]["ndcg@10"]


@pytest.mark.usefixtures("here")
def test_the_manifest_keeps_the_score_that_the_next_night_is_compared_with(healthy):
    models, url, first = healthy
    note = versions.verify(models).note["retrain"]
    assert note["evaluation"]["metrics"] == first.report["evaluation"]["metrics"]
    again = item2vec.retrain(models=models, store=url, config=QUICK)
    (gate,) = [gate for gate in again.report["gates"] if gate["name"] == "against_live"]
    recorded = note["evaluation"]["metrics"]["ndcg@10"]
    assert gate["least"] == pytest.approx(0.8 * recorded)
    assert again.version.previous == first.version.id
    assert again.report["model"]["drift"]["n_common"] == 144
    (gate,) = [gate for gate in again.report["gates"] if gate["name"] == "against_median"]
    assert gate["least"] <= 0.8 * recorded
    assert again.report["live"]["promoted"][-1]["version"] == first.version.id


def test_nights_are_compared_with_manifests_or_reports_whichever_are_left(healthy, tmp_path):
    models, _, first = healthy
    metric = protocol_of(QUICK)["metric"]
    evaluation = first.report["evaluation"]
    score, interval = evaluation["metrics"][metric], evaluation["intervals"][metric]
    assert interval[0] < score < interval[1]

    def oldest(folder):
        return read_earlier_results(versions.current(models), folder, protocol_of(QUICK))["promoted"][-1]

    expected = {"version": first.version.id, "score": score, "interval": interval}
    assert oldest(models) == expected
    shutil.copytree(models / "versions", tmp_path / "a" / "versions")
    assert oldest(tmp_path / "a") == expected
    shutil.copytree(models / "runs", tmp_path / "b" / "runs")
    assert oldest(tmp_path / "b") == expected


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (shuffled, "popularity has"),
        (lambda listens: cut(listens, 0.4), "interactions_growth is 0.4, expected at least 0.7"),
        (lambda listens: listens.take(listens.timestamp < np.quantile(listens.timestamp, 0.3)), "_growth is"),
    ],
    ids=["shuffled", "cut to 40 %", "the oldest 30 %"],
)
def test_a_spoiled_corpus_is_refused(healthy, listens, tmp_path, spoil, why):
    url = fill(f"sqlite:///{tmp_path}/spoiled.db", spoil(listens))
    assert why in refused(healthy[0], url)


@pytest.mark.usefixtures("here")
def test_a_shuffled_corpus_is_refused_on_the_first_night_too(listens, tmp_path):
    url = fill(f"sqlite:///{tmp_path}/spoiled.db", shuffled(listens))
    assert "popularity has" in refused(tmp_path / "models", url)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"alpha": 1e-9, "min_alpha": 0.0}, "moved"),
        ({"alpha": 100.0}, "diverged"),
        ({"alpha": 100.0, "backend": "gensim"}, ""),
        ({"alpha": 1e-6, "min_alpha": 0.0, "objective": "next_item", "vector_size": 16}, ""),
    ],
    ids=["untrained", "alpha=100", "alpha=100, gensim", "untrained next_item"],
)
def test_a_model_that_learned_nothing_is_refused(healthy, settings, why):
    models, url, _ = healthy
    assert why in refused(models, url, changed(**settings))


@pytest.mark.usefixtures("here")
def test_where_nobody_can_be_asked_nothing_is_promoted(healthy, listens, tmp_path):
    moment = Interactions.of(
        user=listens.users.decode(listens.user),
        item=listens.items.decode(listens.item),
        timestamp=[0] * len(listens),
    )
    url = fill(f"sqlite:///{tmp_path}/one-moment.db", moment)
    assert "queries is 0, expected at least 30" in refused(tmp_path / "models", url)
    far = QUICK.replace(evaluation=EvaluationConfig(days=10_000))
    assert "queries is 0" in refused(*healthy[:2], far)


@pytest.mark.usefixtures("here")
def test_force_passes_over_gates_and_is_recorded(listens, tmp_path):
    url = fill(f"sqlite:///{tmp_path}/spoiled.db", shuffled(listens))
    done = item2vec.retrain(models=tmp_path / "models", store=url, config=QUICK, force="a fire drill")
    assert not all(gate["passed"] for gate in done.report["gates"])
    assert versions.verify(tmp_path / "models").note["retrain"]["forced"] == "a fire drill"
    with Store(url) as store:
        assert store.promotions()[0].reason == "a fire drill"
    for reason in (" ", "x" * 1001, "\ud800", "a\0b"):
        with pytest.raises(ConfigError, match="reason"):
            item2vec.retrain(models=tmp_path / "models", store=url, config=QUICK, force=reason)


@pytest.mark.usefixtures("here")
def test_after_a_rollback_nothing_is_promoted_until_it_is_released(listens, tmp_path):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    first, second = (item2vec.publish(made_model(seed=seed), models) for seed in (0, 1))
    rollback(models, f"sqlite:///{tmp_path}/none.db", reason="customers complain")
    said = refused(models, url)
    assert said == refused(models, url, force="so what")
    assert second.id in said
    assert "customers complain" in said
    assert "item2vec models release" in said
    versions.release(models)
    third = item2vec.retrain(models=models, store=url, config=QUICK)
    assert versions.current(models) == third.version
    with Store(url) as store:
        moves = [(one.generation, one.version, one.actor) for one in reversed(store.promotions())]
    assert moves == [(3, first.id, "found"), (4, third.version.id, "retrain")]


@pytest.mark.usefixtures("here")
def test_a_rollback_is_recorded_where_there_is_a_store(listens, tmp_path):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    first, _ = (item2vec.publish(made_model(seed=seed), models) for seed in (0, 1))
    rollback(models, url, reason="customers complain")
    with Store(url) as store:
        (move,) = store.promotions()
    assert (move.generation, move.version, move.actor) == (3, first.id, "rollback")
    assert move.reason == "customers complain"
    rollback(models, f"sqlite:///{tmp_path}/none.db", to=move.previous, reason="they love it")
    assert not (tmp_path / "none.db").exists()


def test_a_night_with_a_mixture_publishes_its_table(listens, tmp_path):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    mixed = changed(mixture=0.5, repeat_bonus=1.0)
    item2vec.retrain(models=tmp_path / "models", store=url, config=mixed)
    with item2vec.Engine(models=tmp_path / "models", store=url) as engine:
        model = engine.model
        assert (model.taste.mixture, model.taste.repeat_bonus) == (0.5, 1.0)
        assert model.neighbours.decay == 0.5
        best = engine.recommend("u1", k=3)
        assert sum(share for _, share in engine.explain("u1", best[0].item)) == pytest.approx(
            best[0].score, abs=1e-4
        )


def test_a_night_with_a_popularity_prior_publishes_it(listens, tmp_path):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    recent = changed(popularity=0.5, popularity_half_life=7)
    item2vec.retrain(models=tmp_path / "models", store=url, config=recent)
    with item2vec.Engine(models=tmp_path / "models", store=url) as engine:
        lists = adapters.histories(Store(url).interactions())
        assert engine.model.prior.tolist() == prior_for(lists, engine.model.vocabulary, 7).tolist()
        best = engine.recommend("u1", k=3)
        shares = engine.explain("u1", best[0].item)
        assert None in {share.item for share in shares}
        assert sum(share for _, share in shares) == pytest.approx(best[0].score, abs=1e-4)


@pytest.mark.usefixtures("here")
def test_old_versions_and_reports_are_removed(listens, tmp_path):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    made = [item2vec.publish(made_model(seed=seed), models).id for seed in range(3)]
    (models / "runs").mkdir()
    for name in ("20200101T000000Z-a.json", "20200101T000000Z-a.html", "20200102T000000Z-b.json"):
        (models / "runs" / name).touch()
    few = QUICK.replace(retention=RetentionConfig(versions=2, reports=2, pages=False))
    done = item2vec.retrain(models=models, store=url, config=few)
    assert [version.id for version in versions.list_versions(models)] == [made[2], done.version.id]
    assert [path.name for path in sorted((models / "runs").iterdir())] == [
        "20200102T000000Z-b.json",
        done.path.name,
    ]


def test_one_run_at_a_time(healthy):
    models, url, _ = healthy
    with versions.attempt(models), pytest.raises(LockHeldError):
        item2vec.retrain(models=models, store=url, config=QUICK)


def test_an_empty_or_missing_store_is_said(tmp_path):
    url = f"sqlite:///{tmp_path}/item2vec.db"
    with pytest.raises(SchemaError, match="db upgrade"):
        item2vec.retrain(models=tmp_path / "models", store=url)
    with Store(url) as store:
        store.upgrade()
    with pytest.raises(NothingToTrainError, match="item2vec ingest"):
        item2vec.retrain(models=tmp_path / "models", store=url)
    with Store(url) as store:
        assert store.runs()[0].status == "failed"


@pytest.mark.usefixtures("here")
def test_a_live_version_that_is_damaged_is_replaced_by_what_is_as_good(listens, tmp_path):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    first = item2vec.retrain(models=models, store=url, config=QUICK)
    (first.version.path / "manifest.json").chmod(0o644)
    (first.version.path / "manifest.json").write_text("{}")
    less = fill(f"sqlite:///{tmp_path}/less.db", cut(listens, 0.4))
    with pytest.raises(GateRefusedError, match=r"interactions_growth is 0\.4"):
        item2vec.retrain(models=models, store=less, config=QUICK)
    second = item2vec.retrain(models=models, store=url, config=QUICK)
    assert item2vec.load(models).vectors.counts.sum() == 3840
    assert second.report["live"]["data"]["interactions"] == 3840
    assert "manifest.json" in second.report["model"]["live_fault"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "note",
    [
        {"retrain": {"data": "the spring catalogue", "evaluation": {"protocol": {}, "metrics": {}}}},
        {"retrain": ["evaluation"], "version": 3},
        {
            "retrain": {
                "data": {"users": "nan", "items": 0},
                "evaluation": {"protocol": {"metric": "ndcg@10"}},
            }
        },
    ],
    ids=str,
)
def test_a_note_of_somebody_s_own_is_nothing_to_compare_with(note, tmp_path):
    version = item2vec.publish(made_model(), tmp_path / "models", note=note)
    assert read_earlier_results(version, tmp_path / "models", protocol_of(QUICK)) == {}


@pytest.mark.usefixtures("here")
def test_a_night_that_was_forced_without_an_evaluation_is_followed_by_a_healthy_one(listens, tmp_path):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    nobody = QUICK.replace(evaluation=EvaluationConfig(days=10_000))
    item2vec.retrain(models=models, store=url, config=nobody, force="a young shop")
    assert "queries is 0" in refused(models, url, nobody)
    assert item2vec.retrain(models=models, store=url, config=QUICK).version.generation == 2


@pytest.mark.usefixtures("here")
def test_a_past_too_thin_to_train_on_is_a_refusal(tmp_path):
    users = [f"u{number}" for number in range(200)]
    before = Interactions.of(user=users, item=["a", "b"] * 100, timestamp=[0] * 200)
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", before)
    fill(url, Interactions.of(user=users, item=["c", "d"] * 100, timestamp=list(range(1, 201))))
    halves = QUICK.replace(evaluation=EvaluationConfig(fraction=0.5))
    assert "queries is 0" in refused(tmp_path / "models", url, halves)


@pytest.mark.usefixtures("here")
def test_a_run_that_was_killed_once_it_was_promoted_is_recorded_as_that(listens, tmp_path):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    served = item2vec.publish(made_model(), models)
    about = {"run": served.id, "models": str(models.resolve()), "host": socket.gethostname()}
    with Store(url) as store:
        number = store.begin_run(config=about, now=datetime(2025, 1, 1, tzinfo=UTC))
        item2vec.retrain(models=models, store=url, config=QUICK)
        (of_run,) = [run for run in store.runs() if run.id == number]
        (move,) = [one for one in store.promotions() if one.version == served.id]
    assert (of_run.status, of_run.version, move.run_id) == ("promoted", served.id, number)


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (LimitsConfig(memory=0.02), r"used 0\.\d+ GiB; expected at most 0.02"),
        (LimitsConfig(time="1s"), "had not finished when the run reached its limit of 1s"),
    ],
    ids=["memory", "time"],
)
def test_a_run_that_takes_too_much_is_ended(healthy, limits, why):
    models, url, _ = healthy
    before = versions.current(models)
    slow = changed(QUICK.replace(limits=limits), epochs=100_000)
    with pytest.raises(RunFailedError, match=why):
        item2vec.retrain(models=models, store=url, config=slow)
    assert versions.current(models) == before
    assert list((models / "staging").iterdir()) == []
    with Store(url) as store:
        assert store.runs(limit=1)[0].status == "failed"


def test_a_night_on_each_kind_of_database(url, listens, tmp_path):
    fill(url, listens)
    done = item2vec.retrain(models=tmp_path / "models", store=url, config=QUICK)
    assert done.report["data"]["interactions"] == len(listens)
    assert item2vec.load(tmp_path / "models").vectors.counts.sum() == len(listens)
    with Store(url) as store:
        (run,), (promotion,) = store.runs(), store.promotions()
    assert (run.status, run.version) == ("promoted", done.version.id)
    assert (promotion.version, promotion.run_id) == (done.version.id, run.id)
    assert refused(tmp_path / "models", fill(f"sqlite:///{tmp_path}/less.db", cut(listens, 0.4)))


@pytest.mark.usefixtures("here")
def test_adapters_shape_what_is_trained_and_wrong_dates_do_not(listens, tmp_path, caplog):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    fill(url, Interactions.of(user=["u0"], item=["wrong"], timestamp=[datetime(2099, 1, 1)]))
    sessions = QUICK.replace(adapter=AdapterConfig(kind="sessions", gap="10h", days=0.9))
    done = item2vec.retrain(models=tmp_path / "models", store=url, config=sessions)
    assert 1000 < done.report["data"]["interactions"] < 3840
    assert done.report["evaluation"]["protocol"]["adapter"]["gap"] == "10h"
    example = {"user": "u0", "item": "wrong", "timestamp": "2099-01-01T00:00:00+00:00"}
    assert (done.report["data"]["future"], done.report["data"]["future_example"]) == (1, example)
    (said,) = [one.facts for one in caplog.records if "of the future" in one.message]
    assert said == {"n": 1, **example}
    assert "u0" not in str(versions.verify(tmp_path / "models").note)


SLOW_RUN = """
import sys
from item2vec.cli import main
main(["retrain", "--backend", "numba", "--workers", "1", "--epochs", "100000", "--vector-size", "16",
      "--models", sys.argv[1], "--store", sys.argv[2]])
"""


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def running(healthy):
    """A run that is judging, and would for hours."""
    models, url, _ = healthy
    run = subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, str(models), url],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in run.stderr:
        if " evaluate " in line:
            break
    yield run, models, url
    run.kill()
    run.communicate()


def test_told_to_stop_a_run_ends_within_ten_seconds_and_cleans_up(running):
    run, models, url = running
    before, workers = versions.current(models), children_of(run.pid)
    run.terminate()
    _, said = run.communicate(timeout=10)
    assert run.returncode == 1
    assert "stopped by SIGTERM" in said
    assert versions.current(models) == before
    assert list((models / "staging").iterdir()) == []
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    with Store(url) as store:
        assert store.runs(limit=1)[0].status == "failed"


def test_told_to_stop_a_run_does_not_wait_for_a_store_that_is_locked(running):
    run, models, url = running
    before = versions.current(models)
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        run.terminate()
        run.communicate(timeout=10)
    assert run.returncode == 1
    assert versions.current(models) == before


def test_a_worker_that_is_killed_is_said(running):
    run, models, _ = running
    before = versions.current(models)
    (worker,) = children_of(run.pid)
    os.kill(worker, signal.SIGKILL)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "the worker process ended in 'evaluate' by signal SIGKILL" in said
    assert versions.current(models) == before


def test_a_run_that_is_killed_takes_its_worker_with_it_and_is_simply_run_again(running):
    run, models, url = running
    (worker,) = children_of(run.pid)
    leftover = os.pidfd_open(worker)
    run.kill()
    run.wait()
    ended = select.poll()
    ended.register(leftover, select.POLLIN)
    lives_on = not ended.poll(30_000)
    if lives_on:
        signal.pidfd_send_signal(leftover, signal.SIGKILL)
    os.close(leftover)
    assert not lives_on
    before = versions.current(models)
    again = item2vec.retrain(models=models, store=url, config=QUICK)
    assert again.version.previous == before.id
    assert list((models / "staging").iterdir()) == []
    with Store(url) as store:
        interrupted = [run for run in store.runs() if run.reason == "interrupted"]
    assert {run.status for run in interrupted} == {"failed"}
