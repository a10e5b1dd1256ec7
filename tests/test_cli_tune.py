"""``item2vec tune``: finds settings, keeps those that are given, writes them where ``train`` reads them."""

import json
import tomllib

import pytest

from item2vec import TasteConfig

SENTENCES = [[f"i{(start + step) % 20}" for step in range(6)] for start in range(20)] * 3
QUICK = ("--epochs", "2", "--vector-size", "8", "--workers", "1")


@pytest.fixture
def playlists(tmp_path):
    path = tmp_path / "lists.txt"
    path.write_text("".join(" ".join(sentence) + "\n" for sentence in SENTENCES))
    return ("--playlists", str(path))


def test_what_is_found_is_what_train_then_reads(item2vec, playlists, tmp_path):
    code, out, err = item2vec(
        "tune", *playlists, "--trials", "2", *QUICK, "--window", "2", "--out", "item2vec.toml"
    )
    assert (code, err) == (0, "")
    assert "Tuning(2 trials" in out
    assert "Written to item2vec.toml" in out
    written = tomllib.loads((tmp_path / "item2vec.toml").read_text())
    assert written["train"] | {"window": 2, "epochs": 2, "vector_size": 8} == written["train"]
    assert item2vec("train", *playlists, "--json")[0] == 0
    from item2vec import load

    model = load(tmp_path / "models")
    config = model.vectors.config
    assert config.model_dump(mode="json", include=set(written["train"])) == written["train"]
    assert model.taste == TasteConfig(**written["taste"]).as_trained(config, has_output=True)


def test_settings_of_the_file_are_searched_anew(item2vec, playlists, tmp_path):
    (tmp_path / "item2vec.toml").write_text("[train]\nwindow = 29\n")
    found = json.loads(item2vec("tune", *playlists, "--trials", "2", *QUICK, "--json")[1])
    assert all(trial.get("window") != 29 for trial in found["trials"])
    assert found["metric"] == "ndcg@10"
    assert found["config"]["train"]["epochs"] == 2
    assert {trial["state"] for trial in found["trials"]} == {"complete"}
    assert all(0 <= trial["ndcg@10"] <= 1 for trial in found["trials"])


def test_a_study_goes_on_on_the_command_line(item2vec, playlists, tmp_path):
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
        (("--protocol", "temporal"), "--protocol is 'temporal'"),
        (("--vector-size", "0"), "vector_size is 0"),
        (
            ("--objective", "cbow", "--dropout", "0.1"),
            "--dropout is a setting of --objective next_item",
        ),
        (("--out", "lists.txt"), "lists.txt exists"),
    ],
)
def test_what_cannot_be_asked(item2vec, playlists, words, message):
    code, out, err = item2vec("tune", *playlists, "--trials", "1", *words)
    assert (code, out) == (2, "")
    assert message in err
