"""Every parameter for ids rejects values that are not text; such values are never treated as unknown ids.

The parameters are collected by reflection, so that a new parameter cannot be forgotten.
"""

from __future__ import annotations

import importlib
import inspect
import re
from itertools import product

import numpy as np
import pytest
from strategies import NOT_TEXT

from item2vec import (
    Engine,
    Graph,
    Interactions,
    Items,
    ItemVectors,
    Recommender,
    Sentences,
    Vocabulary,
    publish,
)
from item2vec import adapters as adapt
from item2vec.errors import InputTypeError
from item2vec.evaluation import CommonNeighbours, Popularity
from item2vec.store import Store, event_key
from item2vec.types import as_history, as_texts, check_ids

PUBLIC_MODULES = (
    "item2vec",
    "item2vec.adapters",
    "item2vec.evaluation",
    "item2vec.readers",
    "item2vec.store",
    "item2vec.types",
)
NAMES = {
    "allow", "deny", "disliked", "edges", "event", "events", "exclude", "histories", "history", "id_", "ids",
    "item", "items", "negative", "node", "nodes", "other", "positive", "sentences", "session", "sessions",
    "source", "target", "targets", "group_by", "user", "users",
}  # fmt: skip

ONE_ID = {
    ("Vocabulary.code", "id_"): lambda s, bad: s.songs.code(bad),
    ("Vocabulary.closest", "id_"): lambda s, bad: s.songs.closest(bad),
    ("Items.title", "item"): lambda s, bad: s.items.title(bad),
    ("Items.about", "item"): lambda s, bad: s.items.about(bad),
    ("Graph.neighbours_of", "node"): lambda s, bad: s.graph.neighbours_of(bad),
    ("ItemVectors.__getitem__", "item"): lambda s, bad: s.vectors[bad],
    ("Geometry.similarity", "item"): lambda s, bad: s.vectors.similarity(bad, "a"),
    ("Geometry.similarity", "other"): lambda s, bad: s.vectors.similarity("a", bad),
    ("Geometry.similar_items", "item"): lambda s, bad: s.vectors.similar_items(bad),
    ("Geometry.distances", "item"): lambda s, bad: s.vectors.distances(bad),
    ("Geometry.closer_than", "item"): lambda s, bad: s.vectors.closer_than(bad, "a"),
    ("Geometry.closer_than", "other"): lambda s, bad: s.vectors.closer_than("a", bad),
    ("Geometry.rank", "item"): lambda s, bad: s.vectors.rank(bad, "a"),
    ("Geometry.rank", "other"): lambda s, bad: s.vectors.rank("a", bad),
    ("ItemQueries.similar_items", "item"): lambda s, bad: s.model.similar_items(bad),
    ("Recommender.explain", "item"): lambda s, bad: s.model.explain(["a"], bad),
    ("Engine.recommend", "user"): lambda s, bad: s.engine.recommend(bad),
    ("Store.history", "user"): lambda s, bad: s.store.history(bad),
    ("Engine.explain", "user"): lambda s, bad: s.engine.explain(bad, "a"),
    ("Engine.explain", "item"): lambda s, bad: s.engine.explain("ann", bad),
    ("Engine.similar_items", "item"): lambda s, bad: s.engine.similar_items(bad),
    ("Engine.taste", "user"): lambda s, bad: s.engine.taste(bad),
    ("Engine.similar_users", "user"): lambda s, bad: s.engine.similar_users(bad),
    ("Store.forget_user", "user"): lambda s, bad: s.store.forget_user(bad),
    ("Store.ingest", "source"): lambda s, bad: s.store.ingest(s.log, source=bad),
    ("event_key", "user"): lambda s, bad: event_key(bad, "a", "click", 0),
    ("event_key", "item"): lambda s, bad: event_key("ann", bad, "click", 0),
    ("event_key", "event"): lambda s, bad: event_key("ann", "a", bad, 0),
}
MANY_IDS = {
    ("Vocabulary", "ids"): lambda s, bad: Vocabulary(bad),
    ("Vocabulary.of", "ids"): lambda s, bad: Vocabulary.of(bad),
    ("Vocabulary.encode", "ids"): lambda s, bad: s.songs.encode(bad),
    ("as_texts", "ids"): lambda s, bad: as_texts(bad),
    ("check_ids", "ids"): lambda s, bad: check_ids(bad),
    ("as_history", "items"): lambda s, bad: s.songs.encode(as_history(bad)),
    ("Interactions.of", "user"): lambda s, bad: Interactions.of(user=bad, item=["a"]),
    ("Interactions.of", "item"): lambda s, bad: Interactions.of(user=["ann"], item=bad),
    ("Interactions.of", "event"): lambda s, bad: Interactions.of(user=["ann"], item=["a"], event=bad),
    ("Interactions.of", "session"): lambda s, bad: Interactions.of(user=["ann"], item=["a"], session=bad),
    ("Interactions.of_events", "events"): lambda s, bad: s.log.of_events(bad),
    ("histories", "events"): lambda s, bad: adapt.histories(s.log, events=bad),
    ("sessions", "events"): lambda s, bad: adapt.sessions(s.log, events=bad),
    ("Geometry.analogy", "positive"): lambda s, bad: s.vectors.analogy(positive=bad),
    ("Geometry.analogy", "negative"): lambda s, bad: s.vectors.analogy(positive=["a"], negative=bad),
    ("Geometry.analogy_target", "positive"): lambda s, bad: s.vectors.analogy_target(bad, []),
    ("Geometry.analogy_target", "negative"): lambda s, bad: s.vectors.analogy_target(["a"], bad),
    ("Geometry.analogy_products", "positive"): lambda s, bad: s.vectors.analogy_products(bad, []),
    ("Geometry.analogy_products", "negative"): lambda s, bad: s.vectors.analogy_products(["a"], bad),
    ("ItemVectors.select", "items"): lambda s, bad: s.vectors.select(bad),
    ("ItemVectors.embedding_matrix", "items"): lambda s, bad: s.vectors.embedding_matrix(bad),
    ("Geometry.doesnt_match", "items"): lambda s, bad: s.vectors.doesnt_match(bad),
    ("ItemQueries.analogy", "positive"): lambda s, bad: s.model.analogy(positive=bad),
    ("ItemQueries.analogy", "negative"): lambda s, bad: s.model.analogy(positive=["a"], negative=bad),
    ("Recommender.recommend", "history"): lambda s, bad: s.model.recommend(bad),
    ("Recommender.recommend", "exclude"): lambda s, bad: s.model.recommend(["a"], exclude=bad),
    ("Recommender.recommend", "allow"): lambda s, bad: s.model.recommend(["a"], allow=bad),
    ("Recommender.recommend", "deny"): lambda s, bad: s.model.recommend(["a"], deny=bad),
    ("Recommender.recommend_many", "allow"): lambda s, bad: s.model.recommend_many([["a"]], allow=bad),
    ("Recommender.recommend_many", "deny"): lambda s, bad: s.model.recommend_many([["a"]], deny=bad),
    ("Recommender.explain", "history"): lambda s, bad: s.model.explain(bad, "a"),
    ("_Neighbours.score_pairs", "targets"): lambda s, bad: CommonNeighbours(s.graph).score_pairs(["a"], bad),
    ("pairs", "items"): lambda s, bad: adapt.pairs(bad, ["x"]),
    ("Engine.recommend", "exclude"): lambda s, bad: s.engine.recommend("ann", exclude=bad),
    ("Engine.recommend", "allow"): lambda s, bad: s.engine.recommend("ann", allow=bad),
    ("Engine.recommend", "deny"): lambda s, bad: s.engine.recommend("ann", deny=bad),
    ("Engine.recommend", "history"): lambda s, bad: s.engine.recommend(history=bad),
    ("Engine.recommend_many", "users"): lambda s, bad: s.engine.recommend_many(bad),
    ("Engine.recommend_many", "allow"): lambda s, bad: s.engine.recommend_many(["ann"], allow=bad),
    ("Engine.recommend_many", "deny"): lambda s, bad: s.engine.recommend_many(["ann"], deny=bad),
    ("Engine.analogy", "positive"): lambda s, bad: s.engine.analogy(positive=bad),
    ("Engine.analogy", "negative"): lambda s, bad: s.engine.analogy(positive=["a"], negative=bad),
    ("Store.histories", "users"): lambda s, bad: s.store.histories(bad),
    ("Store.activate_items", "items"): lambda s, bad: s.store.activate_items(bad),
    ("Store.deactivate_items", "items"): lambda s, bad: s.store.deactivate_items(bad),
    ("Store.interactions", "events"): lambda s, bad: s.store.interactions(events=bad),
    ("Store.snapshot", "events"): lambda s, bad: s.store.snapshot(events=bad),
}
LISTS_OF_IDS = {
    ("Sentences.of", "sentences"): lambda s, bad: Sentences.of(bad),
    ("playlists", "source"): lambda s, bad: adapt.playlists(bad),
    ("Graph.of", "edges"): lambda s, bad: Graph.of([("a", *edge) for edge in bad]),
    ("ItemQueries.tastes", "histories"): lambda s, bad: s.model.tastes(bad),
    ("Recommender.recommend_many", "histories"): lambda s, bad: s.model.recommend_many(bad),
    ("Recommender.recommend_many", "exclude"): lambda s, bad: s.model.recommend_many([["a"]], exclude=bad),
    ("Engine.recommend_many", "exclude"): lambda s, bad: s.engine.recommend_many(["ann"], exclude=bad),
    ("Baseline.recommend_many", "histories"): lambda s, bad: s.popularity.recommend_many(bad),
    ("Baseline.recommend_many", "exclude"): lambda s, bad: s.popularity.recommend_many([["a"]], exclude=bad),
}
NOT_IDS = {
    "fields of results": [
        *(("Recommendation", name) for name in ("item", "source")), ("Share", "item"),
        ("History", "items"), ("History", "events"), ("Ahead", "user"), ("Ahead", "item"),
    ],
    "the operator in": [("Vocabulary.__contains__", "id_"), ("ItemVectors.__contains__", "item")],
    "names of columns": [
        *((f"read_{kind}", name) for kind in ("interactions", "items") for name in ("item", "source")),
        *(("read_interactions", name) for name in ("user", "event", "session")),
    ],
    "files and tables, where whole numbers are valid ids": [
        ("read_edges", "source"),
        ("save_walks", "edges"),
        ("walks", "edges"),
    ],
    "group_by, where None means no group; see test_adapters": [
        (adapter, "group_by") for adapter in ("histories", "playlists", "sessions")
    ],
    "users by history, in a mapping; see test_batch": [
        ("recommend_all", name) for name in ("histories", "users")
    ],
    "a position in a file": [(of, "source") for of in ("Fault", "Fault.of_value")],
}  # fmt: skip

