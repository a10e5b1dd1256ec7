"""Damaged or hostile bundles raise CorruptBundleError in bounded time and memory, and execute nothing."""

import tempfile

import pytest
from faults.child import run
from faults.damage import refused
from faults.made import made_model

import item2vec

DAMAGE = """
import sys
from pathlib import Path
from faults.damage import cut, flip_bytes
folder, flipped, cuts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for file in sorted(folder.iterdir()):
    flip_bytes(file, folder, every=flipped)
    cut(file, folder, every=cuts)
"""
NO_FILE = """
import sys
from pathlib import Path
from faults.damage import put_in_place_of
folder, elsewhere = Path(sys.argv[1]), Path(sys.argv[2])
for file in sorted(folder.iterdir()):
    put_in_place_of(file, folder, elsewhere=elsewhere)
"""
HEADERS = """
import sys
from pathlib import Path
from faults.damage import with_header
folder = Path(sys.argv[1])
for name, dtype in [("input.npy", "<f4"), ("output.npy", "<f4"), ("counts.npy", "<f8")]:
    for shape in ["(10000000000, 100)", "(1" + "0" * 3000 + ",)", "(-40, 8)", "(40, True)", "(8, 40)", "()"]:
        for kind in [dtype, ">f4", "|O", "<f2", "<U9", "(3,)<f4"]:
            header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}"
            with_header(folder / name, folder, header.encode())
    for header in [b"[" * 60000, b"{" * 100, b"__import__('os').kill(0, 9)", b"{}", b"", b"\\xff" * 20]:
        with_header(folder / name, folder, header)
"""
FULL_DISK = """
import resource, sys
from pathlib import Path
from faults.made import made_model
from item2vec.errors import WriteError
model = made_model(20_000, 32)
for megabytes in (1, 0):
    resource.setrlimit(resource.RLIMIT_FSIZE, (megabytes << 20, resource.RLIM_INFINITY))
    try:
        model.save(Path(sys.argv[1]) / "songs")
    except WriteError as error:
        assert "songs" in str(error)
    else:
        sys.exit("saved")
"""
WATCHED = """
import sys
import item2vec
item2vec.load(sys.argv[1])
seen = []
sys.addaudithook(lambda event, args: seen.append((event, str(args[0]) if args else "")))
item2vec.load(sys.argv[1])
for event, what in list(seen):
    print(event, what)
"""


@pytest.fixture(params=["exact", "faiss", "annoy"])
def bundle(request, tmp_path):
    made_model(index=request.param, items=True).save(tmp_path / "songs")
    return tmp_path / "songs"


@pytest.mark.slow
def test_damage_is_detected(bundle):
    run(DAMAGE, bundle, 101, 499)


@pytest.mark.exhaustive
def test_damage_at_every_position_is_detected(bundle):
    run(DAMAGE, bundle, 1, 1)


def test_anything_but_a_regular_file_is_refused(tmp_path):
    made_model().save(tmp_path / "songs")
    run(NO_FILE, tmp_path / "songs", tmp_path / "elsewhere")


def test_a_false_header_is_refused_without_allocating(tmp_path):
    made_model().save(tmp_path / "songs")
    run(HEADERS, tmp_path / "songs", megabytes=2048)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"format": 1, "format": 1}',
        b'{"format": NaN}',
        b'{"format": 1e999}',
        b'{"format": ' + b"9" * 5000 + b"}",
        b'{"format": "\\ud800"}',
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"format": true}',
        b" " * 2_000_000,
    ],
    ids=lambda content: repr(content[:14]),
)
@pytest.mark.parametrize("name", ["manifest.json", "CURRENT"])
def test_hostile_json_is_refused(tmp_path, name, content):
    folder = tmp_path / "songs"
    folder.mkdir()
    (folder / "input.npy").touch()
    (folder / name).write_bytes(content)
    refused(folder)


@pytest.mark.slow
def test_nothing_is_unpickled_and_no_other_file_is_opened(tmp_path):
    version = item2vec.publish(made_model(index="annoy", items=True), tmp_path / "models")
    events = [line.partition(" ")[::2] for line in run(WATCHED, tmp_path / "models").splitlines()]
    assert not {event for event, _ in events if event.startswith(("pickle", "marshal", "exec"))}
    opened = {what for event, what in events if event == "open"}
    assert {str(version.path / name) for name in ("manifest.json", "index.ann")} <= opened
    # Without paths of descriptors, a copy of the index is opened in a temporary folder.
    expected = (str(tmp_path), "/proc/self/fd/", f"{tempfile.gettempdir()}/item2vec-")
    elsewhere = [what for what in opened if not what.startswith(expected)]
    assert not [what for what in elsewhere if not what.isdigit()], "a number is a descriptor of an open file"


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_behind(tmp_path):
    run(FULL_DISK, tmp_path)
    assert list(tmp_path.iterdir()) == []
