"""A nightly run trains on a prepared corpus, with the same gates as on the interactions of the store."""

import shutil

import pytest
from faults.operations import without_canary
from nights import QUICK, TOML, InProcessWorker, fill, made_listens, shuffled

import item2vec
from item2vec import Interactions, Sentences
from item2vec.adapters import save_shards
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
from item2vec.retraining.jobs import Jobs

NOW = "1970-01-03T00:00:00+00:00"


@pytest.fixture(scope="module")
def listens():
    return made_listens()


@pytest.fixture
def night(listens, monkeypatch, tmp_path):
    """Return a function that runs ``retrain`` on a corpus of listens, and a store without interactions."""
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
    monkeypatch.syspath_prepend(without_canary(tmp_path))
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", listens.take(listens.user < 0))

    def run(data=listens, **settings):
        shutil.rmtree(tmp_path / "corpus", ignore_errors=True)
        save_shards(data, AdapterConfig(), tmp_path / "corpus", shards=3)
        config = QUICK.replace(corpus=str(tmp_path / "corpus"), **settings)
        return item2vec.retrain(models=tmp_path / "models", store=url, config=config)

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
    assert evaluation["split"].startswith("Split(leave-last-1-out: ")
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
    save_shards(listens.take(listens.user < 20), AdapterConfig(), tmp_path / "corpus", shards=2)
    for setting in ({"days": 1}, {"fraction": 0.2}):
        run = jobs(tmp_path / "corpus", evaluation=EvaluationConfig(**setting))
        run.snapshot(url, "", NOW)
        with pytest.raises(ConfigError, match="holds out the last item of each sentence; omit "):
            run.train_and_evaluate()


def test_the_section_adapter_names_the_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "item2vec.toml").write_text(TOML + '[adapter]\ncorpus = "corpus"\nmax_length = 50\n')
    config = retrain_config(Config(), None)
    assert (config.corpus, config.adapter) == ("corpus", AdapterConfig(max_length=50))
    assert protocol_of(config) != protocol_of(config.replace(corpus=None))
    with pytest.raises(ConfigError, match=r"--gap does not apply, .* names the corpus 'corpus'"):
        retrain_config(Config(), "30min")
