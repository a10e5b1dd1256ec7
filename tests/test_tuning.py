"""Tuning asks the question that will judge the model, and returns the default unless others are better."""

import dataclasses
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest

import item2vec
from item2vec import Config, Interactions, Sentences, Vocabulary, adapters
from item2vec.errors import ConfigError, InputError, InputTypeError, TrainingError, TuningWarning
from item2vec.evaluation import temporal_split
from item2vec.tuning.finalists import decide, lower_bounds, play
from item2vec.tuning.problem import make_problem
from item2vec.tuning.sampler import SPACES, Sampler, family_of, starts_of
from item2vec.tuning.trial import Limits, Trial


def chains(n_sentences=60, n_items=30, length=6, seed=1):
    """Sentences that walk along a ring, mostly forward: what comes next depends on the last item alone."""
    random = np.random.default_rng(seed)
    steps = random.choice([1, 1, 1, 2, 15], size=(n_sentences, length))
    walks = (random.integers(0, n_items, (n_sentences, 1)) + steps.cumsum(axis=1)) % n_items
    return Sentences.of([[f"i{item}" for item in walk] for walk in walks])


def events(n_users=30, n_days=40, seed=1):
    """One interaction of each user a day."""
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
    """Stands in for training: trials move the clock by what they cost, and score as they are worth.

    ``worth`` and ``seconds`` are functions of a configuration. Questions differ in difficulty, and every
    training adds noise of its own to each.
    """

    def __init__(self, worth, seconds=lambda config: 1.0, noise=0.0):
        self.worth, self.seconds, self.noise = worth, seconds, noise
        self.time = 0.0
        self.trained = []

    def now(self):
        return self.time

    def train_again(self, problem, configs, fold):
        return [self.run_trial(problem, n, config, (), None, Limits(), fold) for n, config in configs.items()]

    def run_trial(self, problem, number, config, free, known=None, limits=None, fold=0):
        cost, started = self.seconds(config), self.time

        def ended(state, score=0.0, values=None, reason=""):
            return Trial(number, config, state, score, (), reason, self.time - started, values)

        for left in (None, 3, 2, 1):  # quarters of the training that are still to come
            self.time += 0.0 if left is None else cost / 4
            if reason := limits.ends(0.0 if left is None else cost * left / 4):
                return ended("unfinished", reason=reason)
        self.time += cost / 4
        n = len(problem.folds[fold])
        self.trained.append((number, config, fold, n))
        difficulty = np.random.default_rng(fold).normal(0, 0.1, n)
        luck = np.random.default_rng(len(self.trained)).normal(0, 1, n) * self.noise
        values = self.worth(config) + difficulty + luck
        return ended("complete", float(values.mean()), values)


@pytest.fixture
def world(monkeypatch):
    def make(*args, **kwargs):
        made = World(*args, **kwargs)
        monkeypatch.setattr("item2vec.tuning.workers.run_trial", made.run_trial)
        return made

    return make


def is_default(config):
    return config == starts_of({"seed": config.train.seed})["next_item"]


# The question


