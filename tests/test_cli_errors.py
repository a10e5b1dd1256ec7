"""Errors on the command line name flags of the running command, and no arguments of Python."""

import inspect
import io
import json
import logging
import re
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from item2vec import adapters, cli, readers
from item2vec.cli.app import tree
from item2vec.cli.remedies import Command, message_of
from item2vec.errors import InputError, Remedy
from item2vec.items import Items

INPUTS = Path(__file__).parent / "inputs"
FUNCTIONS = (
    readers.read_interactions,
    readers.read_items,
    readers.read_edges,
    adapters.playlists,
    adapters.histories,
    adapters.sessions,
    adapters.walks,
)
ARGUMENTS = {name for function in FUNCTIONS for name in inspect.signature(function).parameters}
COMMANDS = dict(tree())

FILES = {
    "names.csv": "person,song,when\nu,i,1\n",
    "likely.csv": "user_id,item_id,time_stamp\nu,i,1\n",
    "untimed.csv": "user_id,item_id\nu,i\n",
    "dates.csv": "user_id,item_id,timestamp\nu,i,yesterday\n",
    "ragged.csv": "user_id,item_id,timestamp\nu,i\n",
    "latin1.csv": "user_id,item_id,timestamp\nZo\xe9,i,1\n",
    "items.csv": "item_id,title\ni,Caf\xe9\n",
    "ids.csv": "id,name\na,A\nb,B\n",
    "list.jsonl": '{"user_id": ["u"], "item_id": {}, "timestamp": 1}\n',
    "array.json": '[{"user_id": "u"}]\n',
    "latin1.txt": "Zo\xe9 b\nb c\n",
    "empty.csv": "",
    "page.csv": "<!DOCTYPE html>\n",
    "utf16.csv": "user_id,item_id\n\0",
    "friends.edgelist": "a b 1 2\n",
}
GOOD = "user_id,item_id,timestamp\nu,i,1\nu,j,2\n"


@pytest.fixture
def fail(item2vec, tmp_path):
    """Run a command that fails, in a folder of bad files; return its message on stderr."""
    for name, text in FILES.items():
        (tmp_path / name).write_bytes(text.encode("latin-1"))
    (tmp_path / "unmarked.csv").write_bytes(GOOD.encode("utf-16-le"))
    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.csv").write_text(GOOD)
    (tmp_path / "mixed" / "b.jsonl").write_text("{}\n")
    shutil.copytree(INPUTS / "hive_folder", tmp_path / "hive_folder")

    def run(command):
        code, _, err = item2vec(*command.split())
        assert code == 2, err
        check_words(command, err)
        return err

    return run


