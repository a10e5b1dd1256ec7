"""``item2vec ingest``, and the commands that read the store, on files as people have them."""

import json
import shutil
import weakref
from pathlib import Path

import pytest

from item2vec import readers
from item2vec.adapters import histories
from item2vec.cli.app import tree
from item2vec.config import IngestConfig
from item2vec.store import Store

INPUTS = Path(__file__).parent / "inputs"
QUICK = ("--epochs", "1", "--vector-size", "4", "--workers", "1")


@pytest.fixture
def ingest(item2vec, tmp_path, caplog):
    """Return a function that ingests a file of ``inputs``; it returns the facts on stdout, and the warnings.

    Pytest has installed a handler of log records, so that the command does not log to stderr.
    """

    def run(name, *words):
        shutil.copy(INPUTS / name, tmp_path)
        caplog.clear()
        code, out, err = item2vec("ingest", name, *words, "--json")
        assert (code, err) == (0, "")
        return json.loads(out), caplog.text

    return run


def counts(facts):
    return [facts[name] for name in ("rows", "new", "duplicate", "repeats")]


def test_equal_dates_are_a_warning_and_keep_the_order_of_the_file(ingest):
    facts, warned = ingest("same_day.csv", "--timestamp", "date")
    assert counts(facts) == [600, 600, 0, 0]
    assert "100 % of the pairs of consecutive events of the same user have equal timestamps" in warned
    read = readers.read_interactions(INPUTS / "same_day.csv", timestamp="date")
    with Store("sqlite:///item2vec.db") as store:
        stored = store.interactions()
    assert sorted(histories(stored)) == sorted(histories(read))


@pytest.mark.parametrize(
    ("words", "expected", "weights"),
    [
        ("--repeats keep", [4, 4, 0, 1], [1, 1, 1, 1]),
        ("--repeats keep --weight quantity", [4, 4, 0, 1], [1, 3, 1, 2]),
        ("--repeats merge", [4, 3, 0, 1], [2, 1, 1]),
        ("--repeats merge --weight quantity", [4, 3, 0, 1], [4, 1, 2]),
        ("--weight quantity", [4, 3, 0, 1], [4, 1, 2]),
    ],
)
def test_repeats_are_counted_and_kept_or_merged(ingest, words, expected, weights):
    facts, warned = ingest("repeats_of_one_day.csv", *words.split())
    assert counts(facts) == expected
    assert ("1 of 4 rows repeat the user, item, event name" in warned) is ("--repeats" not in words)
    with Store("sqlite:///item2vec.db") as store:
        assert store.history("u1").weights.tolist() == weights
    _, n_events, _, n_repeats = expected
    assert counts(ingest("repeats_of_one_day.csv", *words.split())[0]) == [4, 0, n_events, n_repeats]


def test_a_file_without_timestamps_is_trained_evaluated_and_served(item2vec, ingest, tmp_path):
    facts, warned = ingest("no_moments.csv", "--no-timestamps")
    assert (counts(facts), facts["first"], facts["last"], warned) == ([200, 200, 0, 0], None, None, "")
    assert item2vec("train", *QUICK)[0] == 0
    code, out, _ = item2vec("recommend", "--user", "u0", "--json")
    assert (code, {row["source"] for row in json.loads(out)}) == (0, {"model"})
    for ordered, protocol in ((True, "leave-last-1-out"), (False, "random 20 % of each sentence held out")):
        (tmp_path / "item2vec.toml").write_text(f"[adapter]\nordered = {str(ordered).lower()}\n")
        code, out, _ = item2vec("evaluate", *QUICK, "--json")
        assert code == 0
        assert json.loads(out)["splits"][0].startswith(f"Split({protocol}: 12 queries")
    for command in ("evaluate", "tune"):
        code, _, err = item2vec(command, "--protocol", "temporal")
        assert code == 2
        assert "--protocol temporal requires timestamps; the interactions of the store have none" in err
    (tmp_path / "item2vec.toml").write_text("[adapter]\ndays = 30\n")
    code, _, err = item2vec("train", *QUICK)
    assert code == 2
    assert "days is 30, and the interactions have no timestamps" in err