@pytest.mark.parametrize(
    ("data", "protocol", "carved"),
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
def test_the_protocol(data, protocol, carved):
    problem = make_problem(data, "ndcg@10", protocol=protocol, max_tokens=10**6, seed=1)
    assert problem.protocol == carved
    assert problem.folds[0].filter_seen == (carved != "prefix")
    assert all(len(fold) for fold in problem.folds)


@pytest.mark.parametrize("protocol", ["last", "prefix", "temporal", "random"])
def test_no_answer_is_learned_from(protocol):
    """All items differ, so whatever is asked for must stand nowhere in the training part of its fold."""
    data = events()
    data = dataclasses.replace(
        data,
        items=Vocabulary(tuple(f"i{row}" for row in range(len(data)))),
        item=np.arange(len(data), dtype=np.int32),
    )
    problem = make_problem(data, "ndcg@10", protocol=protocol, max_tokens=10**6, seed=1)
    assert len(problem.folds) > 1
    for fold in problem.folds:
        asked = set(fold.targets.vocabulary.decode(fold.targets.tokens))
        assert asked
        assert not asked & set(fold.train.vocabulary.decode(fold.train.tokens))
    if protocol == "temporal":
        newest, *older = problem.folds
        assert all(fold.spans["test"][1] < newest.spans["test"][0] for fold in older)


def test_temporal_asks_as_temporal_split_does():
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
    assert set(sessions.folds[0].train.lengths) == {1}
    assert sessions.folds[0].histories.lengths.min() > 1


def test_the_same_user_has_the_same_number_in_all_folds():
    data = events()
    for protocol in ("last", "temporal"):
        problem = make_problem(data, "ndcg@10", protocol=protocol, max_tokens=10**6, seed=1)
        histories = list(adapters.histories(data))
        for number, fold in enumerate(problem.folds):
            for user, history in zip(problem.users(number), fold.histories, strict=True):
                assert histories[user][: len(history)] == history
    sessions = make_problem(chains(), "ndcg@10", protocol="prefix", max_tokens=10**6, seed=1)
    assert not set(sessions.users(0)) & set(sessions.users(1))


@pytest.mark.parametrize(("repeats", "n_asked"), [(None, 1), (False, 1), (True, 2)])
def test_seen_items_are_answers_only_with_repeats(repeats, n_asked):
    sentences = Sentences.of([["a", "b", "c"], ["a", "b", "a"]])
    problem = make_problem(sentences, "ndcg@10", repeats=repeats, max_tokens=100, seed=1)
    assert len(problem.folds[0]) == n_asked
    assert problem.folds[0].filter_seen is not (repeats or False)
    assert (
        len(make_problem(sentences, "ndcg@10", protocol="prefix", repeats=False, max_tokens=100, seed=1).few)
        == 1
    )


@pytest.mark.parametrize(("n_sentences", "length", "held"), [(6000, 12, 1), (500, 30, 7), (500, 9, 2)])
def test_few_and_long_sentences_are_asked_several_times(n_sentences, length, held):
    sentences = Sentences.of(
        [[f"i{(start + step) % 50}" for step in range(length)] for start in range(n_sentences)]
    )
    folds = make_problem(sentences, "ndcg@10", max_tokens=10**9, seed=1).folds
    assert len(folds) == (1 if n_sentences * held >= 5000 else 2)
    assert len(folds[0].train.tokens) == n_sentences * (length - held)
    expected = [(tuple(s[:-back]), s[-back]) for s in sentences for back in range(1, held + 1)]
    asked = [(tuple(h), target[0]) for h, target in zip(folds[0].histories, folds[0].targets, strict=True)]
    assert sorted(asked) == sorted(expected)


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
        ({"budget": "soon"}, "budget is 'soon'"),
        ({"trials": 0}, "trials is 0"),
        ({"vectorsize": 3}, "did you mean 'vector_size'"),
        ({"protocol": "lest"}, "protocol is 'lest'"),
        ({"protocol": "temporal"}, "needs timestamps"),
        ({"objective": "sgns"}, "sgns"),
    ],
)
def test_what_cannot_be_tuned(arguments, message):
    with pytest.raises(ConfigError, match=message):
        item2vec.tune(chains(), **arguments)


def test_nothing_to_ask():
    with pytest.raises(InputError, match="no question"):
        item2vec.tune(Sentences.of([["a"], ["b"]]), trials=1)
    with pytest.raises(InputTypeError, match="tune reads Sentences or Interactions, found list"):
        item2vec.tune([["a", "b"]], trials=1)


# The default, and what replaces it


def test_a_better_one_replaces_the_default_and_noise_does_not(world):
    def better(config):
        return 0.3 if config.train.objective == "cbow" else 0.2

    world(better, noise=0.02)
    found = item2vec.tune(chains(), trials=9, jobs=1)
    assert found.config.train.objective == "cbow"
    assert 0 < found.gain.low < found.gain.value < found.gain.high
    assert found.default.value == pytest.approx(0.2, abs=0.03)
    assert found.chosen.value == pytest.approx(found.default.value + found.gain.value)
    assert found.score == found.chosen.value
    world(lambda config: 0.2, noise=0.1)
    kept = item2vec.tune(chains(), trials=30, jobs=1)
    assert max(trial.score for trial in kept.trials) > kept.trials[0].score + 0.01, "some had luck"
    assert is_default(kept.config)
    assert kept.chosen == kept.default


def test_noise_seldom_passes_for_a_gain():
    """Of finalists that are all as good as the default, one replaces it in about one of twenty runs."""
    problem = make_problem(chains(), "ndcg@10", max_tokens=10**6, seed=1)
    players = {number: Config().with_settings(epochs=number + 1) for number in range(5)}
    replaced = 0
    for run in range(100):
        made = World(lambda config: 0.2, noise=0.1)
        made.trained = [None] * 10 * run  # other luck
        rounds = play(made, problem, players)
        replaced += decide(problem, players, rounds, seed=1).config != players[0]
    assert 1 <= replaced <= 10


