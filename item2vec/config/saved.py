"""Migration of stored training settings to the settings of their objective.

item2vec 0.1.0 stored the settings of all objectives together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from item2vec.arguments import checked
from item2vec.config.objectives import SETTINGS_OF_TRAINING
from item2vec.config.training import NextItem, class_of

__all__ = ["of_its_objective"]


@checked
def of_its_objective(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the training settings of a bundle without settings of other objectives.

    Bundles of item2vec 0.1.0 contain the settings of all objectives. In that release, next_item had no
    settings ``similarity`` and ``tied``. If they are missing, ``"inner"`` and 0 are added: these values
    describe the models of that release.

    >>> of_its_objective({"objective": "skipgram", "window": 5, "dropout": 0.3})
    {'objective': 'skipgram', 'window': 5}
    >>> of_its_objective({"objective": "next_item", "epochs": 5})
    {'similarity': 'inner', 'tied': 0, 'objective': 'next_item', 'epochs': 5}
    """
    cls = class_of(settings)
    foreign = set(SETTINGS_OF_TRAINING) - cls.model_fields.keys()
    own = {name: value for name, value in settings.items() if name not in foreign}
    return {"similarity": "inner", "tied": 0, **own} if cls is NextItem else own
