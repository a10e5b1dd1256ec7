"""Files are written atomically and checked before use; reading them neither crashes nor unpickles."""

from __future__ import annotations

import errno
import io
import math
import os
import pickle
import resource
import struct
from pathlib import Path

import numpy as np
import pytest
from disks import fill_at
from examples import examples
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import ODD_IDS, fresh_folder, ids

from item2vec import files
from item2vec.errors import BundleExistsError, CorruptBundleError, WriteError
from item2vec.training.stored import refusing_unwritable
from item2vec.types import Vocabulary

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ids,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ids, inner, max_size=4),
    max_leaves=12,
)
dtypes = st.sampled_from(["<i4", "<i8", "<f4", "<f8", "|u1", "|b1"])
shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)


@examples(50)
@given(value=json_values)
def test_json_round_trip(tmp_path_factory, value):
    path = fresh_folder(tmp_path_factory) / "value.json"
    files.write_json(path, value)
    assert files.parse_json(files.read_text(path), path) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"a": [math.nan]}])
def test_numbers_that_json_lacks_are_not_written(tmp_path, value):
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "value.json", value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NaN", "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not"),
        ("1e999", "beyond the range"),
        ("[-1e400]", "beyond the range"),
        ('{"a": 1, "b": 2, "a": 1}', "'a' occurs twice"),
        ('{"a": {"b": 1, "b": 1}}', "'b' occurs twice"),
        ("[" * 200_000, "recursion"),
        ('{"a":' * 200_000, "recursion"),
        ("9" * 5_000, "limit"),
        ("-" + "9" * 500_000, "limit"),
        ("", "Expecting value"),
        ("{'a': 1}", "Expecting"),
        ("[1, 2", "Expecting"),
        ("[1] 2", "Extra data"),
        ("\ufeff[1]", "BOM"),
        ('["\n"]', "control character"),
    ],
    ids=lambda text: text[:20],
)
def test_json_is_parsed_strictly(text, message):
    with pytest.raises(CorruptBundleError, match=r"somewhere is not strict JSON: .*" + message):
        files.parse_json(text, "somewhere")


def test_a_repeated_key_among_100_000_is_detected():
    keys = ",".join(f'"{number}":0' for number in range(100_000))
    with pytest.raises(CorruptBundleError, match="key '99999' occurs twice"):
        files.parse_json(f'{{{keys},"99999":0}}', "somewhere")


@examples(50)
@given(some=st.lists(ids, max_size=20))
@example(some=list(ODD_IDS))
def test_ids_round_trip(tmp_path_factory, some):
    path = fresh_folder(tmp_path_factory) / "ids.jsonl"
    files.write_ids(path, some)
    assert files.read_ids(path) == tuple(some)
    assert path.read_bytes().count(b"\n") == len(some)


@pytest.mark.parametrize(
    "content",
    [b'"a"', b'"a"\n"b', b"a\n", b"1\n", b"null\n", b'"a","b"\n', b'["a"]\n', b'"a"\n\n', b'["a"\n"b"]\n',
     b'"a"]\n["b"\n', b'{"a":\n"b"}\n', b'"\xff"\n', b'"a"\n\x00\n', b'"a" "b"\n', b'"a",\n'],
)  # fmt: skip
def test_an_ids_file_without_one_json_string_per_line_is_refused(tmp_path, content):
    (tmp_path / "ids.jsonl").write_bytes(content)
    with pytest.raises(CorruptBundleError, match=r"ids\.jsonl"):
        files.read_ids(tmp_path / "ids.jsonl")


@pytest.mark.parametrize("content", ['"a\\ud800"\n', '""\n', '"\\u0000"\n'])
def test_illegal_ids_in_a_file_are_refused_by_vocabulary(tmp_path, content):
    (tmp_path / "ids.jsonl").write_text(content)
    with pytest.raises(ValueError, match="position 0"):
        Vocabulary(files.read_ids(tmp_path / "ids.jsonl"))


def test_an_error_without_a_reason_of_the_system_keeps_its_text():
    """Arrow raises such errors."""
    error = OSError("a disk failed")
    assert "x cannot be read: a disk failed; " in str(files.unreadable(Path("x"), error))
    with pytest.raises(WriteError, match="x could not be written: a disk failed; "), refusing_unwritable("x"):
        raise error


def test_unreadable_text_is_refused(tmp_path):
    (tmp_path / "long").write_text("x" * 11)
    (tmp_path / "latin1").write_bytes("é".encode("latin1"))
    for path, message in (
        (tmp_path / "long", "has 11 bytes; expected at most 10"),
        (tmp_path / "latin1", "is not UTF-8"),
        (tmp_path / "missing", "cannot be read: No such file.*; expected a file: check the path"),
        (tmp_path / "long" / "missing", "cannot be read: .*; expected a file: check the path"),
        (tmp_path, "cannot be read: Is a directory|expected at most"),
    ):
        with pytest.raises(CorruptBundleError, match=message):
            files.read_text(path, 10)
    with pytest.raises(CorruptBundleError, match=r"cannot be read: .*; expected a file"):
        files.read_text(tmp_path)


