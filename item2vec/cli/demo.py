"""The whole line on the sample data: files, SQL, sentences, training, a check, recommendations."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import described, show, table

if TYPE_CHECKING:
    from item2vec.engine import Engine
    from item2vec.evaluation import Model
    from item2vec.interactions import Interactions
    from item2vec.items import Items

__all__ = ["demo"]

Say = Callable[[str], None]
SEED = 7
USERS = ("u42", "u7", "u100")
MODELS: dict[str, dict[str, Any]] = {
    "item2vec (next_item)": {"context_decay": (0.98,), "tied": 1},
    "gensim (skip-gram)": {"objective": "skipgram"},
}
"""The two models that are compared, and their settings. Tastes last in these data: one long memory is best on
validation (``item2vec tune``)."""


def demo(
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the demo keeps its store and its models.")
    ] = Path("item2vec-demo"),
    as_json: options.AsJson = False,
) -> None:
    """Run the whole line on the sample data that ships with the package, and show what comes out.

    Example: item2vec demo
    """
    from item2vec import Engine, Recommender, adapters, publish, train

    say: Say = (lambda _: None) if as_json else typer.echo
    url, models = f"sqlite:///{folder}/item2vec.db", folder / "models"
    listens, songs = _ingest(folder, url, say)

    histories = adapters.histories(listens)
    say(f"\nListening histories as sentences\n  {histories}")
    checked = _check(listens, say)

    best = max(MODELS, key=lambda name: _score(checked, name))
    say(f"\nPublished: {best}, the better of the two, trained on everything")
    vectors = train(histories, seed=SEED, **MODELS[best])
    version = publish(Recommender(vectors, items=songs), models)
    say(f"  {vectors}\n  {version.path}")

    with Engine(models=models, store=url) as engine:
        for user in USERS:
            _recommend(engine, user, songs, say)
    _find_friends(listens, songs, say)
    say(_next_steps(folder))
    if as_json:
        show({"version": version.id, "path": str(version.path), "held_out": checked}, as_json=True)


def _sample(name: str) -> Path:
    from item2vec import files

    return files.shipped("sample_data") / name


def _ingest(folder: Path, url: str, say: Say) -> tuple[Interactions, Items]:
    """Bring the sample files into SQL, and read them back from there."""
    from item2vec import readers
    from item2vec.store import Store

    folder.mkdir(parents=True, exist_ok=True)
    with Store(url) as store:
        store.upgrade()
        ingested = store.ingest(readers.read_interactions(_sample("listens.csv.gz")))
        store.ingest_items(readers.read_items(_sample("items.csv")))
        say(f"Store {url}\n  {ingested.n_new:,} new listens, {ingested.n_duplicate:,} known already")
        return store.interactions(), store.items()


def _check(listens: Interactions, say: Say) -> list[dict[str, Any]]:
    """Hold back the last days, and see which model finds what each listener then heard for the first time."""
    from item2vec import Recommender, train
    from item2vec.evaluation import baselines, evaluate, temporal_split

    split = temporal_split(listens, fraction=0.1)
    models: dict[str, Model] = {
        name: Recommender(train(split.train, seed=SEED, **settings)) for name, settings in MODELS.items()
    }
    models |= baselines(split)
    rows = [
        {"model": name} | dict(evaluate(model, split, metrics=["hr", "ndcg", "coverage"]).metrics)
        for name, model in models.items()
    ]
    first, last = split.spans["test"]
    say(
        f"\nHeld out: what {len(split):,} listeners heard for the first time from {first[:10]} to {last[:10]}"
    )
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
    say(_indented(table(described(best, songs))))
    because = [share.item for share in engine.model.explain(history, best[0].item) if share.item is not None]
    named = " and ".join(f"“{songs.title(song)}”" for song in because[:2])
    say(f"  “{songs.title(best[0].item)}” because you played {named}")


def _find_friends(listens: Interactions, songs: Items, say: Say) -> None:
    """Walk the friendship graph, and see what people who are near each other listen to."""
    from item2vec import adapters, readers, train

    graph = readers.read_edges(_sample("friends.csv"))
    walks = adapters.walks(graph, walks_per_node=10, walk_length=20, seed=SEED)
    people = train(walks, vector_size=64, epochs=2, seed=SEED)
    histories = dict(zip(listens.users.ids, adapters.histories(listens), strict=True))
    say(f"\nPeople, by walks over {graph}")
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
    places = f"--models {folder}/models --store sqlite:///{folder}/item2vec.db"
    return f"""
Try next
  {program} similar blue-harbour --models {folder}/models
  {program} recommend --user u10 --where genre=jazz {places}
  {program} ingest YOUR-FILE.csv && {program} train && {program} recommend --user SOMEBODY"""
