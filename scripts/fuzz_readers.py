"""Fuzzing of the readers of delimited text and JSON lines, against a slow reference reader.

    scripts/fuzz_readers.py [--n 10000] [--seed 1]

Each case is a valid file with a few mutations of bytes, quotes, separators, line ends, values or the
encoding, possibly compressed. The reader must return exactly the rows of the reference, or raise an error of
``item2vec.errors`` where the reference found a fault. Blocks are small in most cases, so that rows cross
their boundaries.
"""

from __future__ import annotations

import argparse
import collections
import csv
import gzip
import io
import json
import logging
import random
import resource
import signal
import string
import tempfile
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from item2vec import readers
from item2vec.errors import InputError, Item2VecError

NAMES = ["user_id", "item_id", "n", "title"]
SECONDS = 20
TITLES = [
    "Low",
    "Lodger, live",
    "TV 42",
    'the "Heroes"',
    '7" single',
    '"Weird Al" Yankovic',
    "two\nlines",
    "é🎵",
]
TITLES += [
    "1,2",
    "a\tb",
    "u1,a,3,x",
    "line\nu2,b,5,Low\nend",
    "line\r\nbreak",
    "",
    " ",
    '"',
    "a::b",
    "\x1f",
    "NULL",
]
VALUES = [
    "",
    " ",
    "NaN",
    "0",
    "-1",
    "1e999",
    "x" * 600,
    "\0",
    "\ufeff",
    "\u2028",
    "\x1f",
    "\x85",
    "true",
    "[]",
    "{}",
    "9" * 40,
]


class WrongAnswer(Exception):
    """The reader and the reference differ."""


@dataclass
class Case:
    """A file, the arguments of the reader, and a description of both."""

    name: str
    content: bytes
    options: dict
    has_header: bool = True
    steps: list[str] = field(default_factory=list)


# --- the reference: one character at a time, by the definitions in the documentation ---


@dataclass
class Expected:
    """Rows ``(line, user, item)``, the lines of bad rows, or the reason why the file is an error."""

    rows: list[tuple[int, str, str]] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)
    error: str | None = None


def physical_lines(text):
    """Return pairs (start, end) of the lines without line ends."""
    lines, start, at = [], 0, 0
    while at < len(text):
        if text[at] in "\r\n":
            lines.append((start, at))
            if text[at : at + 2] == "\r\n":
                at += 1
            start = at + 1
        at += 1
    if start < len(text):
        lines.append((start, len(text)))
    return lines


def quoted_row(text, at, sep):
    """Return the fields, the opening quotes that are followed by a line break, and the end; None if malformed."""
    fields, spans = [], []
    while True:
        value = ""
        if text[at : at + 1] == '"':
            opening = at
            at += 1
            while text[at : at + 1] != '"' or text[at : at + 2] == '""':
                if at >= len(text):
                    return None
                value += text[at]
                at += 2 if text[at] == '"' else 1
            at += 1
            if at < len(text) and text[at] not in "\r\n" and not text.startswith(sep, at):
                return None
            if "\n" in value or "\r" in value:
                spans.append((len(fields), opening, at))
        else:
            while at < len(text) and text[at] not in "\r\n" and not text.startswith(sep, at):
                value += text[at]
                at += 1
        fields.append(value)
        if at >= len(text) or text[at] in "\r\n":
            return fields, spans, at
        at += len(sep)


def is_number_or_date(value):
    return set(value) <= set("-+.:/TZ0123456789 ") and any(c in string.digits for c in value)


def is_code(value):
    return not set(value) & set(" \t\n\r\f\v") and any(c in string.digits for c in value)


def rows_of(text, sep, quotes, width, tests, first=0):
    """Yield (line number, fields, has a stray quote) of each row from line ``first``."""
    lines = physical_lines(text)
    index = first
    while index < len(lines):
        start, end = lines[index]
        found = quoted_row(text, start, sep) if quotes else None
        as_text = text[start:end].split(sep)
        number, index = index + 1, index + 1
        if found is None:
            if len(as_text) > 1 or as_text[0].strip(" \t"):
                yield number, as_text, False
            continue
        fields, spans, row_end = found
        stray = False
        for n_before, opening, closing in spans:
            opened = next(i for i, (a, b) in enumerate(lines) if a <= opening <= b)
            closed = next(i for i, (a, b) in enumerate(lines) if a <= closing - 1 <= b)
            rest = text[opening : lines[opened][1]]
            swallowed = [text[a:b].split(sep) for a, b in lines[opened + 1 : closed + 1]]
            stray = stray or (
                n_before + 1 + rest.count(sep) == width
                and any(
                    len(parts) == width
                    and all(
                        test is None or test(part.strip('" '))
                        for test, part in zip(tests, parts, strict=False)
                    )
                    for parts in swallowed
                )
            )
        if stray:
            yield number, as_text, True
            continue
        if text[start:end].strip(" \t") or len(fields) > 1:
            yield number, fields, False
        while index < len(lines) and lines[index][0] <= row_end:
            index += 1


