"""The readers of text agree with a slow reader on mutated files. scripts/fuzz_readers.py runs more cases."""

import sys
from pathlib import Path

import pytest
from examples import examples
from hypothesis import example, given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

import fuzz_readers
import slow_reader

pieces = st.sampled_from(
    [
        '"',
        '"',
        '""',
        "\n",
        "\r\n",
        "\r",
        " ",
        "a",
        "7",
        "é",
        "\u2028",
        "\0",
        "{sep}",
        "{sep}",
        "u1{sep}i1\n",
        '"\n',
    ]
)


def test_mutated_files_are_read_as_by_the_slow_reader_or_are_errors(tmp_path):
    counts, failures = fuzz_readers.run(range(1, 251), tmp_path)
    assert not failures, failures[0]
    assert min(counts["rows"], counts["bad rows"]) > 30


@examples(150)
@given(
    body=st.lists(pieces, max_size=25).map("".join),
    sep=st.sampled_from([",", "\t", "::"]),
    quotes=st.booleans(),
    block_bytes=st.sampled_from([4, 7, 1 << 22]),
)
@example(body='u1{sep}"a\nu1{sep}i1\nu1{sep}a"\n', sep=",", quotes=True, block_bytes=7)
@example(body='u1{sep}"a\nu1{sep}i1\nu1{sep}a"\n', sep="\t", quotes=True, block_bytes=7)
@example(body="\ufeffu1{sep}i1\n", sep=",", quotes=True, block_bytes=1 << 22)
@example(body="\n\n \n\ru1{sep}i1", sep=",", quotes=True, block_bytes=1 << 22)
def test_any_text_is_read_as_by_the_slow_reader(tmp_path_factory, body, sep, quotes, block_bytes):
    content = ("user_id{sep}item_id\n" + body).replace("{sep}", sep)
    case = slow_reader.Case("rows.csv", content.encode(), {"sep": sep, "quotes": quotes})
    fuzz_readers.check(case, tmp_path_factory.mktemp("any"), block_bytes)


@pytest.mark.parametrize(
    ("text", "pairs", "bad"),
    [
        ("u,a\nv,b\n", [("u", "a"), ("v", "b")], []),
        ('u,"a,b"\nv,"c ""d"""\n', [("u", "a,b"), ("v", 'c "d"')], []),
        ('u,"a\nb"\n', [("u", "a\nb")], []),
        ('u,"a\nv,b\nw,c"\n', [("v", "b"), ("w", 'c"')], [2]),
        ('u,"a" b\nv,7"\n', [("u", '"a" b'), ("v", '7"')], []),
        ("u,a,x\n\nv,\n", [], [2, 4]),
    ],
)
def test_the_slow_reader_divides_rows_as_documented(text, pairs, bad):
    case = slow_reader.Case("rows.csv", f"user_id,item_id\n{text}".encode(), {"sep": ","})
    assert slow_reader.expected_of(case) == slow_reader.Expected(pairs, bad)
