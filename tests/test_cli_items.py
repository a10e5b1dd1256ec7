"""The file of ``--items`` by its flags, the types that ``ingest`` shows, and ``--where`` by type."""

import gzip
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from item2vec import Items, Recommender, Sentences, publish, train
from item2vec.cli import main
from item2vec.cli.output import as_rows, table
from item2vec.cli.parameters import ItemsFile
from item2vec.cli.titles import read_titles
from item2vec.errors import InputError
from item2vec.store import Store
from item2vec.types import Recommendation

INPUTS = Path(__file__).parent / "inputs"


EVENTS = "user_id,item_id,timestamp\nu,i1,1600000000\nu,i2,1600000100\n"


@pytest.fixture
def events(tmp_path):
    (tmp_path / "events.csv").write_text(EVENTS)


def stored(tmp_path):
    with Store(f"sqlite:///{tmp_path}/item2vec.db") as store:
        items = store.items()
    return {id_: {"title": items.title(id_)} | items.about(id_) for id_ in items.vocabulary}


@pytest.fixture(scope="module")
def made_shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    (folder / "events.csv").write_text(EVENTS)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        with pytest.raises(SystemExit, match="0"):
            main(["ingest", "events.csv", "--items", str(INPUTS / "typed_items.parquet")])
    sentences = Sentences.of([[f"i{(n + k) % 10}" for k in range(5)] for n in range(10)])
    publish(Recommender(train(sentences, vector_size=4, workers=1)), folder / "models")
    return folder


@pytest.fixture
def shop(made_shop, tmp_path):
    """A store with typed_items.parquet, and a published model of its items."""
    shutil.copytree(made_shop, tmp_path, dirs_exist_ok=True)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["year=1996"], {"i6"}),
        (["price=1.5"], {"i1"}),
        (["price=1.50"], {"i1"}),
        (["in_stock=true", "year>=1994"], {"i4", "i6", "i8"}),
        (["in_stock!=true", "year<1993"], {"i1"}),
        (["year=1992", "year=1993", "year=1850"], {"i2", "i3"}),
        (["year>1991", "year<=1993"], {"i2", "i3"}),
        (["tags=x", "price>=9"], {"i7", "i9"}),
        (["tags!=x", "price>=9"], {"i6", "i8"}),
        (["title~T7"], {"i7"}),
    ],
)
def test_where_compares_by_the_type_of_the_attribute(item2vec, shop, conditions, expected):
    flags = [word for condition in conditions for word in ("--where", condition)]
    queries = (
        ["similar", "i0"],
        ["analogy", "--positive", "i0"],
        ["recommend", "i0"],
        ["recommend", "--user", "nobody"],
    )
    for words in queries:
        code, out, err = item2vec(*words, "-k", "10", "--json", *flags)
        assert code == 0
        assert err.count("\n") == ("user 'nobody' is unknown" in err) == ("nobody" in words)
        assert {row["item"] for row in json.loads(out)} == expected


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("yaer=1996", "no item has an attribute 'yaer'; did you mean 'year'?"),
        ("year=latest", "year is of type number, and cannot be compared with 'latest'; expected a number"),
        (
            "in_stock=maybe",
            "in_stock is of type boolean, and cannot be compared with 'maybe'; expected true or false",
        ),
        ("price~1", "price is of type number, and cannot contain 1;"),
        ("year", "the condition is 'year'; expected NAME=VALUE"),
    ],
)
def test_invalid_conditions_are_one_line_on_stderr(item2vec, shop, condition, message):
    for words in ("similar i0", "recommend i0", "recommend --user u"):
        code, out, err = item2vec(*words.split(), "--where", condition)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err


def test_numbers_of_a_table_have_no_separators(item2vec, shop, tmp_path):
    words = [
        "similar",
        "i0",
        "-k",
        "1",
        "--items",
        str(INPUTS / "typed_items.parquet"),
        "--where",
        "year=1999",
    ]
    assert item2vec(*words)[1].splitlines()[1].split()[:6] == ["1", "i9", "T9", "1999", "13.5", "false"]
    assert json.loads(item2vec(*words, "--json")[1])[0]["year"] == 1999


