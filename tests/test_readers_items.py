"""Titles and attributes are read correctly from every source, and from the file in a bundle."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import readers
from item2vec.errors import BundleExistsError, CorruptBundleError, InputError, WriteError
from item2vec.items import Items
from item2vec.types import Vocabulary

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6)
values = st.recursive(
    texts | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=5,
)


def same(left, right):
    return (left.vocabulary, left.titles, left.attributes) == (
        right.vocabulary,
        right.titles,
        right.attributes,
    )


@st.composite
def catalogues(draw):
    ids = draw(st.lists(texts, unique=True, max_size=6))
    titles = [draw(st.none() | texts) for _ in ids]
    attributes = [
        draw(st.dictionaries(texts.filter(lambda t: t not in ("item_id", "title")), values)) for _ in ids
    ]
    return Items(Vocabulary(tuple(ids)), tuple(titles), tuple(attributes))


@pytest.mark.parametrize(
    ("name", "text", "options", "expected"),
    [
        ("i.csv", "item_id,title,year\na,A,1983\nb,,\n", {}, {"a": {"title": "A", "year": 1983}, "b": {}}),
        ("i.csv", "item_id,year\na,1983\n", {}, {"a": {"year": 1983}}),
        ("i.csv", "id,name\na,A\n", {"item": "id", "title": "name"}, {"a": {"title": "A"}}),
        ("i.csv", "item_id,title\na,A\nb,B\na,A\n", {}, {"a": {"title": "A"}, "b": {"title": "B"}}),
        (
            "i.txt",
            "a\tA, B\tC\n",
            {"columns": ["item_id", "title", "by"]},
            {"a": {"title": "A, B", "by": "C"}},
        ),
        ("i.item", "item_id:token\tyear:token\n1\t1995\n", {}, {"1": {"year": "1995"}}),
        (
            "i.jsonl",
            '{"item_id": 7, "year": 1983, "tags": ["a"]}\n',
            {},
            {"7": {"year": 1983, "tags": ["a"]}},
        ),
        ("i.jsonl", '{"item_id": "a", "x": null}\n{"item_id": "b", "y": 1}\n', {}, {"a": {}, "b": {"y": 1}}),
    ],
)
def test_examples_of_files(tmp_path, name, text, options, expected):
    (tmp_path / name).write_text(text)
    items = readers.read_items(tmp_path / name, **options)
    assert same(items, Items.of(expected))


@examples(40)
@given(items=catalogues())
def test_json_lines_and_the_file_in_a_bundle_preserve_items(tmp_path_factory, items):
    folder = tmp_path_factory.mktemp("items")
    readers.write_items(items, folder / "items.parquet")
    assert same(readers.open_items(folder / "items.parquet"), items)
    if len(items):
        rows = zip(items.vocabulary.ids, items.titles, items.attributes, strict=True)
        lines = [json.dumps({"item_id": id_, "title": title} | row) + "\n" for id_, title, row in rows]
        (folder / "items.jsonl").write_text("".join(lines))
        assert same(readers.read_items(folder / "items.jsonl"), items)


SONGS = {
    "item_id": ["01", "NA", "x"],
    "title": ["Blue, Monday", "", "None"],
    "year": ["1983", "NA", ""],
    "say": ['"hi"', "a\nb", " b "],
}


def test_delimited_fields_are_text_and_empty_ones_are_missing(tmp_path):
    path = tmp_path / "songs.tsv"
    pd.DataFrame(SONGS).to_csv(path, sep="\t", index=False)
    items = readers.read_items(path)
    assert items.vocabulary.ids == ("01", "NA", "x")
    assert items.titles == ("Blue, Monday", None, "None")
    assert items.attributes[1:] == ({"year": "NA", "say": "a\nb"}, {"say": " b "})
    untitled = readers.read_items(path, title=None)
    assert (untitled.titles, untitled.attributes[0]["title"]) == ((None,) * 3, "Blue, Monday")


def test_type_suffixes_of_a_header_are_removed(tmp_path):
    path = tmp_path / "ml.item"
    path.write_text("item_id:token\tmovie_title:token_seq\tyear:token\n1\tToy Story\t1995\n")
    items = readers.read_items(path, title="movie_title")
    assert (items.titles, items.attributes) == (("Toy Story",), ({"year": "1995"},))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", "0", ""], [1, -2, 0, None]),
        (["1.50", "2", "-0.5"], [1.5, 2, -0.5]),
        (["999999999999999999"], [999999999999999999]),
        (["True", "FALSE", "", "true"], [True, False, None, True]),
        *(
            (["1", text], ["1", text])
            for text in (
                "007",
                "00",
                "+7",
                "1e5",
                " 7",
                "7 ",
                ".5",
                "5.",
                "1,5",
                "1_0",
                "NA",
                "nan",
                "-",
                "٣",
            )
        ),
        (["1", "9999999999999999999"], ["1", "9999999999999999999"]),
        (["yes", "no"], ["yes", "no"]),
        (["1", "true"], ["1", "true"]),
        (["2024-03-01"], ["2024-03-01"]),
        (["a|b"], ["a|b"]),
        (["", ""], [None, None]),
    ],
)
def test_columns_of_delimited_text_get_types(tmp_path, values, expected):
    lines = [f's{n};"{value}"\n' for n, value in enumerate(values)]
    (tmp_path / "i.csv").write_text("item_id;x\n" + "".join(lines))
    found = [row.get("x") for row in readers.read_items(tmp_path / "i.csv", sep=";").attributes]
    assert found == expected
    assert [*map(type, found)] == [*map(type, expected)]


def test_lists_are_split_by_a_separator(tmp_path):
    path = tmp_path / "movies.csv"
    path.write_text(
        "item_id,title,genres,years,note\n1,A|B,Comedy | Drama,1990|1991,x\n2,B,Comedy,,y\n3,C,|,,z\n"
    )
    items = readers.read_items(path, list_sep="|")
    assert items.titles == ("A|B", "B", "C")
    assert items.attributes == (
        {"genres": ["Comedy", "Drama"], "years": [1990, 1991], "note": "x"},
        {"genres": ["Comedy"], "note": "y"},
        {"note": "z"},
    )
    assert readers.read_items(path).about("1")["genres"] == "Comedy | Drama"
    frame = pd.DataFrame({"item_id": ["1", "2"], "g": ["a|b", "7"], "n": [1, 2], "tags": [["x|y"], []]})
    assert readers.read_items(frame, list_sep="|").attributes == (
        {"g": ["a", "b"], "n": 1, "tags": ["x|y"]},
        {"g": ["7"], "n": 2, "tags": []},
    )
    with pytest.raises(InputError, match="list_sep is ''"):
        readers.read_items(path, list_sep="")


def test_type_suffixes_of_recbole_declare_text_and_lists(tmp_path):
    path = tmp_path / "ml.item"
    path.write_text("item_id:token\tclass:token_seq\tn:float_seq\tzip:token\tx:float\n1\ta b\t1 2.5\t7\t7\n")
    about = readers.read_items(path).about("1")
    assert about == {"class": ["a", "b"], "n": [1, 2.5], "zip": "7", "x": 7}


@examples(30)
@given(
    st.lists(st.integers(-(10**17), 10**17) | st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=1)
    | st.lists(st.booleans(), min_size=1)
    | st.lists(st.sampled_from(["a", "07", "1e3"]), min_size=1)
)
def test_values_that_pandas_writes_are_read_with_their_types(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("items") / "i.csv"
    frame = pd.DataFrame({"item_id": range(len(values)), "x": pd.Series(values, dtype=object)})
    frame.to_csv(path, index=False)
    found = [row["x"] for row in readers.read_items(path).attributes]
    assert found == values


def test_typed_values_keep_their_types(tmp_path):
    frame = pd.DataFrame(
        {
            "item_id": [1, 2],
            "title": ["One", None],
            "year": pd.array([1983, None], dtype="Int64"),
            "rating": [4.5, np.nan],
            "tags": [["a", "b"], None],
            "live": [True, False],
            "out": pd.to_datetime(["2024-01-01", None]),
        }
    )
    expected = {"year": 1983, "rating": 4.5, "tags": ["a", "b"], "live": True, "out": "2024-01-01T00:00:00"}
    frame.to_parquet(tmp_path / "songs.parquet")
    for source in (frame, tmp_path / "songs.parquet", pa.table(frame), pl.from_pandas(frame)):
        items = readers.read_items(source)
        assert (items.vocabulary.ids, items.titles) == (("1", "2"), ("One", None))
        assert items.attributes == (expected, {"live": False})
        assert [type(value) for value in items.attributes[0].values()] == [int, float, list, bool, str]


def test_python_objects_become_json_values():
    uuid = UUID(int=7)
    row = {"item_id": uuid, "title": 1984, "price": Decimal("1.50"), "n": Decimal(2), "day": date(2024, 1, 2)}
    row |= {
        "at": datetime(2024, 1, 2, 3),
        "ref": uuid,
        "pair": (1, None),
        "array": np.array([1, 2]),
        "f": np.float32(2),
    }
    items = readers.read_items(
        pd.DataFrame({name: pd.Series([value], dtype=object) for name, value in row.items()})
    )
    assert (items.vocabulary.ids, items.titles) == ((str(uuid),), ("1984",))
    assert json.loads(json.dumps(items.attributes[0])) == {
        "price": 1.5,
        "n": 2,
        "day": "2024-01-02",
        "at": "2024-01-02T03:00:00",
        "ref": str(uuid),
        "pair": [1, None],
        "array": [1, 2],
        "f": 2.0,
    }


@pytest.mark.parametrize("number", [np.float16, np.float32])
def test_a_narrow_float_is_its_shortest_decimal(tmp_path, number):
    """19.99, as a person writes it in a filter, not 19.989999771118164."""
    prices = pa.array(np.array([0.1, 5.02, np.nan], dtype=number))
    table = pa.table({"item_id": ["a", "b", "c"], "price": prices})
    pq.write_table(table, tmp_path / "songs.parquet")
    for source in (table, table.to_pandas(), tmp_path / "songs.parquet"):
        items = readers.read_items(source)
        assert items.attributes == ({"price": 0.1}, {"price": 5.02}, {})
        assert items.where({"price": 5.02}) == items.where({"price": number(5.02)}) == ["b"]
    lists = pa.array([[number(0.1), None], [], None], pa.list_(prices.type))
    items = readers.read_items(table.set_column(1, "tiers", lists))
    assert items.attributes == ({"tiers": [0.1, None]}, {"tiers": []}, {})


def test_items_of_a_select():
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    songs = sa.Table("songs", sa.MetaData(), *(sa.Column(name, sa.Text) for name in SONGS))
    songs.create(engine)
    with engine.begin() as connection:
        rows = zip(*SONGS.values(), strict=True)
        connection.execute(songs.insert(), [dict(zip(SONGS, row, strict=True)) for row in rows])
    items = readers.read_items(
        sa.select(songs.c.item_id, songs.c.title.label("name")), title="name", connection=engine
    )
    assert items.titles == ("Blue, Monday", None, "None")
    engine.dispose()


def test_duplicate_rows_of_an_item_must_be_equal(tmp_path):
    path = tmp_path / "songs.csv"
    path.write_text("item_id,title\na,A\nb,B\na,A\n")
    assert readers.read_items(path).vocabulary.ids == ("a", "b")
    path.write_text("item_id,title\na,A\nb,B\n\na,a\n")
    with pytest.raises(InputError, match=r"songs.csv lines 2 and 5 .*'a'"):
        readers.read_items(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item_id,title\n,A\n", "line 2: item_id ''"),
        ("item_id,title\na,A,1\n", "line 2: 3 fields"),
        ("item_id,title\na,Zo\udce9\n", "line 2: title .*encoding='latin-1'"),
        ("id,title\na,A\n", "no column 'item_id'; found 'id', 'title'; name the column with item="),
        ("item_id,year,year\na,1,2\n", "2 columns 'year'"),
    ],
)
def test_bad_rows_are_reported(tmp_path, text, message):
    path = tmp_path / "songs.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=message):
        readers.read_items(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"title": ["a"]}, r"line 2: title \['a'\]; expected a title"),
        ({"loud": float("inf")}, "line 2: loud inf; expected a JSON value"),
        ({"loud": [float("nan")]}, "line 2: loud"),
        ({"name": "\ud800"}, "line 2: name"),
        ({"item_id": 1.5}, "line 2: item_id 1.5"),
        ({"deep": json.loads("[" * 800 + "]" * 800)}, "line 2: deep"),
    ],
)
def test_values_that_are_not_json_are_reported(tmp_path, row, message):
    path = tmp_path / "songs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in ({"item_id": "a"}, {"item_id": "b"} | row)))
    with pytest.raises(InputError, match=message):
        readers.read_items(path)


def test_a_title_column_given_by_name_must_exist(tmp_path):
    path = tmp_path / "songs.csv"
    path.write_text("item_id,name\na,A\n")
    assert readers.read_items(path).titles == (None,)
    assert readers.read_items(path, item="name", title="name").titles == ("A",)
    with pytest.raises(InputError, match=r"no column 'nome'.*did you mean title='name'"):
        readers.read_items(path, title="nome")


def test_invalid_items_are_errors_and_leave_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        readers.write_items(Items.of({"a": {"title": "\ud800"}}), tmp_path / "items.parquet")
    assert list(tmp_path.iterdir()) == []


def test_items_are_not_written_over_a_file_or_into_a_missing_folder(tmp_path):
    items = Items.of({"a": {"x": 1}})
    (tmp_path / "old").touch()
    with pytest.raises(BundleExistsError, match="old already exists; choose another path"):
        readers.write_items(items, tmp_path / "old")
    with pytest.raises(WriteError, match="items could not be written: No such file"):
        readers.write_items(items, tmp_path / "nowhere" / "items")


def test_a_damaged_file_is_an_error_or_is_read_correctly(tmp_path):
    items = Items.of({f"s{n}": {"title": f"t{n}", "year": n, "tags": ["a", "b"]} for n in range(30)})
    path = tmp_path / "items.parquet"
    readers.write_items(items, path)
    intact = path.read_bytes()
    for position in range(0, len(intact), 3):
        flipped = bytearray(intact)
        flipped[position] ^= 1 << position % 8
        for content in (flipped, intact[:position]):
            path.write_bytes(content)
            try:
                read = readers.open_items(path)
            except CorruptBundleError:
                continue
            assert content is flipped
            assert same(read, items)


@pytest.mark.parametrize(
    "columns",
    [
        {"item": ["a"], "title": ["A"], "attributes": ["[]"]},
        {"item": ["a"], "title": ["A"], "attributes": ['{"x": NaN}']},
        {"item": ["a"], "title": ["A"], "attributes": ["{"]},
        {"item": ["a", "a"], "title": ["A", "A"], "attributes": ["{}", "{}"]},
        {"item": [""], "title": ["A"], "attributes": ["{}"]},
        {"item": ["a"], "title": ["A"]},
        {"item": [1], "title": ["A"], "attributes": ["{}"]},
    ],
)
def test_files_with_other_content_are_errors(tmp_path, columns):
    fields = [
        pa.field(name, pa.array(column).type, nullable=name == "title") for name, column in columns.items()
    ]
    pq.write_table(pa.table(columns, schema=pa.schema(fields)), tmp_path / "items.parquet")
    with pytest.raises(CorruptBundleError, match=r"items\.parquet"):
        readers.open_items(tmp_path / "items.parquet")


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(CorruptBundleError, match=r"items\.parquet"):
        readers.open_items(tmp_path / "items.parquet")


@pytest.mark.parametrize("delimited", [True, False])
def test_numbers_with_a_decimal_comma_are_text_with_a_warning(tmp_path, caplog, delimited):
    price = ["55,72", "1.234,50", "-7,00", "", *["12,00"] * 4, "12", "4.5", "n/a"]
    rows = {"item_id": [f"i{n}" for n in range(11)], "price": price, "size": ["1,5", *["1,5 m"] * 10]}
    frame = pd.DataFrame(rows | {"year": range(11)})
    frame.to_csv(tmp_path / "items.csv", index=False)
    items = readers.read_items(tmp_path / "items.csv" if delimited else frame)
    assert items.about("i0") == {"price": "55,72", "size": "1,5", "year": 0}
    (message,) = caplog.messages
    assert "attribute 'price' is text, because numbers have a decimal point: 7 of 10 values" in message
    assert "such as '55,72'; to compare them as numbers, convert the column" in message
