"""Tuning holds out validation queries, and returns the default unless a finalist is significantly better."""

import dataclasses
import logging
import re
import warnings
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import optuna
import pytest

import item2vec
from item2vec import Config, Interactions, Sentences, TasteConfig, Vocabulary, adapters
from item2vec.config import AdapterConfig
from item2vec.errors import (
    ConfigError,
    InputError,
    InputTypeError,
    LeakWarning,
    NothingToTrainError,
    TuningWarning,
)
from item2vec.evaluation import leave_last_out, temporal_split
from item2vec.tuning.finalists import decide, lower_bounds, train_rounds, users_of_rounds
from item2vec.tuning.problem import make_problem, users_of
from item2vec.tuning.sampler import SPACES, Sampler, family_of
from item2vec.tuning.starts import starts_of
from item2vec.tuning.trial import DEFAULT_WITH_BEST_TASTE, Limits, Trial, run_trial


def chains(n_sentences=60, n_items=30, length=6, seed=1):
    """Return walks along a ring, mostly forward. The next item depends on the last item only."""
    random = np.random.default_rng(seed)
    steps = random.choice([1, 1, 1, 2, 15], size=(n_sentences, length))
    walks = (random.integers(0, n_items, (n_sentences, 1)) + steps.cumsum(axis=1)) % n_items
    return Sentences.of([[f"i{item}" for item in walk] for walk in walks])


def events(n_users=30, n_days=40, seed=1):
    """Return one interaction per user and day."""
    random = np.random.default_rng(seed)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [
        (f"u{user}", start + timedelta(days=day, minutes=user))
        for day in range(n_days)
        for user in range(n_users)
    ]
    items = [f"i{item}" for item in random.integers(0, 200, len(rows))]
    return Interactions.of(user=[u for u, _ in rows], item=items, timestamp=[at for _, at in rows])


class World:
    """Simulated training. A trial takes ``seconds(config)`` of a fake clock. Its score is ``worth(config)``.

    Queries differ in difficulty, and every training adds noise to the score of each query.
    """

    def __init__(self, worth, seconds=lambda config: 1.0, noise=0.0, best_taste=None):
        self.worth, self.seconds, self.noise, self.best_taste = worth, seconds, noise, best_taste
        self.time = 0.0
        self.trained = []

    def now(self):
        return self.time

    def train_again(self, problem, configs, fold):
        return [self.run_trial(problem, n, config, (), None, Limits(), fold) for n, config in configs.items()]

    def run_trial(self, problem, number, config, free, earlier=None, limits=None, fold=None, tastes=None):
        cost, started = self.seconds(config), self.time

        for left in (None, 3, 2, 1):  # remaining quarters of the training
            self.time += 0.0 if left is None else cost / 4
            if reason := limits.reason_to_stop(0.0 if left is None else cost * left / 4):
                return Trial(number, config, "unfinished", 0.0, (), reason, self.time - started)
        self.time += cost / 4
        n = len(problem.searched if fold is None else problem.folds[fold])
        self.trained.append((number, config, fold, n))
        difficulty = np.random.default_rng(fold or 0).normal(0, 0.1, n)
        noise = np.random.default_rng(len(self.trained)).normal(0, 1, n) * self.noise
        tastes = dict(tastes or {})
        if number == 0 and free and self.best_taste:
            tastes[DEFAULT_WITH_BEST_TASTE] = self.best_taste

        def evaluated(number, config):
            values = self.worth(config) + difficulty + noise
            return Trial(number, config, "complete", float(values.mean()), values=values)

        others = tuple(evaluated(other, config.replace(taste=taste)) for other, taste in tastes.items())
        return dataclasses.replace(evaluated(number, config), seconds=self.time - started, others=others)


@pytest.fixture
def world(monkeypatch):
    def make(*args, **kwargs):
        made = World(*args, **kwargs)
        monkeypatch.setattr("item2vec.tuning.workers.run_trial", made.run_trial)
        return made

    return make


def is_default(config):
    return config == starts_of({"seed": config.train.seed})["next_item"]


# Validation


