"""The FAISS index: damaged and foreign files are rejected, and the process survives; threads and forks."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from examples import examples
from faults.child import needs_proc, run
from hypothesis import given
from hypothesis import strategies as st

from item2vec.errors import CorruptBundleError
from item2vec.index import build, find, find_many, load
from item2vec.index import faiss as module
from item2vec.index.faiss import FaissIndex

N_ROWS = 900


@pytest.fixture(autouse=True)
def graphs_for_all_sizes(monkeypatch):
    """Search the graph of small matrices, too, for which a scan is faster."""
    monkeypatch.setattr(module, "SCANNED_PER_STEP", 1)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A saved index of rows with different norms, a hundred of them equal: matrix, folder, description."""
    matrix = np.random.default_rng(1).normal(size=(N_ROWS, 15)).astype(np.float32)
    matrix[300:400] = matrix[299]
    folder = tmp_path_factory.mktemp("index")
    return matrix, folder, build(matrix, kind="faiss").save(folder)


@pytest.fixture
def saved(built, tmp_path):
    matrix, folder, description = built
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return matrix, tmp_path, description


def test_a_graph_of_each_kind_of_row_is_searched(built):
    matrix, folder, description = built
    index = load(folder, matrix, description)
    assert isinstance(index, FaissIndex)
    assert index.candidates(matrix[0], 10, N_ROWS) is not None
    assert index.candidates(matrix[0], 10, n_scanned=5) is None


@pytest.mark.parametrize(
    "cut", [-1, 0, 100, 5000], ids=["last byte missing", "empty", "header only", "a part of the vectors"]
)
def test_a_truncated_file_is_rejected(saved, cut):
    matrix, folder, description = saved
    content = (folder / "index.faiss").read_bytes()[:cut]
    (folder / "index.faiss").write_bytes(content)
    with pytest.raises(CorruptBundleError, match=r"index\.faiss"):
        load(folder, matrix, description)
    with pytest.raises(CorruptBundleError, match=r"index\.faiss"):
        load(folder, matrix, {**description, "bytes": len(content) or 1})


def test_no_damage_crashes_the_process(saved):
    """The checksums of a bundle detect all damage; without them, damage is rejected or loses candidates."""
    matrix, folder, description = saved
    np.save(folder / "matrix.npy", matrix)
    (folder / "description.txt").write_text(repr(description))
    run(
        """
import sys
from pathlib import Path
import numpy as np
from item2vec.errors import CorruptBundleError
from item2vec.index import faiss, find, load

faiss.SCANNED_PER_STEP = 1
folder = Path(sys.argv[1])
matrix = np.load(folder / "matrix.npy")
description = eval((folder / "description.txt").read_text())
whole = (folder / "index.faiss").read_bytes()
random = np.random.default_rng(2)
outcomes = set()
for trial in range(150):
    content = bytearray(whole)
    for _ in range(1 + trial % 3):
        # the first 300 bytes are numbers of the header
        place = int(random.integers(300 if trial % 2 else 0, len(content)))
        content[place] ^= 1 << int(random.integers(8))
    (folder / "index.faiss").write_bytes(content)
    try:
        index = load(folder, matrix, description)
    except CorruptBundleError:
        outcomes.add("refused")
        continue
    for row in range(0, len(matrix), 100):
        assert len(find(index, matrix[row], k=10).rows) == 10
    outcomes.add("loaded")
assert outcomes == {"refused", "loaded"}, outcomes
""",
        folder,
    )


def test_an_index_of_other_vectors_is_rejected(saved):
    matrix, folder, description = saved
    longer = np.vstack((matrix, matrix[:1]))
    for other in (matrix[::-1].copy(), matrix[:-1], longer, matrix * 2, matrix[:, :-1].copy()):
        changes = {"rows": len(other), "dimensions": other.shape[1]}
        for change in ({}, changes, {**changes, "scale": None}):
            with pytest.raises(CorruptBundleError):
                load(folder, other, {**description, **change})


def test_an_invalid_description_is_rejected(saved):
    matrix, folder, description = saved
    for name in set(description) - {"seed", "recall", "faiss"}:
        for value in (None, 0, -1, "x", True, 1.5, float("nan"), [], {}):
            if name == "scale" and value == 1.5:
                continue
            with pytest.raises(CorruptBundleError):
                load(folder, matrix, {**description, name: value})
        without = {key: value for key, value in description.items() if key != name}
        with pytest.raises(CorruptBundleError):
            load(folder, matrix, without)
    others = ({"more": 1}, {"effort": 2**31}, {"effort": 50, "wide_effort": 40}, {"scale": 1.5})
    for changes in (*others, {"bytes": description["bytes"] + 1}):
        with pytest.raises(CorruptBundleError):
            load(folder, matrix, {**description, **changes})


@pytest.mark.parametrize("name", ["index.faiss", "groups.npy"])
@pytest.mark.parametrize("fault", ["missing", "a folder", "text"])
def test_a_missing_or_wrong_file_is_rejected(saved, name, fault):
    matrix, folder, description = saved
    (folder / name).unlink()
    if fault == "a folder":
        (folder / name).mkdir()
    elif fault == "text":
        (folder / name).write_text("# not an index\n" * 1000)
    with pytest.raises(CorruptBundleError, match=name):
        load(folder, matrix, description)


