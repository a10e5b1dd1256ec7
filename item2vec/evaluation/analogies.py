"""Accuracy of vectors on analogy questions in the format of word2vec's ``questions-words.txt``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arguments import checked
from item2vec.arrays import Rows
from item2vec.errors import InputError, short_repr
from item2vec.geometry import EPSILON, Method, check_method
from item2vec.opening import open_bytes, reading
from item2vec.vectors import ItemVectors

__all__ = ["AnalogyAccuracy", "AnalogySection", "evaluate_analogies"]

SCORES_PER_BLOCK = 1 << 23
TOTAL = "total"


@dataclass(frozen=True, slots=True)
class AnalogySection:
    """The numbers of correct, answered and unanswered questions of a section.

    Attributes
    ----------
    name
        The name of the section.
    correct
        Number of questions whose best answer is the expected item.
    n
        Number of answered questions.
    unknown
        Number of questions that are not answered, because an item is not in the vocabulary, has no input
        vector, or is not in the first ``restrict_vocab`` rows.

    Examples
    --------
    >>> AnalogySection("capitals", correct=3, n=4, unknown=1).accuracy
    0.75
    """

    name: str
    correct: int
    n: int
    unknown: int

    @property
    def accuracy(self) -> float:
        """The share of the answered questions whose answer is correct; NaN if no question was answered."""
        return self.correct / self.n if self.n else float("nan")


@dataclass(frozen=True, slots=True)
class AnalogyAccuracy:
    """The results of the sections of a question file, in the order of the file, and their total.

    >>> AnalogyAccuracy((AnalogySection("a", 1, 2, 0), AnalogySection("b", 3, 3, 4))).total
    AnalogySection(name='total', correct=4, n=5, unknown=4)
    """

    sections: tuple[AnalogySection, ...]

    @property
    def total(self) -> AnalogySection:
        """The counts of correct, answered and unanswered questions, summed over all sections."""
        columns = ([getattr(one, name) for one in self.sections] for name in ("correct", "n", "unknown"))
        return AnalogySection(TOTAL, *map(sum, columns))


@checked
def evaluate_analogies(
    vectors: ItemVectors,
    path: str | PathLike[str],
    *,
    method: Method = "3cosadd",
    restrict_vocab: int | None = 300_000,
    case_insensitive: bool = True,
) -> AnalogyAccuracy:
    r"""Answer the questions of a file, and count the correct answers by section.

    A line ``a b c d`` asks for the item that is to c as b is to a. The expected answer is d. The answer is
    the best item for the positive items b and c and the negative item a; a, b and c themselves are excluded.
    A line ``: name`` begins a section. The ids of a question are separated by white space, so an id that
    contains white space cannot occur in a question.

    ``restrict_vocab`` and ``case_insensitive`` have the meaning and defaults of gensim's
    ``evaluate_word_analogies``. Unlike in gensim, a question without exactly four ids is an error. Blank
    lines are ignored.

    Parameters
    ----------
    vectors
        Item vectors. The input vectors are compared.
    path
        The question file, in UTF-8, compressed or not.
    method
        ``"3cosadd"`` or ``"3cosmul"``, as in ``ItemVectors.analogy``.
    restrict_vocab
        Only the first ``restrict_vocab`` rows, usually the most frequent items, may occur in questions and
        answers. A question with another item is not answered. ``None``: all rows may occur.
    case_insensitive
        Whether ids are compared in upper case. If so, the first item with an input vector represents all
        items that differ only in case, and an answer never differs only in case from a, b or c.

    Raises
    ------
    InputError
        If the file cannot be read or is not UTF-8, a question precedes the first section or does not have
        four ids, ``method`` is unknown, or ``restrict_vocab`` is below 1.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from item2vec import Vocabulary
    >>> rows = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]])
    >>> vectors = ItemVectors(Vocabulary(("man", "king", "woman", "queen")), rows, None, np.ones(4))
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "questions").write_text(": family\nman king woman queen\n")
    ...     evaluate_analogies(vectors, Path(folder) / "questions").total.accuracy
    1.0
    """
    check_method(method, with_direction=False)
    if restrict_vocab is not None and restrict_vocab < 1:
        raise InputError(f"restrict_vocab is {restrict_vocab}; expected an integer of at least 1, or None")
    n_rows = len(vectors) if restrict_vocab is None else min(restrict_vocab, len(vectors))
    keys = [id_.upper() if case_insensitive else id_ for id_ in vectors.vocabulary.ids[:n_rows]]
    units = np.asarray(vectors.unit_input[:n_rows])
    rows_with_vector = np.flatnonzero(vectors.has_input[:n_rows]).tolist()
    row_of = {keys[row]: row for row in reversed(rows_with_vector)}
    representative = np.array([row_of.get(key, -1) for key in keys], dtype=np.intp)
    sections = []
    for name, questions in _sections(Path(path), case_insensitive=case_insensitive):
        rows = [[row_of.get(key, -1) for key in question] for question in questions]
        known = np.array([row for row in rows if min(row) >= 0], dtype=np.intp).reshape(-1, 4)
        correct = _n_correct(units, representative, known, method)
        sections.append(AnalogySection(name, correct, len(known), len(rows) - len(known)))
    return AnalogyAccuracy(tuple(sections))


def _sections(path: Path, *, case_insensitive: bool) -> Iterator[tuple[str, list[list[str]]]]:
    name, questions = None, list[list[str]]()
    with reading(path), open_bytes(path, "utf-8") as file:
        for number, raw in enumerate(file, 1):
            line = _text(path, number, raw)
            if line.startswith(":"):
                if name is not None:
                    yield name, questions
                name, questions = line.removeprefix(":").strip(), []
            elif line:
                ids = (line.upper() if case_insensitive else line).split()
                if name is None or len(ids) != 4:
                    problem = "stands before the first section" if name is None else f"has {len(ids)} ids"
                    raise InputError(
                        f"{path}: line {number} {problem}: {short_repr(line)}; expected a section, such as "
                        "': capitals', and then four ids per line, separated by white space"
                    )
                questions.append(ids)
    if name is not None:
        yield name, questions


def _text(path: Path, number: int, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: line {number} is not UTF-8: {error}; convert the file to UTF-8") from error


def _n_correct(units: npt.NDArray[np.float32], representative: Rows, questions: Rows, method: Method) -> int:
    """Return the number of questions (row indices a, b, c, d) whose best item is d."""
    step = max(1, SCORES_PER_BLOCK // len(units))
    correct = 0
    for start in range(0, len(questions), step):
        block = questions[start : start + step]
        scores = _scores(units, block, method)
        scores[:, representative < 0] = -np.inf
        for column in block[:, :3].T:
            # Items that differ only in case from an item of the question are excluded too.
            scores[representative[None, :] == column[:, None]] = -np.inf
        correct += int(np.count_nonzero(representative[scores.argmax(axis=1)] == block[:, 3]))
    return correct


def _scores(units: npt.NDArray[np.float32], questions: Rows, method: Method) -> npt.NDArray[Any]:
    a, b, c = units[questions[:, :3].T]
    scores: npt.NDArray[Any]
    if method == "3cosadd":
        scores = (b + c - a) @ units.T
    else:
        from_a, from_b, from_c = ((1 + (rows @ units.T).astype(np.float64)) / 2 for rows in (a, b, c))
        scores = from_b * from_c / (from_a + EPSILON)
    return scores