@pytest.mark.parametrize(
    ("data", "protocol", "expected"),
    [
        (chains(), None, "last"),
        (Sentences.of(list(chains()), ordered=False), None, "random"),
        (events(), None, "temporal"),
        (events(), "last", "last"),
        (events(), "prefix", "prefix"),
        (chains(), "prefix", "prefix"),
        (dataclasses.replace(events(), timestamp=None), None, "last"),
        (adapters.histories(events()), None, "temporal"),
        (adapters.histories(events()), "last", "last"),
    ],
)
def test_the_default_protocol_depends_on_the_data(data, protocol, expected):
    problem = make_problem(data, "ndcg@10", protocol=protocol, max_tokens=10**6, seed=1)
    assert problem.protocol == expected
    assert problem.folds[0].filter_seen == (expected != "prefix")
    assert all(len(fold) for fold in problem.folds)


@pytest.mark.parametrize("protocol", ["last", "prefix", "temporal", "random"])
def test_no_target_is_in_the_training_part(protocol):
    """All items are distinct, so a target must not occur in the training part of its fold."""
    data = events()
    data = dataclasses.replace(
        data,
        items=Vocabulary(tuple(f"i{row}" for row in range(len(data)))),
        item=np.arange(len(data), dtype=np.int32),
    )
    problem = make_problem(data, "ndcg@10", protocol=protocol, max_tokens=10**6, seed=1)
    assert len(problem.folds) > 1
    for fold in problem.folds:
        targets = set(fold.targets.vocabulary.decode(fold.targets.tokens))
        assert targets
        assert not targets & set(fold.train.vocabulary.decode(fold.train.tokens))
    if protocol == "temporal":
        newest, *older = problem.folds
        assert all(fold.spans["test"][1] < newest.spans["test"][0] for fold in older)


@pytest.mark.parametrize("protocol", ["last", "prefix", "random"])
def test_disliked_items_are_no_targets(protocol):
    data = chains()
    data = dataclasses.replace(data, weights=np.random.default_rng(1).choice([-1, 1, 2], data.n_tokens))
    problem = make_problem(data, "ndcg@10", protocol=protocol, max_tokens=10**6, seed=1)
    assert all((fold.targets.weights > 0).all() for fold in problem.folds)
    assert all("held-out tokens of negative weight" in " ".join(fold.dropped) for fold in problem.folds)


def test_the_temporal_protocol_equals_temporal_split():
    data = events()
    expected = temporal_split(data)
    newest = make_problem(data, "ndcg@10", max_tokens=10**6, seed=1).folds[0]
    assert newest.train.fingerprint() == expected.train.fingerprint()
    assert list(newest.targets) == list(expected.targets)
    of_sentences = make_problem(adapters.histories(data), "ndcg@10", max_tokens=10**6, seed=1)
    assert of_sentences.protocol == "temporal"
    assert of_sentences.folds[0].train.fingerprint() == expected.train.fingerprint()
    assert list(of_sentences.folds[0].histories) == list(expected.histories)
    assert of_sentences.timed
    by_session = partial(adapters.sessions, gap="2h")
    sessions = make_problem(data, "ndcg@10", adapter=by_session, max_tokens=10**6, seed=1)
    unordered = make_problem(adapters.histories(data, ordered=False), "ndcg@10", max_tokens=10**6, seed=1)
    assert (unordered.protocol, unordered.ordered, of_sentences.ordered) == ("temporal", False, True)
    assert list(unordered.folds[0].histories) == list(expected.histories)
    assert set(sessions.folds[0].train.lengths) == {1}
    assert sessions.folds[0].histories.lengths.min() > 1


