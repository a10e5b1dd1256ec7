"""Delimited text and JSON lines: no row is lost or misread, lines and bad rows are limited."""

import csv
import gzip
import json
import logging
import threading
import tracemalloc
from pathlib import Path

import pytest

from item2vec import lines, readers
from item2vec.errors import InputError
from item2vec.readers.table import one_ahead
from item2vec.readers.text import DelimitedFile

INPUTS = Path(__file__).parent / "inputs"
HEADER = "user_id,item_id,timestamp,title\n"
TITLED = {"columns": ["user_id", "timestamp", "item_id", "title"]}


@pytest.fixture
def write(tmp_path):
    def written(text, name="listens.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


@pytest.fixture
def quick(monkeypatch):
    """Fail if a block is not parsed by Arrow."""

    def refuse(*_, **__):
        raise AssertionError("a block was parsed slowly")

    monkeypatch.setattr(DelimitedFile, "_slow_batch", refuse)


@pytest.mark.parametrize("quotes", [True, False])
def test_stray_quotes_of_a_tsv_file_lose_no_row(quotes):
    read = readers.read_interactions(INPUTS / "stray_quotes.tsv", **TITLED, quotes=quotes)
    assert len(read) == 200


def test_stray_quotes_of_a_csv_file_are_an_error_with_a_line_number():
    path = INPUTS / "stray_quotes.csv"
    with pytest.raises(
        InputError, match=r"stray_quotes.csv line 2: a quoted field that contains line 3, .*quotes=False"
    ):
        readers.read_interactions(path)
    assert len(readers.read_interactions(path, quotes=False)) == 4
    assert len(readers.read_interactions(path, on_error="skip", max_bad=0.25)) == 3


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("between", [0, 1, 50])
@pytest.mark.parametrize(("opening", "closing"), [('"Heroes', 'TV 42"'), ('"7"" single', 'Low"'), ('"', '"')])
def test_two_stray_quotes_do_not_merge_the_rows_between_them(write, caplog, end, between, opening, closing):
    titles = ["Low", opening, *["Lodger"] * between, closing, "Low"]
    rows = [f"u{i},i{i},{1_700_000_000 + i},{title}" for i, title in enumerate(titles)]
    text = HEADER.strip() + end + end.join(rows) + end
    with pytest.raises(InputError, match="line 3: a quoted field that contains line 4"):
        readers.read_interactions(write(text))
    assert len(readers.read_interactions(write(text), quotes=False)) == len(rows)
    path = write(text.replace(",", "\t"))
    with caplog.at_level(logging.WARNING):
        assert len(readers.read_interactions(path)) == len(rows)
    assert caplog.messages == [f"{path} line 3: a stray quote was read as text (number of such lines: 1)"]
    assert readers.read_items(write(text), quotes=False).title("i1") == opening
    items = readers.read_items(write(text.replace(",", "\t")))
    assert items.title("i1") == opening
    assert items.title(f"i{between + 2}") == closing


@pytest.mark.parametrize(
    "titles",
    [
        ['"Weird Al" Yankovic', "Low"],
        ['"Heroes', "Low"],
        ['"Heroes', 'the "Low"', "Lodger"],
        ['7" single', "Low", '12"'],
        ['"Heroes', '"Low', '"Lodger'],
        ['Low"', '"'],
    ],
)
def test_a_quote_that_is_not_closed_is_an_ordinary_character(write, titles):
    rows = "".join(f"u{i},i{i},5,{title}\n" for i, title in enumerate(titles))
    assert readers.read_items(write("user_id,item_id,timestamp,title\n" + rows)).titles == tuple(titles)


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize(
    "text",
    [
        "two\nlines",
        "one, two\nthree, four",
        "a\n\nb\n",
        "However, this, is, prose\nof, three, commas, too",
        "\n",
    ],
)
def test_line_breaks_in_any_column_are_kept_if_the_lines_are_not_rows(write, tmp_path, quick, column, text):
    rows = [[f"u{i}", f"i{i}", str(1_700_000_000 + i), "Low"] for i in range(9)]
    for row in rows[::2]:
        row[column] = text if column == 3 else f"{row[column]}{text}" if column < 2 else row[column]
    with (tmp_path / "listens.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER.strip().split(","), *rows])
    read = readers.read_interactions(tmp_path / "listens.csv")
    assert read.users.decode(read.user) == [row[0] for row in rows]
    assert read.items.decode(read.item) == [row[1] for row in rows]


def test_a_file_with_line_breaks_in_quoted_fields_is_read_by_arrow(quick, write):
    read = readers.read_interactions(INPUTS / "quoted_all.csv")
    assert (len(read), len(read.users), len(read.items)) == (30, 5, 9)
    assert len(readers.read_interactions(write(HEADER + 'u,i,5,7" single\n' * 3))) == 3
    assert len(readers.read_interactions(write((HEADER + "u,i,5,Low\n" * 3).replace(",", "::")))) == 3


def test_a_field_of_any_length_is_read_up_to_the_limit(write):
    review = "very, long\n" * 14_000
    path = write(f'{HEADER}u1,a,1700000000,"{review}"\nu1,b,1700000060,ok\n')
    assert len(readers.read_interactions(path)) == 2
    with pytest.raises(InputError, match=r"line 2: a row of more than 100,000 bytes, .*max_line="):
        readers.read_interactions(path, max_line=100_000)


def test_a_header_with_a_stray_quote_swallows_no_row(write):
    text = 'user_id,item_id,"title\nu1,i1,Low\nu2,i2,TV 42"\nu3,i3,Low\n'
    with pytest.raises(InputError, match="line 1: a quoted field that contains line 2"):
        readers.read_interactions(write(text), timestamp=None)
    read = readers.read_interactions(write(text.replace(",", "\t")), timestamp=None)
    assert read.users.ids == ("u1", "u2", "u3")


@pytest.mark.parametrize("sep", ["::", "||", " - ", "§", "\t\t", "\x1f", "-->"])
def test_separators_of_one_or_several_characters(write, sep):
    text = HEADER.replace(",", sep) + f"u{sep}i{sep}5{sep}a:b|c-d\n"
    text += f'v{sep}"i{sep}j"{sep}6{sep}\n'
    read = readers.read_interactions(write(text), sep=sep)
    assert (read.users.ids, read.items.ids) == (("u", "v"), ("i", f"i{sep}j"))


@pytest.mark.parametrize("sep", ["", '"', "\n", ",\n", 7])
def test_invalid_separators_are_errors(write, sep):
    with pytest.raises(InputError, match="sep is"):
        readers.read_interactions(write(HEADER), sep=sep)


def test_files_of_movielens_are_read_with_two_colons():
    columns = ["item_id", "title", "genre"]
    for sep in ("::", None):
        items = readers.read_items(INPUTS / "double_colon.dat", columns=columns, sep=sep)
        assert items.titles == ("Toy Story (1995)", "Heat (1995)")
    with pytest.raises(InputError, match="no column 'item_id'; found '1', 'Toy Story"):
        readers.read_items(INPUTS / "double_colon.dat")


@pytest.mark.parametrize("mark", [";", "|", "\t", "::"])
@pytest.mark.parametrize("before", ["", "\ufeff", "\n"])
def test_the_first_line_of_excel_states_the_separator(write, mark, before):
    text = f"{before}sep={mark}\r\n" + "user_id,item_id\r\nu1,a\r\n".replace(",", mark)
    assert readers.read_interactions(write(text), timestamp=None).items.ids == ("a",)
    headerless = f"{before}sep={mark}\r\nu1{mark}a\r\n"
    read = readers.read_interactions(write(headerless), timestamp=None, columns=["user_id", "item_id"])
    assert read.items.ids == ("a",)
    with pytest.raises(InputError, match=f"line {text.count(chr(10)) + 1}: 1 fields"):
        readers.read_interactions(write(text + "?\r\n"), timestamp=None)
    with pytest.raises(InputError, match="contains only 'sep="):
        readers.read_interactions(write(f"sep={mark}\n"), timestamp=None)
    assert len(readers.read_interactions(INPUTS / "excel_sep.csv")) == 2


@pytest.mark.parametrize("name", ["long.csv", "long.jsonl", "long.csv.gz"])
@pytest.mark.parametrize("before", ["", "two"])
def test_a_line_of_a_gigabyte_is_an_error_in_bounded_memory(tmp_path, name, before):
    path, good = (
        tmp_path / name,
        '{"user_id": "u", "item_id": "i"}\n' if "json" in name else "user_id,item_id\n",
    )
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(good.encode() * len(before)) + gzip.compress(bytes(1 << 24), 1) * 64)
    else:
        path.write_bytes(good.encode() * len(before))
        with path.open("r+b") as file:
            file.truncate(1 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(
            InputError, match=rf"line {len(before) + 1}: a line of more than 16,777,216 bytes.*max_line="
        ):
            readers.read_interactions(path, timestamp=None, on_error="skip", max_bad=1)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_many_columns_are_read_or_missing_columns_named(write):
    names = ["user_id", "item_id", *map(str, range(10**5))]
    path = write(",".join(names) + "\n" + ",".join(["u", "i", *["0"] * 10**5]) + "\n")
    assert len(readers.read_interactions(path, timestamp=None)) == 1
    with pytest.raises(InputError, match="has no column 'when'"):
        readers.read_interactions(path, timestamp="when")


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_the_limit_of_a_line_is_exact(write, name):
    text = '{"user_id": "u", "item_id": "i", "x": "%s"}' if "json" in name else "user_id,item_id,x\nu,i,%s"
    start = len(text.rpartition("\n")[2]) - 2
    for length in (2000, 5000):
        path = write((text + "\n") % ("é" * ((length - start) // 2) + "x" * ((length - start) % 2)), name)
        assert len(readers.read_interactions(path, timestamp=None, max_line=length)) == 1
        with pytest.raises(InputError, match=f"more than {length - 1:,} bytes"):
            readers.read_interactions(path, timestamp=None, max_line=length - 1)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_the_limit_of_a_line_counts_bytes_of_utf8_in_any_encoding(tmp_path, encoding):
    for length, is_legal in ((2_000, True), (2_002, False)):
        (tmp_path / "x.txt").write_bytes(f"a\n{'é' * (length // 2 - 1)}x\nb\n".encode(encoding))
        found = lines.lines_of(tmp_path / "x.txt", encoding, max_line=2_000)
        if is_legal:
            assert [number for number, _ in found] == [1, 2, 3]
        else:
            with pytest.raises(InputError, match="line 2: a line of more than 2,000 bytes"):
                list(found)


@pytest.mark.parametrize("max_line", [0, 1023, 2.5, True, None])
def test_an_invalid_limit_is_an_error(write, max_line):
    with pytest.raises(InputError, match="max_line is"):
        readers.read_interactions(write(HEADER), max_line=max_line)


def test_lines_have_numbers_and_a_limit(write):
    path = write(gzip.compress("\ufeffa\r\n\nb\rc".encode()), "lines.txt.gz")
    assert list(lines.lines_of(path)) == [(1, "a\r\n"), (2, "\n"), (3, "b\rc")]
    for encoding in ("latin-1", "utf-16", "utf-16-le", "utf-8-sig"):
        mark = "" if encoding in ("latin-1", "utf-16", "utf-8-sig") else "\ufeff"
        assert list(lines.lines_of(write(f"{mark}é\n".encode(encoding)), encoding)) == [(1, "é\n")]
    text = b"".join(b"%d" % n * 1999 + b"\r" for n in range(5))  # blocks of 2,000 bytes end between lines
    assert b"".join(block for _, block in lines.blocks_of_lines(write(text), "utf-8", 2000, cr=True)) == text
    with pytest.raises(InputError, match="line 2: a line of more than 2,000 bytes"):
        list(lines.lines_of(write("a\n" + "b" * 2001 + "\n"), max_line=2000))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_more_bad_rows_than_allowed_are_an_error(write, kind):
    rows = [("u", "i")] * 19 + [("", "i")]

    def read(rows, **options):
        text = "".join(json.dumps({"user_id": u, "item_id": i}) + "\n" for u, i in rows)
        if kind == "csv":
            text = "user_id,item_id\n" + "".join(f"{u},{i}\n" for u, i in rows)
        return readers.read_interactions(write(text, f"a.{kind}"), timestamp=None, on_error="skip", **options)

    assert len(read(rows)) == 19
    with pytest.raises(
        InputError, match=r"1 of 20 rows are bad \(5 %\); expected at most 4.9 %: .*user_id ''.*max_bad=0.05"
    ):
        read(rows, max_bad=0.049)
    with pytest.raises(InputError, match=r"4 of 23 rows are bad \(17.4 %\); .* · .* · .* · ….*max_bad=0.18"):
        read(rows + rows[-1:] * 3)
    assert len(read(rows + rows[-1:] * 3, max_bad=0.18)) == 19
    with pytest.raises(InputError, match=r"2 of 2 rows are bad; expected at least one valid row: .*user_id"):
        read(rows[-1:] * 2, max_bad=1)


@pytest.mark.parametrize("max_bad", [-0.1, 1.1, "5%", None, True, float("nan")])
def test_an_invalid_share_is_an_error(write, max_bad):
    with pytest.raises(InputError, match="max_bad is"):
        readers.read_interactions(write(HEADER), max_bad=max_bad)


def test_a_reader_that_is_abandoned_does_not_wait_for_its_thread():
    release = threading.Event()

    def slow():
        yield 1
        release.wait(60)
        yield 2

    batches = one_ahead(slow())
    assert next(batches) == 1
    closing = threading.Thread(target=batches.close)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()
    release.set()
