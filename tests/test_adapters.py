"""Playlists, histories and sessions: examples, and comparison with slow implementations in plain Python."""

import dataclasses
import gzip
import json
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import ids, illegal_ids

from item2vec import Interactions, Items, adapters
from item2vec.adapters.histories import chosen_interactions, training_sentences
from item2vec.config import AdapterConfig
from item2vec.durations import SECOND
from item2vec.errors import ConfigError, InputError, InputTypeError, InvalidIdError
from item2vec.kernels.compiled import view_of
from item2vec.kernels.cores import core_rows

lists = st.lists(st.lists(ids, max_size=6), max_size=6)
rows = st.lists(
    st.tuples(st.sampled_from("uvw"), st.sampled_from("abcde"), st.integers(0, 40), st.sampled_from("xy")),
    max_size=30,
)


def interactions_of(rows, *, session=False, event=False):
    return Interactions.of(
        user=[row[0] for row in rows],
        item=[row[1] for row in rows],
        timestamp=[row[2] * SECOND for row in rows],
        session=[row[3] for row in rows] if session else None,
        event=[row[3] for row in rows] if event else None,
    )


def by_user(rows):
    """Return the rows of each user, in order of first appearance, stably sorted by timestamp."""
    users = list(dict.fromkeys(row[0] for row in rows))
    return [sorted((row for row in rows if row[0] == user), key=lambda row: row[2]) for user in users]


LISTENS = interactions_of(
    [("u", "a", 0, "x"), ("v", "b", 5, "x"), ("u", "b", 50, "y"), ("u", "b", 60, "x"), ("u", "c", 200, "y")],
    session=True,
)


@pytest.mark.parametrize(
    ("options", "sentences"),
    [
        ({}, ["abbc", "b"]),
        ({"collapse_repeats": True}, ["abc", "b"]),
        ({"max_length": 2}, ["bc", "b"]),
        ({"max_length": 2, "collapse_repeats": True}, ["bc", "b"]),
        ({"min_length": 2}, ["abbc"]),
        ({"min_item_count": 2}, ["bb", "b"]),
        ({"min_user_count": 2}, ["abbc"]),
        ({"min_item_count": 2, "min_user_count": 2}, ["bb"]),
        ({"group_by": {"a": "A", "b": "B", "c": "A"}}, ["ABBA", "B"]),
        ({"group_by": {"a": "A"}}, ["A"]),
        ({"start": datetime.fromtimestamp(50, UTC)}, ["bbc"]),
        ({"end": datetime.fromtimestamp(50, UTC)}, ["a", "b"]),
    ],
)
def test_examples_of_histories(options, sentences):
    assert list(adapters.histories(LISTENS, **options)) == [list(items) for items in sentences]


@pytest.mark.parametrize(
    ("gap", "sentences"),
    [("49s", ["a", "bb", "c", "b"]), ("50s", ["abb", "c", "b"]), ("1d", ["abbc", "b"])],
)
def test_examples_of_sessions_by_gap(gap, sentences):
    without_sessions = dataclasses.replace(LISTENS, session=None, sessions=None)
    assert list(adapters.sessions(without_sessions, gap=gap)) == [list(items) for items in sentences]
    assert list(adapters.sessions(LISTENS, gap=gap)) == [["a", "b"], ["b", "c"], ["b"]]


@pytest.mark.parametrize(
    ("name", "text", "options", "sentences"),
    [
        ("lists.txt", "a b\nc\n", {}, [["a", "b"], ["c"]]),
        ("lists.txt", "a\tb  c", {"sep": " "}, [["a", "b", "c"]]),
        ("lists.txt", "2 2\na b\n", {"skip_lines": 1}, [["a", "b"]]),
        ("lists.txt", "ann a b\n", {"skip_fields": 1}, [["a", "b"]]),
        ("lists.txt", "a b|c|\n|d\n", {"sep": "|"}, [["a b", "c"], ["d"]]),
        ("lists.txt", "a b|c|\n|d\n", {"sep": "|", "skip_fields": 1}, [["c"], ["d"]]),
        ("lists.jsonl", '{"items": ["a b", "c"]}\n{"items": []}\n', {}, [["a b", "c"]]),
    ],
)
def test_examples_of_playlist_files(tmp_path, name, text, options, sentences):
    (tmp_path / name).write_text(text)
    assert list(adapters.playlists(tmp_path / name, **options)) == sentences


