"""Two catalogues in one space: precision of translations of held-out pairs.

    scripts/benchmarks/translation.py --data DIR [--only SET …] [--seeds 3] [--json FILE]

The items of a set have two names, "a:ID" and "b:ID", which are assigned in two ways. "users": the sentences
are divided at random. "halves": the first half of each sentence has names of a, the second half names of b.
The names of 200 frequent items are known pairs; the other items that occur at least 20 times in both parts
are translated.
"""

import json
from statistics import mean, stdev

import numpy as np
import sets

import item2vec
from item2vec import Sentences, Vocabulary
from item2vec.translation import Translation, align, join_catalogues

READ = {
    "sample_data": lambda folder: item2vec.adapters.playlists(folder / "playlists.jsonl"),
    "lastfm-sequences": sets.sequences,
    "yes-small": lambda folder: sets.playlists(folder)[:10_000],
}
N_KNOWN = 200
MIN_COUNT = 20
EPOCHS = 20


def named(sentences, name):
    """Return the sentences with a prefix for each id."""
    ids = tuple(f"{name}:{id_}" for id_ in sentences.vocabulary.ids)
    return Sentences(Vocabulary(ids), sentences.tokens, sentences.offsets)


def parts(sentences, way, seed):
    """Return the sentences of both catalogues."""
    if way == "users":
        in_a = np.random.default_rng(seed).random(len(sentences)) < 0.5
        return named(sentences.take(in_a), "a"), named(sentences.take(~in_a), "b")
    position = np.arange(len(sentences.tokens)) - np.repeat(sentences.offsets[:-1], sentences.lengths)
    is_first = position < np.repeat((sentences.lengths + 1) // 2, sentences.lengths)
    return named(sentences.keep(is_first), "a"), named(sentences.keep(~is_first), "b")


def known_and_held_out(first, second):
    """Return the known pairs, and the pairs to be translated."""
    counts = np.minimum(first.counts(), second.counts())
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] >= MIN_COUNT]
    pairs = [(first.vocabulary.ids[code], second.vocabulary.ids[code]) for code in order]
    known = pairs[: 2 * N_KNOWN : 2]
    return known, [pair for pair in pairs if pair not in set(known)]


def results(first, second, seed):
    """Yield the name and the precision of each method."""
    known, held_out = known_and_held_out(first, second)
    settings = {"objective": "skipgram", "backend": "numba", "epochs": EPOCHS, "seed": seed}
    a, b = (item2vec.train(part, **settings) for part in (first, second))
    maps = {
        "procrustes": align(a, b, known),
        "ridge": align(a, b, known, method="ridge"),
    }
    both = item2vec.train(join_catalogues(first, second, known, seed=seed), **settings)
    names = np.array([id_[0] for id_ in both.vocabulary.ids])
    in_a, in_b = (both.take(np.flatnonzero(names == name)) for name in "ab")
    identity = np.eye(both.input.shape[1], dtype=np.float32)
    maps["joint training"] = Translation(in_a, in_b, identity)
    for title, translation in maps.items():
        for csls in (False, True):
            yield f"{title}, {'CSLS' if csls else 'cosine'}", translation.precision(held_out, csls=csls)
    yield "random", {f"precision@{k}": k / len(b) for k in (1, 10)}


def main():
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", metavar="SET", choices=READ, default=list(READ))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for name in options.only:
        sentences = READ[name](sets.folder_of(name, options.data))
        for way in ("users", "halves"):
            measured = {}
            for seed in range(1, options.seeds + 1):
                first, second = parts(sentences, way, seed)
                for title, scores in results(first, second, seed):
                    measured.setdefault(title, []).append(scores)
            for title, scores in measured.items():
                row = {"set": name, "way": way, "method": title}
                for metric in scores[0]:
                    values = [score[metric] for score in scores]
                    row[metric] = mean(values)
                    row[f"{metric} sd"] = stdev(values) if len(values) > 1 else 0.0
                rows.append(row)
                figures = "  ".join(f"{m} {row[m]:.3f} ± {row[m + ' sd']:.3f}" for m in scores[0])
                print(f"{name:<18} {way:<8} {title:<24} {figures}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
