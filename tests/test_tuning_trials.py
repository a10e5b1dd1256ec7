"""Trials with real training: the best taste is chosen, and trials with low scores are stopped."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from test_tuning import chains

import item2vec
from item2vec import Config, Interactions, ItemVectors, Sentences, TasteConfig, TrainConfig
from item2vec.durations import DAY
from item2vec.evaluation import evaluate
from item2vec.tuning.journal import Journal
from item2vec.tuning.problem import make_problem
from item2vec.tuning.sampler import _Family
from item2vec.tuning.trial import RUNGS, Earlier, Limits, Trial, best_taste, run_trial

TASTE = tuple(TasteConfig.model_fields)
SMALL = {"vector_size": 8, "negative": 3, "jobs": 2}


def problem_of(sentences, metric="ndcg@10"):
    return make_problem(sentences, metric, max_tokens=10**6, seed=1)


def outcome(tuning):
    return [getattr(tuning, field.name) for field in dataclasses.fields(tuning)]


@pytest.mark.slow
def test_the_same_seed_and_number_of_trials_give_the_same_result():
    run = partial(item2vec.tune, chains(), trials=11, epochs=3, **SMALL)
    tuning = run(seed=3)
    assert outcome(tuning) == outcome(run(seed=3))
    assert len(tuning.trials) == 11
    assert {trial.config.train.objective for trial in tuning.trials} == {"next_item", "skipgram", "cbow"}
    other = run(seed=4)
    assert [t.config for t in other.trials[-2:]] != [t.config for t in tuning.trials[-2:]]


def test_a_metric_of_ones_own_is_maximised():
    """A loss of at most 500 per query: the values are neither positive nor below 1."""
    given = []

    def loss(hits, n_targets, k):
        given.append((hits.dtype, hits.shape[1], k, n_targets.dtype))
        ranks = np.where(hits.any(axis=1), hits.argmax(axis=1), 5)
        return -100.0 * ranks

    options = {"epochs": 3, "seed": 3} | SMALL
    tuning = item2vec.tune(chains(), trials=3, metric=loss, k=4, **options)
    assert tuning.metric == "loss@4"
    assert {part[0] for part in given} == {np.dtype(bool)}
    assert {part[2:] for part in given} == {(4, np.dtype(np.int64))}
    assert max(part[1] for part in given) == 4
    complete = [trial for trial in tuning.trials if trial.state == "complete"]
    assert all(-500 <= trial.score < -1 for trial in complete)
    assert tuning.default.low < tuning.default.value < tuning.default.high < 0
    problem = make_problem(chains(), loss, k=4, max_tokens=10**6, seed=3)
    vectors = item2vec.train(problem.searched.train, config=complete[0].config.train.replace(workers=1))
    assert problem.score(vectors, complete[0].config.taste) == complete[0].score
    by_name = make_problem(chains(), "hr@4", max_tokens=10**6, seed=3)
    by_function = make_problem(chains(), hit, k=4, max_tokens=10**6, seed=3)
    scores = [each.score(vectors, complete[0].config.taste) for each in (by_name, by_function)]
    assert scores[0] == scores[1] > 0
    assert (by_function.metric, by_name.fingerprint()) != ("hr", by_function.fingerprint())


def test_the_interval_of_an_own_metric_is_not_bounded():
    def seven(hits, n_targets, k):
        return np.full(len(hits), 7.0)

    tuning = item2vec.tune(chains(), trials=1, metric=seven, epochs=1, seed=3, **SMALL)
    assert (tuning.default.low, tuning.default.value, tuning.default.high) == (7.0, 7.0, 7.0)


def hit(hits, n_targets, k):
    return hits.any(axis=1).astype(float)


@pytest.mark.parametrize("objective", ["lsa", pytest.param("glove", marks=pytest.mark.slow)])
def test_lsa_and_glove_are_searched_if_they_are_specified(objective):
    tuning = item2vec.tune(chains(), trials=6, objective=objective, vector_size=8, jobs=1)
    assert {trial.config.train.objective for trial in tuning.trials} == {objective}
    assert {trial.state for trial in tuning.trials} <= {"complete", "stopped"}
    assert len({trial.config.train for trial in tuning.trials}) > 4
    assert item2vec.fit(chains(), tuning.config).vectors.config.objective == objective


@pytest.mark.filterwarnings("ignore:the number of users:item2vec.errors.TuningWarning")
@pytest.mark.parametrize(
    ("sentences", "options"),
    [
        (Sentences.of(list(chains()), ordered=False), {"metric": "recall@10"}),
        (chains(), {"metric": "mrr@5", "protocol": "prefix"}),
    ],
)
def test_unordered_sentences_and_other_protocols(sentences, options):
    tuning = item2vec.tune(sentences, trials=2, epochs=3, **SMALL, **options)
    assert tuning.metric == options["metric"]
    assert 0 < tuning.score < 1


def test_the_best_taste_is_chosen():
    """On a ring, the next item depends on the last item only, so a short memory is best."""
    problem = problem_of(chains(300), "hr@3")
    config = Config(
        train=TrainConfig(objective="skipgram", vector_size=16, epochs=20, window=2, backend="numba")
    )
    plain = run_trial(problem, 0, config, ())
    assert plain.config == config
    free = run_trial(problem, 1, config, TASTE)
    assert free.score > plain.score
    assert free.config.taste.decay < 0.7 or free.config.taste.last_n == 3
    fixed = run_trial(problem, 2, config, ("last_n",)).config.taste
    assert (fixed.score, fixed.decay) == (config.taste.score, config.taste.decay)


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("objective", ["next_item", "skipgram"])
def test_a_half_life_is_searched_where_there_are_timestamps(timed, objective):
    """In the simulated scores, the best taste has a half-life of 30 days and ten items."""
    config = Config(train=TrainConfig(objective=objective))
    scored = scored_by(lambda taste: (taste.half_life == 30) + (taste.last_n == 10) / 2, timed=timed)
    taste = best_taste(*scored, config, TASTE)
    assert (taste.half_life, taste.last_n) == (30 if timed else None, 10)
    kept = best_taste(*scored, config, ("last_n",))
    assert (kept.half_life, kept.last_n) == (None, 10)


def scored_by(score, *, timed=False, repeats=False):
    """Return a problem in which a function simulates the score of a taste, and vectors."""
    problem = SimpleNamespace(
        timed=timed,
        repeats=repeats,
        score=lambda vectors, taste, few, table: score(taste),
    )
    return problem, SimpleNamespace(output=np.ones(1))


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("objective", ["next_item", "skipgram"])
def test_bonuses_are_searched_and_the_repeat_bonus_only_with_repeats(repeats, objective):
    config = Config(train=TrainConfig(objective=objective))
    scored = scored_by(lambda taste: (taste.repeat_bonus == 3) + (taste.mixture == 0.5) / 2, repeats=repeats)
    taste = best_taste(*scored, config, TASTE)
    assert (taste.repeat_bonus, taste.mixture) == (3 if repeats else 0, 0.5)
    kept = best_taste(*scored, config, ("last_n", "repeat_bonus"))
    assert kept.mixture is None


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("objective", ["next_item", "skipgram"])
def test_a_popularity_prior_is_searched_and_its_half_life_where_there_are_timestamps(timed, objective):
    config = Config(train=TrainConfig(objective=objective))
    scored = scored_by(
        lambda taste: (taste.popularity_half_life == 7) - abs(taste.popularity - 8) / 99,
        timed=timed,
    )
    taste = best_taste(*scored, config, TASTE)
    assert (taste.popularity, taste.popularity_half_life) == (8, 7 if timed else None)
    kept = best_taste(*scored, config, ("last_n",))
    assert (kept.popularity, kept.popularity_half_life) == (0, None)
    given = config.replace(taste=TasteConfig(popularity=3.0))
    reread = best_taste(*scored, given, tuple(name for name in TASTE if name != "popularity"))
    assert (reread.popularity, reread.popularity_half_life) == (3, 7 if timed else None)


def test_tuning_counts_the_prior_with_its_half_life():
    """All validation users play the new item, which is rare in all data but frequent in recent data."""
    lists = [[f"x{user % 7}", "old" if user < 45 else "new"] for user in range(60)]
    days = np.array([(0, user + 1) for user in range(60)]).ravel()
    problem = make_problem(
        dataclasses.replace(Sentences.of(lists), timestamps=days * DAY), "hr@1", max_tokens=1000, seed=1
    )
    vocabulary = problem.searched.train.vocabulary
    random = np.random.default_rng(1).normal(size=(2, len(vocabulary), 4)).astype(np.float32)
    vectors = ItemVectors(vocabulary, *random, np.ones(len(vocabulary)))
    taste = TasteConfig(popularity=1000.0)
    assert problem.score(vectors, taste) == 0
    assert problem.score(vectors, taste.replace(popularity_half_life=1.0)) == 1


def test_the_default_is_evaluated_as_fit_builds_it():
    """New users get the items that are frequent in recent data, not those of all time."""
    days = range(40)
    new = Interactions.of(
        user=[f"u{day}" for day in days for _ in range(2)],
        item=[item for day in days for item in (f"x{day % 7}", "old" if day < 25 else "new")],
        timestamp=np.datetime64("2024-01-01") + np.arange(40).repeat(2),
    )
    problem = make_problem(new, "hr@1", max_tokens=1000, seed=1)
    config = Config().with_settings(objective="skipgram", vector_size=4, epochs=1, workers=1)
    values = run_trial(problem, 0, config, ()).values
    expected = evaluate(item2vec.fit(problem.searched.train, config), problem.searched, k=1)
    assert values.tolist() == expected.per_query["hr@1"].tolist() == [1.0] * len(problem.searched)


def test_next_item_keeps_the_decays_of_its_training():
    config = Config(
        train=TrainConfig(objective="next_item", vector_size=8, epochs=3, context_decay=(0.4, 0.6))
    )
    trial = run_trial(problem_of(chains()), 0, config, TASTE)
    reread = dict.fromkeys(["last_n", "popularity_half_life", "mixture"]) | {"popularity": 0.0}
    assert trial.config.taste.replace(**reread) == config.taste
    assert trial.score == pytest.approx(trial.values.mean())


def test_a_hopeless_trial_is_stopped_and_a_good_one_is_not():
    problem = problem_of(chains())
    config = Config(train=TrainConfig(objective="skipgram", epochs=8, vector_size=8, backend="numba"))
    for earlier, n_earlier, state in ((0.9, 5, "stopped"), (0.0, 5, "complete"), (0.9, 3, "complete")):
        earlier_results = Earlier((TasteConfig(),), ((earlier,) * n_earlier,) * len(RUNGS))
        trial = run_trial(problem, 0, config, ("decay",), earlier_results)
        assert trial.state == state
        assert len(trial.rungs) == (1 if state == "stopped" else 3)


def test_a_trial_is_stopped_by_its_limits():
    """After the first of four epochs of one second each, the estimated remaining time is three seconds."""
    ticks = iter(range(100))
    received = []

    def reason_to_stop(remaining):
        received.append(remaining)
        return "no more time" if remaining == 3 else None

    config = Config(train=TrainConfig(objective="skipgram", epochs=4, vector_size=8, backend="numba"))
    trial = run_trial(
        problem_of(chains()), 0, config, (), limits=Limits(reason_to_stop, lambda: float(next(ticks)))
    )
    assert (trial.state, trial.reason, received) == ("unfinished", "no more time", [0.0, 3.0])


def test_a_failed_trial_is_reported_without_an_error():
    config = Config(train=TrainConfig(min_count=10**6))
    trial = run_trial(problem_of(chains()), 0, config, ())
    assert (trial.state, trial.score, trial.values) == ("failed", 0.0, None)
    assert "min_count" in trial.reason


def test_earlier_results_hold_the_best_taste_of_each_score():
    tastes = [TasteConfig(decay=0.5), TasteConfig(decay=0.9), TasteConfig(score="cosine", decay=1.0)]
    trials = [
        Trial(number, Config(taste=taste), "complete", score, (score,))
        for number, (taste, score) in enumerate(zip(tastes, (0.1, 0.2, 0.3), strict=True))
    ]
    earlier_results = Earlier.of(trials, TasteConfig(), TASTE)
    assert earlier_results.tastes == (tastes[1], tastes[2])
    assert earlier_results.rungs == ((0.1, 0.2, 0.3), (), ())
    assert np.isfinite(earlier_results.rungs[0]).all()


def test_a_skipped_share_is_kept_in_the_journal_and_compared_with_nothing(tmp_path):
    config = Config().with_settings(objective="skipgram")
    trial = Trial(0, config, "stopped", 0.2, (None, 0.2), "below the median")
    journal = Journal(tmp_path / "study.jsonl", {}, lag=2)
    journal.claim()
    journal.add(trial)
    journal.close()
    (read,) = Journal(tmp_path / "study.jsonl", {}, lag=2).trials
    assert read.rungs == trial.rungs
    assert Earlier.of([read], TasteConfig(), TASTE).rungs == ((), (0.2,), ())
    family = _Family(config, {}, 1.0)
    family.observe(read)
    assert [one.intermediate_values for one in family._trials] == [{1: 0.2}]
