"""With any file, argument or machine, the index returns correct results or raises; the process survives."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from faults.child import needs_proc, run

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
description = eval((folder / "description.txt").read_text())
whole = (folder / "index.ann").read_bytes()
node = 12 + 4 * (matrix.shape[1] + 1)
items = node * description["nodes"]


def outcome(content, description=description, matrix=matrix):
    (folder / "index.ann").write_bytes(content)
    try:
        index = load(folder, matrix, description)
    except CorruptBundleError:
        return "refused"
    for row in range(0, len(matrix), 250):
        everything = index.forest.get_nns_by_item(int(index.groups.codes[row]), 100, 50_000)
        assert all(0 <= item < description["nodes"] for item in everything)
        assert len(find(index, matrix[row], k=10).rows) == 10
    return "loaded"


def outcomes(contents, **overrides):
    return {outcome(content, **overrides) for content in contents}

assert outcome(whole) == "loaded"
"""


@pytest.fixture(scope="module")
def built():
    """An index of 1,900 rows with different norms, a hundred of them equal."""
    matrix = np.random.default_rng(1).normal(size=(1900, 15)).astype(np.float32)
    matrix[300:400] = matrix[299]
    return build(matrix, kind="annoy")


@pytest.fixture
def saved(built, tmp_path):
    description = built.save(tmp_path)
    np.save(tmp_path / "matrix.npy", built.matrix)
    (tmp_path / "description.txt").write_text(repr(description))
    return tmp_path


def test_a_truncated_file_is_rejected(saved):
    """A1: Annoy loads a file truncated between nodes, miscounts items, and crashes on the first query."""
    run(
        PREPARE
        + """
cuts = [whole[: -node * n] for n in (1, 3, 20, 50)] + [whole[: len(whole) // 2 // node * node]]
cuts += [whole[:-1], whole[:-100], whole[:items], whole[: items // 2], whole[:node], b"", whole + bytes(node)]
assert outcomes(cuts) == {"refused"}
for cut in cuts[1:]:
    assert outcome(cut, description={**description, "bytes": len(cut) or 1}) == "refused", len(cut)
""",
        saved,
    )


@pytest.mark.slow
def test_no_flipped_bit_crashes_the_process(saved):
    """A2: without validation of the nodes, three of sixty bit flips in the trees crash it."""
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
inner = inner[inner >= description["nodes"]]
for place, child in ((0, inner[0]), (0, inner[-1]), (1, len(crossed) - 1), (0, len(crossed)), (1, -1)):
    circle = crossed.copy()
    circle[inner[0], 1 + place] = child
    assert outcome(circle.tobytes()) == "refused", child
""",
        saved,
    )


def test_an_index_of_other_vectors_is_rejected(saved):
    """A3: Annoy reads a file with any number of dimensions that divides its size, and then crashes."""
    run(
        PREPARE
        + """
for dims in (1, 3, 7, 14, 16, 31, 33, 34, 75):
    other = np.random.default_rng(3).normal(size=(1900, dims)).astype(np.float32)
    assert outcome(whole, matrix=other) == "refused", dims
    for changes in ({}, {"scale": None}, {"scale": None, "nodes": 1900}, {"nodes": 1900}):
        changed = {**description, "dimensions": dims, **changes}
        assert outcome(whole, matrix=other, description=changed) == "refused", dims
changed = matrix.copy()
changed[1234, 3] += 0.01
for other in (changed, matrix[::-1].copy(), matrix[:-1], np.vstack((matrix, matrix[:1])), matrix * 2):
    assert outcome(whole, matrix=other) == "refused"
    assert outcome(whole, matrix=other, description={**description, "rows": len(other)}) == "refused"
""",
        saved,
    )


def test_a_file_of_random_bytes_is_rejected(saved):
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


def test_an_invalid_description_is_rejected(saved):
    run(
        PREPARE
        + """
for name in set(description) - {"seed", "recall", "annoy"}:
    for value in (None, 0, -1, 2**31, 2**70, "x", True, 1.5, float("nan"), [], {}):
        if name == "scale" and value == 1.5 or name == "k" and value in (2**31, 2**70):
            continue
        assert outcome(whole, description={**description, name: value}) == "refused", (name, value)
    without = {key: value for key, value in description.items() if key != name}
    assert outcome(whole, description=without) == "refused"
assert outcome(whole, description={**description, "scale": 1.5}) == "refused"
assert outcome(whole, description={**description, "more": 1}) == "refused"
for description in ({}, None, [], "annoy", {"kind": "exact", "more": 1}, {"kind": "faiss"}):
    assert outcome(whole, description=description) == "refused"
