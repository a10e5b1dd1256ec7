"""Versioned models: publish, load, reload, roll back and remove versions while other processes serve them.

::

    models/
      LOCK            lock file of the writing process; contains its pid and command
      CURRENT         JSON with its own SHA-256 checksum: format, version, generation, manifest_sha256,
                      previous
      HOLD            JSON with its own SHA-256 checksum: the last rollback, and digests of the models on
                      hold; the file exists from the rollback of a served version until ``release``
      HOLD.next       the next HOLD, until the rollback that wrote it has replaced CURRENT
      pins/<id>       empty file that protects the version <id> from removal
      staging/<id>/   temporary files of the version <id> while it is being written
      versions/<id>/  one bundle per version, immutable; id = g<generation>-<8 hex digits>

A process that serves a version writes no file, and needs no write permission. The process holds a shared lock
on the manifest of its loaded version, which prevents the removal of this version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from item2vec.deprecated import module_getattr
from item2vec.versions.layout import Version, served_version
from item2vec.versions.live import Live
from item2vec.versions.loading import list_versions, load, load_served, verify
from item2vec.versions.overview import Overview, overview
from item2vec.versions.publishing import Attempt, attempt, publish
from item2vec.versions.retention import gc, pin, pinned, unpin
from item2vec.versions.rollbacks import Hold, check_reason, held, release, rollback

if not TYPE_CHECKING:
    __getattr__ = module_getattr(globals(), {"current": "served_version"})

__all__ = [
    "Attempt",
    "Hold",
    "Live",
    "Overview",
    "Version",
    "attempt",
    "check_reason",
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
    "served_version",
    "unpin",
    "verify",
]
