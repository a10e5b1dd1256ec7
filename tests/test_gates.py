"""Gates accept only what is shown to be good."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item2vec.config import EvaluationConfig, GatesConfig, RetrainConfig
from item2vec.retraining import gates
from item2vec.retraining.record import protocol

ANY = st.floats(allow_nan=True, allow_infinity=True)
RULES = GatesConfig(min_queries=50, margin=0.05, tolerance=0.2)
PROTOCOL = protocol(RetrainConfig())
DATA = {"interactions": 1000, "users": 100, "items": 50}

SOUND = {
    "norm_growth": 20.0,
    "norm_max": 5.0,
    "output_norm": 2.0,
    "effective_rank": 40.0,
    "vector_size": 64,
    "n_items": 1000,
    "mean_cosine": 0.3,
    "duplicate_share": 0.0,
    "self_retrieval": 1.0,
    "index_recall": 0.98,
}
JUDGED = [name for name in SOUND if name not in {"vector_size", "n_items"}]


def judged(ndcg=0.2, popularity=0.1, questions=100, **more):
    return {
        "questions": questions,
        "metrics": {"ndcg@10": ndcg},
        "baselines": {"popularity": {"ndcg@10": popularity}},
        **more,
    }


def live(ndcg=0.2, protocol=PROTOCOL):
    return {"data": DATA, "evaluation": {"protocol": protocol, "metrics": {"ndcg@10": ndcg}}}


def failing(found):
    return [gate.name for gate in found if not gate.passed]


@settings(deadline=None, max_examples=200)
@given(value=ANY, least=st.none() | ANY, most=st.none() | ANY)
def test_only_a_finite_number_within_its_bounds_is_passed(value, least, most):
    gate = gates.within("any", value, least=least, most=most, what="…")
    accepted = -math.inf < value < math.inf
    accepted = accepted and (least is None or value >= least) and (most is None or value <= most)
    assert gate.passed == accepted
    assert gates.within("any", None, least=least, most=most, what="…").passed is False


def test_a_good_model_passes():
    assert failing(gates.of_evaluation(judged(), live(), PROTOCOL, RULES)) == []
    assert failing(gates.of_evaluation(judged(), {}, PROTOCOL, RULES)) == []


@pytest.mark.parametrize(
    ("found", "recorded", "names"),
    [
        (judged(questions=49), live(), ["questions"]),
        ({"questions": 0, "why": "nobody"}, live(), ["questions"]),
        (judged(ndcg=0.105), live(0.1), ["beats_popularity"]),
        (judged(ndcg=0.0, popularity=0.0), live(0.0), ["beats_popularity"]),
        (judged(ndcg=math.nan), live(), ["finite", "beats_popularity", "against_live"]),
        (judged(popularity=math.nan), live(), ["beats_popularity"]),
        (judged(ndcg=0.159), live(0.2), ["against_live"]),
    ],
    ids=str,
)
def test_what_is_not_shown_to_be_good_is_refused(found, recorded, names):
    assert failing(gates.of_evaluation(found, recorded, PROTOCOL, RULES)) == names


def test_scores_of_different_protocols_are_not_compared():
    other = protocol(RetrainConfig(evaluation=EvaluationConfig(days=7)))
    (gate,) = [
        g for g in gates.of_evaluation(judged(), live(0.9, other), PROTOCOL, RULES) if "live" in g.name
    ]
    assert gate.passed
    assert "another protocol" in str(gate)


def promoted(*scores, half_width=None):
    """What is known of the last promotions, newest first."""
    recorded = [{"score": score, "interval": None} for score in scores]
    if half_width is not None:
        recorded = [
            one | {"interval": [one["score"] - half_width, one["score"] + half_width]} for one in recorded
        ]
    return recorded


def test_a_fall_within_the_tolerance_each_night_is_refused_before_long():
    """Nine nights, each as bad as the gates let it be: without the median, .2 falls to .034."""
    scores = [0.2]
    for _ in range(8):
        found = list(
            gates.of_evaluation(
                judged(popularity=0.01),
                live(scores[-1]) | {"promoted": promoted(*scores[:-8:-1])},
                PROTOCOL,
                RULES,
            )
        )
        scores.append(max(gate.least for gate in found if gate.name in {"against_live", "against_median"}))
    assert scores[1] == pytest.approx(0.16)
    assert scores[2] == pytest.approx(0.144)
    assert scores[8] > 0.09


def test_one_bad_night_among_seven_changes_nothing():
    for place in range(7):
        scores = [0.2, 0.21, 0.19, 0.2, 0.2, 0.2, 0.2]
        scores[place] = 0.01
        before = live(0.01) | {"promoted": promoted(*scores)}
        assert failing(gates.of_evaluation(judged(0.155), before, PROTOCOL, RULES)) == ["against_median"]
        assert failing(gates.of_evaluation(judged(0.161), before, PROTOCOL, RULES)) == []


def test_noise_alone_is_no_reason_to_refuse():
    before = live(0.15) | {"promoted": promoted(0.2, 0.2, 0.2, half_width=0.07)}
    assert failing(gates.of_evaluation(judged(0.131), before, PROTOCOL, RULES)) == []
    assert failing(gates.of_evaluation(judged(0.129), before, PROTOCOL, RULES)) == ["against_median"]


SHARE = st.floats(0, 1)


@settings(deadline=None, max_examples=200)
@given(st.lists(SHARE, min_size=1, max_size=7), st.lists(st.tuples(SHARE, SHARE), max_size=7), SHARE)
def test_the_least_score_is_finite_and_never_above_the_median_less_the_tolerance(scores, pairs, tolerance):
    intervals = [sorted(pair) for pair in pairs]
    least = gates.least_score(scores, intervals, tolerance)
    assert -1 <= least <= sorted(scores)[len(scores) // 2] * (1 - tolerance) + 1e-12


@pytest.mark.parametrize(("share", "passes"), [(1.0, True), (0.5, True), (0.49, False), (math.nan, False)])
def test_weights_that_make_training_skip_most_tokens_are_refused(share, passes):
    model = {"tokens": {"expected": 1000.0, "trained": 1000}, "read_share": share, "health": SOUND}
    assert failing(gates.of_model(model, RULES)) == ([] if passes else ["read_share"])


@pytest.mark.parametrize(
    ("growth", "passes"), [(0.4, False), (0.69, False), (0.7, True), (3, True), (3.1, False)]
)
@pytest.mark.parametrize("name", DATA)
def test_data_that_shrank_or_swelled_is_refused(name, growth, passes):
    data = DATA | {name: DATA[name] * growth}
    assert failing(gates.of_data(data, live(), RULES)) == ([] if passes else [f"{name}_growth"])
    assert failing(gates.of_data(data, {}, RULES)) == []


@pytest.mark.parametrize(
    ("trained", "passes"), [(1000, True), (995, True), (980, False), (1020, False), (0, False)]
)
def test_all_tokens_must_have_been_trained(trained, passes):
    model = {"tokens": {"expected": 1000.0, "trained": trained}, "read_share": 1.0, "health": SOUND}
    assert ("tokens" in failing(gates.of_model(model, RULES))) != passes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("norm_growth", 1.0),
        ("norm_max", 1345.0),
        ("output_norm", 0.0),
        ("output_norm", 1e4),
        ("effective_rank", 9.0),
        ("mean_cosine", 0.98),
        ("duplicate_share", 0.33),
        ("self_retrieval", 0.7),
        ("index_recall", 0.5),
        *((name, math.nan) for name in JUDGED),
        *((name, None) for name in JUDGED if name not in {"norm_growth", "output_norm"}),
    ],
)
def test_each_number_of_a_model_s_health_can_refuse_it(name, value):
    assert failing(gates.of_health(SOUND, RULES)) == []
    assert failing(gates.of_health(SOUND | {name: value}, RULES)) == [name]


@pytest.mark.parametrize(("size", "least"), [(256, 10), (64, 10), (16, 3.2), (2, 0.4)])
def test_the_floor_of_the_rank_does_not_grow_with_the_dimensions(size, least):
    for rank, passes in ((least + 0.1, True), (least - 0.1, False)):
        health = SOUND | {"vector_size": size, "effective_rank": rank}
        assert failing(gates.of_health(health, RULES)) == ([] if passes else ["effective_rank"])


def test_a_model_without_output_vectors_has_no_gate_on_them():
    assert failing(gates.of_health(SOUND | {"output_norm": None}, RULES)) == []


def test_a_refusal_says_what_was_found_and_expected():
    found = list(gates.of_evaluation(judged(ndcg=0.08, questions=12), live(), PROTOCOL, RULES))
    said = gates.refusal(found)
    assert "questions is 12, expected at least 50" in said
    assert "beats_popularity is 0.08, expected at least 0.105 (ndcg@10, of which popularity" in said
    for value in (math.nan, math.inf):
        assert f"any is {value}, expected at most 1 (…)" == gates.refusal(
            [gates.within("any", value, most=1, what="…")]
        )
