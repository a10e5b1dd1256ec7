"""Quality under the rules diversity, interests and disliked, on validation; dislikes also on a test part.

    scripts/benchmarks/rules_quality.py --data DIR [--only SET …] [--models DIR] [--workers 2] [--json FILE]

Models have the default settings. Each is trained once, and saved in the folder --models. The validation parts
are those of defaults.py, of a sample of 100,000 tokens. HR and NDCG are over all items; cov. is the share of
the items that are recommended; distance is the mean distance (1 - cosine of the sets of training sentences)
of two items of a ranking. Brackets contain the 95 % interval of the difference in NDCG from the answers
without rules, by paired bootstrap over users.

Dislikes are the ratings of 1 or 2 in movielens-100k; ratings of 4 or 5 are liked. The history of a user is
the first 60 % of the ratings for validation, and the first 80 % for the test part; the liked items of the
next 20 % are the targets. Values are means over users with dislikes in their history. "disliked" is the
number of recommended items, of ten, that the user dislikes in the next 20 %.
"""

import json
import warnings
from pathlib import Path

import defaults
import numpy as np
import sets

import item2vec
from item2vec import Interactions, Sentences, dislikes
from item2vec.adapters import histories
from item2vec.errors import LeakWarning
from item2vec.evaluation import Split, evaluate
from item2vec.evaluation.bootstrap import intervals

TOKENS = 100_000
SETS = ("movielens-100k", "lastfm-sequences", "amazon-beauty", "lastfm-2k", "online-retail")
RULES = {
    "no rule": {},
    **{f"interests={n!r}": {"interests": n} for n in (2, 3, 5, "auto")},
    **{f"diversity={d}": {"diversity": d} for d in (0.1, 0.3, 0.5)},
}
PUSHES = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
METRICS = ("hr", "ndcg", "coverage", "diversity")


class WithRules:
    """A model that applies the same rules to all answers."""

    def __init__(self, model, rules):
        self.model, self.rules = model, rules

    def recommend_many(self, lists, **arguments):
        return self.model.recommend_many(lists, **arguments, **self.rules)


def trained(name, sentences, arguments):
    """Return the saved model with this name; train and save it if it does not exist."""
    path = arguments.models / name
    if not path.exists():
        item2vec.fit(sentences, workers=arguments.workers, seed=7, index="exact").save(path)
    return item2vec.load(path)


def interval(values, base, users):
    """Return the 95 % interval of the mean difference."""
    return intervals({"difference": values - base}, users)["difference"]


def measure(model, split):
    """Return the metrics of all rules, and the interval of the difference of NDCG to no rule."""
    rows = {}
    base = None
    for name, rules in RULES.items():
        found = evaluate(WithRules(model, rules), split, k=10, metrics=METRICS, ties="as answered")
        values = found.per_query["ndcg@10"]
        base = values if base is None else base
        rows[name] = [found.metrics[f"{metric}@10"] for metric in METRICS]
        rows[name] += interval(values, base, found.users)
    return rows


def rated(ratings, least, most):
    """Return the liked, the disliked and all items of each user from one share of the ratings to another."""
    lists = histories(ratings)
    place = np.arange(len(lists.tokens)) - np.repeat(lists.offsets[:-1], lists.lengths)
    share = place / np.repeat(lists.lengths, lists.lengths)
    chosen = (share >= least) & (share < most)
    return tuple(lists.keep(chosen & kind) for kind in (lists.weights >= 4, lists.weights <= 2, chosen))


def measure_dislikes(ratings, name, history_end, arguments):
    """Return the values with and without dislikes, for several lengths of the step."""
    liked, disliked, seen = rated(ratings, 0, history_end)
    targets, disliked_later, _ = rated(ratings, history_end, history_end + 0.2)
    model = trained(name, Sentences(liked.vocabulary, liked.tokens, liked.offsets), arguments)
    known = disliked.lengths > 0
    known &= (liked.lengths > 0) & (targets.lengths > 0)
    users = np.flatnonzero(known)
    split = Split(
        liked, *(_plain(part.take(users)) for part in (liked, targets)), name, seen=_plain(seen.take(users))
    )
    later = [set(ids) for ids in disliked_later.take(users)]
    rows, before = {}, None
    default = dislikes.PUSH
    for label, push in [("no dislikes", None), *((f"step {push}", push) for push in PUSHES)]:
        dislikes.PUSH = default if push is None else push
        rules = {} if push is None else {"disliked": list(disliked.take(users))}
        asked = WithRules(model, rules)
        found = evaluate(asked, split, k=10, metrics=("hr", "ndcg"), ties="as answered")
        answers = asked.recommend_many(split.histories, k=10, exclude=split.seen)
        bad = [sum(one.item in ids for one in answer) for answer, ids in zip(answers, later, strict=True)]
        values = (found.per_query["hr@10"], found.per_query["ndcg@10"], np.array(bad, dtype=float))
        before = values if before is None else before
        differences = [interval(own, base, users) for own, base in zip(values, before, strict=True)]
        rows[label] = [(float(own.mean()), *pair) for own, pair in zip(values, differences, strict=True)]
    dislikes.PUSH = default
    return rows


def _plain(sentences):
    return Sentences(sentences.vocabulary, sentences.tokens, sentences.offsets)


def print_rules(name, split, rows):
    print(
        f"\n{name}: {len(split):,} queries\n\n| {name} | HR@10 | NDCG@10 | cov. | distance |\n{'|---' * 5}|"
    )
    for label, (hr, ndcg, coverage, distance, low, high) in rows.items():
        change = "" if label == "no rule" else f" [{low:+.4f}, {high:+.4f}]"
        print(f"| {label} | {hr:.4f} | {ndcg:.4f}{change} | {coverage:.3f} | {distance:.3f} |", flush=True)


def print_dislikes(name, rows):
    print(f"\n| {name} | HR@10 | NDCG@10 | disliked |\n{'|---' * 4}|")
    for label, values in rows.items():
        cells = [
            f"{mean:.4f}" + ("" if label == "no dislikes" else f" [{low:+.4f}, {high:+.4f}]")
            for mean, low, high in values
        ]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = sets.arguments(__doc__)
    parser.add_argument("--only", nargs="+", default=[*SETS, "dislikes"], choices=[*SETS, "dislikes"])
    parser.add_argument("--models", type=Path, default=Path("rules_quality_models"))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    defaults.TOKENS = TOKENS
    results = {}
    for name in arguments.only:
        if name == "dislikes":
            continue
        split = defaults._sample_queries(defaults.SETS[name](sets.folder_of(name, arguments.data)))
        model = trained(f"val-{name}", split.train, arguments)
        results[name] = measure(model, split)
        print_rules(name, split, results[name])
    if "dislikes" in arguments.only:
        ratings = readers_of(arguments)
        for name, end in (("validation", 0.6), ("test", 0.8)):
            results[name] = measure_dislikes(ratings, f"dislikes-{name}", end, arguments)
            print_dislikes(name, results[name])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


def readers_of(arguments) -> Interactions:
    """Return the ratings of movielens-100k with the rating as weight."""
    return item2vec.readers.read_interactions(
        sets.folder_of("movielens-100k", arguments.data) / "ml-100k.inter",
        user="user_id",
        item="item_id",
        timestamp="timestamp",
        weight="rating",
        sep="\t",
    )


if __name__ == "__main__":
    main()
