"""HTTP service: recommendations as JSON, health, metrics, and the explorer.

A request passes through these modules::

    uvicorn → protocol    size of the request line and the headers
            → admission   API key, rate, number of requests in progress, type, size and time of the body
            → strict_json depth, finite numbers, distinct keys, valid Unicode   strict_route.StrictRequest
            → schemas     fields, types and bounds
            → routes/     one module per resource
            → serving     engine.view(): one version and one catalogue per request; fallbacks
            ← problems    errors as application/problem+json, without paths, SQL and stack traces
"""

from __future__ import annotations

from item2vec.service.app import create_app
from item2vec.service.keys import ApiKeys
from item2vec.service.limits import Limits
from item2vec.service.server import Settings, run
from item2vec.service.serving import Serving

__all__ = ["ApiKeys", "Limits", "Serving", "Settings", "create_app", "run"]
