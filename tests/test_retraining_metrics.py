"""The metrics file of ``retrain`` after a promotion, a refusal and errors, read by Prometheus' own parser."""

import json
import math
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from faults.operations import without_canary
from nights import TOML, InProcessWorker, fill, made_listens, shuffled
from prometheus_client.parser import text_string_to_metric_families
from users import as_nobody

from item2vec import versions
from item2vec.errors import CorruptBundleError
from item2vec.retraining import metrics_file

NOW = datetime(2024, 2, 29, 3, 15, tzinfo=UTC)


def parsed(text):
    """Return the values of a metrics file by name, and by the labels other than ``models``."""
    values = {}
    for family in text_string_to_metric_families(text):
        assert (family.type, bool(family.documentation)) == ("gauge", True)
        for sample in family.samples:
            models, *labels = sample.labels.items()
            assert models[0] == "models"
            key = (sample.name.removeprefix("item2vec_retrain_"), *(value for _, value in labels))
            assert key not in values, "every sample once"
            values[key] = sample.value
    return values


@pytest.fixture
def night(item2vec, tmp_path, monkeypatch, tmp_path_factory):
    """Return a function that runs ``retrain`` on listens, and returns exit code, report and metrics."""
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
    monkeypatch.syspath_prepend(without_canary(tmp_path_factory.mktemp("quick")))
    path = tmp_path / "collector" / "item2vec.prom"
    path.parent.mkdir()
    (tmp_path / "item2vec.toml").write_text(f'metrics_file = "{path}"\n{TOML}')

    def run(store, *words):
        code, out, _ = item2vec("retrain", "--json", "--store", store, *words)
        assert [file.name for file in path.parent.iterdir()] == [path.name]
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        return code, json.loads(out or "{}"), parsed(path.read_text())

    return run


def test_a_promotion_a_refusal_and_an_error_are_measured(night, tmp_path):
    store = fill(f"sqlite:///{tmp_path}/item2vec.db", made_listens())
    code, report, values = night(store)
    assert (code, values["exit_code",]) == (0, 0)
    promoted = datetime.fromisoformat(report["finished_at"]).timestamp()
    assert values["last_success_timestamp_seconds",] == pytest.approx(promoted, abs=1e-3)
    assert values["last_run_timestamp_seconds",] >= promoted - 60
    assert values["duration_seconds",] >= values["phase_seconds", "train"] > 0
    assert [values[name,] for name in ("interactions", "users", "items")] == [3840, 240, 144]
    scores = {"item2vec": report["evaluation"]["metrics"], **report["evaluation"]["baselines"]}
    assert {key[2]: value for key, value in values.items() if key[0] == "score"} == {
        name: metrics["ndcg@10"] for name, metrics in scores.items()
    }
    gates = {gate["name"]: gate for gate in report["gates"]}
    assert {key[1] for key, value in values.items() if key[0] == "gate_passed" and value == 1} == {*gates}
    assert values["gate_value", "queries"] == gates["queries"]["value"]
    assert ("gate_value", "finite") not in values

    code, report, values = night(fill(f"sqlite:///{tmp_path}/shuffled.db", shuffled(made_listens())))
    assert (code, values["exit_code",]) == (3, 3)
    assert values["gate_passed", "beats_popularity"] == 0
    assert values["score", "ndcg@10", "item2vec"] == report["evaluation"]["metrics"]["ndcg@10"]
    assert values["last_success_timestamp_seconds",] == pytest.approx(promoted, abs=1e-3)
    assert values["last_run_timestamp_seconds",] > promoted

    with versions.attempt(tmp_path / "models"):
        code, _, values = night(store)
    assert (code, values["exit_code",]) == (75, 75)
    assert {name for name, *_ in values} == {
        "exit_code",
        "duration_seconds",
        "last_run_timestamp_seconds",
        "last_success_timestamp_seconds",
    }


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (OSError, 1)])
def test_ctrl_c_and_unexpected_errors_have_an_exit_code_and_are_raised_again(tmp_path, error, code):
    path = tmp_path / "item2vec.prom"
    with pytest.raises(error), metrics_file.metrics_file(path, tmp_path):
        raise error
    values = parsed(path.read_text())
    assert values["exit_code",] == code
    assert ("last_success_timestamp_seconds",) not in values


@pytest.mark.parametrize("models", ["closed/models", "a" * 300, "loop"])
def test_a_models_folder_that_cannot_be_looked_up_has_an_exit_code_and_no_last_success(outside, models):
    (outside / "closed").mkdir(mode=0o700)
    (outside / "loop").symlink_to("loop")
    path = outside / "collector" / "item2vec.prom"
    path.parent.mkdir()
    path.parent.chmod(0o777)

    def run():
        with metrics_file.metrics_file(path, outside / models):
            raise CorruptBundleError("the folder cannot be read")

    assert "the folder cannot be read" in as_nobody(run)
    values = parsed(path.read_text())
    assert values["exit_code",] == 5
    assert ("last_success_timestamp_seconds",) not in values


def test_a_file_in_a_folder_that_may_not_be_looked_up_is_refused(outside):
    path = outside / "closed" / "collector" / "item2vec.prom"
    path.parent.mkdir(parents=True)
    (outside / "closed").chmod(0o700)

    def run():
        with metrics_file.metrics_file(path, outside / "models"):
            return "no error"

    assert f"CorruptBundleError: {path.parent} cannot be read: Permission denied" in as_nobody(run)


def test_labels_are_escaped_and_numbers_that_are_not_finite_have_prometheus_spelling():
    report = {
        "gates": [
            {"name": 'a"b\\c\nd', "passed": False, "value": "nan"},
            {"name": "inf", "passed": False, "value": "inf"},
            {"name": "low", "passed": True, "value": 1e-300},
        ]
    }
    text = metrics_file._rendered(report, Path('/srv/"é"\\'), 3, 0.5, NOW, None)
    values = parsed(text)
    assert math.isnan(values["gate_value", 'a"b\\c\nd'])
    assert (values["gate_value", "inf"], values["gate_value", "low"]) == (math.inf, 1e-300)
    (family, *_) = text_string_to_metric_families(text)
    assert family.samples[0].labels == {"models": '/srv/"é"\\'}
    assert family.samples[0].value == NOW.timestamp()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("item2vec.txt", "expected a name that ends with .prom"),
        ("nowhere/item2vec.prom", "expected a file in an existing folder: create nowhere"),
    ],
)
def test_a_file_that_node_exporter_would_not_read_is_refused_before_any_work(item2vec, name, message):
    code, _, err = item2vec("retrain", "--metrics-file", name)
    assert code == 2
    assert message in err
    assert not Path("models").exists()


def test_a_file_that_cannot_be_written_is_a_warning(tmp_path, caplog):
    path = tmp_path / "item2vec.prom"
    path.mkdir()
    with metrics_file.metrics_file(path, tmp_path):
        pass
    assert "the metrics file was not written" in caplog.text
