"""The flags of ``--playlists`` and ``--edges``: they reach the readers, and apply only to their source."""

import json
from pathlib import Path

import pytest

from item2vec import adapters, load
from item2vec.errors import InputError

INPUTS = Path(__file__).parent / "inputs"
QUICK = ("--vector-size", "4", "--epochs", "1", "--workers", "1", "--json")


@pytest.mark.parametrize(
    ("words", "items"),
    [
        (["--playlists", "titles_tab.txt", "--sep", "tab"], 4),
        (["--playlists", "titles_tab.txt", "--sep", r"\t"], 4),
        (["--playlists", "titles_tab.txt", "--sep", " "], 7),
        (["--playlists", "comma_blank.txt", "--sep", ","], 4),
        (["--playlists", "million_layout.json", "--unit", "artist_name"], 4),
        (["--playlists", "playlists_of_numbers.jsonl"], 12),
        (["--edges", "follows.csv", "--source", "from", "--target", "to", "--directed"], 20),
        (["--edges", "graph.net"], 3),
        (["--edges", "weighted_edges.csv", "--no-weights", "--sep", ","], 7),
        (["--edges", "weighted_edges.txt", "--no-header", "--no-quotes", "--encoding", "latin-1"], 7),
    ],
)
def test_flags_of_train(item2vec, words, items):
    words[1] = str(INPUTS / words[1])
    code, out, err = item2vec("train", *words, *QUICK)
    assert (code, err) == (0, "")
    assert json.loads(out)["items"] == items


def test_the_direction_of_edges_reaches_the_walks(item2vec, tmp_path):
    (tmp_path / "e.csv").write_text("from;to;n\n" + "".join(f"a{n};b{n};{n + 1}\n" for n in range(9)))
    words = ["--edges", "e.csv", "--source", "from", "--target", "to", "--weight", "n", "--sep", ";"]
    walks = ["--walks-per-node", "1", "--walk-length", "2"]
    tokens = []
    for directed in ("--directed", "--no-directed"):
        assert item2vec("train", *words, directed, *walks, *QUICK)[0] == 0
        tokens.append(int(load("models").vectors.counts.sum()))
    assert tokens == [27, 36]


def test_a_latin_1_file(item2vec, tmp_path):
    (tmp_path / "x.txt").write_bytes("é,è\nè,é\n".encode("latin-1") * 9)
    code, out, _ = item2vec("train", "--playlists", "x.txt", "--encoding", "latin-1", *QUICK)
    assert (code, json.loads(out)["items"]) == (0, 2)


@pytest.mark.parametrize("command", ["train", "evaluate", "tune"])
def test_every_command_has_the_flags_of_playlists(item2vec, monkeypatch, command):
    given = {}

    def playlists(path, **options):
        given.update(options)
        raise InputError(f"read {path}")

    monkeypatch.setattr(adapters, "playlists", playlists)
    words = "--playlists x.txt --skip-lines 1 --skip-fields 2 --encoding latin-1 --sep tab --unit id"
    words += " --collapse-repeats"
    assert item2vec(command, *words.split()) == (2, "", "item2vec: read x.txt\n")
    assert given == {
        "skip_lines": 1,
        "skip_fields": 2,
        "encoding": "latin-1",
        "sep": "\t",
        "unit": "id",
        "collapse_repeats": True,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--sep tab", "--sep does not apply to sentences from the store"),
        ("--playlists x.txt --source a", "--source does not apply to sentences from --playlists"),
        ("--playlists x.txt --directed", "--directed does not apply to sentences from --playlists"),
        ("--playlists x.txt --no-header", "--no-header does not apply to sentences from --playlists"),
        ("--edges x.txt --unit id", "--unit does not apply to sentences from --edges"),
        ("--edges x.txt --skip-lines 1", "--skip-lines does not apply to sentences from --edges"),
        ("--playlists x.txt --sep=", "sep is ''"),
        ("--playlists tabs.txt", "pass --sep tab, or pass --sep ' ' for spaces and tabs"),
        ("--playlists a.json", "name the field of the item ids, such as --unit id"),
        (
            "--edges e.csv",
            "no column 'source'; found 'a', 'b'; name the column with --source COLUMN, or pass --no",
        ),
        ("--edges l.txt", "4 fields"),
        ("--playlists x.txt --encoding klingon", "encoding is 'klingon'"),
    ],
)
def test_flags_of_another_source_are_refused(item2vec, tmp_path, words, message):
    (tmp_path / "x.txt").write_text("a b\nb c\n")
    (tmp_path / "tabs.txt").write_text("u1\ta b\nu2\ta b\n")
    (tmp_path / "a.json").write_text('{"items": [{"id": "a"}]}')
    (tmp_path / "e.csv").write_text("a,b\nc,d\n")
    (tmp_path / "l.txt").write_text("a b c d\n")
    code, out, err = item2vec("train", *words.split())
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("command", ["train", "evaluate", "tune"])
def test_an_empty_store_is_nothing_to_train_on_whatever_the_settings_select(item2vec, tmp_path, command):
    (tmp_path / "item2vec.toml").write_text('[adapter]\nevents = ["play"]\n')
    assert item2vec("db", "upgrade")[0] == 0
    code, out, err = item2vec(command)
    assert (code, out) == (4, "")
    assert "holds no interactions; expected at least one" in err