def test_finalists_are_trained_with_other_seeds_on_all_folds(world):
    made = world(lambda config: 0.2 if is_default(config) else 0.3 - 0.001 * config.train.epochs)
    found = item2vec.tune(events(), trials=12, jobs=1, seed=2**32 - 1)
    searched, finals = made.trained[:12], made.trained[12:]
    assert {(config.train.seed, fold) for _, config, fold, _ in searched} == {(2**32 - 1, 0)}
    assert [(config.train.seed, fold) for n, config, fold, _ in finals if n == 0] == [(0, 0), (1, 1), (2, 2)]
    players = {number for number, *_ in finals}
    assert len(players) == 5
    assert len(found.finals) == len(finals)
    assert found.config.train.seed == 2**32 - 1
    others = [trial for trial in found.trials if trial.config != found.trials[0].config]
    best = sorted(others, key=lambda trial: -trial.score)[:4]
    assert players - {0} == {trial.number for trial in best}


def test_the_default_runs_to_its_end_and_is_returned_whatever_the_budget(world):
    made = world(lambda config: 0.2, seconds=lambda config: 100.0)
    with pytest.warns(TuningWarning, match="about [0-9]+ min would do") as caught:
        found = item2vec.tune(chains(), budget="5s", jobs=1, now=made.now)
    assert is_default(found.config)
    assert found.trials[0].state == "complete"
    assert found.gain is None
    assert found.default.low < 0.2 < found.default.high
    assert found.unfinished == ("skipgram", "cbow")
    assert found.warnings == tuple(str(one.message) for one in caught)
    assert "skipgram, cbow" in found.warnings[0]
    assert "compare any other configuration" in found.warnings[1]
    assert "about" in repr(found)


def test_a_slow_family_is_not_replaced_by_a_quick_worse_one(world):
    """A machine too busy for any other training of next_item: skip-gram ends, and still does not win."""
    made = world(
        lambda config: 0.07 if config.train.objective == "next_item" else 0.05,
        seconds=lambda config: 150.0 if config.train.objective == "next_item" else 20.0,
        noise=0.01,
    )
    with pytest.warns(TuningWarning):
        found = item2vec.tune(chains(), budget="6min", jobs=1, now=made.now)
    assert found.config.train.objective == "next_item"
    assert {trial.state for trial in found.trials if trial.number} == {"complete", "unfinished"}


@pytest.mark.parametrize("budget", [30, 60])
def test_a_budget_is_kept_and_suffices_where_it_says_so(world, budget):
    made = world(
        lambda config: 0.2 + 0.001 * config.train.epochs,
        seconds=lambda config: 0.05 * config.train.epochs,
        noise=0.01,
    )
    found = item2vec.tune(chains(), budget=budget, jobs=1, now=made.now)
    assert made.time <= budget + 1  # the longest takes 4 s, and gives way after a quarter
    assert found.warnings == ()
    assert found.gain.low > 0
    assert len(found.finals) >= 4


def test_the_budget_that_would_do_does(world):
    made = world(lambda config: 0.2, seconds=lambda config: 30.0)
    with pytest.warns(TuningWarning):
        (text, *_) = item2vec.tune(chains(), budget="1min", jobs=1, now=made.now).warnings
    minutes = text.partition("about ")[2].split()[0]
    made = world(lambda config: 0.2, seconds=lambda config: 30.0)
    assert item2vec.tune(chains(), budget=f"{minutes}min", jobs=1, now=made.now).warnings == ()


def test_a_default_that_cannot_be_trained():
    with pytest.raises(TrainingError, match="min_count"):
        item2vec.tune(chains(), trials=2, min_count=10**6)


# The search


@pytest.mark.parametrize(("size", "n_parts"), [(384, 3), (64, 2), (25, 1)])
def test_a_vector_size_that_is_given_does_not_rule_next_item_out(size, n_parts):
    start = starts_of({"vector_size": size})["next_item"].train
    assert (start.vector_size, len(start.context_decay)) == (size, n_parts)


@pytest.mark.parametrize("seed", [0, 42_949, 2**32 - 1])
def test_every_seed_works(seed):
    for family in ({"objective": "next_item"}, {"objective": "cbow"}):
        sampler = Sampler(starts_of({"seed": seed, **family}), family, seed)
        assert sampler.suggest(1000) != sampler.suggest(1001)


def test_a_mixture_that_is_given_is_evaluated_with_its_table():
    found = item2vec.tune(chains(), trials=1, mixture=2.0, repeat_bonus=1.0, jobs=1, epochs=1, vector_size=6)
    tastes = [trial.config.taste for trial in found.trials]
    assert {(taste.mixture, taste.repeat_bonus) for taste in tastes} == {(2.0, 1.0)}
    assert all(trial.state == "complete" for trial in found.trials)