def test_sessions_are_not_split_by_time(caplog, tmp_path):
    """Of visits, most queries would have no history. Of concurrent sessions, only a corpus has the users."""
    data = events()
    day = np.arange(len(data), dtype=np.int32) // len(data.users)
    names = Vocabulary(tuple("abcdefghij"))
    visits = adapters.sessions(dataclasses.replace(data, session=day // 4, sessions=names))
    caplog.set_level(logging.INFO, "item2vec")
    problem = make_problem(visits, "ndcg@10", max_tokens=10**6, seed=1)
    assert (problem.protocol, problem.few.histories.lengths.min()) == ("last", 3)
    assert "validation is not split by time, because 30 of 30 queries would have no history" in caplog.text
    concurrent = dataclasses.replace(data, session=day % 2, sessions=names)
    adapters.save_shards(concurrent, AdapterConfig(kind="sessions"), tmp_path / "corpus", shards=2)
    corpus = Sentences.open(tmp_path / "corpus")
    for sentences, protocol in ((corpus, "last"), (corpus.whole(), "temporal")):
        assert make_problem(sentences, "ndcg@10", max_tokens=10**6, seed=1).protocol == protocol
    assert "because the corpus has several sentences of a user" in caplog.text
    with pytest.raises(
        ConfigError, match="needs one sentence per user, but the corpus has several sentences"
    ):
        make_problem(corpus, "ndcg@10", protocol="temporal", max_tokens=10**6, seed=1)


def test_the_same_user_has_the_same_number_in_all_folds():
    data = events()
    for protocol in ("last", "temporal"):
        problem = make_problem(data, "ndcg@10", protocol=protocol, max_tokens=10**6, seed=1)
        histories = list(adapters.histories(data))
        for fold in (problem.searched, *problem.folds):
            for user, history in zip(users_of(fold), fold.histories, strict=True):
                assert histories[user][: len(history)] == history
    sessions = make_problem(chains(), "ndcg@10", protocol="prefix", max_tokens=10**6, seed=1)
    newest, before, *_ = map(set, map(users_of, sessions.folds))
    assert not newest & before


@pytest.mark.parametrize(("repeats", "n_queries"), [(None, 1), (False, 1), (True, 2)])
def test_seen_items_are_targets_only_with_repeats(repeats, n_queries):
    sentences = Sentences.of([["a", "b", "c"], ["a", "b", "a"]])
    problem = make_problem(sentences, "ndcg@10", repeats=repeats, max_tokens=100, seed=1)
    assert len(problem.folds[0]) == n_queries
    assert problem.folds[0].filter_seen is not (repeats or False)
    assert (
        len(make_problem(sentences, "ndcg@10", protocol="prefix", repeats=False, max_tokens=100, seed=1).few)
        == 1
    )


@pytest.mark.parametrize(
    ("n_sentences", "length", "held", "folds"),
    [(6000, 12, 1, 1), (3000, 9, 2, 2), (500, 30, 7, 3), (500, 9, 2, 3)],
)
def test_few_and_long_sentences_make_several_queries_each_in_the_search_only(
    n_sentences, length, held, folds
):
    """The finals query for the last item only, as leave_last_out does."""
    sentences = Sentences.of(
        [[f"i{(start + step) % 50}" for step in range(length)] for start in range(n_sentences)]
    )
    problem = make_problem(sentences, "ndcg@10", max_tokens=10**9, seed=1)
    searched = problem.searched
    assert len(searched.train.tokens) == n_sentences * (length - held)
    expected = [(tuple(s[:-back]), s[-back]) for s in sentences for back in range(1, held + 1)]
    queries = [(tuple(h), t[0]) for h, t in zip(searched.histories, searched.targets, strict=True)]
    assert sorted(queries) == sorted(expected)
    assert len(problem.folds) == folds
    remaining = sentences
    for fold in problem.folds:
        with pytest.warns(LeakWarning):
            split = leave_last_out(remaining)
        remaining = split.train
        assert fold.train.fingerprint() == fold.histories.fingerprint() == remaining.fingerprint()
        assert list(fold.targets) == list(split.targets)


def test_a_sample_has_whole_sentences_or_users():
    sample = make_problem(chains(), "hr@5", max_tokens=150, seed=1).folds[0].train
    assert 100 < len(sample.tokens) <= 150
    assert {tuple(s) for s in sample} <= {tuple(s[:-1]) for s in chains()}
    train = make_problem(events(), "hr@5", max_tokens=200, seed=1).folds[0].train
    assert {len(s) for s in train if s} == {36}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "ndgc@10"}, "metric is 'ndgc@10'"),
        ({"metric": "coverage@10"}, "metric is"),
        ({"metric": "ndcg"}, "such as ndcg@10"),
        ({"metric": "ndcg@10", "k": 5}, "k is 5, and metric is 'ndcg@10'; expected k with a function only"),
        ({"metric": lambda *_: 0}, "has the name '<lambda>'; expected a function made by def"),
        ({"budget": "soon"}, "budget is 'soon'"),
        ({"trials": 0}, "trials is 0"),
        ({"jobs": 0}, "jobs is 0; expected an integer of at least 1"),
        ({"jobs": -1}, "jobs is -1; expected an integer of at least 1"),
        ({"jobs": 1.5}, "jobs is 1.5; expected an integer of at least 1"),
        ({"jobs": True}, "jobs is True; expected an integer of at least 1"),
        ({"max_tokens": 0}, "max_tokens is 0; expected an integer of at least 1"),
        ({"vectorsize": 3}, "did you mean 'vector_size'"),
        ({"protocol": "lest"}, "protocol is 'lest'"),
        ({"protocol": "temporal"}, "needs timestamps"),
        ({"objective": "sgns"}, "sgns"),
    ],
)
def test_errors_of_arguments(arguments, message):
    with pytest.raises(ConfigError, match=message):
        item2vec.tune(chains(), **arguments)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda hits: 1.0, r"metric 'own' returned an array of shape \(1,\); expected \(\d+,\), one number"),
        (lambda hits: hits[:, 0] / 0.0, "metric 'own' returned nan for query 0; expected a finite number"),
        (lambda hits: ["a"] * len(hits), "metric 'own': found .*; expected numbers"),
    ],
)
def test_a_function_is_checked_before_the_first_training(world, returned, message):
    def own(hits, n_targets, k):
        with np.errstate(invalid="ignore"):
            return returned(hits)

    made = world(lambda config: 0.2)
    with pytest.raises(InputError, match=message):
        item2vec.tune(chains(), metric=own, trials=1)
    assert made.trained == []