@given(lists)
def test_lists_in_memory_are_sentences(lists):
    assert list(adapters.playlists(lists)) == [ids for ids in lists if ids]
    assert list(adapters.playlists(iter(ids) for ids in lists)) == [ids for ids in lists if ids]


@examples(50)
@given(lists.filter(any), st.sampled_from(["lists.jsonl", "lists.jsonl.gz"]))
def test_json_lines_are_read_as_written(tmp_path_factory, lists, name):
    path = tmp_path_factory.mktemp("json") / name
    text = "".join(json.dumps({"playlist_id": n, "items": ids}) + "\n" for n, ids in enumerate(lists))
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert list(adapters.playlists(path)) == [ids for ids in lists if ids]


plain_ids = ids.filter(lambda id_: not set(id_) & set(" \t\n\r\ufeff"))


@examples(50)
@given(
    st.lists(st.lists(plain_ids, min_size=1, max_size=5), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r\n"]),
)
def test_text_is_split_at_blanks_and_tabs_only(tmp_path_factory, lists, end):
    path = tmp_path_factory.mktemp("text") / "lists.txt"
    lines = [" \t".join(["user", *ids]) + " " for ids in lists]
    path.write_bytes(("\ufeff" + end.join(["1 2", *lines, ""]) + end).encode())
    assert list(adapters.playlists(path, sep=" ", skip_lines=1)) == [["user", *ids] for ids in lists]
    assert list(adapters.playlists(path, sep=" ", skip_lines=1, skip_fields=1)) == lists


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("", InputError, "contains no playlists"),
        ('{"items": ["a"]}\n{"items": [1.0]}\n', InputTypeError, "line 2: id at position 0 is 1.0"),
        ('{"items": ["a"]}\n{"items": ["a", true]}\n', InputTypeError, "line 2: id at position 1 is True"),
        ('{"items": ["a"]}\n{"items": [null]}\n', InputTypeError, "line 2: id at position 0 is None"),
        ('{"items": ["a"]}\n{"items": ["a", ["b"]]}\n', InputTypeError, "line 2: id at position 1 is"),
        ('{"items": ["a"]}\n{"items": "ab"}\n', InputError, "line 2: found"),
        (
            '{"items": ["a"]}\n{"items": ["a"\n',
            InputError,
            r"line 2: invalid JSON .* at character 16",
        ),
        ('{"items": [""]}\n', InvalidIdError, "line 1: id at position 0 is empty"),
        ("[" * 100_000, InputError, "line 1"),
        (
            '{"items": ["a", "\\ud800"]}\n',
            InvalidIdError,
            "id at position 1 contains a lone surrogate",
        ),
        (b"\xff\n", InputError, "line 1: byte 0xff is not utf-8 text; pass the encoding .*latin-1"),
        (b"a\x92s\n", InputError, "line 1: byte 0x92 is not utf-8 text; pass the encoding .*cp1252"),
    ],
)
def test_a_bad_line_is_reported_by_number(tmp_path, content, error, message):
    path = tmp_path / "lists.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=message):
        adapters.playlists(path)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (["abc"], InputTypeError, r"sentence 0 is the text 'abc'; expected a list of ids such as \['abc'\]"),
        (
            [{"items": ["a"]}],
            InputTypeError,
            r"sentence 0 is the mapping .*: pass .*line\['items'\]",
        ),
        ({("a", "b"): 1}, InputTypeError, r"source is the mapping .* list\(source.values\(\)\)"),
        ([["a"], ["b", 5]], InputTypeError, "sentence 1: id at position 1 is 5"),
        ([["a", ["b"]]], InputTypeError, r"sentence 0: id at position 1 is \['b'\]"),
        ([["a"], None], InputError, "sentence 1"),
        ("no-such-file.txt", InputError, "no file 'no-such-file.txt'; expected an existing file"),
        (5, InputTypeError, "expected"),
    ],
)
def test_invalid_playlists_are_errors(source, error, message):
    with pytest.raises(error, match=message):
        adapters.playlists(source)


@examples(50)
@given(st.lists(ids, min_size=1, max_size=5), illegal_ids, st.integers(0, 5))
def test_an_illegal_id_is_reported_by_position(sentence, illegal, position):
    position = min(position, len(sentence))
    sentence.insert(position, illegal)
    with pytest.raises(InvalidIdError, match=f"sentence 1: id at position {position} "):
        adapters.playlists([["a"], sentence])