def test_a_popularity_prior_that_is_given_is_counted_on_each_training_part():
    found = item2vec.tune(chains(), trials=1, popularity=2.0, jobs=1, epochs=1, vector_size=6)
    assert {trial.config.taste.popularity for trial in found.trials} == {2.0}
    assert all(trial.state == "complete" for trial in found.trials)


def test_what_is_given_is_not_searched_and_all_else_is_in_range(world):
    world(lambda config: 0.001 * config.train.epochs)
    found = item2vec.tune(chains(), trials=40, window=2, last_n=7, jobs=1)
    assert {t.config.train.window for t in found.trials} == {2}
    assert {t.config.taste.last_n for t in found.trials} == {7}
    for trial in found.trials:
        for name, range_ in SPACES[family_of(trial.config)].items():
            if name in trial.config.train.model_dump() and name != "window" and trial.number:
                assert range_._contains(range_.to_internal_repr(getattr(trial.config.train, name)))


@pytest.mark.parametrize(
    "fixed", [{}, {"vector_size": 12}, {"context_decay": (0.5, 0.8, 0.9)}, {"epochs": 3}, {"ordered": False}]
)
def test_what_is_suggested_can_be_trained_and_differs(fixed):
    ordered = fixed.pop("ordered", True)
    given = {"objective": "next_item", **fixed}
    sampler = Sampler(starts_of(given), given, seed=1, ordered=ordered)
    suggested = []
    for number in range(30):
        suggested.append(sampler.suggest(number))
        sampler.observe([Trial(number, suggested[-1], "complete", suggested[-1].train.dropout)])
        assert all(getattr(suggested[-1].train, name) == value for name, value in given.items())
    assert len(set(suggested)) == len(suggested), "nothing is tried twice"
    if not ordered:
        assert {config.train.context_decay for config in suggested} == {(1.0, 1.0, 1.0)}


def test_much_data_is_searched_with_fewer_epochs(world, monkeypatch):
    made = world(lambda config: 0.2 + 0.001 * config.train.epochs)
    monkeypatch.setattr("item2vec.tuning.study.FULL_EPOCHS_TOKENS", 30)  # a tenth of what is trained on
    found = item2vec.tune(chains(), trials=12, jobs=1)
    assert is_default(found.trials[0].config)
    assert all(trial.config.train.epochs <= 8 for trial in found.trials[1:])
    first = {trial.number: trial.config.train.epochs for trial in found.trials}
    finals = {number: config.train.epochs for number, config, *_ in made.trained[12:]}
    assert finals.pop(0) == first[0]
    assert all(epochs == 10 * first[number] for number, epochs in finals.items())


def test_a_large_corpus_is_searched_by_a_sample_and_decided_by_all(world):
    made = world(lambda config: 0.2)
    item2vec.tune(chains(), trials=3, max_tokens=120, jobs=1)
    asked = [n_asked for *_, n_asked in made.trained]
    assert max(asked[:3]) <= 20
    assert min(asked[3:]) > 50


def slow_bounds(gains, users, level=0.95, n_draws=4000, seed=7):
    """Lower bounds by redrawing whole users one by one, each draw's largest standardised error remembered."""
    random = np.random.default_rng(seed)
    users = [gains[users == user] for user in np.unique(users)]
    mean = gains.mean(axis=0)
    error = np.sqrt(sum((user - mean).sum(axis=0) ** 2 for user in users)) / len(gains)
    largest = []
    for _ in range(n_draws):
        drawn = np.concatenate([users[i] for i in random.integers(0, len(users), len(users))])
        largest.append(((drawn.mean(axis=0) - mean) / error).max())
    return mean - np.quantile(largest, level) * error


def test_lower_bounds_are_those_of_redrawn_users():
    random = np.random.default_rng(1)
    users = np.repeat(np.arange(150), random.integers(1, 4, 150))
    gains = random.normal(0.01, 0.05, (150, 3))[users] + random.normal(0, 0.02, (len(users), 3))
    width = gains.mean(axis=0) - slow_bounds(gains, users)
    assert gains.mean(axis=0) - lower_bounds(gains, users, seed=1) == pytest.approx(width, rel=0.06)
    one = lower_bounds(gains[:, :1], users, seed=1)
    assert lower_bounds(gains, users, seed=1)[0] < one[0], "the more finalists, the more is asked of each"
    alike = np.repeat(gains[:, :1], 3, axis=1)
    assert lower_bounds(alike, users, seed=1) == pytest.approx(np.repeat(one, 3), abs=1e-4)
    apart = lower_bounds(gains, np.arange(len(users)), seed=1)
    assert (apart > lower_bounds(gains, users, seed=1)).all(), "questions of one user are alike"
