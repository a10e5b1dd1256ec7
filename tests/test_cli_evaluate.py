"""``item2vec evaluate``: protocols, settings, and the agreement of its numbers with the library's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from item2vec import CBOW, Recommender, TasteConfig, load, readers, train
from item2vec.adapters import histories
from item2vec.cli.app import app, environment_names
from item2vec.config import SETTINGS_OF_TRAINING
from item2vec.evaluation.evaluate import evaluate
from item2vec.evaluation.temporal_splits import temporal_split
from item2vec.store import Store

QUICK = ("--epochs", "1", "--vector-size", "4", "--workers", "1")
SETTINGS = {*SETTINGS_OF_TRAINING, *TasteConfig.model_fields, "index"} - {"patience"}


@pytest.fixture
def listens(item2vec, tmp_path):
    """Return a CSV file of 24 users who cycle through nine items; its rows are also in the store."""
    rows = [f"u{u},{'abcdefghi'[(u + 2 * n) % 9]},{100 * n + u}" for u in range(24) for n in range(7)]
    path = tmp_path / "listens.csv"
    path.write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    assert item2vec("ingest", "listens.csv")[0] == 0
    return path


@pytest.fixture
def playlists(tmp_path):
    rows = [" ".join("abcdefghi"[(u + 2 * n) % 9] for n in range(7)) for u in range(24)]
    path = tmp_path / "lists.txt"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_days_are_counted_back_from_the_cut_off_of_the_split(item2vec, tmp_path):
    rows = [f"u{u},{'abcdefghi'[(u + n) % 9]},1970-03-{n + 1:02}" for u in range(24) for n in range(10)]
    (tmp_path / "listens.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    assert item2vec("ingest", "listens.csv")[0] == 0
    (tmp_path / "item2vec.toml").write_text("[adapter]\ndays = 2.5\n")
    code, out, _ = item2vec("evaluate", *QUICK, "--at", "1970-03-08", "--json")
    assert code == 0
    assert f"trained on {3 * 24} tokens" in json.loads(out)["splits"][0]  # 5, 6 and 7 March


def test_the_store_is_split_by_time_and_the_metrics_equal_the_library_s(item2vec, listens):
    code, out, err = item2vec(
        "evaluate", *QUICK, "--fraction", "0.2", "-k", "2", "-k", "1", "-k", "4", "--json"
    )
    assert (code, err) == (0, "")
    found = json.loads(out)
    with Store("sqlite:///item2vec.db") as store:
        split = temporal_split(store.interactions(), fraction=0.2)
    vectors = train(split.train, epochs=1, vector_size=4, workers=1)
    expected = evaluate(Recommender(vectors), split, k=(1, 2, 4))
    assert found["metrics"]["item2vec"] == pytest.approx(expected.metrics)
    assert found["splits"] == [repr(split)]
    assert found["splits"][0].startswith("Split(temporal from 1970-01-01T00:0")
    assert found["comparison"]["metric"] == "ndcg@2"
    assert set(found["metrics"]) == {
        "item2vec", "popularity", "recent popularity", "item-kNN", "Markov chain", "transitions",
        "link propagation", "EASE", "random",
    }  # fmt: skip
    low, high = found["intervals"]["hr@2"]
    assert low <= found["metrics"]["item2vec"]["hr@2"] <= high
    assert (found["leaks"], found["exact"], found["report"]) == ([], None, None)


def test_the_table_has_the_split_all_models_and_the_verdict(item2vec, playlists):
    code, out, err = item2vec("evaluate", "--playlists", "lists.txt", *QUICK, "--index", "annoy")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("Split(leave-last-1-out: 24 queries")
    table = lines[2 : lines.index("", 2)]
    assert table[0].split()[:3] == ["model", "hr@10", "recall@10"]
    assert [line[:18].strip() for line in table[1:]] == [
        "item2vec", "95 % from", "95 % to", "exact search",
        "popularity", "recent popularity", "item-kNN", "Markov chain", "transitions", "link propagation",
        "EASE", "random",
    ]  # fmt: skip
    assert "does not beat all baselines: ndcg@10" in out
    assert "Leak: leave-last-1-out trains on interactions of other users after" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--protocol temporal --at 1970-01-01T00:08:30", "temporal from 1970-01-01T00:08:30"),
        ("--protocol leave-last-out", "leave-last-1-out: 24 queries"),
        ("--protocol leave-last-out --gap 1h", "leave-last-1-out: 24 queries"),
        ("--protocol random --fraction 0.3", "of each sentence held out: 24 queries"),
        ("--protocol prefix", "every prefix predicts the next item: 12 queries"),
        ("--protocol prefix --fraction 0.5 --min-history 5 --cold-targets drop", "next item: 24 queries"),
        ("--protocol prefix --fraction 0.5", "every prefix predicts the next item: 72 queries"),
        ("--protocol prefix --gap 101s", "every prefix predicts the next item: 12 queries"),
    ],
)
def test_every_protocol_can_be_chosen(item2vec, listens, words, said):
    code, out, _ = item2vec("evaluate", *QUICK, *words.split(), "-k", "3", "--json")
    assert code == 0
    assert said in json.loads(out)["splits"][0]


@pytest.mark.parametrize(
    "protocol", ["temporal --at 1970-01-01T00:05", "leave-last-out", "leave-last-out --gap 1h", "k-fold"]
)
def test_repeats_keeps_items_of_the_history_as_targets(item2vec, tmp_path, protocol):
    rows = [f"u{u},{'abcdefghi'[(u + n % 3) % 9]},{100 * n + u}" for u in range(24) for n in range(4)]
    (tmp_path / "again.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    assert item2vec("ingest", "again.csv")[0] == 0
    words = ("evaluate", *QUICK, "--protocol", *protocol.split(), "-k", "3", "--json")
    code, out, _ = item2vec(*words, "--repeats")
    assert (code, json.loads(out)["queries"]) == (0, 24)
    if "temporal" not in protocol:
        assert all("repeats kept" in split for split in json.loads(out)["splits"])
    code, _, err = item2vec(*words)
    assert code == 2
    assert "has no query" in err or "no user has a new item" in err


def test_k_fold_evaluates_every_sentence_once(item2vec, playlists):
    words = ("evaluate", "--playlists", "lists.txt", "--protocol", "k-fold", *QUICK, "-k", "3", "--json")
    found = json.loads(item2vec(*words)[1])
    for number, split in enumerate(found["splits"], start=1):
        assert f"(fold {number} of 5)" in split
    assert found["queries"] == 24


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--protocol tempral", "--protocol is 'tempral'; expected one of temporal"),
        ("--playlists lists.txt --protocol temporal", "requires timestamps; the sentences have none"),
        ("--playlists lists.txt --cold-targets ignore", "--cold-targets is 'ignore'; expected keep or drop"),
        ("--playlists lists.txt --min-history -1", "--min-history is -1; expected a number of items"),
        ("--playlists lists.txt --min-history 99", "none of 24 queries is left"),
        ("--playlists lists.txt --at 2024-01-01", "--at does not apply to --protocol leave-last-out"),
        ("--playlists lists.txt --fraction 0.2", "--fraction does not apply to --protocol leave-last-out"),
        (
            "--protocol random --repeats",
            "--repeats does not apply to --protocol random; use it with temporal",
        ),
        ("--protocol prefix --repeats", "--repeats does not apply to --protocol prefix"),
        ("--playlists lists.txt --gap 2h", "--gap does not apply to sentences from --playlists"),
        ("--playlists lists.txt --protocol k-fold --report x.html", "choose another --protocol"),
        ("--playlists lists.txt --report no/x.html", "the folder no does not exist; create it first"),
        ("--playlists lists.txt -k 0", "--k is 0"),
        ("--playlists lists.txt --vector-size 0", "--vector-size is 0"),
        ("--playlists lists.txt --score outptu", "did you mean 'output'"),
        (
            "--playlists lists.txt --decay x",
            "decay is 'x'; expected a valid number, or 'learned', or a list of values, such as (0.5, 0.9)",
        ),
        (
            "--playlists lists.txt --decay 0.5,x",
            "decay is '0.5,x'; expected a valid number, or 'learned', or",
        ),
        ("--playlists lists.txt --decay 0.5,", "decay is '0.5,'; expected"),
        ("--playlists lists.txt --decay 2", "decay is 2.0; expected less than or equal to 1"),
        ("--playlists lists.txt --decay 0.5,2", "decay is 2.0; expected less than or equal to 1"),
        ("--playlists lists.txt --decay nan,0.5", "decay is nan; expected a finite number"),
        (
            "--playlists lists.txt --decay 0.5,0.6,0.7 --vector-size 64",
            "expected a multiple of 3, the number of parts in decay=(0.5, 0.6, 0.7)",
        ),
        (
            "--playlists lists.txt --context-decay 0.5,x",
            "--context-decay is '0.5,x'; expected a list of values, such as (0.5",
        ),
        (
            "--playlists lists.txt --context-decay 0.5,0.9 --vector-size 65",
            "--vector-size is 65; expected a multiple of 2, the number of parts in context_decay=(0.5, 0.9)",
        ),
        (
            "--playlists lists.txt --objective next_item --backend gensim",
            "backend='gensim' does not support objective='next_item'; set backend='numba'",
        ),
        ("--skip-lines 1", "--skip-lines does not apply to sentences from the store"),
        ("--playlists nowhere.txt", "nowhere.txt"),
    ],
)
def test_invalid_input_is_one_line_on_stderr(item2vec, listens, playlists, words, message):
    code, out, err = item2vec("evaluate", *words.split())
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_report_is_written_with_titles(item2vec, playlists, tmp_path):
    (tmp_path / "songs.csv").write_text(
        "item_id,title\n" + "".join(f"{id_},Song {id_}\n" for id_ in "abcdefghi")
    )
    words = ("--items", "songs.csv", "--report", "report.html", "--window", "3", "-k", "3")
    code, out, _ = item2vec("evaluate", "--playlists", "lists.txt", *QUICK, *words)
    assert code == 0
    assert out.endswith("Report: report.html\n")
    page = Path("report.html").read_text()
    assert re.search(r">window</t[hd]><td>3</td>", page)
    assert page.count("Song ") > 20


def test_a_report_does_not_make_the_test_part_validation_data(item2vec, playlists, tmp_path):
    words = ("evaluate", "--playlists", "lists.txt", *QUICK, "-k", "3")
    assert item2vec(*words, "--report", "report.html")[0] == 0
    page = Path("report.html").read_text()
    assert "The loss on the training data" in page
    assert "ndcg@10" not in page, "of validation data"
    (tmp_path / "item2vec.toml").write_text("[train]\npatience = 1\n")
    without, with_report = item2vec(*words), item2vec(*words, "--report", "report.html")
    assert without == with_report
    assert without[0] == 2
    assert "patience=1 needs validation data" in without[2]


def test_every_setting_is_an_option_and_a_variable_of_train_and_evaluate(item2vec):
    import typer

    commands = typer.main.get_command(app).commands
    for name in ("train", "evaluate"):
        options = {option.name: option for option in commands[name].params}
        assert set(options) >= SETTINGS
        assert "config" not in options
        for setting in SETTINGS:
            assert options[setting].envvar == f"ITEM2VEC_{setting.upper()}"
            assert options[setting].help
    assert {f"ITEM2VEC_{setting.upper()}" for setting in SETTINGS} <= environment_names()


def test_help_names_the_objectives_of_a_setting_and_their_defaults(item2vec):
    import typer

    options = {option.name: option.help for option in typer.main.get_command(app).commands["train"].params}
    assert options["epochs"].endswith("[default: next_item 15, skipgram and cbow 40, glove 25]")
    assert options["vector_size"].endswith(
        "[default: next_item 384, skipgram and cbow and lsa and glove and transitions and linkprop and "
        "ease 64]"
    )
    assert options["l2"].startswith("ease: Regularisation: number added")
    assert options["dropout"].startswith("next_item: Probability that a history item is dropped")
    assert options["dropout"].endswith("[default: 0.3]")
    assert options["min_count"].startswith("Minimum number of occurrences of an item; ")
    assert options["min_count"].endswith("[default: 1]")
    assert options["objective"].endswith(
        "One of: next_item, skipgram, cbow, lsa, glove, transitions, linkprop, ease. [default: next_item]"
    )
    assert "default:" not in options["workers"]


def test_settings_of_every_kind_reach_the_model(item2vec, playlists, monkeypatch, tmp_path):
    (tmp_path / "item2vec.toml").write_text("[train]\nnegative = 3\nepochs = 2\n[taste]\nscore = 'output'\n")
    monkeypatch.setenv("ITEM2VEC_HALF_LIFE", "2.5")
    monkeypatch.setenv("ITEM2VEC_EPOCHS", "3")
    monkeypatch.setenv("ITEM2VEC_CBOW_MEAN", "false")
    flags = "--window full --no-shrink-windows --objective cbow --decay 0.5 --last-n 4 --seed 9 --workers 1 "
    flags += "--repeat-bonus 3 --mixture 0.5 --popularity 2 --popularity-half-life 7"
    assert item2vec("train", "--playlists", "lists.txt", "--vector-size", "4", *flags.split())[0] == 0
    model = load("models")
    assert model.vectors.config == CBOW(
        negative=3, epochs=3, cbow_mean=False, window="full", shrink_windows=False, seed=9, workers=1,
        vector_size=4,
    )  # fmt: skip
    assert model.taste == TasteConfig(
        score="output", half_life=2.5, decay=0.5, last_n=4, repeat_bonus=3, mixture=0.5, popularity=2,
        popularity_half_life=7,
    )  # fmt: skip
    assert len(model.neighbours) == len(model.prior) == len(model.vectors)


def test_one_decay_or_several_reach_the_model(item2vec, playlists, monkeypatch, tmp_path):
    def trained(*words):
        code, _, err = item2vec("train", "--playlists", "lists.txt", *QUICK, *words)
        assert (code, err) == (0, "")
        model = load("models")
        return model.taste.decay, model.vectors.config.context_decay

    assert trained("--decay", "0.5", "--context-decay", "0.4") == (0.5, (0.4,))
    (tmp_path / "item2vec.toml").write_text(
        "[train]\ncontext_decay = [0.4, 0.8]\n[taste]\ndecay = [0.5, 1]\n"
    )
    assert trained() == ((0.5, 1.0), (0.4, 0.8))
    monkeypatch.setenv("ITEM2VEC_DECAY", "0.6,0.9")
    monkeypatch.setenv("ITEM2VEC_CONTEXT_DECAY", "0.3,0.7")
    assert trained() == ((0.6, 0.9), (0.3, 0.7))
    assert trained("--decay", "learned,0.9", "--context-decay", "learned,0.8")[0] == ("learned", 0.9)
    assert trained("--decay", "0.1,0.2,0.3,0.4", "--context-decay", "1, 1") == (
        (0.1, 0.2, 0.3, 0.4),
        (1.0, 1.0),
    )


@pytest.mark.usefixtures("listens")
def test_explicit_defaults_are_kept_for_unordered_data(item2vec, tmp_path):
    def trained(train, *flags):
        (tmp_path / "item2vec.toml").write_text(f"[adapter]\nordered = false\n[train]\n{train}")
        assert item2vec("train", *QUICK, "--vector-size", "6", *flags)[0] == 0
        config = load("models").vectors.config
        return config.context_decay, config.window

    assert trained("") == ((1.0, 1.0, 1.0), 20)
    expected = ("learned", 0.98, 0.3), 50
    assert trained("", "--context-decay", "learned,0.98,0.3", "--window", "50") == expected
    assert trained('context_decay = ["learned", 0.98, 0.3]\nwindow = 50') == expected


@pytest.mark.parametrize(
    ("objective", "setting"), [("transitions", "fade"), ("linkprop", "max_neighbours"), ("ease", "l2")]
)
def test_tables_of_neighbours_are_trained_and_evaluated(item2vec, playlists, objective, setting):
    flags = ("--playlists", "lists.txt", "--objective", objective, f"--{setting.replace('_', '-')}", "1")
    assert item2vec("train", *flags)[0] == 0
    model = load("models")
    assert (model.vectors.config.objective, getattr(model.vectors.config, setting)) == (objective, 1)
    assert model.taste.mixture == 1
    code, out, _ = item2vec("evaluate", *flags, "--json")
    assert code == 0
    assert json.loads(out)["metrics"]["item2vec"]["hr@10"] == 1
    code, _, err = item2vec("train", *flags, "--epochs", "3")
    assert (code, err.count("\n")) == (2, 1)
    assert (
        f"--epochs is a setting of --objective next_item or skipgram or cbow or glove, not of {objective}"
        in err
    )


def test_the_seed_also_seeds_random_walks(item2vec, tmp_path):
    (tmp_path / "edges.csv").write_text(
        "source,target\n" + "".join(f"n{n},n{m}\n" for n in range(9) for m in range(n))
    )

    def vectors(name, *words):
        walking = ("--edges", "edges.csv", "--walks-per-node", "3", "--walk-length", "6", "--models", name)
        code, _, err = item2vec("train", *walking, *QUICK, *words)
        assert (code, err) == (0, "")
        return load(name).vectors

    one, same, other = vectors("1", "--seed", "5"), vectors("2", "--seed", "5"), vectors("3", "--seed", "6")
    assert one.counts.tolist() == same.counts.tolist()
    assert one.input.tobytes() == same.input.tobytes()
    assert one.counts.tolist() != other.counts.tolist()


def test_held_out_items_are_not_trained_on(item2vec, listens, tmp_path):
    """An item that appears only in the held-out part is unknown to the model."""
    with listens.open("a") as file:
        file.write("\nu1,new,900\nu2,new,901\n")
    assert item2vec("ingest", "listens.csv")[0] == 0
    found = json.loads(item2vec("evaluate", *QUICK, "--at", "1970-01-01T00:10:00", "--json")[1])
    assert "of 9 items" in found["splits"][0]
    assert found["leaks"] == []
    assert len(histories(readers.read_interactions(listens)).vocabulary) == 10
