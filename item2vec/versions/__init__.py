"""Versioned models: publish, load, reload, roll back and remove them while readers keep serving.

::

    models/
      LOCK            locked by the one process that writes; holds its pid and command
      CURRENT         sealed JSON: format, version, generation, manifest_sha256, previous
      HOLD            sealed JSON, from a rollback until its release: models that must not be published again
      pins/<id>       empty file; the version <id> is never removed
      staging/        versions that are being written; otherwise empty
      versions/<id>/  one bundle per version, immutable; id = g<generation>-<8 hex digits>

Readers write nothing. They only take a shared lock on the manifest of the version that they have loaded, so a
serving process needs no write permission.
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
