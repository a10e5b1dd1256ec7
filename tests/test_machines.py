"""What differs between machines: system calls that only Linux has, Windows without locks, Annoy missing."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import without_linux
from faults.child import needs_proc, run
from faults.made import made_model

import item2vec
from item2vec import bundle, files, processes
from item2vec.config import RetrainConfig
from item2vec.errors import ConfigError, InputError, MissingExtraError, PlatformError, RunFailedError
from item2vec.index import annoy, build, building, find, load, openable
from item2vec.retraining.supervisor import Worker
from item2vec.versions import locks
from item2vec.versions.locks import claimed, leased, locked

NOWHERE = Path("/nowhere")


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups of a container, and a process in the group ``outer/inner``."""
    monkeypatch.setattr(processes, "CONTROL_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(processes, "PROC", tmp_path / "proc")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    (tmp_path / "cgroup" / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("1:cpu:/other\n0::/outer/inner\n")
    return tmp_path / "cgroup"


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({}, 8),
        ({"": "max 100000"}, 8),
        ({"": "200000 100000"}, 2),
        ({"": "150000 100000"}, 2),
        ({"": "10000 100000"}, 1),
        ({"": "3200000 100000"}, 8),
        ({"outer": "300000 100000", "outer/inner": "max 100000"}, 3),
        ({"": "400000 100000", "outer": "300000 100000", "outer/inner": "50000 100000"}, 1),
    ],
)
def test_usable_cpus_are_limited_by_the_quotas_of_containers(groups, quotas, expected):
    for group, quota in quotas.items():
        (groups / group / "cpu.max").write_text(f"{quota}\n")
    assert processes.usable_cpus() == expected
    assert item2vec.TrainConfig().workers == expected


def test_without_an_affinity_the_cpus_of_the_process_or_the_machine_are_usable(groups, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 4, raising=False)
    assert processes.usable_cpus() == 4
    monkeypatch.delattr(os, "process_cpu_count")
    assert processes.usable_cpus() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processes.usable_cpus() == 1


def test_usable_memory_is_limited_by_the_container(groups):
    whole = processes.usable_memory()
    (groups / "outer" / "memory.max").write_text("max\n")
    assert processes.usable_memory() == whole == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    (groups / "memory.max").write_text("1048576\n")
    assert processes.usable_memory() == 1 << 20


@pytest.fixture
def without_proc(monkeypatch):
    monkeypatch.setattr(processes, "PROC", NOWHERE)


def test_resident_memory_grows_with_an_allocation(without_proc):
    code = "import sys; kept = bytearray(100 << 20); print('ready', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        assert 100 << 20 < processes.resident_memory(child.pid) < 200 << 20
        child.communicate(b"\n")
    assert processes.resident_memory(child.pid) == 0


def test_without_proc_and_ps_the_memory_of_a_process_is_not_limited(without_proc, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert processes.resident_memory(os.getpid()) == 0


def test_the_worker_is_killed_at_its_memory_limit(without_proc, tmp_path):
    with (
        Worker(RetrainConfig(limits={"memory": 0.001})) as worker,
        pytest.raises(RunFailedError, match="GiB"),
    ):
        worker.snapshot("sqlite:///nowhere", tmp_path / "snapshot", datetime(2024, 2, 29, tzinfo=UTC))


class Disk:
    """Flushes of a system with or without F_FULLFSYNC."""

    def __init__(self, monkeypatch, error=None):
        self.flushes, self._error = [], error
        monkeypatch.setattr(files.fcntl, "F_FULLFSYNC", 51, raising=False)
        monkeypatch.setattr(files.fcntl, "fcntl", self._full)
        monkeypatch.setattr(os, "fsync", lambda descriptor: self.flushes.append("fsync"))

    def _full(self, descriptor, command):
        assert command == 51
        if self._error is not None:
            raise OSError(self._error, os.strerror(self._error))
        self.flushes.append("full")


def test_files_and_folders_are_flushed_to_the_medium_on_macos(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    files.replace_bytes(tmp_path / "a", b"content")
    files.write_array(tmp_path / "b.npy", np.arange(3))
    files.sync_folder(tmp_path)
    assert disk.flushes == ["full"] * 4


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.EINVAL, errno.ENOTTY])
def test_a_file_system_without_a_full_flush_is_flushed_by_fsync(tmp_path, monkeypatch, number):
    disk = Disk(monkeypatch, number)
    files.write_bytes(tmp_path / "a", b"content")
    assert disk.flushes == ["fsync"]