def test_numpy_strings_become_str():
    sentences = adapters.playlists(np.array([["a", "b"], ["b", "a"]]))
    assert [type(id_) for id_ in sentences.vocabulary.ids] == [str, str]


def test_a_damaged_gzip_file_is_an_input_error(tmp_path):
    intact = gzip.compress(b"a b c d\ne f g h\n" * 50)
    path = tmp_path / "lists.txt.gz"
    for position in range(len(intact)):
        for content in (
            intact[:position] if position != 1 else b"",  # two bytes identify gzip
            intact[:position] + bytes([intact[position] ^ 255]) + intact[position + 1 :],
        ):
            path.write_bytes(content)
            try:
                sentences = adapters.playlists(path)
            except InputError:
                continue
            assert (
                list(sentences) == [list("abcd"), list("efgh")] * 50
            )  # the changed bytes of the header are unused


@pytest.mark.parametrize(
    "settings",
    [
        {"encoding": "no-such-encoding"},
        {"sep": ""},
        {"skip_lines": -1},
        {"skip_fields": 1.5},
        {"min_length": 0},
        {"min_length": float("nan")},
        {"min_length": 3, "max_length": 2},
        {"group_by": "artist"},
    ],
)
def test_options_are_checked_before_the_file_is_opened(settings):
    with pytest.raises(ConfigError, match=f"{list(settings)[-1]} is"):
        adapters.playlists("no-such-file.txt", **settings)


def test_options_of_text_files_are_errors_for_other_sources(tmp_path):
    (tmp_path / "lists.jsonl").write_text('{"items": ["a"]}\n')
    for source in ([["a", "b"]], tmp_path / "lists.jsonl"):
        with pytest.raises(ConfigError, match=r"skip fields is 1, which .*; omit it"):
            adapters.playlists(source, skip_fields=1)


def test_a_latin_1_file_needs_its_encoding(tmp_path):
    (tmp_path / "lists.txt").write_bytes("é è\n".encode("latin-1"))
    with pytest.raises(InputError, match="encoding='latin-1'"):
        adapters.playlists(tmp_path / "lists.txt")
    assert list(adapters.playlists(tmp_path / "lists.txt", encoding="latin-1")) == [["é", "è"]]


@given(rows)
def test_a_history_is_the_items_of_a_user_oldest_first(rows):
    sentences = adapters.histories(interactions_of(rows))
    assert list(sentences) == [[row[1] for row in user] for user in by_user(rows)]
    assert set(sentences.vocabulary.ids) == {row[1] for row in rows}


@given(rows, st.integers(1, 15))
def test_sessions_end_at_long_pauses(rows, gap):
    expected = []
    for user in by_user(rows):
        for before, row in zip([None, *user], user, strict=False):
            if before is None or row[2] - before[2] > gap:
                expected.append([])
            expected[-1].append(row[1])
    for same_gap in (gap, f"{gap}s", timedelta(seconds=gap)):
        assert list(adapters.sessions(interactions_of(rows), gap=same_gap)) == expected


@given(rows)
def test_a_session_column_splits_the_history_of_each_user(rows):
    expected = []
    for user in by_user(rows):
        names = list(dict.fromkeys(row[3] for row in user))
        expected += [[row[1] for row in user if row[3] == name] for name in names]
    assert list(adapters.sessions(interactions_of(rows, session=True), gap=None)) == expected


@given(rows, st.integers(1, 3), st.integers(1, 4), st.booleans(), st.booleans())
def test_shaping_options_against_lists(rows, min_length, more, collapse, grouped):
    group_by = {"a": "A", "b": "A", "c": "C", "d": "D"} if grouped else None
    expected = []
    for user in by_user(rows):
        items = [row[1] for row in user]
        if group_by:
            items = [group_by[item] for item in items if item in group_by]
        if collapse:
            items = [item for n, item in enumerate(items) if n == 0 or items[n - 1] != item]
        items = items[-(min_length + more) :]
        if len(items) >= min_length:
            expected.append(items)
    options = {"min_length": min_length, "max_length": min_length + more, "collapse_repeats": collapse}
    if group_by and rows and not {row[1] for row in rows} & set(group_by):
        with pytest.raises(InputError, match="has a group"):
            adapters.histories(interactions_of(rows), group_by=group_by, **options)
        return
    assert list(adapters.histories(interactions_of(rows), group_by=group_by, **options)) == expected
    if group_by:
        songs = Items.of({item: {"artist": artist} for item, artist in group_by.items()})
        assert (
            list(adapters.histories(interactions_of(rows), group_by=(songs, "artist"), **options)) == expected
        )


