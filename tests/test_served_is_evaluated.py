"""Offline evaluation equals serving: a split's histories get the same recommendations as ``Engine``."""

import dataclasses
import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from databases import SLOW_ON_POSTGRESQL
from examples import examples
from hypothesis import HealthCheck, given, reject
from hypothesis import strategies as st

from item2vec import Engine, Interactions, Items, ItemVectors, Recommender, Sentences, Vocabulary
from item2vec.config import AdapterConfig
from item2vec.durations import DAY
from item2vec.errors import InputError
from item2vec.evaluation import temporal_split
from item2vec.neighbours import table_for
from item2vec.prior import prior_for

ITEMS = tuple(f"i{number}" for number in range(12))
GENRES = {item: ("jazz", "rock", "soul")[number % 3] for number, item in enumerate(ITEMS)}
EVENTS = ("view", "click", "purchase")
NUMBERS = itertools.count()
START = datetime(2024, 1, 1, tzinfo=UTC)
CUT = START + timedelta(days=40)

tastes = st.fixed_dictionaries(
    {
        "score": st.sampled_from(["output", "cosine"]),
        "decay": st.sampled_from([1.0, 0.7, (0.5, 0.9)]),
        "half_life": st.none() | st.floats(0.5, 30),
        "last_n": st.none() | st.integers(1, 4),
        "repeat_bonus": st.sampled_from([0.0, 2.0]),
        "mixture": st.sampled_from([0.0, 0.5]),
        "popularity": st.sampled_from([0.0, 0.7]),
        "popularity_half_life": st.none() | st.just(7.0),
        "index": st.sampled_from(["exact", "annoy"]),
    }
)
shapes = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["histories", "sessions"]),
        "days": st.none() | st.floats(1, 40),
        "events": st.none()
        | st.sampled_from(
            [
                ("purchase",),
                ("click", "purchase"),
                {"click": 1, "purchase": 5},
                {"view": 0.5},
                {"click": 2, "purchase": 1, "view": -0.5},
            ]
        ),
        "seen_events": st.none() | st.sampled_from([("purchase",), ("view", "click")]),
        "max_length": st.none() | st.integers(1, 4),
        "collapse_repeats": st.booleans(),
        "group_by": st.none() | st.just("genre"),
    }
)
event = st.tuples(st.sampled_from(ITEMS), st.sampled_from(EVENTS), st.sampled_from([0.5, 1, 3]))
users = st.lists(st.lists(event, min_size=1, max_size=12), min_size=1, max_size=5)


def interactions_of(histories, prefix, resolution):
    """Return each user's events before the cut, then one event of each kind, with a new item, after it.

    Timestamps before the cut are rounded down to a multiple of ``resolution`` hours, so that some are equal.
    """
    columns = {name: [] for name in ("user", "item", "event", "weight", "timestamp")}

    def add(user, item, name, weight, time):
        for column, value in zip(columns.values(), (user, item, name, weight, time), strict=True):
            column.append(value)

    for number, events in enumerate(histories):
        user = f"{prefix}{number}"
        for place, (item, name, weight) in enumerate(events):
            hours = 24 * 39 * (place + 1) / len(events) + number / 60
            hours = hours // resolution * resolution if resolution else hours
            add(user, item, name, weight, START + timedelta(hours=hours))
        for name in EVENTS:
            add(user, f"new {name}", name, 1, CUT + timedelta(hours=number))
    return Interactions.of(**columns)


def model_of(adapter, *, index, items, **taste):
    ids = ("jazz", "rock", "soul", "pop") if adapter.group_by else ITEMS
    random = np.random.default_rng(len(ids))
    matrices = random.normal(size=(2, len(ids), 8)).astype(np.float32)
    vectors = ItemVectors(Vocabulary(ids), *matrices, np.arange(len(ids), 0, -1))
    lists = Sentences.of([[ids[code] for code in random.integers(0, len(ids), 5)] for _ in range(8)])
    days = np.arange(len(lists.tokens)) * DAY
    dated = dataclasses.replace(lists, timestamps=days)
    counted = {
        "neighbours": table_for(lists, vectors.vocabulary),
        "prior": prior_for(dated, vectors.vocabulary, taste["popularity_half_life"]),
    }
    return Recommender(vectors, index=index, items=items, adapter=adapter, **counted, **taste)


ITEMS_TABLE = Items.of(
    {item: {"genre": genre} for item, genre in GENRES.items()}
    | {f"new {name}": {"genre": f"new {name}"} for name in EVENTS}
)


@pytest.fixture
def filled(store):
    store.ingest_items(ITEMS_TABLE)
    return store


@pytest.mark.parametrize("new_url", SLOW_ON_POSTGRESQL, indirect=True)
@given(histories=users, shape=shapes, taste=tastes, resolution=st.sampled_from([None, 24, 24 * 100]))
@examples(25, suppress_health_check=[*HealthCheck])
def test_the_engine_recommends_as_the_split_was_evaluated(
    filled, url, tmp_path_factory, histories, shape, taste, resolution
):
    # The users occur in no other example.
    events = interactions_of(histories, f"{next(NUMBERS)}-", resolution)
    past = events.between(end=CUT)
    filled.ingest(past, repeats="keep")
    adapter = AdapterConfig(**shape)
    try:
        split = temporal_split(events, at=CUT, adapter=adapter, items=ITEMS_TABLE)
    except InputError:  # no event of the chosen kinds and days is left to train on
        reject()
    model = model_of(adapter.resolved(past.timestamp), items=ITEMS_TABLE, **taste)
    names = list(dict.fromkeys(events.users.ids))
    assert len(split) == len(names)
    bundle = tmp_path_factory.mktemp("served") / "bundle"
    model.save(bundle)
    rules = {"k": 5, "exclude": split.seen, "filter_seen": split.filter_seen}
    expected = model.recommend_many(split.histories, **rules)
    where = {} if adapter.group_by else {"genre": ["jazz", "soul"]}
    allowed = None if adapter.group_by else ITEMS_TABLE.where(where)
    with_seen = model.recommend_many(split.histories, k=5, filter_seen=False)
    several = model.recommend_many(split.histories, interests=2, disliked=["i5"], **rules)
    filtered = model.recommend_many(split.histories, allow=allowed, deny=["i3"], **rules)
    with Engine(models=bundle, store=url, reload_every=None) as engine:
        assert [engine.recommend(user, k=5) for user in names] == expected
        assert engine.recommend_many(names, k=5) == expected
        assert [engine.recommend(user, k=5, filter_seen=False) for user in names] == with_seen
        further = {"interests": 2, "disliked": ["i5"]}
        assert [engine.recommend(user, k=5, **further) for user in names] == several
        assert [engine.recommend(user, k=5, where=where, deny=["i3"]) for user in names] == filtered
        for user, ranking in zip(names * 2, expected + with_seen, strict=True):
            if ranking and ranking[0].source == "model":
                shares = engine.explain(user, ranking[0].item)
                assert sum(share for _, share in shares) == pytest.approx(ranking[0].score, abs=1e-5)