def check_words(command, text):
    """Check that a text names only flags of the command that were not given, and no arguments of Python."""
    words = command.split()
    known = {flag for option in COMMANDS[f"item2vec {words[0]}"].params for flag in
             (*option.opts, *option.secondary_opts)}  # fmt: skip
    flags = set(re.findall(r"(?<![\w/-])--[a-z][\w-]*", text))
    assert flags <= known, text
    options = {" ".join(pair) for pair in pairwise(words) if pair[0].startswith("--")}
    assert not any(f"{option}\n" in text or f"{option} " in text for option in options), text
    python = {name for name in re.findall(r"\b(\w+)=", text) if name in ARGUMENTS}
    assert not python, text


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("ingest names.csv", "'when'; name the column with --user COLUMN\n"),
        ("ingest names.csv --user person --item song", "name the column with --timestamp COLUMN"),
        ("ingest names.csv --user name", "no column 'name'; found 'person', 'song', 'when'\n"),
        ("ingest names.csv --user persons", "did you mean --user person?\n"),
        ("ingest likely.csv", "did you mean --timestamp time_stamp?\n"),
        ("ingest good.csv --weight wait", "found 'user_id', 'item_id', 'timestamp'\n"),
        ("ingest dates.csv", "dates.csv line 2: timestamp 'yesterday'; expected"),
        ("ingest ragged.csv", "ragged.csv line 2: 2 fields"),
        (
            "ingest latin1.csv",
            "byte 0xe9 cannot be decoded); pass the encoding of the file, such as --encoding latin-1\n",
        ),
        ("ingest latin1.csv --encoding utf-8", "such as --encoding latin-1\n"),
        ("ingest good.csv --encoding klingon", "expected an encoding such as 'utf-8'"),
        ("ingest unmarked.csv", "is text in utf-16-le, not in UTF-8; pass --encoding utf-16-le\n"),
        ("ingest good.csv --items items.csv", "items.csv line 2: title"),
        ("ingest list.jsonl", "list.jsonl line 1: user_id ['u']; expected an id"),
        ("ingest array.json", "array.json"),
        ("ingest empty.csv", "empty.csv is empty"),
        ("ingest page.csv", "page.csv is an HTML page; download"),
        ("ingest mixed", "mixed contains files of different formats"),
        ("ingest hive_folder", "name the column with --timestamp COLUMN"),
        ("ingest hive_folder --timestamp dat", "did you mean --timestamp date?\n"),
        ("ingest hive_folder --sep ,", "has named columns; a separator can be set only for delimited"),
        ("ingest nothing-*.csv", "no file matches 'nothing-*.csv'"),
        ("ingest goood.csv", "no file 'goood.csv'; did you mean 'good.csv'?"),
        ("train --edges friends.edgelist", "friends.edgelist line 1: 4 fields"),
        ("train --edges page.csv", "page.csv is an HTML page"),
        ("train --edges nothing.csv", "no file 'nothing.csv'"),
        ("train --playlists latin1.txt", "latin1.txt line 1"),
        ("train --playlists nothing.txt", "no file 'nothing.txt'"),
        ("evaluate --playlists latin1.txt", "latin1.txt line 1"),
        ("tune --playlists latin1.txt", "latin1.txt line 1"),
        ("train --playlists good.csv --items items.csv", "items.csv line 2: title"),
    ],
)
def test_a_failing_input_is_explained_by_flags(fail, command, message):
    assert message in fail(command)


def test_a_hint_is_left_out_where_it_does_not_apply(fail):
    """The flags --item and --sep of ingest describe FILES, not the items file."""
    assert "--" not in fail("ingest good.csv --items empty.csv").partition(": ")[2]


@pytest.mark.parametrize(
    ("remedy", "words", "expected"),
    [
        (Remedy("encoding", "latin-1"), [], "pass --encoding latin-1"),
        (Remedy("encoding", "latin-1", otherwise="convert it"), ["--encoding", "latin-1"], "convert it"),
        (Remedy("encoding", "latin-1"), ["--encoding", "ascii"], "pass --encoding latin-1"),
        (Remedy("user", text="name it with {}"), [], "name it with --user COLUMN"),
        (Remedy("user", text="name it with {}"), ["--user", "user_id"], ""),
        (Remedy("sep", "\t"), [], "pass --sep tab"),
        (Remedy("sep", ";"), [], "pass --sep ';'"),
        (Remedy("on_error", "skip"), [], "pass --skip-bad-rows"),
        (Remedy("on_error", "skip"), ["--skip-bad-rows"], ""),
        (Remedy("connection", otherwise="export it"), [], "export it"),
        (Remedy("connection"), [], ""),
    ],
)
def test_remedies_become_flags(item2vec, tmp_path, monkeypatch, remedy, words, expected):
    (tmp_path / "x.csv").write_text(GOOD)

    def fails(*_, **__):
        raise InputError("bad", remedies=[remedy])

    monkeypatch.setattr(readers, "read_interactions", fails)
    code, _, err = item2vec("ingest", "x.csv", *words)
    assert (code, err) == (2, f"item2vec: bad; {expected}\n" if expected else "item2vec: bad\n")


