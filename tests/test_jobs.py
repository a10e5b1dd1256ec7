"""What a night reads of the store: nothing of the future."""

import pytest
from nights import QUICK, fill, made_listens

from item2vec import Interactions
from item2vec.config import AdapterConfig
from item2vec.errors import NothingToTrainError
from item2vec.retraining import jobs

NOW = "1970-01-03T00:00:00+00:00"
HOUR = 3_600_000_000


def dated(*hours, item="late"):
    return Interactions.of(
        user=["ann"] * len(hours), item=[item] * len(hours), timestamp=[hour * HOUR for hour in hours]
    )


def snapshot(url, folder, now=NOW, **adapter):
    return jobs.Jobs(QUICK.replace(adapter=AdapterConfig(**adapter))).snapshot(
        url, str(folder / "spool"), now
    )


@pytest.mark.parametrize("days", [None, 0.5])
def test_one_wrong_date_changes_nothing_but_the_count_of_such_events(days, url, tmp_path):
    fill(url, made_listens(60))
    (tmp_path / "before").mkdir()
    expected = snapshot(url, tmp_path / "before", days=days)
    assert (expected["future"], expected["future_example"]) == (0, None)
    fill(url, dated(1_130_000, 72, item="wrong"))
    found = snapshot(url, tmp_path, days=days)
    example = {"user": "ann", "item": "wrong", "timestamp": "1970-01-04T00:00:00+00:00"}
    assert found == expected | {"future": 2, "future_example": example}


def test_up_to_a_day_ahead_is_not_yet_the_future(tmp_path):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", made_listens(60))
    fill(url, dated(49, 71))
    found = snapshot(url, tmp_path)
    assert (found["future"], found["last"]) == (0, "1970-01-03T23:00:00.000000+00:00")


def test_where_all_is_of_the_future_it_is_said(tmp_path):
    url = fill(f"sqlite:///{tmp_path}/item2vec.db", made_listens(60))
    with pytest.raises(
        NothingToTrainError, match=r"holds 0 .* without 960 dated a day or more ahead of 1960"
    ):
        snapshot(url, tmp_path, now="1960-01-01T00:00:00+00:00")
