"""User vectors: one per history, or one per interest of a history, moved by dislikes and directions."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Rows
from item2vec.config import TasteConfig
from item2vec.direction import Direction
from item2vec.dislikes import Dislikes, dislike_scores, move_away
from item2vec.errors import InputError
from item2vec.histories import Histories
from item2vec.interests import divide
from item2vec.sentences import offsets_of
from item2vec.taste import TasteReader, Tastes, scored_matrix, token_scores
from item2vec.vectors import ItemVectors

__all__ = ["UserVectors", "read_user_vectors"]


class UserVectors(NamedTuple):
    """The user vectors of several histories.

    ``tastes`` holds the user vectors, and ``histories`` the part of a history from which each user vector was
    computed. ``owners`` holds, for each user vector, the position of its history, ascending. ``dislikes``
    holds the disliked items of each user vector, and ``steps`` the factors of the steps away from these items
    (see ``move_away``). ``medoids`` holds the code of the central item of each interest (-1 for an empty
    history); ``None`` if histories are not divided into interests. ``moves`` (float32, user vectors ×
    dimensions) holds the step in a direction that ``moved`` has added to each user vector; ``None`` if
    ``moved`` was not called.
    """

    histories: Histories
    tastes: Tastes
    owners: Rows
    dislikes: Dislikes
    steps: Doubles
    medoids: Codes | None = None
    moves: Floats | None = None

    def moved(self, direction: Direction, vectors: ItemVectors, taste: TasteConfig) -> UserVectors:
        """Return the user vectors moved in a direction d: v becomes the vector of length |v| along v + |v| d.

        A user vector for which v + |v| d is zero becomes zero, and is marked as empty.

        Raises
        ------
        InputError
            If the scores of the model require an output vector and the direction has none, or if the
            direction has another number of dimensions.
        """
        matrix, tastes = scored_matrix(vectors, taste), self.tastes
        step = direction.input if matrix is vectors.unit_input else direction.output
        if step is None or step.shape != matrix.shape[1:]:
            found = "no output vector" if step is None else f"a vector of shape {step.shape}"
            raise InputError(
                f"the direction has {found}, so it is not a direction of this model; expected shape "
                f"{matrix.shape[1:]}: pass the result of model.direction"
            )
        lengths = np.linalg.norm(tastes.vectors.astype(np.float64), axis=1, keepdims=True)
        added = lengths * step
        targets = tastes.vectors + added
        norms = np.linalg.norm(targets, axis=1, keepdims=True)
        factors = np.divide(lengths, norms, out=np.zeros_like(norms), where=norms > 0)
        return self._replace(
            tastes=Tastes(
                (targets * factors).astype(np.float32),
                tastes.weights,
                tastes.scales * factors,
                tastes.empty | (norms[:, 0] == 0),
            ),
            steps=self.steps * factors,
            moves=(added * factors).astype(np.float32),
        )

    def share_of_move(self, number: int, vectors: ItemVectors, taste: TasteConfig, item: int) -> float:
        """Return the direction's contribution to the inner product of user vector ``number`` and an item.

        The result is 0 if ``moved`` was not called.
        """
        if self.moves is None:
            return 0.0
        row = scored_matrix(vectors, taste)[item].astype(np.float64)
        return float(self.moves[number].astype(np.float64) @ row)

    def shares(
        self, number: int, vectors: ItemVectors, taste: TasteConfig, item: int
    ) -> tuple[Codes, Doubles]:
        """Return the contributions of history tokens and disliked items to an inner product.

        The inner product is that of the user vector at position ``number`` and the item. The result is a pair
        of arrays: the codes of the history tokens, followed by the codes of the disliked items; and the
        contributions in the same order (float64).
        """
        one = _take(self, number)
        codes = one.histories.codes
        scores = token_scores(vectors, taste, codes, one.tastes, item)
        if not len(one.dislikes.codes):
            return codes, scores
        added = dislike_scores(one.histories, one.dislikes, (one.tastes, one.steps), vectors, taste, item)
        added[: len(codes)] += scores
        return np.concatenate((codes, one.dislikes.codes)), added


def read_user_vectors(
    histories: Histories,
    dislikes: Dislikes,
    reader: TasteReader,
    interests: int | Literal["auto"] | None = None,
) -> UserVectors:
    """Return the user vectors of histories whose items all have input vectors.

    The user vectors of a history are the same in every batch, to the last bit.

    Parameters
    ----------
    histories, dislikes
        The result of ``split_dislikes``.
    reader
        The vectors, and the settings of tastes.
    interests
        The maximum number of interests of a history, or ``"auto"`` (see ``interests.clusters``); ``None`` for
        one user vector per history.

    Examples
    --------
    >>> from item2vec.dislikes import split_dislikes
    >>> from item2vec.types import Vocabulary
    >>> vectors = ItemVectors(Vocabulary(("a", "b", "c")), np.eye(3), None, np.ones(3))
    >>> reader = TasteReader.of(vectors, TasteConfig())
    >>> both = Histories(np.array([0, 2], np.int32), np.array([0, 2]))
    >>> read_user_vectors(*split_dislikes(both), reader, interests=2).tastes.vectors
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    owners, medoids = np.arange(len(histories.offsets) - 1), None
    if interests is not None:
        histories, owners, medoids = divide(histories, reader.vectors.unit_input, interests)
        dislikes = dislikes.take(owners)
    codes, offsets, weights, timestamps = histories
    tastes = reader.read(codes, offsets, weights=weights, timestamps=timestamps)
    tastes, steps = move_away(tastes, histories, dislikes, reader.vectors, reader.taste)
    return UserVectors(histories, tastes, owners, dislikes, steps, medoids)


def _take(users: UserVectors, number: int) -> UserVectors:
    """Return only the user vector at position ``number``, without ``moves``."""
    offsets = users.histories.offsets
    entries = np.zeros(len(users.histories.codes), dtype=bool)
    entries[offsets[number] : offsets[number + 1]] = True
    kept = users.histories.keep(entries)
    tastes = users.tastes
    one = np.array([number])
    return UserVectors(
        kept._replace(offsets=offsets_of([len(kept.codes)])),
        Tastes(tastes.vectors[one], tastes.weights[entries], tastes.scales[one], tastes.empty[one]),
        users.owners[one],
        users.dislikes.take(one),
        users.steps[one],
        None if users.medoids is None else users.medoids[one],
    )