def tests_of(text, sep, quotes, width, first):
    rows = []
    for _, fields, _ in rows_of(text, sep, quotes, 0, (), first):
        rows.append(fields)
        if len(rows) == 100:
            break
    columns = list(zip(*(fields for fields in rows if len(fields) == width), strict=True))
    return [
        next((t for t in (is_number_or_date, is_code) if all(map(t, column))), None) for column in columns
    ]


def is_id(value):
    if isinstance(value, int) and not isinstance(value, bool):
        return True
    try:
        return isinstance(value, str) and 0 < len(value.encode()) <= 512 and "\0" not in value
    except UnicodeEncodeError:
        return False


def place(names, wanted):
    bare = [name.strip() for name in names]
    bare = [
        name.rpartition(":")[0] if name.endswith((":token", ":float")) and len(name) > 6 else name
        for name in bare
    ]
    for cells in (names, bare):
        if cells.count(wanted) > 1:
            return None
        if wanted in cells:
            return cells.index(wanted)
    return None


def expected_of_text(text, case):
    sep, quotes = case.options["sep"], case.options.get("quotes", True)
    strays_are_text = sep == "\t" or len(sep) > 1
    names, first = NAMES, 0
    if not any(line.strip() for line in text.replace("\r", "\n").split("\n")):
        return Expected(error="empty")
    if case.has_header:
        top = next(i for i, (start, end) in enumerate(physical_lines(text)) if text[start:end].strip(" \t"))
        width = len(next(rows_of(text, sep, quotes, 0, (), top))[1])
        start, names, stray = next(rows_of(text, sep, quotes, width, (), top))
        if stray and not strays_are_text:
            return Expected(error="header")
        following = [n for n, _, _ in rows_of(text, sep, quotes, width if stray else 0, (), start - 1)]
        first = following[1] - 1 if len(following) > 1 else len(text)
    user, item = place(names, "user_id"), place(names, "item_id")
    if user is None or item is None:
        return Expected(error="columns")
    found = Expected()
    tests = tests_of(text, sep, quotes, len(names), first)
    for number, fields, stray in rows_of(text, sep, quotes, len(names), tests, first):
        good = len(fields) == len(names) and not (stray and not strays_are_text)
        if good and is_id(fields[user]) and is_id(fields[item]):
            found.rows.append((number, fields[user], fields[item]))
        else:
            found.bad.append(number)
    return found


def expected_of_json(text):
    found, keys = Expected(), set()
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        return Expected(error="empty")
    for number, line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            found.bad.append(number)
            continue
        keys |= set(row)
        user, item = row.get("user_id"), row.get("item_id")
        if is_id(user) and is_id(item):
            found.rows.append((number, str(user), str(item)))
        else:
            found.bad.append(number)
    return found if {"user_id", "item_id"} <= keys else Expected(error="columns")


def expected_of(case):
    content = case.content
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return Expected(error="gzip")
    encoding = case.options.get("encoding", "utf-8")
    try:
        codec = "utf-8-sig" if encoding == "utf-8" else encoding
        text = io.TextIOWrapper(io.BytesIO(content), codec, errors="surrogateescape", newline="").read()
    except UnicodeError:
        return Expected(error="encoding")
    return expected_of_json(text) if case.name.endswith(".jsonl") else expected_of_text(text, case)


# --- cases ---


