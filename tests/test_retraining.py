"""A nightly run promotes a model that passes all gates. Otherwise the served version is unchanged."""

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
from faults.child import HANGING, needs_proc
from faults.made import made_model
from faults.operations import without_canary
from nights import QUICK, InProcessWorker, changed, cut, fill, made_listens, shuffled

import item2vec
from item2vec import Config, Interactions, adapters, versions
from item2vec.config import AdapterConfig, EvaluationConfig, LimitsConfig, RetentionConfig, RetrainConfig
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
    """Return a models folder with a version that a run has promoted, the store URL, and the run's result."""
    folder = tmp_path_factory.mktemp("healthy")
    url = fill(f"sqlite:///{folder}/item2vec.db", listens)
    result = item2vec.retrain(models=folder / "models", store=url, config=QUICK)
    return folder / "models", url, result


@pytest.fixture
def in_process(monkeypatch, tmp_path_factory):
    """Execute jobs in this process, and skip the canary: for tests that do not concern processes."""
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
    monkeypatch.syspath_prepend(without_canary(tmp_path_factory.mktemp("in_process")))


def report_of(path):
    return json.loads(Path(path).read_text())


def refused(models, url, config=QUICK, **more):
    """Check that a gate rejects a run, which is recorded and changes nothing else; return the reason."""
    before = versions.served_version(models) if (models / "CURRENT").exists() else None
    with pytest.raises(GateRefusedError) as caught:
        item2vec.retrain(models=models, store=url, config=config, **more)
    assert caught.value.exit_code == 3
    assert before == (versions.served_version(models) if before else None)
    assert list((models / "staging").iterdir()) == []
    with Store(url) as store:
        run = store.runs(limit=1)[0]
    assert (run.status, run.version, run.reason) == ("refused", None, str(caught.value))
    report = max((models / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    assert report_of(report) == caught.value.report
    return str(caught.value)


def promotion_of(store, id_):
    (promotion,) = [promotion for promotion in store.promotions() if promotion.version == id_]
    return promotion


def test_a_healthy_run_is_promoted_and_recorded(healthy):
    models, url, first = healthy
    assert versions.served_version(models) == first.version
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
        promotion = promotion_of(store, first.version.id)
    assert (run.status, promotion.run_id, promotion.generation) == ("promoted", run.id, 1)
    assert promotion.manifest_sha256 == first.version.manifest_sha256
    assert run.metrics["ndcg@10"] == first.report["evaluation"]["metrics"]["ndcg@10"]


@pytest.mark.usefixtures("in_process")
def test_the_next_run_is_compared_with_the_score_in_the_manifest(healthy):
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


def test_scores_are_read_from_manifests_or_reports(healthy, tmp_path):
    models, _, first = healthy
    metric = protocol_of(QUICK)["metric"]
    evaluation = first.report["evaluation"]
    score, interval = evaluation["metrics"][metric], evaluation["intervals"][metric]
    assert interval[0] < score < interval[1]

    def oldest_promotion(folder):
        return read_earlier_results(versions.served_version(models), folder, protocol_of(QUICK))["promoted"][
            -1
        ]

    expected = {"version": first.version.id, "score": score, "interval": interval}
    assert oldest_promotion(models) == expected
    shutil.copytree(models / "versions", tmp_path / "a" / "versions")
    assert oldest_promotion(tmp_path / "a") == expected
    shutil.copytree(models / "runs", tmp_path / "b" / "runs")
    assert oldest_promotion(tmp_path / "b") == expected


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (shuffled, "the popularity baseline scores"),
        (lambda listens: cut(listens, 0.4), "interactions_growth is 0.4, expected at least 0.7"),
        (lambda listens: listens.take(listens.timestamp < np.quantile(listens.timestamp, 0.3)), "_growth is"),
    ],
    ids=["shuffled", "cut to 40 %", "the oldest 30 %"],
)
def test_a_spoiled_corpus_is_refused(healthy, listens, tmp_path, spoil, reason):
    url = fill(f"sqlite:///{tmp_path}/spoiled.db", spoil(listens))
    assert reason in refused(healthy[0], url)


@pytest.mark.usefixtures("in_process")
def test_a_shuffled_corpus_is_refused_on_the_first_night_too(listens, tmp_path):
    url = fill(f"sqlite:///{tmp_path}/spoiled.db", shuffled(listens))
    assert "the popularity baseline scores" in refused(tmp_path / "models", url)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"alpha": 1e-9, "min_alpha": 0.0}, "no vector changed"),
        ({"alpha": 100.0}, "diverged"),
        ({"alpha": 100.0, "backend": "gensim"}, ""),
        ({"alpha": 1e-6, "min_alpha": 0.0, "objective": "next_item", "vector_size": 16}, ""),
    ],
    ids=["untrained", "alpha=100", "alpha=100, gensim", "untrained next_item"],
)
def test_an_untrained_or_diverged_model_is_refused(healthy, settings, reason):
    models, url, _ = healthy
    assert reason in refused(models, url, changed(**settings))


