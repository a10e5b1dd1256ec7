"""The accounts of a recommendation and of a nightly run name functions that are called, in this order."""

import contextlib
import os
import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from faults.made import made_model
from faults.operations import without_canary
from nights import QUICK, InProcessWorker, fill, made_listens

import item2vec
from item2vec import ItemVectors, Recommender, cli, publish, readers
from item2vec.cli.app import root
from item2vec.config import RetentionConfig
from item2vec.index import search
from item2vec.retraining import run
from item2vec.store import Store

PACKAGE = f"{Path(item2vec.__file__).parent}{os.sep}"


def calls(function, *arguments, **more):
    """Call a function; return the files and names of the functions of item2vec that were called, in order."""
    called = []

    def record(frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            called.append((code.co_filename.removeprefix(PACKAGE), code.co_qualname))

    before = sys.gettrace()
    sys.settrace(record)
    try:
        with contextlib.suppress(SystemExit):  # of a command
            function(*arguments, **more)
    finally:
        sys.settrace(before)
    return called


def first_missing(named, called):
    """Return the first name that is not called after the names before it; ``None`` if there is none.

    A name is a file and a function, or a method or function after the last part of its module.
    """
    left = iter(called)
    for file, name in named:
        module, _, function = name.rpartition(".")
        if not any(
            (file in {None, path} and qualified == name)
            or (file is None and (module_of(path), qualified) == (module, function))
            for path, qualified in left
        ):
            return file, name
    return None


@cache
def module_of(path):
    """Return the last part of the name of the module in a file."""
    return Path(path.removesuffix("/__init__.py")).stem


def test_the_check_detects_a_wrong_name_and_a_wrong_order():
    called = [("a.py", "f"), ("b.py", "B.g"), ("a.py", "f")]
    assert first_missing([("a.py", "f"), ("b.py", "B.g")], called) is None
    assert first_missing([(None, "B.g"), (None, "a.f")], called) is None
    assert first_missing([(None, "a.f"), (None, "c.f")], called) == (None, "c.f")
    assert first_missing([("b.py", "B.g"), ("b.py", "B.g")], called) == ("b.py", "B.g")


def test_the_path_of_recommend_and_the_drawing_of_the_search(tmp_path, monkeypatch, capsys):
    listens = readers.read_interactions("sample_data/listens.csv.gz")
    listens, songs = listens.take(listens.user == 0), readers.read_items("sample_data/items.csv")
    monkeypatch.chdir(tmp_path)
    with Store("sqlite:///item2vec.db") as store:
        store.upgrade()
        store.ingest(listens)
        store.ingest_items(songs)
    rows = np.random.default_rng(1).normal(size=(2, 300, 16))
    vectors = ItemVectors(listens.items.take(np.arange(300)), *rows, np.ones(300))
    publish(Recommender(vectors, items=songs, index="faiss"), "models")
    rules = ["--where", "year>=1900", "--at-most", "artist=1", "--interests", "2"]
    rules += ["--boost", "blue-harbour=1.2", "--disliked", "909-steps"]
    root.cache_clear()
    called = calls(cli.main, ["recommend", "--user", listens.users.ids[0], *rules])
    checked = called.index(("versions/checking.py", "check_rankings"))
    # This check ranks items as well, in the same functions.
    called[checked + 1 : called.index(("store/store.py", "Store.check_schema"))] = []
    path, _, without_taste = cli.__doc__.partition("\nIf there is no user vector")
    steps = re.findall(r"``([\w/]+\.py)``\s+`([\w.]+)`", path)
    assert len(steps) > 30
    assert first_missing(steps, called) is None
    drawn = re.findall(r"^    .*  (\w+\.\w+|_\w+)$", search.__doc__, flags=re.MULTILINE)
    assert len(drawn) == 16
    assert first_missing([(None, name) for name in drawn], called) is None
    (popular,) = re.findall(r"``(sources\.py)`` `([\w.]+)`", without_taste)
    assert popular in calls(cli.main, ["recommend", "--user", "nobody"])
    assert "model" in capsys.readouterr().out


@pytest.mark.usefixtures("canary_process")
def test_the_steps_of_a_nightly_run(tmp_path, monkeypatch):
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
    monkeypatch.syspath_prepend(without_canary(tmp_path))
    night = {"models": tmp_path / "models", "store": fill(f"sqlite:///{tmp_path}/i.db", made_listens(60))}
    publish(made_model(), tmp_path / "models")
    monkeypatch.setattr("item2vec.retraining.jobs.write_report", lambda _, page, **_more: Path(page).touch())
    night |= {"metrics_file": tmp_path / "run.prom", "force": "a test"}
    whole = QUICK.replace(layout=True, retention=RetentionConfig())
    called = calls(item2vec.retrain, **night, config=whole)
    steps = re.findall(r"``(\w+\.\w+)``", run.__doc__)
    assert len(steps) > 25
    assert first_missing([(None, name) for name in steps], called) is None
