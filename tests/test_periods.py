"""Tastes of periods: which events they read, how they change, and users with similar tastes."""

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from databases import listens
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from item2vec import Engine, Interactions, Items, ItemVectors, Recommender, Vocabulary
from item2vec.config import AdapterConfig
from item2vec.durations import DAY
from item2vec.errors import InputError, InputTypeError
from item2vec.ranker import Ranker

ITEMS = tuple("abcdef")
START = datetime(2024, 1, 1, tzinfo=UTC)
FIRST = int(START.timestamp()) * 1_000_000
GENRES = Items.of({item: {"genre": "jazz" if item in "abc" else "soul"} for item in ITEMS})
NUMBERS = itertools.count()


def model_of(*, adapter=None, score="output", **taste):
    matrices = np.random.default_rng(5).normal(size=(2, len(ITEMS), 8)).astype(np.float32)
    vectors = ItemVectors(Vocabulary(ITEMS), *matrices, np.arange(len(ITEMS), 0, -1))
    return Recommender(vectors, score=score, adapter=adapter, items=GENRES, **taste)


@pytest.fixture
def engine_of(url, store, tmp_path):
    """Return a function that returns an engine of a model and the store."""
    opened = []

    def open_engine(model):
        path = tmp_path / f"bundle-{next(NUMBERS)}"
        model.save(path)
        opened.append(Engine(models=path, store=url, reload_every=None))
        return opened[-1]

    yield open_engine
    for engine in opened:
        engine.close()


def on_days(*rows):
    """Return interactions of (user, item, day) rows."""
    return listens(*((user, item, FIRST + int(day * DAY)) for user, item, day in rows))


def day(number):
    return START + timedelta(days=number)


BOUNDS = {
    "at any time": ({}, "abcd"),
    "since is inclusive": ({"since": day(2)}, "bcd"),
    "until is exclusive": ({"until": day(3)}, "ab"),
    "both": ({"since": day(2), "until": day(3)}, "b"),
    "a microsecond after the event": ({"since": day(2) + timedelta(microseconds=1)}, "cd"),
    "ISO text": ({"since": "2024-01-03", "until": "2024-01-04 00:00:00.000001+00:00"}, "bc"),
    "another time zone": ({"since": "2024-01-03T01:00:00+01:00", "until": "2024-01-03T02:00"}, "b"),
    "naive datetimes are UTC": ({"since": datetime(2024, 1, 4)}, "cd"),
}


def test_a_period_contains_its_start_and_not_its_end(engine_of, store):
    store.ingest(on_days(("ann", "a", 1), ("ann", "b", 2), ("ann", "c", 3), ("ann", "d", 4)))
    engine = engine_of(model_of())
    for name, (bounds, expected) in BOUNDS.items():
        taste = engine.taste("ann", **bounds)
        assert taste.history == tuple(expected), name
        assert taste.count == len(expected)
        days = [day(1 + "abcd".index(item)) for item in expected]
        assert (taste.user, taste.first, taste.last) == ("ann", days[0], days[-1])
    assert repr(taste) == "Taste(user='ann', 2 items from 2024-01-04 to 2024-01-05)"


def test_durations_end_now_and_events_of_the_future_are_left_out(engine_of, store):
    now = datetime.now(UTC)
    ages = {"a": 30, "b": 3, "c": 1, "d": -400}
    times = [now - timedelta(days=age) for age in ages.values()]
    store.ingest(Interactions.of(user=["ann"] * 4, item=list(ages), timestamp=times))
    engine = engine_of(model_of())
    assert engine.taste("ann").history == ("a", "b", "c")
    assert engine.taste("ann", since="7d").history == ("b", "c")
    assert engine.taste("ann", since=timedelta(days=7), until="48h").history == ("b",)
    assert engine.taste("ann", since="1000000d").history == ("a", "b", "c")  # before year 1
    assert engine.similar_users("ann", since="1000000d") == []


SHAPES = {
    "default": ({}, {}),
    "cosine": ({"score": "cosine", "decay": 0.5}, {}),
    "half-life and last items": ({"half_life": 2.0, "last_n": 3}, {"max_length": 4}),
    "weights and dislikes": ({"decay": (0.5, 0.9)}, {"events": {"click": 1, "buy": 5, "skip": -1}}),
    "repeats": ({}, {"events": ("click", "buy"), "collapse_repeats": True}),
}