def test_attributes_never_replace_the_columns_of_a_recommendation():
    found = [Recommendation("a", 0.5, "model"), Recommendation("b", 0.25, "trend")]
    own = {"rank": 900, "item": "SKU-1", "score": 4.5, "source": "amazon"}
    items = Items.of({"a": {"title": "A"}, "b": own | {"year": 1983}})
    second = as_rows(found, items, with_source=True, as_json=True)[1]
    renamed = {f"attribute.{name}": value for name, value in own.items()}
    assert second == {
        "rank": 2,
        "item": "b",
        "title": "b",
        **renamed,
        "year": 1983,
        "score": 0.25,
        "source": "trend",
    }
    assert as_rows(found, items, as_json=True)[1]["source"] == "amazon"
    named = Items(items.vocabulary, ("A", "B"), ({"title": "Mr"}, {}))  # titles of the column "name"
    first = as_rows(found, named, as_json=True)[0]
    assert first == {"rank": 1, "item": "a", "title": "A", "attribute.title": "Mr", "score": 0.5}
    header = table(as_rows(found, items, with_source=True)).splitlines()[0].split()
    assert header == ["rank", "item", "title", *renamed, "year", "score", "source"]


def test_ingest_shows_the_types_of_attributes(item2vec, tmp_path, events):
    (tmp_path / "songs.csv").write_text(
        "item_id,title,year,code,live,genres\ni1,A,1983,007,true,a|b\ni2,B,1959.5,8,,b\ni3,C,,,FALSE,\n"
    )
    words = ["ingest", "events.csv", "--items", "songs.csv", "--list-sep", "|", "--json"]
    facts = json.loads(item2vec(*words)[1])
    assert facts["attributes"] == [
        {"attribute": "year", "type": "number", "items": 2, "distinct": 2},
        {"attribute": "code", "type": "text", "items": 2, "distinct": 2},
        {"attribute": "live", "type": "boolean", "items": 2, "distinct": 2},
        {"attribute": "genres", "type": "list of text", "items": 2, "distinct": 2},
    ]
    assert stored(tmp_path)["i1"] == {
        "title": "A",
        "year": 1983,
        "code": "007",
        "live": True,
        "genres": ["a", "b"],
    }
    assert "attributes" not in json.loads(item2vec("ingest", "events.csv", "--json")[1])


def test_ingest_shows_attributes_that_are_objects(item2vec, tmp_path, events):
    rows = [{"item_id": "i1", "size": {"width": 1}, "parts": [{"id": 1}]}, {"item_id": "i2", "parts": []}]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    facts = json.loads(item2vec("ingest", "events.csv", "--items", "items.jsonl", "--json")[1])
    assert facts["attributes"] == [
        {"attribute": "size", "type": "object", "items": 1, "distinct": 1},
        {"attribute": "parts", "type": "object", "items": 1, "distinct": 1},
    ]


def test_the_encoding_applies_to_the_items_file(item2vec, tmp_path, events):
    words = ["ingest", "events.csv", "--items", str(INPUTS / "items_latin1.csv")]
    code, _, err = item2vec(*words)
    assert (code, "--encoding latin-1" in err) == (2, True)
    assert item2vec(*words, "--encoding", "latin-1")[0] == 0
    assert stored(tmp_path) == {"i1": {"title": "Café del Mar"}, "i2": {"title": "Motörhead"}}


def test_a_stray_quote_and_a_long_line_of_the_items_file_have_a_way_out(item2vec, tmp_path, events):
    rows = "".join(f"i{number},Song {number},{1980 + number}\n" for number in range(3, 9))
    (tmp_path / "items.csv").write_text(
        f'item_id,title,year\ni1,"Heroes,1977\ni2,Song 2,1982\n{rows}i9,Low Side",1989\n'
    )
    words = ("ingest", "events.csv", "--items", "items.csv")
    code, _, err = item2vec(*words)
    assert code == 2
    assert "items.csv line 2" in err
    assert err.rstrip().endswith("--no-quotes")
    assert item2vec(*words, "--no-quotes")[0] == 0
    assert stored(tmp_path)["i1"] == {"title": '"Heroes', "year": 1977}
    assert len(stored(tmp_path)) == 9
    (tmp_path / "items.csv").write_text(f"item_id,title\ni1,{'x' * 2000}\n")
    code, _, err = item2vec(*words, "--max-line", "1KB")
    assert (code, "of more than 1,024 bytes" in err) == (2, True)


