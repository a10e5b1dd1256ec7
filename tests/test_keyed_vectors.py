"""Files of gensim's KeyedVectors, written by gensim, hostile pickles, and folders of vectors."""

from __future__ import annotations

import gzip
import pickle
import pickletools

import numpy as np
import pytest
from examples import examples
from gensim.models import KeyedVectors, Word2Vec
from hypothesis import given
from hypothesis import strategies as st
from strategies import fresh_folder

from item2vec import ItemVectors, Sentences, Vocabulary, train
from item2vec.errors import BundleExistsError, CorruptBundleError, InputError, Item2VecError
from item2vec.kernels.pickles import largest_memo_index
from item2vec.keyed_vectors import _arguments

IDS = ["a", "b c", "ü", "%:x", "e"]
ROWS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def theirs(dtype=np.float32):
    keyed = KeyedVectors(3, dtype=dtype)
    keyed.add_vectors(IDS, ROWS.astype(dtype))
    return keyed


def is_mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


@pytest.mark.parametrize("name", ["x.kv", "x.kv.gz"])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"sep_limit": 1},
        {"separately": ["vectors"]},
        *({"pickle_protocol": protocol} for protocol in (2, 3, 4, 5)),
    ],
    ids=str,
)
def test_files_of_gensim_are_read(tmp_path, name, how):
    keyed = theirs()
    for number, id_ in enumerate(IDS):
        keyed.set_vecattr(id_, "count", number + 1)
    keyed.fill_norms()
    keyed.save(str(tmp_path / name), **how)
    found = ItemVectors.load(tmp_path / name)
    assert found.vocabulary.ids == tuple(IDS)
    assert found.input.tobytes() == ROWS.tobytes()
    assert found.counts.tolist() == [1, 2, 3, 4, 5]
    assert (found.output, found.config) == (None, None)
    assert is_mapped(found.input) == ("sep" in "".join(how) and not name.endswith("gz"))
    some = ItemVectors.load(tmp_path / name, limit=2)
    assert (some.vocabulary.ids, some.input.tolist()) == (tuple(IDS[:2]), ROWS[:2].tolist())


def test_vectors_of_a_trained_model_have_counts(tmp_path):
    model = Word2Vec([["a", "b", "a"]] * 5, vector_size=4, min_count=1, epochs=1, workers=1)
    model.wv.save(str(tmp_path / "wv"))
    found = ItemVectors.load(tmp_path / "wv")
    assert (found.vocabulary.ids, found.counts.tolist()) == (("a", "b"), [10, 5])
    assert found.input.tobytes() == model.wv.vectors.tobytes()
    model.save(str(tmp_path / "model"))
    with pytest.raises(InputError, match=r"gensim\.models\.word2vec\.Word2Vec.*write its KeyedVectors"):
        ItemVectors.load(tmp_path / "model")


def test_other_number_types_become_float32(tmp_path):
    theirs(np.float64).save(str(tmp_path / "x"))
    assert ItemVectors.load(tmp_path / "x").input.tolist() == ROWS.tolist()


