"""Tuning finds what was hidden, looks at nothing else, keeps to its budget, and goes on after a kill."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import item2vec
from item2vec import Config, Sentences, TasteConfig, fit
from item2vec.errors import ConfigError, CorruptBundleError, InputError
from item2vec.evaluation import evaluate, leave_last_out, prefix_split
from item2vec.tuning.problem import carve
from item2vec.tuning.search import SPACES, Search, family_of
from item2vec.tuning.trial import NOTHING_KNOWN, RUNGS, Known, Trial, run_trial

SMALL = {"vector_size": 16, "negative": 3, "jobs": 2}


def chains(n_sentences=300, n_items=60, length=8, seed=1):
    """Sentences that walk along a ring, mostly forward: what comes next depends on the last item alone."""
    random = np.random.default_rng(seed)
    steps = random.choice([1, 1, 1, 2, 30], size=(n_sentences, length))
    walks = (random.integers(0, n_items, (n_sentences, 1)) + steps.cumsum(axis=1)) % n_items
    return Sentences.of([[f"i{item}" for item in walk] for walk in walks])


def without_seconds(tuning):
    return tuning.config, tuning.score, tuning.trials, tuning.finals


def test_the_same_seed_and_number_of_trials_give_the_same_result():
    sentences = chains()
    found = item2vec.tune(sentences, trials=8, seed=3, epochs=8, **SMALL)
    assert without_seconds(found) == without_seconds(
        item2vec.tune(sentences, trials=8, seed=3, epochs=8, **SMALL)
    )
    assert len(found.trials) == 8
    other = item2vec.tune(sentences, trials=8, seed=4, epochs=8, **SMALL)
    assert [t.config for t in other.trials[6:]] != [t.config for t in found.trials[6:]]


def test_what_is_given_is_not_searched_and_all_else_is_in_range():
    found = item2vec.tune(chains(), trials=8, window=2, decay=0.7, **SMALL)
    assert {t.config.train.window for t in found.trials} == {2}
    assert {t.config.taste.decay for t in found.trials} == {0.7}
    assert found.config.train.vector_size == 16
    assert len({t.config.train.epochs for t in found.trials}) > 1
    for trial in found.trials:
        for name, range_ in SPACES[family_of(trial.config)].items():
            if name not in {"vector_size", "window", "short_decay", "long_decay"}:
                assert range_._contains(range_.to_internal_repr(getattr(trial.config.train, name)))


@pytest.mark.filterwarnings("ignore::item2vec.errors.LeakWarning")
def test_the_taste_that_suits_is_found():
    """On a ring, only the last item tells what comes next, and it is what follows, not what is alike."""
    found = item2vec.tune(chains(600), trials=4, metric="hr@3", objective="skipgram", **SMALL)
    assert found.config.taste.decay < 1 or found.config.taste.last_n == 3
    split = leave_last_out(chains(600, seed=9))
    tuned = evaluate(fit(split.train, found.config), split, k=3, metrics=["hr"]).metrics["hr@3"]
    plain = evaluate(fit(split.train, objective="skipgram"), split, k=3, metrics=["hr"]).metrics["hr@3"]
    assert tuned > plain


def test_the_best_is_the_best_of_the_finals():
    found = item2vec.tune(chains(), trials=6, **SMALL)
    complete = [trial for trial in found.trials if trial.state == "complete"]
    first = {trial.number: trial.score for trial in complete}
    best = max(found.finals, key=lambda trial: trial.score + first[trial.number])
    assert found.score == (best.score + first[best.number]) / 2
    assert found.config.taste == best.config.taste
    assert found.config.train.replace(seed=2) == best.config.train.replace(workers=found.config.train.workers)
    assert {t.number for t in found.finals} == {
        t.number for t in sorted(complete, key=lambda t: -t.score)[:4]
    }
    assert {t.config.train.seed for t in found.finals} == {2}
    assert found.config.train.seed == 1


@pytest.mark.parametrize(
    ("fixed", "objective"),
    [({}, "next_item"), ({"sample": 0.0}, "skipgram"), ({"cbow_mean": False}, "cbow"),
     ({"hs": True}, "skipgram"), ({"backend": "gensim"}, "skipgram"),
     ({"dropout": 0.1}, "next_item"), ({"objective": "cbow"}, "cbow")],
)  # fmt: skip
def test_the_first_trial_is_the_default_that_takes_what_is_given(fixed, objective):
    found = item2vec.tune(chains(100), trials=2, epochs=1, **SMALL, **fixed)
    first = found.trials[0].config.train
    assert first.objective == objective
    assert {name: getattr(first, name) for name in fixed} == fixed


def test_nothing_but_the_training_part_is_learned_from():
    """Validation is carved from the sentences: what is asked for stands nowhere in what is trained on."""
    sentences = Sentences.of([[f"u{user}-{place}" for place in range(6)] for user in range(50)])
    problem = carve(sentences, "ndcg@10", max_tokens=10_000, seed=1)
    asked = set(problem.split.targets.vocabulary.decode(problem.split.targets.tokens))
    trained = set(problem.split.train.vocabulary.decode(problem.split.train.tokens))
    assert asked
    assert not asked & trained


@pytest.mark.parametrize(
    ("n_sentences", "length", "held"), [(6000, 30, 1), (1000, 30, 3), (1000, 9, 1), (400, 60, 6)]
)
@pytest.mark.parametrize("filter_seen", [True, False])
def test_few_and_long_sentences_are_asked_several_times(n_sentences, length, held, filter_seen):
    sentences = chains(n_sentences, length=length)
    split = carve(sentences, "ndcg@10", max_tokens=10**9, seed=1, filter_seen=filter_seen).split
    assert len(split.train.tokens) == n_sentences * (length - held)
    expected = [(s[:-back], s[-back]) for back in range(1, held + 1) for s in sentences]
    asked = [(past, target) for past, target in expected if not (filter_seen and target in past)]
    assert 0 < len(asked) <= 20_000
    assert list(zip(split.histories, (t for (t,) in split.targets), strict=True)) == asked
    assert sum(split.dropped.values()) == len(expected) - len(asked)
    assert split.filter_seen is filter_seen


def test_large_corpora_are_searched_by_a_sample_and_decided_by_all():
    sentences = chains(800)
    sample = carve(sentences, "hr@5", max_tokens=1500, seed=1).split.train
    assert 1000 < len(sample.tokens) <= 1500
    whole = {tuple(s[:-1]) for s in sentences}
    assert all(tuple(s) in whole for s in sample)
    found = item2vec.tune(sentences, trials=3, max_tokens=1500, metric="hr@5", epochs=3, **SMALL)
    assert found.finals[0].score != found.trials[found.finals[0].number].score


def test_much_data_is_searched_with_fewer_epochs(monkeypatch):
    sentences = chains()
    monkeypatch.setattr("item2vec.tuning.study.FULL_EPOCHS_TOKENS", len(sentences.tokens) // 10)
    found = item2vec.tune(sentences, trials=8, **SMALL)
    assert found.trials[0].config.train == item2vec.TrainConfig(
        vector_size=16, negative=3, seed=1, backend="numba"
    )
    assert all(trial.config.train.epochs <= 10 for trial in found.trials[1:])  # an eighth of 80 at most
    first = {trial.number: trial.config.train.epochs for trial in found.trials}
    assert any(final.number for final in found.finals)
    for final in found.finals:
        assert final.config.train.epochs >= first[final.number] * (7 if final.number else 1)
    assert found.score >= 0.9 * found.trials[0].score  # the mean of two, if the first is the best


def test_what_was_suggested_can_be_learned_from():
    """Also where the decay meant to be the longer one was drawn below the other."""
    start = Config().with_settings(objective="next_item")
    search = Search({"objective": "next_item"}, start, seed=1)
    suggested = []
    for number in range(40):
        suggested.append(search.suggest(number))
        short, long = suggested[-1].train.context_decay
        search.show([Trial(number, suggested[-1], "complete", short - long)])
    assert len(set(suggested)) == len(suggested), "nothing is tried twice"
    assert {config.train.window for config in suggested} == {start.train.window}


def test_unordered_sentences_and_other_ways_to_carve():
    unordered = Sentences.of(list(chains(200)), ordered=False)
    assert "random" in carve(unordered, "recall@10", max_tokens=10**6, seed=1).split.protocol
    found = item2vec.tune(unordered, trials=2, metric="recall@10", epochs=3, **SMALL)
    assert found.metric == "recall@10"
    assert not carve(unordered, "recall@10", filter_seen=False, max_tokens=10**6, seed=1).few.filter_seen
    prefixes = item2vec.tune(chains(), trials=2, split=prefix_split, metric="mrr@5", epochs=3, **SMALL)
    assert 0 < prefixes.score < 1


def test_a_hopeless_trial_is_stopped_and_a_good_one_is_not():
    problem = carve(chains(), "ndcg@10", max_tokens=10**6, seed=1)
    config = Config(train=item2vec.TrainConfig(epochs=8, vector_size=8))
    free = ("decay",)
    for earlier, state in ((0.9, "stopped"), (0.0, "complete")):
        known = Known((TasteConfig(),), ((earlier,) * 5,) * len(RUNGS))
        trial = run_trial(problem, 0, config, free, known)
        assert trial.state == state
        assert len(trial.rungs) == (1 if state == "stopped" else 3)
    few = run_trial(problem, 0, config, free, Known((TasteConfig(),), ((0.9,) * 3,) * len(RUNGS)))
    assert few.state == "complete"  # three are too few to compare with


def test_a_trial_that_fails_is_told_and_not_fatal():
    problem = carve(chains(), "ndcg@10", max_tokens=10**6, seed=1)
    config = Config(train=item2vec.TrainConfig(min_count=10**6))
    trial = run_trial(problem, 0, config, (), NOTHING_KNOWN)
    assert (trial.state, trial.score) == ("failed", 0.0)
    assert "min_count" in trial.reason


def test_a_budget_ends_the_search():
    """Counted in trials, not in seconds: an endless search comes back, with what it has found."""
    found = item2vec.tune(chains(), budget="2s", **SMALL)
    assert found.trials[0].state == "complete"
    assert found.score > 0


def test_a_killed_study_goes_on(tmp_path):
    study = tmp_path / "study.jsonl"
    code = (
        "from test_tuning import *; item2vec.tune(chains(), trials=200, epochs=4, "
        f"seed=3, study={str(study)!r}, **SMALL)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    while child.poll() is None and (not study.exists() or study.read_bytes().count(b"\n") < 4):
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    with study.open("ab") as file:
        file.write(b'{"number": 3, "sta')  # as a kill in the middle of a write would leave it
    before = study.read_bytes().splitlines()[:-1]
    n_done = len(before) - 1
    assert n_done >= 3
    resumed = item2vec.tune(chains(), trials=n_done + 2, seed=3, epochs=4, study=study, **SMALL)
    assert study.read_bytes().splitlines()[: len(before)] == before
    assert len(resumed.trials) == n_done + 2
    whole = item2vec.tune(chains(), trials=n_done + 2, seed=3, epochs=4, **SMALL)
    assert without_seconds(resumed) == without_seconds(whole)


def test_a_study_is_for_one_search_only(tmp_path):
    study = tmp_path / "study.jsonl"
    item2vec.tune(chains(), trials=2, epochs=2, study=study, **SMALL)
    for changed in ({"seed": 2}, {"window": 3}, {"metric": "hr@10"}):
        with pytest.raises(ConfigError, match="give the new study a file of its own"):
            item2vec.tune(chains(), **{"trials": 2, "epochs": 2, "study": study, **SMALL, **changed})
    with pytest.raises(ConfigError, match="sentences"):
        item2vec.tune(chains(seed=5), trials=2, epochs=2, study=study, **SMALL)
    study.write_bytes(study.read_bytes() + b"{}\n")
    with pytest.raises(CorruptBundleError, match="line 4 is no trial"):
        item2vec.tune(chains(), trials=2, epochs=2, study=study, **SMALL)
    study.write_bytes(b"not json\n")
    with pytest.raises(CorruptBundleError, match="line 1 is not JSON"):
        item2vec.tune(chains(), trials=2, epochs=2, study=study, **SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "ndgc@10"}, "metric is 'ndgc@10'"),
        ({"metric": "coverage@10"}, "metric is"),
        ({"metric": "ndcg"}, "such as ndcg@10"),
        ({"budget": "soon"}, "budget is 'soon'"),
        ({"trials": 0}, "trials is 0"),
        ({"vectorsize": 3}, "did you mean 'vector_size'"),
    ],
)
def test_what_cannot_be_tuned(arguments, message):
    with pytest.raises(ConfigError, match=message):
        item2vec.tune(chains(), **arguments)


def test_nothing_to_ask():
    with pytest.raises(InputError, match="no question"):
        item2vec.tune(Sentences.of([["a"], ["b"]]), trials=1)
