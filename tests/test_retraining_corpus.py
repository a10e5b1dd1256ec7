"""A nightly run trains on a prepared corpus, with the same gates as on the interactions of the store."""

import dataclasses
import shutil
from datetime import datetime
from functools import partial

import pytest
from faults.operations import without_canary
from nights import QUICK, TOML, InProcessWorker, changed, fill, made_listens, shuffled

import item2vec
from item2vec import Interactions, Sentences, files
from item2vec.adapters import histories, save_shards
from item2vec.cli.settings import retrain_config
from item2vec.config import AdapterConfig, Config, EvaluationConfig
from item2vec.errors import (
    ConfigError,
    CorruptBundleError,
    GateRefusedError,
    InputError,
    NothingToTrainError,
)
from item2vec.retraining.earlier_versions import protocol_of
from item2vec.retraining.jobs import Jobs, _split_of_corpus
from item2vec.retraining.prepared import PreparedCorpus
from item2vec.sharded import ShardWriter
from item2vec.store import Store
from item2vec.training.checkpoint import Checkpoint

NOW = "1970-01-03T00:00:00+00:00"
FEW = changed(epochs=2).model
"""Settings of the model that make a run shorter. A model of two epochs is not good."""


class Killed(BaseException):
    """Ends a run as SIGKILL does."""


@pytest.fixture(scope="module")
def listens():
    return made_listens()


@pytest.fixture
def night(listens, monkeypatch, tmp_path):
    """Return a function that runs ``retrain`` on a corpus of listens, and a store without interactions."""
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
    monkeypatch.syspath_prepend(without_canary(tmp_path))
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens.take(listens.user < 0))

    def run(data=listens, force=None, **settings):
        shutil.rmtree(tmp_path / "corpus", ignore_errors=True)
        save_shards(data, AdapterConfig(), tmp_path / "corpus", shards=3)
        config = QUICK.replace(corpus=str(tmp_path / "corpus"), **settings)
        return item2vec.retrain(models=tmp_path / "models", store=url, config=config, force=force)

    return run


def jobs(corpus, **settings):
    return Jobs(QUICK.replace(corpus=str(corpus), **settings))


@pytest.mark.slow
def test_a_model_of_a_corpus_is_promoted_and_a_spoiled_one_is_refused(night, listens, tmp_path):
    result = night(adapter=AdapterConfig(days=1))
    corpus = Sentences.open(tmp_path / "corpus")
    data, evaluation = result.report["data"], result.report["evaluation"]
    assert data["corpus"] == {"path": str(tmp_path / "corpus"), "fingerprint": corpus.fingerprint()}
    assert (data["interactions"], data["users"], data["items"]) == (3840, 240, 144)
    assert evaluation["split"].startswith("Split(temporal from 1970-01-02T")
    assert evaluation["queries"] > 100
    model = item2vec.load(tmp_path / "models")
    assert model.recommend(["g0 s0 é", "g0 s1 é"], k=3)[0].item.startswith("g0 ")
    assert model.adapter.since is not None
    assert model.adapter.days is None
    with pytest.raises(GateRefusedError, match="beats_popularity"):
        night(shuffled(listens), adapter=AdapterConfig(days=1))
    with pytest.raises(GateRefusedError, match="interactions_growth"):
        night(listens.take(listens.user < 100), adapter=AdapterConfig(days=1))
    assert item2vec.load(tmp_path / "models").recommend(["g0 s0 é"], k=1) == model.recommend(["g0 s0 é"], k=1)


def test_a_corpus_that_is_missing_changed_or_damaged_is_an_error(listens, tmp_path):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens.take(listens.user < 0))
    with pytest.raises(InputError, match="there is no such folder; expected a folder of item2vec prepare"):
        jobs(tmp_path / "corpus").snapshot(url, "", NOW)
    save_shards(listens.take(listens.user < 20), AdapterConfig(), tmp_path / "corpus", shards=2)
    run = jobs(tmp_path / "corpus")
    run.snapshot(url, "", NOW)
    shutil.rmtree(tmp_path / "corpus")
    save_shards(listens.take(listens.user < 21), AdapterConfig(), tmp_path / "corpus", shards=2)
    with pytest.raises(CorruptBundleError, match="changed during the run"):
        run.train(None)
    tokens = tmp_path / "corpus" / "00001" / "tokens.npy"
    tokens.chmod(0o644)
    content = bytearray(tokens.read_bytes())
    content[-1] ^= 1
    tokens.write_bytes(content)
    with pytest.raises(CorruptBundleError, match=r"tokens\.npy"):
        jobs(tmp_path / "corpus").snapshot(url, "", NOW)