@given(rows, st.integers(0, 20), st.integers(20, 40), st.integers(1, 3), st.integers(1, 3))
def test_filters_against_lists(rows, start, end, min_item_count, min_user_count):
    kept = [row for row in rows if start <= row[2] < end]
    items = [row[1] for row in kept]
    kept = [row for row in kept if items.count(row[1]) >= min_item_count]
    users = [row[0] for row in kept]
    kept = [row for row in kept if users.count(row[0]) >= min_user_count]
    order = list(dict.fromkeys(row[0] for row in rows))
    expected = [
        [row[1] for row in user] for user in sorted(by_user(kept), key=lambda u: order.index(u[0][0]))
    ]
    sentences = adapters.histories(
        interactions_of(rows),
        start=datetime.fromtimestamp(start, UTC),
        end=datetime.fromtimestamp(end, UTC),
        min_item_count=min_item_count,
        min_user_count=min_user_count,
    )
    assert list(sentences) == expected


def slow_core(kept, min_user_count, min_item_count):
    """Return the k-core by repeated filters."""
    while True:
        users, items = [row[0] for row in kept], [row[1] for row in kept]
        left = [
            row
            for row in kept
            if users.count(row[0]) >= min_user_count and items.count(row[1]) >= min_item_count
        ]
        if len(left) == len(kept):
            return kept
        kept = left


@given(rows, st.integers(1, 4), st.integers(1, 4))
def test_a_core_equals_repeated_filters(rows, min_user_count, min_item_count):
    least = {"min_user_count": min_user_count, "min_item_count": min_item_count}
    interactions = interactions_of(rows)
    numbered = [(*row[:2], number) for number, row in enumerate(rows)]
    remaining = slow_core(numbered, min_user_count, min_item_count)
    expected = interactions.take(np.array([row[2] for row in remaining], dtype=int))
    assert list(adapters.histories(interactions, core=True, **least)) == list(adapters.histories(expected))
    assert list(adapters.sessions(interactions, gap=5, core=True, **least)) == list(
        adapters.sessions(expected, gap=5)
    )
    config = AdapterConfig(core=True, **least)
    assert list(training_sentences(interactions, config)) == list(adapters.histories(expected))
    assert len(chosen_interactions(interactions, config)) == len(remaining)


def test_a_core_is_repeated_and_a_filter_is_not():
    rows = [("u", "a", 1, ""), ("u", "b", 2, ""), ("v", "a", 1, ""), ("v", "c", 2, ""), ("w", "c", 3, "")]
    least = {"min_user_count": 2, "min_item_count": 2}
    assert list(adapters.histories(interactions_of(rows), **least)) == [["a", "c"]]
    assert list(adapters.histories(interactions_of(rows), core=True, **least)) == []


