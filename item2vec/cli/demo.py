"""The command ``demo``, which ingests, evaluates, trains, publishes and recommends on the sample data."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import as_rows, echo, show, table

if TYPE_CHECKING:
    from item2vec.engine import Engine
    from item2vec.evaluation import Model
    from item2vec.interactions import Interactions
    from item2vec.items import Items

__all__ = ["demo", "publish_sample"]

Say = Callable[[str], None]
SEED = 7
USERS = ("u42", "u7", "u100")
OURS = "item2vec (next_item)"
MODELS: dict[str, dict[str, Any]] = {
    OURS: {"context_decay": (0.98,), "tied": 1},
    "gensim (skip-gram)": {"objective": "skipgram"},
}
"""Settings of the two models to compare. The settings of ``next_item`` were chosen on validation data: one
matrix for input and output vectors (``tied``), and one slow decay, because the tastes of the sample's users
change little."""


def demo(
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the demo's store and models; created if missing.")
    ] = Path("item2vec-demo"),
    as_json: options.AsJson = False,
) -> None:
    """Ingest, evaluate, train and recommend on the sample data.

    A model of item2vec, a model of gensim (if gensim is installed) and baselines are compared on held-out
    data. Of the two models, the one with the higher NDCG@10 is trained on all data and published, and songs
    are recommended for three users. Random walks over the users' friendships then yield similar users.

    Example: item2vec demo
    """
    from item2vec import Engine, Recommender, adapters, publish, train

    say: Say = (lambda _: None) if as_json else echo
    url, models = f"sqlite:///{folder}/item2vec.db", folder / "models"
    listens, songs = _ingest(folder, url, say)

    histories = adapters.histories(listens)
    say(f"\nListening histories as sentences\n  {histories}")
    results = _evaluate(listens, say)

    best = max(_models(), key=lambda name: _score(results, name))
    say(f"\nPublished: {best}, the trained model with the highest NDCG@10, now trained on all data")
    vectors = train(histories, seed=SEED, **MODELS[best])
    version = publish(Recommender(vectors, items=songs), models)
    say(f"  {vectors}\n  {version.path}")

    with Engine(models=models, store=url) as engine:
        for user in USERS:
            _recommend(engine, user, songs, say)
    _find_friends(listens, songs, say)
    say(_next_steps(folder))
    if as_json:
        show({"version": version.id, "path": str(version.path), "held_out": results}, as_json=True)


def publish_sample(folder: Path, say: Say) -> None:
    """Ingest the sample data into the store of a folder; train and publish the demo's item2vec model."""
    from item2vec import Recommender, adapters, publish, train

    listens, songs = _ingest(folder, f"sqlite:///{folder}/item2vec.db", say)
    say("Training")
    vectors = train(adapters.histories(listens), seed=SEED, **MODELS[OURS])
    publish(Recommender(vectors, items=songs), folder / "models")


def _models() -> dict[str, dict[str, Any]]:
    """Return the settings of the models to compare, without gensim's model if gensim is not installed."""
    has_gensim = importlib.util.find_spec("gensim") is not None
    return {name: settings for name, settings in MODELS.items() if has_gensim or "gensim" not in name}


def _sample(name: str) -> Path:
    from item2vec import files

    return files.shipped("sample_data") / name


def _ingest(folder: Path, url: str, say: Say) -> tuple[Interactions, Items]:
    """Ingest the sample files into the SQL store, and return its interactions and items."""
    from item2vec import readers
    from item2vec.store import Store

    folder.mkdir(parents=True, exist_ok=True)
    with Store(url) as store:
        store.upgrade()
        ingested = store.ingest(readers.read_interactions(_sample("listens.csv.gz")))
        store.ingest_items(readers.read_items(_sample("items.csv")))
        say(f"Store {url}\n  {ingested.n_new:,} new listens, {ingested.n_duplicate:,} duplicates")
        return store.interactions(), store.items()


def _evaluate(listens: Interactions, say: Say) -> list[dict[str, Any]]:
    """Train models, and evaluate them and baselines on the newest tenth of the listens, which is held out.

    The targets are the songs that a user first heard in the held-out part.
    """
    from item2vec import Recommender, train
    from item2vec.evaluation import baselines, evaluate, temporal_split

    split = temporal_split(listens, fraction=0.1)
    models: dict[str, Model] = {
        name: Recommender(train(split.train, seed=SEED, **settings)) for name, settings in _models().items()
    }
    models |= baselines(split)
    rows = [
        {"model": name} | dict(evaluate(model, split, metrics=["hr", "ndcg", "coverage"]).metrics)
        for name, model in models.items()
    ]
    first, last = split.spans["test"]
    say(f"\nHeld out: songs that {len(split):,} listeners first heard between {first[:10]} and {last[:10]}")
    say(_indented(table(rows)))
    return rows


def _score(rows: list[dict[str, Any]], name: str) -> float:
    score: float = next(row["ndcg@10"] for row in rows if row["model"] == name)
    return score


def _recommend(engine: Engine, user: str, songs: Items, say: Say) -> None:
    history = engine.store.history(user).items
    genres = Counter(songs.about(song).get("genre", "?") for song in history)
    liking = ", ".join(f"{genre} {count / len(history):.0%}" for genre, count in genres.most_common(2))
    last = " and ".join(f"“{songs.title(song)}”" for song in history[-2:])
    say(f"\nFor {user}, who played {len(history)} songs ({liking}), last {last}")
    best = engine.recommend(user, k=5)
    say(_indented(table(as_rows(best, songs))))
    reasons = [share.item for share in engine.model.explain(history, best[0].item) if share.item is not None]
    titles = " and ".join(f"“{songs.title(song)}”" for song in reasons[:2])
    say(f"  “{songs.title(best[0].item)}” because you played {titles}")


def _find_friends(listens: Interactions, songs: Items, say: Say) -> None:
    """Train on random walks over the friendship graph; print a user's most similar users, with genres."""
    from item2vec import adapters, readers, train

    graph = readers.read_edges(_sample("friends.csv"))
    walks = adapters.walks(graph, walks_per_node=10, walk_length=20, seed=SEED)
    people = train(walks, vector_size=64, epochs=2, seed=SEED)
    histories = dict(zip(listens.users.ids, adapters.histories(listens), strict=True))
    say(f"\nSimilar users, by random walks over {graph}")
    for user in USERS[:1]:
        rows = []
        for friend in people.similar_items(user, k=3):
            genres = Counter(songs.about(song).get("genre", "?") for song in histories.get(friend.item, []))
            liking = ", ".join(genre for genre, _ in genres.most_common(2))
            rows.append({"near": user, "person": friend.item, "plays": liking, "score": friend.score})
        say(_indented(table(rows)))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _next_steps(folder: Path) -> str:
    program = "item2vec" if shutil.which("item2vec") else os.path.relpath(sys.argv[0])
    locations = f"--models {folder}/models --store sqlite:///{folder}/item2vec.db"
    return f"""
Try next
  {program} playground
  {program} similar blue-harbour --models {folder}/models
  {program} recommend --user u10 --where genre=jazz {locations}
  {program} ingest YOUR-FILE.csv && {program} train && {program} recommend --user USER"""
