"""Speed of skip-gram against gensim in the same run, and a comparison of quality (BENCHMARKS B1).

    scripts/benchmarks/train.py [--dims 64 128] [--tokens 5000000] [--items 30000] [--repeats 3] [--json FILE]
    scripts/benchmarks/train.py --data DIR [--seeds 3] [--json FILE]
    scripts/benchmarks/train.py --scaling [--json FILE]

Speed: sentences of items in clusters of Zipf popularity; window 5, 5 negatives, one epoch, two threads.
gensim reads lists or a file, and the ratio is computed with the faster of the two. The times exclude gensim's
scan of the vocabulary and the compilation of item2vec. Quality (--data): both trainers with equal settings on
amazon-beauty and online-retail, with the protocols of quality.py. Scaling: item2vec only, one process per
measurement.
"""

import argparse
import json
import multiprocessing
import re
import statistics
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import peers
from gensim.models import Word2Vec

from item2vec import NextItem, Recommender, Sentences, SkipGram, Vocabulary, train
from item2vec.errors import LeakWarning
from item2vec.evaluation import evaluate
from item2vec.training.corpus import Piece, prepare
from item2vec.training.next_item import NextItemTrainer
from item2vec.training.numba_trainer import NumbaTrainer

WINDOW, NEGATIVE, LENGTH = 5, 5, 25
SCALES = [(tokens, 30_000) for tokens in (100_000, 1_000_000, 5_000_000, 50_000_000)]
SCALES += [(5_000_000, items) for items in (1_000, 100_000, 1_000_000)]


