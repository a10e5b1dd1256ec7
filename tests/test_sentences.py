"""Sentences behave as the lists of lists they were made of, in memory and mapped from disk."""

from __future__ import annotations

import dataclasses
import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
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
    """Sentences, some with weights, some with timestamps, some unordered."""
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


def rows_of(sentences):
    """Return each sentence as a list of (id, weight, timestamp), ``None`` where there is no such column."""
    none = [None] * len(sentences.tokens)
    columns = [
        none if column is None else column.tolist() for column in (sentences.weights, sentences.timestamps)
    ]
    rows = list(zip(sentences.vocabulary.decode(sentences.tokens), *columns, strict=True))
    return [rows[a:b] for a, b in pairwise(sentences.offsets.tolist())]


@settings(deadline=None, max_examples=100)
@given(corpora(), st.data())
def test_sentences_read_as_the_lists_they_were_made_of(lists, data):
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


@settings(deadline=None, max_examples=100)
@given(weighted(), st.data())
def test_take_and_keep_carry_weights_and_timestamps_along(sentences, data):
    pairs = rows_of(sentences)
    rows = st.lists(st.integers(-len(pairs), len(pairs) - 1), max_size=10) if pairs else st.just([])
    positions = data.draw(rows)
    taken = sentences.take(np.array(positions, dtype=np.int64))
    assert rows_of(taken) == [pairs[row] for row in positions]
    mask = data.draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs)))
    assert rows_of(sentences.take(np.array(mask, dtype=bool))) == [
        pair for pair, kept in zip(pairs, mask, strict=True) if kept
    ]
    n = len(sentences.tokens)
    flags = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    flag = iter(flags)
    kept = sentences.keep(np.array(flags, dtype=bool))
    assert rows_of(kept) == [[pair for pair in sentence if next(flag)] for sentence in pairs]
    assert taken.ordered == kept.ordered == sentences.ordered


@settings(deadline=None, max_examples=50)
@given(weighted(), weighted())
def test_sentences_are_added_up(one, other):
    def counted(sentences, other):
        bare = sentences.weights is None and other.weights is not None
        timed = other.timestamps is not None
        return [
            [(id_, 1.0 if bare else weight, time if timed else None) for id_, weight, time in rows]
            for rows in rows_of(sentences)
        ]

    both = one + other
    assert rows_of(both) == counted(one, other) + counted(other, one)
    assert both.ordered == (one.ordered and other.ordered)


def test_sentences_come_from_any_iterable_but_not_from_text():
    assert list(Sentences.of(iter([iter("ab"), ("c",)]))) == [["a", "b"], ["c"]]
    for text in (["ab", "c"], "ab", [["a"], "b"]):
        with pytest.raises(InputTypeError, match="expected a list of ids"):
            Sentences.of(text)


@settings(deadline=None, max_examples=30)
@given(illegal_ids)
def test_illegal_ids_are_refused(illegal):
    with pytest.raises(InvalidIdError):
        Sentences.of([["a"], ["b", illegal]])


