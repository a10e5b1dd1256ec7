"""The ``item2vec models`` group: output, exit codes and error messages."""

import itertools
import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from faults.made import made_model
from faults.operations import served_seed, without_canary

from item2vec import fit, publish, versions
from item2vec.retraining.earlier_versions import last_promotion
from item2vec.versions.locks import locked

NOTE = {
    "run": "r7",
    "gates": [{"name": "beats popularity", "ok": True, "value": 0.25}],
    "metrics": {"ndcg@10": 0.125},
    "data": {"rows": 7, "users": None},
}


@pytest.fixture(scope="module", autouse=True)
def _quick(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(without_canary(tmp_path_factory.mktemp("quick")))
        yield


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "models"
    for seed in range(3):
        publish(made_model(seed=seed), path, note=NOTE, now=datetime(2024, 3, 1 + seed, tzinfo=UTC))
    return path


@pytest.fixture
def models(published, tmp_path):
    """Return a models folder in the current folder, with versions trained with the seeds 0, 1 and 2."""
    return shutil.copytree(published, tmp_path / "models")


@pytest.fixture
def ids(models):
    return [version.id for version in versions.list_versions(models)]


def json_of(item2vec, *words):
    """Return the JSON output of a command that succeeds."""
    code, out, err = item2vec("models", *words, "--json")
    assert code == 0, err
    return json.loads(out)


def damage(models, id_, name="input.npy"):
    path = models / "versions" / id_ / name
    path.chmod(0o644)
    path.write_bytes(b"\0" + path.read_bytes()[1:])


def test_list(item2vec, models, ids):
    item2vec("models", "rollback", "--reason", "jazz")
    versions.pin(models, ids[0])
    damage(models, ids[0], "manifest.json")
    model = versions.load_served(models)
    rows = json_of(item2vec, "list")
    assert [(row["version"], row["generation"], row["states"]) for row in rows] == [
        (ids[0], 1, ["pinned", "damaged"]),
        (ids[1], 4, ["served", "leased"]),
        (ids[2], 3, ["previous", "held"]),
    ]
    assert [row["created_at"] for row in rows] == [
        None,
        "2024-03-02T00:00:00+00:00",
        "2024-03-03T00:00:00+00:00",
    ]
    assert [row["items"] for row in rows] == [None, 40, 40]
    assert rows[1]["bytes"] == sum(file.stat().st_size for file in model[0].path.iterdir())
    code, out, _ = item2vec("models", "list")
    assert code == 0
    assert "served, leased" in out.splitlines()[2]


@pytest.mark.parametrize("name", ["CURRENT", "HOLD"])
def test_list_prints_the_versions_even_if_current_or_hold_is_damaged(item2vec, models, ids, name):
    (models / name).write_bytes(b"{")
    code, out, err = item2vec("models", "list")
    assert (code, len(out.splitlines())) == (5, 4)
    assert name in err


def test_list_shows_the_score_of_a_run_and_the_age(item2vec, tmp_path):
    evaluation = {"protocol": {"metric": "ndcg@5"}, "metrics": {"ndcg@5": 0.25, "hr@5": 0.5}}
    notes = {"retrain": {"evaluation": evaluation}}, {"retrain": {"evaluation": 3}}, {}
    for days, note in enumerate(notes, start=1):
        now = datetime.now(UTC) - timedelta(days=days, hours=1)
        publish(made_model(), tmp_path / "models", note=note, now=now)
    rows = json_of(item2vec, "list")
    assert [(row["metric"], row["value"]) for row in rows] == [("ndcg@5", 0.25), (None, None), (None, None)]
    assert [round(row["age_s"] / 3_600) for row in rows] == [25, 49, 73]
    lines = item2vec("models", "list")[1].splitlines()
    assert re.split(r" +", lines[1])[-6:-2] == ["1", "d", "ndcg@5", "0.250"]


def test_a_file_is_not_a_models_folder(item2vec, tmp_path):
    (tmp_path / "model").touch()
    code, out, err = item2vec("models", "list", "--models", "model")
    assert (code, out) == (2, "")
    assert "model is a file; expected a models folder" in err


def test_an_empty_folder_has_no_versions_and_the_error_names_train(item2vec):
    assert item2vec("models", "list")[:2] == (0, "(none)\n")
    for words in ("show", "verify", "pin", "unpin", "gc", "release", "rollback --reason x"):
        code, _, err = item2vec("models", *words.split())
        assert code == 2
        assert "item2vec train" in err


def test_show(item2vec, models, ids):
    item2vec("models", "rollback", "--reason", "jazz")
    facts = json_of(item2vec, "show", ids[2])
    assert (facts["version"], facts["states"], facts["items"]) == (ids[2], ["previous", "held"], 40)
    assert facts["note"] == NOTE
    assert facts["train"]["seed"] == 2
    assert facts["hold"]["reason"] == "jazz"
    at = facts["hold"]["at"]
    assert "T" in at
    assert datetime.fromisoformat(at) == versions.held(models).at
    assert json_of(item2vec, "release")["at"] == at


def test_show_prints_numbers_in_full_and_settings_by_their_names(item2vec, models, ids):
    code, out, _ = item2vec("models", "show", ids[1])
    lines = [re.sub(r"(?<=\S) {2,}", "  ", line) for line in out.splitlines()]
    assert (code, lines[0]) == (0, f"version  {ids[1]}")
    assert {"created_at  2024-03-02T00:00:00+00:00", "items  40"} <= {*lines}
    assert any(re.fullmatch(r"tokens  [\d,]+", line) for line in lines), "without decimals"
    train = block(lines, "train")
    assert {"min_alpha  0.0001", "seed  1", "weight_decay  0.003"} <= {*train}
    note = block(lines, "note")
    assert "run  r7" in note
    assert block(note, "gates") == ["name  ok  value", "beats popularity  True  0.25"]
    assert block(note, "metrics") == ["ndcg@10  0.125"]
    assert block(note, "data") == ["rows  7"], "values that are empty are left out"


def block(lines, name):
    """Return the lines that are indented under a name."""
    inside = itertools.takewhile(lambda line: line.startswith("  "), lines[lines.index(name) + 1 :])
    return [line[2:] for line in inside]


def test_show_refuses_damaged_and_unknown_versions(item2vec, models, ids):
    damage(models, ids[0], "manifest.json")
    assert item2vec("models", "show", ids[0])[0] == 5
    code, _, err = item2vec("models", "show", "g0000000009-00000000")
    assert code == 2
    assert "item2vec models list --models models" in err


def test_verify(item2vec, models, ids):
    assert json_of(item2vec, "verify") == {"version": ids[2], "result": "sound", "items": 40}
    assert [row["result"] for row in json_of(item2vec, "verify", "--all")] == ["sound"] * 3
    damage(models, ids[1])
    assert json_of(item2vec, "verify", ids[0])["result"] == "sound"
    code, out, err = item2vec("models", "verify", ids[1])
    assert (code, out) == (5, "")
    assert "input.npy is damaged" in err
    code, out, err = item2vec("models", "verify", "--all", "--json")
    assert (code, [row["result"] for row in json.loads(out)]) == (5, ["sound", "damaged", "sound"])
    assert f"1 of 3 versions are damaged: {ids[1]}" in err
    assert item2vec("models", "verify", "g0000000009-00000000")[0] == 2
    assert item2vec("models", "verify", ids[0], "--all")[0] == 2


def test_a_missing_folder_of_the_served_version_is_corrupt(item2vec, models, ids):
    shutil.rmtree(models / "versions" / ids[2])
    for words in ("verify", "verify --all", f"verify {ids[2]}", "show", "pin", "list"):
        code, _, err = item2vec("models", *words.split())
        assert code == 5, words
        assert f"models serves {ids[2]}, but models/versions/{ids[2]} does not exist; restore" in err
    assert item2vec("similar", "i1")[0] == 5
    assert item2vec("models", "rollback", "--to", ids[1], "--reason", "x")[0] == 0
    assert item2vec("models", "verify")[0] == 0
    assert item2vec("models", "verify", ids[2])[0] == 2


def test_rollback_and_release(item2vec, models, ids):
    facts = json_of(item2vec, "rollback", "--reason", "too much jazz")
    assert (facts["version"], facts["generation"], facts["previous"]) == (ids[1], 4, ids[2])
    assert served_seed(models) == 1
    assert json_of(item2vec, "release")["reason"] == "too much jazz"
    assert json_of(item2vec, "release") == {"released": False}
    assert json_of(item2vec, "rollback", "--to", ids[2], "--reason", "x")["version"] == ids[2]
    assert json_of(item2vec, "rollback", "--to", ids[0], "--reason", "x")["version"] == ids[0]
    code, _, err = item2vec("models", "rollback", "--reason", "x")
    assert code == 2
    assert err.endswith("the served one; specify another version with --to ID\n")


def test_rollbacks_that_are_refused(item2vec, models, ids):
    assert item2vec("models", "rollback")[0] == 2
    assert item2vec("models", "rollback", "--reason", "")[0] == 2
    assert item2vec("models", "rollback", "--reason", "x", "--to", ids[2])[0] == 2
    damage(models, ids[1], "manifest.json")
    code, _, err = item2vec("models", "rollback", "--reason", "x")
    assert code == 5
    assert f"versions that can be served: {ids[0]}" in err
    with locked(models, "retrain"):
        code, _, err = item2vec("models", "rollback", "--reason", "x")
    assert code == 75
    assert "item2vec retrain" in err
    assert served_seed(models) == 2


def test_pin_gc_unpin(item2vec, models, ids, tmp_path):
    assert json_of(item2vec, "pin", ids[0]) == {"version": ids[0], "pinned": True}
    assert json_of(item2vec, "gc", "--keep", "1") == []
    assert json_of(item2vec, "unpin", ids[0]) == {"version": ids[0], "pinned": False}
    assert json_of(item2vec, "gc") == []
    (tmp_path / "item2vec.toml").write_text("[retention]\nversions = 2\n")
    assert json_of(item2vec, "gc", "--keep", "3") == []
    assert json_of(item2vec, "gc") == [{"removed": ids[0]}]
    assert json_of(item2vec, "pin")["version"] == ids[2]
    assert item2vec("models", "gc", "--keep", "0")[0] == 2
    assert item2vec("models", "pin", ids[0])[0] == 2


def test_gc_removes_old_reports_and_pages(item2vec, models, ids, tmp_path):
    runs = models / "runs"
    runs.mkdir()
    for day, id_ in enumerate(ids, start=1):
        for suffix in ("json", "html"):
            (runs / f"2024030{4 - day}T000000Z-{id_}.{suffix}").write_text("{}")  # the clock was set back
    assert json_of(item2vec, "gc") == []
    (tmp_path / "item2vec.toml").write_text("[retention]\nreports = 2\n")
    assert json_of(item2vec, "gc") == [{"removed": f"20240303T000000Z-{ids[0]}"}]
    assert json_of(item2vec, "gc", "--reports", "1") == [{"removed": f"20240302T000000Z-{ids[1]}"}]
    assert sorted(path.name for path in runs.iterdir()) == [
        f"20240301T000000Z-{ids[2]}.{suffix}" for suffix in ("html", "json")
    ]
    assert item2vec("models", "gc", "--reports", "0")[0] == 2


def test_gc_keeps_the_report_of_the_last_promotion(item2vec, models):
    """The metrics file contains the time of the last promotion, which is read from this report."""
    runs = models / "runs"
    runs.mkdir()
    names = []
    for day, status in enumerate(("promoted", "promoted", "refused", "failed", "refused"), start=1):
        names.append(f"2024030{day}T000000Z-g{day:010}-0a1b2c3d")
        report = {"status": status, "finished_at": f"2024-03-0{day}T00:01:00+00:00"}
        (runs / f"{names[-1]}.json").write_text(json.dumps(report))
    removed = [row["removed"] for row in json_of(item2vec, "gc", "--reports", "1")]
    assert removed == [names[0], names[2], names[3]]
    assert last_promotion(models) == datetime(2024, 3, 2, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(("flag", "other"), [("--keep", "--reports"), ("--reports", "--keep")])
def test_gc_refuses_its_arguments_before_anything_is_removed(item2vec, models, ids, flag, other):
    code, _, err = item2vec("models", "gc", flag, "0", other, "1")
    assert (code, err) == (2, f"item2vec: {flag} is 0; expected at least 1\n")
    assert [version.id for version in versions.list_versions(models)] == ids


def test_train_publishes_nothing_between_a_rollback_and_its_release(item2vec, models, tmp_path):
    lists = tmp_path / "lists.txt"
    lists.write_text("a b c\nb c d\n")
    train = ("train", "--playlists", str(lists), "--vector-size", "12")
    assert item2vec("models", "rollback", "--reason", "jazz")[0] == 0
    current, known = Path("models/CURRENT").read_bytes(), sorted(Path("models/versions").iterdir())
    code, out, err = item2vec(*train)
    assert (code, out) == (3, "")
    assert "jazz" in err
    assert "item2vec models release --models models" in err
    assert Path("models/CURRENT").read_bytes() == current
    assert sorted(Path("models/versions").iterdir()) == known
    assert item2vec("models", "release")[0] == 0
    assert item2vec(*train)[0] == 0
    assert Path("models/CURRENT").read_bytes() != current


def test_train_refuses_a_hold_before_the_training(item2vec, models, monkeypatch):
    monkeypatch.setattr("item2vec.fit", lambda *_arguments, **_options: pytest.fail("trained"))
    assert item2vec("models", "rollback", "--reason", "jazz")[0] == 0
    assert item2vec("train", "--playlists", "none.txt")[0] == 3


def test_train_publishes_nothing_if_a_rollback_is_made_during_the_training(item2vec, models, monkeypatch):
    def fit_and_roll_back(*arguments, **options):
        versions.rollback("models", reason="jazz")
        return fit(*arguments, **options)

    monkeypatch.setattr("item2vec.fit", fit_and_roll_back)
    Path("lists.txt").write_text("a b c\nb c d\n")
    code, _, err = item2vec("train", "--playlists", "lists.txt", "--vector-size", "12")
    assert (code, "jazz" in err) == (3, True)
    assert versions.served_version("models").id == versions.held("models").to
