"""Compiled loops: equality with a few lines of plain Python, and the cache of machine code."""

import errno
import importlib.util
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item2vec import kernels
from item2vec.kernels.alias import edge_alias_tables
from item2vec.kernels.compiled import compiled, view_of
from item2vec.kernels.edges import edge_filter, may_be_edge
from item2vec.kernels.grouping import group_rows, label_pairs, sort_groups

groups = st.lists(st.integers(0, 6), max_size=60)
weights = st.floats(2.0**-100, 2.0**100, width=32)


@given(groups)
def test_group_rows_is_a_stable_argsort(group):
    rows, offsets = group_rows(np.array(group, np.int32), 7)
    assert rows.tolist() == sorted(range(len(group)), key=lambda row: group[row])
    assert np.diff(offsets).tolist() == [group.count(g) for g in range(7)]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 5)), max_size=200), st.integers(1, 30))
def test_sort_groups_sorts_by_time_stably(pairs, repeats):
    pairs = pairs * repeats  # short and long groups are sorted by different code
    group = np.array([pair[0] for pair in pairs], np.int32)
    timestamp = np.array([pair[1] for pair in pairs], np.int64)
    rows, offsets = group_rows(group, 3)
    sort_groups(rows, offsets, view_of(timestamp))  # read-only, as the column of interactions
    assert rows.tolist() == sorted(range(len(pairs)), key=lambda row: pairs[row])


@given(st.lists(st.lists(st.integers(0, 4), max_size=8), max_size=6))
def test_label_pairs_numbers_pairs_by_first_appearance(labels):
    offsets = np.cumsum([0, *map(len, labels)]).astype(np.int64)
    pairs = [(group, label) for group, row in enumerate(labels) for label in row]
    number = {pair: n for n, pair in enumerate(dict.fromkeys(pairs))}
    flat = np.array([label for _, label in pairs], np.int32)
    assert label_pairs(offsets, flat, 5).tolist() == [number[pair] for pair in pairs]


@pytest.mark.parametrize("directed", [False, True])
def test_the_bloom_filter_passes_every_edge_and_few_other_pairs(directed):
    random = np.random.default_rng(3)
    n = 1_000
    joined = random.random((n, n)) < 0.02
    if not directed:
        joined |= joined.T
    source, target = np.nonzero(joined)
    offsets = np.searchsorted(source, np.arange(n + 1)).astype(np.int64)
    edges = edge_filter(offsets, target.astype(np.int32), directed)
    passed = np.array([[may_be_edge(edges, a, b, directed) for b in range(n)] for a in range(n)])
    assert passed[joined].all()
    assert passed[~joined].mean() < 0.1
    assert edges.nbytes <= target.size * (1 if directed else 0.5) + 8


@given(st.lists(st.lists(weights, max_size=12), min_size=1, max_size=4))
def test_an_alias_table_reproduces_the_weights(rows):
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    strength, keep, alias = edge_alias_tables(offsets, np.array([w for row in rows for w in row], np.float32))
    assert strength.tolist() == pytest.approx([sum(row) for row in rows])
    for row, start in zip(rows, offsets[:-1], strict=True):
        share = np.zeros(len(row))
        for i in range(len(row)):
            share[i] += keep[start + i]
            share[alias[start + i]] += 1 - keep[start + i]
        expected = [len(row) * weight / sum(row) for weight in row]
        assert share.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_a_second_process_uses_the_cached_machine_code(tmp_path):
    code = (
        "import numpy as np; from item2vec.kernels.grouping import group_rows;"
        "group_rows(np.zeros(1, np.int32), 1);"
        "print(sum(group_rows.stats.cache_hits.values()), sum(group_rows.stats.cache_misses.values()))"
    )
    printed_by_process = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert printed_by_process == [["0", "1"], ["1", "0"]]


@pytest.mark.slow
def test_a_loop_is_recompiled_when_another_kernel_file_changes(tmp_path):
    copy = tmp_path / "kernels"
    copy.mkdir()
    shutil.copy(kernels.__path__[0] + "/compiled.py", copy)
    inner = "from kernels.compiled import compiled\nTEN = {}\n@compiled\ndef step(x):\n    return x + {}\n"
    (copy / "outer.py").write_text(
        "from kernels.compiled import compiled\nfrom kernels.inner import TEN, step\n"
        "@compiled\ndef loop(x):\n    return TEN * step(x)\n"
        "print(loop(2))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "kernels.outer"]
    printed = []
    for source in [inner.format(10, 1), inner.format(10, 3), inner.format(20, 3)]:
        (copy / "inner.py").write_text(source)
        printed += subprocess.check_output(command, env=environment, cwd=tmp_path, text=True).splitlines()
    assert printed == ["30", "50", "100"]


def test_a_loop_compiles_without_a_cache_folder():
    names = {}
    exec(compile("def twice(x):\n    return x + x\n", "no-such-file.py", "exec"), names)
    assert compiled(names["twice"])(4) == 8


def _calls_of(folder):
    """Return a function that compiles a loop of a module in ``folder`` or loads it, and its result for 4."""
    (folder / "loops.py").write_text("def twice(x):\n    return x + x\n")
    spec = importlib.util.spec_from_file_location("loops", folder / "loops.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call():
        loop = compiled(module.twice)
        result = loop(4)
        return result, sum(loop.stats.cache_hits.values())

    return call


@pytest.mark.parametrize("damaged", ["*.nbi", "*.nbc"])
def test_a_damaged_cache_file_costs_one_compilation(tmp_path, damaged):
    call = _calls_of(tmp_path)
    assert [call(), call()] == [(8, 0), (8, 1)]
    for path in tmp_path.rglob(damaged):
        path.write_bytes(b"")  # as after a power cut
    assert [call(), call()] == [(8, 0), (8, 1)]


def test_a_full_disk_costs_a_compilation_per_process(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    call = _calls_of(tmp_path)
    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", fail)
    assert [call(), call()] == [(8, 0), (8, 0)]
