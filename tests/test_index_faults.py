"""Whatever file, number or machine the index meets: it answers rightly or says what is wrong, and lives."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from faults.child import run

from item2vec.errors import CorruptBundleError
from item2vec.index import build, find, load

PREPARE = """
import sys
from pathlib import Path
import numpy as np
from item2vec.errors import CorruptBundleError, InputError
from item2vec.index import build, find, load

folder = Path(sys.argv[1])
matrix = np.load(folder / "matrix.npy")
about = eval((folder / "about.txt").read_text())
whole = (folder / "index.ann").read_bytes()
node = 12 + 4 * (matrix.shape[1] + 1)
items = node * about["nodes"]


def outcome(content, about=about, matrix=matrix):
    (folder / "index.ann").write_bytes(content)
    try:
        index = load(folder, matrix, about)
    except CorruptBundleError:
        return "refused"
    for row in range(0, len(matrix), 250):
        everything = index.forest.get_nns_by_item(int(index.groups[row]), 100, 50_000)
        assert all(0 <= item < about["nodes"] for item in everything)
        assert len(find(index, matrix[row], k=10).rows) == 10
    return "loaded"


def outcomes(contents, **told):
    return {outcome(content, **told) for content in contents}

assert outcome(whole) == "loaded"
"""


@pytest.fixture(scope="module")
def built():
    """An index of 1,900 rows of unequal lengths, a hundred of them equal."""
    matrix = np.random.default_rng(1).normal(size=(1900, 15)).astype(np.float32)
    matrix[300:400] = matrix[299]
    return build(matrix, kind="annoy")


@pytest.fixture
def saved(built, tmp_path):
    about = built.save(tmp_path)
    np.save(tmp_path / "matrix.npy", built.matrix)
    (tmp_path / "about.txt").write_text(repr(about))
    return tmp_path


def test_a_cut_file_is_refused(saved):
    """A1: Annoy loads a file cut between nodes, counts wrong items, and crashes on the first query."""
    run(
        PREPARE
        + """
