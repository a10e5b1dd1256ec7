#!/usr/bin/env python3
"""Write golden bundles: small models of this version of item2vec, which every later version must read.

Usage: make_golden_bundles.py [--out DIR] [--oldest PYTHON] [--newest PYTHON]

Run it before a release, or after a file was added to the bundle format. It creates two virtual environments,
with the lowest and the newest allowed dependencies, and writes with each of them the folder
DIR/VERSION-numpy-VERSION. The default of DIR is tests/golden. A folder holds:

    skipgram/      skip-gram vectors of gensim with an Annoy index, equal vectors, titles, layout, page
    output/        the same vectors, ranked by output vectors, with an Annoy index for similar items as well
    next_item/     next_item vectors with learned positions, FAISS index and one for similar items, table of
                   neighbours, prior, adapter
    imported/      input vectors only, one of them zero, without training settings
    models/        a models folder after two promotions and a rollback
    store.db.gz    a SQLite store with a row in every table that this version fills
    answers.jsonl  a query in each line, with the answer of the model or store

tests/test_golden.py compares the answers of the present version with the recorded answers. Folders of
released versions are never changed.
"""

import argparse
import dataclasses
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import matrix

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 29, tzinfo=UTC)
N_GENRES, N_SONGS = 4, 12
ODD_IDS = ("caf\u00e9", "cafe\u0301", "two words", "\U0001f3b5", "'; DROP TABLE item", "1", "01")
K = 6
MIN_GAP = 1e-4
"""Smallest difference of two scores in a recorded ranking, so that rounding cannot change the order."""


def ids():
    """Return the ids of all songs by genre; some ids have unusual characters or lengths."""
    names = [f"{genre}-{song}" for genre in range(N_GENRES) for song in range(N_SONGS)]
    return [*ODD_IDS, *names[len(ODD_IDS) :]]


def listens():
    """Return interactions of users who listen to one genre each, mostly in the order of its songs."""
    import numpy as np

    from item2vec import Interactions

    random, songs = np.random.default_rng(7), ids()
    rows = []
    for user in range(80):
        genre, song = user % N_GENRES, int(random.integers(N_SONGS))
        for step in range(12):
            song = (song + 1) % N_SONGS if random.random() < 0.8 else int(random.integers(N_SONGS))
            rows.append((f"u{user}", songs[genre * N_SONGS + song], user * 1_000_000 + step * 60_000_000))
    user, item, timestamp = zip(*rows, strict=True)
    return Interactions.of(user=user, item=item, timestamp=np.array(timestamp))


def attributes():
    """Return the songs with titles and attributes of every type."""
    from item2vec import Items

    rows = {}
    for n, song in enumerate(ids()):
        genres = [f"genre {n // N_SONGS}", "all"]
        rows[song] = {"title": song.title(), "genre": genres, "year": 1990 + n, "live": n % 3 == 0}
    return Items.of(rows)


def models():
    """Return the models by name."""
    import numpy as np

    from item2vec import ItemVectors, Recommender, Vocabulary, adapters, fit
    from item2vec.config import AdapterConfig

    songs, sentences = ids(), adapters.histories(listens())
    settings = {"vector_size": 12, "epochs": 8, "workers": 1, "seed": 7}
    trained = fit(sentences, objective="skipgram", backend="gensim", **settings).vectors
    vectors = dataclasses.replace(trained, input=_changed(trained.input))
    skipgram = Recommender(vectors, score="cosine", decay=0.8, index="annoy", items=attributes())
    output = Recommender(vectors, decay=0.8, index="annoy")
    next_item = fit(
        sentences,
        adapter=AdapterConfig(max_length=50, collapse_repeats=True),
        repeat_bonus=0.25,
        mixture=0.5,
        popularity=0.3,
        half_life=3600.0,
        index="faiss",
        **settings,
    )
    of_another_program = _changed(np.random.default_rng(3).normal(size=(len(songs), 8)))
    counts = np.arange(len(songs), 0.0, -1.0)
    imported = Recommender(ItemVectors(Vocabulary(tuple(songs)), of_another_program, None, counts))
    return {"skipgram": skipgram, "output": output, "next_item": next_item, "imported": imported}


def _changed(matrix):
    """Return a matrix with two equal rows and, at the end, a row of zeros."""
    changed = matrix.copy()
    changed[1], changed[-1] = changed[0], 0.0
    return changed