def test_encoding_of_the_items_file_of_other_commands(item2vec, tmp_path, shop):
    words = ["similar", "i0", "-k", "10", "--json", "--items", str(INPUTS / "items_latin1.csv")]
    assert item2vec(*words)[0] == 2
    code, out, _ = item2vec(*words, "--encoding", "latin-1")
    assert (code, {row["item"]: row["title"] for row in json.loads(out)}["i2"]) == (0, "Motörhead")


@pytest.mark.parametrize("source", [[], ["--playlists", "lists.txt"], ["--edges", "edges.csv"]])
def test_the_encoding_of_training_applies_to_the_items_file(item2vec, tmp_path, shop, source):
    (tmp_path / "lists.txt").write_text("i1 i2\n" * 9)
    (tmp_path / "edges.csv").write_text("source,target\ni1,i2\n")
    words = ["train", *source, "--epochs", "1", "--items", str(INPUTS / "items_latin1.csv")]
    code, _, err = item2vec(*words)
    assert (code, "--encoding latin-1" in err) == (2, True)
    assert item2vec(*words, "--encoding", "latin-1")[0] == 0
    rows = json.loads(item2vec("similar", "i1", "--json")[1])
    assert rows[0]["title"] == "Motörhead"


@pytest.mark.parametrize("flags", [["--items-sep", "::"], []])
def test_an_items_file_with_double_colons(item2vec, tmp_path, flags):
    shutil.copy(INPUTS / "double_colon.dat", tmp_path / "movies.dat")
    (tmp_path / "ratings.dat").write_text("u::1::5::1600000000\nu::2::4::1600000100\n")
    words = [
        "ingest",
        "ratings.dat",
        "--columns",
        "user_id,item_id,rating,timestamp",
        "--items",
        "movies.dat",
    ]
    code, _, err = item2vec(*words)
    assert code == 2
    assert (
        "the first item id would be '1::Toy Story (1995)::Animation'; name the separator with --items-sep"
        in err
    )
    assert item2vec(*words, "--sep", "::", *flags)[0] == 0
    assert stored(tmp_path) == {
        "1": {"title": "Toy Story (1995)", "artist": "Animation"},
        "2": {"title": "Heat (1995)", "artist": "Action"},
    }


def test_double_colons_are_never_part_of_an_id(tmp_path):
    path = tmp_path / "movies.dat"
    path.write_text("1::Toy Story, The (1995)::Animation|Comedy|Drama\n")
    for columns in (None, ("item_id", "title", "genres")):
        with pytest.raises(InputError, match="name the separator with --items-sep"):
            read_titles(ItemsFile(path, columns=columns))
    items = read_titles(ItemsFile(path, columns=("item_id", "title", "genres"), list_sep="|"), sep="::")
    assert items.about("1") == {"genres": ["Animation", "Comedy", "Drama"]}


def test_the_items_file_of_movielens_by_flags_alone(item2vec, tmp_path, events):
    rows = ["1|Pâté (1995)|01-Jan-1995||http://x/1|0|1", "2|Heat (1995)|01-Feb-1995||http://x/2|1|0"]
    (tmp_path / "u.item").write_bytes("".join(row + "\n" for row in rows).encode("latin-1"))
    flags = "--items u.item --items-columns item_id,title,released,video,url,unknown,Action --items-sep |"
    assert item2vec("ingest", "events.csv", *flags.split(), "--encoding", "latin-1")[0] == 0
    assert stored(tmp_path)["1"] == {
        "title": "Pâté (1995)",
        "released": "01-Jan-1995",
        "url": "http://x/1",
        "unknown": 0,
        "Action": 1,
    }