def test_files_with_and_without_timestamps_are_not_mixed(item2vec, ingest):
    ingest("no_moments.csv", "--no-timestamps")
    shutil.copy(INPUTS / "future.csv", ".")
    code, out, err = item2vec("ingest", "future.csv")
    assert (code, out) == (2, "")
    assert "the interactions have timestamps, and the interactions in the store have no timestamps" in err


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_an_event_of_2099_is_named_and_does_not_end_the_days(item2vec, ingest, tmp_path, caplog, command):
    (tmp_path / "item2vec.toml").write_text("[adapter]\ndays = 30\n")
    _, warned = ingest("future.csv")
    assert "1 of 101 events are dated in the future" in warned
    assert "the first of these events: user 'u1', item 'i1', 2099-01-01T00:00:00" in warned
    words = (*QUICK, "--protocol", "leave-last-out", "--repeats") if command == "evaluate" else QUICK
    code, out, _ = item2vec(command, *words, "--json")
    assert code == 0
    (ignored,) = [record for record in caplog.records if "in the future are ignored" in record.message]
    assert (ignored.facts["n"], ignored.facts["user"], ignored.facts["item"]) == (1, "u1", "i1")
    if command == "train":
        assert json.loads(out)["tokens"] == 100


def test_a_user_with_most_of_the_events_is_named(ingest):
    facts, warned = ingest("null_users.csv")
    assert counts(facts)[:2] == [150, 150]
    assert "user 'NULL' has 149 of 150 events (99 %)" in warned


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--repeats drop", "--repeats is 'drop'; expected keep or merge"),
        (
            "--no-timestamps --timestamp date",
            "got --no-timestamps and --timestamp date; expected one of them",
        ),
    ],
)
def test_invalid_options_are_refused(item2vec, words, message):
    code, out, err = item2vec("ingest", "listens.csv", *words.split())
    assert (code, out) == (2, "")
    assert message in err


def stored_users():
    with Store("sqlite:///item2vec.db") as store:
        return len(store.interactions().users)


@pytest.fixture
def first(tmp_path):
    """The file a.csv, with one user."""
    (tmp_path / "a.csv").write_text("user_id,item_id,timestamp\nann,x,1\n")


@pytest.mark.parametrize("name", ["nope.csv", "folder", "folder/*.csv"])
def test_a_missing_file_is_found_before_the_first_file_is_stored(item2vec, tmp_path, first, name):
    (tmp_path / "folder").mkdir()
    code, out, err = item2vec("ingest", "a.csv", name)
    assert (code, out) == (2, "")
    assert name in err
    assert not (tmp_path / "item2vec.db").exists()


def test_a_failing_file_names_the_stored_ones(item2vec, tmp_path, first):
    (tmp_path / "b.csv").write_text("user_id,item_id,timestamp\nbob,x,1\n")
    (tmp_path / "c.csv").write_text("user_id,song,timestamp\ncy,x,1\n")
    code, _, err = item2vec("ingest", "a.csv", "b.csv", "c.csv")
    assert code == 2
    assert "(stored: a.csv, b.csv)" in err
    assert stored_users() == 2
    code, _, err = item2vec("ingest", "c.csv", "a.csv")
    assert (code, "stored:" in err, stored_users()) == (2, False, 2)


@pytest.fixture
def items(tmp_path):
    """The file items.csv, with one item."""
    (tmp_path / "items.csv").write_text("item_id,title\nx,The X\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("none.csv none.csv", "found no rows in none.csv, none.csv; expected interactions\n"),
        ("undated.csv --no-timestamps", "no timestamps, and the interactions in the store have timestamps"),
        ("none.csv undated.csv --no-timestamps", "the interactions have no timestamps, and the "),
    ],
)
@pytest.mark.usefixtures("first", "items")
def test_items_are_not_stored_if_the_interactions_cannot_be_stored(item2vec, tmp_path, words, message):
    (tmp_path / "none.csv").write_text("user_id,item_id,timestamp\n")
    (tmp_path / "undated.csv").write_text("user_id,item_id\nbob,x\n")
    assert item2vec("ingest", "a.csv")[0] == 0
    code, out, err = item2vec("ingest", *words.split(), "--items", "items.csv")
    assert (code, out, "stored:" in err) == (2, "", False)
    assert message in err
    with Store("sqlite:///item2vec.db") as store:
        assert store.items().title("x") == "x"


