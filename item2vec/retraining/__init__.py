"""The nightly run: train on the interactions in the store, and publish the model if it passes the gates."""

from __future__ import annotations

from item2vec.retraining.record import rollback
from item2vec.retraining.run import Retrained, retrain

__all__ = ["Retrained", "retrain", "rollback"]
