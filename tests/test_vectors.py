"""``ItemVectors``: validation, similarity against the definition, and word2vec files byte for byte."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from examples import examples
from gensim.models import KeyedVectors
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import ODD_IDS, fresh_folder, ids

from item2vec.config import TrainConfig
from item2vec.errors import InputError, InputTypeError, UnknownItemError
from item2vec.matrices import unit_rows
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

numbers = st.floats(-8, 8, width=32)
any_numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def item_vectors(draw, elements=numbers, known=None):
    known = draw(st.lists(ids, min_size=1, max_size=12, unique=True)) if known is None else known
    dims = draw(st.integers(1, 5))
    rows = draw(hnp.arrays(np.float32, (len(known), dims), elements=elements))
    rows[~rows.any(axis=1), 0] = 1
    return ItemVectors(Vocabulary(tuple(known)), rows, None, np.ones(len(known)))


def of(rows, output=None, counts=None):
    known = tuple(f"item-{row}" for row in range(len(rows)))
    return ItemVectors(Vocabulary(known), rows, output, np.ones(len(rows)) if counts is None else counts)


def cosine(a, b):
    a, b = a.astype(float), b.astype(float)
    return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


BAD_ROWS = {
    "NaN": [[1, 2], [np.nan, 0]],
    "infinite": [[1, 2], [np.inf, 0]],
    "infinite both ways": [[1, 2], [np.inf, -np.inf]],
    "flat": [1, 2],
    "a cube": np.ones((2, 2, 2)),
    "too few": [[1, 2]],
    "too many": [[1, 2]] * 3,
}


@pytest.mark.parametrize("rows", BAD_ROWS.values(), ids=BAD_ROWS)
def test_invalid_input_vectors_are_rejected(rows):
    with pytest.raises(InputError, match="invalid item vectors: input"):
        ItemVectors(Vocabulary(("a", "b")), np.array(rows), None, np.ones(2))


@pytest.mark.parametrize(
    "output", [[[1, 2], [np.nan, 0]], [[1, 2], [-np.inf, 0]], [[1, 2]], [[1], [2]], [1, 2]]
)
def test_invalid_output_vectors_are_rejected(output):
    with pytest.raises(InputError, match="invalid item vectors: output"):
        of(np.ones((2, 2)), np.array(output))


def test_an_item_may_have_an_output_vector_of_zero():
    assert of(np.ones((2, 2)), np.zeros((2, 2))).output.tolist() == [[0, 0], [0, 0]]


LAST = of([[1, 0], [0, 0], [0, 2], [3, 1]], [[0, 1], [2, 2], [1, 1], [-1, 0]])
"""item-1 has no input vector."""


def test_an_item_may_have_no_input_vector():
    assert LAST.has_input.tolist() == [True, False, True, True]
    assert LAST.unit_input[1].tolist() == [0, 0]
    assert LAST.take(np.array([1, 0])).has_input.tolist() == [False, True]
    assert of(np.ones((2, 2))).has_input.all()
    with pytest.raises(ValueError, match="read-only"):
        LAST.has_input[0] = False


def test_an_item_whose_two_vectors_are_zero_is_rejected():
    with pytest.raises(InputError, match="input vector of 'item-1' is zero, and so is its output vector"):
        of([[1, 2], [0, 0]], np.array([[1, 1], [0, 0]]))


NO_VECTORS = {
    "zero": np.zeros((2, 2)),
    "too small for float32": np.full((2, 2), 1e-60),
    "no dimension": np.ones((2, 0)),
}


@pytest.mark.parametrize("rows", NO_VECTORS.values(), ids=NO_VECTORS)
@pytest.mark.parametrize("with_output", [False, True])
def test_at_least_one_item_must_have_an_input_vector(rows, with_output):
    with pytest.raises(InputError, match="no item has an input vector"):
        of(rows, np.ones(rows.shape) if with_output and rows.size else None)


ZERO = of([[-1, 0], [0, 0], [1, 0.5], [0.5, 1], [-0.0, 0.0]])
"""item-1 and item-4 have no vector, as rows of zeros in a file."""


def test_an_item_without_a_vector_has_no_similar_items_and_is_similar_to_none():
    assert ZERO.has_vector.tolist() == [True, False, True, True, False]
    assert LAST.has_vector.all()
    for call in (
        lambda: ZERO.similar_items("item-1"),
        lambda: ZERO.similarity("item-0", "item-1"),
        lambda: ZERO.analogy(positive=["item-0"], negative=["item-4"]),
    ):
        with pytest.raises(InputError, match=r"item 'item-[14]' has no vector: its row is zero"):
            call()
    assert [item for item, _ in ZERO.similar_items("item-2")] == ["item-3", "item-0"]


def test_an_item_without_an_input_vector_is_compared_by_output_vectors():
    assert [item for item, _ in LAST.similar_items("item-1")] == ["item-2", "item-0", "item-3"]
    assert LAST.similarity("item-1", "item-2") == pytest.approx(1)
    assert LAST.similarity("item-1", "item-3") == pytest.approx(-math.sqrt(0.5))
    assert [item for item, _ in LAST.similar_items("item-0", k=1)] == ["item-3"]
    by_output = of(LAST.output)
    for positive, negative in (
        (["item-1"], ["item-0"]),
        (["item-3", "item-1"], []),
        (["item-0"], ["item-1"]),
    ):
        found = LAST.analogy(positive=positive, negative=negative)
        assert found == by_output.analogy(positive=positive, negative=negative)


def test_only_input_vectors_are_written_to_word2vec_files(tmp_path, caplog):
    LAST.save_word2vec(tmp_path / "rows")
    read = ItemVectors.load_word2vec(tmp_path / "rows")
    assert list(read.vocabulary) == ["item-0", "item-2", "item-3"]
    assert read.input.tolist() == [[1, 0], [0, 2], [3, 1]]
    assert "leaves out 1 of 4 items" in caplog.text


@pytest.mark.parametrize("counts", [[1], [1, 2, 3], [1, -1], [1, np.nan], [1, np.inf], [[1, 2]]])
def test_invalid_counts_are_rejected(counts):
    with pytest.raises(InputError, match="counts is invalid"):
        of(np.ones((2, 2)), counts=np.array(counts))


def test_vectors_are_immutable():
    vectors = of(np.ones((2, 2)), np.ones((2, 2)))
    for column in (vectors.input, vectors.output, vectors.counts, vectors.unit_input, vectors["item-0"]):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        vectors.output = None


@examples(150)
@given(item_vectors(any_numbers))
@example(of(np.array([[1e-45, 0], [3e38, 3e38], [1e-30, 1e30], [1e20, -1e20]], dtype=np.float32)))
def test_unit_vectors_have_length_one_at_any_scale(vectors):
    exact = vectors.input.astype(np.float64)
    exact /= np.sqrt(np.square(exact).sum(axis=1, keepdims=True))
    assert np.abs(vectors.unit_input - exact).max() < 1e-6
    assert unit_rows(np.zeros((2, 3), np.float32)).tolist() == [[0, 0, 0]] * 2


@examples(150)
@given(item_vectors(), st.data())
def test_similar_items_have_the_highest_cosines(vectors, data):
    known = vectors.vocabulary.ids
    item, k = data.draw(st.sampled_from(known)), data.draw(st.integers(1, 15))
    found = vectors.similar_items(item, k=k)
    assert len(found) == min(k, len(known) - 1)
    scores = {other: cosine(vectors[item], vectors[other]) for other in known if other != item}
    for place, (other, score) in enumerate(found):
        assert score == pytest.approx(scores[other], abs=1e-5)
        assert score == pytest.approx(vectors.similarity(item, other), abs=1e-5)
        assert score >= sorted(scores.values(), reverse=True)[place] - 1e-5
    assert len({other for other, _ in found} | {item}) == len(found) + 1


@examples(150)
@given(item_vectors(), st.data())
def test_an_analogy_adds_and_subtracts_unit_vectors(vectors, data):
    known = vectors.vocabulary.ids
    positive = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
    negative = data.draw(st.lists(st.sampled_from(known), max_size=2))
    target = sum(vectors.unit_input[known.index(id_)].astype(float) for id_ in positive)
    target = target - sum(vectors.unit_input[known.index(id_)].astype(float) for id_ in negative)
    if np.linalg.norm(target) < 1e-3:
        return
    found = vectors.analogy(positive=iter(positive), negative=iter(negative), k=20)
    assert {item for item, _ in found} == set(known) - set(positive) - set(negative)
    for item, score in found:
        assert score == pytest.approx(cosine(target, vectors[item]), abs=2e-4)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


def test_equal_scores_are_ordered_by_frequency():
    vectors = of(np.array([[1, 0], [0, 1], [0, 1], [1, 0], [0, 1]]))
    assert [item for item, _ in vectors.similar_items("item-2")] == ["item-1", "item-4", "item-0", "item-3"]


def test_invalid_queries_raise_typed_errors():
    vectors = of(np.array([[1, 0], [-1, 0], [0, 1]]))
    with pytest.raises(InputError, match="at least one positive"):
        vectors.analogy(positive=[])
    with pytest.raises(InputError, match="at least one positive"):
        vectors.analogy(positive=[], negative=["item-0"])
    with pytest.raises(InputError, match="cancel each other out"):
        vectors.analogy(positive=["item-0"], negative=["item-0"])
    with pytest.raises(InputError, match="cancel each other out"):
        vectors.analogy(positive=["item-0", "item-1"])
    with pytest.raises(InputTypeError, match="positive is the text"):
        vectors.analogy(positive="item-0")
    with pytest.raises(UnknownItemError, match="did you mean 'item-"):
        vectors.similar_items("item-9")
    with pytest.raises(InputTypeError, match="id at position 0 is 1"):
        _ = vectors[1]
    with pytest.raises(InputError, match="k is 0"):
        vectors.similar_items("item-0", k=0)


def test_take_selects_from_every_column():
    config = TrainConfig()
    vectors = dataclasses.replace(
        of(np.array([[1, 2], [3, 4], [5, 6]]), np.eye(3, 2), np.array([3, 2, 1])), config=config
    )
    some = vectors.take(np.array([2, 0]))
    assert some.vocabulary.ids == ("item-2", "item-0")
    assert some.input.tolist() == [[5, 6], [1, 2]]
    assert some.output.tolist() == [[0, 0], [1, 0]]
    assert some.counts.tolist() == [1, 3]
    assert some.config is config
    for rows in (np.array([-1, 0]), np.array([-1, -3], dtype=np.int8)):
        assert vectors.take(rows).vocabulary == some.vocabulary
    masked = vectors.take(np.array([True, False, True]))
    assert masked.vocabulary.ids == ("item-0", "item-2")
    assert masked.input.tolist() == [[1, 2], [5, 6]]


@examples(60)
@given(vectors=item_vectors(any_numbers), binary=st.booleans())
@example(vectors=of(np.array([[1e-45, -0.0], [3.4e38, 0.1]], dtype=np.float32)), binary=False)
def test_word2vec_files_round_trip_byte_for_byte(tmp_path_factory, vectors, binary):
    path = fresh_folder(tmp_path_factory) / "vectors"
    vectors.save_word2vec(path, binary=binary)
    again = ItemVectors.load_word2vec(path, binary=binary)
    assert again.vocabulary == vectors.vocabulary
    assert again.input.tobytes() == vectors.input.tobytes()
    assert again.output is None


@pytest.mark.parametrize("binary", [False, True])
def test_odd_ids_round_trip_through_gensim(tmp_path, binary):
    rows = np.random.default_rng(0).normal(size=(len(ODD_IDS), 7)).astype(np.float32)
    vectors = ItemVectors(Vocabulary(ODD_IDS), rows, None, np.ones(len(ODD_IDS)))
    vectors.save_word2vec(tmp_path / "ours", binary=binary)
    theirs = KeyedVectors.load_word2vec_format(str(tmp_path / "ours"), binary=binary)
    assert theirs.vectors.tobytes() == rows.tobytes()
    assert len(set(theirs.index_to_key)) == len(ODD_IDS)
    plain = [row for row, id_ in enumerate(ODD_IDS) if not set(id_) & set("% \t\n\r\x0b\x0c")]
    assert [theirs.index_to_key[row] for row in plain] == [ODD_IDS[row] for row in plain]
    theirs.save_word2vec_format(str(tmp_path / "theirs"), binary=binary)
    again = ItemVectors.load_word2vec(tmp_path / "theirs", binary=binary)
    assert again.vocabulary.ids == ODD_IDS
    assert again.input.tobytes() == rows.tobytes()


def test_ids_contain_no_white_space_in_word2vec_files(tmp_path):
    vectors = ItemVectors(Vocabulary(ODD_IDS), np.ones((len(ODD_IDS), 3)), None, np.ones(len(ODD_IDS)))
    vectors.save_word2vec(tmp_path / "vectors")
    rows = (tmp_path / "vectors").read_bytes().split(b"\n")[1:-1]
    assert [len(row.split()) for row in rows] == [4] * len(ODD_IDS)


def test_files_of_word2vec_c_are_read(tmp_path):
    """word2vec.c ends each text row with a blank, and each binary row with a line break."""
    (tmp_path / "text").write_bytes(b"2 2\n</s> 1.5 -2 \nb 0.25 1e-3 \n")
    text = ItemVectors.load_word2vec(tmp_path / "text")
    assert (text.vocabulary.ids, text.input.tolist()) == (
        ("</s>", "b"),
        [[1.5, -2.0], [0.25, float(np.float32(1e-3))]],
    )
    first, second = np.array([1.5, -2], "<f4").tobytes(), np.array([0.25, 10], "<f4").tobytes()
    for end in (b"\n", b""):
        (tmp_path / "binary").write_bytes(b"2 2\n</s> " + first + end + b"b " + second + end)
        binary = ItemVectors.load_word2vec(tmp_path / "binary", binary=True)
        assert (binary.vocabulary.ids, binary.input.tolist()) == (("</s>", "b"), [[1.5, -2.0], [0.25, 10.0]])


MALFORMED_TEXT = {
    "empty": b"",
    "only an id": b"a\n",
    "an id and words": b"a b c\n",
    "three in the header": b"1 2 3\na 1\n",
    "no numbers in the header": b"x y\na 1 2\n",
    "no rows": b"0 2\n",
    "no dimension": b"1 0\na\n",
    "negative": b"-1 2\na 1 2\n",
    "a header beyond the file": b"1000000000000 1000000\na 1 2\n",
    "endless digits": b"9" * 6000 + b" 2\na 1 2\n",
    "a row too few": b"3 2\na 1 2\nb 1 2\n",
    "a row too many": b"1 2\na 1 2\nb 1 2\n",
    "a number too few": b"1 2\na 1\n",
    "a number too many": b"1 2\na 1 2 3\n",
    "a word for a number": b"1 2\na 1 x\n",
    "an empty number": b"1 2\na  1\n",
    "an empty id": b"1 2\n 1 2\n",
    "an id with NUL": b"1 2\na\0 1 2\n",
    "not UTF-8": b"1 2\n\xff 1 2\n",
    "NaN": b"1 2\na nan 1\n",
    "infinite": b"1 2\na inf 1\n",
    "beyond float32": b"1 2\na 1e39 1\n",
    "zero": b"1 2\na 0 0\n",
}


@pytest.mark.parametrize("content", MALFORMED_TEXT.values(), ids=MALFORMED_TEXT)
def test_a_malformed_text_file_is_rejected(tmp_path, content):
    (tmp_path / "vectors").write_bytes(content)
    with pytest.raises(InputError):
        ItemVectors.load_word2vec(tmp_path / "vectors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"2 2\na 1 2\nb 1\n", "line 3 has 1 numbers; expected 2"),
        (b"2 2\na x 2\nb 1 2\n", "line 2: could not convert"),
        (b"3 2\na 1 2\nb 1 2\n", "found 2 rows; line 1 declares 3"),
    ],
)
def test_the_line_of_an_error_is_named(tmp_path, content, message):
    (tmp_path / "vectors").write_bytes(content)
    with pytest.raises(InputError, match=message):
        ItemVectors.load_word2vec(tmp_path / "vectors")


def test_a_file_truncated_anywhere_is_rejected(tmp_path):
    vectors = of(np.arange(1, 7, dtype=np.float32).reshape(3, 2))
    for binary in (True, False):
        vectors.save_word2vec(tmp_path / "vectors", binary=binary)
        whole = (tmp_path / "vectors").read_bytes()
        last_number = len(whole) - len(b" 6.0\n") if not binary else len(whole) - 1
        for length in range(last_number):
            (tmp_path / "cut").write_bytes(whole[:length])
            with pytest.raises(InputError):
                ItemVectors.load_word2vec(tmp_path / "cut", binary=binary)


def test_the_wrong_format_and_trailing_data_are_rejected(tmp_path):
    vectors = of(np.arange(1, 10, dtype=np.float32).reshape(3, 3) / 7)
    for binary in (True, False):
        vectors.save_word2vec(tmp_path / "vectors", binary=binary)
        with pytest.raises(InputError, match="format"):
            ItemVectors.load_word2vec(tmp_path / "vectors", binary=not binary)
        content = (tmp_path / "vectors").read_bytes()
        (tmp_path / "vectors").write_bytes(content + b"more")
        with pytest.raises(InputError, match="format"):
            ItemVectors.load_word2vec(tmp_path / "vectors", binary=binary)


def test_a_missing_file_is_an_input_error(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InputError, match=r"^(no file|.* is a folder)"):
            ItemVectors.load_word2vec(path)
