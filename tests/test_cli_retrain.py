"""``item2vec retrain``: settings, exit codes, printed results and log records."""

import errno
import io
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from faults.child import ENVIRONMENT
from faults.operations import without_canary
from nights import TOML, InProcessWorker, fill, made_listens, shuffled

from item2vec.cli import Stopped
from item2vec.cli.logs import _Lines
from item2vec.cli.settings import retrain_config
from item2vec.config import Config
from item2vec.errors import ConfigError
from item2vec.store import Store

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 (INFO|WARNING|ERROR) item2vec\.[\w.]+ .+")


@pytest.fixture
def store(tmp_path):
    fill(f"sqlite:///{tmp_path}/item2vec.db", made_listens())
    (tmp_path / "item2vec.toml").write_text(TOML)


@pytest.fixture
def in_process(monkeypatch):
    """Execute jobs in this process: starting a worker takes a second."""
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)


@pytest.mark.usefixtures("store", "in_process")
def test_retrain_publishes_a_version_and_prints_its_report(item2vec, tmp_path):
    code, out, _ = item2vec("retrain")
    assert code == 0
    facts = dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())
    assert (tmp_path / facts["report"]).is_file()
    assert facts["interactions"] == "3,840"
    code, out, _ = item2vec("retrain", "--gap", "10h", "--json")
    report = json.loads(out)
    assert (code, report["status"]) == (0, "promoted")
    assert report["config"]["adapter"]["kind"] == "sessions"
    code, out, _ = item2vec("models", "list", "--json")
    assert code == 0
    assert [row["version"] for row in json.loads(out)][-1] == report["version"]


@pytest.mark.usefixtures("in_process")
def test_a_refusal_is_exit_code_3_with_the_report(item2vec, tmp_path):
    fill(f"sqlite:///{tmp_path}/item2vec.db", shuffled(made_listens()))
    (tmp_path / "item2vec.toml").write_text(TOML)
    code, out, err = item2vec("retrain", "--json")
    assert code == 3
    assert json.loads(out)["status"] == "refused"
    assert "the popularity baseline scores" in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("item2vec: ")


@pytest.mark.usefixtures("in_process")
def test_a_refusal_is_exit_code_3_even_if_the_report_cannot_be_printed(
    item2vec, tmp_path, monkeypatch, caplog
):
    class Closed(io.StringIO):
        def write(self, _):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    fill(f"sqlite:///{tmp_path}/item2vec.db", shuffled(made_listens()))
    (tmp_path / "item2vec.toml").write_text(TOML)
    monkeypatch.setattr("sys.stdout", Closed())
    code, _, _ = item2vec("retrain", "--json")
    assert code == 3
    assert caplog.messages[-1] == "the result was not printed"


@pytest.mark.usefixtures("store", "in_process")
@pytest.mark.parametrize(
    ("function", "error", "code", "status"),
    [
        ("item2vec.versions.layout.sync_folder", Stopped("SIGTERM"), 6, "promoted"),  # of the new CURRENT
        ("item2vec.retraining.record.partial", KeyboardInterrupt(), 0, "running"),
        ("item2vec.retraining.run.versions.gc", Stopped("SIGTERM"), 0, "promoted"),
        ("item2vec.cli.retrain._facts", Stopped("SIGTERM"), 0, "promoted"),
    ],
)
def test_after_the_promotion_no_signal_makes_the_run_fail(
    item2vec, tmp_path, monkeypatch, function, error, code, status
):
    is_last = (tmp_path / "models" / "CURRENT").exists if code == 6 else bool

    def interrupted(*_, **_more):
        if is_last() == (code == 6):
            raise error

    monkeypatch.setattr(function, interrupted)
    found, _, _ = item2vec("retrain")
    assert found == code
    assert (tmp_path / "models" / "CURRENT").exists()
    with Store(f"sqlite:///{tmp_path}/item2vec.db") as opened:
        assert [run.status for run in opened.runs()] == [status]


