"""Splits: worked examples. No target is in the training part, and all omitted data are counted."""

import warnings
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from examples import examples
from hypothesis import assume, given
from hypothesis import strategies as st

from item2vec import Interactions, Items, Sentences, adapters
from item2vec.config import AdapterConfig
from item2vec.errors import ConfigError, InputError, InputTypeError, LeakWarning
from item2vec.evaluation.baselines import Popularity
from item2vec.evaluation.evaluate import evaluate
from item2vec.evaluation.segments import by_coldness
from item2vec.evaluation.sentence_splits import k_fold, leave_last_out, prefix_split, random_split
from item2vec.evaluation.split import Split
from item2vec.evaluation.temporal_splits import temporal_folds, temporal_split

pytestmark = pytest.mark.filterwarnings("ignore::item2vec.errors.LeakWarning")
DAY = 86_400_000_000
corpora = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=10)
rows = st.lists(
    st.tuples(st.sampled_from("uvwxy"), st.sampled_from("abcdef"), st.integers(0, 9)), min_size=2, max_size=30
)


def interactions_of(events, **columns):
    """Return the interactions of (user, item, day) rows."""
    users, items, days = zip(*events, strict=True)
    timestamps = np.array([DAY * day for day in days], dtype="datetime64[us]")
    return Interactions.of(user=users, item=items, timestamp=timestamps, **columns)


def history(events, user):
    """Return the items of a user, oldest first. Rows with equal timestamps keep their order."""
    return [item for owner, item, _ in sorted(events, key=lambda event: event[2]) if owner == user]


def words(sentences):
    """Return sentences of one-letter items as one text: "ab c"."""
    return " ".join("".join(sentence) or "-" for sentence in sentences)


# --- worked examples: each letter is an item, each word a sentence, "-" is empty


@pytest.mark.parametrize(
    ("split", "sentences", "train", "histories", "targets"),
    [
        (leave_last_out, "abc", "ab", "ab", "c"),
        (partial(leave_last_out, n=2), "abcd", "ab", "ab", "cd"),
        (leave_last_out, "abc b", "ab b", "ab", "c"),  # too short for a query
        (leave_last_out, "aba cd", "ab c", "c", "d"),  # the target a is in its history
        (partial(leave_last_out, repeats=True), "aba cd", "ab c", "ab c", "a d"),
        (partial(leave_last_out, n=2), "abca", "ab", "ab", "c"),
        (partial(prefix_split, fraction=0.5), "ab cde", "ab", "c cd", "d e"),
        (partial(prefix_split, fraction=0.5), "ab cac", "ab", "c ca", "a c"),  # repeats are targets
        (partial(prefix_split, fraction=0.3), "ab cd e", "ab cd", "", ""),
    ],
)
def test_worked_examples_of_sentence_splits(split, sentences, train, histories, targets):
    made = split(Sentences.of(list(word) for word in sentences.split()))
    assert (words(made.train), words(made.histories), words(made.targets)) == (train, histories, targets)


EVENTS = [
    ("u", "a", 1),
    ("u", "b", 2),
    ("v", "b", 2),
    ("u", "a", 5),
    ("u", "c", 6),
    ("v", "d", 7),
    ("w", "b", 7),
]


@pytest.mark.parametrize(
    ("options", "train", "histories", "targets"),
    [
        ({"at": "1970-01-05"}, "ab b", "ab b -", "c d b"),  # w is a cold user; a is seen by u
        ({"at": "1970-01-05", "repeats": True}, "ab b", "ab b -", "ac d b"),
        ({"at": "1970-01-08"}, "abac b", "b -", "d b"),
        ({"at": "1970-01-05", "until": "1970-01-08"}, "ab b", "ab", "c"),
        ({"fraction": 2 / 7}, "abac b", "b -", "d b"),
    ],
)
def test_worked_examples_of_temporal_split(options, train, histories, targets):
    split = temporal_split(interactions_of(EVENTS), **options)
    assert (words(split.train), words(split.histories), words(split.targets)) == (train, histories, targets)


@pytest.mark.parametrize(
    ("folds", "expected"),
    [
        (1, [("abac b", "d b")]),
        (2, [("ab b", "ac"), ("abac b", "d b")]),
    ],
)
def test_worked_examples_of_temporal_folds(folds, expected):
    splits = temporal_folds(interactions_of(EVENTS), folds=folds, fraction=2 / 7, repeats=True)
    assert [(words(split.train), words(split.targets)) for split in splits] == expected


