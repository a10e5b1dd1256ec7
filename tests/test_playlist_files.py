"""Playlist files: each layout is read as the playlists that were written, and none is read as another one."""

import gzip
import json
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import ids

from item2vec import adapters
from item2vec.adapters import playlist_files, playlist_json
from item2vec.adapters.playlist_text import find_separator
from item2vec.errors import ConfigError, InputError
from item2vec.layouts import layout_of

INPUTS = Path(__file__).parent / "inputs"


@pytest.mark.parametrize(
    ("name", "options", "n_playlists", "n_items", "first"),
    [
        ("playlists.ndjson", {}, 12, 17, "s0 s1 s2 s3 s4 s5"),
        ("playlists_upper.JSONL", {}, 12, 17, "s0 s1 s2 s3 s4 s5"),
        ("playlists_array.json", {}, 12, 17, "s0 s1 s2 s3 s4 s5"),
        ("playlists_of_numbers.jsonl", {}, 8, 12, "0 1 2 3 4"),
        ("million_layout.json", {}, 6, None, "uri:t0 uri:t1 uri:t2 uri:t3 uri:t4"),
        ("comma_blank.txt", {}, 3, 4, "s1 s2 s3"),
        ("comma_blank.txt", {"sep": ","}, 3, 4, "s1 s2 s3"),
    ],
)
def test_inputs(name, options, n_playlists, n_items, first):
    sentences = adapters.playlists(INPUTS / name, **options)
    assert len(sentences) == n_playlists
    assert n_items is None or len(sentences.vocabulary) == n_items
    assert sentences[0] == first.split()


def test_inputs_with_blanks_in_ids():
    artists = adapters.playlists(INPUTS / "million_layout.json", unit="artist_name")
    assert artists[0] == ["A 0", "A 1", "A 2", "A 3", "A 0"]
    assert list(adapters.playlists(INPUTS / "list.m3u")) == [
        ["music/First Song.mp3", "music/Second Song.mp3"]
    ]
    titles = [["Blue Monday", "Age of Consent", "Ceremony"], ["Ceremony", "Blue Monday", "Temptation"]]
    assert list(adapters.playlists(INPUTS / "titles_tab.txt")) == titles
    assert list(adapters.playlists(INPUTS / "titles_tab.txt", sep="\t")) == titles


def objects(lists):
    return [{"playlist_id": n, "items": ids} for n, ids in enumerate(lists)]


def million(lists):
    return {
        "info": {},
        "playlists": [{"pid": 0, "tracks": [{"pos": 0, "track_uri": i} for i in ids]} for ids in lists],
    }


JSON_LAYOUTS = {
    "lines.jsonl": lambda lists: "".join(json.dumps(one) + "\n" for one in objects(lists)),
    "lines.NDJSON": lambda lists: "\n\n".join(json.dumps(one) for one in objects(lists)),
    "lines.txt": lambda lists: "".join(json.dumps(ids, ensure_ascii=False) + "\r\n" for ids in lists),
    "array.json": lambda lists: json.dumps(objects(lists)),
    "array_of_arrays.json": lambda lists: json.dumps([[], *lists]),
    "pretty.JSON": lambda lists: json.dumps(objects(lists), indent=1),
    "pretty_of_arrays.dat": lambda lists: json.dumps([[], *lists], indent=2),
    "element_per_line.json": lambda lists: "[\n" + ",\n".join(map(json.dumps, objects(lists))) + "\n]\n",
    "sequence.json": lambda lists: "".join(json.dumps(one, indent=2) + "\n" for one in objects(lists)),
    "million.json": lambda lists: json.dumps(million(lists)),
    "million_pretty.json": lambda lists: json.dumps(million(lists), indent=4),
    "million_lines.jsonl": lambda lists: (
        json.dumps(million(lists[:1])) + "\n" + json.dumps(million(lists[1:]))
    ),
}
COMPRESSIONS = {"": bytes, ".gz": gzip.compress}


@pytest.mark.parametrize("name", JSON_LAYOUTS)
@examples(12)
@given(
    lists=st.lists(st.lists(ids, min_size=1, max_size=4), min_size=1, max_size=4),
    bom=st.booleans(),
    compression=st.sampled_from(list(COMPRESSIONS)),
)
def test_json_is_read_as_written(tmp_path_factory, name, lists, bom, compression):
    path = tmp_path_factory.mktemp("json") / (name + compression)
    content = ("\ufeff" * bom + JSON_LAYOUTS[name](lists)).encode()
    path.write_bytes(COMPRESSIONS[compression](content))
    assert list(adapters.playlists(path)) == lists