def test_a_core_of_a_long_chain_takes_linear_time():
    n = 200_000  # repeated filters would remove two rows of 200,000 in each of 100,000 rounds
    chain = np.arange(n, dtype=np.int32)
    user, item = view_of((chain + 1) // 2), view_of(chain // 2)
    kept = core_rows(user, item, n // 2 + 1, n // 2, 2, 2)
    assert not kept.any()


@pytest.mark.parametrize("adapter", [adapters.histories, partial(adapters.sessions, gap=10)])
def test_overlong_sentences_are_dropped_whole_and_counted(adapter, caplog):
    caplog.set_level("INFO")
    rows = [("robot", "ab"[n % 2], n, "") for n in range(9)] + [("u", "c", 1, ""), ("u", "b", 2, "")]
    interactions = interactions_of(rows)
    assert list(adapter(interactions, drop_longer_than=8, max_length=4)) == [["c", "b"]]
    message = "dropped 1 of 2 sentences (9 of 11 interactions): each has more than 8 interactions (drop"
    assert message in caplog.text
    assert [len(sentence) for sentence in adapter(interactions, drop_longer_than=9, max_length=4)] == [4, 2]
    config = AdapterConfig(drop_longer_than=8, kind="sessions", gap="10s")
    assert list(training_sentences(interactions, config)) == [["c", "b"]]
    with pytest.raises(ConfigError, match="drop_longer_than is 1; expected an integer of at least 2"):
        adapter(interactions, min_length=2, drop_longer_than=1)


def test_a_long_history_of_short_sessions_is_kept():
    rows = [("u", "ab"[n % 2], 100 * n, "") for n in range(9)]
    assert len(adapters.sessions(interactions_of(rows), gap=10, drop_longer_than=2)) == 9


def test_a_group_is_one_id():
    songs = Items.of({"a": {"genres": ["rock", "jazz"], "year": 1999, "price": 1.5, "live": True}})
    assert list(adapters.playlists([["a"]], group_by=(songs, "year"))) == [["1999"]]
    for attribute in ("genres", "price", "live"):
        with pytest.raises(InputTypeError, match="the group of item 'a' is"):
            adapters.playlists([["a"]], group_by=(songs, attribute))


def test_collapsed_repeats_keep_the_largest_weight():
    shop = Interactions.of(user=[*"uuuuv"], item=[*"aabaa"], weight=[1, 5, 2, 3, 1])
    sentences = adapters.histories(shop, collapse_repeats=True)
    assert list(sentences) == [["a", "b", "a"], ["a"]]
    assert sentences.weights.tolist() == [5, 2, 3, 1]


def test_a_pause_beyond_the_range_of_int64_ends_a_session():
    ends = Interactions.of(user=["u", "u"], item=["a", "b"], timestamp=[-(2**62) - 1, 2**62 + 1])
    assert list(adapters.sessions(ends)) == [["a"], ["b"]]


@pytest.mark.parametrize("adapter", [adapters.histories, adapters.sessions])
def test_arguments_are_checked(adapter):
    with pytest.raises(InputTypeError, match="interactions is of type list; expected Interactions"):
        adapter([["a", "b"]])
    with pytest.raises(ConfigError, match="start is '2024-01-01'"):
        adapter(interactions_of([("u", "a", 1, "x")]), start="2024-01-01")
    with pytest.raises(ConfigError, match="min_user_count is nan"):
        adapter(interactions_of([("u", "a", 1, "x")]), min_user_count=float("nan"))


def test_events_filter_and_weight_interactions():
    shop = interactions_of([("u", "a", 1, "x"), ("u", "b", 2, "y"), ("u", "c", 3, "x")], event=True)
    assert list(adapters.histories(shop, events=["x"])) == [["a", "c"]]
    weighted = adapters.histories(shop, events={"x": 1, "y": 5})
    assert weighted.weights.tolist() == [1, 5, 1]
    with pytest.raises(InputError, match=r"unknown event 'z'; expected .*: 'x', 'y'"):
        adapters.histories(shop, events=["z"])
    with pytest.raises(InputError, match="event="):
        adapters.histories(interactions_of([("u", "a", 1, "x")]), events=["x"])


@pytest.mark.parametrize("text", ["90s", "1.5min", " 90 S ", "0.025h"])
def test_gaps_may_be_text_with_units(text):
    rows = [("u", "a", 0, "x"), ("u", "b", 90, "x"), ("u", "c", 181, "x")]
    assert list(adapters.sessions(interactions_of(rows), gap=text)) == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    "gap", ["30", "half an hour", "-5min", "1.2.3s", 0, -1, float("nan"), timedelta(0), True, [1]]
)
def test_invalid_gaps_are_errors(gap):
    with pytest.raises(ConfigError, match="gap is"):
        adapters.sessions(interactions_of([("u", "a", 1, "x")]), gap=gap)


def test_sessions_need_a_session_column_or_timestamps():
    untimed = Interactions.of(user=["u"], item=["a"])
    assert list(adapters.histories(untimed)) == [["a"]]
    with pytest.raises(InputError, match="neither a session column nor timestamps"):
        adapters.sessions(untimed)
    with pytest.raises(InputError, match="no session column, and gap is None; expected a gap"):
        adapters.sessions(interactions_of([("u", "a", 1, "x")]), gap=None)


def test_a_history_of_45000_items_is_one_sentence():
    long = Interactions.of(user=["u"] * 45_000, item=[str(n % 977) for n in range(45_000)])
    assert adapters.histories(long).lengths.tolist() == [45_000]