@pytest.mark.parametrize(
    ("folds", "window", "expected"),
    [
        (1, "2d", [("aba b", "c d b")]),  # the days 6 and 7
        (1, timedelta(days=2, seconds=-1), [("aba b", "c d b")]),
        (2, "3d", [("a", "b b"), ("ab b", "ac d b")]),  # the days 2 to 4, and 5 to 7
        (3, "1d", [("ab b", "a"), ("aba b", "c"), ("abac b", "d b")]),
    ],
)
def test_worked_examples_of_calendar_windows(folds, window, expected):
    splits = temporal_folds(interactions_of(EVENTS), folds=folds, window=window, repeats=True)
    assert [(words(split.train), words(split.targets)) for split in splits] == expected


# --- cold targets and short histories


@examples(150)
@given(corpora, corpora, corpora, st.booleans(), st.integers(0, 4))
def test_filters_of_queries_agree_with_a_loop(train, histories, targets, drop, min_history):
    n = min(len(histories), len(targets))
    split = Split(
        Sentences.of(train),
        Sentences.of(histories[:n]),
        Sentences.of(targets[:n]),
        "by hand",
        users=np.arange(n) // 2,
        seen=Sentences.of(histories[:n]),
    )
    trained = {item for sentence in train for item in sentence}
    queries, cold, empty, short = [], 0, 0, 0
    for number, (past, future) in enumerate(zip(histories[:n], targets[:n], strict=True)):
        left = [item for item in future if item in trained] if drop else future
        cold += len(future) - len(left)
        if drop and not left:
            empty += 1
        elif len(past) < min_history:
            short += 1
        else:
            queries.append((past, left, number // 2, past))
    if n and not queries:
        with pytest.raises(InputError, match=f"none of {n} queries is left"):
            split.filtered(cold_targets="drop" if drop else "keep", min_history=min_history)
        return
    found = split.filtered(cold_targets="drop" if drop else "keep", min_history=min_history)
    assert list(zip(found.histories, found.targets, found.users, found.seen, strict=True)) == queries
    assert list(found.train) == train
    dropped = {
        "targets that do not occur in the training part": cold,
        "queries without a target that occurs in the training part": empty,
        f"queries with fewer than {min_history} items in the history": short,
    }
    assert found.dropped == {what: count for what, count in dropped.items() if count}


TRAIN = Sentences.of(list(word) for word in ["abcde", "abd", "xbn"])
LISTENS = [("u", "a", 0), ("u", "b", 1), ("v", "b", 1), ("u", "n", 2), ("v", "a", 2), ("w", "a", 2)]


@pytest.mark.parametrize(
    ("split", "every", "warm", "long"),
    [
        (partial(leave_last_out, TRAIN), "e d n", "d", "e"),
        (partial(random_split, TRAIN, fraction=0.01, seed=2), None, None, None),
        (partial(prefix_split, TRAIN, fraction=0.3), "b n", "b", None),
        (partial(temporal_split, interactions_of(LISTENS), at="1970-01-03"), "n a a", "a a", "n"),
        (
            lambda **o: temporal_folds(interactions_of(LISTENS), folds=1, window="1d", **o)[0],
            "n a a",
            "a a",
            "n",
        ),
        (
            lambda **o: k_fold(Sentences.of([["a", "b"]] * 3), folds=3, **o)[0],
            None,
            None,
            None,
        ),
    ],
)
def test_every_split_has_the_filters(split, every, warm, long):
    shortest = max(split().histories.lengths)
    for options, expected in (
        ({}, every),
        ({"cold_targets": "drop"}, warm),
        ({"min_history": int(shortest)}, long),
    ):
        found = split(**options)
        assert list(found.targets) == list(split().filtered(**options).targets)
        assert expected is None or words(found.targets) == expected
    assert min(split(min_history=int(shortest)).histories.lengths) == shortest
    with pytest.raises(ConfigError, match="cold_targets is 'ignore'; expected 'keep' or 'drop'"):
        split(cold_targets="ignore")
    for least in (-1, 1.5, True):
        with pytest.raises(ConfigError, match="min_history is"):
            split(min_history=least)


# --- leave-last-out


def last_items(sentences, n, repeats):
    """Return the queries and the dropped counts of leave-last-out, computed from the definition."""
    queries = [(s[:-n], [i for i in s[-n:] if repeats or i not in s[:-n]]) for s in sentences if len(s) > n]
    dropped = {
        "sentences too short for a query": sum(len(s) <= n for s in sentences),
        "targets in the history, excluded from recommendations": sum(n - len(t) for _, t in queries),
    }
    return [(history, targets) for history, targets in queries if targets], {
        what: count for what, count in dropped.items() if count
    }


@examples(150)
@given(corpora, st.integers(1, 3), st.booleans())
def test_leave_last_out_holds_out_the_end_and_nothing_else(sentences, n, repeats):
    split = leave_last_out(Sentences.of(sentences), n=n, repeats=repeats)
    assert list(split.train) == [s[:-n] if len(s) > n else s for s in sentences]
    queries, dropped = last_items(sentences, n, repeats)
    assert list(zip(split.histories, split.targets, strict=True)) == queries
    assert split.dropped == dropped
    assert split.filter_seen is not repeats
    assert ("repeats kept" in split.protocol) == repeats


@examples(150)
@given(rows, st.integers(1, 2), st.booleans())
def test_leave_last_out_of_interactions_keeps_timestamps(events, n, repeats):
    split = leave_last_out(interactions_of(events), n=n, repeats=repeats)
    users = dict.fromkeys(user for user, _, _ in events)
    queries, _ = last_items([history(events, user) for user in users], n, repeats)
    assert list(zip(split.histories, split.targets, strict=True)) == queries
    days_of = {user: sorted(day for owner, _, day in events if owner == user) for user in users}
    train_days = [day for days in days_of.values() for day in (days[:-n] if len(days) > n else days)]
    assert (split.train.timestamps // DAY).tolist() == train_days
    early = []
    for user, days in days_of.items():
        items = history(events, user)
        target_days = [
            day for i, day in zip(items[-n:], days[-n:], strict=False) if repeats or i not in items[:-n]
        ]
        early += [target_days[0] < max(train_days)] if len(days) > n and target_days else []
    assert ("test" in split.spans) == bool(early)
    if early:
        assert f"{100 * np.mean(early):.0f} % of the queries are older than" in split.leak


@examples(150)
@given(corpora, st.booleans())
def test_every_target_can_be_recommended(sentences, repeats):
    """No target is an item that recommendations exclude under ``filter_seen`` of the split."""
    whole = Sentences.of(sentences)
    splits = [leave_last_out(whole, repeats=repeats), leave_last_out(whole, n=2, repeats=repeats)]
    splits += k_fold(whole, folds=2, repeats=repeats) if len(sentences) >= 2 else []
    for split in [*splits, random_split(whole)]:
        for past, targets in zip(split.histories, split.targets, strict=True):
            assert targets
            assert not (split.filter_seen and set(past) & set(targets))


def test_the_spans_are_those_of_the_events():
    split = leave_last_out(interactions_of([("u", "a", 0), ("u", "b", 1), ("v", "b", 2), ("v", "a", 3)]))
    assert split.spans == {
        "train": ("1970-01-01T00:00:00", "1970-01-03T00:00:00"),
        "test": ("1970-01-02T00:00:00", "1970-01-04T00:00:00"),
    }
    assert "50 % of the queries" in split.leak


def test_interactions_without_timestamps_are_read_in_their_order():
    split = leave_last_out(Interactions.of(user=["u", "u"], item=["b", "a"]))
    assert (list(split.train), list(split.targets), split.spans) == ([["b"]], [["a"]], {})
    assert split.train.timestamps is None


@pytest.mark.parametrize(
    "split",
    [
        leave_last_out,
        lambda sentences: k_fold(sentences, folds=2),
        random_split,
        lambda sentences: leave_last_out(interactions_of([("u", "a", 0), ("u", "b", 1)])),
    ],
)
def test_a_protocol_that_leaks_warns_and_names_the_remedy(split):
    with pytest.warns(LeakWarning, match=r"temporal_split\(interactions\)") as caught:
        made = split(Sentences.of([["a", "b"], ["b", "a"]]))
    assert [warning.filename for warning in caught] == [__file__]
    assert str(caught[0].message) == (made[0] if isinstance(made, list) else made).leak


def test_a_protocol_that_does_not_leak_is_silent():
    listens = interactions_of([("u", "a", 0), ("u", "b", 1), ("u", "c", 2)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits = [
            temporal_split(listens),
            *temporal_folds(listens, folds=2, fraction=0.3),
            prefix_split(Sentences.of([["a"], ["a", "b"]])),
            random_split(Sentences.of([["a", "b"]], ordered=False)),
        ]
    assert [split.leak for split in splits] == [None] * 5


# --- temporal


@examples(150)
@given(rows, st.integers(1, 9), st.none() | st.integers(2, 10), st.booleans())
def test_temporal_split_agrees_with_a_loop(events, at, until, repeats):
    future = [event for event in events if event[2] >= at and (until is None or event[2] < until)]
    past = [event for event in events if event[2] < at]
    users, histories, targets, numbers = dict.fromkeys(user for user, _, _ in events), [], [], []
    for number, user in enumerate(users):
        old = history(past, user)
        new = [i for i in dict.fromkeys(history(future, user)) if repeats or i not in old]
        histories += [old] if new else []
        targets += [new] if new else []
        numbers += [number] if new else []
    listens = interactions_of(events)
    end = None if until is None else datetime(1970, 1, 1 + until)
    make = partial(temporal_split, listens, at=f"1970-01-{1 + at:02}", until=end, repeats=repeats)
    if not past or not targets:
        with pytest.raises(InputError, match=r"the (training|test) part .* is empty|no user has a new item"):
            make()
        return
    split = make()
    assert list(split.train) == [h for user in users if (h := history(past, user))]
    assert list(split.histories) == histories
    assert list(split.targets) == targets
    assert split.filter_seen is not repeats
    assert (split.train.timestamps // DAY).tolist() == [
        day for user in users for day in sorted(event[2] for event in past if event[0] == user)
    ]
    assert split.dropped.get("users without new items in the test part", 0) == (
        len({user for user, _, _ in future}) - len(targets)
    )
    after = split.dropped.get("events after the test part", 0)
    assert len(split.train.tokens) + len(future) + after == len(events)
    assert split.spans["train"][1] < split.spans["test"][0]
    assert (split.leak, split.users.tolist()) == (None, numbers)


@examples(150)
@given(rows, st.integers(1, 3), st.floats(0.05, 0.3))
def test_temporal_folds_are_consecutive(events, folds, fraction):
    listens = interactions_of(events)
    try:
        splits = temporal_folds(listens, folds=folds, fraction=fraction, repeats=True)
    except InputError:
        assume(False)
    assert len(splits) == folds
    windows = [split.spans["test"] for split in splits]
    assert all(earlier[1] < later[0] for earlier, later in pairwise(windows))
    assert all(split.spans["train"][1] < split.spans["test"][0] for split in splits)
    assert windows[-1][1] == f"1970-01-{1 + max(at for _, _, at in events):02}T00:00:00"
    for split, window in zip(splits, windows, strict=True):
        n_before = sum(f"1970-01-{1 + day:02}T00:00:00" < window[0] for _, _, day in events)
        assert len(split.train.tokens) == n_before


@examples(150)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.floats(0.01, 0.99))
def test_the_fraction_is_met_as_closely_as_equal_timestamps_allow(days, fraction):
    assume(len(set(days)) > 1)
    split = temporal_split(
        interactions_of([("u", str(i), day) for i, day in enumerate(days)]), fraction=fraction
    )
    possible = [sum(day >= cut for day in days) for cut in set(days) - {min(days)}]
    error = min(abs(n / len(days) - fraction) for n in possible)
    assert abs(len(split.targets.tokens) / len(days) - fraction) == pytest.approx(error)


def test_a_fraction_counts_the_events_before_until():
    listens = interactions_of([("u", str(day), day) for day in range(20)])
    split = temporal_split(listens, until="1970-01-11")
    assert (list(split.targets), split.dropped) == ([["9"]], {"events after the test part": 10})


def test_a_cut_off_in_any_time_zone():
    listens = interactions_of([("u", "a", 0), ("u", "b", 1)])
    cuts = ["1970-01-02", "1970-01-02T01:00+01:00", datetime(1970, 1, 2), datetime(1970, 1, 2, tzinfo=UTC)]
    assert {temporal_split(listens, at=cut).protocol for cut in cuts} == {"temporal from 1970-01-02T00:00:00"}


def test_cold_users_have_an_empty_history():
    split = temporal_split(interactions_of([("u", "a", 0), ("v", "a", 5)]), at="1970-01-03")
    assert (list(split.histories), list(split.targets)) == ([[]], [["a"]])


@examples(150)
@given(
    rows,
    st.sampled_from(
        [
            {"gap": "1d"},
            {"gap": "2d", "collapse_repeats": True},
            {"gap": "1d", "max_length": 2},
            {"gap": "1d", "min_item_count": 2},
            {"gap": "2d", "events": {"click": 1, "purchase": 1}},
            {"gap": "2d", "events": {"click": 2, "purchase": 3}},
            {"gap": "2d", "events": ["click"]},
        ]
    ),
    st.booleans(),
)
def test_training_tokens_keep_their_timestamps_whatever_the_adapter_does(events, options, visits):
    """The item of each event is the name of its day, so the item of a token determines its day."""
    events = [(user, f"{item}{at}", at) for user, item, at in events]
    extra = {"session": [f"{user}{at % 2}" for user, _, at in events]} if visits else {}
    kinds = ["click" if item < "d" else "purchase" for _, item, _ in events]
    listens = interactions_of(events, event=kinds, **extra)
    adapter = partial(adapters.sessions, **options)
    try:
        split = temporal_split(listens, at="1970-01-06", adapter=adapter)
    except InputError:
        assume(False)
    assert list(split.train) == list(adapter(listens.between(end=datetime(1970, 1, 6))))
    days = (split.train.timestamps // DAY).tolist()
    assert [str(day) for day in days] == [item[1:] for sentence in split.train for item in sentence]
    omitted = split.dropped.get("events omitted by the adapter", 0)
    assert len(split.train.tokens) + omitted == sum(at < 5 for _, _, at in events)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"at": "1970-01-01"},
            "the training part before 1970-01-01T00:00:00 is empty; .* are 1970-01-01T00:00:00 to",
        ),
        ({"at": "1980-01-01"}, "the test part from 1980-01-01T00:00:00 is empty; expected a cut-off within"),
        ({"at": "1970-01-02", "until": "1970-01-02"}, "from .* until 1970-01-02T00:00:00 is empty"),
        ({"at": "1970-01-03"}, "no user has a new item .* choose an earlier cut-off; or set repeats=True"),
        ({"at": "soon"}, "at is 'soon'; expected a datetime, or ISO text"),
        ({"at": 7}, "at is 7; expected a datetime"),
        ({"at": "1970-01-02", "fraction": 0.5}, "expected at most one of them"),
        ({"fraction": 1.0}, "part has a share of 1 of the events; expected a share above 0 and below 1"),
        ({"fraction": float("nan")}, "fraction is nan; expected a number"),
        ({"until": "1970-01-02"}, "the 1 events have 1 distinct timestamps; expected at least 2"),
        (
            {"adapter": partial(adapters.histories, min_length=9), "fraction": 0.5},
            "the adapter makes 0 sentences from the 2 events",
        ),
    ],
)
def test_errors_of_temporal_split(options, message):
    listens = interactions_of([("u", "a", 0), ("u", "b", 1), ("u", "a", 2)])
    with pytest.raises(InputError, match=message):
        temporal_split(listens, **options)


def test_a_split_by_time_needs_timestamps():
    with pytest.raises(InputError, match="have no timestamps; a split by time requires them"):
        temporal_split(Interactions.of(user=["u"], item=["a"]))
    with pytest.raises(InputError, match="the sentences have no timestamps"):
        temporal_split(Sentences.of([["a"]]))
    with pytest.raises(InputTypeError, match="found list; expected Interactions"):
        temporal_split([["a"]])
    with pytest.raises(InputError, match="there are no events; expected events before and after"):
        temporal_split(Interactions.of(user=[], item=[], timestamp=[]), at="1970-01-02")


def test_repeats_is_no_remedy_for_a_test_part_without_chosen_events():
    listens = Interactions.of(user=["u", "u"], item=["a", "b"], timestamp=[0, 1], event=["play", "skip"])
    with pytest.raises(InputError, match=r"choose an earlier cut-off$"):
        temporal_split(listens, fraction=0.5, adapter=AdapterConfig(events=["play"]), repeats=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 0}, "folds is 0"),
        ({"folds": 5, "fraction": 0.2}, "the test part has a share of 1 of the events"),
        ({"folds": 3, "fraction": 0.01}, "two of the 3 test windows start at the same timestamp"),
        ({"window": "1d", "fraction": 0.1}, "window is '1d' and fraction is 0.1; expected at most one"),
        ({"window": "1h"}, "window of fold 1 of 3, which ends at 1970-01-04T22:00:00, contains no events"),
        ({"window": "2d"}, "the training part before 1970-01-01T00:00:00 .*is empty"),
        ({"window": "1000000d", "folds": 2}, "window of fold 1 of 2, which ends at .*contains no events"),
    ],
)
def test_errors_of_temporal_folds(options, message):
    with pytest.raises(ConfigError, match="window is 'week'; expected a duration"):
        temporal_folds(interactions_of([("u", "a", 1)]), window="week")
    with pytest.raises(InputError, match=message):
        temporal_folds(interactions_of([("u", str(day), day) for day in range(5)]), **options)