@given(st.lists(st.integers(-(10**30), 10**30), min_size=1, max_size=5))
@examples(20)
def test_whole_numbers_are_read_as_text(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("numbers") / "lists.jsonl"
    path.write_text(json.dumps({"items": numbers}))
    assert list(adapters.playlists(path)) == [[str(number) for number in numbers]]


def is_plain(id_):
    return id_ == id_.strip() and not id_.startswith("#") and not set(id_) & set("\r\n\ufeff")


def xspf(location):
    legal = "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" else "_" for c in location
    )
    return f"<track><title>other</title><location>{escape(legal)}</location></track>", legal


@examples(40)
@given(st.lists(ids.filter(is_plain), min_size=1, max_size=5), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_player_files_are_read_as_written(tmp_path_factory, locations, end):
    folder = tmp_path_factory.mktemp("players")
    extended = end.join(["#EXTM3U", *(f"#EXTINF:1,x y{end}{one}" for one in locations), ""])
    numbered = [f"File{n}={one}{end}Title{n}=x y{end}Length{n}=1" for n, one in enumerate(locations, 1)]
    pls = end.join(["[playlist]", f"NumberOfEntries={len(locations)}", *reversed(numbered), "Version=2"])
    for name, text in [("a.m3u8", extended), ("b.txt", extended), ("c.pls", pls), ("d.txt", pls)]:
        (folder / name).write_bytes(("\ufeff" * (name == "b.txt") + text).encode())
        assert list(adapters.playlists(folder / name)) == [locations]
    tracks = [xspf(one) for one in locations]
    text = '<?xml version="1.0" encoding="UTF-8"?>\n<playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList>'
    text += "".join(track for track, _ in tracks) + "</trackList></playlist>"
    for name in ("e.xspf", "f.txt"):
        (folder / name).write_bytes(text.encode())
        if all(legal.strip() for _, legal in tracks):
            assert list(adapters.playlists(folder / name)) == [[legal.strip() for _, legal in tracks]]


def test_examples_of_player_files(tmp_path):
    (tmp_path / "plain.m3u").write_text("[2004] x/one.mp3\n# a comment\n\ntwo.mp3\n")
    assert list(adapters.playlists(tmp_path / "plain.m3u")) == [["[2004] x/one.mp3", "two.mp3"]]
    (tmp_path / "list.pls").write_text("[Playlist]\nfile10=c\nFILE2 = b=1 \nFile1=a\n")
    assert list(adapters.playlists(tmp_path / "list.pls")) == [["a", "b=1", "c"]]
    (tmp_path / "list.pls").write_text("[Playlist]\nFile1=a\nb c\n")
    with pytest.raises(InputError, match=r"list\.pls line 3: found 'b c'; expected File1="):
        adapters.playlists(tmp_path / "list.pls")
    (tmp_path / "list.pls").write_text("[Playlist]\nFile1=a\nFile01=b\n")
    with pytest.raises(InputError, match=r"list\.pls line 3: found 'File01=b'; .* distinct numbers"):
        adapters.playlists(tmp_path / "list.pls")
    tracks = (
        "<track><title>Ceremony</title><creator>New Order</creator></track>"
        "<track><title>Alone</title></track>"
        "<track><location>a&amp;b</location><title>T</title><x:extension xmlns:x='u'><x:title>no</x:title>"
        "</x:extension></track>"
    )
    (tmp_path / "list.xspf").write_text(f"<playlist xmlns='http://xspf.org/ns/0/'>{tracks}</playlist>")
    assert list(adapters.playlists(tmp_path / "list.xspf")) == [["Ceremony by New Order", "Alone", "a&b"]]
    assert list(adapters.playlists(tmp_path / "list.xspf", unit="title")) == [["Ceremony", "Alone", "T"]]
    with pytest.raises(InputError, match="item 1 has no field 'creator'; found 'title'"):
        adapters.playlists(tmp_path / "list.xspf", unit="creator")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<playlist><track/></playlist>", "track 0 has no location and no title"),
        ("<playlist><track>", "line 1: no element found"),
        ("<?xml version='1.0' encoding='shift_jis'?><playlist/>", "multi-byte .*; expected XSPF in UTF-8"),
        ("<?xml version='1.0' encoding='klingon'?><playlist/>", "unknown encoding: klingon; expected XSPF"),
        ("<?xml version='1.0'?><plist></plist>", "root element <plist>; expected XSPF: export"),
        (
            "<!DOCTYPE p [<!ENTITY a 'x'><!ENTITY b '&a;&a;'>]><playlist><track>&b;</track></playlist>",
            "declaration of the entity 'a'",
        ),
        (
            "<!DOCTYPE p [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><playlist><track>&a;</track></playlist>",
            "declaration of the entity 'a'",
        ),
    ],
)
def test_bad_xml_is_an_error(tmp_path, text, message):
    (tmp_path / "list.xspf").write_text(text)
    with pytest.raises(InputError, match=message):
        adapters.playlists(tmp_path / "list.xspf")