""",
        saved,
    )


@pytest.mark.parametrize("name", ["index.ann", "groups.npy"])
@pytest.mark.parametrize("fault", ["missing", "a folder", "empty", "text"])
def test_a_missing_or_wrong_file_is_rejected(saved, name, fault):
    """A1, A5: an index that did not load must not return empty results."""
    matrix, description = np.load(saved / "matrix.npy"), eval((saved / "description.txt").read_text())
    (saved / name).unlink()
    if fault == "a folder":
        (saved / name).mkdir()
    elif fault != "missing":
        (saved / name).write_text("" if fault == "empty" else "# not an index\n" * 1000)
    with pytest.raises(CorruptBundleError, match=name):
        load(saved, matrix, description)


@pytest.mark.parametrize("groups", ["shifted", "negative", "too many", "all one", "other type"])
def test_invalid_groups_of_equal_rows_are_rejected(saved, groups):
    matrix, description = np.load(saved / "matrix.npy"), eval((saved / "description.txt").read_text())
    table = np.load(saved / "groups.npy")
    wrong = {
        "shifted": np.roll(table, 1),
        "negative": np.where(table == 5, -1, table),
        "too many": np.where(table == 5, description["nodes"], table),
        "all one": np.zeros_like(table),
        "other type": table.astype(np.int64),
    }
    np.save(saved / "groups.npy", wrong[groups])
    with pytest.raises(CorruptBundleError):
        load(saved, matrix, description)


@pytest.mark.parametrize("k", [10**9, 858_993_460, 2**31, 2**70])
def test_any_k_returns_every_row_once(saved, k):
    """A9: k times the number of trees overflows Annoy's 32 bits, and it returns eight items."""
    matrix, description = np.load(saved / "matrix.npy"), eval((saved / "description.txt").read_text())
    found = find(load(saved, matrix, description), matrix[0], k=k)
    assert sorted(found.rows.tolist()) == list(range(1900))
    small = matrix[:50]
    assert len(find(build(small, kind="annoy", k=k), matrix[0], k=k).rows) == 50


@pytest.mark.slow
def test_vectors_of_4096_dimensions_fit_the_stack_of_a_small_thread():
    """A11: Annoy allocates vectors on the stack."""
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


def test_a_full_disk_raises_and_changes_nothing(saved):
    """A12: Annoy's own save first deletes the file that it replaces, and unloads its index."""
    (saved / "staging").mkdir()
    run(
        PREPARE
        + """
import errno, resource, signal
index = load(folder, matrix, description)
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


def test_an_index_is_never_overwritten(saved):
    matrix, description = np.load(saved / "matrix.npy"), eval((saved / "description.txt").read_text())
    index = load(saved, matrix, description)
    before = (saved / "index.ann").read_bytes()
    with pytest.raises(FileExistsError):
        index.save(saved)
    assert (saved / "index.ann").read_bytes() == before


def test_a_loaded_index_survives_replacement_and_removal_of_its_file(saved):
    """A15. Existing files are replaced, never written to: a mapped file would change in memory."""
    matrix, description = np.load(saved / "matrix.npy"), eval((saved / "description.txt").read_text())
    index = load(saved, matrix, description)
    before = find(index, matrix[3], k=10).rows.tolist()
    (saved / "new").write_bytes(b"something else")
    (saved / "new").replace(saved / "index.ann")
    assert find(index, matrix[3], k=10).rows.tolist() == before
    (saved / "index.ann").unlink()
    assert find(index, matrix[3], k=10).rows.tolist() == before


@pytest.mark.slow
@needs_proc
def test_files_and_mappings_are_closed_with_the_index(saved):
    """A20: an Annoy object that loads again leaks a file and a mapping each time."""
    matrix, description = np.load(saved / "matrix.npy"), eval((saved / "description.txt").read_text())

    def count_open():
        gc.collect()
        maps = Path("/proc/self/maps").read_text()
        return len(list(Path("/proc/self/fd").iterdir())), maps.count("index.ann")

    before = count_open()
    for _ in range(20):
        find(load(saved, matrix, description), matrix[0], k=3)
        build(matrix[:100], kind="annoy")
    assert count_open() == before


@pytest.mark.slow
@needs_proc
def test_a_failed_allocation_raises(saved):
    """A10, A21: Annoy does not check whether its allocations succeeded."""
    matrix = np.random.default_rng(6).normal(size=(4000, 64)).astype(np.float32)
    np.save(saved / "big.npy", matrix)
    run(
        PREPARE
        + """
import resource
big = np.load(folder / "big.npy")
(folder / "big").mkdir()
description = build(big, kind="annoy", recall=0.1).save(folder / "big")

def within(megabytes, work):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), resource.RLIM_INFINITY))
    try:
        return work().kind
    except (InputError, CorruptBundleError, MemoryError) as error:
        return type(error).__name__

for work in (lambda: build(big, kind="annoy", recall=0.1), lambda: load(folder / "big", big, description)):
    outcomes_by_limit = []
    while "annoy" not in outcomes_by_limit:
        outcomes_by_limit.append(within(4 + 8 * len(outcomes_by_limit), work))
    assert outcomes_by_limit[0] == "InputError", outcomes_by_limit
""",
        saved,
    )
