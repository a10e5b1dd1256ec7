"""Trials with true training: the taste that suits is found, what is hopeless is stopped."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from test_tuning import chains

import item2vec
from item2vec import Config, ItemVectors, Sentences, TasteConfig, TrainConfig
from item2vec.durations import DAY
from item2vec.tuning.problem import make_problem
from item2vec.tuning.study import TASTE
from item2vec.tuning.trial import RUNGS, Known, Limits, Trial, best_taste, run_trial

SMALL = {"vector_size": 8, "negative": 3, "jobs": 2}


def problem_of(sentences, metric="ndcg@10"):
    return make_problem(sentences, metric, max_tokens=10**6, seed=1)


def outcome(tuning):
    return [getattr(tuning, field.name) for field in dataclasses.fields(tuning)]


def test_the_same_seed_and_number_of_trials_give_the_same_result():
    run = partial(item2vec.tune, chains(), trials=11, epochs=3, **SMALL)
    found = run(seed=3)
    assert outcome(found) == outcome(run(seed=3))
    assert len(found.trials) == 11
    assert {trial.config.train.objective for trial in found.trials} == {"next_item", "skipgram", "cbow"}
    other = run(seed=4)
    assert [t.config for t in other.trials[-2:]] != [t.config for t in found.trials[-2:]]


@pytest.mark.parametrize(
    ("sentences", "how"),
    [
        (Sentences.of(list(chains()), ordered=False), {"metric": "recall@10"}),
        (chains(), {"metric": "mrr@5", "protocol": "prefix"}),
    ],
)
def test_unordered_sentences_and_other_protocols(sentences, how):
    found = item2vec.tune(sentences, trials=2, epochs=3, **SMALL, **how)
    assert found.metric == how["metric"]
    assert 0 < found.score < 1


def test_the_taste_that_suits_is_found():
    """On a ring, only the last item tells what comes next, and it is what follows, not what is similar."""
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
    """Of the tastes that are tried, one of 30 days and ten items is best; no training is needed for it."""
    config = Config(train=TrainConfig(objective=objective))
    scored = scored_by(lambda taste: (taste.half_life == 30) + (taste.last_n == 10) / 2, timed=timed)
    found = best_taste(*scored, config, TASTE)
    assert (found.half_life, found.last_n) == (30 if timed else None, 10)
    kept = best_taste(*scored, config, ("last_n",))
    assert (kept.half_life, kept.last_n) == (None, 10)


def scored_by(score, *, timed=False, repeats=False):
    """Return a problem in which a taste has this score, and vectors."""
    problem = SimpleNamespace(
        timed=timed,
        repeats=repeats,
        few=SimpleNamespace(train=chains()),
        score=lambda vectors, taste, few, table: score(taste),
    )
    return problem, SimpleNamespace(output=np.ones(1), vocabulary=chains().vocabulary)


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("objective", ["next_item", "skipgram"])
def test_bonuses_are_searched_and_that_of_repeats_where_these_are_answers(repeats, objective):
    config = Config(train=TrainConfig(objective=objective))
    scored = scored_by(lambda taste: (taste.repeat_bonus == 3) + (taste.mixture == 0.5) / 2, repeats=repeats)
    found = best_taste(*scored, config, TASTE)
    assert (found.repeat_bonus, found.mixture) == (3 if repeats else 0, 0.5)
    kept = best_taste(*scored, config, ("last_n", "repeat_bonus"))
    assert kept.mixture == 0


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("objective", ["next_item", "skipgram"])
def test_a_popularity_prior_is_searched_and_its_half_life_where_there_are_timestamps(timed, objective):
    config = Config(train=TrainConfig(objective=objective))
    scored = scored_by(
        lambda taste: (taste.popularity_half_life == 7) - abs(taste.popularity - 8) / 99,
        timed=timed,
    )
    found = best_taste(*scored, config, TASTE)
    assert (found.popularity, found.popularity_half_life) == (8, 7 if timed else None)
    kept = best_taste(*scored, config, ("last_n",))
    assert (kept.popularity, kept.popularity_half_life) == (0, None)
    given = config.replace(taste=TasteConfig(popularity=3.0))
    reread = best_taste(*scored, given, tuple(name for name in TASTE if name != "popularity"))
    assert (reread.popularity, reread.popularity_half_life) == (3, 7 if timed else None)


def test_tuning_counts_the_prior_with_its_half_life():
    """Whoever is to answer plays what is new, which is rare in all and frequent of late."""
    lists = [[f"x{user % 7}", "old" if user < 45 else "new"] for user in range(60)]
    days = np.array([(0, user + 1) for user in range(60)]).ravel()
    problem = make_problem(
        dataclasses.replace(Sentences.of(lists), timestamps=days * DAY), "hr@1", max_tokens=1000, seed=1
    )
    vocabulary = problem.folds[0].train.vocabulary
    random = np.random.default_rng(1).normal(size=(2, len(vocabulary), 4)).astype(np.float32)
    vectors = ItemVectors(vocabulary, *random, np.ones(len(vocabulary)))
    taste = TasteConfig(popularity=1000.0)
    assert problem.score(vectors, taste) == 0
    assert problem.score(vectors, taste.replace(popularity_half_life=1.0)) == 1


def test_next_item_is_read_with_the_decays_that_it_was_trained_with():
    config = Config(
        train=TrainConfig(objective="next_item", vector_size=8, epochs=3, context_decay=(0.4, 0.6))
    )
    found = run_trial(problem_of(chains()), 0, config, TASTE)
    reread = dict.fromkeys(["last_n", "popularity_half_life"]) | {"mixture": 0.0, "popularity": 0.0}
    assert found.config.taste.replace(**reread) == config.taste
    assert found.score == pytest.approx(found.values.mean())


def test_a_hopeless_trial_is_stopped_and_a_good_one_is_not():
    problem = problem_of(chains())
    config = Config(train=TrainConfig(objective="skipgram", epochs=8, vector_size=8, backend="numba"))
    for earlier, n_earlier, state in ((0.9, 5, "stopped"), (0.0, 5, "complete"), (0.9, 3, "complete")):
        known = Known((TasteConfig(),), ((earlier,) * n_earlier,) * len(RUNGS))
        trial = run_trial(problem, 0, config, ("decay",), known)
        assert trial.state == state
        assert len(trial.rungs) == (1 if state == "stopped" else 3)


def test_a_trial_ends_where_the_limits_say():
    """The limits are given what the rest will take: after one of four epochs of a second each, three."""
    ticks = iter(range(100))
    rests = []

    def ends(rest):
        rests.append(rest)
        return "no more time" if rest == 3 else None

    config = Config(train=TrainConfig(objective="skipgram", epochs=4, vector_size=8, backend="numba"))
    trial = run_trial(problem_of(chains()), 0, config, (), limits=Limits(ends, lambda: float(next(ticks))))
    assert (trial.state, trial.reason, rests) == ("unfinished", "no more time", [0.0, 3.0])


def test_a_trial_that_fails_is_reported_and_not_fatal():
    config = Config(train=TrainConfig(min_count=10**6))
    trial = run_trial(problem_of(chains()), 0, config, ())
    assert (trial.state, trial.score, trial.values) == ("failed", 0.0, None)
    assert "min_count" in trial.reason


def test_what_is_known_is_the_best_taste_of_each_score():
    tastes = [TasteConfig(decay=0.5), TasteConfig(decay=0.9), TasteConfig(score="cosine", decay=1.0)]
    trials = [
        Trial(number, Config(taste=taste), "complete", score, (score,))
        for number, (taste, score) in enumerate(zip(tastes, (0.1, 0.2, 0.3), strict=True))
    ]
    known = Known.of(trials, TasteConfig(), TASTE)
    assert known.tastes == (tastes[1], tastes[2])
    assert known.rungs == ((0.1, 0.2, 0.3), (), ())
    assert np.isfinite(known.rungs[0]).all()
