"""If the snapshot of a run is changed between or during its jobs, nothing is published: exit code 5."""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from faults.operations import without_canary
from nights import QUICK, TOML, InProcessWorker, fill, made_listens

import item2vec
from item2vec import versions
from item2vec.cli import main
from item2vec.errors import CorruptBundleError
from item2vec.retraining import jobs
from item2vec.retraining.supervisor import Worker

JOBS = ("train_and_evaluate", "train")


def permute(path):
    values = np.load(path)
    np.save(path, np.random.default_rng(1).permutation(values))


def replace_by_permuted(path):
    other = shutil.copy(path, path.with_name("other.npy"))
    permute(other)
    Path(other).replace(path)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def double(path):
    values = np.load(path)
    np.save(path, np.concatenate([values, values]))


HARMS = {
    "permuted": permute,
    "replaced": replace_by_permuted,
    "flipped": flip_a_bit,
    "doubled": double,
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 1),
    "emptied": lambda path: os.truncate(path, 0),
    "removed": Path.unlink,
}


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """A models folder with a version, and the URL of a store with weights."""
    folder = tmp_path_factory.mktemp("spool")
    listens = made_listens(60)
    listens = dataclasses.replace(listens, weight=1 + np.arange(len(listens)) % 3)
    url = fill(f"sqlite:///{folder}/item2vec.db", listens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
        patch.syspath_prepend(without_canary(folder))
        item2vec.retrain(models=folder / "models", store=url, config=QUICK, force="first")
    return folder / "models", url


def spooled(models, column):
    (path,) = (models / "staging").glob(f"*/*/{column}.npy")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("harm", HARMS)
def test_a_spool_changed_between_jobs_is_refused(nights, monkeypatch, job, harm):
    models, url = nights
    before, send = versions.served_version(models), InProcessWorker._send

    def harmed(worker, request):
        if request["job"] == job:
            HARMS[harm](spooled(models, "item"))
        send(worker, request)

    monkeypatch.setattr(InProcessWorker, "_send", harmed)
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
    with pytest.raises(CorruptBundleError, match=r"snapshot of the store was changed.*item\.npy") as caught:
        item2vec.retrain(models=models, store=url, config=QUICK, force="all gates")
    assert caught.value.exit_code == 5
    assert versions.served_version(models) == before
    assert list((models / "staging").iterdir()) == []


@pytest.mark.parametrize("column", ["user", "item", "timestamp", "weight"])
def test_each_column_is_checked(nights, monkeypatch, column):
    models, url = nights
    work = jobs.Jobs(QUICK)
    folder = models.parent / f"spool of {column}"
    work.snapshot(url, str(folder), "2024-01-01T00:00:00+00:00")
    assert {path.stem for path in folder.iterdir()} >= {"user", "item", "timestamp", "weight"}
    assert folder.stat().st_mode & 0o777 == 0o700
    flip_a_bit(folder / f"{column}.npy")
    for use in (work.train_and_evaluate, lambda: work.train(None)):
        with pytest.raises(CorruptBundleError, match=rf"{column}\.npy has data of SHA-256"):
            use()


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("fails", [False, True])
def test_a_spool_changed_during_a_job_is_refused(nights, monkeypatch, tmp_path, job, fails):
    _, url = nights
    work, fit = jobs.Jobs(QUICK), jobs.fit
    work.snapshot(url, str(tmp_path / "spool"), "2024-01-01T00:00:00+00:00")

    def changing(*arguments, **settings):
        permute(tmp_path / "spool" / "item.npy")
        if fails:
            raise IndexError("a consequence of the change")
        return fit(*arguments, **settings)

    monkeypatch.setattr(jobs, "fit", changing)
    with pytest.raises(CorruptBundleError, match="snapshot of the store was changed") as caught:
        work.train(None) if job == "train" else work.train_and_evaluate()
    assert isinstance(caught.value.__cause__, IndexError) == fails


def test_an_error_of_a_job_remains_if_the_spool_is_unchanged(nights, monkeypatch, tmp_path):
    _, url = nights
    work = jobs.Jobs(QUICK)
    work.snapshot(url, str(tmp_path / "spool"), "2024-01-01T00:00:00+00:00")
    monkeypatch.setattr(jobs, "fit", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        work.train(None)


@pytest.mark.slow
@pytest.mark.parametrize(("job", "harm"), [("train_and_evaluate", "truncated"), ("train", "permuted")])
def test_the_command_ends_with_exit_code_5(nights, tmp_path, monkeypatch, capfd, job, harm):
    models, url = nights
    before, call = versions.served_version(models), Worker._call

    def harmed(worker, name, **arguments):
        if name == job:
            HARMS[harm](spooled(models, "item"))
        return call(worker, name, **arguments)

    monkeypatch.setattr(Worker, "_call", harmed)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "item2vec.toml").write_text(TOML)
    with pytest.raises(SystemExit) as ended:
        main(["retrain", "--models", str(models), "--store", url, "--force", "--reason", "a test"])
    assert ended.value.code == 5
    assert "the snapshot of the store was changed during the run" in capfd.readouterr().err
    assert versions.served_version(models) == before