def valid_case(rng):
    n_rows = rng.choice([0, 1, 2, 5, 30])
    ids = rng.choice([("u{}", "i{}"), ("{}", "{}"), ("ann", "some song {}")])
    rows = [
        [
            ids[0].format(rng.randrange(5)),
            ids[1].format(rng.randrange(9)),
            str(rng.randrange(10**9)),
            rng.choice(TITLES),
        ]
        for _ in range(n_rows)
    ]
    if rng.random() < 0.25:
        lines = [
            json.dumps(dict(zip(NAMES, row, strict=True)), ensure_ascii=rng.random() < 0.5) for row in rows
        ]
        return Case("rows.jsonl", "".join(f"{line}\n" for line in lines).encode(), {}, steps=["json"])
    sep = rng.choice([",", "\t", ";", "|", "::", " "])
    quoting = rng.choice(["minimal", "all", "none"])
    end = rng.choice(["\n", "\n", "\r\n", "\r"])
    has_header = rng.random() < 0.8
    table = [NAMES, *rows] if has_header else rows
    if quoting == "none":
        clean = [
            [value.translate(dict.fromkeys(map(ord, f"{sep}\r\n"), "_")) for value in row] for row in table
        ]
        text = "".join(sep.join(row) + end for row in clean)
    else:
        stream = io.StringIO()
        stand_in = sep if len(sep) == 1 else "\x02"
        style = csv.QUOTE_ALL if quoting == "all" else csv.QUOTE_MINIMAL
        csv.writer(stream, delimiter=stand_in, quoting=style, lineterminator=end).writerows(table)
        text = stream.getvalue().replace(stand_in, sep)
    options = {"sep": sep} | ({} if has_header else {"columns": NAMES})
    if rng.random() < 0.2:
        options["quotes"] = False
    return Case("rows.csv", text.encode(), options, has_header, [f"sep {sep!r}, {quoting}, {end!r}"])


def spliced(content, at, old, new):
    return content[:at] + new + content[at + old :]


def mutate_bytes(rng, case):
    at = rng.randrange(len(case.content) + 1)
    case.content = spliced(
        case.content, at, rng.randrange(3), bytes(rng.randrange(256) for _ in range(rng.randrange(3)))
    )


def mutate_quotes(rng, case):
    sep = case.options.get("sep", '"').encode()
    places = [0, *(i + len(mark) for mark in (sep, b"\n") for i in occurrences(case.content, mark))]
    places += [i for mark in (sep, b"\n", b"\r", b'"') for i in occurrences(case.content, mark)]
    for _ in range(rng.choice([1, 1, 2, 4])):
        case.content = spliced(
            case.content, rng.choice(places), rng.choice([0, 0, 1]), rng.choice([b'"', b'"', b'""'])
        )


def mutate_separators(rng, case):
    sep = case.options.get("sep", ",").encode()
    at = rng.choice(occurrences(case.content, sep) or [0])
    new = rng.choice([b"", sep * 2, b",", b"\t", b"::", b"\x1f"])
    case.content = spliced(case.content, at, rng.choice([0, len(sep)]), new)


def mutate_line_ends(rng, case):
    if rng.random() < 0.3:
        old, new = rng.choice(
            [(b"\n", b"\r\n"), (b"\r\n", b"\n"), (b"\n", b"\r"), (b"\n", b"\n\n"), (b"\n", b"\n \n")]
        )
        case.content = case.content.replace(old, new)
        return
    at = rng.choice(occurrences(case.content, b"\n") or [0])
    case.content = spliced(
        case.content, at, rng.choice([0, 1]), rng.choice([b"", b"\r", b"\n", b"\r\n", b"\n\r", b" \n"])
    )


def mutate_values(rng, case):
    sep = case.options.get("sep", ":").encode()
    at = rng.choice(occurrences(case.content, sep) or [0])
    value = rng.choice(VALUES + TITLES)
    case.content = spliced(
        case.content, min(at + len(sep), len(case.content)), rng.randrange(4), value.encode()
    )


def mutate_lines(rng, case):
    lines = case.content.split(b"\n")
    keep = rng.choice(["repeat", "drop", "swap", "truncate"])
    at = rng.randrange(len(lines))
    if keep == "repeat":
        lines[at:at] = [lines[at]] * rng.randrange(1, 40)
    elif keep == "drop":
        del lines[at]
    elif keep == "swap":
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    case.content = b"\n".join(lines)
    if keep == "truncate":
        case.content = case.content[: rng.randrange(len(case.content) + 1)]


def mutate_encoding(rng, case):
    if "encoding" in case.options:
        return
    encoding = rng.choice(["utf-16", "latin-1", "cp1252", "utf-8-sig", "utf-16-le"])
    case.content = case.content.decode("utf-8", "replace").encode(encoding, "replace")
    if encoding != "latin-1" or rng.random() < 0.5:
        case.options["encoding"] = "utf-8" if encoding == "utf-8-sig" else encoding