# --- prefixes


@examples(150)
@given(corpora, corpora)
def test_prefix_split_agrees_with_a_loop(train, test):
    split = prefix_split(Sentences.of(train), test=Sentences.of(test))
    queries = [(number, s[:end], [s[end]]) for number, s in enumerate(test) for end in range(1, len(s))]
    assert list(split.train) == train
    assert list(zip(split.users, split.histories, split.targets, strict=True)) == queries
    assert sum(split.dropped.values()) == sum(len(s) < 2 for s in test)
    assert not split.filter_seen


@pytest.mark.parametrize(("fraction", "n_test"), [(0.1, 1), (0.5, 5), (0.99, 9), (0.001, 1)])
def test_the_last_sentences_are_the_test_part(fraction, n_test):
    sessions = [[str(i), "x"] for i in range(10)]
    split = prefix_split(Sentences.of(sessions), fraction=fraction)
    assert list(split.train) == sessions[:-n_test]
    assert list(split.histories) == [[first] for first, _ in sessions[-n_test:]]


# --- random shares and folds


@examples(150)
@given(corpora, st.floats(0.01, 0.99), st.integers(0, 5))
def test_random_split_divides_the_items_of_each_sentence(sentences, fraction, seed):
    split = random_split(Sentences.of(sentences, ordered=False), fraction=fraction, seed=seed)
    assert sum(split.dropped.values()) == sum(len(set(s)) < 2 for s in sentences)
    queries = zip(split.histories, split.targets, strict=True)
    for sentence, train in zip(sentences, split.train, strict=True):
        if len(set(sentence)) < 2:
            assert train == sentence
            continue
        kept, held = next(queries)
        assert train == kept == [item for item in sentence if item not in held]
        assert held == [item for item in dict.fromkeys(sentence) if item not in kept]
        n_items = len(set(sentence))
        assert len(held) == min(max(round(fraction * n_items), 1), n_items - 1)
    assert next(queries, None) is None


