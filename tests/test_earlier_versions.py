"""A new model is compared with the scores in manifests and reports, even if some of these are damaged."""

import json

import pytest
from examples import examples
from faults.made import made_model
from hypothesis import given
from hypothesis import strategies as st
from nights import QUICK
from strategies import fresh_folder

import item2vec
from item2vec.retraining import gates
from item2vec.retraining.earlier_versions import protocol_of, read_earlier_results

PROTOCOL = protocol_of(QUICK)


def evaluation(score, **changes):
    """Return an evaluation with this score, in the format of notes and reports."""
    return {"protocol": PROTOCOL, "metrics": {"ndcg@10": score}, **changes}


def report(number, score=0.2, **changes):
    """Return the report of a promoted run, with only the keys that later runs read."""
    return {
        "status": "promoted",
        "version": f"g{number:010}-0a1b2c3d",
        "forced": None,
        "evaluation": evaluation(score),
        **changes,
    }


def read_promoted(folder, reports, protocol=PROTOCOL):
    """Save reports in a models folder, and return the promotions that a new run reads from them."""
    runs = folder / "runs"
    runs.mkdir(exist_ok=True)
    for number, content in enumerate(reports):
        (runs / f"{number:03}.json").write_text(json.dumps(content))
    return read_earlier_results(None, folder, protocol).get("promoted", [])


def scores_of(promoted):
    return [promotion["score"] for promotion in promoted]


def test_the_last_seven_promotions_are_read(tmp_path):
    reports = [report(number, number / 100) for number in range(1, 11)]
    assert scores_of(read_promoted(tmp_path, reports)) == [0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04]


def test_other_outcomes_and_other_protocols_are_skipped(tmp_path):
    other = PROTOCOL | {"metric": "ndcg@5"}
    reports = [
        report(1, 0.1),
        report(2, 0.2, status="refused"),
        report(3, 0.3, evaluation=evaluation(0.3, protocol=other)),
        report(4, 0.4, version="the fourth"),
        report(5, 0.5, evaluation={"queries": 0}),
        report(6, 0.6),
    ]
    assert scores_of(read_promoted(tmp_path, reports)) == [0.6, 0.1]


def test_a_forced_promotion_is_the_oldest_that_is_read(tmp_path):
    reports = [report(1, 0.9), report(2, 0.8), report(3, 0.1, forced="a new catalogue"), report(4, 0.2)]
    assert scores_of(read_promoted(tmp_path, reports)) == [0.2, 0.1]


def test_manifests_and_reports_with_the_former_keys_are_read(tmp_path):
    settings = dict(PROTOCOL["evaluation"])
    settings["max_questions"] = settings.pop("max_queries")
    former = evaluation(0.3, protocol=PROTOCOL | {"evaluation": settings}, questions=90)
    served = item2vec.publish(made_model(), tmp_path, note={"retrain": {"evaluation": former}})
    promoted = read_promoted(tmp_path, [report(0, evaluation=former)])
    assert scores_of(promoted) == [0.3, 0.3]
    results = read_earlier_results(served, tmp_path, PROTOCOL)
    assert results["evaluation"] == evaluation(0.3)


@pytest.mark.parametrize(
    ("changes", "first", "split"),
    [
        ({}, "1970-01-01T00:00:00+00:00", "temporal"),
        ({}, None, "leave-last-out"),
        ({"adapter": PROTOCOL["adapter"] | {"ordered": False}}, None, "random"),
        ({"corpus": True}, "1970-01-01T00:00:00+00:00", "leave-last-out"),
    ],
)
def test_the_split_of_a_former_record_follows_from_its_data(changes, first, split, tmp_path):
    former = {name: value for name, value in (PROTOCOL | changes).items() if name != "split"}
    reports = [report(1, evaluation=evaluation(0.3, protocol=former), data={"first": first})]
    for name in ("temporal", "leave-last-out", "random"):
        found = read_promoted(tmp_path, reports, former | {"split": name})
        assert scores_of(found) == ([0.3] if name == split else [])


@pytest.mark.parametrize(
    ("recorded", "expected"),
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
def test_an_impossible_interval_is_none(recorded, expected, tmp_path):
    reports = [report(1, evaluation=evaluation(0.2, intervals={"ndcg@10": recorded}))]
    assert read_promoted(tmp_path, reports) == [
        {"version": report(1)["version"], "score": 0.2, "interval": expected}
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
REPORT_KEYS = st.sampled_from(["version", "forced", "data", "evaluation", "status"])
EVALUATION_KEYS = st.sampled_from(["protocol", "metrics", "intervals", "questions"])


@examples(60)
@given(
    st.dictionaries(REPORT_KEYS, JSON, max_size=2),
    st.dictionaries(
        EVALUATION_KEYS,
        JSON | st.fixed_dictionaries({"ndcg@10": JSON}) | st.fixed_dictionaries({"evaluation": JSON}),
        max_size=2,
    ),
    JSON,
)
def test_a_damaged_report_does_not_stop_a_run(tmp_path_factory, top, inner, n_users):
    folder = fresh_folder(tmp_path_factory)
    damaged = report(2, data={"users": n_users}, evaluation=evaluation(0.2, **inner)) | top
    (folder / "runs").mkdir()
    (folder / "runs" / "9 torn.json").write_text('{"status": "promo')
    assert all(0 <= score <= 1 for score in scores_of(read_promoted(folder, [report(1, 0.1), damaged])))
    earlier = read_earlier_results(None, folder, PROTOCOL)
    result = {"queries": 90, "metrics": {"ndcg@10": 0.2}, "baselines": {"popularity": {"ndcg@10": 0.1}}}
    assert gates.refusal([*gates.of_evaluation(result, earlier, PROTOCOL, QUICK.gates)]) is not None
    data = {"interactions": 9, "users": 9, "items": 9}
    assert gates.refusal([*gates.of_data(data, earlier, QUICK.gates)]) is not None
