"""The nightly run: what the store holds becomes the model that is served, or nothing changes."""

from __future__ import annotations

from item2vec.retraining.record import rollback
from item2vec.retraining.run import Retrained, retrain

__all__ = ["Retrained", "retrain", "rollback"]
