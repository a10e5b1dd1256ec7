"""A new model is compared with what earlier nights recorded, whatever has become of their records."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nights import QUICK
from strategies import fresh_folder

from item2vec.retraining import gates
from item2vec.retraining.before import known_before
from item2vec.retraining.record import protocol

PROTOCOL = protocol(QUICK)


def recorded(number, score=0.2, **changes):
    """What the report of a promoted run says, as far as it is read."""
    return {
        "status": "promoted",
        "version": f"g{number:010}-0a1b2c3d",
        "forced": None,
        "evaluation": {"protocol": PROTOCOL, "metrics": {"ndcg@10": score}},
        **changes,
    }


def evaluated(score, **changes):
    return {"evaluation": {"protocol": PROTOCOL, "metrics": {"ndcg@10": score}, **changes}}


def promoted(folder, reports):
    """The scores of the last promotions after runs that left these reports, newest first."""
    runs = folder / "runs"
    runs.mkdir(exist_ok=True)
    for number, report in enumerate(reports):
        (runs / f"{number:03}.json").write_text(json.dumps(report))
    return known_before(None, folder, PROTOCOL).get("promoted", [])


def scores_of(found):
    return [one["score"] for one in found]


def test_the_last_seven_promotions_count(tmp_path):
    reports = [recorded(number, number / 100) for number in range(1, 11)]
    assert scores_of(promoted(tmp_path, reports)) == [0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04]


def test_what_was_not_promoted_or_evaluated_otherwise_does_not_count(tmp_path):
    other = PROTOCOL | {"metric": "ndcg@5"}
    reports = [
        recorded(1, 0.1),
        recorded(2, 0.2, status="refused"),
        recorded(3, 0.3, **evaluated(0.3, protocol=other)),
        recorded(4, 0.4, version="the fourth"),
        recorded(5, 0.5, evaluation={"questions": 0}),
        recorded(6, 0.6),
    ]
    assert scores_of(promoted(tmp_path, reports)) == [0.6, 0.1]


def test_a_promotion_that_was_forced_is_the_oldest_that_counts(tmp_path):
    reports = [
        recorded(1, 0.9),
        recorded(2, 0.8),
        recorded(3, 0.1, forced="a new catalogue"),
        recorded(4, 0.2),
    ]
    assert scores_of(promoted(tmp_path, reports)) == [0.2, 0.1]


@pytest.mark.parametrize(
    ("interval", "found"),
    [
        ([0.1, 0.3], [0.1, 0.3]),
        ([0.3, 0.4], None),
        ([0.1], None),
        ([-1, 0.3], None),
        ([0.1, 1e9], None),
        ("wide", None),
        ([0.1, "0.3"], None),
    ],
    ids=str,
)
def test_an_interval_that_cannot_be_is_none(interval, found, tmp_path):
    reports = [recorded(1, **evaluated(0.2, intervals={"ndcg@10": interval}))]
    assert promoted(tmp_path, reports) == [
        {"version": recorded(1)["version"], "score": 0.2, "interval": found}
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
NAMES = st.sampled_from(["version", "forced", "data", "evaluation", "status"])
OF_EVALUATION = st.sampled_from(["protocol", "metrics", "intervals"])


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(NAMES, JSON, max_size=2),
    st.dictionaries(OF_EVALUATION, JSON | st.fixed_dictionaries({"ndcg@10": JSON}), max_size=2),
    JSON,
)
def test_no_record_however_damaged_stops_a_night(tmp_path_factory, top, inner, data):
    folder = fresh_folder(tmp_path_factory)
    damaged = recorded(2, data={"users": data}, **evaluated(0.2, **inner)) | top
    (folder / "runs").mkdir()
    (folder / "runs" / "9 torn.json").write_text('{"status": "promo')
    assert all(0 <= score <= 1 for score in scores_of(promoted(folder, [recorded(1, 0.1), damaged])))
    before = known_before(None, folder, PROTOCOL)
    judged = {"questions": 90, "metrics": {"ndcg@10": 0.2}, "baselines": {"popularity": {"ndcg@10": 0.1}}}
    assert gates.refusal([*gates.of_evaluation(judged, before, PROTOCOL, QUICK.gates)]) is not None
    counts = {"interactions": 9, "users": 9, "items": 9}
    assert gates.refusal([*gates.of_data(counts, before, QUICK.gates)]) is not None