RULES = set(product(("Engine.recommend", "Engine.recommend_many"), ("allow", "deny", "exclude"))) | set(
    product(("Recommender.recommend", "Recommender.recommend_many"), ("allow", "deny", "exclude"))
)
"""Keyword arguments of ``RuleArguments``, which signatures do not name; test_hostile_calls has the others."""


class Things:
    """One instance of every class with parameters that take ids."""

    def __init__(self, folder):
        self.songs = Vocabulary(("a", "b", "c", "7"))
        self.items = Items.of({id_: {} for id_ in self.songs})
        self.graph = Graph.of([("a", "b")])
        self.log = Interactions.of(user=["ann"] * 2, item=["a", "b"], event=["click", "7"], timestamp=[0, 1])
        self.vectors = ItemVectors(self.songs, np.eye(4), np.eye(4), np.ones(4))
        self.model = Recommender(self.vectors)
        self.popularity = Popularity(Sentences.of([["a", "b", "7"]]))
        publish(self.model, folder / "models")
        url = f"sqlite:///{folder}/item2vec.db"
        self.store = Store(url)
        self.store.upgrade()
        self.store.ingest(self.log)
        self.engine = Engine(models=folder / "models", store=url, reload_every=None)


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    made = Things(tmp_path_factory.mktemp("ids"))
    yield made
    made.engine.close()
    made.store.close()


