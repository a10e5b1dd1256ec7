"""Log a warning about ids that differ from other ids only by surrounding white space."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable

__all__ = ["log_padded_ids"]

log = logging.getLogger("item2vec.cli")


def log_padded_ids(kind: str, ids: Iterable[str], others: Callable[[], Iterable[str]] = tuple) -> None:
    """Log a warning if ids differ from another id of ``ids`` or ``others()`` only by white space around them.

    ``kind`` is "user" or "item". ``others`` is called only if an element of ``ids`` has surrounding white
    space, so that the check of other ids takes one pass over ``ids``.
    """
    ids = list(ids)
    padded = dict.fromkeys(id_ for id_ in ids if id_ != id_.strip())
    if not padded:
        return
    n_ids = Counter(id_.strip() for id_ in {*ids, *others()})
    found = [id_ for id_ in padded if n_ids[id_.strip()] > 1]
    if found:
        log.warning(
            "%s ids of %ss differ from another id only by surrounding white space, such as %r, and are "
            "different %ss: remove the white space from the data",
            f"{len(found):,}",
            kind,
            found[0],
            kind,
        )
