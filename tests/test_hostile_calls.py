"""Every public function and method returns a result or raises an error of this package, whatever it is given.

``hostile.calls_of`` lists a valid call of each; one argument at a time is replaced by each hostile value.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hostile import World, arguments_of, calls_of, consumed, hostile_values, public_calls

import item2vec
from item2vec import (
    adapters,
    conditions,
    config,
    contexts,
    corpus,
    evaluation,
    metrics,
    phrases,
    readers,
    report,
    sharded,
    spark,
    store,
    translation,
    tuning,
    versions,
)
from item2vec.arguments import as_array, check_rows, checked
from item2vec.errors import InputError, InputTypeError, Item2VecError, short_repr

PUBLIC = (
    *(item2vec, adapters, conditions, config, contexts, evaluation, metrics, phrases, readers, report, store),
    *(corpus, sharded, spark, translation, tuning, versions),
)
"""Packages whose names are public."""
LONGEST = 700
"""Bound of the length of a message, in characters."""
OWN_FUNCTIONS = {"after_epoch", "adapter", "function", "now", "score"}
"""Arguments that are functions of the caller, whose exceptions propagate."""
NOT_CALLED = {
    "retrain": "takes seconds; its settings are checked by RetrainConfig",
    "write_report": "requires the extra of reports",
    "Attempt": "made by attempt",
    "Estimate.of": "made by tune",
    "Fault.of_value": "made by readers",
    "Recommender.with_catalogue": "called by Engine",
    "ShardedSentences": "made by Sentences.open",
    **dict.fromkeys(
        (
            *("Column.of", "Column.equal_to_any", "Column.ordered", "Column.containing"),
            *("Condition", "Condition.truth", "Condition.matches", "Expression.of", "condition_of"),
        ),
        "made by parse, or by the command line",
    ),
}
"""Public names that are not called, with the reason."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patched.chdir(folder)
        logging.disable(logging.CRITICAL)
        made = World(folder)
        yield made
        made.close()
        logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_a_hostile_argument_gives_a_result_or_an_error_of_ours(world):
    faults = []
    for function, valid in calls_of(world):
        for argument in arguments_of(function, valid):
            for case, value in hostile_values(valid.get(argument)):
                if callable(value) and argument in OWN_FUNCTIONS:
                    continue
                fault = fault_of(function, {**valid, argument: value})
                if fault:
                    faults.append(f"{function.__qualname__}({argument}: {case}): {fault:.150}")
    assert not faults, "\n".join(faults)


def fault_of(function, arguments):
    """Call a function; return a description of its error, unless it is one of this package in one line."""
    try:
        result = consumed(function(**arguments))
    except Item2VecError as error:
        return "" if len(str(error)) < LONGEST and "\n" not in str(error) else f"message {str(error)!r}"
    except Exception as error:  # noqa: BLE001 - the test lists all of them
        return repr(error)
    if hasattr(result, "close"):
        result.close()
    return ""


def test_every_public_function_and_method_is_called(world):
    called = {function.__qualname__ for function, _ in calls_of(world)}
    assert public_calls(PUBLIC).keys() - called - NOT_CALLED.keys() == set()
    assert called.isdisjoint(NOT_CALLED)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: w.model.recommend(None), "history is None; expected a list of ids"),
        (lambda w: w.model.recommend(["a"], deny=3), "deny is 3, of type int; expected a list of ids"),
        (lambda w: w.model.recommend(["a"], weights=["a"]), "weights are ['a']; expected finite numbers"),
        (lambda w: w.store.items_where("g"), "conditions is 'g'; expected a dict"),
        (lambda w: w.model.recommend(["a"], timestamps=[2**64]), "expected"),
        (lambda w: item2vec.Interactions.of(user=["u"], item=["a"], timestamp=[2**63]), "expected at most"),
        (lambda w: item2vec.Sentences.of([["a"]]).take(np.array([1])), "row indices from -1 to 0"),
        (lambda w: w.model.save("a\0b"), "path is 'a\\x00b'; expected"),
        (
            lambda w: evaluation.temporal_folds(w.interactions, folds=1001),
            "expected at most the number of events (60)",
        ),
        (
            lambda w: evaluation.Popularity(w.sentences).recommend_many([["a"]], exclude=[]),
            "exclude has 0 lists; expected one per history (1)",
        ),
    ],
)
def test_the_message_names_the_argument(world, call, message):
    with pytest.raises(InputError) as caught:
        call(world)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# --- the checks ------------------------------------------------------------------------------------


@checked
def sample(n: int, share: float = 0.5, name: str | None = None, flag: bool = False) -> tuple[object, ...]:
    return n, share, name, flag


@pytest.mark.parametrize(
    "good", [{"n": np.int64(3)}, {"n": -1, "share": 2, "name": "a"}, {"n": 0, "flag": np.True_}]
)
def test_values_of_the_annotated_type_pass(good):
    assert sample(**good)[0] == good["n"]


