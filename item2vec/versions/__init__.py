"""Versions: which model is served, and how it is replaced without anybody noticing but by its answers.

::

    models/
      LOCK            held by whoever changes something; says who
      CURRENT         sealed JSON: format, version, generation, manifest_sha256, previous
      HOLD            sealed JSON, after a rollback until its release: what is not to be published again
      pins/<id>       empty; this version is never removed
      staging/        empty while nobody publishes
      versions/<id>/  one bundle each, never changed; id = g<generation>-<8 hex digits>

Readers write nothing, and take no lock but a shared one on the manifest of the version that they have loaded,
so a service may have all of it read-only.
"""

from __future__ import annotations

from item2vec.versions.layout import Version, current
from item2vec.versions.live import Live
from item2vec.versions.loading import list_versions, load, load_served, verify
from item2vec.versions.overview import Overview, overview
from item2vec.versions.publishing import Attempt, attempt, publish
from item2vec.versions.retention import gc, pin, pinned, unpin
from item2vec.versions.rollbacks import Hold, check_reason, held, release, rollback

__all__ = [
    "Attempt",
    "Hold",
    "Live",
    "Overview",
    "Version",
    "attempt",
    "check_reason",
    "current",
    "gc",
    "held",
    "list_versions",
    "load",
    "load_served",
    "overview",
    "pin",
    "pinned",
    "publish",
    "release",
    "rollback",
    "unpin",
    "verify",
]
