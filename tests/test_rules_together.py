"""All rules of one request together: answers equal one slow reference, alone and in batches.

The reference is written from the documentation of ``item2vec.rules.Rules``, and shares no code with it.
"""

import functools
import itertools
import math

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Items, ItemVectors, Recommender, Vocabulary

N = 64
IDS = [f"i{row:02}" for row in range(N)]
ROWS = {item: row for row, item in enumerate(IDS)}
SONGS = {
    item: {"artist": f"artist {row % 9}", "year": 1960 + row, "genres": ["jazz", "soul"][: row % 3]}
    for item, row in ROWS.items()
}
WHERES = {
    "late": ({"year": {">=": 1970}}, lambda song: song["year"] >= 1970),
    "jazz": ({"genres": "jazz"}, lambda song: "jazz" in song["genres"]),
    "not one": ({"not": {"artist": "artist 1"}}, lambda song: song["artist"] != "artist 1"),
}
DECAY, PRIOR = 0.6, 0.2


@functools.cache
def model(score, popularity):
    rows = np.random.default_rng(8).normal(size=(2, N, 5)).astype(np.float32)
    rows[:, 1::7] = rows[:, 0::7][:, : len(rows[0, 1::7])] + 0.05 * rows[:, 1::7]  # near-duplicates
    vectors = ItemVectors(Vocabulary(tuple(IDS)), *rows, np.arange(N, 0, -1))
    prior = np.sqrt(np.arange(N) % 10).astype(np.float32) if popularity else None
    settings_ = {"score": score, "decay": DECAY, "popularity": popularity, "prior": prior}
    return Recommender(vectors, index="exact", items=Items.of(SONGS), **settings_)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def increase(points, first, second):
    """Return the increase of the sum of squared distances from the mean if two clusters are merged."""
    squares = [np.square(rows - rows.mean(axis=0)).sum() for rows in (points[first], points[second])]
    both = points[first + second]
    return np.square(both - both.mean(axis=0)).sum() - sum(squares)


def interests_of(liked, points, n):
    """Return the entries of each interest: Ward's clusters of the distinct items."""
    groups = [[row] for row in dict.fromkeys(row for row, _ in liked)]
    while len(groups) > (1 if n == "auto" else n):
        first, second = min(
            itertools.combinations(range(len(groups)), 2),
            key=lambda pair: increase(points, groups[pair[0]], groups[pair[1]]),
        )
        distance = math.sqrt(2 * increase(points, groups[first], groups[second]))
        if n == "auto" and len(groups) <= 5 and distance > 2:
            break
        groups[first] += groups.pop(second)
    return [[entry for entry in liked if entry[0] in group] for group in groups]


def user_vector(entries, disliked, read, scored):
    """Return the decayed mean of rows, moved away from the disliked rows; ``None`` without a weight."""
    weights = [weight * DECAY**back for back, (_, weight) in enumerate(reversed(entries))][::-1]
    if sum(weights) == 0:
        return None
    vector = sum(weight * read[row] for weight, (row, _) in zip(weights, entries, strict=True)) / sum(weights)
    vector = unit(vector) if read is scored else vector
    if not disliked:
        return vector
    liked = np.mean([unit(scored[row]) for row, weight in entries if weight > 0], axis=0)
    step = sum(strength * (liked - unit(scored[row])) for row, strength in disliked) / len(disliked)
    length = np.linalg.norm(vector)
    return length * unit(vector + 0.3 * length * step)


def scores_of(made, liked, disliked, rules):
    """Return a score per row, and the source of the scores."""
    inputs, outputs = (matrix.astype(np.float64) for matrix in (made.vectors.input, made.vectors.output))
    read, scored = (inputs, outputs) if made.taste.score == "output" else (unit(inputs),) * 2
    interests = rules["interests"]
    groups = [liked] if interests is None else interests_of(liked, unit(inputs), interests)
    users = [user_vector(group, disliked, read, scored) for group in groups]
    users = [user for user in users if user is not None]
    if not users:
        counts = made.vectors.counts if made.prior is None else np.expm1(made.prior.astype(np.float64))
        return counts / counts.sum(), "popular"
    prior = np.log1p(made.vectors.counts) if made.prior is None else made.prior.astype(np.float64)
    weight = made.taste.popularity if rules["popularity"] is None else rules["popularity"]
    return np.max([scored @ user for user in users], axis=0) + weight * prior, "model"


def is_eligible(item, history, dislikes, rules):
    excluded = {*rules["exclude"], *rules["deny"], *(IDS[row] for row, _ in dislikes)}
    excluded |= {item for item, _ in history} if rules["filter_seen"] else set()
    allowed = rules["allow"] is None or item in rules["allow"]
    return allowed and item not in excluded and WHERES.get(rules["where"], (0, bool))[1](SONGS[item])


def factor_of(item, boost):
    product = 1.0
    for target, factor in boost:
        if target == item or (target in WHERES and WHERES[target][1](SONGS[item])):
            product *= factor
    return product