@pytest.mark.parametrize(
    "flags", [["--items-sep", ","], ["--items-columns", "item_id"], ["--list-sep", "|"]], ids=lambda f: f[0]
)
def test_flags_of_the_items_file_need_it(item2vec, events, flags):
    code, _, err = item2vec("ingest", "events.csv", *flags)
    assert (code, f"{flags[0]} describes the file of --items; add --items FILE" in err) == (2, True)


ONE = {"s1": {"title": "Blue; Monday", "artist": "New, Order"}}
NAMED = {"s1": {"title": "Blue"}}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", 'item_id,title,artist\ns1,Blue; Monday,"New, Order"\n', ONE),
        ("a.csv", '"item_id";"title";"artist"\r\n"s1";"Blue; Monday";"New, Order"\r\n', ONE),
        ("a.tsv", "s1\tBlue; Monday\tNew, Order\n", ONE),
        ("a.txt", "\ufeffs1|Blue; Monday|New, Order\n", ONE),
        ("A.CSV", "item_id,title\ns1,Blue\n", NAMED),
        ("a.csv", "\n  \nitem_id,title\ns1,Blue\n", NAMED),
        ("a.csv", "songId,songName\ns1,Blue\n", NAMED),
        ("a.csv", "ISBN;Book-Title\ns1;Blue\n", NAMED),
        ("a.csv", "name,item_id\nBlue,s1\n", NAMED),
        ("a.csv", "track,title\ns1,Blue\n", NAMED),
        ("a.csv", "movieId,genres\ns1,Blue\n", {"s1": {"title": "s1", "genres": "Blue"}}),
        ("a.csv", "s1,Call Me by Your Name\n", {"s1": {"title": "Call Me by Your Name"}}),
        ("a.csv", "s1,a,b,c,d\n", {"s1": {"title": "a", "artist": "b", "column_4": "c", "column_5": "d"}}),
        ("a.csv", "item_id\ns1\n", {"s1": {"title": "s1"}}),
        ("A.JSONL", '{"item_id": "s1", "title": "Blue"}\n', NAMED),
        ("a.item", "item_id:token\tmovie_title:token_seq\ns1\tBlue\n", NAMED),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_columns_of_titles_are_inferred(tmp_path, name, text, expected, compressed):
    path = tmp_path / (f"{name}.gz" if compressed else name)
    content = text.encode()
    path.write_bytes(gzip.compress(content) if compressed else content)
    items = read_titles(ItemsFile(path))
    assert {id_: {"title": items.title(id_)} | items.about(id_) for id_ in items.vocabulary} == expected