@pytest.mark.parametrize(
    ("tokens", "offsets", "column", "message"),
    [
        ([0, 1], [], None, "from 0 to 2"),
        ([0, 1], [0, 1], None, "from 0 to 2"),
        ([0, 1], [0, 3], None, "from 0 to 2"),
        ([0, 1], [1, 2], None, "from 0 to 2"),
        ([0, 1], [0, 2, 1, 2], None, "decrease"),
        ([0, 1], [0, -1, 2], None, "decrease"),
        ([0, 2], [0, 2], None, "outside 0 … 1"),
        ([0, -1], [0, 2], None, "outside 0 … 1"),
        ([0, 1], [0, 2], [1.0], "1 weights for 2 tokens"),
        ([0, 1], [0, 2], [1.0, np.nan], "finite"),
        ([0, 1], [0, 2], [1.0, np.inf], "finite"),
        ([0, 1], [0, 2], [1.0, -1.0], "non-negative"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tokens, offsets, column, message):
    with pytest.raises(InputError, match=message):
        Sentences(Vocabulary(("a", "b")), np.array(tokens), np.array(offsets), column)


@settings(deadline=None, max_examples=40)
@given(sentences=weighted())
def test_saved_sentences_open_as_they_were(tmp_path_factory, sentences):
    path = fresh_folder(tmp_path_factory) / "saved"
    sentences.save(path)
    opened = Sentences.open(path)
    assert list(opened) == list(sentences)
    assert opened.vocabulary == sentences.vocabulary
    assert opened.ordered == sentences.ordered
    for name in ("tokens", "offsets", "weights", "timestamps"):
        column, found = getattr(sentences, name), getattr(opened, name)
        assert (found is None) == (column is None)
        if column is not None:
            assert found.dtype == column.dtype
            assert found.tobytes() == column.tobytes()


def test_odd_ids_are_saved_byte_for_byte(tmp_path):
    Sentences.of([ODD_IDS, ODD_IDS[::-1]]).save(tmp_path / "saved")
    assert list(Sentences.open(tmp_path / "saved")) == [list(ODD_IDS), list(ODD_IDS[::-1])]


def mapped(column):
    while column is not None and not isinstance(column, np.memmap):
        column = column.base
    return column is not None


def made_weighted():
    lists = [["a", "b"], [], ["c", "\u2028", "a"]]
    return dataclasses.replace(
        Sentences.of(lists, ordered=False),
        weights=np.array([1, 0, 2.5, 1, 1], np.float32),
        timestamps=np.array([5, 6, 1, -2, 2**62]),
    )


def test_opened_columns_are_mapped(tmp_path):
    made_weighted().save(tmp_path / "saved")
    opened = Sentences.open(tmp_path / "saved")
    assert all(
        mapped(column) for column in (opened.tokens, opened.offsets, opened.weights, opened.timestamps)
    )


def test_columns_cannot_be_changed(tmp_path):
    made_weighted().save(tmp_path / "saved")
    for sentences in (made_weighted(), Sentences.open(tmp_path / "saved")):
        for column in (sentences.tokens, sentences.offsets, sentences.weights, sentences.timestamps):
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 0
        with pytest.raises(dataclasses.FrozenInstanceError):
            sentences.ordered = False


def test_saving_replaces_nothing(tmp_path):
    Sentences.of([["a"]]).save(tmp_path / "saved")
    with pytest.raises(BundleExistsError):
        Sentences.of([["b"]]).save(tmp_path / "saved")
    assert list(Sentences.open(tmp_path / "saved")) == [["a"]]


def test_what_is_not_there_is_not_opened(tmp_path):
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
    made_weighted().save(path)
    assert {file.name for file in path.iterdir()} == set(FILES)
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_longer_or_gone_is_noticed(saved, tmp_path, name):
    shutil.copytree(saved, tmp_path / "spoiled")
    file = tmp_path / "spoiled" / name
    whole = file.read_bytes()
    same_json = {len(whole) - 1} if name == "sentences.json" else set()
    for length in sorted(set(range(len(whole))) - same_json):
        file.write_bytes(whole[:length])
        with pytest.raises(CorruptBundleError):
            Sentences.open(tmp_path / "spoiled")
    file.write_bytes(whole + b"0")
    with pytest.raises(CorruptBundleError):
        Sentences.open(tmp_path / "spoiled")
    file.unlink()
    with pytest.raises(CorruptBundleError):
        Sentences.open(tmp_path / "spoiled")
    file.mkdir()
    with pytest.raises(CorruptBundleError):
        Sentences.open(tmp_path / "spoiled")


@settings(deadline=None, max_examples=150)
@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_a_changed_byte_is_noticed(saved, tmp_path_factory, name, place, value):
    spoiled = fresh_folder(tmp_path_factory) / "spoiled"
    shutil.copytree(saved, spoiled)
    content = bytearray((spoiled / name).read_bytes())
    content[int(place * len(content))] ^= value
    (spoiled / name).write_bytes(content)
    try:
        opened = Sentences.open(spoiled)
    except CorruptBundleError:
        return
    assert name == "sentences.json", "only white space in JSON may change unnoticed"
    assert rows_of(opened) == rows_of(made_weighted())
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
def test_a_description_that_does_not_fit_is_noticed(saved, tmp_path, changed):
    shutil.copytree(saved, tmp_path / "spoiled")
    file = tmp_path / "spoiled" / "sentences.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps({**about, **changed}))
    with pytest.raises(CorruptBundleError):
        Sentences.open(tmp_path / "spoiled")
    for text in ("[]", "1", "null", '"format"', json.dumps({**about, "ordered": 1})[:-1] + ', "ordered": 0}'):
        file.write_text(text)
        with pytest.raises(CorruptBundleError):
            Sentences.open(tmp_path / "spoiled")
    for name in about:
        file.write_text(json.dumps({key: value for key, value in about.items() if key != name}))
        with pytest.raises(CorruptBundleError):
            Sentences.open(tmp_path / "spoiled")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 9)))
def test_offsets_are_running_sums(lengths):
    assert offsets_of(lengths).tolist() == [sum(lengths[:n]) for n in range(len(lengths) + 1)]


@given(corpora(), corpora(), st.booleans(), st.booleans())
def test_equal_fingerprints_mean_equal_sentences(one, other, ordered_one, ordered_other):
    first, second = Sentences.of(one, ordered=ordered_one), Sentences.of(other, ordered=ordered_other)
    same = (one, ordered_one) == (other, ordered_other)
    assert (first.fingerprint() == second.fingerprint()) is same
    assert first.fingerprint() == Sentences.of(one, ordered=ordered_one).fingerprint()


def test_format_1_which_knows_no_timestamps_still_opens(tmp_path):
    weighted = dataclasses.replace(made_weighted(), timestamps=None)
    weighted.save(tmp_path / "saved")
    file = tmp_path / "saved" / "sentences.json"
    about = json.loads(file.read_text())
    assert (about.pop("format"), about.pop("columns")) == (2, ["weights"])
    file.chmod(0o644)
    file.write_text(json.dumps({**about, "format": 1, "weighted": True}))
    assert Sentences.open(tmp_path / "saved").fingerprint() == weighted.fingerprint()


def test_a_fingerprint_sees_weights_timestamps_ids_and_where_sentences_end(tmp_path):
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
    assert len({one.fingerprint() for one in [sentences, *others]}) == 1 + len(others)
    weighted.save(tmp_path / "saved")
    assert Sentences.open(tmp_path / "saved").fingerprint() == weighted.fingerprint()
