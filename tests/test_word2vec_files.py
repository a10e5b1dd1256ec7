"""Files of word2vec and GloVe: inputs as people have them, round trips, counts, malformed files by line."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from examples import examples
from gensim.models import KeyedVectors
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import fresh_folder, ids

from item2vec import Recommender
from item2vec.errors import InputError, Item2VecError, WriteError
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

INPUTS = Path(__file__).parent / "inputs"


def of(known, rows, counts=None):
    rows = np.array(rows, dtype=np.float32)
    return ItemVectors(Vocabulary(tuple(known)), rows, None, np.ones(len(rows)) if counts is None else counts)


def written(folder, content, name="vectors"):
    path = folder / name
    path.write_bytes(content)
    return path


# --- files as people have them


@pytest.mark.parametrize("load", [ItemVectors.load, ItemVectors.load_word2vec])
def test_a_glove_file_has_no_header(load):
    vectors = load(INPUTS / "headerless_glove.txt")
    assert vectors.input.shape == (8, 6)
    assert vectors.vocabulary.ids == tuple(f"w{n}" for n in range(8))
    assert vectors["w7"].tolist() == pytest.approx([-0.3875, 0.4613, 0.2237, 0.2910, -0.4311, 1.2893])


@pytest.mark.parametrize("load", [ItemVectors.load, ItemVectors.load_word2vec])
def test_zero_rows_are_kept_and_repeated_ids_are_dropped_with_a_warning(load, caplog):
    vectors = load(INPUTS / "zero_and_double.vec")
    assert vectors.vocabulary.ids == ("a", "b", "c%20d")
    assert vectors.input.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert vectors.has_vector.tolist() == [True, False, True]
    assert "contains 1 rows whose id occurs in an earlier row (first: 'b' in line 4)" in caplog.text


@pytest.mark.parametrize("index", ["exact", "annoy"])
def test_an_item_without_a_vector_is_never_recommended(tmp_path, index):
    path = written(tmp_path, b"6 2\nzero 0 0\na 1 0\nb 0.9 0.1\nc -1 0\nd 0 1\nnone 0 0\n")
    model = Recommender(ItemVectors.load(path), index=index)
    model.save(tmp_path / "bundle")
    for kept in (model, Recommender.from_parts(model.parts)):
        assert [item for item, _ in kept.recommend(["a"], k=10)] == ["b", "d", "c"]
        assert [item for item, _ in kept.recommend(["a", "zero"], k=10)] == ["b", "d", "c"]
        assert [item for item, _ in kept.recommend(["a"], k=10, allow=["zero", "c"])] == ["c"]
        assert [item for item, _ in kept.similar_items("a", k=10)] == ["b", "d", "c"]
        popular = kept.recommend(["zero"], k=10)
        assert {item for item, _ in popular} == {"a", "b", "c", "d"}
        assert {found.source for found in popular} == {"popular"}
        with pytest.raises(InputError, match="item 'zero' has no vector: its row is zero"):
            kept.similar_items("zero")


def test_words_of_glove_may_contain_blanks(tmp_path):
    content = b"the 0.1 0.2 0.3\n. . . 1 2 3\nat name@domain.com 4 5 6\n7 7 8 9\n"
    vectors = ItemVectors.load(written(tmp_path, content))
    assert vectors.vocabulary.ids == ("the", ". . .", "at name@domain.com", "7")
    assert vectors.input[1:].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbf2 2\r\na 1 2\r\nb 3 4\r\n", "ab"),
        (b"\xef\xbb\xbfa 1 2\nb 3 4", "ab"),
        (b"2 2 \na 1 2 \nb 3 4 \n\n", "ab"),
        (b"02 +2\na 1 2\n\nb 3e0 4\n", "ab"),
    ],
    ids=["mark and Windows", "mark without header", "trailing blanks", "empty line"],
)
def test_line_ends_and_marks(tmp_path, content, expected):
    vectors = ItemVectors.load(written(tmp_path, content))
    assert vectors.vocabulary.ids == tuple(expected)
    assert vectors.input.tolist() == [[1, 2], [3, 4]]


def binary_of(known, rows, end=b""):
    return b"".join(
        id_.encode() + b" " + np.array(row, "<f4").tobytes() + end
        for id_, row in zip(known, rows, strict=True)
    )


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("compressed", [False, True])
def test_the_binary_format_is_detected(tmp_path, end, compressed):
    rows = np.random.default_rng(3).normal(size=(50, 20)).astype(np.float32)
    content = b"50 20\n" + binary_of([f"w{n}" for n in range(50)], rows, end)
    path = written(tmp_path, gzip.compress(content) if compressed else content)
    for options in ({}, {"binary": True}):
        assert ItemVectors.load(path, **options).input.tobytes() == rows.tobytes()
    assert ItemVectors.load(path, limit=7).input.tobytes() == rows[:7].tobytes()


@pytest.mark.parametrize("first", [b"\n\n\n\n", b"    ", b"\r\n 1", b"1 2 "])
@pytest.mark.parametrize("known", ["nan", "1", "x"])
def test_binary_numbers_that_resemble_line_ends_and_blanks(tmp_path, known, first):
    number = np.frombuffer(first, "<f4")[0]
    content = b"2 3\n" + binary_of([known, "b"], [[number, 0.1, 0.2], [1, 2, 3]])
    assert ItemVectors.load(written(tmp_path, content)).input[0, 0] == number


@pytest.mark.parametrize("header", [b"", b"3 2\n"], ids=["GloVe", "word2vec"])
def test_a_limit_is_a_number_of_rows(tmp_path, header):
    path = written(tmp_path, header + b"a 1 2\na 5 6\nb 3 4\n")
    assert ItemVectors.load(path, limit=2).vocabulary.ids == ("a",)
    assert ItemVectors.load(path, limit=3).vocabulary.ids == ("a", "b")
    assert ItemVectors.load(path, limit=100).vocabulary.ids == ("a", "b")
    beyond = written(tmp_path, header + b"a 1 2\nb 3 4\nc x y\n", "beyond")
    assert ItemVectors.load(beyond, limit=2).vocabulary.ids == ("a", "b")
    for limit in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="limit is"):
            ItemVectors.load(path, limit=limit)


def test_another_encoding(tmp_path):
    path = written(tmp_path, "café 1 2\n".encode("latin-1"))
    assert ItemVectors.load(path, encoding="latin-1").vocabulary.ids == ("café",)
    with pytest.raises(InputError, match=r"line 1: .*can't decode.*pass the encoding of"):
        ItemVectors.load(path)
    with pytest.raises(InputError, match="unknown encoding"):
        ItemVectors.load(path, encoding="latin-7000")


# --- round trips

ODD = [
    "c%20d",
    "c d",
    "%:c%20d",
    "%:",
    "%:%3A",
    "%",
    "\ufeff",
    "%:\ufeff",
    "a\u2028b",
    "\xa0",
    "\r\n",
    "-",
    "1",
]


@examples(60)
@given(
    known=st.lists(
        ids | st.text("ab% \t\n:2058", min_size=1) | st.sampled_from(ODD),
        min_size=1,
        max_size=12,
        unique=True,
    ),
    binary=st.booleans(),
    suffix=st.sampled_from(["", ".gz"]),
    data=st.data(),
)
@example(known=["nan"], binary=True, suffix="", data=None)
@example(known=ODD, binary=False, suffix="", data=None)
@example(known=ODD, binary=True, suffix=".gz", data=None)
def test_files_round_trip_with_ids_and_counts(tmp_path_factory, known, binary, suffix, data):
    path = fresh_folder(tmp_path_factory) / f"vectors{suffix}"
    rows = np.random.default_rng(len(known)).normal(size=(len(known), 3))
    counts = np.arange(len(known)) + 0.5
    if data is not None:
        counts = np.array(data.draw(st.lists(st.floats(0, 1e300), min_size=len(known), max_size=len(known))))
    vectors = of(known, rows, counts)
    vectors.save_word2vec(path, binary=binary)
    for again in (ItemVectors.load(path), ItemVectors.load_word2vec(path, binary=binary)):
        assert again.vocabulary.ids == tuple(known)
        assert again.input.tobytes() == vectors.input.tobytes()
        assert again.counts.tolist() == vectors.counts.tolist()


def test_only_ids_that_the_format_cannot_hold_are_encoded(tmp_path):
    of(ODD, np.ones((len(ODD), 1))).save_word2vec(tmp_path / "vectors")
    rows = (tmp_path / "vectors").read_bytes().decode().split("\n")[1:-1]
    encoded = {
        "c d": "%:c%20d",
        "%:c%20d": "%:%25:c%2520d",
        "%:": "%:%25:",
        "%:%3A": "%:%25:%253A",
        "%:\ufeff": "%:%25:\ufeff",
        "\r\n": "%:%0D%0A",
    }
    assert [row.split(" ")[0] for row in rows] == [encoded.get(id_, id_) for id_ in ODD]


def test_ids_of_other_programs_are_left_alone(tmp_path):
    foreign = ["a%20b", "%20", "%:", "%:x", "%:100%", "%:%zz", "%:%41", "100%25"]
    content = "".join(f"{id_} 1 2\n" for id_ in foreign)
    assert ItemVectors.load(written(tmp_path, content.encode())).vocabulary.ids == tuple(foreign)


def test_equal_vectors_are_equal_files(tmp_path):
    for name in ("one.gz", "two.gz"):
        of("ab", [[1, 2], [3, 4]]).save_word2vec(tmp_path / name)
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()


def test_a_file_that_cannot_be_written_is_a_typed_error(tmp_path):
    with pytest.raises(WriteError, match="could not be written: No such file"):
        of("a", [[1]]).save_word2vec(tmp_path / "missing" / "vectors")


# --- counts


def test_counts_are_exchanged_with_gensim(tmp_path):
    of(["a", "b c", "c"], [[1, 2], [3, 4], [5, 6]], np.array([7.0, 3, 1])).save_word2vec(tmp_path / "ours")
    theirs = KeyedVectors.load_word2vec_format(str(tmp_path / "ours"), fvocab=str(tmp_path / "ours.vocab"))
    assert [theirs.get_vecattr(key, "count") for key in theirs.index_to_key] == [7, 3, 1]
    theirs.save_word2vec_format(str(tmp_path / "theirs"), fvocab=str(tmp_path / "counts"))
    assert ItemVectors.load(tmp_path / "theirs").counts.tolist() == [1, 1, 1]
    again = ItemVectors.load(tmp_path / "theirs", vocab=tmp_path / "counts")
    assert again.counts.tolist() == [7, 3, 1]
    assert again.vocabulary.ids == ("a", "b c", "c")


def test_an_item_without_a_count_has_count_one(tmp_path, caplog):
    path = written(tmp_path, b"a 1 2\nb 3 4\nc 5 6\n")
    written(tmp_path, b"c 5\nx 9\na 2.5\n", "vectors.vocab")
    assert ItemVectors.load(path).counts.tolist() == [2.5, 1, 5]
    assert "lacks the counts of 1 out of 3 items (first: 'b')" in caplog.text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        *(
            (line, "line 2 is b'b.*expected an id, a space")
            for line in (b"b", b"b x", b"b -1", b"b nan", b"b inf")
        ),
        (b"\xff 1", "line 2: .*can't decode byte 0xff.*; convert the file to UTF-8"),
        (b" 1", "line 2: .* is empty"),
    ],
)
def test_a_malformed_file_of_counts_is_rejected_by_line(tmp_path, line, message):
    path = written(tmp_path, b"a 1 2\n")
    written(tmp_path, b"a 1\n" + line + b"\n", "vectors.vocab")
    with pytest.raises(InputError, match=rf"vectors\.vocab: {message}"):
        ItemVectors.load(path)


def test_a_named_file_of_counts_must_exist(tmp_path):
    with pytest.raises(InputError, match="no file"):
        ItemVectors.load(written(tmp_path, b"a 1 2\n"), vocab=tmp_path / "missing")


# --- malformed files

MALFORMED = {
    "NaN": (b"2 2\na 1 2\nb nan 1\n", "line 3 contains a number that is not finite"),
    "NaN after a repeat": (b"a 1 2\na 1 2\nb inf 1\n", "line 3 contains a number that is not finite"),
    "beyond float32": (b"a 1 2\nb 1e39 1\n", "line 2 contains a number that is not finite"),
    "one number": (b"2 3\na 1 2 3\nb 1\n", "line 3 has 1 numbers; expected 3"),
    "ragged": (b"a 1 2 3\nb 1 2\n", "line 2 has 2 numbers; expected 3"),
    "a number too many": (b"2 2\na 1 2\nb 1 2 3\n", "line 3 has 3 numbers; expected 2"),
    "too many after a word with blanks": (b"a 1 2\n. . 1 2 3\n", "line 2 has 3 numbers; expected 2"),
    "a word for a number": (b"a 1 2\nb x 2\n", "line 2: could not convert"),
    "two blanks": (b"a 1 2\nb  2\n", "line 2: could not convert"),
    "rows missing": (b"3 2\na 1 2\nb 1 2\n", "found 2 rows; line 1 declares 3"),
    "more rows": (b"1 2\na 1 2\nb 1 2\n", "found more than the 1 rows that line 1 declares"),
    "no row": (b"3 2\n", "found 0 rows; line 1 declares 3"),
    "no number at all": (b"once upon a time\n", "line 1 is b'once upon a time"),
    "empty": (b"", "line 1 is b''"),
    "too large": (
        b"1000000000000000 1000000\na 1 2\n",
        "1,000,000,000,000,000 rows of 1,000,000 numbers",
    ),
    "no dimension": (b"1 0\na\n", "line 1 declares 1 × 0"),
    "a number of 5,000 digits": (b"9" * 5000 + b" 2\na 1 2\n", "format"),
    "an empty id": (b"a 1 2\n 1 2\n", "line 2: id at position 0 is empty"),
    "NUL": (b"a 1 2\nb\0 1 2\n", "line 2: id at position 0 contains a NUL"),
    "a long id": (b"a 1 2\n" + b"x" * 513 + b" 1 2\n", "line 2: id at position 0 is 513 bytes long"),
    "not UTF-8": (b"a 1 2\n\xff 1 2\n", "line 2: .*pass the encoding"),
    "only zeros": (b"a 0 0\n", "no item has an input vector"),
    "a pickle": (b"\x80\x04\x95rest", "a pickle"),
    "binary cut in a number": (b"2 2\n" + binary_of("ab", [[1, 2], [3, 4]])[:-1], "row 2 is incomplete"),
    "binary, a row missing": (b"3 2\n" + binary_of("ab", [[1, 2], [3, 4]]), "row 3 is incomplete"),
    "binary, a row too many": (b"1 2\n" + binary_of("ab", [[1, 2], [3, 4]]), "more than the 1 rows"),
    "binary NaN": (b"2 2\n" + binary_of("ab", [[1, 2], [3, np.nan]]), "row 2 contains a number that is not"),
    "binary without ids": (b"1 2\n" + b"x" * 5000, "row 1 is incomplete"),
}


@pytest.mark.parametrize(("content", "message"), MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("compressed", [False, True], ids=["", "gzip"])
def test_a_malformed_file_is_rejected_by_line(tmp_path, content, message, compressed):
    path = written(tmp_path, gzip.compress(content) if compressed else content)
    with pytest.raises(InputError, match=message):
        ItemVectors.load(path)


def test_a_line_without_end_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr("item2vec.word2vec_files.MAX_LINE", 1000)
    path = written(tmp_path, b"a 1 2\n" + b"b " * 600)
    with pytest.raises(InputError, match="line 2 is longer than 1,000 bytes"):
        ItemVectors.load(path)


def test_a_gzip_file_truncated_anywhere_is_rejected(tmp_path):
    of("abc", np.eye(3)).save_word2vec(tmp_path / "whole.gz")
    whole = (tmp_path / "whole.gz").read_bytes()
    for length in range(len(whole)):
        with pytest.raises(InputError):
            ItemVectors.load(written(tmp_path, whole[:length]))


@examples(150)
@given(data=st.data(), binary=st.booleans(), with_header=st.booleans())
def test_damaged_files_raise_only_typed_errors(tmp_path_factory, data, binary, with_header):
    path = fresh_folder(tmp_path_factory) / "vectors"
    of(["a", "b c", "d%20"], [[1, 2], [0.25, -3], [0, 5]]).save_word2vec(path, binary=binary)
    content = bytearray(path.read_bytes())
    if not (with_header or binary):
        content = content[content.index(b"\n") + 1 :]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        new = data.draw(st.binary(max_size=3) | st.sampled_from([b" ", b"\n", b"0", b"9", b"%:", b"nan"]))
        content[at : at + data.draw(st.integers(0, 2))] = new
    path.write_bytes(content)
    try:
        vectors = ItemVectors.load(path)
    except Item2VecError:
        return
    assert 1 <= len(vectors) <= 1 + bytes(content).count(b"\n") or binary
    assert np.isfinite(vectors.input).all()


MEASURED = """
import sys
from item2vec.vectors import ItemVectors
def kib(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))
before = kib("VmRSS")
vectors = ItemVectors.load(sys.argv[1])
print((kib("VmHWM") - before) * 1024 / vectors.input.nbytes)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder of Linux")
@pytest.mark.parametrize("binary", [False, True])
def test_memory_stays_within_one_and_a_half_times_the_vectors(tmp_path, binary):
    rows = np.random.default_rng(1).integers(-9, 9, size=(10_000, 400)).astype(np.float32)
    of([f"item-{n}" for n in range(len(rows))], rows).save_word2vec(tmp_path / "vectors", binary=binary)
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "vectors")]
    grown = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < 1.5