@examples(50)
@given(array=hnp.arrays(dtypes, shapes))
def test_array_round_trip(tmp_path_factory, array):
    path = fresh_folder(tmp_path_factory) / "array.npy"
    files.write_array(path, array)
    opened = files.open_array(path, array.dtype, array.shape)
    assert opened.dtype == array.dtype
    assert opened.shape == array.shape
    assert opened.tobytes() == array.tobytes()
    assert np.array_equal(np.load(path, allow_pickle=False), array, equal_nan=array.dtype.kind == "f")
    if opened.size:
        assert isinstance(opened, np.memmap)
        assert not opened.flags.writeable


def test_arrays_of_other_byte_or_memory_order_are_converted(tmp_path):
    big = np.arange(6, dtype=">i4").reshape(2, 3)
    files.write_array(tmp_path / "big.npy", big)
    files.write_array(tmp_path / "turned.npy", big.T)
    assert files.open_array(tmp_path / "big.npy", np.int32, (2, 3)).tolist() == big.tolist()
    assert files.open_array(tmp_path / "turned.npy", np.int32, (3, 2)).tolist() == big.T.tolist()


class Evil:
    """Creates a folder when unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def npy(array, **how):
    content = io.BytesIO()
    np.lib.format.write_array(content, array, **how)
    return content.getvalue()


def npy_of(header, *, version=(1, 0), content=b"\0" * 12):
    header = header.encode("latin1")
    return (
        b"\x93NUMPY"
        + bytes(version)
        + struct.pack("<H" if version[0] == 1 else "<I", len(header))
        + header
        + content
    )


def header_of(descr="'<i4'", fortran="False", shape="(3,)"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


HOSTILE = {
    "empty": b"",
    "magic alone": b"\x93NUMPY\x01\x00",
    "another file": b"PK\x03\x04" + b"\0" * 100,
    "version 2": npy(np.arange(3, dtype="<i4"), version=(2, 0)),
    "version 3": npy(np.arange(3, dtype="<i4"), version=(3, 0)),
    "version 9": npy_of(header_of(), version=(9, 0)),
    "big-endian": npy(np.arange(3, dtype=">i4")),
    "another type": npy(np.arange(3, dtype="<i8")),
    "another length": npy(np.arange(4, dtype="<i4")),
    "another shape": npy(np.arange(3, dtype="<i4").reshape(3, 1)),
    "fortran": npy_of(header_of(fortran="True")),
    "objects": npy(np.array([1, 2, 3], dtype=object)),
    "structured": npy_of(header_of(descr="[('a', '<i4')]")),
    "sub-array": npy_of(header_of(descr="('<i4', (1,))")),
    "no type": npy_of(header_of(descr="None")),
    "no shape": npy_of("{'descr': '<i4', 'fortran_order': False, }\n"),
    "negative": npy_of(header_of(shape="(-3,)")),
    "negative pair": npy_of(header_of(shape="(-3, -1)")),
    "huge": npy_of(header_of(shape="(1000000000000,)")),
    "beyond int64": npy_of(header_of(shape=f"({2**80},)")),
    "many digits": npy_of(header_of(shape=f"({'9' * 3000},)")),
    "python 2": npy_of(header_of(shape="(3L,)")),
    "not closed": npy_of("{'descr': '<i4', 'fortran_order': False, 'shape': (3,), "),
    "text not closed": npy_of("'''"),
    "nested": npy_of("(" * 3000),
    "signs": npy_of("-" * 3000 + "1"),
    "unhashable": npy_of("{[]: 1}\n"),
    "bytes": npy_of("b'\\xff'\n"),
    "lying length": npy(np.arange(3, dtype="<i4")).replace(b"\x76\x00", b"\x75\x00"),
    "long header": npy_of(header_of().rstrip() + " " * 60_000 + "\n"),
    "cut": npy(np.arange(3, dtype="<i4"))[:-1],
    "longer": npy(np.arange(3, dtype="<i4")) + b"\0",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_unexpected_or_malformed_arrays_are_refused(tmp_path, content):
    (tmp_path / "array.npy").write_bytes(content)
    with pytest.raises(CorruptBundleError, match=r"array\.npy"):
        files.open_array(tmp_path / "array.npy", np.int32, (3,))


def test_arrays_are_never_unpickled(tmp_path):
    trap = tmp_path / "sprung"
    (tmp_path / "objects.npy").write_bytes(npy(np.array([Evil(trap)], dtype=object), allow_pickle=True))
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Evil(trap)))
    for name in ("objects.npy", "pickle.npy"):
        for dtype in (object, np.int32):
            with pytest.raises(CorruptBundleError):
                files.open_array(tmp_path / name, dtype, (1,))
    assert not trap.exists()


def test_a_missing_array_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "missing", tmp_path / "missing" / "deeper"):
        with pytest.raises(CorruptBundleError, match="cannot be read"):
            files.open_array(path, np.int32, (3,))


def test_an_array_truncated_at_any_length_is_refused(tmp_path):
    path = tmp_path / "array.npy"
    files.write_array(path, np.arange(9, dtype=np.int32).reshape(3, 3))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptBundleError):
            files.open_array(path, np.int32, (3, 3))


@examples(150)
@given(position=st.integers(0, 127), value=st.integers(0, 255))
@example(position=8, value=1)
@example(position=10, value=ord("\n"))
def test_a_header_with_a_changed_byte_is_read_correctly_or_refused(tmp_path_factory, position, value):
    path = fresh_folder(tmp_path_factory) / "array.npy"
    files.write_array(path, np.arange(9, dtype=np.int32))
    content = bytearray(path.read_bytes())
    content[position] = value
    path.write_bytes(content)
    try:
        opened = files.open_array(path, np.int32, (9,))
    except CorruptBundleError:
        return
    assert opened.tolist() == list(range(9))


def test_existing_files_are_not_overwritten(tmp_path):
    (tmp_path / "file").write_text("old")
    for write, value in (
        (files.write_bytes, b"new"),
        (files.write_json, {}),
        (files.write_ids, ["new"]),
        (files.write_array, np.arange(3)),
    ):
        with pytest.raises(FileExistsError):
            write(tmp_path / "file", value)
    assert (tmp_path / "file").read_text() == "old"


def test_sha256_of_a_known_content(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert (
        files.sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_atomic_folder_appears_complete(tmp_path):
    path = tmp_path / "new" / "folder"
    with files.atomic_folder(path) as staging:
        (staging / "file").write_text("content")
        assert not path.exists()
        assert staging.parent == path.parent
    assert (path / "file").read_text() == "content"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit, MemoryError])
def test_atomic_folder_leaves_nothing_after_an_exception(tmp_path, error):
    def fail():
        with files.atomic_folder(tmp_path / "folder") as staging:
            (staging / "file").write_text("content")
            (staging / "deeper").mkdir()
            raise error("planted")

    with pytest.raises(error, match="planted"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_atomic_folder_never_replaces_a_path(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    for name in ("folder", "file"):
        with (
            pytest.raises(BundleExistsError, match="choose another path"),
            files.atomic_folder(tmp_path / name),
        ):
            raise AssertionError("the block ran")
    assert (tmp_path / "file").read_text() == "old"


def test_the_first_of_two_writers_wins(tmp_path):
    path = tmp_path / "folder"

    def second():
        with files.atomic_folder(path) as staging:
            (staging / "file").write_text("second")
            with files.atomic_folder(path) as earlier:
                (earlier / "file").write_text("first")

    with pytest.raises(BundleExistsError, match="was written meanwhile; choose another path"):
        second()
    assert (path / "file").read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def write_folder(path):
    with files.atomic_folder(path) as staging:
        files.write_array(staging / "array.npy", np.arange(1000))
        files.write_ids(staging / "ids.jsonl", ODD_IDS)
        files.write_json(staging / "about.json", {"n": 1000})


def test_a_failed_flush_leaves_nothing(tmp_path, monkeypatch):
    flush, path = os.fsync, tmp_path / "folder"
    for failing in range(100):
        flushes = iter(range(100))

        def fsync(descriptor, *, failing=failing, flushes=flushes):
            if next(flushes) == failing:
                raise OSError(errno.EIO, "planted")
            flush(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        try:
            write_folder(path)
        except OSError:
            assert list(tmp_path.iterdir()) == []
        else:
            break
    assert failing == 5, "three files, the folder, and its parent"
    assert sorted(file.name for file in path.iterdir()) == ["about.json", "array.npy", "ids.jsonl"]


def test_a_full_disk_leaves_no_folder(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_folder(tmp_path / "folder")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_json_replaces_a_file_only_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    files.write_json(path, [1], replace=True)
    files.write_json(path, [2], replace=True)
    fill_at(monkeypatch, "state.json")
    with pytest.raises(OSError, match="No space left"):
        files.write_json(path, [3], replace=True)
    assert path.read_text() == "[\n 2\n]\n"
    assert list(tmp_path.iterdir()) == [path]


def test_replace_bytes_is_atomic(tmp_path):
    path = tmp_path / "page.html"
    files.replace_bytes(path, b"one")
    files.replace_bytes(path, b"two")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            files.replace_bytes(path, b"three" * 2_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]