def test_a_failed_trial_does_not_lead_a_search_by_a_negative_metric():
    starts = starts_of({"seed": 1})
    sampler = Sampler(starts, {}, 1, share=1.0, n_tokens=10**5, ordered=True)
    sampler.observe(
        [
            Trial(0, starts["next_item"], "complete", -3.0),
            Trial(1, starts["skipgram"], "failed", 0.0),
            Trial(2, starts["cbow"], "failed", 0.0),
        ]
    )
    assert family_of(sampler.suggest(1000)) == "next_item"


def test_earlier_items_are_the_targets_if_no_last_item_can_be_one():
    """The last item of each sentence occurs earlier, so that recommendations exclude it."""
    ring = [f"i{item}" for item in range(20)]
    lists = Sentences.of([[*ring, "i0"], [*ring[::-1], "i19"]])
    problem = make_problem(lists, "ndcg@10", protocol="last", max_tokens=10**6, seed=1)
    targets = " ".join(one[0] for one in problem.searched.targets)
    assert targets == "i19 i0 i18 i1 i17 i2 i16 i3"
    assert problem.folds == (problem.searched,)
    assert set(problem.searched.train[0]) == set(ring[:16])
    short = make_problem(Sentences.of([list("abca")] * 3), "ndcg@10", protocol="last", max_tokens=99, seed=1)
    assert list(short.searched.targets) == [["c"]] * 3


def test_errors_of_data():
    with pytest.raises(InputError, match="makes 0 queries"):
        item2vec.tune(Sentences.of([["a"], ["b"]]), trials=1)
    message = "data is of type list; expected Sentences, ShardedSentences or Interactions"
    with pytest.raises(InputTypeError, match=message):
        item2vec.tune([["a", "b"]], trials=1)


# The decision: the default, or a better finalist


def test_a_better_configuration_replaces_the_default_and_noise_does_not(world):
    def better(config):
        return 0.3 if config.train.objective == "cbow" else 0.2

    world(better, noise=0.02)
    tuning = item2vec.tune(chains(), trials=9, jobs=1)
    assert tuning.config.train.objective == "cbow"
    assert 0 < tuning.gain.low < tuning.gain.value < tuning.gain.high
    assert tuning.default.value == pytest.approx(0.2, abs=0.03)
    assert tuning.chosen.value == pytest.approx(tuning.default.value + tuning.gain.value)
    assert tuning.score == tuning.chosen.value
    world(lambda config: 0.2, noise=0.1)
    kept = item2vec.tune(chains(), trials=30, jobs=1)
    assert max(trial.score for trial in kept.trials) > kept.trials[0].score + 0.01, (
        "some trials had a lucky score"
    )
    assert is_default(kept.config)
    assert kept.chosen == kept.default


def test_noise_is_seldom_a_significant_gain():
    """If all finalists are as good as the default, one of them replaces it in about one of twenty runs."""
    problem = make_problem(chains(), "ndcg@10", max_tokens=10**6, seed=1)
    candidates = {number: Config().with_settings(epochs=number + 1) for number in range(5)}
    replaced = 0
    for run in range(100):
        made = World(lambda config: 0.2, noise=0.1)
        made.trained = [None] * 10 * run  # other noise
        rounds = train_rounds(made, problem, candidates)
        users = users_of_rounds(problem, rounds)
        replaced += decide(candidates, rounds, users, seed=1).config != candidates[0]
    assert 1 <= replaced <= 10


