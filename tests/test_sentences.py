"""Sentences equal the lists of lists that they are created from, in memory and memory-mapped."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
from corpora import rows_of
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import ODD_IDS, corpora, fresh_folder, illegal_ids

from item2vec.errors import (
    BundleExistsError,
    BundleNotFoundError,
    CorruptBundleError,
    InputError,
    InputTypeError,
    InvalidIdError,
)
from item2vec.sentences import Sentences, offsets_of
from item2vec.types import Vocabulary

weights = st.floats(0, 1000, width=32)


@st.composite
def weighted(draw):
    """Draw sentences with or without weights, with or without timestamps, ordered or unordered."""
    lists = draw(corpora())
    sentences = Sentences.of(lists, ordered=draw(st.booleans()))
    if draw(st.booleans()):
        n = len(sentences.tokens)
        column = draw(st.lists(weights, min_size=n, max_size=n))
        sentences = dataclasses.replace(sentences, weights=np.array(column, dtype=np.float32))
    if draw(st.booleans()):
        n = len(sentences.tokens)
        column = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n))
        sentences = dataclasses.replace(sentences, timestamps=np.array(column, dtype=np.int64))
    return sentences


LISTS = Sentences.of(map(list, ["abc", "", "cb"]))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (lambda s: s, ["abc", "", "cb"]),
        (lambda s: s[1:], ["", "cb"]),
        (lambda s: s[::-2], ["cb", "abc"]),
        (lambda s: s.take(np.array([2, 2, 0])), ["cb", "cb", "abc"]),
        (lambda s: s.take(np.array([True, True, False])), ["abc", ""]),
        (lambda s: s.keep(s.tokens != s.vocabulary.code("b")), ["ac", "", "c"]),
        (lambda s: s.regroup(np.array([4, 0, 0]), np.array([0, 2, 3])), ["ba", "a"]),
        (lambda s: s + Sentences.of([["d", "b"]]), ["abc", "", "cb", "db"]),
    ],
)
def test_examples_of_operations(operation, expected):
    assert ["".join(sentence) for sentence in operation(LISTS)] == expected


def test_example_of_arrays():
    assert LISTS.vocabulary.ids == ("a", "b", "c")
    assert LISTS.tokens.tolist() == [0, 1, 2, 2, 1]
    assert LISTS.offsets.tolist() == [0, 3, 3, 5]
    assert LISTS.lengths.tolist() == [3, 0, 2]
    assert LISTS.counts().tolist() == [1, 2, 2]
    assert LISTS[2] == LISTS[-1] == ["c", "b"]
    assert repr(LISTS) == "Sentences(3 sentences, 5 tokens, 3 items, lengths 0 to 3)"


@examples(100)
@given(corpora(), st.data())
def test_sentences_equal_the_lists_they_are_made_of(lists, data):
    sentences = Sentences.of(lists)
    assert list(sentences) == lists
    assert len(sentences) == len(lists)
    assert sentences.lengths.tolist() == [len(sentence) for sentence in lists]
    cut = data.draw(st.slices(len(lists)))
    assert list(sentences[cut]) == lists[cut]
    assert sentences[cut].vocabulary is sentences.vocabulary
    for row in range(-len(lists), len(lists)):
        assert sentences[row] == lists[row]
    for row in (len(lists), -len(lists) - 1):
        with pytest.raises(IndexError):
            _ = sentences[row]
    flat = [id_ for sentence in lists for id_ in sentence]
    assert sentences.counts().tolist() == [flat.count(id_) for id_ in sentences.vocabulary]
    assert sentences.vocabulary.ids == tuple(dict.fromkeys(flat))
    assert repr(sentences).startswith(f"Sentences({len(lists)} sentences, {len(flat)} tokens")


@examples(100)
@given(weighted(), st.data())
def test_take_and_keep_include_weights_and_timestamps(sentences, data):
    sentence_rows = rows_of(sentences)
    n = len(sentence_rows)
    rows = st.lists(st.integers(-n, n - 1), max_size=10) if n else st.just([])
    positions = data.draw(rows)
    taken = sentences.take(np.array(positions, dtype=np.int64))
    assert rows_of(taken) == [sentence_rows[row] for row in positions]
    mask = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    assert rows_of(sentences.take(np.array(mask, dtype=bool))) == [
        row for row, selected in zip(sentence_rows, mask, strict=True) if selected
    ]
    n = len(sentences.tokens)
    flags = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    flag = iter(flags)
    kept = sentences.keep(np.array(flags, dtype=bool))
    assert rows_of(kept) == [tuple(token for token in row if next(flag)) for row in sentence_rows]
    assert taken.ordered == kept.ordered == sentences.ordered


@examples(50)
@given(weighted(), weighted())
def test_addition_concatenates(left, right):
    def expected_rows(sentences, other):
        weight_one = sentences.weights is None and other.weights is not None
        timed = other.timestamps is not None
        return [
            tuple((id_, 1.0 if weight_one else weight, time if timed else None) for id_, weight, time in rows)
            for rows in rows_of(sentences)
        ]

    joined = left + right
    assert rows_of(joined) == expected_rows(left, right) + expected_rows(right, left)
    assert joined.ordered == (left.ordered and right.ordered)


def test_sentences_are_made_of_any_iterables_except_text():
    assert list(Sentences.of(iter([iter("ab"), ("c",)]))) == [["a", "b"], ["c"]]
    for text in (["ab", "c"], "ab", [["a"], "b"]):
        with pytest.raises(InputTypeError, match="expected a list of ids"):
            Sentences.of(text)


@examples(30)
@given(illegal_ids)
def test_illegal_ids_are_errors(illegal):
    with pytest.raises(InvalidIdError):
        Sentences.of([["a"], ["b", illegal]])


@pytest.mark.parametrize(
    ("tokens", "offsets", "column", "message"),
    [
        ([0, 1], [], None, "offsets are empty; expected offsets from 0 to 2"),
        ([0, 1], [0, 1], None, "offsets start at 0 and end at 1; expected offsets from 0 to 2"),
        ([0, 1], [0, 3], None, "offsets start at 0 and end at 3; expected offsets from 0 to 2"),
        ([0, 1], [1, 2], None, "offsets start at 1 and end at 2; expected offsets from 0 to 2"),
        ([0, 1], [0, 2, 1, 2], None, "decrease"),
        ([0, 1], [0, -1, 2], None, "decrease"),
        ([0, 2], [0, 2], None, "tokens are from 0 to 2; expected codes of the vocabulary, from 0 to 1"),
        ([0, -1], [0, 2], None, "tokens are from -1 to 0; expected codes of the vocabulary, from 0 to 1"),
        ([0, 1], [0, 2], [1.0], "1 weights for 2 tokens"),
        ([0, 1], [0, 2], [1.0, np.nan], "finite"),
        ([0, 1], [0, 2], [1.0, np.inf], "finite"),
    ],
)
def test_inconsistent_columns_are_errors(tokens, offsets, column, message):
    with pytest.raises(InputError, match=message):
        Sentences(Vocabulary(("a", "b")), np.array(tokens), np.array(offsets), column)


@examples(40)
@given(sentences=weighted())
def test_opened_sentences_equal_the_saved_ones(tmp_path_factory, sentences):
    path = fresh_folder(tmp_path_factory) / "saved"
    sentences.save(path)
    opened = Sentences.open(path)
    assert list(opened) == list(sentences)
    assert opened.vocabulary == sentences.vocabulary
    assert opened.ordered == sentences.ordered
    for name in ("tokens", "offsets", "weights", "timestamps"):
        saved_column, column = getattr(sentences, name), getattr(opened, name)
        assert (column is None) == (saved_column is None)
        if column is not None:
            assert column.dtype == saved_column.dtype
            assert column.tobytes() == saved_column.tobytes()


def test_odd_ids_are_saved_byte_for_byte(tmp_path):
    Sentences.of([ODD_IDS, ODD_IDS[::-1]]).save(tmp_path / "saved")
    assert list(Sentences.open(tmp_path / "saved")) == [list(ODD_IDS), list(ODD_IDS[::-1])]


def is_mapped(column):
    while column is not None and not isinstance(column, np.memmap):
        column = column.base
    return column is not None


def weighted_sentences():
    lists = [["a", "b"], [], ["c", "\u2028", "a"]]
    return dataclasses.replace(
        Sentences.of(lists, ordered=False),
        weights=np.array([1, 0, 2.5, 1, 1], np.float32),
        timestamps=np.array([5, 6, 1, -2, 2**62]),
    )


def test_opened_columns_are_memory_mapped(tmp_path):
    weighted_sentences().save(tmp_path / "saved")
    opened = Sentences.open(tmp_path / "saved")
    assert all(
        is_mapped(column) for column in (opened.tokens, opened.offsets, opened.weights, opened.timestamps)
    )


def test_columns_are_read_only(tmp_path):
    weighted_sentences().save(tmp_path / "saved")
    for sentences in (weighted_sentences(), Sentences.open(tmp_path / "saved")):
        for column in (sentences.tokens, sentences.offsets, sentences.weights, sentences.timestamps):
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 0
        with pytest.raises(dataclasses.FrozenInstanceError):
            sentences.ordered = False


def test_saving_overwrites_nothing(tmp_path):
    Sentences.of([["a"]]).save(tmp_path / "saved")
    with pytest.raises(BundleExistsError):
        Sentences.of([["b"]]).save(tmp_path / "saved")
    assert list(Sentences.open(tmp_path / "saved")) == [["a"]]


def test_paths_without_saved_sentences_are_errors(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(BundleNotFoundError):
            Sentences.open(path)
    with pytest.raises(CorruptBundleError):
        Sentences.open(tmp_path)


FILES = ("sentences.json", "ids.jsonl", "tokens.npy", "offsets.npy", "weights.npy", "timestamps.npy")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("module") / "saved"
    weighted_sentences().save(path)
    assert {file.name for file in path.iterdir()} == set(FILES)
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_extended_or_missing_file_is_an_error(saved, tmp_path, name):
    shutil.copytree(saved, tmp_path / "damaged")
    file = tmp_path / "damaged" / name
    intact = file.read_bytes()
    same_json = {len(intact) - 1} if name == "sentences.json" else set()
    for length in sorted(set(range(len(intact))) - same_json):
        file.write_bytes(intact[:length])
        with pytest.raises(CorruptBundleError):
            Sentences.open(tmp_path / "damaged")
    file.write_bytes(intact + b"0")
    with pytest.raises(CorruptBundleError):
        Sentences.open(tmp_path / "damaged")
    file.unlink()
    with pytest.raises(CorruptBundleError):
        Sentences.open(tmp_path / "damaged")
    file.mkdir()
    with pytest.raises(CorruptBundleError):
        Sentences.open(tmp_path / "damaged")


@examples(150)
@given(name=st.sampled_from(FILES), position=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_an_altered_byte_is_an_error(saved, tmp_path_factory, name, position, value):
    damaged = fresh_folder(tmp_path_factory) / "damaged"
    shutil.copytree(saved, damaged)
    content = bytearray((damaged / name).read_bytes())
    content[int(position * len(content))] ^= value
    (damaged / name).write_bytes(content)
    try:
        opened = Sentences.open(damaged)
    except CorruptBundleError:
        return
    assert name == "sentences.json", "only white space in JSON may change without an error"
    assert rows_of(opened) == rows_of(weighted_sentences())
    assert not opened.ordered


@pytest.mark.parametrize(
    "changed",
    [
        {"format": 3}, {"format": 0}, {"format": None},
        {"columns": ["ids"]}, {"columns": None}, {"kind": "vectors"}, {"n_sentences": 4}, {"n_sentences": -1},
        {"n_sentences": "x"}, {"n_tokens": 10**30}, {"n_tokens": None}, {"n_tokens": [5]}, {"n_items": 3},
        {"n_tokens": 4}, {"sha256": {}}, {"sha256": None}, {"sha256": []},
        {"sha256": {"../../etc/passwd": ""}},
    ],
)  # fmt: skip
def test_an_inconsistent_header_is_an_error(saved, tmp_path, changed):
    shutil.copytree(saved, tmp_path / "damaged")
    file = tmp_path / "damaged" / "sentences.json"
    header = json.loads(file.read_text())
    file.write_text(json.dumps({**header, **changed}))
    with pytest.raises(CorruptBundleError):
        Sentences.open(tmp_path / "damaged")
    for text in (
        "[]",
        "1",
        "null",
        '"format"',
        json.dumps({**header, "ordered": 1})[:-1] + ', "ordered": 0}',
    ):
        file.write_text(text)
        with pytest.raises(CorruptBundleError):
            Sentences.open(tmp_path / "damaged")
    for name in header:
        file.write_text(json.dumps({key: value for key, value in header.items() if key != name}))
        with pytest.raises(CorruptBundleError):
            Sentences.open(tmp_path / "damaged")


@examples(30)
@given(st.lists(st.integers(0, 9)))
def test_offsets_are_cumulative_sums(lengths):
    assert offsets_of(lengths).tolist() == [sum(lengths[:n]) for n in range(len(lengths) + 1)]


@given(corpora(), corpora(), st.booleans(), st.booleans())
def test_equal_fingerprints_mean_equal_sentences(lists, other_lists, ordered, other_ordered):
    first, second = Sentences.of(lists, ordered=ordered), Sentences.of(other_lists, ordered=other_ordered)
    same = (lists, ordered) == (other_lists, other_ordered)
    assert (first.fingerprint() == second.fingerprint()) is same
    assert first.fingerprint() == Sentences.of(lists, ordered=ordered).fingerprint()


def test_format_1_without_timestamps_can_be_opened(tmp_path):
    weighted = dataclasses.replace(weighted_sentences(), timestamps=None)
    weighted.save(tmp_path / "saved")
    file = tmp_path / "saved" / "sentences.json"
    header = json.loads(file.read_text())
    assert (header.pop("format"), header.pop("columns")) == (2, ["weights"])
    file.chmod(0o644)
    file.write_text(json.dumps({**header, "format": 1, "weighted": True}))
    assert Sentences.open(tmp_path / "saved").fingerprint() == weighted.fingerprint()


def test_a_fingerprint_depends_on_weights_timestamps_ids_and_lengths(tmp_path):
    sentences = Sentences.of([["a", "b"], ["b"]])
    weighted = dataclasses.replace(sentences, weights=np.ones(3))
    others = [
        weighted,
        dataclasses.replace(weighted, weights=np.array([1, 2, 1])),
        dataclasses.replace(weighted, timestamps=np.array([1, 2, 3])),
        dataclasses.replace(sentences, timestamps=np.array([1, 2, 3])),
        Sentences.of([["a", "c"], ["c"]]),
        Sentences.of([["a"], ["b", "b"]]),
        Sentences(Vocabulary(("a", "b", "unused")), sentences.tokens, sentences.offsets),
        Sentences.of([["ab", "c"], ["c"]]),
        Sentences.of([["a", "bc"], ["bc"]]),
    ]
    assert len({s.fingerprint() for s in [sentences, *others]}) == 1 + len(others)
    weighted.save(tmp_path / "saved")
    assert Sentences.open(tmp_path / "saved").fingerprint() == weighted.fingerprint()