cuts = [whole[: -node * n] for n in (1, 3, 20, 50)] + [whole[: len(whole) // 2 // node * node]]
cuts += [whole[:-1], whole[:-100], whole[:items], whole[: items // 2], whole[:node], b"", whole + bytes(node)]
assert outcomes(cuts) == {"refused"}
for cut in cuts[1:]:
    assert outcome(cut, about={**about, "bytes": len(cut) or 1}) == "refused", len(cut)
""",
        saved,
    )


def test_no_flipped_bit_ends_the_process(saved):
    """A2: without a look at the nodes, three of sixty flips in the trees crash it."""
    run(
        PREPARE
        + """
rng = np.random.default_rng(2)

def damaged(start, n_numbers):
    content = bytearray(whole)
    for _ in range(n_numbers):
        place = int(rng.integers(start, len(whole)) // 4 * 4)
        number = int.from_bytes(content[place : place + 4], "little") ^ (1 << int(rng.integers(32)))
        content[place : place + 4] = number.to_bytes(4, "little")
    return bytes(content)

found = [outcome(damaged(items, n)) for n in [1] * 40 + [3] * 20]
assert {"refused", "loaded"} == set(found)

crossed = np.frombuffer(whole, np.int32).reshape(-1, node // 4).copy()
inner = np.flatnonzero(crossed[:, 0] > node // 4 - 1)
inner = inner[inner >= about["nodes"]]
for place, child in ((0, inner[0]), (0, inner[-1]), (1, len(crossed) - 1), (0, len(crossed)), (1, -1)):
    circle = crossed.copy()
    circle[inner[0], 1 + place] = child
    assert outcome(circle.tobytes()) == "refused", child
""",
        saved,
    )


def test_an_index_of_other_vectors_is_refused(saved):
    """A3: Annoy reads a file with any number of dimensions that divides its size, and then crashes."""
    run(
        PREPARE
        + """
for dims in (1, 3, 7, 14, 16, 31, 33, 34, 75):
    other = np.random.default_rng(3).normal(size=(1900, dims)).astype(np.float32)
    assert outcome(whole, matrix=other) == "refused", dims
    for told in ({}, {"scale": None}, {"scale": None, "nodes": 1900}, {"nodes": 1900}):
        assert outcome(whole, matrix=other, about={**about, "dimensions": dims, **told}) == "refused", dims
changed = matrix.copy()
changed[1234, 3] += 0.01
for other in (changed, matrix[::-1].copy(), matrix[:-1], np.vstack((matrix, matrix[:1])), matrix * 2):
    assert outcome(whole, matrix=other) == "refused"
    assert outcome(whole, matrix=other, about={**about, "rows": len(other)}) == "refused"
""",
        saved,
    )


def test_a_file_of_anything_is_refused(saved):
    """A4: Annoy loads random bytes and zeros as long as the size is right."""
    run(
        PREPARE
        + """
rng = np.random.default_rng(4)
noise = [rng.bytes(len(whole)) for _ in range(30)]
noise += [bytes(len(whole)), b"\\x01\\0\\0\\0" * (len(whole) // 4)]
assert outcomes(noise) == {"refused"}
assert outcomes(whole[:items] + content[items:] for content in noise) == {"refused"}
""",
        saved,
    )


def test_a_damaged_description_is_refused(saved):
    run(
        PREPARE
        + """
for name in set(about) - {"seed", "recall", "annoy"}:
    for value in (None, 0, -1, 2**31, 2**70, "x", True, 1.5, float("nan"), [], {}):
        if name == "scale" and value == 1.5 or name == "k" and value in (2**31, 2**70):
            continue
        assert outcome(whole, about={**about, name: value}) == "refused", (name, value)
    assert outcome(whole, about={key: about[key] for key in about if key != name}) == "refused"
assert outcome(whole, about={**about, "scale": 1.5}) == "refused"
assert outcome(whole, about={**about, "more": 1}) == "refused"
for told in ({}, None, [], "annoy", {"kind": "exact", "more": 1}, {"kind": "faiss"}):
    assert outcome(whole, about=told) == "refused"
""",
        saved,
    )


@pytest.mark.parametrize("name", ["index.ann", "groups.npy"])
@pytest.mark.parametrize("fault", ["missing", "a folder", "empty", "text"])
def test_a_file_that_is_not_there_is_refused(saved, name, fault):
    """A1, A5: an index that did not load must not answer "no neighbours"."""
    matrix, about = np.load(saved / "matrix.npy"), eval((saved / "about.txt").read_text())
    (saved / name).unlink()
    if fault == "a folder":
        (saved / name).mkdir()
    elif fault != "missing":
        (saved / name).write_text("" if fault == "empty" else "# not an index\n" * 1000)
    with pytest.raises(CorruptBundleError, match=name):
        load(saved, matrix, about)


@pytest.mark.parametrize("groups", ["shifted", "negative", "too many", "all one", "other type"])
def test_a_wrong_table_of_equal_rows_is_refused(saved, groups):
    matrix, about = np.load(saved / "matrix.npy"), eval((saved / "about.txt").read_text())
    table = np.load(saved / "groups.npy")
    wrong = {
        "shifted": np.roll(table, 1),
        "negative": np.where(table == 5, -1, table),
        "too many": np.where(table == 5, about["nodes"], table),
        "all one": np.zeros_like(table),
        "other type": table.astype(np.int64),
    }
    np.save(saved / "groups.npy", wrong[groups])
    with pytest.raises(CorruptBundleError):
        load(saved, matrix, about)


@pytest.mark.parametrize("k", [10**9, 858_993_460, 2**31, 2**70])
def test_any_k_gives_every_row_once(saved, k):
    """A9: the product of k and the trees overflows in Annoy's 32 bits, and it answers with eight items."""
    matrix, about = np.load(saved / "matrix.npy"), eval((saved / "about.txt").read_text())
    found = find(load(saved, matrix, about), matrix[0], k=k)
    assert sorted(found.rows.tolist()) == list(range(1900))
    small = matrix[:50]
    assert len(find(build(small, kind="annoy", k=k), matrix[0], k=k).rows) == 50


def test_the_widest_vectors_fit_the_stack_of_a_small_thread():
    """A11: Annoy puts vectors on the stack."""
    run("""
import threading
import numpy as np
from item2vec.index import build, find

matrix = np.random.default_rng(5).normal(size=(100, 4096)).astype(np.float32)
found = []
threading.stack_size(256 << 10)
def work():
    index = build(matrix, kind="annoy")
    found.append(find(index, matrix[7] * 9, k=100).rows.tolist())
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert sorted(found[0]) == list(range(100))
""")


def test_a_full_disk_is_an_error_and_nothing_else(saved):
    """A12: Annoy's own save first removes the file it replaces, and takes its index out of memory."""
    (saved / "staging").mkdir()
    run(
        PREPARE
        + """
import errno, resource, signal
index = load(folder, matrix, about)
before = find(index, matrix[0], k=10)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, len(whole) // 2))
try:
    index.save(folder / "staging")
except OSError as error:
    assert error.errno == errno.EFBIG
else:
    raise AssertionError("saved onto a full disk")
after = find(index, matrix[0], k=10)
assert after.rows.tolist() == before.rows.tolist()
assert (folder / "index.ann").read_bytes() == whole
""",
        saved,
    )


def test_saving_over_an_index_is_refused(saved):
    matrix, about = np.load(saved / "matrix.npy"), eval((saved / "about.txt").read_text())
    index = load(saved, matrix, about)
    before = (saved / "index.ann").read_bytes()
    with pytest.raises(FileExistsError):
        index.save(saved)
    assert (saved / "index.ann").read_bytes() == before


def test_the_file_may_be_replaced_or_removed_under_a_loaded_index(saved):
    """A15, and the reason why nothing here writes into a file that exists."""
    matrix, about = np.load(saved / "matrix.npy"), eval((saved / "about.txt").read_text())
    index = load(saved, matrix, about)
    before = find(index, matrix[3], k=10).rows.tolist()
    (saved / "new").write_bytes(b"something else")
    (saved / "new").replace(saved / "index.ann")
    assert find(index, matrix[3], k=10).rows.tolist() == before
    (saved / "index.ann").unlink()
    assert find(index, matrix[3], k=10).rows.tolist() == before


def test_files_are_closed_with_their_index(saved):
    """A20: an Annoy object that loads again leaks a file and a mapping each time."""
    matrix, about = np.load(saved / "matrix.npy"), eval((saved / "about.txt").read_text())

    def n_open():
        gc.collect()
        maps = Path("/proc/self/maps").read_text()
        return len(list(Path("/proc/self/fd").iterdir())), maps.count("index.ann")

    before = n_open()
    for _ in range(20):
        find(load(saved, matrix, about), matrix[0], k=3)
        build(matrix[:100], kind="annoy")
    assert n_open() == before


def test_memory_that_is_refused_is_an_error(saved):
    """A10, A21: Annoy uses the memory it asked for without a look at whether it got it."""
    matrix = np.random.default_rng(6).normal(size=(4000, 64)).astype(np.float32)
    np.save(saved / "big.npy", matrix)
    run(
        PREPARE
        + """
import resource
big = np.load(folder / "big.npy")
(folder / "big").mkdir()
told = build(big, kind="annoy", recall=0.1).save(folder / "big")

def within(megabytes, work):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), resource.RLIM_INFINITY))
    try:
        return work().kind
    except (InputError, CorruptBundleError, MemoryError) as error:
        return type(error).__name__

for work in (lambda: build(big, kind="annoy", recall=0.1), lambda: load(folder / "big", big, told)):
    found = []
    while "annoy" not in found:
        found.append(within(4 + 8 * len(found), work))
    assert found[0] == "InputError", found
""",
        saved,
    )