def test_the_id_column_may_have_the_name_of_the_events_id_column(tmp_path):
    frame = pd.DataFrame({"year": [1983], "sku": ["s1"], "title": ["Blue"]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        items = read_titles(ItemsFile(tmp_path / name), item="sku")
        assert (items.title("s1"), items.about("s1")) == ("Blue", {"year": 1983})


GERMAN = "Artikelnummer;Bezeichnung;Marke;Preis;Bestand\nA1;Tisch;Eiche;55,72;3\nA2;Stuhl;Buche;12,00;\n"


def test_an_unknown_header_is_not_an_item(item2vec, tmp_path, events):
    (tmp_path / "items.csv").write_text(GERMAN)
    words = ["ingest", "events.csv", "--items", "items.csv"]
    code, _, err = item2vec(*words)
    assert code == 2
    assert "items.csv has no column 'item_id'; found 'Artikelnummer', 'Bezeichnung', 'Marke'" in err
    assert "with --items-id COLUMN" in err
    assert "with --items-columns A,B,… if the file has no header" in err
    assert stored(tmp_path) == {}
    assert item2vec(*words, "--items-id", "Artikelnummer", "--items-title", "Bezeichnung")[0] == 0
    assert stored(tmp_path)["A1"] == {"title": "Tisch", "Marke": "Eiche", "Preis": "55,72", "Bestand": 3}
    code, _, err = item2vec(*words, "--items-id", "Artikel")
    assert (code, "no column 'Artikel'" in err, "--items-id" in err) == (2, True, True)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_options_name_the_columns_of_ids_and_titles(tmp_path, suffix):
    frame = pd.DataFrame({"item_id": ["x"], "sku": ["s1"], "label": ["Blue"], "title": ["Mr"]})
    path = tmp_path / f"a.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    items = read_titles(ItemsFile(path, id="sku", title="label"), item="item_id")
    assert (items.vocabulary.ids, items.titles) == (("s1",), ("Blue",))
    assert items.about("s1") == {"item_id": "x", "title": "Mr"}


def test_a_first_line_that_is_read_as_an_item_is_quoted(item2vec, tmp_path, caplog):
    (tmp_path / "items.csv").write_text("Artikel;Marke\nTisch;Eiche\n")
    assert item2vec("ingest", "--items", "items.csv")[0] == 0
    found = "its first line is read as an item: 'Artikel', 'Marke'; name the column of ids with items_id="
    assert found in caplog.text
    caplog.clear()
    assert item2vec("ingest", "--items", "items.csv", "--items-columns", "item_id,brand")[0] == 0
    assert "first line" not in caplog.text


def test_items_are_added_without_interactions(item2vec, tmp_path, events):
    (tmp_path / "items.csv").write_text("item_id,title,price\ni1,A,1\ni3,C,3\n")
    facts = json.loads(item2vec("ingest", "events.csv", "--items", "items.csv", "--json")[1])
    assert [facts[f"items_{name}"] for name in ("new", "changed", "unchanged")] == [2, 0, 0]
    (tmp_path / "new.csv").write_text("item_id,price\ni1,1\ni2,2\ni3,4\ni4,4\n")
    code, out, _ = item2vec("ingest", "--items", "new.csv", "--json")
    facts = json.loads(out)
    assert (code, facts["rows"]) == (0, 0)
    assert [facts[f"items_{name}"] for name in ("new", "changed", "unchanged")] == [1, 2, 1]
    assert stored(tmp_path)["i3"] == {"title": "C", "price": 4}


def test_ids_that_differ_only_by_white_space_are_named(item2vec, tmp_path, caplog):
    (tmp_path / "items.csv").write_text("item_id,title\ni1,A\n i3,C\n")
    assert item2vec("ingest", "--items", "items.csv")[0] == 0
    (tmp_path / "more.csv").write_text(
        "user_id,item_id,timestamp\nu, i1 ,1600000200\nu, i2,1600000100\nu ,i4,3\n"
    )
    assert item2vec("ingest", "more.csv", "--no-timestamps")[0] == 0
    assert (
        "1 ids of users differ from another id only by surrounding white space, such as 'u '" in caplog.text
    )
    assert (
        "1 ids of items differ from another id only by surrounding white space, such as ' i1 '" in caplog.text
    )
    caplog.clear()
    (tmp_path / "lists.json").write_text('[["i3", "i1"], ["i1", "i3"]]')
    words = ["train", "--playlists", "lists.json", "--epochs", "1"]
    assert item2vec(*words)[0] == 0
    assert "white space" not in caplog.text
    assert item2vec(*words, "--items", "items.csv")[0] == 0
    assert (
        "1 ids of items differ from another id only by surrounding white space, such as ' i3'" in caplog.text
    )
    caplog.clear()
    (tmp_path / "events.csv").write_text("user_id,item_id\nu,i3\n")
    assert item2vec("ingest", "events.csv", "--no-timestamps", "--items", "items.csv")[0] == 0
    assert (
        "1 ids of items differ from another id only by surrounding white space, such as ' i3'" in caplog.text
    )


def test_a_list_of_ids_is_not_a_file_of_items(tmp_path):
    (tmp_path / "ids.txt").write_text("s1\ns2\n")
    with pytest.raises(InputError, match="the first item id would be 's1'"):
        read_titles(ItemsFile(tmp_path / "ids.txt"))
