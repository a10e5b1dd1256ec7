"""``item2vec tune``: searches settings, keeps fixed ones, and writes a file that ``train`` reads."""

import json
import tomllib

import pytest

from item2vec import TasteConfig

SENTENCES = [[f"i{(start + step) % 20}" for step in range(6)] for start in range(20)] * 3
QUICK = ("--epochs", "3", "--vector-size", "8", "--workers", "1")


@pytest.fixture
def playlists(tmp_path):
    path = tmp_path / "lists.txt"
    path.write_text("".join(" ".join(sentence) + "\n" for sentence in SENTENCES))
    return ("--playlists", str(path))


def test_train_reads_the_settings_that_tune_writes(item2vec, playlists, tmp_path):
    code, out, err = item2vec(
        "tune", *playlists, "--trials", "2", *QUICK, "--window", "2", "--out", "item2vec.toml"
    )
    assert (code, err) == (0, "")
    assert "2 trials: 2 complete" in out
    assert "on validation (last), with 95 % intervals" in out
    assert "Written to item2vec.toml" in out
    written = tomllib.loads((tmp_path / "item2vec.toml").read_text())
    assert written["train"] | {"window": 2, "epochs": 3, "vector_size": 8} == written["train"]
    assert item2vec("train", *playlists, "--json")[0] == 0
    from item2vec import load

    model = load(tmp_path / "models")
    config = model.vectors.config
    assert config.model_dump(mode="json", include=set(written["train"])) == written["train"]
    assert model.taste == TasteConfig(**written["taste"]).as_trained(config, has_output=True)


HAND_WRITTEN = """\
# our shop
store = "sqlite:///shop.db"

[train]
epochs = 99      # too many
workers = 1
patience = 3

[gates]
max_drop = 0.2   # agreed in May

[adapter]
gap = "2h"
"""


def test_other_sections_and_comments_of_the_file_are_kept(item2vec, playlists, tmp_path):
    path = tmp_path / "shop.toml"
    path.write_text(HAND_WRITTEN)
    assert item2vec("tune", *playlists, "--trials", "1", *QUICK, "--out", "shop.toml")[0] == 0
    text = path.read_text()
    found = tomllib.loads(text)
    before = tomllib.loads(HAND_WRITTEN)
    assert {name: found[name] for name in ("store", "gates", "adapter")} == {
        name: before[name] for name in ("store", "gates", "adapter")
    }
    assert "# our shop" in text
    assert "max_drop = 0.2   # agreed in May" in text
    assert found["index"] == "auto"
    assert found["train"]["epochs"] == 3
    assert found["train"]["workers"] == 1
    assert "patience" not in found["train"]
    assert item2vec("tune", *playlists, "--trials", "1", *QUICK, "--out", "shop.toml")[0] == 0
    assert path.read_text() == text


def test_the_store_is_split_by_time_by_default(item2vec, tmp_path):
    rows = [f"u{user},i{(user + day) % 20},2024-01-{day:02}" for day in range(1, 21) for user in range(12)]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    assert item2vec("ingest", "events.csv")[0] == 0
    quick = ("tune", "--trials", "1", *QUICK, "--json")
    found = json.loads(item2vec(*quick)[1])
    assert found["protocol"] == "temporal"
    assert found["default"] == found["chosen"]
    assert found["default"]["low"] <= found["value"] <= found["default"]["high"]
    assert (found["gain"], found["warnings"]) == (None, [])
    assert json.loads(item2vec(*quick, "--gap", "2d")[1])["protocol"] == "temporal"
    assert json.loads(item2vec(*quick, "--protocol", "last")[1])["protocol"] == "last"


def test_a_budget_that_is_too_small_is_a_warning(item2vec, playlists):
    code, out, err = item2vec("tune", *playlists, "--budget", "0.01s", *QUICK)
    assert (code, err) == (0, "")
    assert "Warning: the budget was too small" in out


def test_settings_of_the_file_are_not_fixed(item2vec, playlists, tmp_path):
    (tmp_path / "item2vec.toml").write_text("[train]\nwindow = 29\n")
    found = json.loads(item2vec("tune", *playlists, "--trials", "2", *QUICK, "--json")[1])
    assert all(trial.get("window") != 29 for trial in found["trials"])
    assert found["metric"] == "ndcg@10"
    assert found["config"]["train"]["epochs"] == 3
    assert {trial["state"] for trial in found["trials"]} == {"complete"}
    assert all(0 <= trial["ndcg@10"] <= 1 for trial in found["trials"])


def test_an_existing_study_is_resumed(item2vec, playlists, tmp_path):
    words = ("tune", *playlists, *QUICK, "--study", "s.jsonl", "--protocol", "prefix", "--repeats", "--json")
    first = json.loads(item2vec(*words, "--trials", "1")[1])
    second = json.loads(item2vec(*words, "--trials", "2")[1])
    assert second["trials"][:1] == first["trials"]
    assert len(second["trials"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metric", "hits@3"), "metric is 'hits@3'"),
        (("--budget", "ages"), "budget is 'ages'"),
        (("--protocol", "temporal"), "--protocol temporal requires timestamps"),
        (("--protocol", "lest"), "--protocol is 'lest'"),
        (("--vector-size", "0"), "--vector-size is 0"),
        (("--out", "lists.txt"), "--out lists.txt is not valid TOML"),
        (("--out", "nowhere/item2vec.toml"), "the folder nowhere does not exist"),
    ],
)
def test_invalid_options_are_refused(item2vec, playlists, words, message):
    code, out, err = item2vec("tune", *playlists, "--trials", "1", *words)
    assert (code, out) == (2, "")
    assert message in err