def test_an_input_output_error_of_a_full_flush_is_raised(tmp_path, monkeypatch):
    Disk(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        files.write_bytes(tmp_path / "a", b"content")


def test_a_bundle_is_written_without_posix_fadvise(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    made_model(index="annoy").save(tmp_path / "songs")
    assert bundle.verify(tmp_path / "songs").n_items == 40


MATRIX = np.random.default_rng(1).normal(size=(500, 8)).astype(np.float32)


@pytest.fixture
def no_memory_file(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)


@pytest.fixture
def no_descriptor_paths(monkeypatch):
    monkeypatch.setattr(openable, "DESCRIPTORS", (NOWHERE,))


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("lacking", ["no_memory_file", "no_descriptor_paths", "both"])
def test_an_index_is_built_saved_and_loaded_without_linux_files(lacking, tmp_path, temporary, request):
    here = build(MATRIX, kind="annoy")
    for fixture in ["no_memory_file", "no_descriptor_paths"] if lacking == "both" else [lacking]:
        request.getfixturevalue(fixture)
    index = build(MATRIX, kind="annoy")
    description = index.save(tmp_path)
    loaded = load(tmp_path, MATRIX, description)
    for query in MATRIX[:20]:
        rows = find(here, query, k=10).rows.tolist()
        assert find(index, query, k=10).rows.tolist() == find(loaded, query, k=10).rows.tolist() == rows
    assert index.nodes.tobytes() == here.nodes.tobytes() == (tmp_path / "index.ann").read_bytes()
    assert list(temporary.iterdir()) == []


def test_a_refused_memory_file_is_replaced(temporary, monkeypatch):
    def refuse(name):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    assert build(MATRIX, kind="annoy").description.rows == 500
    assert list(temporary.iterdir()) == []


def test_without_descriptor_paths_annoy_maps_the_validated_file(
    tmp_path, temporary, no_descriptor_paths, monkeypatch
):
    """Between the validation and Annoy's open, the file of an index is replaced by another."""
    description = build(MATRIX, kind="annoy").save(tmp_path)
    expected = (tmp_path / "index.ann").read_bytes()
    check_trees = annoy.check_trees

    def replaced(*arguments):
        check_trees(*arguments)
        (tmp_path / "other").write_bytes(b"no index")
        (tmp_path / "other").replace(tmp_path / "index.ann")

    monkeypatch.setattr(annoy, "check_trees", replaced)
    loaded = load(tmp_path, MATRIX, description)
    assert loaded.nodes.tobytes() == expected
    assert find(loaded, MATRIX[7], k=1).rows.tolist() == find(build(MATRIX), MATRIX[7], k=1).rows.tolist()


def test_a_temporary_folder_is_private(no_memory_file, temporary):
    with openable.new_path() as path:
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.parent.parent == temporary


def test_a_temporary_file_that_cannot_be_written_is_an_error_with_a_remedy(
    no_memory_file, no_descriptor_paths, tmp_path, monkeypatch
):
    description = build(MATRIX, kind="annoy").save(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(NOWHERE))
    with pytest.raises(InputError, match=r"No such file.*TMPDIR.*index='exact'"):
        build(MATRIX, kind="annoy")
    with pytest.raises(InputError, match=r"No such file.*TMPDIR.*index='exact'"):
        load(tmp_path, MATRIX, description)


def test_only_errors_of_writing_a_temporary_file_are_reported_as_such(no_descriptor_paths, tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    with (tmp_path / "file").open("rb") as file:
        for temporary_file in (openable.new_path(), openable.path_to(file)):
            with pytest.raises(OSError, match="the network is down"), temporary_file:
                raise OSError("the network is down")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system has no /dev/fd")
@pytest.mark.skipif(without_linux.PORTABLE, reason="item2vec may not read /dev/fd here")
def test_dev_fd_is_the_path_of_a_descriptor(tmp_path, monkeypatch):
    monkeypatch.setattr(openable, "DESCRIPTORS", (NOWHERE, Path("/dev/fd")))
    (tmp_path / "file").write_bytes(b"content")
    with (tmp_path / "file").open("rb") as file, openable.path_to(file) as (same, path):
        assert same is file
        assert path.parent == Path("/dev/fd")
        (tmp_path / "file").unlink()
        assert path.read_bytes() == b"content"


def test_a_descriptor_path_that_leads_to_another_file_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(openable, "DESCRIPTORS", (tmp_path,))
    (tmp_path / "file").write_bytes(b"content")
    with (tmp_path / "file").open("rb") as file:
        (tmp_path / str(file.fileno())).write_bytes(b"another file")
        with openable.path_to(file) as (copy, path):
            assert copy.read() == path.read_bytes() == b"content"


WINDOWS = """
import os, random, sys
import concurrent.futures, logging, warnings, threading, tempfile
sys.modules["fcntl"] = None
for name in ("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "fchmod", "fork", "memfd_create",
             "posix_fadvise", "pread", "pwrite", "register_at_fork", "sched_getaffinity", "sysconf"):
    if hasattr(os, name):
        delattr(os, name)
if hasattr(os, "process_cpu_count"):
    os.process_cpu_count = os.cpu_count
import item2vec
from item2vec import adapters, evaluation
from item2vec.errors import LeakWarning, PlatformError, TuningWarning

warnings.simplefilter("ignore", LeakWarning), warnings.simplefilter("ignore", TuningWarning)
folder = sys.argv[1]
"""

WITHOUT_LOCKS = (
    WINDOWS
    + """
sentences = adapters.playlists([[f"{first + step}" for step in range(6)] for first in range(40)])
split = evaluation.leave_last_out(sentences)
model = item2vec.fit(split.train, objective="skipgram", backend="numba", vector_size=16, index="exact")
assert len(model.recommend(["3", "4"], k=5)) == 5
assert evaluation.evaluate(model, split).metrics
assert item2vec.tune(sentences, trials=1, objective="skipgram", epochs=1, jobs=1).config
model.save(f"{folder}/songs")
assert item2vec.load(f"{folder}/songs").recommend(["3", "4"], k=5) == model.recommend(["3", "4"], k=5)
for action in (
    lambda: item2vec.publish(model, f"{folder}/models"),
    lambda: item2vec.tune(sentences, trials=1, epochs=1, study=f"{folder}/study"),
):
    try:
        action()
    except PlatformError as error:
        print(error)
"""
)


@pytest.mark.slow
def test_without_locks_all_but_models_folders_and_studies_works(tmp_path):
    messages = run(WITHOUT_LOCKS, tmp_path).splitlines()
    assert len(messages) == 2
    for message in messages:
        assert "has no POSIX file locks" in message
        assert "Linux, macOS or WSL" in message
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_without_locks_the_command_line_stops_before_the_training(tmp_path):
    code = WINDOWS + "from item2vec.cli import main\nmain(sys.argv[2:])"
    words = ["train", "--playlists", "sample_data/playlists.jsonl", "--models", tmp_path / "models"]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "has no POSIX file locks" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "models").exists()


def test_without_locks_a_lease_is_empty_and_nothing_is_locked(tmp_path, monkeypatch):
    for module in (files, locks):
        monkeypatch.setattr(module, "HAS_LOCKS", False)
    (tmp_path / "manifest.json").touch()
    with leased(tmp_path):
        pass
    for block in (locked(tmp_path), claimed(tmp_path)):
        with pytest.raises(PlatformError, match="POSIX file locks"), block:
            pass
    for action in (
        lambda: item2vec.tune([], study=tmp_path / "study"),
        lambda: item2vec.retrain(models=tmp_path / "models", store="sqlite:///nowhere"),
        lambda: item2vec.publish(made_model(), tmp_path / "models"),
    ):
        with pytest.raises(PlatformError, match="tune without study"):
            action()
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


WITHOUT_LIBRARY = """
import sys
sys.modules[sys.argv[2]] = None
import logging
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
import item2vec
from item2vec import adapters
from item2vec.index import building
from item2vec.errors import MissingExtraError
"""


@pytest.mark.slow
@pytest.mark.parametrize("library", ["annoy", "faiss"])
def test_without_the_library_of_an_index_models_are_searched_by_a_scan(library, tmp_path):
    """Training, the choice of an index, loading, publishing and saving again."""
    saved = made_model(index=library)
    saved.save(tmp_path / "songs")
    answers = [[entry.item for entry in saved.recommend([item], k=5)] for item in saved.vocabulary.ids[:5]]
    code = """
building.APPROXIMATE_FROM_ROWS = 10
loaded = item2vec.load(sys.argv[1] + "/songs")
print([[entry.item for entry in loaded.recommend([item], k=5)] for item in loaded.vocabulary.ids[:5]])
sentences = adapters.playlists([[f"{first + step}" for step in range(6)] for first in range(40)])
model = item2vec.fit(sentences, objective="skipgram", backend="numba")
print(loaded.index.kind, model.index.kind, len(model.similar_items("3", k=5)))
item2vec.publish(loaded, sys.argv[1] + "/models")
"""
    lines = run(WITHOUT_LIBRARY + code, tmp_path, library).splitlines()
    warnings = [line for line in lines if line.startswith("WARNING")]
    assert [line for line in lines if line not in warnings] == [str(answers), "exact exact 5"]
    assert "was not loaded" in warnings[0]
    assert all("pip install " + library in line for line in warnings)
    if library == "faiss":
        assert "could not be built" in warnings[1]
    else:
        assert len(warnings) == 1
    assert item2vec.load(tmp_path / "models").index.kind == "exact"


def test_without_annoy_a_request_for_it_fails_before_the_training(monkeypatch):
    monkeypatch.setattr(annoy, "WHY_MISSING", "Annoy cannot be imported (No module named 'annoy')")
    message = r"No module named 'annoy'.*C\+\+ compiler.*pip install annoy; pass index='exact'"
    with pytest.raises(MissingExtraError, match=message):
        build(MATRIX, kind="annoy")
    sentences = item2vec.adapters.playlists([["a", "b", "c"]] * 9)
    monkeypatch.setattr("item2vec.fitting.train_with_table", None)
    with pytest.raises(MissingExtraError, match=message):
        item2vec.fit(sentences, index="annoy")


def test_without_faiss_a_request_for_it_fails_before_the_training(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    sentences = item2vec.adapters.playlists([["a", "b", "c"]] * 9)
    monkeypatch.setattr("item2vec.fitting.train_with_table", None)
    with pytest.raises(MissingExtraError, match=r"FAISS.*pip install faiss-cpu; pass index='exact'"):
        item2vec.fit(sentences, index="faiss")


@pytest.mark.parametrize("kind", ["Annoy", "hnsw", None])
def test_an_unknown_kind_of_index_is_refused(kind):
    with pytest.raises(ConfigError, match="expected one of auto, exact, faiss, annoy"):
        building.check_kind(kind)


if without_linux.PORTABLE:

    @needs_proc
    def test_item2vec_sees_no_linux_in_this_process_and_its_children():
        """The tests themselves still read /proc."""
        code = """
import os
from pathlib import Path
from item2vec import processes
assert not any(hasattr(os, name) for name in ("memfd_create", "posix_fadvise", "sched_getaffinity"))
assert processes._resident_by_ps(os.getpid()) > 1 << 20
assert list(processes._group_limits("cpu.max")) == []
"""
        exec(code)
        run(code)
        assert (Path("/proc/self/status")).read_text()
        assert processes.usable_cpus() == os.cpu_count()


WITHOUT_GENSIM = """
import sys
sys.modules["gensim"] = None
import item2vec
from item2vec import adapters
from item2vec.cli import demo
from item2vec.errors import MissingExtraError
print([name for name in demo._models() if "gensim" in name])
sentences = adapters.playlists([["a", "b", "c"]] * 9)
try:
    item2vec.train(sentences, objective="skipgram")
except MissingExtraError as error:
    print(error)
print(len(item2vec.train(sentences, objective="skipgram", backend="numba", epochs=1)))
"""


def test_without_gensim_vectors_are_trained_by_compiled_loops():
    names, message, n_items = run(WITHOUT_GENSIM).splitlines()
    assert (names, n_items) == ("[]", "3")
    assert re.search(r"gensim cannot.*pip install gensim; pass backend='numba'", message)