def test_without_pairs_there_is_nothing_to_train_and_days_do_not_split_a_corpus(listens, tmp_path):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens.take(listens.user < 0))
    save_shards(
        Interactions.of(user=["u", "v"], item=["a", "b"]), AdapterConfig(), tmp_path / "one", shards=1
    )
    with pytest.raises(NothingToTrainError, match="holds no sentence of two items"):
        jobs(tmp_path / "one").snapshot(url, "", NOW)
    visits = AdapterConfig(kind="sessions", gap="1h")
    save_shards(listens.take(listens.user < 20), visits, tmp_path / "corpus", shards=2)
    for setting in ({"days": 1}, {"fraction": 0.2}):
        run = jobs(tmp_path / "corpus", evaluation=EvaluationConfig(**setting))
        assert run.snapshot(url, "", NOW)["split"] == "leave-last-out"
        with pytest.raises(ConfigError, match="holds out the last item of each sentence; omit "):
            run.train_and_evaluate()


def test_the_section_adapter_names_the_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "item2vec.toml").write_text(
        f'checkpoint = "state"\n{TOML}[adapter]\ncorpus = "corpus"\nmax_length = 50\n'
    )
    config = retrain_config(Config(), None)
    assert (config.corpus, config.adapter) == ("corpus", AdapterConfig(max_length=50))
    assert config.checkpoint == "state"
    assert protocol_of(config) != protocol_of(config.replace(corpus=None))
    with pytest.raises(ConfigError, match=r"--gap does not apply, .* names the corpus 'corpus'"):
        retrain_config(Config(), "30min")


def save_with_users(lists, path):
    """Write a corpus of one shard, with the sentences and the vocabulary in this order."""
    with ShardWriter(path, lists.vocabulary.ids, lists.counts(), columns=["timestamps"]) as writer:
        users = [f"u{number}" for number in range(len(lists))]
        writer.write(0, lists.tokens, lists.offsets, None, lists.timestamps, users)
        writer.finish()


@pytest.mark.parametrize("held_out", [{}, {"days": 0.2}], ids=str)
def test_a_corpus_is_evaluated_as_the_interactions_of_the_store(listens, tmp_path, held_out):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens)
    with Store(url) as store:
        save_with_users(histories(store.interactions()), tmp_path / "corpus")
    settings = {"model": FEW, "evaluation": EvaluationConfig(**held_out)}
    evaluations = []
    for run in (Jobs(QUICK.replace(**settings)), jobs(tmp_path / "corpus", **settings)):
        assert run.snapshot(url, str(tmp_path / "snapshot"), NOW)["split"] == "temporal"
        evaluations.append({k: v for k, v in run.train_and_evaluate().items() if k != "seconds"})
    assert evaluations[0] == evaluations[1]
    assert evaluations[0]["queries"] > 100


def test_a_wrong_date_does_not_move_the_test_part_of_a_corpus(listens, tmp_path, caplog):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens.take(listens.user < 0))
    times = listens.timestamp.copy()
    times[0] = 4_000_000_000_000_000  # in 2096
    splits = []
    for name, timestamp in (("right", listens.timestamp), ("wrong", times)):
        save_shards(
            dataclasses.replace(listens, timestamp=timestamp), AdapterConfig(), tmp_path / name, shards=2
        )
        run = jobs(tmp_path / name, evaluation=EvaluationConfig(days=0.2))
        run.snapshot(url, "", NOW)
        splits.append(_split_of_corpus(run.corpus, run.config.evaluation))
    assert splits[0].protocol == splits[1].protocol
    assert "1 tokens of" in caplog.text


def test_sentences_without_users_are_not_split_by_time(listens, tmp_path):
    histories(listens).save(tmp_path / "corpus", shards=2)
    corpus = PreparedCorpus(str(tmp_path / "corpus"), datetime.fromisoformat(NOW))
    assert corpus.lacking == "user ids; the corpus has none, so its sentences may be sessions"