@pytest.mark.parametrize("n_users", [2, 3, 5])
def test_noise_of_few_users_is_seldom_a_significant_gain(n_users):
    """Each user has three queries. Bounds of normal errors are above 0 in 21, 16 and 10 % of the runs."""
    noise = np.random.default_rng(1).normal(size=(600, n_users, 1)).repeat(3, axis=1)
    users = np.arange(n_users).repeat(3)
    found = [lower_bounds(gains.reshape(-1, 1), users, seed=run)[0] > 0 for run, gains in enumerate(noise)]
    assert np.mean(found) == pytest.approx(0.05, abs=0.025)


def test_the_queries_of_one_user_prove_no_gain(world):
    world(lambda config: 0.2 if is_default(config) else 0.3)
    with pytest.warns(TuningWarning, match="with validation queries is 1; expected at least 10"):
        tuning = item2vec.tune(events(n_users=1), trials=3, jobs=1)
    assert is_default(tuning.config)
    assert tuning.gain.value == pytest.approx(0.1)


def test_finalists_are_trained_with_other_seeds_on_all_folds(world):
    made = world(lambda config: 0.2 if is_default(config) else 0.3 - 0.001 * config.train.epochs)
    tuning = item2vec.tune(events(), trials=12, jobs=1, seed=2**32 - 1)
    searched, finals = made.trained[:12], made.trained[12:]
    assert {(config.train.seed, fold) for _, config, fold, _ in searched} == {(2**32 - 1, None)}
    assert [(config.train.seed, fold) for n, config, fold, _ in finals if n == 0] == [(0, 0), (1, 1), (2, 2)]
    candidates = {number for number, *_ in finals}
    assert len(candidates) == 5
    assert len(tuning.finals) == len(finals)
    assert tuning.config.train.seed == 2**32 - 1
    not_default = [trial for trial in tuning.trials if trial.config != tuning.trials[0].config]
    best = sorted(not_default, key=lambda trial: -trial.score)[:4]
    assert candidates - {0} == {trial.number for trial in best}


def test_the_default_is_finished_and_returned_whatever_the_budget(world):
    made = world(lambda config: 0.2, seconds=lambda config: 100.0)
    with pytest.warns(TuningWarning, match="about [0-9]+ min would suffice") as caught:
        tuning = item2vec.tune(chains(), budget="5s", jobs=1, now=made.now)
    assert is_default(tuning.config)
    assert tuning.trials[0].state == "complete"
    assert tuning.gain is None
    assert tuning.default.low < 0.2 < tuning.default.high
    assert tuning.unfinished == ("skipgram", "cbow")
    assert tuning.warnings == tuple(str(warning.message) for warning in caught)
    assert "skipgram, cbow" in tuning.warnings[0]
    assert "compare any other configuration" in tuning.warnings[1]
    assert "about" in repr(tuning)


def test_an_unconfirmed_score_is_named_and_a_study_goes_on(world, tmp_path):
    """Two trials of 30 s fit into the half of the budget that is not reserved for the finals.

    The other half is too short to train both again.
    """

    def search(budget, study=tmp_path / "study"):
        made = world(
            lambda config: 0.2 if config.train.objective == "next_item" else 0.3, seconds=lambda config: 30.0
        )
        return item2vec.tune(chains(), budget=budget, jobs=1, now=made.now, study=study)

    with pytest.warns(TuningWarning):
        small = search("121s")
    assert (is_default(small.config), small.gain) == (True, None)
    assert re.search(
        r"compare any other configuration with the default: the score of trial 1 on validation, 0\.3[0-9]+ "
        r"\(default 0\.2[0-9]+\), was not confirmed by a second training; about [0-9]+ min would suffice",
        small.warnings[-1],
    )
    with pytest.warns(TuningWarning):
        again = search("1s")
    assert (repr(again.default), again.default.interval) == (f"{again.default.value:.4f}", None)
    assert "nan" not in repr(again) + again._repr_html_() + again.plot().to_json().lower()
    larger = search("10min")
    assert larger.trials[:2] == small.trials[:2]
    assert larger.config.train.objective != "next_item"


