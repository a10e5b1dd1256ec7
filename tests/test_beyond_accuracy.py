"""What answers are like beside being right: against each definition, written out slowly."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item2vec import Recommendation, Sentences, metrics
from item2vec.evaluation import Split, evaluate

KNOWN = "abcdef"
NAMES = ("coverage", "novelty", "diversity", "gini", "popularity-bias", "serendipity")

sentences = st.lists(st.lists(st.sampled_from(KNOWN), max_size=5), min_size=1, max_size=6)
answers = st.lists(st.sampled_from(KNOWN + "xyz"), max_size=6, unique=True)


class Given:
    """Answers in the order of the questions."""

    def __init__(self, lists):
        self.lists = lists

    def recommend_many(self, histories, *, k, filter_seen):
        return [[Recommendation(item, -float(n)) for n, item in enumerate(one)][:k] for one in self.lists]


@st.composite
def questions(draw):
    n = draw(st.integers(1, 4))
    histories = [draw(st.lists(st.sampled_from(KNOWN + "uv"), max_size=4)) for _ in range(n)]
    targets = [draw(st.lists(st.sampled_from(KNOWN + "xw"), min_size=1, max_size=3)) for _ in range(n)]
    return draw(sentences), histories, targets, [draw(answers) for _ in range(n)]


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def coverage(lists, k, counts, *_):
    return len({item for one in lists for item in one[:k] if item in counts}) / max(len(counts), 1)


def gini(lists, k, counts, *_):
    """Half the mean difference between any two items' exposure, beside the mean exposure."""
    exposure = Counter(item for one in lists for item in one[:k])
    shown = [exposure[item] for item in counts]
    apart = sum(abs(a - b) for a in shown for b in shown)
    return apart / (2 * len(shown) * sum(shown)) if sum(shown) else 0.0


def novelty(lists, k, counts, train, *_):
    holding = Counter(item for one in train for item in set(one))
    return mean(mean(math.log2(len(train) / max(holding[item], 1)) for item in one[:k]) for one in lists)


def diversity(lists, k, counts, train, *_):
    def cosine(a, b):
        with_a, with_b = ({n for n, one in enumerate(train) if item in one} for item in (a, b))
        return len(with_a & with_b) / math.sqrt(len(with_a) * len(with_b)) if with_a and with_b else 0.0

    def of_list(one):
        pairs = list(itertools.combinations(one[:k], 2))
        return 1 - mean(cosine(a, b) for a, b in pairs) if pairs else 0.0

    return mean(of_list(one) for one in lists)


def popularity_bias(lists, k, counts, train, histories, _):
    chosen = [
        mean(counts[item] for item in one if item in counts) for one in histories if counts.keys() & one
    ]
    usual = mean(chosen) if chosen else mean(counts.values()) or 1
    return mean(mean(counts[item] for item in one[:k]) for one in lists) / usual - 1


def serendipity(lists, k, counts, train, histories, targets):
    order = list(dict.fromkeys(itertools.chain(*train)))  # codes, and so ties, are in order of appearance
    popular = sorted(order, key=lambda item: -counts[item])[:k]
    return mean(
        len({item for item in one[:k] if item in wanted and item not in popular}) / k
        for one, wanted in zip(lists, targets, strict=True)
    )


SLOWLY = dict(zip(NAMES, (coverage, novelty, diversity, gini, popularity_bias, serendipity), strict=True))


@pytest.mark.filterwarnings("ignore::item2vec.errors.LeakWarning")
@settings(deadline=None, max_examples=150)
@given(questions(), st.lists(st.integers(1, 8), min_size=1, max_size=3, unique=True))
def test_every_metric_is_what_its_definition_says(case, cutoffs):
    train, histories, targets, lists = case
    split = Split(Sentences.of(train), Sentences.of(histories), Sentences.of(targets), "by hand")
    found = evaluate(Given(lists), split, k=cutoffs, metrics=NAMES)
    counts = Counter(itertools.chain(*train))
    for name, k in itertools.product(NAMES, cutoffs):
        expected = SLOWLY[name](lists, k, counts, train, histories, targets)
        assert found.metrics[f"{name}@{k}"] == pytest.approx(expected, abs=1e-12), (name, k)
        values = found.per_query.get(f"{name}@{k}")
        assert (values is None) == (name in {"coverage", "gini"})
        assert values is None or values.mean() == pytest.approx(expected, abs=1e-12)


def test_novelty_counts_users_however_often_each_interacted():
    """Of four users, all have a, two have b, one has c and plays it often; nobody has d."""
    train = Sentences.of([["a", "b"], ["a", "b"], ["a", *"ccccc"], ["a"]])
    split = Split(train, Sentences.of([["a"]] * 4), Sentences.of([["d"]] * 4), "by hand")
    found = evaluate(Given([["a"], ["b"], ["c"], ["d"]]), split, k=1, metrics=["novelty"])
    assert found.per_query["novelty@1"].tolist() == [0, 1, 2, 2]


def test_empty_answers_are_worth_nothing():
    nobody = np.full((2, 3), -1, dtype=np.int32)
    counts = np.array([3, 2])
    assert metrics.coverage(nobody, 3, counts) == 0
    assert metrics.gini(nobody, 3, counts) == 0
    assert metrics.novelty(nobody, 3, counts, 4).tolist() == [0, 0]
    assert metrics.diversity(nobody, 3, np.zeros((2, 3))).tolist() == [0, 0]
    assert metrics.popularity_bias(nobody, 3, counts, 2.0).tolist() == [-1, -1]


def test_a_k_beyond_the_places_takes_all_places():
    items, counts = np.array([[0, 1]], dtype=np.int32), np.array([4, 2, 1, 1])
    likeness = np.array([[0.0, 0.5]])
    for metric, rest in (
        (metrics.coverage, (counts,)),
        (metrics.gini, (counts,)),
        (metrics.novelty, (counts, 8)),
        (metrics.popularity_bias, (counts, 2.0)),
        (metrics.diversity, (likeness,)),
    ):
        assert metric(items, 9, *rest) == metric(items, 2, *rest), metric


def test_items_beyond_the_training_part_do_not_raise_coverage():
    assert metrics.coverage(np.array([[0, 2, 3]]), 3, np.array([5, 5, 0, 0])) == 0.5


def test_one_item_for_everybody_is_nearly_all_inequality():
    items = np.zeros((50, 1), dtype=np.int32)
    assert metrics.gini(items, 1, np.ones(100, dtype=np.int64)) == pytest.approx(0.99)
