"""The SQL store: interactions, users, items, impressions, recommendations, runs and promotions.

In ``item2vec``, only this package imports SQLAlchemy and Alembic.
"""

from __future__ import annotations

from item2vec.store.ingest import Ingested, event_key
from item2vec.store.queries import Ahead, History, latest_plausible
from item2vec.store.runs import Promotion, Run
from item2vec.store.store import Store

__all__ = ["Ahead", "History", "Ingested", "Promotion", "Run", "Store", "event_key", "latest_plausible"]