def test_random_split_draws_all_items_equally_often():
    split = random_split(Sentences.of([list("abcde")] * 5000, ordered=False), fraction=0.4)
    assert split.targets.counts() == pytest.approx([2000] * 5, rel=0.08)


@examples(150)
@given(corpora, st.integers(2, 4), st.integers(1, 2), st.booleans())
def test_k_fold_tests_each_sentence_in_one_fold_and_trains_on_it_in_the_others(sentences, folds, n, repeats):
    assume(len(sentences) >= folds)
    splits = k_fold(Sentences.of(sentences), folds=folds, n=n, repeats=repeats)
    made = [query for split in splits for query in zip(split.histories, split.targets, strict=True)]
    queries, dropped = last_items(sentences, n, repeats)
    assert sorted(made) == sorted(queries)
    assert sum((Counter(split.dropped) for split in splits), Counter()) == Counter(dropped)
    for split in splits:
        assert split.filter_seen is not repeats
        assert len(sentences) // folds <= len(sentences) - len(split.train) <= -(-len(sentences) // folds)
        rest = [*split.train, *(h + t for h, t in zip(split.histories, split.targets, strict=True))]
        if repeats:
            assert sorted(s for s in rest if len(s) > n) == sorted(s for s in sentences if len(s) > n)


@pytest.mark.parametrize("draw", [random_split, lambda s, seed: k_fold(s, folds=3, seed=seed)[0]])
def test_the_seed_determines_the_split(draw):
    sentences = Sentences.of([list("abcdefgh")[i:] + list("abcdefgh")[:i] for i in range(8)] * 4)
    first, again, other = (draw(sentences, seed=seed) for seed in (1, 1, 2))
    assert list(first.train) == list(again.train)
    assert list(first.targets) == list(again.targets)
    assert list(first.train) != list(other.train)


