"""Versions: which model is served, and how it is replaced without anybody noticing but by its answers.

::

    models/
      LOCK            held by whoever publishes
      CURRENT         sealed JSON: format, version, generation, manifest_sha256, previous
      staging/        empty while nobody publishes
      versions/<id>/  one bundle each, never changed; id = g<generation>-<8 hex digits>

Readers take no lock and write nothing, so a service may have all of it read-only.
"""

from __future__ import annotations

from item2vec.versions.loading import list_versions, load, verify
from item2vec.versions.pointer import Version, current
from item2vec.versions.publishing import publish

__all__ = ["Version", "current", "list_versions", "load", "publish", "verify"]