class Attack:
    """A pickle that calls a function when it is loaded."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def attacks(victim):
    yield pickle.dumps(Attack(open, str(victim), "w"))
    yield pickle.dumps([Attack(eval, f"open({str(victim)!r}, 'w')")], protocol=4)
    yield b"\x80\x02cposix\nsystem\nU\x10touch %s\x85R." % bytes(victim)
    yield b"\x80\x02(cposix\nsystem\nX\x01\0\0\0ao."
    yield b"\x80\x02cbuiltins\nfrozenset\n}X\x04\0\0\0argsK\x01sb."
    yield b"\x80\x02cnumpy\ndtype\n}X\x08\0\0\0__init__K\x01s\x86b."
    yield pickle.dumps(np.random.default_rng(0))
    yield pickle.dumps({"index_to_key": IDS, "vectors": ROWS})
    yield pickle.dumps(IDS)


@pytest.mark.parametrize("number", range(9))
def test_a_pickle_cannot_run_anything(tmp_path, number):
    victim = tmp_path / "written"
    (tmp_path / "x").write_bytes([*attacks(victim)][number])
    with pytest.raises(InputError):
        ItemVectors.load(tmp_path / "x")
    assert not victim.exists()


def damaged(tmp_path, **changes):
    """Save KeyedVectors whose attributes are changed."""
    keyed = theirs()
    for name, value in changes.items():
        setattr(keyed, name, value)
    (tmp_path / "x").write_bytes(pickle.dumps(keyed, protocol=4))
    return tmp_path / "x"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"index_to_key": [1, 2, 3, 4, 5]}, "contains the key 1; expected keys of text"),
        ({"index_to_key": IDS[:3]}, r"3 keys and vectors of shape \(5, 3\)"),
        ({"index_to_key": None}, "its keys are None"),
        ({"index_to_key": ["a", "a", "b", "c", "d"]}, "/x: id 'a' occurs twice"),
        ({"index_to_key": ["a", "", "b", "c", "d"]}, "/x: .* is empty"),
        ({"vectors": None}, "None in place of an array"),
        ({"vectors": np.array([["a", "b", "c"]] * 5)}, "values that are not numbers"),
        ({"vectors": np.full((5, 3), np.nan, "f4")}, "is not finite"),
        ({"expandos": {"count": np.ones(3)}}, r"counts of shape \(3,\)"),
        ({"expandos": {"count": -np.ones(5)}}, "counts is invalid"),
    ],
)
def test_a_malformed_file_is_a_typed_error(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        ItemVectors.load(damaged(tmp_path, **changes))


def test_the_file_beside_must_exist_and_hold_numbers(tmp_path):
    theirs().save(str(tmp_path / "x"), sep_limit=1)
    beside = tmp_path / "x.vectors.npy"
    np.save(beside, np.array([{}] * 5, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not a pickle of gensim's KeyedVectors"):
        ItemVectors.load(tmp_path / "x")
    beside.write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError):
        ItemVectors.load(tmp_path / "x")
    beside.unlink()
    with pytest.raises(InputError, match=r"needs the file of its vectors, x\.vectors\.npy"):
        ItemVectors.load(tmp_path / "x")


@examples(150)
@given(data=st.data(), protocol=st.sampled_from([2, 4, 5]), compressed=st.booleans())
def test_damaged_pickles_raise_only_typed_errors(tmp_path_factory, data, protocol, compressed):
    path = fresh_folder(tmp_path_factory) / "x"
    content = bytearray(pickle.dumps(theirs(), protocol=protocol))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    path.write_bytes(gzip.compress(content) if compressed else content)
    try:
        vectors = ItemVectors.load(path)
    except Item2VecError:
        return
    assert np.isfinite(vectors.input).all()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "item", [[1, 2.5, None, True, -5, 2**70], "x" * 300, b"y" * 70_000, list(range(3000))]
)
def test_the_largest_index_of_the_memo_is_that_of_pickletools(protocol, item):
    content = pickle.dumps({"ü": item, "ids": [f"k{n}" for n in range(700)]}, protocol=protocol)
    indices = [
        argument for code, argument, _ in pickletools.genops(content) if code.name in {"PUT", "LONG_BINPUT"}
    ]
    assert largest_memo_index(np.frombuffer(content, np.uint8), _arguments()) == max(indices, default=0)


@pytest.mark.parametrize("damage", [b"r\xff\xff\xff\x01", b"p40000000\n", b"p 40_000_000\n"])
def test_a_damaged_index_of_the_memo_fills_no_memory(tmp_path, damage):
    """Python would fill half a gigabyte with null pointers; an index may be 128 times as large."""
    (tmp_path / "x").write_bytes(b"\x80\x02N" + damage + b".")
    with pytest.raises(InputError, match=r"stores an object at .* the file is damaged"):
        ItemVectors.load(tmp_path / "x")


# --- folders


LISTS = Sentences.of([["a", "b", "c", "d"], ["b", "c", "e"], ["d", "a", "e"]] * 5)


@pytest.mark.parametrize(
    "how",
    [{}, {"objective": "skipgram", "backend": "numba"}, {"objective": "skipgram", "hs": True, "negative": 0}],
)
def test_a_folder_holds_every_part_and_is_mapped(tmp_path, how):
    vectors = train(LISTS, vector_size=6, epochs=1, workers=1, **how)
    vectors.save(tmp_path / "vectors")
    found = ItemVectors.load(tmp_path / "vectors")
    assert found.vocabulary == vectors.vocabulary
    assert found.config == vectors.config
    for name in ("input", "output", "counts", "positions"):
        ours, theirs_ = getattr(vectors, name), getattr(found, name)
        assert (ours is None) == (theirs_ is None)
        assert ours is None or (ours.tobytes() == theirs_.tobytes() and is_mapped(theirs_))
    some = ItemVectors.load(tmp_path / "vectors", limit=2)
    assert some.vocabulary.ids == vectors.vocabulary.ids[:2]
    assert train(LISTS, start=found, vector_size=6, epochs=1, workers=1, **how).vocabulary
    with pytest.raises(BundleExistsError):
        vectors.save(tmp_path / "vectors")


def test_a_file_becomes_a_mapped_folder(tmp_path):
    (tmp_path / "glove.txt").write_text("the 1 2\nof 3 4\n")
    ItemVectors.load(tmp_path / "glove.txt").save(tmp_path / "glove")
    found = ItemVectors.load(tmp_path / "glove")
    assert (found.input.tolist(), found.config, is_mapped(found.input)) == ([[1, 2], [3, 4]], None, True)


@pytest.mark.parametrize("name", ["input.npy", "counts.npy", "ids.jsonl", "training.json"])
def test_a_damaged_folder_is_a_typed_error(tmp_path, name):
    ItemVectors(Vocabulary(("a", "b")), np.eye(2), None, np.ones(2)).save(tmp_path / "vectors")
    path = tmp_path / "vectors" / name
    path.write_bytes(path.read_bytes()[:-3] + b"{")
    with pytest.raises(CorruptBundleError):
        ItemVectors.load(tmp_path / "vectors")