@pytest.mark.usefixtures("first", "items")
def test_a_file_without_rows_is_skipped_and_a_failing_file_names_the_stored_items(item2vec, tmp_path):
    (tmp_path / "none.csv").write_text("user_id,item_id,timestamp\n")
    (tmp_path / "bad.csv").write_text("user_id,song,timestamp\ncy,x,1\n")
    code, _, err = item2vec("ingest", "none.csv", "a.csv", "bad.csv", "--items", "items.csv")
    assert (code, "(stored: items.csv, a.csv)" in err) == (2, True)


def test_interactions_are_released_when_they_are_stored(item2vec, tmp_path, monkeypatch):
    read, files, alive = readers.read_interactions, [], []

    def recorded(file, **arguments):
        alive.append(sum(interactions() is not None for interactions in files))
        interactions = read(file, **arguments)
        files.append(weakref.ref(interactions))
        return interactions

    monkeypatch.setattr(readers, "read_interactions", recorded)
    for name in "abcd":
        (tmp_path / f"{name}.csv").write_text(f"user_id,item_id,timestamp\n{name},x,1\n")
    assert item2vec("ingest", *(f"{name}.csv" for name in "abcd"))[0] == 0
    assert alive == [0, 1, 1, 1]


def test_flags_that_are_keys_of_the_settings_file_are_variables():
    options = {words: {one.name: one.envvar for one in command.params} for words, command in tree()}
    for name in IngestConfig.model_fields:
        assert options["item2vec ingest"][name] == f"ITEM2VEC_{name.upper()}"
    for command in ("train", "evaluate", "tune", "retrain", "prepare"):
        assert options[f"item2vec {command}"]["gap"] == "ITEM2VEC_GAP"


def test_variables_are_between_flags_and_the_settings_file(item2vec, tmp_path, monkeypatch):
    (tmp_path / "item2vec.toml").write_text('[ingest]\nuser = "nobody"\nno_timestamps = true\n')
    visits = "customer,item_id,timestamp\nu,a,0\nu,b,60\nu,a,90000\nu,b,90060\n"
    (tmp_path / "visits.csv").write_text(visits)
    monkeypatch.setenv("ITEM2VEC_USER", "customer")
    monkeypatch.setenv("ITEM2VEC_NO_TIMESTAMPS", "false")
    assert item2vec("ingest", "visits.csv")[0] == 0
    assert "no column 'client'" in item2vec("ingest", "visits.csv", "--user", "client")[2]
    monkeypatch.setenv("ITEM2VEC_GAP", "30min")
    code, out, _ = item2vec("train", *QUICK, "--json")
    assert (code, json.loads(out)["sentences"]) == (0, 2)
    (tmp_path / "lists.txt").write_text("a b\na b\n")  # a source to which --gap does not apply
    assert item2vec("train", "--playlists", "lists.txt", *QUICK)[0] == 0
    assert "--gap does not apply" in item2vec("train", "--playlists", "lists.txt", "--gap", "1h", *QUICK)[2]


@pytest.mark.parametrize(
    ("variable", "value", "flag"),
    [("TIMESTAMP", "at", ("--no-timestamps",)), ("NO_TIMESTAMPS", "true", ("--timestamp", "at"))],
)
def test_a_flag_overrides_the_variable_that_it_excludes(
    item2vec, tmp_path, monkeypatch, variable, value, flag
):
    (tmp_path / "visits.csv").write_text("user_id,item_id,at\nu,a,0\n")
    monkeypatch.setenv(f"ITEM2VEC_{variable}", value)
    assert item2vec("ingest", "visits.csv", *flag)[0] == 0
    monkeypatch.delenv(f"ITEM2VEC_{variable}")
    code, _, message = item2vec("ingest", "visits.csv", "--timestamp", "at", "--no-timestamps")
    assert (code, "expected one of them" in message) == (2, True)