def answers(model):
    """Return queries and the answers of a model to these queries, as JSON values."""
    songs = [song for song in model.vocabulary.ids if model.vectors.has_vector[model.vocabulary.code(song)]]
    histories = [songs[start : start + 3] for start in range(2, 20, 3)]
    recorded = [{"method": "recommend", "arguments": [history], "keywords": {}} for history in histories]
    recorded += [
        {"method": "recommend", "arguments": [songs[5:8] * 2], "keywords": {"filter_seen": False}},
        {"method": "recommend", "arguments": [songs[:2]], "keywords": {"deny": songs[8:20]}},
        {"method": "recommend", "arguments": [songs[:2]], "keywords": {"allow": songs[20:40]}},
        {
            "method": "recommend",
            "arguments": [songs[9:12]],
            "keywords": {"timestamps": [1, 1800000000, 3600000000]},
        },
        {"method": "recommend", "arguments": [["not in the model"]], "keywords": {}},
        {
            "method": "analogy",
            "arguments": [],
            "keywords": {"positive": songs[3:5], "negative": songs[30:31]},
        },
    ]
    recorded += [{"method": "similar_items", "arguments": [song], "keywords": {}} for song in songs[2:12:3]]
    kept = []
    for query in recorded:
        ranking = getattr(model, query["method"])(*query["arguments"], k=K, **query["keywords"])
        scores = [entry.score for entry in ranking]
        gaps = [before - after for before, after in pairwise(scores)]
        if min(gaps) > MIN_GAP or ranking[0].source == "popular":
            answer = [[entry.item, entry.score, entry.source] for entry in ranking]
            kept.append({**query, "keywords": query["keywords"] | {"k": K}, "answer": answer})
    target = kept[0]["answer"][0][0]
    shares = [[share.item, share.share] for share in model.explain(histories[0], target)]
    return [
        *kept,
        {"method": "explain", "arguments": [histories[0], target], "keywords": {}, "answer": shares},
    ]


def write_store(path):
    """Write a compressed SQLite store; return queries and its answers to these queries, as JSON values."""
    from item2vec.store import Store

    played, file = listens(), path.with_suffix("")
    with Store(f"sqlite:///{file}") as store:
        store.upgrade()
        store.ingest(dataclasses.replace(played, weight=played.item % 3 + 0.5), now=NOW)
        store.ingest_items(attributes())
        store.deactivate_items([ODD_IDS[0]])
        run = store.begin_run(config={"models": "models", "host": "golden"}, now=NOW)
        version = {"version": "g0000000001-0a1b2c3d", "manifest_sha256": "0" * 64, "previous": None}
        store.record_promotion(generation=1, run_id=run, actor="retrain", now=NOW, **version)
        store.finish_run(run, status="promoted", version=version["version"], now=NOW)
        queries = [
            ("summary", []),
            ("inactive_items", []),
            ("items_where", [{"genre": "genre 1", "live": True}]),
        ]
        found = [
            {"method": name, "arguments": arguments, "answer": getattr(store, name)(*arguments)}
            for name, arguments in queries
        ]
        found += [
            {"method": "history", "arguments": [user], "answer": store.history(user).items}
            for user in ("u0", "u41", "nobody")
        ]
    path.write_bytes(gzip.compress(file.read_bytes(), mtime=0))
    file.unlink()
    return found


def write(out):
    """Write all models and answers with the libraries of this process; return the folder."""
    import numpy as np

    import item2vec
    from item2vec import Recommender, bundle, publish, versions

    folder = out / f"{item2vec.__version__}-numpy-{np.__version__}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = models()
    made["skipgram"] = Recommender.from_parts(bundle.with_layout(made["skipgram"].parts))
    for name, model in made.items():
        model.save(folder / name)
    page = folder / "page.html"
    page.write_text("<!doctype html><title>Nightly run</title>\n")
    bundle.add_report(folder / "skipgram", page)
    first = publish(made["imported"], folder / "models", now=NOW)
    publish(made["skipgram"], folder / "models", now=NOW, note={"retrain": {"run": "golden"}})
    versions.rollback(folder / "models", reason="a golden bundle", now=NOW)
    versions.pin(folder / "models", first.id)
    (folder / "models" / "LOCK").unlink()
    (folder / "models" / "staging").rmdir()
    recorded = {name: answers(model) for name, model in made.items()}
    recorded["store"] = write_store(folder / "store.db.gz")
    lines = [
        json.dumps({"of": name, **query}, ensure_ascii=False)
        for name, queries in recorded.items()
        for query in queries
    ]
    (folder / "answers.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def main():
    """Write the folders of both environments or, with --here, the folder of this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "golden", metavar="DIR")
    parser.add_argument(
        "--oldest", default="python3.11", metavar="PYTHON", help="interpreter for the lowest dependencies"
    )
    parser.add_argument(
        "--newest", default="python3.13", metavar="PYTHON", help="interpreter for the newest dependencies"
    )
    parser.add_argument("--here", action="store_true", help="write with the dependencies of this Python only")
    options = parser.parse_args()
    if options.here:
        print(write(options.out.resolve()))
        return
    with tempfile.TemporaryDirectory() as work:
        uv = matrix.uv_in(Path(work))
        for python, dependencies in ((options.oldest, "lowest"), (options.newest, "newest")):
            folder = Path(work) / dependencies
            if not matrix.install(python, dependencies, uv, folder):
                sys.exit(f"the {dependencies} dependencies cannot be installed with {python}")
            command = [folder / "bin" / "python", __file__, "--here", "--out", options.out.resolve()]
            subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


if __name__ == "__main__":
    main()