def clustered(n_tokens, n_items, seed=1):
    """Return sentences of 25 tokens, 80 % of each from one cluster of about a hundred items."""
    random = np.random.default_rng(seed)
    n_clusters = max(1, n_items // 100)
    everywhere, cluster, within = (
        np.cumsum(weights) / weights.sum()
        for weights in (
            1 / (np.arange(n_items) + 5.0),
            (np.arange(n_clusters) + 5.0) ** -0.7,
            (np.arange(n_items // n_clusters) + 1.0) ** -0.8,
        )
    )
    n = n_tokens // LENGTH
    tokens = np.empty((n, LENGTH), np.int32)
    for start in range(0, n, 40_000):
        part = tokens[start : start + 40_000]
        near = n_clusters * np.searchsorted(within, random.random(part.shape))
        near += np.searchsorted(cluster, random.random((len(part), 1)))
        far = np.searchsorted(everywhere, random.random(part.shape))
        part[:] = np.where(random.random(part.shape) < 0.8, near, far)
    ids = Vocabulary(tuple(map(str, range(n_items))))
    return Sentences(ids, tokens.reshape(-1), np.arange(n + 1, dtype=np.int64) * LENGTH)


def settings(**changes):
    plain = {"window": WINDOW, "negative": NEGATIVE, "ns_exponent": 0.75, "alpha": 0.025, "workers": 2}
    return SkipGram(**(plain | {"epochs": 1} | changes))


def gensim_of(lists, dim):
    """Return a gensim model with the same settings, whose vocabulary is built."""
    model = Word2Vec(
        vector_size=dim, window=WINDOW, negative=NEGATIVE, ns_exponent=0.75, alpha=0.025, sg=1, sample=0,
        min_count=1, workers=2, seed=1,
    )  # fmt: skip
    model.build_vocab(lists)
    return model


def speed(arguments):
    sentences = clustered(arguments.tokens, arguments.items)
    lists = list(sentences)
    print(f"{sentences}\n{'dim':>4}{'ours M tokens/s':>17}{'gensim, lists':>15}{'gensim, file':>14}", end="")
    print(f"{'ratio':>8}{'(least–most)':>16}", flush=True)
    rows = []
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(" ".join(sentence) + "\n" for sentence in lists)
        file.flush()
        for dim in arguments.dims:
            corpus = prepare(sentences, settings(vector_size=dim))
            of_lists, of_file = gensim_of(lists, dim), gensim_of(lists, dim)
            ours = NumbaTrainer(corpus, settings(vector_size=dim))
            n, piece = corpus.n_tokens, Piece(*corpus.shards[0][:2])
            ways = {
                "ours": lambda ours=ours, piece=piece: ours.train_piece(piece),
                "lists": lambda model=of_lists, n=n: model.train(lists, total_words=n, epochs=1),
                "file": lambda model=of_file, n=n: model.train(
                    corpus_file=file.name, total_words=n, epochs=1
                ),
            }
            ways["ours"]()
            turns = [
                {way: peers.seconds(work) for way, work in ways.items()} for _ in range(arguments.repeats)
            ]
            peer = min(("lists", "file"), key=lambda way: statistics.median(turn[way] for turn in turns))
            middle, least, most = peers.ratio(
                [turn["ours"] for turn in turns], [turn[peer] for turn in turns]
            )
            rates = {way: [n / turn[way] / 1e6 for turn in turns] for way in ways}
            rows.append({"dim": dim, **rates, "peer": peer, "ratio": middle})
            shown = [statistics.median(rates[way]) for way in ways]
            print(f"{dim:>4}{shown[0]:>17.2f}{shown[1]:>15.2f}{shown[2]:>14.2f}{middle:>8.1f}", end="")
            print(f"{f'({least:.1f}–{most:.1f})':>16}", flush=True)
    return rows


def quality(arguments):
    import quality as protocols

    warnings.simplefilter("ignore", LeakWarning)
    rows = []
    for name, read in (("amazon-beauty", protocols.next_item), ("online-retail", protocols.repeats)):
        split = read(arguments.data / name)[0]
        print(f"\n{name}: {split}\n  {'trainer':<10}{'HR@10':>18}{'NDCG@10':>18}{'seconds':>10}", flush=True)
        found = {"gensim": [], "numba": []}
        for seed in range(1, arguments.seeds + 1):
            for trainer, results in found.items():
                started = time.perf_counter()
                vectors = train(split.train, objective="skipgram", backend=trainer, seed=seed, workers=2)
                took = time.perf_counter() - started
                metrics = evaluate(Recommender(vectors), split, k=10, metrics=["hr", "ndcg"]).metrics
                results.append([metrics["hr@10"], metrics["ndcg@10"], took])
        means = {trainer: np.mean(values, axis=0) for trainer, values in found.items()}
        for trainer, values in found.items():
            spread = np.std(values, axis=0, ddof=1) if len(values) > 1 else np.zeros(3)
            cells = [f"{means[trainer][m]:.4f}±{spread[m]:.4f}" for m in (0, 1)]
            print(f"  {trainer:<10}{cells[0]:>18}{cells[1]:>18}{means[trainer][2]:>10.1f}")
        change = means["numba"][:2] / means["gensim"][:2] - 1
        verdict = "at least as good, within 1 %" if (change > -0.01).all() else "worse by more than 1 %"
        print(f"  HR@10 {change[0]:+.1%}, NDCG@10 {change[1]:+.1%}: {verdict}", flush=True)
        rows.append({"set": name, **found, "change": change.tolist()})
    return rows


def train_one(objective, n_tokens, n_items, dim):
    """Train one epoch; return the number of items, the seconds, peak memory and data size in GB."""
    if objective == "skipgram":
        kind, config = NumbaTrainer, settings(vector_size=dim)
    else:
        kind = NextItemTrainer
        config = NextItem(vector_size=dim, epochs=1, workers=2)
    warm = prepare(clustered(1_000, 100), config)
    kind(warm, config).train_piece(Piece(*warm.shards[0][:2]))
    corpus = prepare(clustered(n_tokens, n_items), config)
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak memory after building the corpus
    trainer = kind(corpus, config)
    piece = Piece(*corpus.shards[0][:2])
    took = peers.seconds(lambda: trainer.train_piece(piece))
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) / 1e6
    least = (2 * trainer.input.nbytes + piece.tokens.nbytes + piece.offsets.nbytes) / 1e9
    return len(corpus.vocabulary), took, peak, least


def scaling(arguments):
    dim = arguments.dims[0]
    columns = ("tokens", "items", "dim", "seconds", "M tokens/s", "peak GB", "data GB")
    print(f"{'':<10}" + "".join(f"{column:>12}" for column in columns))
    rows = []
    spawn = multiprocessing.get_context("spawn")
    for objective in ("skipgram", "next_item"):
        for n_tokens, n_items in SCALES:
            with ProcessPoolExecutor(1, mp_context=spawn) as child:
                found, took, peak, least = child.submit(train_one, objective, n_tokens, n_items, dim).result()
            row = (n_tokens, found, dim, took, n_tokens / took / 1e6, peak, least)
            rows.append({"objective": objective, **dict(zip(columns, row, strict=True))})
            cells = [f"{cell:,}" if isinstance(cell, int) else f"{cell:.2f}" for cell in row]
            print(f"{objective:<10}" + "".join(f"{cell:>12}" for cell in cells), flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--tokens", type=int, default=5_000_000)
    parser.add_argument("--items", type=int, default=30_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, help="measure quality on the sets in this folder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    way = scaling if arguments.scaling else quality if arguments.data else speed
    measured = way(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
