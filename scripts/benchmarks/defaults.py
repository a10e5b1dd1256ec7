"""Which memory suits item sequences: the same settings of next_item on every set, by validation only.

    scripts/benchmarks/defaults.py --data DIR [--only SET …] [--workers 2] [--parts DIR] [--json FILE]

A memory is the ``context_decay`` of each part of the vectors. Parts are trained independently of each other,
so each is trained once for a set, and a memory is a choice of them, side by side. Sets without order have no
decay: there a memory stands for its number of parts. skip-gram with its defaults is the row to beat.

The validation part is carved from the training part and test parts are never opened: the item before the last
(the last is the test's), the tenth of the time before the last tenth, every prefix of the last tenth of the
training sessions, or a tenth of a set without order. Large sets are sampled: 200,000 tokens of whole
sentences; up to 4,000 questions are asked. A number is NDCG@10 over all items; in brackets, per cent of the
best memory's on that set.
"""

import functools
import json
import time
import warnings
from pathlib import Path
from statistics import mean

import numpy as np
import sets

import item2vec
from item2vec.errors import LeakWarning
from item2vec.evaluation import (
    Split,
    evaluate,
    leave_last_out,
    prefix_split,
    random_split,
    temporal_folds,
)

TOKENS = 200_000
QUESTIONS = 4_000
SKIPGRAM = "skip-gram"
MEMORIES = (
    (0.5,),
    (0.9,),
    (0.5, 0.9),
    (0.5, 0.98),
    (0.9, 0.98),
    (0.3, 0.98),
    (0.5, 0.9, 0.98),
    (0.3, 0.8, 0.98),
    (0.3, 0.9, 0.98),
    (0.3, 0.5, 0.9, 0.98),
)


def last(sentences, *, repeats=False):
    """Return the question for the item before the last, the last being the test's."""
    split = leave_last_out(_sample(leave_last_out(sentences).train))
    return Split(split.train, split.histories, split.targets, split.protocol, filter_seen=not repeats)


def in_time(interactions):
    """Return the questions of the tenth of the time before the test's tenth."""
    before, _ = temporal_folds(interactions, folds=2, fraction=0.1)
    return before.take(~before.cold_users())


def prefixes(sentences):
    """Return the questions of the last training sessions; large sets keep the newest."""
    newest = np.cumsum(sentences.lengths[::-1])[::-1] <= TOKENS
    return prefix_split(sentences.take(newest))


def tenth(sentences):
    """Return the questions for a tenth of each set."""
    return random_split(_sample(sentences), fraction=0.1, seed=1)


SETS = {
    "amazon-beauty": lambda folder: last(sets.sequences(folder)),
    "lastfm-sequences": lambda folder: last(sets.sequences(folder)),
    "yes-small": lambda folder: last(sets.playlists(folder)),
    "online-retail": lambda folder: last(sets.purchases(folder), repeats=True),
    "sample_data": lambda folder: in_time(sets.listens(folder)),
    "movielens-100k": lambda folder: in_time(sets.ratings(folder)),
    "yoochoose-100k": lambda folder: prefixes(sets.clicks(folder, "train_full")),
    "diginetica": lambda folder: prefixes(sets.sessions(folder)),
    "gowalla": lambda folder: tenth(sets.places(folder, "train")[1]),
    "lastfm-2k": lambda folder: tenth(sets.plays(folder)),
}


def _sample(sentences):
    """Return whole sentences of about ``TOKENS`` tokens, drawn at random; small sets stay whole."""
    shuffled = np.random.default_rng(1).permutation(len(sentences))
    drawn = shuffled[np.cumsum(sentences.lengths[shuffled]) <= TOKENS]
    return sentences.take(np.sort(drawn))


def _questions(split):
    return split.take(np.sort(np.random.default_rng(1).permutation(len(split))[:QUESTIONS]))


def train_part(split, decay, seed, settings, folder):
    """Return the vectors of one part, kept in ``folder`` (or nowhere) for the next run."""
    named = ",".join(f"{name}={value}" for name, value in settings.items())
    kept = folder and folder / f"{decay},{seed},{named}"
    if kept and kept.exists():
        return item2vec.load(kept).vectors
    vectors = item2vec.train(
        split.train, objective="next_item", context_decay=(decay,), seed=seed, **settings
    )
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        item2vec.Recommender(vectors, index="exact").save(kept)
    return vectors


def parts_of(memory, *, ordered):
    """Return (decay, seed) of each part: memories share parts, and no two parts of a memory start alike."""
    decays = memory if ordered else (1.0,) * len(memory)
    return [(decay, round(1000 * decay) + decays[:place].count(decay)) for place, decay in enumerate(decays)]


def joined(parts, decays):
    """Return a model of several parts side by side."""
    first = parts[0]
    vectors = item2vec.ItemVectors(
        first.vocabulary,
        np.hstack([part.input for part in parts]),
        np.hstack([part.output for part in parts]),
        first.counts,
    )
    return item2vec.Recommender(vectors, decay=tuple(decays), score="output", index="exact")


def score(model, split):
    return evaluate(model, split, k=10, metrics=["ndcg"]).metrics["ndcg@10"]


def measure(split, workers, folder):
    """Return NDCG@10 of each memory and of skip-gram on one set."""
    kept = functools.cache(
        lambda decay, seed: train_part(split, decay, seed, {"vector_size": 128, "workers": workers}, folder)
    )
    scores = {}
    for memory in MEMORIES:
        parts = parts_of(memory, ordered=split.train.ordered)
        model = joined([kept(*part) for part in parts], [decay for decay, _ in parts])
        scores[str(memory)] = score(model, split)
    vectors = item2vec.train(split.train, objective="skipgram", backend="numba", workers=workers)
    scores[SKIPGRAM] = score(item2vec.Recommender(vectors, index="exact"), split)
    return scores


def print_table(found):
    best = {name: max(value for row, value in of.items() if row != SKIPGRAM) for name, of in found.items()}
    print(f"\n| NDCG@10, % of the best | mean | worst | {' | '.join(found)} |\n|{'---|' * (len(found) + 3)}")
    for row in next(iter(found.values())):
        shares = [100 * found[name][row] / best[name] for name in found]
        cells = [f"{found[name][row]:.4f} ({share:.0f})" for name, share in zip(found, shares, strict=True)]
        print(f"| {row} | {mean(shares):.1f} | {min(shares):.0f} | {' | '.join(cells)} |")


def main() -> None:
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=SETS, metavar="SET")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--parts", type=Path, help="where trained parts are kept, to go on with later")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    found = {}
    for name in arguments.only:
        started = time.perf_counter()
        split = _questions(SETS[name](sets.folder_of(name, arguments.data)))
        print(f"{name}: {split}", flush=True)
        found[name] = measure(split, arguments.workers, arguments.parts and arguments.parts / name)
        print(f"  {time.perf_counter() - started:.0f} s: {found[name]}", flush=True)
    print_table(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