@pytest.mark.parametrize(("taste", "adapter"), SHAPES.values(), ids=SHAPES)
def test_the_whole_history_has_the_user_vector_of_recommend(engine_of, store, monkeypatch, taste, adapter):
    items = [*"abbcda", "unknown", "e"]
    names = ["click", "buy", "click", "skip", "click", "buy", "click", "view"]
    times = [day(n) for n in range(len(items))]
    events = Interactions.of(user=["ann"] * len(items), item=items, event=names, timestamp=times)
    store.ingest(events)
    engine = engine_of(model_of(adapter=AdapterConfig(**adapter), **taste))
    used, original = [], Ranker.user_vectors
    monkeypatch.setattr(
        Ranker, "user_vectors", lambda *arguments: used.append(original(*arguments)) or used[-1]
    )
    ranking = engine.recommend("ann", k=9, filter_seen=False)
    own = engine.taste("ann")
    assert own.vector.tobytes() == used[0].tastes.vectors[0].tobytes()
    assert [item for item in engine.view().history("ann") if item in ITEMS] == list(own.history)
    allowed = own.items(k=9, allow=[one.item for one in ranking])  # recommend leaves out disliked items
    assert {one.item: one.score for one in allowed} == pytest.approx(
        {one.item: one.score for one in ranking}, abs=1e-5
    )
    assert not own.vector.flags.writeable


@pytest.fixture
def three_items(engine_of):
    """An engine whose histories have the newest three items."""
    return engine_of(model_of(adapter=AdapterConfig(max_length=3), decay=0.7))


rows = st.lists(st.tuples(st.sampled_from([*ITEMS, "unknown"]), st.integers(0, 9)), min_size=1, max_size=9)


@given(rows=rows, start=st.none() | st.integers(0, 9), length=st.none() | st.integers(1, 9))
@examples(20, suppress_health_check=[*HealthCheck])
def test_the_taste_of_a_period_is_that_of_its_events(three_items, store, rows, start, length):
    user = f"u{next(NUMBERS)}"
    rows = sorted(rows, key=lambda row: row[1])
    store.ingest(on_days(*((user, *row) for row in rows)), repeats="keep")
    end = None if length is None else (start or 0) + length
    within = [item for item, at in rows if (start or 0) <= at < (99 if end is None else end)][-3:]
    period = {"since": None if start is None else day(start), "until": None if end is None else day(end)}
    known = [item for item in within if item in ITEMS]
    if known:
        taste = three_items.taste(user, **period)
        assert list(taste.history) == known
        assert taste.vector.tobytes() == three_items.model.tastes([within])[0].tobytes()
    else:
        with pytest.raises(InputError, match=f"user '{user}' has no taste"):
            three_items.taste(user, **period)


def test_the_change_is_the_difference_of_the_scores(engine_of, store):
    store.ingest(on_days(("ann", "a", 1), ("ann", "b", 2), ("ann", "d", 11), ("ann", "e", 12)))
    engine = engine_of(model_of(decay=1.0))
    before, after = engine.taste("ann", until=day(10)), engine.taste("ann", since=day(10))
    change = before.moved_to(after, k=9)
    v, output = engine.model.vectors.input.astype(float), engine.model.vectors.output.astype(float)
    one, two = v[[0, 1]].mean(axis=0), v[[3, 4]].mean(axis=0)
    cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
    assert change.distance == pytest.approx(1 - cosine, abs=1e-6)
    changes = dict(zip(ITEMS, output @ (two - one), strict=True))
    order = sorted(changes, key=changes.get)
    assert [one.item for one in change.towards] == [item for item in order[::-1] if changes[item] > 0]
    assert [one.item for one in change.away] == [item for item in order if changes[item] < 0]
    for found in change.towards + change.away:
        assert found.score == pytest.approx(changes[found.item], abs=1e-5)
    assert before.moved_to(before).distance == pytest.approx(0, abs=1e-9)
    assert before.moved_to(before).towards == before.moved_to(before).away == []


def test_lists_of_items_follow_rules_and_the_catalogue(engine_of, store):
    store.ingest_items(GENRES)
    store.ingest(on_days(("ann", "a", 1), ("ann", "d", 2)))
    engine = engine_of(model_of())
    store.deactivate_items(["b"])
    engine.refresh()
    before, after = engine.taste("ann", until=day(2)), engine.taste("ann", since=day(2))
    assert {one.item for one in before.items(k=9)} == set("acdef")
    assert {one.item for one in before.items(k=9, exclude=before.history)} == set("cdef")
    change = before.moved_to(after, k=9, where={"genre": "soul"}, deny=["f"])
    assert {one.item for one in change.towards + change.away} == set("de")
    assert len(before.items(k=2)) == 2
    for rules in ({"boost": {"a": 2.0}}, {"direction": ({"genre": "jazz"}, {"genre": "soul"})}):
        with pytest.raises(InputTypeError, match="changes scores"):
            before.items(**rules)


