"""Flags of ``ingest`` for delimited text: quotes, separators, limits of lines and bad rows."""

import json
from pathlib import Path

import pytest

INPUTS = Path(__file__).parent / "inputs"
TITLED = ("--columns", "user_id,timestamp,item_id,title")


@pytest.fixture
def ingest(item2vec):
    """Ingest a file; return the exit code, the number of rows and the messages."""

    def run(path, *flags):
        code, out, err = item2vec("ingest", str(path), *flags, "--json")
        return code, json.loads(out)["rows"] if code == 0 else 0, err

    return run


def test_files_with_stray_quotes_lose_no_row(ingest):
    code, rows, _ = ingest(INPUTS / "stray_quotes.tsv", *TITLED)
    assert (code, rows) == (0, 200)
    code, _, err = ingest(INPUTS / "stray_quotes.csv")
    assert code == 2
    assert "line 2: a quoted field that contains line 3" in err
    assert "read quotes as text with --no-quotes" in err
    assert ingest(INPUTS / "stray_quotes.csv", "--no-quotes")[:2] == (0, 4)


@pytest.mark.parametrize("name", ["quoted_all.csv", "excel_sep.csv"])
def test_other_files_need_no_flags(ingest, name):
    code, rows, err = ingest(INPUTS / name)
    assert (code, rows, err) == (0, {"quoted_all.csv": 30, "excel_sep.csv": 2}[name], "")


@pytest.mark.parametrize(
    ("flag", "sep"), [("tab", "\t"), (r"\t", "\t"), ("\t", "\t"), ("::", "::"), (";", ";"), (" - ", " - ")]
)
def test_separators_are_named(ingest, tmp_path, flag, sep):
    (tmp_path / "a.dat").write_text(
        sep.join(["user_id", "item_id", "timestamp"]) + "\n" + sep.join("ui5") + "\n"
    )
    assert ingest("a.dat", "--sep", flag)[:2] == (0, 1)


def test_a_long_row_names_the_flag(ingest, tmp_path):
    review = "long, very\n" * 200
    (tmp_path / "a.csv").write_text(f'user_id,item_id,timestamp,review\nu,i,5,"{review}"\nu,j,6,\n')
    assert ingest("a.csv")[:2] == (0, 2)
    code, _, err = ingest("a.csv", "--max-line", "2KB")
    assert code == 2
    assert "line 2: a row of more than 2,048 bytes" in err
    assert ingest("a.csv", "--max-line", "1 MB")[:2] == (0, 2)
    code, _, err = ingest("a.csv", "--max-line", "much")
    assert (code, "--max-line (max_line in [ingest]) is 'much'" in err) == (2, True)
    (tmp_path / "b.csv").write_bytes(b"user_id,item_id,timestamp\n" + bytes(1 << 25))
    code, _, err = ingest("b.csv")
    assert code == 2
    assert "line 2: a line of more than 16,777,216 bytes" in err
    assert "pass a larger --max-line SIZE" in err


def test_bad_rows_are_limited(ingest, tmp_path):
    rows = "".join(f"u,i{number},5\n" for number in range(18))
    (tmp_path / "a.csv").write_text("user_id,item_id,timestamp\n" + rows + ",i,5\n" * 2)
    assert ingest("a.csv", "--skip-bad-rows", "--max-bad", "0.1")[:2] == (0, 18)
    code, _, err = ingest("a.csv", "--skip-bad-rows")
    assert code == 2
    assert "2 of 20 rows are bad (10 %); expected at most 5 %: a.csv line 20: user_id ''" in err
    assert "allow more bad rows with --max-bad 0.1" in err
    (tmp_path / "b.csv").write_text("user_id,item_id,timestamp\n,i,5\n")
    for flags in ((), ("--max-bad", "1")):
        code, _, err = ingest("b.csv", "--skip-bad-rows", *flags)
        assert (code, "1 of 1 rows are bad; expected at least one valid row" in err) == (2, True)


def test_no_row_at_all_is_an_error(ingest, tmp_path):
    (tmp_path / "a.csv").write_text("user_id,item_id,timestamp\n")
    code, _, err = ingest("a.csv")
    assert (code, "found no rows in" in err) == (2, True)