def test_after_a_change_of_the_split_scores_are_not_compared(night):
    undated = dataclasses.replace(few := made_listens(60), timestamp=None)
    reports = [night(data, "a test", model=FEW).report for data in (undated, few, few)]
    splits = [report["evaluation"]["protocol"]["split"] for report in reports]
    assert splits == ["leave-last-out", "temporal", "temporal"]
    _, changed_split, same = ({gate["name"]: gate for gate in report["gates"]} for report in reports)
    assert changed_split["against_live"]["what"].endswith(
        "another protocol: its split is 'leave-last-out', and that of this run is 'temporal'"
    )
    assert "no promotion evaluated by this protocol" in changed_split["against_median"]["what"]
    assert same["against_live"]["least"] == pytest.approx(0.8 * same["against_live"]["value"])
    assert "the median of the last 1 promotions" in same["against_median"]["what"]


def test_a_killed_run_continues_its_trainings(night, monkeypatch, tmp_path, caplog):
    """Of each training, all six shards of two epochs are trained once, and the bytes are the same."""
    night, few = partial(night, force="a test"), made_listens(60)
    undisturbed = night(few, model=FEW)
    monkeypatch.setattr(files, "flush", lambda _: None)  # the time of the disk
    honest, trained = Checkpoint.save, []

    def save(self, state, trainer):
        honest(self, state, trainer)
        trained.append(self.folder.name)
        if len(trained) in {2, 6, 11}:
            raise Killed

    monkeypatch.setattr(Checkpoint, "save", save)
    settings = {"model": FEW, "checkpoint": str(tmp_path / "checkpoint")}
    with pytest.raises(Killed):
        night(few, **settings | {"model": changed(epochs=2, seed=2).model})
    for _ in range(2):
        with pytest.raises(Killed):
            night(few, **settings)
    resumed = night(few, **settings)
    assert trained == ["evaluation"] * (2 + 6) + ["model"] * 6
    assert caplog.text.count("the training starts anew: checkpoint") == 1
    first, second = (
        {path.name: path.read_bytes() for path in result.version.path.iterdir() if path.suffix != ".json"}
        for result in (undisturbed, resumed)
    )
    assert first == second
    assert list((tmp_path / "checkpoint").iterdir()) == []
    monkeypatch.setattr(Checkpoint, "save", killed_after(honest))
    with pytest.raises(Killed):
        night(few, **settings)
    before = sorted(path for path in (tmp_path / "checkpoint").rglob("*") if path.is_file())
    with pytest.raises(GateRefusedError, match="interactions_growth"):
        night(few.take(few.user < 20), force=None, **settings)
    assert before == sorted(path for path in (tmp_path / "checkpoint").rglob("*") if path.is_file())
    monkeypatch.setattr(Checkpoint, "save", save)
    with pytest.raises(GateRefusedError):
        night(shuffled(few), force=None, **settings)
    assert trained[14:] == ["evaluation"] * 6
    assert list((tmp_path / "checkpoint").iterdir()) == []


def killed_after(honest):
    def save(self, state, trainer):
        honest(self, state, trainer)
        raise Killed

    return save


def test_a_damaged_checkpoint_is_removed_and_any_other_error_is_raised(listens, tmp_path, caplog):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens.take(listens.user < 0))
    save_shards(listens.take(listens.user < 20), AdapterConfig(), tmp_path / "corpus", shards=1)
    run = jobs(tmp_path / "corpus", model=FEW, checkpoint=str(tmp_path / "checkpoint"))
    run.snapshot(url, "", NOW)
    trained = run.train(None)
    (state,) = (tmp_path / "checkpoint" / "model").iterdir()
    (state / "output.npy").unlink()
    assert run.train(None) == trained
    assert "the training starts anew" in caplog.text
    run.config = run.config.replace(model=Config().with_settings(objective="lsa", vector_size=8))
    with pytest.raises(ConfigError, match="checkpoint cannot be set with objective='lsa'"):
        run.train(None)
    assert len(list((tmp_path / "checkpoint" / "model").iterdir())) == 1