def test_several_remedies_are_alternatives():
    error = InputError("bad", remedies=[Remedy("a", 1), Remedy("b", None, "set {}"), Remedy("c")])
    assert str(error) == "bad; pass a=1, or set b=None, or pass c="
    assert error.described(lambda remedy: remedy.argument if remedy.argument == "b" else "") == "bad; b"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("evaluate --playlists good.csv --k 0", "item2vec: --k is 0; expected"),
        ("evaluate --playlists good.csv -k 0", "item2vec: --k is 0; expected"),
        ("tune --playlists good.csv --budget 5x", "item2vec: --budget is '5x'; expected"),
        ("tune --playlists good.csv --metric foo", "followed by @ and k, such as ndcg@10\n"),
        ("train --playlists good.csv --min-count 0", "item2vec: --min-count is 0; expected"),
        ("train --playlists good.csv --window 0 --epochs 0", "or 'full'; --epochs is 0; expected"),
        ("ingest good.csv --max-bad 2", "item2vec: --max-bad is 2.0; expected"),
    ],
)
def test_an_argument_is_named_by_its_flag(fail, command, message):
    assert message in fail(command)


def test_an_argument_that_no_flag_sets_keeps_its_name(item2vec, tmp_path):
    (tmp_path / "lists.txt").write_text("a b\n")
    (tmp_path / "item2vec.toml").write_text("[train]\nepochs = 0\n")
    code, _, err = item2vec("train", "--playlists", "lists.txt", "--window", "3")
    assert code == 2
    assert "item2vec.toml [train]: epochs is 0; expected" in err


def test_advice_that_is_no_argument_differs_on_the_command_line():
    with pytest.raises(InputError, match=r"; load items with attributes \(readers.read_items\)$") as raised:
        Items.of({"a": {}}).column("genre")
    expected = "; load attributes with --items FILE of item2vec train or ingest"
    assert message_of(raised.value).endswith(expected)


def test_every_command_renders_remedies():
    assert all(
        isinstance(command, Command) for command in COMMANDS.values() if not hasattr(command, "commands")
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("models list --models LONG", 5),
        ("models gc --models LONG", 5),
        ("similar i --models LONG", 5),
        ("playground --folder LONG", 5),
        ("evaluate --playlists good.csv --protocol prefix --report LONG/report.html", 5),
        ("retrain --metrics-file LONG/item2vec.prom", 5),
        ("tune --playlists good.csv --out LONG/item2vec.toml", 2),
        ("db current --store sqlite:///LONG", 1),
    ],
)
def test_a_path_that_cannot_be_looked_up_is_no_error_of_stdout(item2vec, tmp_path, command, code):
    (tmp_path / "good.csv").write_text(GOOD)
    found, out, err = item2vec(*command.replace("LONG", "a" * 300).split())
    assert (found, out) == (code, "")
    assert "cannot be read: File name too long; check " in err
    assert "redirect" not in err


def test_skipped_rows_are_logged_with_flags(item2vec, tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    rows = "".join(f"u,i{number},{number}\n" for number in range(100))
    (tmp_path / "listens.csv").write_bytes(f"user_id,item_id,timestamp\n{rows}Zo\xe9,i,1\n".encode("latin-1"))
    code, _, err = item2vec("ingest", "listens.csv", "--skip-bad-rows")
    assert code == 0
    assert "skipped 1 of 101 rows" in err
    assert "such as --encoding latin-1" in err
    check_words("ingest", err)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_titles_are_printed_on_every_terminal(monkeypatch, tmp_path, encoding):
    """A character outside the encoding of stdout is escaped, in JSON as JSON."""
    monkeypatch.chdir(tmp_path)
    title = "Zoé → 日本 \U0001f600"
    monkeypatch.setattr("item2vec.versions.overview", lambda folder: [folder])
    monkeypatch.setattr("item2vec.cli.models._row", lambda entry: {"title": title, "age_s": None})
    for words in (["models", "list"], ["models", "list", "--json"]):
        stdout = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as stopped:
            cli.main(words)
        assert not stopped.value.code
        stdout.flush()
        text = stdout.buffer.getvalue().decode(encoding)
        if "--json" in words:
            assert json.loads(text) == [{"title": title, "age_s": None}]
        else:
            assert title.encode(encoding, "backslashreplace").decode(encoding) in text