@pytest.mark.usefixtures("in_process")
def test_without_queries_nothing_is_promoted(healthy, listens, tmp_path):
    simultaneous = Interactions.of(
        user=listens.users.decode(listens.user),
        item=listens.items.decode(listens.item),
        timestamp=[0] * len(listens),
    )
    url = fill(f"sqlite:///{tmp_path}/simultaneous.db", simultaneous)
    assert "queries is 0, expected at least 30" in refused(tmp_path / "models", url)
    all_held_out = QUICK.replace(evaluation=EvaluationConfig(days=10_000))
    assert "queries is 0" in refused(*healthy[:2], all_held_out)


@pytest.mark.usefixtures("in_process")
def test_a_forced_promotion_is_recorded_with_its_reason(listens, tmp_path):
    url = fill(f"sqlite:///{tmp_path}/spoiled.db", shuffled(listens))
    result = item2vec.retrain(models=tmp_path / "models", store=url, config=QUICK, force="a fire drill")
    assert not all(gate["passed"] for gate in result.report["gates"])
    assert versions.verify(tmp_path / "models").note["retrain"]["forced"] == "a fire drill"
    with Store(url) as store:
        assert store.promotions()[0].reason == "a fire drill"
    for reason in (" ", "x" * 1001, "\ud800", "a\0b"):
        with pytest.raises(ConfigError, match="reason"):
            item2vec.retrain(models=tmp_path / "models", store=url, config=QUICK, force=reason)


@pytest.mark.usefixtures("in_process")
def test_after_a_rollback_nothing_is_promoted_until_the_release(listens, tmp_path):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    first, second = (item2vec.publish(made_model(seed=seed), models) for seed in (0, 1))
    rollback(models, f"sqlite:///{tmp_path}/none.db", reason="customers complain")
    reason = refused(models, url)
    assert reason == refused(models, url, force="urgent")
    assert second.id in reason
    assert "customers complain" in reason
    assert f"item2vec models release --models {models}" in reason
    versions.release(models)
    third = item2vec.retrain(models=models, store=url, config=QUICK)
    assert versions.served_version(models) == third.version
    with Store(url) as store:
        promotions = store.promotions()[::-1]
    assert [(promotion.generation, promotion.version, promotion.actor) for promotion in promotions] == [
        (3, first.id, "found"),
        (4, third.version.id, "retrain"),
    ]


@pytest.mark.usefixtures("in_process")
def test_a_rollback_is_recorded_if_there_is_a_store(listens, tmp_path):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    first, _ = (item2vec.publish(made_model(seed=seed), models) for seed in (0, 1))
    rollback(models, url, reason="customers complain")
    with Store(url) as store:
        (promotion,) = store.promotions()
    assert (promotion.generation, promotion.version, promotion.actor) == (3, first.id, "rollback")
    assert promotion.reason == "customers complain"
    rollback(models, f"sqlite:///{tmp_path}/none.db", to=promotion.previous, reason="customers praise it")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.usefixtures("in_process")
def test_a_mixture_is_published_with_its_table(listens, tmp_path):
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


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("objective", ["transitions", "linkprop", "ease"])
def test_tables_of_neighbours_are_trained_at_night(objective, listens, tmp_path):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    config = RetrainConfig(
        model=Config().with_settings(objective=objective), retention=RetentionConfig(pages=False)
    )
    item2vec.retrain(models=tmp_path / "models", store=url, config=config)
    with item2vec.Engine(models=tmp_path / "models", store=url) as engine:
        assert engine.model.vectors.config.objective == objective
        lists = adapters.histories(Store(url).interactions())
        expected = item2vec.fit(lists, config.model).recommend_many(lists.take(np.arange(3)), k=3)
        assert [engine.recommend(user, k=3) for user in ("u0", "u1", "u10")] == expected


@pytest.mark.usefixtures("in_process")
def test_a_popularity_prior_is_published(listens, tmp_path):
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


