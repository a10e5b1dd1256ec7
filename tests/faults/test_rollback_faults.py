"""A rollback or gc killed or failed at any operation: the served version is complete; a retry succeeds."""

import pytest
from faults import strace
from faults.child import run
from faults.made import made_model

import item2vec

EVERY_FAULT = """
import sys
from pathlib import Path
from faults.operations import every_fault_of
print(every_fault_of(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "first", "step"),
    [
        ("rollback", "kill", 8, 12),
        ("rollback", "EIO", 14, 9),
        ("gc", "kill", 4, 4),
        ("gc", "EIO", 7, 9),
    ],
)
def test_a_fault_at_some_operations(tmp_path, name, kind, first, step):
    assert int(run(EVERY_FAULT, name, tmp_path, kind, first, step)) >= 10


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["kill", "EIO", "ENOSPC", "EIO ever after", "ENOSPC ever after"])
@pytest.mark.parametrize("name", ["rollback", "gc"])
def test_a_fault_at_every_operation(tmp_path, name, kind):
    assert int(run(EVERY_FAULT, name, tmp_path, kind, 1, 1)) >= 15


def test_everything_is_flushed_in_order(tmp_path):
    strace.require()
    for seed in (0, 1):
        item2vec.publish(made_model(seed=seed), tmp_path / "models")
    strace.under(tmp_path / "models", "rollback", tmp_path / "trace")
    calls = [call for call in strace.calls_in(tmp_path / "trace") if str(tmp_path) in call[1]]
    assert sum(call == "rename" for call, _, _ in calls) == 3
    assert strace.not_flushed(tmp_path / "trace", tmp_path / "models") == []