# Texts of other layouts, in files with a suffix of text: none of them is a list of ids.
FOREIGN = [
    '{"items": ["a", "b"]}',
    '["a", "b"]',
    "#EXTM3U",
    "[playlist]",
    "<?xml version='1.0'?>",
    "*Vertices 3",
    "{",
]


@pytest.mark.parametrize("line", FOREIGN)
@pytest.mark.parametrize("name", ["lists.txt", "lists.csv", "lists", "lists.dat.gz"])
def test_a_line_of_another_layout_is_never_a_list_of_ids(tmp_path, name, line):
    assert layout_of(line) is not None
    compress = gzip.compress if name.endswith(".gz") else bytes
    for text in (f"a b\nc d\n{line}\n", "a b\n" * 1500 + f"  {line}\r\n"):
        (tmp_path / name).write_bytes(compress(text.encode()))
        for sep in (None, " ", ","):
            with pytest.raises(InputError, match=r"line (3|1501) starts with .*; expected ids"):
                adapters.playlists(tmp_path / name, sep=sep)
    (tmp_path / name).write_bytes(compress(f"\n {line}\na b\n".encode()))
    try:
        found = list(adapters.playlists(tmp_path / name))
    except InputError:
        return
    assert found in ([["a", "b"]], [["a b"]])  # JSON, and M3U with the file "a b"


plain = st.text(st.characters(categories=["L", "N"], exclude_characters="\ufeff"), min_size=1, max_size=4)
SEPARATORS = [" ", "\t", "  \t", ",", ", ", " , ", ";", "; ", "|", " | "]


@examples(60)
@given(
    st.lists(st.lists(plain, min_size=1, max_size=4), min_size=1, max_size=6),
    st.sampled_from(SEPARATORS),
    st.sampled_from(["\n", "\r\n", " \n"]),
)
def test_every_separator_is_detected(tmp_path_factory, lists, sep, end):
    path = tmp_path_factory.mktemp("text") / "lists.txt"
    path.write_text("".join(sep.join(one) + end for one in lists), "utf-8", newline="")
    assert list(adapters.playlists(path)) == lists
    assert list(adapters.playlists(path, sep=sep.strip(" ") or " ")) == lists


titles = st.lists(st.lists(plain, min_size=1, max_size=3).map(" ".join), min_size=3, max_size=5)


@examples(40)
@given(st.lists(titles, min_size=1, max_size=5))
def test_titles_separated_by_tabs_are_not_torn(tmp_path_factory, lists):
    path = tmp_path_factory.mktemp("titles") / "lists.txt"
    path.write_text("".join("\t".join(one) + "\n" for one in lists), "utf-8", newline="")
    assert list(adapters.playlists(path)) == lists