@pytest.mark.usefixtures("in_process")
def test_old_versions_and_reports_are_removed(listens, tmp_path):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    made = [item2vec.publish(made_model(seed=seed), models).id for seed in range(3)]
    (models / "runs").mkdir()
    for name in ("20200101T000000Z-a.json", "20200101T000000Z-a.html", "20200102T000000Z-b.json"):
        (models / "runs" / name).touch()
    few = QUICK.replace(retention=RetentionConfig(versions=2, reports=2, pages=False))
    result = item2vec.retrain(models=models, store=url, config=few)
    assert [version.id for version in versions.list_versions(models)] == [made[2], result.version.id]
    assert [path.name for path in sorted((models / "runs").iterdir())] == [
        "20200102T000000Z-b.json",
        result.path.name,
    ]


def test_a_second_run_is_refused_the_lock(healthy):
    models, url, _ = healthy
    with versions.attempt(models), pytest.raises(LockHeldError):
        item2vec.retrain(models=models, store=url, config=QUICK)


@pytest.mark.usefixtures("in_process")
def test_an_empty_or_missing_store_is_an_error(tmp_path):
    url = f"sqlite:///{tmp_path}/item2vec.db"
    with pytest.raises(SchemaError, match="db upgrade"):
        item2vec.retrain(models=tmp_path / "models", store=url)
    with Store(url) as store:
        store.upgrade()
    with pytest.raises(NothingToTrainError, match="item2vec ingest"):
        item2vec.retrain(models=tmp_path / "models", store=url)
    with Store(url) as store:
        assert store.runs()[0].status == "failed"


@pytest.mark.usefixtures("in_process")
def test_a_damaged_live_version_is_replaced_by_one_that_passes_its_gates(listens, tmp_path):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    first = item2vec.retrain(models=models, store=url, config=QUICK)
    (first.version.path / "manifest.json").chmod(0o644)
    (first.version.path / "manifest.json").write_text("{}")
    smaller = fill(f"sqlite:///{tmp_path}/smaller.db", cut(listens, 0.4))
    with pytest.raises(GateRefusedError, match=r"interactions_growth is 0\.4"):
        item2vec.retrain(models=models, store=smaller, config=QUICK)
    second = item2vec.retrain(models=models, store=url, config=QUICK)
    assert item2vec.load(models).vectors.counts.sum() == 3840
    assert second.report["live"]["data"]["interactions"] == 3840
    assert "manifest.json" in second.report["model"]["live_fault"]


@pytest.mark.usefixtures("in_process")
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
def test_a_foreign_note_is_ignored(note, tmp_path):
    version = item2vec.publish(made_model(), tmp_path / "models", note=note)
    assert read_earlier_results(version, tmp_path / "models", protocol_of(QUICK)) == {}


@pytest.mark.usefixtures("in_process")
def test_a_version_forced_without_an_evaluation_is_replaced_with_a_warning(listens, tmp_path, caplog):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    all_held_out = QUICK.replace(evaluation=EvaluationConfig(days=10_000))
    item2vec.retrain(models=models, store=url, config=all_held_out, force="a young shop")
    assert "queries is 0" in refused(models, url, all_held_out)
    assert item2vec.retrain(models=models, store=url, config=QUICK).version.generation == 2
    warned = [record.facts for record in caplog.records if "without a comparison" in record.message]
    assert [list(facts) for facts in warned] == [["against_live", "against_median"]]
    assert warned[0]["against_live"] == "no evaluation of the served version is known"


@pytest.mark.usefixtures("in_process")
def test_too_few_interactions_in_the_past_are_a_refusal(tmp_path):
    users = [f"u{number}" for number in range(200)]
    before = Interactions.of(user=users, item=["a", "b"] * 100, timestamp=[0] * 200)
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", before)
    fill(url, Interactions.of(user=users, item=["c", "d"] * 100, timestamp=list(range(1, 201))))
    halves = QUICK.replace(evaluation=EvaluationConfig(fraction=0.5))
    assert "queries is 0" in refused(tmp_path / "models", url, halves)


@pytest.mark.usefixtures("in_process")
def test_a_run_killed_after_its_promotion_is_recorded_as_promoted(listens, tmp_path):
    models, url = tmp_path / "models", fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    served = item2vec.publish(made_model(), models)
    about = {"run": served.id, "models": str(models.resolve()), "host": socket.gethostname()}
    with Store(url) as store:
        run_id = store.begin_run(config=about, now=datetime(2025, 1, 1, tzinfo=UTC))
        item2vec.retrain(models=models, store=url, config=QUICK)
        (run,) = [run for run in store.runs() if run.id == run_id]
        promotion = promotion_of(store, served.id)
    assert (run.status, run.version, promotion.run_id) == ("promoted", served.id, run_id)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (LimitsConfig(memory=0.02), r"used 0\.\d+ GiB; expected at most 0.02"),
        (LimitsConfig(time="1s"), "was not finished when the run reached its time limit of 1s"),
    ],
    ids=["memory", "time"],
)
def test_a_run_that_exceeds_a_limit_fails(healthy, limits, message):
    models, url, _ = healthy
    before = versions.served_version(models)
    slow = changed(QUICK.replace(limits=limits), epochs=100_000)
    with pytest.raises(RunFailedError, match=message):
        item2vec.retrain(models=models, store=url, config=slow)
    assert versions.served_version(models) == before
    assert list((models / "staging").iterdir()) == []
    with Store(url) as store:
        assert store.runs(limit=1)[0].status == "failed"