def test_a_limit_of_trials_is_not_reported_as_a_small_budget(world):
    made = world(lambda config: 0.2, seconds=lambda config: 1.0)
    tuning = item2vec.tune(chains(), budget="1h", trials=1, jobs=1, now=made.now)
    assert (len(tuning.trials), tuning.warnings) == (1, ())
    assert tuning.unfinished


@pytest.mark.parametrize(("gain", "n_used"), [(0.0, 20), (0.01, 20), (0.01, 57)])
def test_the_best_taste_of_the_default_needs_no_second_training(world, monkeypatch, gain, n_used):
    """The budget allows one training; its vectors are evaluated with two tastes, on unused queries."""
    monkeypatch.setattr("item2vec.tuning.problem.FEW_QUERIES", n_used)
    mixed = TasteConfig(mixture=2.0)
    made = world(lambda config: 0.2 + gain * (config.taste.mixture or 0), lambda _: 100.0, best_taste=mixed)
    with pytest.warns(TuningWarning) as caught:
        tuning = item2vec.tune(chains(), budget="5s", jobs=1, now=made.now)
    assert len(made.trained) == 1
    is_better = gain and n_used == 20  # the queries of three users prove little
    default = tuning.trials[0].config
    assert tuning.config == (default.replace(taste=mixed) if is_better else default)
    assert tuning.gain.value == pytest.approx(2 * gain)
    assert not any("compare" in str(warning.message) for warning in caught)
    assert not any("number of users" in str(warning.message) for warning in caught)  # the data have 60


def test_queries_of_users_that_chose_a_taste_do_not_evaluate_it(monkeypatch):
    monkeypatch.setattr("item2vec.tuning.problem.FEW_QUERIES", 5)
    problem = make_problem(chains(), "ndcg@10", protocol="prefix", max_tokens=10**6, seed=1)
    users = users_of(problem.searched)
    assert len(problem.few) == 5
    assert len(problem.unused_rows()) > 0
    assert not {*users[problem.few_rows]} & {*users[problem.unused_rows()]}


def test_finalists_with_the_same_training_share_it(world):
    mixed = TasteConfig(mixture=2.0)
    made = world(lambda config: 0.2 + 0.01 * (config.taste.mixture or 0), best_taste=mixed)
    tuning = item2vec.tune(chains(), trials=1, jobs=1)
    assert tuning.config.taste == mixed
    assert [number for number, *_ in made.trained] == [0, 0, 0, 0], "one search trial, three rounds of finals"
    assert [trial.number for trial in tuning.finals] == [0, -1] * 3


def test_a_slow_family_is_not_replaced_by_a_faster_and_worse_one(world):
    """Only skip-gram can be finished beside the default, and it is worse."""
    made = world(
        lambda config: 0.07 if config.train.objective == "next_item" else 0.05,
        seconds=lambda config: 150.0 if config.train.objective == "next_item" else 20.0,
        noise=0.01,
    )
    with pytest.warns(TuningWarning):
        tuning = item2vec.tune(chains(), budget="6min", jobs=1, now=made.now)
    assert tuning.config.train.objective == "next_item"
    assert {trial.state for trial in tuning.trials if trial.number} == {"complete", "unfinished"}


@pytest.mark.parametrize("budget", [30, 60])
def test_the_budget_is_kept_and_suffices_without_a_warning(world, budget):
    made = world(
        lambda config: 0.2 + 0.001 * config.train.epochs,
        seconds=lambda config: 0.05 * config.train.epochs,
        noise=0.01,
    )
    tuning = item2vec.tune(chains(), budget=budget, jobs=1, now=made.now)
    assert made.time <= budget + 1  # the longest trial takes 4 s, and is stopped after a quarter
    assert tuning.warnings == ()
    assert tuning.gain.low > 0
    assert len(tuning.finals) >= 4


def test_the_recommended_budget_suffices(world):
    made = world(lambda config: 0.2, seconds=lambda config: 30.0)
    with pytest.warns(TuningWarning):
        (text, *_) = item2vec.tune(chains(), budget="1min", jobs=1, now=made.now).warnings
    minutes = text.partition("about ")[2].split()[0]
    made = world(lambda config: 0.2, seconds=lambda config: 30.0)
    assert item2vec.tune(chains(), budget=f"{minutes}min", jobs=1, now=made.now).warnings == ()


