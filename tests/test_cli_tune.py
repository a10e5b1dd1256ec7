"""``item2vec tune``: searches settings, keeps fixed ones, and writes a file that ``train`` reads."""

import json
import re
import tomllib
from dataclasses import replace

import pytest

from item2vec import Sentences, TasteConfig, TrainConfig
from item2vec.cli.tune import _sections
from item2vec.config import AdapterConfig, Config
from item2vec.tuning import Estimate, Trial, Tuning

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
    assert model.taste == TasteConfig(**written.get("taste", {})).as_trained(config, has_output=True)


def trained(train, sentences):
    settings = train.replace(workers=1)
    return settings.for_data(sentences.n_tokens, ordered=sentences.ordered).model_dump()


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"vector_size": 8},
        {"objective": "skipgram", "backend": "numba"},
        {"objective": "lsa"},
        {"context_decay": (0.98,), "tied": 1},
        {"similarity": "inner", "tied": 0, "context_decay": (0.3, 0.8, 0.98)},
        {"context_decay": ("learned", 0.98, "learned"), "vector_size": 192, "epochs": 25},
        {"epochs": 15},
    ],
)
@pytest.mark.parametrize("repeats", [1, 50_000])
def test_the_written_settings_train_as_the_chosen_ones(ordered, settings, repeats):
    sentences = replace(Sentences.of([["a", "b", "c"], ["b", "a", "c"]] * repeats), ordered=ordered)
    default = TrainConfig().for_data(sentences.n_tokens, ordered=ordered)
    chosen = TrainConfig(**settings).for_data(sentences.n_tokens, ordered=ordered)
    trials = tuple(
        Trial(n, Config(train=train), "complete", 0.1) for n, train in enumerate([default, chosen])
    )
    tuning = Tuning(Config(train=chosen), "ndcg@10", "last", trials, *[Estimate(0.1, 0.0, 0.2)] * 2, None)
    written = _sections(tuning, {"alpha"}, sentences, None, AdapterConfig())
    assert trained(TrainConfig(**written["train"]), sentences) == trained(chosen, sentences)
    names = {"alpha", *settings} - ({"epochs"} if repeats == 1 and settings == {"epochs": 15} else set())
    assert written["train"].keys() <= names | {"context_decay"}
    assert written["taste"] == {}


def test_kept_defaults_are_not_frozen(item2vec, playlists, tmp_path):
    path = tmp_path / "item2vec.toml"
    path.write_text(
        'index = "exact"\n\n[train]\nepochs = 99\n\n[taste]\nlast_n = 3\n\n[gates]\nmax_growth = 2.0\n'
    )
    code, _, err = item2vec("tune", *playlists, "--trials", "1", "--vector-size", "8", "--out", str(path))
    assert (code, path.read_text()) == (0, "[train]\nvector_size = 8\n\n[gates]\nmax_growth = 2.0\n")
    replaced = 'index = "exact", train.epochs = 99, taste.last_n = 3'
    assert err == f"item2vec: {path} had other settings, now replaced: {replaced}\n"
    words = ("tune", *playlists, "--trials", "1", "--workers", "1")
    assert item2vec(*words, "--seed", "1", "--out", "new.toml")[0] == 0
    assert (tmp_path / "new.toml").read_text() == "[train]\nseed = 1\n"
    assert "All settings have their built-in defaults" in item2vec(*words)[1]


def test_the_gap_is_written_with_the_settings(item2vec, tmp_path):
    """The sentences of the next training are those of the study."""
    rows = [
        f"u{user},i{(user + day) % 20},2024-01-{day:02}"
        for day in (1, 2, 3, 11, 12, 13)
        for user in range(12)
    ]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    assert item2vec("ingest", "events.csv")[0] == 0
    quick = ("tune", "--trials", "1", *QUICK, "--protocol", "last")
    path = tmp_path / "item2vec.toml"
    path.write_text("[adapter]\nmax_length = 4  # agreed in May\n")
    assert item2vec(*quick, "--out", str(path))[0] == 0
    assert tomllib.loads(path.read_text())["adapter"] == {"max_length": 4}
    assert item2vec(*quick, "--gap", "1d", "--out", str(path))[0] == 0
    assert "max_length = 4  # agreed in May" in path.read_text()
    assert tomllib.loads(path.read_text())["adapter"] == {"max_length": 4, "kind": "sessions", "gap": "1d"}
    with_gap = json.loads(item2vec("train", *QUICK, "--gap", "1d", "--json")[1])
    assert json.loads(item2vec("train", *QUICK, "--json")[1])["sentences"] == with_gap["sentences"] == 24
    assert 'kind = "sessions"\ngap = "1d"' in item2vec(*quick, "--gap", "1d")[1]


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
    path.write_text(HAND_WRITTEN, encoding="utf-8-sig")
    assert item2vec("tune", *playlists, "--trials", "1", *QUICK, "--out", "shop.toml")[0] == 0
    text = path.read_text()
    found = tomllib.loads(text)
    before = tomllib.loads(HAND_WRITTEN)
    assert {name: found[name] for name in ("store", "gates", "adapter")} == {
        name: before[name] for name in ("store", "gates", "adapter")
    }
    assert "# our shop" in text
    assert "max_drop = 0.2   # agreed in May" in text
    assert "index" not in found
    assert found["train"] == {"epochs": 3, "vector_size": 8, "workers": 1}
    assert item2vec("tune", *playlists, "--trials", "1", *QUICK, "--out", "shop.toml")[::2] == (0, "")
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
    assert "To go on, run the same command with a longer --budget; with --study FILE, a run keeps" in out
    words = ("tune", *playlists, "--budget", "0.01s", *QUICK, "--study", "s.jsonl")
    for run in range(2):
        out = item2vec(*words)[1]
        assert "with a longer --budget; --study s.jsonl keeps its trials for the next" in out
        assert "nan" not in out
        assert bool(re.search(r"default  [0-9.]+ \([0-9.]+ to [0-9.]+\)\n", out)) is (run == 0)


def test_settings_of_the_file_are_not_fixed(item2vec, playlists, tmp_path):
    (tmp_path / "item2vec.toml").write_text("[train]\nwindow = 29\n", encoding="utf-8-sig")
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