@pytest.mark.parametrize(
    ("lines", "sep"),
    [
        (["a b", "c"], " "),
        (["a\tb", "c"], " "),
        (["a"], " "),
        (["a,b c,d", "e,f"], " "),
        (["a|b c|d", "e|f g|h"], " "),
        (["a b", "c d,e"], " "),
        (["a,b", "c"], ","),
        (["a, b", "c,d"], ","),
        (["x y\tz", "x\tz"], "\t"),
        (["x\ty\tz z"], "\t"),
        (["x\ty", "z"], " "),
    ],
)
def test_examples_of_separators(lines, sep):
    assert find_separator(lines, "x.txt") == sep


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u1\ta b c\nu2\tb c\n", r"x\.txt: found spaces and tabs.*pass sep='\\t', or pass sep=' '"),
        ("Blue Monday\nCeremony\tAge\n", "found spaces and tabs"),
        ("u1\ta,b,c\nu2\tb,c\n", "found tabs and ',' in the same lines.*sep=','"),
        ("u1 a,b,c\nu2 b,c\n", "found spaces and ',' in the same lines"),
        ("Blue Monday, Age of Consent\nCeremony, Age\n", "found spaces and ','"),
        ("a,b;c\n", "found ',' and ';'"),
        ("a b, c\nd e f\n", "line 1: found spaces between ids, and ',' before a space; .*sep=','"),
        ("a b c\n" * 2000 + "a, b\n", "line 2001: found spaces between ids, and ',' before a space"),
        ("a b c\n" * 2000 + "a; b\n", "line 2001: found spaces between ids, and ';' before a space"),
    ],
)
def test_an_ambiguous_separator_is_an_error(tmp_path, text, message):
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        adapters.playlists(tmp_path / "x.txt")
    assert len(adapters.playlists(tmp_path / "x.txt", sep=" "))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.json", '{"items": [{"name": "A", "id": "a"}]}', "fields 'name', 'id'; .*such as unit='id'"),
        ("x.json", '[{"items": ["a"]},\n {"items": true}]', r"line 1, playlist 1: found \{\"items\": true\}"),
        (
            "x.json",
            '[\n{"items": ["a"]},\n{"items" ["a"]}\n]',
            "line 3: invalid JSON .Expecting ':'",
        ),
        ("x.json", '{\n"items": ["a"]\n}\n\n{"items": [1.5]}', "line 5: id at position 0 is 1.5"),
        ("x.json", '{"nodes": [], "links": []}', 'found .*expected a list of ids, or {"items"'),
        ("x.jsonl", "a b\n", "line 1: invalid JSON .Expecting value"),
        ("x.jsonl", '{"items": ["a"]}\n"b"\n', 'line 2: found "b"'),
        ("x.json", "", "contains no playlists"),
        ("x.txt", "\n \n", "contains no playlists"),
        ("x.net", "*Vertices 3\n", "in the layout Pajek; expected playlists"),
        ("x.txt", "%%MatrixMarket matrix\n", "in the layout Matrix Market"),
    ],
)
def test_files_without_playlists_are_errors(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        adapters.playlists(tmp_path / name)


@pytest.mark.parametrize("start", ["", "[", "{", "a", "#EXTM3U\n"])
def test_long_lines_and_documents_are_errors(tmp_path, monkeypatch, start):
    monkeypatch.setattr(playlist_json, "MAX_DOCUMENT", 10_000)
    monkeypatch.setattr(playlist_files, "MAX_DOCUMENT", 10_000)
    (tmp_path / "x.gz").write_bytes(gzip.compress((start + " " * 10_000 + "x" * 20_000).encode()))
    with pytest.raises(InputError, match=r"of more than 10,000 (bytes|characters)"):
        adapters.playlists(tmp_path / "x.gz", max_line=10_000)
    (tmp_path / "x.json").write_text("[\n" + '["a"],\n' * 2000)
    with pytest.raises(InputError, match="line 1430: found a JSON document of more than 10,000 characters"):
        adapters.playlists(tmp_path / "x.json")


def test_a_unit_is_a_field_of_tracks(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"items": [{"id": 5, "name": "A"}, {"id": "a", "name": "B"}]}')
    assert list(adapters.playlists(path, unit="id")) == [["5", "a"]]
    with pytest.raises(InputError, match="item 0 has no field 'uri'; found 'id', 'name'"):
        adapters.playlists(path, unit="uri")
    path.write_text('{"items": ["a"]}')
    with pytest.raises(InputError, match="item 0 is 'a'; expected an object with the field 'id'"):
        adapters.playlists(path, unit="id")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("list.m3u", {"sep": ","}, "sep is ',', which does not apply to M3U"),
        ("list.m3u", {"unit": "title"}, "unit is 'title'.* M3U"),
        ("comma_blank.txt", {"unit": "title"}, "unit is 'title', .* lines of ids"),
        ("playlists_array.json", {"sep": ","}, "sep is ',', .* JSON"),
        ("playlists_array.json", {"skip_fields": 1}, "skip fields is 1, .* JSON"),
    ],
)
def test_options_of_another_layout_are_errors(name, options, message):
    with pytest.raises(ConfigError, match=message):
        adapters.playlists(INPUTS / name, **options)


def test_options_do_not_hide_another_layout(tmp_path):
    (tmp_path / "g.net").write_text("*Vertices 2\n*Edges\n1 2\n")
    with pytest.raises(InputError, match=r"is in the layout Pajek; expected playlists .*: convert the file"):
        adapters.playlists(tmp_path / "g.net", sep=",", unit="id")


def test_lines_are_skipped_before_the_layout_is_recognised(tmp_path):
    (tmp_path / "x.txt").write_text("a header, of another kind\n\n" + '{"items": ["a", "b"]}\n')
    assert list(adapters.playlists(tmp_path / "x.txt", skip_lines=1)) == [["a", "b"]]
    (tmp_path / "x.txt").write_text('{"header": 1}\na, b\n')
    assert list(adapters.playlists(tmp_path / "x.txt", skip_lines=1)) == [["a", "b"]]