def test_weights_stay_with_their_tokens():
    listens = interactions_of([("u", "a", 0), ("u", "b", 1), ("u", "c", 2)], weight=[1, 2, 3])
    assert leave_last_out(listens).train.weights.tolist() == [1, 2]
    split = temporal_split(listens, at="1970-01-03")
    assert (split.train.weights.tolist(), split.histories.weights.tolist()) == ([1, 2], [1, 2])
    assert (split.histories.timestamps // DAY).tolist() == [0, 1]
    assert (split.targets.weights, split.targets.timestamps) == (None, None)
    prefixes = prefix_split(Sentences.of([["a"]]), test=adapters.histories(listens))
    assert prefixes.histories.weights.tolist() == [1, 1, 2]


def test_adapter_settings_shape_histories_targets_and_seen_items():
    """With training on purchases, viewed items are in no history and no target, but they are seen items."""
    rows = [
        ("u", "a", "buy", 0), ("u", "b", "view", 1), ("u", "c", "buy", 2), ("u", "c", "buy", 3),
        ("v", "a", "buy", 0), ("v", "b", "buy", 1),
        ("u", "b", "buy", 10), ("u", "d", "view", 10), ("u", "e", "buy", 11),
        ("v", "c", "view", 10),
    ]  # fmt: skip
    user, item, event, day = zip(*rows, strict=True)
    shop = Interactions.of(user=user, item=item, event=event, timestamp=[at * DAY for at in day])
    settings = AdapterConfig(events=["buy"], collapse_repeats=True)
    split = temporal_split(shop, at="1970-01-06", adapter=settings)
    assert list(split.train) == [["a", "c"], ["a", "b"]]
    assert (list(split.histories), list(split.targets), list(split.seen)) == ([["a", "c"]], [["e"]], [["b"]])
    popular = evaluate(Popularity(split.train), split, k=3, metrics=["hr"])
    assert set(popular.rankings.items[0].tolist()) == {-1}, (
        "a, b and c are seen, and no other item is trained"
    )
    bought = settings.replace(seen_events=["buy"])
    split = temporal_split(shop, at="1970-01-06", adapter=bought)
    assert (list(split.targets), split.filter_seen, list(split.seen)) == (
        [["b", "e"]],
        False,
        [["a", "c", "c"]],
    )
    with pytest.raises(InputError, match=r"seen_events is \('buy',\), and the interactions have no event"):
        temporal_split(
            replace(shop, event=None, events=None), at="1970-01-06", adapter=bought.replace(events=None)
        )
    weighted = AdapterConfig(events={"buy": 5, "view": 1}, max_length=2)
    split = temporal_split(shop, at="1970-01-06", adapter=weighted)
    assert (split.histories[0], split.histories.weights[:2].tolist()) == (["c", "c"], [5, 5])
    recent = AdapterConfig(days=2)
    assert temporal_split(shop, at="1970-01-06", adapter=recent).histories[0] == ["b", "c", "c"]


@examples(150)
@given(
    rows,
    st.sampled_from([None, ("buy",), ("view",), ("other",)]),
    st.sampled_from([None, ["buy"]]),
    st.sampled_from([None, 2]),
)
def test_every_target_of_a_temporal_split_can_be_recommended(events, seen_events, read, max_length):
    """Recommendations exclude exactly the items of ``seen_events``, independently of the history."""
    kinds = ["buy" if item < "c" else "view" for _, item, _ in events]
    listens = interactions_of(events, event=kinds)
    adapter = AdapterConfig(events=read, seen_events=seen_events, max_length=max_length)
    try:
        split = temporal_split(listens, at="1970-01-06", adapter=adapter)
    except InputError:
        assume(False)
    users = list(dict.fromkeys(user for user, _, _ in events))
    for query, user in enumerate(split.users):
        excluded = set(split.histories[query]) if split.filter_seen else set()
        excluded |= set(split.seen[query]) if split.seen is not None else set()
        assert excluded == {
            item
            for (name, item, day), kind in zip(events, kinds, strict=True)
            if name == users[user] and day < 5 and (seen_events is None or kind in seen_events)
        }
        assert not excluded & set(split.targets[query])


def test_a_history_can_consist_of_an_attribute():
    songs = Items.of({"a1": {"artist": "a"}, "a2": {"artist": "a"}, "b1": {"artist": "b"}, "x": {}})
    rows = [("u", "a1", 0), ("u", "a2", 1), ("u", "x", 2), ("u", "b1", 10), ("v", "b1", 0), ("v", "a2", 10)]
    user, item, day = zip(*rows, strict=True)
    plays = Interactions.of(user=user, item=item, timestamp=[at * DAY for at in day])
    split = temporal_split(plays, at="1970-01-06", adapter=AdapterConfig(group_by="artist"), items=songs)
    assert (list(split.train), list(split.histories), list(split.targets)) == (
        [["a", "a"], ["b"]],
        [["a", "a"], ["b"]],
        [["b"], ["a"]],
    )
    with pytest.raises(ConfigError, match="group_by='artist' needs items with attributes"):
        temporal_split(plays, at="1970-01-06", adapter=AdapterConfig(group_by="artist"))


def rated(*words):
    """Return sentences of one-letter items; a capital letter is an item of negative weight."""
    lists = [list(word) for word in words]
    weights = np.array([-1 if item.isupper() else 1 for word in lists for item in word], np.float32)
    return replace(Sentences.of([item.lower() for item in word] for word in lists), weights=weights)


DISLIKED = "held-out tokens of negative weight, which are not targets"


@pytest.mark.parametrize(
    ("split", "sentences", "histories", "targets", "n_disliked"),
    [
        (leave_last_out, ["aBc", "abC", "b"], "ab", "c", 1),
        (partial(leave_last_out, n=2), ["abCd", "aBcD", "abCD"], "ab ab", "d c", 4),
        (partial(leave_last_out, repeats=True), ["abA", "aBa"], "ab", "a", 1),
        (partial(prefix_split, fraction=0.5), ["ab", "aBc"], "ab", "c", 1),
        (lambda s: next(fold for fold in k_fold(s, folds=2, n=2) if len(fold)), ["b", "aBcD"], "ab", "c", 1),
    ],
)
def test_disliked_items_are_in_histories_but_no_targets(split, sentences, histories, targets, n_disliked):
    made = split(rated(*sentences))
    assert (words(made.histories), words(made.targets)) == (histories, targets)
    assert made.dropped[DISLIKED] == n_disliked
    assert (made.targets.weights > 0).all()
    assert any((s.weights < 0).any() for s in (made.train, made.histories)) == ("B" in "".join(sentences))


@examples(60)
@given(st.lists(st.text("abcABC", max_size=6), min_size=1, max_size=6), st.integers(0, 5))
def test_random_split_counts_disliked_held_out_tokens(lists, seed):
    liked_too = random_split(replace(rated(*lists), weights=None), fraction=0.5, seed=seed)
    split = random_split(rated(*lists), fraction=0.5, seed=seed)
    assert list(split.train) == list(liked_too.train)
    wide = [n for n, word in enumerate(lists) if len(set(word.lower())) > 1]
    expected, n_disliked = {}, 0
    for number, row in enumerate(wide):
        held_out = [item for item in lists[row] if item.lower() not in split.train[row]]
        n_disliked += sum(map(str.isupper, held_out))
        if liked := [item for item in dict.fromkeys(held_out) if item.islower()]:
            expected[number] = (split.train[row], liked)
    queries = zip(split.users.tolist(), split.histories, split.targets, strict=True)
    assert {user: (history, targets) for user, history, targets in queries} == expected
    assert split.dropped.get(DISLIKED, 0) == n_disliked


# --- cold and warm


@examples(150)
@given(corpora, corpora, st.data())
def test_by_coldness_loses_no_query(train, histories, data):
    targets = [data.draw(st.lists(st.sampled_from("abcdefghz"), min_size=1, max_size=2)) for _ in histories]
    part = Sentences.of([*train, list("ghz")])[:-1]  # its vocabulary has items that do not occur in it
    split = Split(part, Sentences.of(histories), Sentences.of(targets), "by hand")
    trained = {item for sentence in train for item in sentence}
    expected = {"warm": [], "cold users": [], "cold items": []}
    for query in zip(histories, targets, strict=True):
        name = "warm" if trained & set(query[1]) else "cold items"
        expected[name if trained & set(query[0]) else "cold users"].append(query)
    parts = {n: list(zip(s.histories, s.targets, strict=True)) for n, s in by_coldness(split).items()}
    assert parts == {name: queries for name, queries in expected.items() if queries}


def test_validation_sentences_need_a_target_per_query():
    train, histories = Sentences.of([["a", "b"]]), Sentences.of([["a"], ["b"], ["a"]])
    split = Split(train, histories, Sentences.of([["b"], [], ["b"]]), "by hand")
    with pytest.raises(InputError, match="query 1 has no target; expected at least one target per query"):
        split.as_sentences()
    assert [*split.as_sentences(2)] == [["a", "b"], ["a", "b"]]


def test_validation_sentences_keep_weights_and_timestamps_of_histories():
    histories = replace(rated("aB", "", "c"), timestamps=np.array([3, 1, 2]))
    split = Split(rated("abc"), histories, rated("c", "a", "Ab"), "by hand")
    made = split.as_sentences()
    assert [*made] == [["a", "b", "c"], ["a"], ["c", "b"]]
    assert made.weights.tolist() == [1, -1, 1, 1, 1, 1]
    assert made.timestamps.tolist() == [3, 1, 0, 0, 2, 0]
    plain = Split(rated("abc"), Sentences.of([["a"]]), Sentences.of([["b"]]), "by hand").as_sentences()
    assert plain.columns == ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: leave_last_out(s, n=0), "n is 0"),
        (lambda s: k_fold(s, n=0), "n is 0"),
        (lambda s: k_fold(s, folds=3), "folds is 3, and there are 2 sentences"),
        (lambda s: k_fold(s, folds=1), "folds is 1, and there are 2 sentences"),
        (lambda s: random_split(s, fraction=1), "fraction is 1; expected a number"),
        (lambda s: prefix_split(s, fraction=0), "fraction is 0; expected a number"),
        (lambda s: prefix_split(s[:1]), "expected at least 2 sentences"),
    ],
)
def test_errors_of_arguments_out_of_range(make, message):
    with pytest.raises(InputError, match=message):
        make(Sentences.of([["a", "b"], ["b", "a"]]))