@pytest.mark.slow
def test_the_script_for_cron_runs_retrain(tmp_path):
    fill(f"sqlite:///{tmp_path}/item2vec.db", made_listens())
    (tmp_path / "item2vec.toml").write_text(TOML)
    script = Path(__file__).parent.parent / "scripts" / "nightly_retrain.py"
    night = subprocess.run(
        [sys.executable, script, tmp_path, "--json"], cwd="/", capture_output=True, text=True, check=False
    )
    assert night.returncode == 0, night.stderr
    assert json.loads(night.stdout)["status"] == "promoted"
    assert all(LINE.fullmatch(line) for line in night.stderr.splitlines()), night.stderr


def test_the_script_for_cron_refuses_a_folder_that_does_not_exist(tmp_path):
    script = Path(__file__).parent.parent / "scripts" / "nightly_retrain.py"
    night = subprocess.run(
        [sys.executable, script, "nowhere"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (night.returncode, night.stdout) == (2, "")
    assert night.stderr == f"{script}: nowhere: No such file or directory\n"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.usefixtures("store")
def test_a_model_is_promoted_even_if_the_result_cannot_be_printed(tmp_path):
    (tmp_path / "quick").mkdir()
    quick = without_canary(tmp_path / "quick")
    with Path("/dev/full").open("w") as full:
        night = subprocess.run(
            [sys.executable, "-m", "item2vec", "retrain"],
            cwd=tmp_path,
            env=ENVIRONMENT | {"PYTHONPATH": f"{quick}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert night.returncode == 0, night.stderr
    assert "the result was not printed" in night.stderr


@pytest.mark.parametrize(
    ("words", "toml", "message"),
    [
        (["--force"], "", "got --force without --reason"),
        (["--reason", "x"], "", "got --reason without --force"),
        ([], "[gate]\nx = 1", "unknown key 'gate'; did you mean 'gates'?"),
        ([], "[gates]\nmargn = 1", "[gates]: unknown setting 'margn'; did you mean 'margin'?"),
        ([], "[gates]\nmin_growth = 2", "min_growth is 2"),
        ([], "[limits]\ntime = 'soon'", "'soon'; expected a duration above 0"),
        ([], "[evaluation]\nfraction = 0.1\ndays = 3", "fraction and days are both set"),
        ([], "[retention]\nversions = 1", "versions is 1"),
        ([], "gates = 3", "[gates]"),
    ],
)
def test_invalid_settings_are_refused_before_any_work(item2vec, tmp_path, words, toml, message):
    (tmp_path / "item2vec.toml").write_text(toml)
    code, _, err = item2vec("retrain", *words)
    assert code == 2
    assert message in err
    assert not (tmp_path / "models").exists()


def test_every_section_of_the_file_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("item2vec.toml").write_text(
        '[adapter]\nevents = ["play"]\n[evaluation]\nk = 5\n[gates]\nmargin = 0.5\n'
        "[retention]\nversions = 9\n[limits]\nmemory = 2\n"
    )
    config = retrain_config(Config(), None)
    assert (config.adapter.events, config.adapter.kind, config.evaluation.k) == (("play",), "histories", 5)
    assert (config.gates.margin, config.retention.versions, config.limits.memory) == (0.5, 9, 2.0)
    Path("item2vec.toml").write_text("[adapter]\nmin_length = 0")
    with pytest.raises(ConfigError, match="min_length is 0"):
        retrain_config(Config(), None)


def test_a_log_record_is_one_line_even_with_line_breaks_in_it():
    record = logging.LogRecord("item2vec.x", logging.INFO, "", 0, "two\nlines %d", (3,), None)
    record.facts = {"a": 1, "b": 'say "so"', "c": "x\ny", "d": None, "e": "é", "f": ""}
    assert LINE.fullmatch(line := _Lines().format(record))
    assert line.endswith(r'two\nlines 3 a=1 b="say \"so\"" c="x\ny" e=é f=""')