@pytest.mark.usefixtures("in_process")
def test_a_run_on_each_kind_of_database(url, listens, tmp_path):
    fill(url, listens)
    result = item2vec.retrain(models=tmp_path / "models", store=url, config=QUICK)
    assert result.report["data"]["interactions"] == len(listens)
    assert item2vec.load(tmp_path / "models").vectors.counts.sum() == len(listens)
    with Store(url) as store:
        (run,), (promotion,) = store.runs(), store.promotions()
    assert (run.status, run.version) == ("promoted", result.version.id)
    assert (promotion.version, promotion.run_id) == (result.version.id, run.id)
    assert refused(tmp_path / "models", fill(f"sqlite:///{tmp_path}/less.db", cut(listens, 0.4)))


@pytest.mark.usefixtures("in_process")
def test_adapter_settings_apply_and_future_dates_are_ignored(listens, tmp_path, caplog):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    fill(url, Interactions.of(user=["u0"], item=["wrong"], timestamp=[datetime(2099, 1, 1)]))
    sessions = QUICK.replace(adapter=AdapterConfig(kind="sessions", gap="10h", days=0.9))
    result = item2vec.retrain(models=tmp_path / "models", store=url, config=sessions)
    assert 1000 < result.report["data"]["interactions"] < 3840
    assert result.report["evaluation"]["protocol"]["adapter"]["gap"] == "10h"
    example = {"user": "u0", "item": "wrong", "timestamp": "2099-01-01T00:00:00+00:00"}
    assert (result.report["data"]["future"], result.report["data"]["future_example"]) == (1, example)
    (facts,) = [record.facts for record in caplog.records if "in the future are ignored" in record.message]
    assert facts == {"n": 1, **example}
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
    """Start a run whose evaluation would take hours, and yield it during the evaluation."""
    models, url, _ = healthy
    run = subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, str(models), f"{url}?timeout={2 * HANGING}"],
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


@pytest.mark.slow
@needs_proc
def test_after_sigterm_a_run_ends_and_cleans_up(running):
    run, models, url = running
    before, workers = versions.served_version(models), children_of(run.pid)
    run.terminate()
    _, stderr = run.communicate(timeout=HANGING)
    assert run.returncode == 1
    assert "stopped by SIGTERM" in stderr
    assert versions.served_version(models) == before
    assert list((models / "staging").iterdir()) == []
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    with Store(url) as store:
        assert store.runs(limit=1)[0].status == "failed"


@pytest.mark.slow
def test_after_sigterm_a_run_does_not_wait_for_a_locked_store(running):
    run, models, url = running
    before = versions.served_version(models)
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        run.terminate()
        run.communicate(timeout=HANGING)
    assert run.returncode == 1
    assert versions.served_version(models) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGKILL, 1, "the worker process ended in job 'train_and_evaluate' with signal SIGKILL"),
        (signal.SIGBUS, 5, "ended with signal SIGBUS while it read a memory-mapped file"),
    ],
)
def test_a_killed_worker_is_an_error(running, number, code, message):
    run, models, _ = running
    before = versions.served_version(models)
    (worker,) = children_of(run.pid)
    os.kill(worker, number)
    _, stderr = run.communicate(timeout=HANGING)
    assert run.returncode == code
    assert message in stderr
    assert versions.served_version(models) == before


@pytest.mark.slow
def test_the_worker_of_a_killed_run_ends_and_the_next_run_cleans_up(running):
    run, models, url = running
    (worker,) = children_of(run.pid)
    leftover = os.pidfd_open(worker)
    run.kill()
    run.wait()
    ended = select.poll()
    ended.register(leftover, select.POLLIN)
    outlives = not ended.poll(HANGING * 1000)
    if outlives:
        signal.pidfd_send_signal(leftover, signal.SIGKILL)
    os.close(leftover)
    assert not outlives
    before = versions.served_version(models)
    again = item2vec.retrain(models=models, store=url, config=QUICK)
    assert again.version.previous == before.id
    assert list((models / "staging").iterdir()) == []
    with Store(url) as store:
        interrupted = [run for run in store.runs() if run.reason == "interrupted"]
    assert {run.status for run in interrupted} == {"failed"}
