"""Directions between groups of items: their effect on recommendations, and the loss of similarity.

    scripts/benchmarks/directions.py [--data DIR] [--factors 1 2 4]

For each song of one group of the sample data, the script requests the ten most similar songs, and ten
recommendations for a history of this song: without a direction, and with multiples of the direction to
another group. It prints the share of the results in the second group, and the mean cosine of the results to
the song (similar songs only). The last line is measured with the filter ``where`` in place of a direction.
"""

import argparse
from pathlib import Path

import numpy as np

from item2vec import Recommender, adapters, readers, train

PAIRS = {
    "techno → ambient": ({"genre": "techno"}, {"genre": "ambient"}),
    "soul → jazz": ({"genre": "soul"}, {"genre": "jazz"}),
    "dark → joyful": ({"mood": "dark"}, {"mood": "joyful"}),
    "before 1990 → nineties": ({"year": {"<": 1990}}, {"year": {">=": 1990, "<": 2000}}),
}
MOST = 100


def mean_cosine(vectors, items, answers):
    """Return the mean cosine of the results to the songs of their queries."""
    pairs = [(item, one.item) for item, answer in zip(items, answers, strict=True) for one in answer]
    return np.mean([vectors.similarity(*pair) for pair in pairs])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "sample_data")
    parser.add_argument("--factors", type=float, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    songs = readers.read_items(arguments.data / "items.csv")
    playlists = adapters.playlists(arguments.data / "playlists.jsonl")
    vectors = train(playlists, objective="skipgram", backend="numba", vector_size=32, workers=1, seed=7)
    model = Recommender(vectors, items=songs)
    for name, (where_a, where_b) in PAIRS.items():
        first, second = songs.where(where_a), set(songs.where(where_b))
        first = [item for item in first if item in vectors][:MOST]
        direction = model.direction(where_a, where_b)
        print(f"{name}: {len(first)} songs, length {np.linalg.norm(direction.input):.2f}")
        for factor in (0, *arguments.factors):
            step = factor * direction if factor else None
            similar = [model.similar_items(item, direction=step) for item in first]
            recommended = [model.recommend([item], direction=step) for item in first]
            shares = [
                np.mean([one.item in second for answer in answers for one in answer])
                for answers in (similar, recommended)
            ]
            cosine = mean_cosine(vectors, first, similar)
            print(f"  {factor:g}: similar {shares[0]:.2f} (cosine {cosine:.2f}), recommended {shares[1]:.2f}")
        filtered = [model.similar_items(item, where=where_b) for item in first]
        print(f"  where: similar 1.00 (cosine {mean_cosine(vectors, first, filtered):.2f})")


if __name__ == "__main__":
    main()