@pytest.mark.parametrize(
    "bad",
    [
        {"n": True},
        {"n": 2**63},
        {"n": 1.0},
        {"n": 1, "share": float("nan")},
        {"n": 1, "share": "1"},
        {"n": 1, "name": b"a"},
        {"n": 1, "flag": 2},
    ],
)
def test_values_of_another_type_are_refused(bad):
    with pytest.raises(InputTypeError, match=f"{list(bad)[-1]} is .*; expected"):
        sample(**bad)


def test_a_message_is_short():
    class Unprintable:
        def __repr__(self):
            raise RuntimeError

    for value in (["a"] * 10**6, "a" * 10**6, 10**10_000, Unprintable(), {"a": ["b" * 1000] * 99}):
        assert len(short_repr(value)) <= 80
    assert "\n" not in short_repr(np.zeros((5, 5)))


@pytest.mark.parametrize("values", [["a"], [None], [[1], [1, 2]], object()])
def test_values_that_are_no_numbers_are_refused(values):
    with pytest.raises(InputTypeError, match="expected numbers that fit into int32"):
        as_array(values, np.int32)
    with pytest.raises(InputError):
        as_array([2**70], np.int64)


@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        (np.array([1, 2**40]), np.int32, "found 1099511627776; expected integers that fit into int32"),
        (np.array([[0, -1]]), np.uint8, "found -1; expected integers that fit into uint8"),
        (np.array([2**64 - 1], np.uint64), "<i8", "found 18446744073709551615; expected integers that fit"),
        (np.array([2, 1.5, 2.5]), np.int64, "found 1.5; expected integers that fit into int64"),
        ([1, 1.5], np.int32, "found 1.5; expected integers that fit into int32"),
        (np.float64(0.5), np.int64, "found 0.5"),
    ],
)
def test_integers_that_would_change_are_refused(values, dtype, message):
    with pytest.raises(InputError, match=message):
        as_array(values, dtype)


@pytest.mark.parametrize(
    "values",
    [np.array([1, 3]), np.array([1.0, 3.0]), [1, 3.0], np.array([1, 3], ">u8"), ["1", "3"], (True, 3)],
)
def test_integers_of_another_type_are_converted(values):
    assert as_array(values, np.int32).tolist() == [1, 3]


@pytest.mark.parametrize("rows", [[3], [-4], [0.5], [[0]], ["a"], [True], [[1], [1, 2]]])
def test_rows_out_of_range_are_refused(rows):
    with pytest.raises(InputError, match="a mask of 3 flags, or row indices from -3 to 2"):
        check_rows(rows, 3)
    check_rows(np.array([0, 2, -3]), 3)
    check_rows(np.array([True, False, True]), 3)


@pytest.mark.parametrize("rows", [[0], [-1], [True], [[]], ["a"]])
def test_of_no_rows_only_an_empty_list_is_accepted(rows):
    with pytest.raises(InputError, match=r"; expected an empty list$"):
        check_rows(rows, 0)
    for empty in ([], np.array([], bool), np.array([], np.int64)):
        check_rows(empty, 0)


# --- without asserts -------------------------------------------------------------------------------

WRONG = """
import numpy as np
from item2vec import Interactions, Items, Recommender, Sentences, Vocabulary, ItemVectors, train
from item2vec.index.search import find_many
from item2vec.tuning import tune
vectors = ItemVectors(Vocabulary(("a", "b")), np.eye(2), np.eye(2), np.ones(2))
model = Recommender(vectors)
calls = [
    lambda: model.recommend(None),
    lambda: model.recommend(["a"], k=0),
    lambda: model.recommend(["a"], weights=[float("nan")]),
    lambda: model.recommend_many([["a"], ["b"]], exclude=[["a"]]),
    lambda: model.similar_items("a", eligible=np.ones(9, bool)),
    lambda: find_many(model.index, np.ones((2, 2), np.float32), k=1, excluded=[]),
    lambda: Sentences(Vocabulary(("a",)), [7], [0, 1]),
    lambda: Interactions.of(user=["u"], item=["a", "b"]),
    lambda: Items.of({"a": {"g": 1}}).where("g"),
    lambda: train(Sentences.of([["a"]])),
    lambda: train(Sentences.of([["a", "b"]]), config=3),
    lambda: tune(3, trials=1),
]
for call in calls:
    try:
        print(repr(call()))
    except Exception as error:
        print(type(error).__module__, type(error).__name__, error)
"""


@pytest.mark.slow
def test_errors_are_the_same_without_asserts():
    with_asserts, without = (
        subprocess.run([sys.executable, *flags, "-c", WRONG], capture_output=True, text=True, check=True)
        for flags in ([], ["-O"])
    )
    assert without.stdout == with_asserts.stdout
    lines = with_asserts.stdout.splitlines()
    assert len(lines) == 12
    assert all(line.startswith("item2vec.errors ") for line in lines), lines
