"""Hypothesis strategies for legal and illegal ids, and for corpora.

Every test file can import them: pytest adds this folder to the path.
"""

from __future__ import annotations

from hypothesis import strategies as st

MAX_ID_BYTES = 512

# Each of these has broken a parser, a database, a file format, or a comparison.
ODD_IDS = (
    "A", "a", "1", "01", "1.0", "+1", "-1", "0", " ", "  ", " a", "a ", "a b", "a\tb", "\t", "a\nb", "\n",
    "a\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1f", "\x7f", "\x85", "\xa0", "a\x85b", "a\u2028b",
    "\u2028", "\u2029", "\u3000", "\ufeff", "\ufeffa", "\u200b", "\u202e",
    "é", "e\u0301", "ß", "SS", "İ", "ı", "😀", "👩‍👩‍👧", "日本語", "\U0010ffff", "\ufffe", "\ue000",
    "nan", "NaN", "None", "null", "NULL", "true", "inf", "-inf", "1e5", "{}", "[]", "[1]", "undefined",
    "'", '"', "''", '"a"', "a,b", ",", ";", "a;b", "`", "\\", "\\n", "\\u0041", "a\\",
    "%", "%%", "%s", "%20", "%2520", "%25", "%0A", "a%20b",
    "/", "../..", "..", ".", "a/b", "?", "&", "=", "a=b&c", "#",
    "<s>", "</s>", "<b>", "{0}", "${HOME}", "$1", "~", "*", "-", "--", "_",
    "'; DROP TABLE item; --", "é" * (MAX_ID_BYTES // 2), "😀" * (MAX_ID_BYTES // 4), "x" * MAX_ID_BYTES,
    " " * MAX_ID_BYTES,
)  # fmt: skip

_any_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)

ids = st.sampled_from(ODD_IDS) | _any_text
"""Legal ids: 1 to 512 UTF-8 bytes without NUL."""

illegal_ids = st.sampled_from(
    ("", "\0", "a\0b", "\ud800", "a\udfff", "\ud83d", "x" * (MAX_ID_BYTES + 1),
     "é" * (MAX_ID_BYTES // 2) + "x", "😀" * (MAX_ID_BYTES // 4 + 1))
)  # fmt: skip
"""Text that is not a legal id: empty, with a NUL or a lone surrogate, or too long."""

NOT_TEXT = (7, None, b"7", 7.0, True, ["a"])
"""Values that are not text; tables may hold them in place of ids."""


@st.composite
def corpora(draw, *, min_sentences=0, min_length=0, max_items=8):
    """Lists of lists of ids, drawn from few ids so that ids recur."""
    pool = draw(st.lists(ids, min_size=1, max_size=max_items, unique=True))
    sentence = st.lists(st.sampled_from(pool), min_size=min_length, max_size=8)
    return draw(st.lists(sentence, min_size=min_sentences, max_size=8))


def fresh_folder(tmp_path_factory):
    """Return a new empty folder; unlike ``tmp_path``, it is new for each Hypothesis example."""
    return tmp_path_factory.mktemp("fresh")