def test_errors_of_a_default_that_cannot_be_trained(tmp_path):
    for _ in range(2):  # the second call reads trial 0 from the study
        with pytest.raises(
            NothingToTrainError, match=r"default configuration cannot be trained: .*min_count"
        ):
            item2vec.tune(chains(), trials=2, min_count=10**6, study=tmp_path / "s.jsonl")


# The search


@pytest.mark.parametrize(("size", "n_parts"), [(384, 3), (64, 2), (25, 1)])
def test_next_item_accepts_any_fixed_vector_size(size, n_parts):
    start = starts_of({"vector_size": size})["next_item"].train
    assert (start.vector_size, len(start.context_decay)) == (size, n_parts)


@pytest.mark.parametrize("seed", [0, 42_949, 2**32 - 1])
def test_every_seed_makes_different_suggestions(seed):
    for family in ({"objective": "next_item"}, {"objective": "cbow"}):
        sampler = Sampler(starts_of({"seed": seed, **family}), family, seed)
        assert sampler.suggest(1000) != sampler.suggest(1001)


def test_a_fixed_mixture_is_evaluated_with_its_table():
    tuning = item2vec.tune(chains(), trials=1, mixture=2.0, repeat_bonus=1.0, jobs=1, epochs=1, vector_size=6)
    tastes = [trial.config.taste for trial in tuning.trials]
    assert {(taste.mixture, taste.repeat_bonus) for taste in tastes} == {(2.0, 1.0)}
    assert all(trial.state == "complete" for trial in tuning.trials)


def test_a_fixed_popularity_prior_is_counted_on_each_training_part():
    tuning = item2vec.tune(chains(), trials=1, popularity=2.0, jobs=1, epochs=1, vector_size=6)
    assert {trial.config.taste.popularity for trial in tuning.trials} == {2.0}
    assert all(trial.state == "complete" for trial in tuning.trials)


def test_fixed_settings_are_not_searched_and_all_others_are_in_range(world):
    world(lambda config: 0.001 * config.train.epochs)
    tuning = item2vec.tune(chains(), trials=40, window=2, last_n=7, jobs=1)
    assert {t.config.train.window for t in tuning.trials} == {2}
    assert {t.config.taste.last_n for t in tuning.trials} == {7}
    for trial in tuning.trials:
        for name, range_ in SPACES[family_of(trial.config)].items():
            if name in trial.config.train.model_dump() and name != "window" and trial.number:
                assert range_._contains(range_.to_internal_repr(getattr(trial.config.train, name)))


@pytest.mark.parametrize(
    "fixed",
    [
        {},
        {"vector_size": 12},
        {"context_decay": (0.5, 0.8, 0.9)},
        {"epochs": 3},
        {"ordered": False},
        {"part_weights": (1, 1, 0.5)},
        {"decay": ("learned", 0.9, 0.5)},
    ],
)
def test_suggestions_are_valid_and_differ(fixed):
    ordered = fixed.pop("ordered", True)
    settings = {"objective": "next_item", **fixed}
    sampler = Sampler(starts_of(settings), settings, seed=1, ordered=ordered)
    suggested = []
    for number in range(30):
        suggested.append(sampler.suggest(number))
        sampler.observe([Trial(number, suggested[-1], "complete", suggested[-1].train.dropout)])
        assert suggested[-1] == suggested[-1].with_settings(**settings)
    assert len(set(suggested)) == len(suggested), "no configuration is suggested twice"
    if not ordered:
        assert {config.train.context_decay for config in suggested} == {(1.0, 1.0, 1.0)}


def test_large_data_are_searched_with_fewer_epochs(world, monkeypatch):
    made = world(lambda config: 0.2 + 0.001 * config.train.epochs)
    monkeypatch.setattr("item2vec.tuning.study.FULL_EPOCHS_TOKENS", 30)  # a tenth of the training tokens
    tuning = item2vec.tune(chains(), trials=12, jobs=1)
    assert is_default(tuning.trials[0].config)
    assert all(trial.config.train.epochs <= 8 for trial in tuning.trials[1:])
    first = {trial.number: trial.config.train.epochs for trial in tuning.trials}
    finals = {number: config.train.epochs for number, config, *_ in made.trained[12:]}
    assert finals.pop(0) == first[0]
    assert all(epochs == 10 * first[number] for number, epochs in finals.items())