def test_similar_users_have_the_highest_cosines_in_the_period(engine_of, store, monkeypatch):
    random = np.random.default_rng(7)
    people = [f"u{number}" for number in range(12)]
    rows = [(user, ITEMS[random.integers(6)], int(random.integers(0, 20))) for user in people for _ in "1234"]
    # The twins have equal tastes; "late" has no event in the period, and "stranger" no known item.
    rows += [("twin 1", "a", 3), ("twin 2", "a", 4), ("late", "a", 15), ("stranger", "unknown", 3)]
    store.ingest(on_days(*rows), repeats="keep")
    engine = engine_of(model_of())
    period = {"since": day(0), "until": day(10)}
    vectors = {}
    for user in dict.fromkeys(row[0] for row in rows):
        if any(row[0] == user and row[2] < 10 and row[1] in ITEMS for row in rows):
            vectors[user] = engine.taste(user, **period).vector.astype(float)
    own = vectors["twin 1"]
    cosines = {
        user: other @ own / np.linalg.norm(other) / np.linalg.norm(own) for user, other in vectors.items()
    }
    del cosines["twin 1"]
    found = engine.similar_users("twin 1", **period, k=99)
    assert dict(found) == pytest.approx(cosines, abs=1e-9)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert found[0].user == "twin 2"
    assert found[0].score == pytest.approx(1)
    monkeypatch.setattr("item2vec.view.USERS_PER_BLOCK", 2)
    assert engine.similar_users("twin 1", **period, k=99) == found
    assert engine.similar_users("twin 1", **period, k=3) == found[:3]
    assert "late" in dict(engine.similar_users("twin 1", k=99))


def test_errors_name_the_argument_and_the_next_step(engine_of, store, tmp_path):
    store.ingest(on_days(("ann", "a", 1), ("bob", "unknown", 1)))
    engine = engine_of(model_of())
    cases = [
        ("nobody", {}, "user 'nobody' has no taste at any time: no liked item of these events"),
        ("bob", {}, "user 'bob' has no taste at any time"),
        (
            "ann",
            {"since": day(5)},
            "has no taste since 2024-01-06T00:00:00.000000: .* choose a longer period",
        ),
        ("ann", {"since": "2024-05-01", "until": "2024-05-01"}, "expected since before until"),
        ("ann", {"since": "yesterday"}, "since is 'yesterday'; expected a datetime, ISO text"),
        ("ann", {"until": timedelta(0)}, "until is datetime.timedelta"),
        ("ann", {"since": 30}, "since is 30; expected"),
    ]
    for user, bounds, message in cases:
        for query in (engine.taste, engine.similar_users):
            with pytest.raises(InputError, match=message):
                query(user, **bounds)
    other = engine_of(model_of(decay=0.5))
    with pytest.raises(InputError, match=r"two models.*engine\.view"):
        engine.taste("ann").moved_to(other.taste("ann"))
    with pytest.raises(InputError, match="k is 0"):
        engine.similar_users("ann", k=0)
    model_of().save(tmp_path / "alone")
    with (
        Engine(models=tmp_path / "alone", store=None) as alone,
        pytest.raises(InputError, match="the engine has no store"),
    ):
        alone.similar_users("ann")


def test_a_store_without_timestamps_has_no_periods(engine_of, store):
    store.ingest(Interactions.of(user=["ann", "ann", "bob"], item=["a", "b", "a"]))
    engine = engine_of(model_of())
    taste = engine.taste("ann")
    assert (taste.history, taste.first, taste.last) == (("a", "b"), None, None)
    assert [one.user for one in engine.similar_users("ann")] == ["bob"]
    with pytest.raises(InputError, match="no timestamps; a period requires them: omit since and until"):
        engine.taste("ann", since="1d")


def test_an_engine_answers_to_vectors_and_directions(engine_of, store):
    store.ingest_items(GENRES)
    store.deactivate_items(["b"])
    engine = engine_of(model_of())
    vector = engine.model.vectors.input[1]
    assert engine.nearest(vector, k=9) == engine.view().model.nearest(vector, k=9)
    assert {one.item for one in engine.nearest(vector, k=9)} == set("acdef")
    newer = engine.direction({"genre": "jazz"}, {"genre": "soul"})
    unit = engine.model.vectors.unit_input
    expected = unit[[3, 4, 5]].mean(axis=0) - unit[[0, 2]].mean(axis=0)  # without the inactive item
    np.testing.assert_allclose(newer.input, expected, atol=1e-6)