def reference(made, history, rules):
    """Return the items and scores of an answer, and their source."""
    known = [(ROWS[item], weight) for item, weight in history if item in ROWS]
    disliked = [(row, -weight) for row, weight in known if weight < 0]
    disliked += [(ROWS[item], 1.0) for item in rules["disliked"] if item in ROWS]
    liked = [entry for entry in known if entry[0] not in {row for row, _ in disliked}]
    scores, source = scores_of(made, liked, disliked, rules)
    for row, item in enumerate(IDS):
        factor = factor_of(item, rules["boost"])
        scores[row] *= factor if scores[row] > 0 else 1 / factor
    output = made.taste.score == "output"
    near = unit((made.vectors.output if output else made.vectors.input).astype(np.float64))

    def is_demoted(row):
        nearest = max((near[row] @ near[other] for other, _ in disliked), default=-2)
        return bool(nearest > 1e-6 + max((near[row] @ near[other] for other, _ in liked), default=0.5))

    eligible = [row for row in range(N) if is_eligible(IDS[row], history, disliked, rules)]
    order = sorted(eligible, key=lambda row: (is_demoted(row), -scores[row], row))
    chosen = select(made, order, scores, is_demoted, rules)
    return [(IDS[row], scores[row]) for row in chosen], source


def select(made, order, scores, is_demoted, rules):
    k, diversity, chosen = rules["k"], rules["diversity"], []
    units = unit(made.vectors.input.astype(np.float64))

    def admits(row):
        for name, most in rules["at_most"].items():
            value = SONGS[IDS[row]][name]
            for one in value if isinstance(value, list) else [value]:
                counted = (SONGS[IDS[other]][name] for other in chosen)
                if sum(one in own if isinstance(own, list) else one == own for own in counted) >= most:
                    return False
        return True

    pool = order[: max(50, 5 * k)] if diversity else []
    least, most = (min(scores[pool]), max(scores[pool])) if pool else (0, 0)

    def marginal(row):
        relevance = (1 - diversity) * (scores[row] - least) / (most - least or 1) - 3 * is_demoted(row)
        return relevance - diversity * max((units[row] @ units[other] for other in chosen), default=0)

    left = list(pool)
    while left and len(chosen) < k:
        best = max(left, key=marginal)
        left.remove(best)
        chosen += [best] * admits(best)
    for row in order[len(pool) :]:
        chosen += [row] * (len(chosen) < k and admits(row))
    return chosen


items = st.sampled_from([*IDS, "unknown"])
entries = st.lists(st.tuples(items, st.sampled_from([1.0, 1.0, 2.0, 0.5, 0.0, -1.0, -0.5])), max_size=6)
some = functools.partial(st.lists, items, max_size=6)
factors = st.sampled_from([0.2, 0.7, 1.5, 4.0])
rule_sets = st.fixed_dictionaries(
    {
        "k": st.sampled_from([1, 3, 10, 30]),
        "filter_seen": st.booleans(),
        "where": st.sampled_from([None, *WHERES]),
        "allow": st.none() | st.lists(st.sampled_from(IDS), min_size=20, max_size=60),
        "exclude": some(),
        "deny": some(),
        "disliked": some() | st.just([]),
        "at_most": st.sampled_from([{}, {"artist": 1}, {"artist": 3, "genres": 4}]),
        "diversity": st.sampled_from([0, 0, 0.3, 0.8]),
        "boost": st.lists(st.tuples(items | st.sampled_from([*WHERES]), factors), max_size=3),
        "popularity": st.sampled_from([None, 0, 0.1, 1.0]),
        "interests": st.sampled_from([None, 1, 2, 3, "auto"]),
    }
)


def arguments_of(rules):
    """Return the rules as ``recommend`` takes them, without ``exclude``."""
    given_ = {name: value for name, value in rules.items() if name != "exclude"}
    given_["where"] = WHERES[rules["where"]][0] if rules["where"] else None
    given_["boost"] = [(WHERES.get(target, (target,))[0], factor) for target, factor in rules["boost"]]
    return given_


@examples(120)
@given(st.sampled_from(["cosine", "output"]), st.sampled_from([0.0, PRIOR]), entries, entries, rule_sets)
def test_all_rules_together_equal_the_reference(score, popularity, history, other, rules):
    made, arguments = model(score, popularity), arguments_of(rules)
    (ids, weights), both = zip(*history, strict=True) if history else ((), ()), (history, other)
    answer = made.recommend(ids, weights=weights, exclude=rules["exclude"], **arguments)
    expected, source = reference(made, history, rules)
    assert [one.item for one in answer] == [item for item, _ in expected]
    assert [one.score for one in answer] == pytest.approx([score for _, score in expected], abs=1e-5)
    assert {one.source for one in answer} <= {source}
    batch = made.recommend_many(
        [[item for item, _ in one] for one in both],
        weights=[[weight for _, weight in one] for one in both],
        exclude=[rules["exclude"], []],
        **arguments,
    )
    assert batch[0] == answer
    assert [one.item for one in batch[1]] == [
        item for item, _ in reference(made, other, {**rules, "exclude": []})[0]
    ]
