"""Files of analogy questions: accuracy by section, against gensim and on a tiny worked example."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from examples import examples
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st
from strategies import fresh_folder

from item2vec import ItemVectors, Vocabulary
from item2vec.errors import InputError
from item2vec.evaluation import evaluate_analogies

N = 60
IDS = tuple(f"{'iI'[row % 2]}{row // 2 if row < 40 else row}" for row in range(N))
"""Up to row 39, pairs of ids that differ only in case."""


def of(rows, known):
    return ItemVectors(Vocabulary(tuple(known)), np.asarray(rows, float), None, np.ones(len(known)))


def counts(found):
    return [(one.name, one.correct, one.n, one.unknown) for one in found.sections]


GRID = of(
    [[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1], [0, 0, 0]], ["man", "king", "woman", "queen", "nothing"]
)
QUESTIONS = """: family
man king woman queen
Man King Woman Queen
man king woman nothing
: others
king man queen woman
king man queen man
man king unknown queen
: empty
"""


def test_sections_of_a_small_file(tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text(QUESTIONS)
    for method in ("3cosadd", "3cosmul"):
        found = evaluate_analogies(GRID, path, method=method)
        assert counts(found) == [("family", 2, 2, 1), ("others", 1, 2, 1), ("empty", 0, 0, 0)]
        assert found.total.accuracy == 0.75
        assert np.isnan(found.sections[2].accuracy)
    found = evaluate_analogies(GRID, path, case_insensitive=False)
    assert counts(found)[0] == ("family", 1, 1, 2)
    assert counts(evaluate_analogies(GRID, path, restrict_vocab=3))[1] == ("others", 0, 0, 3)
    path.write_bytes(gzip.compress(("\ufeff" + QUESTIONS.replace("\n", "\r\n")).encode()))
    assert evaluate_analogies(GRID, path).total.correct == 3


@examples(30)
@given(
    seed=st.integers(0, 2**32 - 1),
    restrict=st.sampled_from([None, 25, N]),
    insensitive=st.booleans(),
)
def test_the_accuracy_is_that_of_gensim(tmp_path_factory, seed, restrict, insensitive):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(N, 3)).astype(np.float32)
    keyed = KeyedVectors(3)
    keyed.add_vectors(list(IDS), rows)
    lines = []
    for number in range(40):
        if number % 20 == 0:
            lines.append(f": section {number}")
        a, b, c = random.choice(N, 3, replace=False)
        (best, _) = keyed.most_similar(positive=[IDS[b], IDS[c]], negative=[IDS[a]], topn=1)[0]
        asked = [IDS[a], IDS[b], IDS[c], best if number % 3 else IDS[int(random.integers(N))]]
        if len({one.upper() for one in asked}) == 4:  # gensim may answer a question's own item
            lines.append(" ".join(asked))
    path = fresh_folder(tmp_path_factory) / "questions"
    path.write_text("\n".join(lines) + "\n")
    rules = {"restrict_vocab": restrict, "case_insensitive": insensitive}
    _, expected = keyed.evaluate_word_analogies(str(path), **rules)
    found = evaluate_analogies(of(rows, IDS), path, **rules)
    for ours, theirs in zip([*found.sections, found.total], expected, strict=True):
        assert (ours.correct, ours.n) == (
            len(theirs["correct"]),
            len(theirs["correct"]) + len(theirs["incorrect"]),
        )


def test_blocks_do_not_change_the_answers(tmp_path, monkeypatch):
    path = tmp_path / "questions.txt"
    path.write_text(QUESTIONS)
    whole = evaluate_analogies(GRID, path)
    monkeypatch.setattr("item2vec.evaluation.analogies.SCORES_PER_BLOCK", 1)
    assert evaluate_analogies(GRID, path) == whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a b c d\n", "line 1 stands before the first section: 'a b c d'; expected a section"),
        (b": s\na b c\n", "line 2 has 3 ids: 'a b c'; expected a section"),
        (b": s\na b c \xff\n", "line 2 is not UTF-8"),
    ],
)
def test_a_malformed_file_is_rejected_by_line(tmp_path, content, message):
    (tmp_path / "questions.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        evaluate_analogies(GRID, tmp_path / "questions.txt")
    with pytest.raises(InputError, match="expected '3cosadd' or '3cosmul'"):
        evaluate_analogies(GRID, tmp_path / "questions.txt", method="add")


@pytest.mark.parametrize("n", [0, -1])
def test_a_vocabulary_of_no_rows_is_refused(tmp_path, n):
    with pytest.raises(InputError, match=f"restrict_vocab is {n}; expected an integer of at least 1"):
        evaluate_analogies(GRID, tmp_path / "questions.txt", restrict_vocab=n)
