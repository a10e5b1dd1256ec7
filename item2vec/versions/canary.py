"""Check a bundle in a separate process: ``python -m item2vec.versions.canary FOLDER MANIFEST_SHA256``.

The process loads the bundle and queries the model. If the bundle fails a check, the process prints the reason
to stderr and exits with code 1. No other module imports this one, because ``python -m`` warns if the module
has already been imported.
"""

from __future__ import annotations

import sys
from pathlib import Path

from item2vec import bundle
from item2vec.errors import Item2VecError
from item2vec.recommender import Recommender
from item2vec.versions.checking import check_rankings

__all__: list[str] = []

if __name__ == "__main__":
    try:
        check_rankings(Recommender.from_parts(bundle.read(Path(sys.argv[1]), manifest_sha256=sys.argv[2])))
    except Item2VecError as error:
        sys.exit(str(error))