def test_a_large_corpus_is_searched_on_a_sample_and_decided_on_all_data(world):
    made = world(lambda config: 0.2)
    item2vec.tune(chains(), trials=3, max_tokens=120, jobs=1)
    n_queries = [n for *_, n in made.trained]
    assert max(n_queries[:3]) <= 20
    assert min(n_queries[3:]) > 50


def slow_bounds(gains, users, level=0.95, n_draws=4000, seed=7):
    """Return lower bounds from the largest standardised error of each resample of whole users."""
    random = np.random.default_rng(seed)
    users = [gains[users == user] for user in np.unique(users)]
    mean = gains.mean(axis=0)
    error = np.sqrt(sum((user - mean).sum(axis=0) ** 2 for user in users)) / len(gains)
    largest = []
    for _ in range(n_draws):
        drawn = np.concatenate([users[i] for i in random.integers(0, len(users), len(users))])
        largest.append(((drawn.mean(axis=0) - mean) / error).max())
    return mean - np.quantile(largest, level) * error


def test_lower_bounds_agree_with_resampled_users():
    random = np.random.default_rng(1)
    users = np.repeat(np.arange(150), random.integers(1, 4, 150))
    gains = random.normal(0.01, 0.05, (150, 3))[users] + random.normal(0, 0.02, (len(users), 3))
    width = gains.mean(axis=0) - slow_bounds(gains, users)
    assert gains.mean(axis=0) - lower_bounds(gains, users, seed=1) == pytest.approx(width, rel=0.06)
    single = lower_bounds(gains[:, :1], users, seed=1)
    assert lower_bounds(gains, users, seed=1)[0] < single[0], "more finalists lower the bound of each"
    equal = np.repeat(gains[:, :1], 3, axis=1)
    assert lower_bounds(equal, users, seed=1) == pytest.approx(np.repeat(single, 3), abs=1e-4)
    unclustered = lower_bounds(gains, np.arange(len(users)), seed=1)
    assert (unclustered > lower_bounds(gains, users, seed=1)).all(), "queries of one user are correlated"


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("settings", [{"objective": "lsa"}, {"objective": "glove", "epochs": 3}])
def test_suggestions_for_lsa_and_glove_are_valid_and_few_are_equal(settings, ordered):
    sampler = Sampler(starts_of(settings), settings, seed=1, share=0.1, n_tokens=10**6, ordered=ordered)
    suggested = []
    for number in range(20):
        suggested.append(sampler.suggest(number))
        sampler.observe([Trial(number, suggested[-1], "complete", suggested[-1].train.window / 50)])
    assert {config.train.objective for config in suggested} == {settings["objective"]}
    assert len(set(suggested)) > 15
    best = np.mean([config.train.window for config in suggested[10:]])
    assert best > np.mean([config.train.window for config in suggested[3:8]])


def test_lsa_and_glove_are_not_searched_unless_specified():
    assert set(starts_of({})) == {"next_item", "skipgram", "cbow"}
    assert set(starts_of({"objective": "lsa"})) == {"lsa"}
    with pytest.raises(
        ConfigError, match=r"weighting is a setting of objective='lsa', .* set objective='lsa'"
    ):
        starts_of({"weighting": "raw"})


def test_a_search_without_free_training_settings_ends_after_the_first_trials():
    fixed = {"objective": "transitions", "window": 2, "fade": 0.5, "smoothing": 1.0, "max_neighbours": 50}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for settings in ({}, {"trials": 7}, {"budget": "10min"}):
            assert len(item2vec.tune(chains(), vector_size=4, **fixed, **settings).trials) == 1


def test_the_log_level_of_optuna_is_that_of_the_caller():
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        item2vec.tune(chains(), trials=4, vector_size=4, epochs=1, objective="skipgram", jobs=1)
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(level)


@pytest.mark.parametrize(("epochs", "n_rungs"), [(1, 0), (2, 2), (3, 2), (4, 3), (9, 3)])
def test_short_trainings_are_compared_at_the_same_share_of_their_epochs(epochs, n_rungs):
    config = Config().with_settings(objective="skipgram", vector_size=4, epochs=epochs)
    rungs = run_trial(make_problem(chains(), "ndcg@10", max_tokens=10**6, seed=1), 1, config, ()).rungs
    assert len(rungs) == n_rungs
    # The score after one of two epochs is the score at a half; at a quarter, there is none.
    assert [rung is None for rung in rungs] == [epochs == 2, False, False][:n_rungs]
