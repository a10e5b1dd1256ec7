"""Fuzz the readers of delimited text and JSON lines, and compare their results with a slow reference reader.

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
import tempfile
import time
from pathlib import Path
from unittest import mock

from slow_reader import NAMES, Case, expected_of

from item2vec import readers
from item2vec.errors import InputError, Item2VecError

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


class WrongAnswerError(Exception):
    """The reader and the reference differ."""


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


def check(case, folder, block_bytes):
    """Compare the reader with the reference; return the kind of the outcome."""
    path = Path(folder) / case.name
    path.write_bytes(case.content)
    expected = expected_of(case)
    options = {name: value for name, value in case.options.items() if value != "utf-8"}
    skipped = []
    with mock.patch("item2vec.lines._BLOCK_BYTES", block_bytes):
        lenient = attempt(path, options | {"on_error": "skip", "max_bad": 1, "on_skip": skipped.append})
        strict = attempt(path, options)
    bad = [fault.number for fault in skipped]
    if expected.error or (expected.bad and not expected.pairs):
        if not (isinstance(lenient, InputError) and isinstance(strict, InputError)):
            raise WrongAnswerError(
                f"got {lenient} with on_error='skip', and {strict} without; expected two errors ({expected})"
            )
        return f"error: {expected.error or 'no valid row'}"
    if bad != expected.bad or pairs_of(lenient) != expected.pairs:
        raise WrongAnswerError(f"got {lenient}, bad lines {bad}; expected {expected}")
    if not expected.bad and pairs_of(strict) != expected.pairs:
        raise WrongAnswerError(f"got {strict}; expected {expected}")
    if expected.bad and f"line {expected.bad[0]}:" not in str(strict):
        raise WrongAnswerError(f"got {strict}; expected an error for line {expected.bad[0]}")
    return "bad rows" if expected.bad else "rows"


def pairs_of(read):
    """Return the pairs of user and item; ``None`` if the reader raised an error."""
    if isinstance(read, InputError):
        return None
    return list(zip(read.users.decode(read.user), read.items.decode(read.item), strict=True))


def attempt(path, options):
    try:
        return readers.read_interactions(path, timestamp=None, **options)
    except Item2VecError as error:
        return error


def run(seeds, folder, *, seconds=SECONDS):
    """Check one case per seed; return the counts of outcomes and a list of failures."""
    counts, failures = collections.Counter(), []

    def hang(*_):
        raise WrongAnswerError(f"no answer within {seconds} s")

    signal.signal(signal.SIGALRM, hang)
    with mock.patch.object(logging.getLogger("item2vec.readers"), "disabled", True):
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