def occurrences(content, mark):
    found, at = [], content.find(mark)
    while at >= 0:
        found.append(at)
        at = content.find(mark, at + 1)
    return found


MUTATIONS = [mutate_bytes, mutate_quotes, mutate_quotes, mutate_separators, mutate_line_ends, mutate_values]
MUTATIONS += [mutate_lines, mutate_encoding]


def make_case(seed):
    rng = random.Random(seed)
    case = valid_case(rng)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        mutation = rng.choice(MUTATIONS)
        mutation(rng, case)
        case.steps.append(mutation.__name__)
    if rng.random() < 0.2:
        case.content = gzip.compress(case.content)
        case.steps.append("gzip")
        if rng.random() < 0.3:
            mutate_bytes(rng, case)
            case.steps.append("mutate_bytes")
    return case


# --- the check ---


def check(case, folder, block_bytes):
    """Compare the reader with the reference; return the kind of the outcome."""
    path = Path(folder) / case.name
    path.write_bytes(case.content)
    expected = expected_of(case)
    options = dict(case.options)
    if options.get("encoding") == "utf-8":
        del options["encoding"]
    with mock.patch("item2vec.lines._BLOCK_BYTES", block_bytes):
        skipped = []
        outcome = attempt(path, options | {"on_error": "skip", "max_bad": 1, "on_skip": skipped.append})
        strict = attempt(path, options)
    if expected.error:
        if not isinstance(outcome, InputError) or not isinstance(strict, InputError):
            raise WrongAnswer(f"expected an error ({expected.error}), got {outcome} and {strict}")
        return f"error: {expected.error}"
    if [fault.number for fault in skipped] != expected.bad:
        raise WrongAnswer(
            f"bad lines {[fault.number for fault in skipped]}; expected {expected.bad} {outcome}"
        )
    if expected.bad and not isinstance(strict, InputError):
        raise WrongAnswer(f"expected an error for line {expected.bad[0]}, got {strict}")
    if expected.bad and f"line {expected.bad[0]}:" not in str(strict):
        raise WrongAnswer(f"expected an error for line {expected.bad[0]}, got {strict}")
    if expected.bad and not expected.rows:
        if not isinstance(outcome, InputError):
            raise WrongAnswer(f"expected an error, because no row is valid; got {outcome}")
        return "error: no valid row"
    for read in (outcome, *(() if expected.bad else (strict,))):
        if isinstance(read, InputError):
            raise WrongAnswer(f"expected {len(expected.rows)} rows, got {read}")
        pairs = list(zip(read.users.decode(read.user), read.items.decode(read.item), strict=True))
        if pairs != [row[1:] for row in expected.rows]:
            raise WrongAnswer(f"got {pairs}; expected {expected.rows}")
    return "bad rows" if expected.bad else "rows"


def attempt(path, options):
    try:
        return readers.read_interactions(path, timestamp=None, **options)
    except Item2VecError as error:
        return error


def run(seeds, folder, *, seconds=SECONDS):
    """Check one case per seed; return the counts of outcomes and a list of failures."""
    counts, failures = collections.Counter(), []
    logging.getLogger("item2vec.readers").setLevel(logging.ERROR)

    def hang(*_):
        raise WrongAnswer(f"no answer within {seconds} s")

    signal.signal(signal.SIGALRM, hang)
    for seed in seeds:
        case = make_case(seed)
        signal.alarm(seconds)
        try:
            counts[check(case, folder, random.Random(seed).choice([16, 64, 300, 1 << 22]))] += 1
        except Exception as error:  # noqa: BLE001 (any exception is a finding)
            counts["failures"] += 1
            failures.append((seed, case, error))
        finally:
            signal.alarm(0)
    return counts, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="number of failures to print")
    arguments = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        counts, failures = run(range(arguments.seed, arguments.seed + arguments.n), folder)
    for seed, case, error in failures[: arguments.show]:
        print(
            f"seed {seed}: {type(error).__name__}: {error}\n  {case.steps} {case.options}\n  {case.content!r}"
        )
    for outcome, n in counts.most_common():
        print(f"{n:7,} {outcome}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{time.perf_counter() - start:.0f} s, peak memory {peak:.0f} MiB")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
