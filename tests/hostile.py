"""Valid calls of public functions and methods, and hostile values for their arguments."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from item2vec import (
    Engine,
    Graph,
    Interactions,
    Items,
    ItemVectors,
    Recommender,
    Sentences,
    Vocabulary,
    adapters,
    conditions,
    config,
    contexts,
    evaluation,
    fit,
    metrics,
    phrases,
    publish,
    readers,
    recommend_all,
    report,
    sharded,
    spark,
    store,
    train,
    translation,
    tune,
    versions,
)
from item2vec.bundle import Parts
from item2vec.corpus import prepare, read_graph
from item2vec.rules import RuleArguments

CASES = {
    "None": lambda: None,
    "zero": lambda: 0,
    "minus one": lambda: -1,
    "2**63": lambda: 2**63,
    "10**400": lambda: 10**400,
    "half": lambda: 0.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "1e300": lambda: 1e300,
    "true": lambda: True,
    "empty text": lambda: "",
    "text": lambda: "g",
    "nul": lambda: "a\0b",
    "surrogate": lambda: "\ud800",
    "bytes": lambda: b"a\xff",
    "empty list": list,
    "texts": lambda: ["a"],
    "surrogates": lambda: ["\ud800"],
    "bytes in a list": lambda: [b"a"],
    "integers": lambda: [1, 2],
    "large integers": lambda: [2**63, -(2**70)],
    "nans": lambda: [float("nan")],
    "nones": lambda: [None],
    "nested": lambda: [[["a"]], [1, [2]]],
    "ragged": lambda: [["a"], ["a", "b"], 3],
    "mapping": lambda: {"a": {"b": [None]}},
    "keys that are not text": lambda: {1: 2, None: []},
    "set": lambda: {1, "a"},
    "object": object,
    "class": lambda: dict,
    "complex": lambda: 1j,
    "array": lambda: np.array([[1.5, np.nan]]),
    "array of objects": lambda: np.array([None, {}], dtype=object),
    "scalar array": lambda: np.array(3),
    "first date": lambda: datetime.min,
    "last date": lambda: datetime.max.replace(tzinfo=UTC),
    "generator": lambda: (value for value in ["a", 1, None]),
    "failed search": lambda: np.datetime64("NaT"),
}
"""Hostile values, by name. Each call of a case returns a new value, because a generator is read once."""


def hostile_values(valid):
    """Yield hostile values by name: each case, and each case as an element of the valid list or dict."""
    yield from ((case, make()) for case, make in CASES.items())
    if isinstance(valid, dict) and valid:
        yield from (
            (f"{case} as a value", {**valid, next(iter(valid)): make()}) for case, make in CASES.items()
        )
    elif isinstance(valid, list):
        yield from ((f"{case} in the list", [*valid, make()]) for case, make in CASES.items())


def consumed(result):
    """Read the results of an iterator, so that errors of its elements occur here."""
    return list(result) if isinstance(result, Iterator) else result


def arguments_of(function, valid):
    """Return the names of the arguments that can be passed by name, including rules."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters
    names = [name for name, each in parameters.items() if each.kind in kinds]
    rules = RuleArguments.__annotations__ if "rules" in parameters else ()
    return list(dict.fromkeys([*names, *rules, *valid]))


def public_calls(packages):
    """Return the functions, classes and methods with arguments in ``__all__`` of packages, by name."""
    found = {}
    for package in packages:
        for name in package.__all__:
            value = getattr(package, name)
            if inspect.isfunction(value) and inspect.signature(value).parameters:
                found[value.__qualname__] = value
            elif isinstance(value, type) and not issubclass(value, BaseException):
                found |= _methods_of(value)
    return found


def _methods_of(cls):
    found = {}
    for each in cls.__mro__:
        if not each.__module__.startswith("item2vec") or getattr(each, "_is_protocol", False):
            continue
        own = vars(each)
        if "__post_init__" in own or ("__init__" in own and "__dataclass_fields__" not in own):
            found[cls.__qualname__] = cls
        for name, value in own.items():
            method = getattr(value, "__func__", value)
            if inspect.isfunction(method) and not name.startswith("_"):
                found |= (
                    {method.__qualname__: method} if len(inspect.signature(method).parameters) > 1 else {}
                )
    return found