def public_callables():
    """Yield all public functions, classes and methods with their qualified names."""
    for module in map(importlib.import_module, PUBLIC_MODULES):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing):
                yield thing.__name__, thing
                names = [one for one in dir(thing) if not one.startswith("_")]
                members = [
                    getattr(thing, one)
                    for one in (*names, "__getitem__", "__contains__")
                    if hasattr(thing, one)
                ]
                yield from (
                    (one.__qualname__, one)
                    for one in members
                    if inspect.isfunction(one) or inspect.ismethod(one)
                )
            elif inspect.isfunction(thing):
                yield thing.__qualname__, thing


def parameters_of_ids():
    """Return (callable, parameter) pairs whose parameter has a name and annotation of ids."""
    found = set()
    for name, thing in public_callables():
        if not getattr(thing, "__module__", "").startswith("item2vec"):
            continue
        for parameter in inspect.signature(thing).parameters.values():
            if parameter.name in NAMES and re.search(
                r"\b(str|object|Grouping|T)\b", str(parameter.annotation)
            ):
                found.add((name, parameter.name))
    return found


def test_every_parameter_that_takes_ids_is_in_one_table():
    tables = [*ONE_ID, *MANY_IDS, *LISTS_OF_IDS, *(one for some in NOT_IDS.values() for one in some)]
    assert sorted(parameters_of_ids() ^ (set(tables) - RULES)) == []
    assert len(tables) == len(set(tables))


def case(table):
    return pytest.mark.parametrize("call", table.values(), ids=[".".join(place) for place in table])


@case(ONE_ID)
def test_one_id_is_text(things, call):
    for wrong in NOT_TEXT:
        with pytest.raises(InputTypeError):
            call(things, wrong)


@case(MANY_IDS)
def test_many_ids_are_text(things, call):
    for wrong in [*([wrong] for wrong in NOT_TEXT), ["a", 7], [["a", "b"]], b"7", 7, 7.0, True]:
        with pytest.raises(InputTypeError):
            call(things, wrong)


@case(LISTS_OF_IDS)
def test_lists_of_ids_hold_text(things, call):
    for wrong in NOT_TEXT:
        with pytest.raises(InputTypeError):
            call(things, [[wrong]])
