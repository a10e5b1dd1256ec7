"""A stored study: it is resumed after a kill, on other machines, and by several processes at once."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_tuning import World, chains
from test_tuning_trials import SMALL, outcome

import item2vec
from item2vec.errors import ConfigError, CorruptBundleError, WriteError
from item2vec.tuning.journal import Journal

CODE = """
import sys
from test_tuning_study import *
item2vec.tune(chains(), trials=int(sys.argv[2]), epochs=3, seed=3, study=sys.argv[1], **SMALL)
"""


def start(study, n_trials):
    arguments = [sys.executable, "-c", CODE, str(study), str(n_trials)]
    return subprocess.Popen(arguments, cwd=Path(__file__).parent)


def numbers_in(study):
    lines = [json.loads(line) for line in study.read_bytes().splitlines()]
    return [line["number"] for line in lines[1:]]


@pytest.mark.slow
def test_a_killed_study_is_resumed(tmp_path):
    study = tmp_path / "study.jsonl"
    child = start(study, 10_000)
    while child.poll() is None and (not study.exists() or study.read_bytes().count(b"\n") < 4):
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    with study.open("ab") as file:
        file.write(b'{"number": 3, "sta')  # the incomplete line of a killed process
    before = study.read_bytes().splitlines()[:-1]
    n_trials = len(before) + 1
    resumed = item2vec.tune(chains(), trials=n_trials, seed=3, epochs=3, study=study, **SMALL)
    assert study.read_bytes().splitlines()[: len(before)] == before
    assert sorted(numbers_in(study)) == list(range(n_trials))
    assert outcome(resumed) == outcome(item2vec.tune(chains(), trials=n_trials, seed=3, epochs=3, **SMALL))


@pytest.mark.slow
def test_two_processes_share_a_study(tmp_path):
    """No line is incomplete, no trial is run twice, and a third process finds no trial to run."""
    study = tmp_path / "study.jsonl"
    children = [start(study, 14) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    assert sorted(numbers_in(study)) == list(range(14))
    content = study.read_bytes()
    tuning = item2vec.tune(chains(), trials=14, epochs=3, seed=3, study=study, **SMALL)
    assert study.read_bytes() == content
    assert len(tuning.trials) == 14


def test_a_trial_is_claimed_by_one_process_until_it_ends_or_is_killed(tmp_path):
    study = tmp_path / "study.jsonl"
    code = f"""
import time, pathlib
from item2vec.tuning.journal import Journal
journal = Journal(pathlib.Path({str(study)!r}), {{}}, 4)
print(journal.claim(), journal.claim(), flush=True)
journal.release(1)
print("released", flush=True)
time.sleep(3600)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "0 1\n"
    assert child.stdout.readline() == "released\n"
    journal = Journal(study, {}, 4)
    assert (journal.claim(), journal.claim()) == (1, 2)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    assert not journal.settle(0)
    assert journal.settle(1), "no process has finished trial 0"
    assert (journal.claim(), journal.claim()) == (0, 3)
    journal.close()


def test_a_study_is_resumed_with_another_number_of_jobs(tmp_path, monkeypatch):
    """Suggestions depend only on the number of jobs with which the study was started."""
    worth = {"next_item": 0.3, "skipgram": 0.2, "cbow": 0.1}

    def run(n_trials, jobs, study=None):
        world = World(lambda config: worth[config.train.objective] + config.train.alpha)
        monkeypatch.setattr("item2vec.tuning.workers.run_trial", world.run_trial)
        return item2vec.tune(chains(), trials=n_trials, jobs=jobs, study=study)

    whole = [trial.config for trial in run(24, jobs=1).trials]
    assert whole != [trial.config for trial in run(24, jobs=3).trials], (
        "without a study, suggestions depend on jobs"
    )
    for jobs in (1, 3):
        study = tmp_path / f"{jobs}.jsonl"
        run(15, jobs=1, study=study)
        assert [trial.config for trial in run(24, jobs=jobs, study=study).trials] == whole


def test_numpy_numbers_are_stored_as_plain_numbers(tmp_path, monkeypatch):
    world = World(lambda config: 0.2)
    monkeypatch.setattr("item2vec.tuning.workers.run_trial", world.run_trial)
    study = tmp_path / "study.jsonl"
    given = {"seed": np.int64(7), "alpha": np.float64(0.5), "context_decay": [np.float64(0.9)]}
    plain = {"seed": 7, "alpha": 0.5, "context_decay": (0.9,)}
    first, again = (item2vec.tune(chains(), trials=2, study=study, **fixed) for fixed in (given, plain))
    assert first.trials == again.trials


def test_a_study_that_cannot_be_opened_or_written(tmp_path, monkeypatch):
    for path, reason in ((tmp_path / "nowhere" / "study", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(WriteError, match=f"the study {path} could not be opened or written: {reason}"):
            Journal(path, {}, 4)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(WriteError, match=r"No space left on device; check .* or choose another file"):
        Journal(tmp_path / "study", {}, 4)


def test_a_study_file_belongs_to_one_search(tmp_path):
    study = tmp_path / "study.jsonl"

    def run(sentences=None, **changed):
        options = {"trials": 1, "epochs": 3, "study": study, **SMALL, **changed}
        return item2vec.tune(sentences or chains(), **options)

    run()
    for changed in ({"seed": 2}, {"window": 3}, {"metric": "hr@10"}, {"protocol": "prefix"}):
        with pytest.raises(ConfigError, match="or another file for the new study"):
            run(**changed)
    with pytest.raises(ConfigError, match="use the same data"):
        run(chains(seed=5))
    whole = study.read_bytes()
    study.write_bytes(whole + b"{}\n")
    with pytest.raises(CorruptBundleError, match="line 3 is not a trial"):
        run()
    study.write_bytes(
        whole.replace(b'{"', b'{"number": 7, "', 1).replace(b'{"number', b'{"number": 7, "number')
    )
    with pytest.raises(CorruptBundleError, match=r"line \d is not strict JSON: key 'number' occurs twice"):
        run()
    study.write_bytes(b"\xff\n")
    with pytest.raises(CorruptBundleError, match="line 1 is not UTF-8 text"):
        run()
    study.write_bytes(b"not json\n")
    with pytest.raises(CorruptBundleError, match="line 1 is not strict JSON"):
        run()