def sentences(*, times=True):
    lists = [["a", "b", "c", "d"], ["b", "c", "e"], ["d", "a", "e"], ["c", "b", "a"]] * 3
    plain = Sentences.of(lists)
    return Sentences(
        plain.vocabulary,
        plain.tokens,
        plain.offsets,
        timestamps=np.arange(len(plain.tokens)) * 86_400_000_000 if times else None,
    )


def interactions():
    n = 60
    return Interactions.of(
        user=[f"u{i % 6}" for i in range(n)],
        item=["abcdefg"[(i * i + i // 6) % 7] for i in range(n)],
        timestamp=[datetime(2024, 1, 1 + i % 28, i // 28, tzinfo=UTC) for i in range(n)],
        event=["click"] * n,
        weight=[1.0] * n,
    )


def vectors():
    random = np.random.default_rng(0)
    items = Vocabulary(tuple("abcdefg"))
    return ItemVectors(items, random.random((7, 4)), random.random((7, 4)), np.arange(7, 0, -1))


class World:
    """Small values of each public type, in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.sentences, self.interactions, self.vectors = sentences(), interactions(), vectors()
        self.items = Items.of({item: {"title": item, "g": "jazz", "year": 1990} for item in "abcdefg"})
        self.graph = Graph.of([("a", "b", 1.0), ("b", "c", 2.0)])
        self.model = Recommender(self.vectors, items=self.items)
        self.split = evaluation.temporal_split(self.interactions, fraction=0.3)
        self.evaluated = evaluation.evaluate(evaluation.Popularity(self.split.train), self.split, k=3)
        self.models = folder / "models"
        publish(self.model, self.models)
        publish(self.model, self.models)
        self.url = f"sqlite:///{folder}/store.db"
        self.store = store.Store(self.url)
        self.store.upgrade()
        self.store.ingest(self.interactions)
        self.store.ingest_items(self.items)
        self.engine = Engine(models=self.models, store=self.url, reload_every=None)
        self.sentences.save(folder / "sentences")
        self.sentences.save(folder / "two", shards=2)
        self.vectors.save_word2vec(folder / "vectors.txt")
        (folder / "listens.csv").write_text("user,item,timestamp\nu,a,2024-01-01\nu,b,2024-01-02\n")
        (folder / "items.csv").write_text("item,title,g\na,A,jazz\nb,B,soul\n")
        (folder / "edges.csv").write_text("source,target,weight\na,b,1\nb,c,2\n")
        (folder / "questions.txt").write_text(": g\na b c d\n")
        (folder / "lists.txt").write_text("a b c\nb c d\n")

    def close(self):
        self.engine.close()
        self.store.close()


def calls_of(world):
    """Return each public function or method with valid arguments."""
    w, now, rows = world, datetime(2026, 1, 1, tzinfo=UTC), np.array([0, 1])
    s, small = (
        w.sentences,
        {"vector_size": 2, "epochs": 1, "workers": 1, "window": 2, "objective": "skipgram"},
    )
    ranked = {"items": np.array([[0, 1], [1, 2]]), "k": 2}
    hits = {"hits": np.array([[True, False]]), "n_targets": np.array([2]), "k": 2}
    yield train, {"sentences": s, **small}
    yield fit, {"sentences": s, **small}
    yield tune, {"data": Sentences.of([["a"]]), "trials": 1}  # an error after the checks of arguments
    yield publish, {"model": w.model, "models": w.folder / "other"}
    yield versions.load, {"path": w.models}
    yield recommend_all, {"model": w.model, "histories": {"u": ["a"]}, "k": 2, "out": w.folder / "all"}
    # an error after the checks of arguments: the folder exists
    yield read_graph, {"source": w.folder / "edges.csv"}
    yield prepare, {"files": "events.csv", "out": w.folder, "adapter": config.AdapterConfig()}
    # "df" is checked last, so that a session is not needed
    yield spark.prepare, {"df": None, "out": w.folder / "corpus", "shards": 2}
    yield spark.recommend, {"df": None, "model": w.models, "k": 2}
    for name in config.__all__:
        kind = getattr(config, name)
        if isinstance(kind, type) and not issubclass(kind, dict):  # a TypedDict is not called
            yield kind, {}
    yield config.objectives_with, {"name": "epochs"}
    yield config.of_its_objective, {"settings": {"objective": "skipgram"}}
    yield config.TasteConfig().as_trained, {"train": config.NextItem(), "has_output": True}
    yield config.TasteConfig().mixture_for, {"train": config.EASE()}
    yield config.AdapterConfig().resolved, {"timestamps": w.interactions.timestamp}
    yield config.NextItem().for_data, {"n_tokens": 9, "ordered": True}
    yield config.NextItem().replace, {"epochs": 3}
    yield config.SkipGram().for_data, {"n_tokens": 9, "ordered": True}
    yield config.LSA().for_data, {"n_tokens": 9, "ordered": False}
    yield config.TasteConfig().replace, {"decay": 0.5}
    yield config.TasteConfig.explain_unknown, {"name": "decays"}
    yield config.Config().with_settings, {"epochs": 3}
    yield config.NextItem.explain_unknown, {"name": "epoch"}
    # values
    yield Vocabulary, {"ids": ("a", "b")}
    yield Vocabulary.of, {"ids": ["a", "b"]}
    yield w.items.vocabulary.code, {"id_": "a"}
    yield w.items.vocabulary.encode, {"ids": ["a"]}
    yield w.items.vocabulary.codes_in, {"other": w.vectors.vocabulary}
    yield w.items.vocabulary.decode, {"codes": [0]}
    yield w.items.vocabulary.take, {"codes": rows}
    yield w.items.vocabulary.closest, {"id_": "a", "n": 3}
    yield Sentences, {"vocabulary": s.vocabulary, "tokens": s.tokens, "offsets": s.offsets}
    yield Sentences.of, {"sentences": [["a", "b"]]}
    yield Sentences.open, {"path": w.folder / "sentences"}
    yield s.take, {"sentences": rows}
    yield s.keep, {"tokens": np.ones(len(s.tokens), bool)}
    yield s.regroup, {"source": rows, "offsets": np.array([0, 2])}
    yield s.save, {"path": w.folder / "saved"}
    # shards
    shards = Sentences.open(w.folder / "two")
    yield sharded.ShardedSentences.open, {"path": w.folder / "two"}
    yield shards.take, {"sentences": rows}
    yield shards.derive, {"function": lambda number, shard: shard}
    folder = Path(tempfile.mkdtemp(dir=w.folder))
    with sharded.ShardWriter(folder / "written", ["a", "b"], [2, 1], n_shards=2) as writer:
        yield writer.is_complete, {"number": 1}
        yield writer.write, {"number": 0, "tokens": rows, "offsets": np.array([0, 2])}
        columns = {"tokens": rows, "offsets": np.array([0, 1, 2])}
        yield writer.write_runs, {"bounds": np.array([0, 1, 2]), **columns}
        yield writer.finish, {"recount": True}
    yield sharded.ShardWriter, {"path": folder / "other", "ids": ["a"], "counts": [1]}
    yield sharded.shard_of, {"user": "u", "n_shards": 2}
    yield (
        adapters.save_shards,
        {"interactions": w.interactions, "adapter": config.AdapterConfig(), "out": w.folder / "shards"},
    )
    yield Interactions, {n: getattr(w.interactions, n) for n in ("users", "items", "user", "item")}
    yield Interactions.of, {"user": ["u"], "item": ["a"]}
    yield w.interactions.take, {"rows": rows}
    yield w.interactions.between, {}
    yield w.interactions.of_events, {"events": ["click"]}
    yield w.interactions.with_event_weights, {"weights": {"click": 1}}
    yield Items, {"vocabulary": Vocabulary(("a",)), "titles": ("A",), "attributes": ({"g": "jazz"},)}
    yield Items.of, {"rows": {"a": {"g": "jazz"}}}
    yield w.items.about, {"item": "a"}
    yield w.items.column, {"name": "g"}
    yield w.items.meets, {"conditions": {"g": "jazz"}}
    yield w.items.where, {"conditions": {"g": "jazz"}}
    yield w.items.title, {"item": "a"}
    yield w.items.updated, {"changed": w.items}
    yield w.items.completed, {"other": w.items}
    yield w.items.take, {"codes": rows}
    yield conditions.parse, {"where": {"g": "jazz", "year": {">=": 1990, "in": [1990, 1991]}}}
    yield Graph, {"nodes": w.graph.nodes, "offsets": w.graph.offsets, "neighbours": w.graph.neighbours}
    yield Graph.from_codes, {"nodes": w.graph.nodes, "source": rows, "target": rows}
    yield Graph.of, {"edges": [("a", "b")]}
    yield w.graph.neighbours_of, {"node": "a"}
    v = w.vectors
    yield ItemVectors, {"vocabulary": v.vocabulary, "input": v.input, "output": v.output, "counts": v.counts}
    yield ItemVectors.load, {"path": w.folder / "vectors.txt"}
    yield v.analogy, {"positive": ["a"]}
    yield v.analogy_target, {"positive": ["a"], "negative": ["b"]}
    yield v.analogy_products, {"positive": ["a"], "negative": ["b"]}
    yield v.similar_items, {"item": "a"}
    yield v.nearest, {"vector": np.ones(4, np.float32)}
    yield v.distances, {"item": "a"}
    yield v.closer_than, {"item": "a", "other": "b"}
    yield v.rank, {"item": "a", "other": "b"}
    yield v.doesnt_match, {"items": ["a", "b", "c"]}
    yield v.direction, {"items_a": ["a"], "items_b": ["b"]}
    yield v.direction_between, {"rows_a": rows, "rows_b": rows}
    yield v.similarity, {"item": "a", "other": "b"}
    yield v.similarity_matrix, {"rows": rows}
    yield v.take, {"rows": rows}
    yield v.with_vector, {"eligible": np.ones(7, bool)}
    yield ItemVectors.load_word2vec, {"path": w.folder / "vectors.txt"}
    yield v.select, {"items": ["a"]}
    yield v.embedding_matrix, {"items": ["a", "zz"]}
    yield v.save, {"path": w.folder / "saved-vectors"}
    yield v.save_word2vec, {"path": w.folder / "saved.txt"}
    # serving
    m = w.model
    yield Recommender, {"vectors": v}
    yield Recommender.from_parts, {"parts": Parts(v, m.taste, m.index, None, m.adapter, None, None)}
    yield m.recommend, {"history": ["a", "b"]}
    yield m.recommend_many, {"histories": [["a", "b"], ["c"]]}
    yield m.analogy, {"positive": ["a"]}
    yield m.similar_items, {"item": "a"}
    yield m.nearest, {"vector": np.ones(4, np.float32)}
    yield m.tastes, {"histories": [["a"]]}
    yield m.nearest_to_taste, {"taste": np.ones(4, np.float32)}
    yield m.direction, {"where_a": {"g": "jazz"}, "where_b": {"g": "jazz"}}
    yield m.radio, {"seed": "a"}
    drawn = {"color": "genre", "items": ["a", "b"], "where": {"genre": "jazz"}, "method": "pca", "seed": 1}
    yield m.map, drawn
    yield m.with_items, {"items": Items.of({"new": {"g": "jazz"}}), "together": {"new": ["a"]}}
    yield m.explain, {"history": ["a", "b"], "item": "c"}
    yield m.save, {"path": w.folder / "bundle"}
    yield Engine, {"models": w.models, "store": w.url, "reload_every": None}
    e = w.engine
    yield e.recommend, {"user": "u1"}
    yield e.recommend_many, {"users": ["u1"]}
    yield e.analogy, {"positive": ["a"]}
    yield e.similar_items, {"item": "a"}
    yield e.radio, {"seed": "a"}
    yield e.nearest, {"vector": np.ones(4, np.float32)}
    yield e.direction, {"where_a": {"g": "jazz"}, "where_b": {"g": "jazz"}}
    yield e.taste, {"user": "u1", "since": "2024-01-01", "until": now}
    yield e.taste("u1").items, {"k": 2}
    yield e.taste("u1").moved_to, {"later": e.taste("u2"), "k": 2}
    yield e.similar_users, {"user": "u1", "since": "2024-01-01", "until": now, "k": 2}
    yield e.add_items, {"items": Items.of({"new": {"g": "jazz"}})}
    yield e.view_of, {"model": m, "version": None}
    yield e.view().recommend, {"user": "u1"}
    yield e.view().explain, {"user": "u1", "item": "c"}
    yield e.view().history, {"user": "u1"}
    yield e.explain, {"user": "u1", "item": "c"}
    # input
    yield adapters.histories, {"interactions": w.interactions}
    yield adapters.sessions, {"interactions": w.interactions}
    yield adapters.playlists, {"source": w.folder / "lists.txt"}
    yield adapters.walks, {"edges": w.graph, "walks_per_node": 1, "walk_length": 3}
    yield adapters.save_walks, {"edges": w.graph, "out": w.folder / "walks", "walk_length": 3}
    columns = {"user": "user", "item": "item"}
    yield readers.read_interactions, {"source": w.folder / "listens.csv", **columns}
    yield readers.read_items, {"source": w.folder / "items.csv", "item": "item"}
    yield readers.read_edges, {"source": w.folder / "edges.csv"}
    yield readers.to_frame, {"interactions": w.interactions}
    yield readers.write_items, {"items": w.items, "path": w.folder / "items.parquet"}
    yield readers.open_items, {"path": w.folder / "items.parquet"}
    # evaluation
    for baseline in (
        evaluation.EASE,
        evaluation.ItemKNN,
        evaluation.LinkPropagation,
        evaluation.MarkovChain,
        evaluation.Popularity,
        evaluation.Random,
        evaluation.RecentPopularity,
        evaluation.Transitions,
    ):
        yield baseline, {"sentences": s}
    yield evaluation.Popularity(s).recommend_many, {"histories": [["a"]]}
    yield adapters.pairs, {"items": ["a"], "contexts": ["x"]}
    of_contexts = contexts.ContextVectors(w.vectors, Vocabulary(("x", "y")), np.ones((2, 4)))
    yield (
        contexts.ContextVectors,
        {"items": w.vectors, "contexts": Vocabulary(("x",)), "output": np.ones((1, 4))},
    )
    yield contexts.ContextVectors.of, {"vectors": w.vectors}
    yield of_contexts.items_for, {"context": "x", "k": 2}
    yield of_contexts.contexts_of, {"item": "a", "k": 2}
    yield of_contexts.similar_contexts, {"context": "x", "k": 2}
    pairs = [("a", "b"), ("c", "d")]
    translation_ = translation.align(w.vectors, w.vectors, pairs)
    yield translation.align, {"source": w.vectors, "target": w.vectors, "pairs": pairs, "penalty": 1.0}
    yield translation.Translation, {"source": w.vectors, "target": w.vectors, "matrix": np.eye(4)}
    yield translation_.translate, {"item": "a", "k": 2}
    yield translation_.precision, {"pairs": pairs, "k": [1]}
    others = Sentences.of([["x", "y"]])
    yield translation.join_catalogues, {"source": s, "target": others, "pairs": [("a", "x")], "swap": 0.5}
    learned = phrases.Phrases.learn(s, min_count=1, threshold=0.1)
    yield phrases.Phrases, {"passes": ({("a", "b"): 1.0},), "delimiter": "+"}
    yield phrases.Phrases.learn, {"sentences": s, "min_count": 1, "threshold": 1.0, "passes": 1}
    yield learned.join, {"sentences": s}
    yield learned.join_history, {"history": ["a", "b"]}
    yield learned.expand, {"tokens": ["a"]}
    yield learned.save, {"path": w.folder / "phrases.json"}
    yield phrases.Phrases.load, {"path": w.folder / "phrases.json"}
    by_phrases = phrases.PhraseRecommender(m, learned)
    yield phrases.PhraseRecommender, {"model": m, "phrases": learned}
    yield by_phrases.recommend, {"history": ["a"], "k": 2}
    yield by_phrases.recommend_many, {"histories": [["a"]], "k": 2}
    edges = evaluation.hide_edges(w.graph, share=0.5)
    yield evaluation.hide_edges, {"graph": w.graph, "share": 0.5, "seed": 7}
    yield evaluation.HiddenEdges, {"known": w.graph, "sources": edges.sources, "targets": edges.targets}
    yield edges.split, {"train": s}
    yield edges.auc, {"score": evaluation.cosines(w.vectors), "negatives": 2, "seed": 7}
    yield evaluation.cosines, {"vectors": w.vectors}
    for links in (evaluation.CommonNeighbours, evaluation.AdamicAdar):
        yield links, {"graph": w.graph}
        yield links(w.graph).score_pairs, {"sources": ["a"], "targets": ["b"]}
    yield evaluation.AnalogyAccuracy, {"sections": ()}
    yield evaluation.AnalogySection, {"name": "a", "correct": 1, "n": 1, "unknown": 0}
    yield evaluation.evaluate_analogies, {"vectors": v, "path": w.folder / "questions.txt"}
    yield evaluation.evaluate, {"model": m, "split": w.split, "k": 2}
    yield evaluation.baselines, {"split": w.split}
    yield evaluation.by_coldness, {"split": w.split}
    yield evaluation.compare, {"first": w.evaluated, "second": w.evaluated, "metric": "hr@3"}
    yield evaluation.find_leaks, {"split": w.split}
    yield evaluation.table, {"evaluations": {"popular": w.evaluated}}
    yield evaluation.Table, {"evaluations": {"popular": w.evaluated}}
    yield evaluation.table([w.evaluated]).best, {"metric": "hr@3"}
    yield evaluation.table([w.evaluated]).plot, {"metrics": ["hr@3"]}
    yield w.evaluated.estimates, {"metrics": ["hr@3"]}
    yield w.evaluated.plot, {"metrics": ["hr@3"]}
    yield w.evaluated.to_frame, {}
    yield evaluation.segments, {"evaluation": w.evaluated, "split": w.split}
    yield w.evaluated.intervals, {}
    yield evaluation.k_fold, {"sentences": s}
    yield evaluation.leave_last_out, {"sentences": s}
    yield evaluation.prefix_split, {"sentences": s}
    yield evaluation.random_split, {"sentences": s}
    yield evaluation.temporal_split, {"interactions": w.interactions}
    yield evaluation.temporal_folds, {"interactions": w.interactions}
    yield w.split.take, {"queries": rows}
    yield w.split.filtered, {}
    yield w.split.as_sentences, {"most": 3}
    yield evaluation.Split, {"train": s, "histories": s, "targets": s, "protocol": "own"}
    for metric in (
        metrics.hr,
        metrics.mean_average_precision,
        metrics.mrr,
        metrics.ndcg,
        metrics.precision,
        metrics.recall,
    ):
        yield metric, hits
    yield metrics.hits_of_ranks, {"ranks": np.array([1.0, np.nan]), "places": 3}
    yield metrics.coverage, {**ranked, "counts": np.array([1, 1, 1])}
    yield metrics.gini, {**ranked, "counts": np.array([1, 1, 1])}
    yield metrics.diversity, {**ranked, "similarity": np.eye(3)}
    yield metrics.novelty, {**ranked, "n_holding": np.array([1, 1, 1]), "n_sentences": 4}
    yield metrics.popularity_bias, {**ranked, "counts": np.array([1, 1, 1]), "of_histories": 1.0}
    yield metrics.serendipity, {"hits": hits["hits"], "expected": hits["hits"], "k": 2}
    yield report.Study.of, {"model": m, "split": w.split, "k": 2}
    yield report.Study.pooled, {"studies": []}
    # store
    t = w.store
    yield store.Store, {"url": w.url}
    yield store.event_key, {"user": "u", "item": "a", "event": "click", "timestamp": 1}
    yield store.latest_plausible, {"now": now}
    yield t.activate_items, {"items": ["a"]}
    yield t.deactivate_items, {"items": ["zz"]}
    yield t.ahead, {"start": now}
    yield t.begin_run, {"config": {}, "now": now}
    yield t.catalogue, {}
    yield t.close_interrupted_runs, {"models": "m", "host": "h", "now": now}
    yield t.copy_to, {"target": t}
    yield t.ensure_schema, {"create": False}
    yield t.finish_run, {"run_id": 1, "status": "failed", "now": now}
    yield t.forget_user, {"user": "nobody"}
    yield t.histories, {"users": ["u1"]}
    yield t.history, {"user": "u1"}
    yield t.ingest, {"interactions": w.interactions}
    yield t.ingest_items, {"items": w.items}
    yield t.interactions, {}
    yield t.items_where, {"conditions": {"g": "jazz"}}
    yield t.promotions, {}
    yield t.runs, {"limit": 3, "id": 1}
    yield t.snapshot, {}
    yield t.upgrade, {}
    promoted = {"generation": 9, "version": "g9", "previous": None, "manifest_sha256": "0" * 64}
    yield t.record_promotion, {**promoted, "actor": "me", "now": now}
    # versions
    folder = {"models": w.models}
    yield versions.Live, {**folder, "every": None}
    yield versions.attempt, folder
    yield versions.check_reason, {"reason": "why"}
    yield versions.gc, folder
    yield versions.held, folder
    yield versions.list_versions, folder
    yield versions.load_served, folder
    yield versions.overview, folder
    yield versions.pinned, folder
    yield versions.release, folder
    yield versions.served_version, folder
    yield versions.verify, folder
    version = versions.served_version(w.models).id
    yield versions.pin, {**folder, "id": version}
    yield versions.unpin, {**folder, "id": version}
    yield versions.rollback, {**folder, "reason": "why"}