@pytest.mark.parametrize("groups", ["shifted", "negative", "too many", "all one"])
def test_invalid_groups_of_equal_rows_are_rejected(saved, groups):
    matrix, folder, description = saved
    table = np.load(folder / "groups.npy")
    wrong = {
        "shifted": np.roll(table, 1),
        "negative": np.where(table == 5, -1, table),
        "too many": np.where(table == 5, description["nodes"], table),
        "all one": np.zeros_like(table),
    }
    np.save(folder / "groups.npy", wrong[groups])
    with pytest.raises(CorruptBundleError):
        load(folder, matrix, description)


@pytest.mark.slow
@examples(15)
@given(st.integers(0, 2**32 - 1), st.integers(1, 150), st.integers(2, 9), st.sampled_from([0.5, 0.9, 1.0]))
def test_the_measured_recall_is_at_least_the_requested_one(seed, n_rows, dims, recall):
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(n_rows, dims)).astype(np.float32)
    matrix *= random.choice([1e-3, 1, 50], size=(n_rows, 1))
    matrix[random.integers(n_rows, size=n_rows // 3)] = matrix[0]
    index = build(matrix, kind="faiss", recall=recall)
    best, found = (find_many(each, matrix, k=10) for each in (build(matrix, kind="exact"), index))
    rounding = 1e-6 * index.largest_norm * np.linalg.norm(matrix, axis=1)
    floors = [each.scores[-1] - share for each, share in zip(best, rounding, strict=True)]
    hits = [np.mean(each.scores >= floor) for each, floor in zip(found, floors, strict=True)]
    assert index.description.recall >= recall
    assert np.mean(hits) >= recall - 1e-6


@pytest.mark.slow
def test_the_recall_is_reached_for_more_results_than_k():
    random = np.random.default_rng(6)
    matrix, queries = (random.normal(size=(n, 24)).astype(np.float32) for n in (4000, 300))
    exact, index = build(matrix, kind="exact"), build(matrix, kind="faiss", queries=queries)
    for n in (10, 30, 60, 100, 300, 600):
        best, found = (find_many(each, queries, k=n) for each in (exact, index))
        floors = [each.scores[-1] * (1 - 1e-6) for each in best]
        hits = [np.mean(each.scores >= floor) for each, floor in zip(found, floors, strict=True)]
        assert np.mean(hits) >= 0.95, n


def test_the_graph_does_not_depend_on_the_number_of_threads(monkeypatch):
    matrix = np.random.default_rng(3).normal(size=(700, 8)).astype(np.float32)
    alone = build(matrix, kind="faiss", recall=0.5)
    monkeypatch.setattr(module, "ONE_THREAD_BELOW_ROWS", 0)
    assert build(matrix, kind="faiss", recall=0.5).content.tobytes() == alone.content.tobytes()


@pytest.mark.slow
@needs_proc
def test_an_index_is_searched_and_built_after_a_fork():
    """OpenMP waits forever for the threads of the parent, if they belong to the thread that forks."""
    run(
        """
import os
os.environ["OMP_NUM_THREADS"] = "2"  # on one core, OpenMP would start no threads
import numpy as np
from item2vec.index import build, faiss, find

faiss.ONE_THREAD_BELOW_ROWS, faiss.SCANNED_PER_STEP = 0, 1
matrix = np.random.default_rng(4).normal(size=(300, 8)).astype(np.float32)
index = build(matrix, kind="faiss", recall=0.5)
child = os.fork()
if child == 0:
    again = build(matrix, kind="faiss", recall=0.5)
    same = find(again, matrix[3], k=5).rows.tolist() == find(index, matrix[3], k=5).rows.tolist()
    os._exit(0 if same else 1)
assert os.waitpid(child, 0)[1] == 0
""",
    )


def test_a_loaded_index_survives_replacement_and_removal_of_its_file(saved):
    matrix, folder, description = saved
    index = load(folder, matrix, description)
    before = find(index, matrix[3], k=10).rows.tolist()
    (folder / "new").write_bytes(b"something else")
    (folder / "new").replace(folder / "index.faiss")
    assert find(index, matrix[3], k=10).rows.tolist() == before
    with pytest.raises(FileExistsError):
        index.save(folder)


@pytest.mark.slow
@needs_proc
def test_a_failed_allocation_raises():
    run("""
import resource
from pathlib import Path
import numpy as np
from item2vec.errors import InputError
from item2vec.index import build

matrix = np.random.default_rng(5).normal(size=(3000, 512)).astype(np.float32)
build(matrix[:100], kind="faiss")
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
outcomes = []
# The first matrix is larger than the free memory of the heap. Otherwise, the allocation of a thread can
# be the first to fail, and then the C library ends the process.
for megabytes, rows in ((1, matrix), (4000, matrix[:300])):
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), resource.RLIM_INFINITY))
    try:
        outcomes.append(build(rows, kind="faiss", recall=0.1).kind)
    except (InputError, MemoryError, RuntimeError) as error:
        outcomes.append(type(error).__name__)
assert outcomes[-1] == "faiss" and outcomes[0] in {"InputError", "MemoryError"}, outcomes
""")
