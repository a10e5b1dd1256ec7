"""The HTTP application: routes, admission and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import item2vec
from item2vec.service.admission import WITHOUT_KEY, Admission
from item2vec.service.keys import ApiKeys
from item2vec.service.limits import Limits
from item2vec.service.metrics import Metrics
from item2vec.service.problems import handle_errors
from item2vec.service.routes import catalogue, events, explorer, operations, recommendations
from item2vec.service.schemas import JSON_PARAMETERS
from item2vec.service.serving import Serving

__all__ = ["create_app"]

KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
"""The ways to send an API key (see ``key_of``), as OpenAPI security schemes."""


def create_app(serving: Serving, *, keys: ApiKeys | None = None, limits: Limits | None = None) -> FastAPI:
    """Return the ASGI application of the service.

    Parameters
    ----------
    serving
        The engine and its fallbacks. It is started and closed with the application.
    keys
        API keys; ``None`` if requests need no key.
    limits
        Limits on rate, concurrency, sizes and times; by default ``Limits()``.
    """
    limits, metrics = limits or Limits(), Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        serving.start()
        try:
            yield
        finally:
            serving.close()

    app = _Application(
        title="item2vec",
        version=item2vec.__version__,
        description="Recommendations, similar items and analogies from the published model.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.serving, app.state.limits, app.state.metrics = serving, limits, metrics
    app.state.needs_key = keys is not None
    for module in (recommendations, catalogue, events, operations, explorer):
        router: APIRouter = module.router
        app.include_router(router)
    handle_errors(app)
    app.add_middleware(Admission, keys=keys, limits=limits, metrics=metrics)
    app.add_middleware(_HeadAsGet)  # added last, so it is called first
    return app


class _HeadAsGet:
    """ASGI middleware that answers HEAD as GET, without the body (RFC 9110)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


class _Application(FastAPI):
    """An application whose OpenAPI description also has the parameters that are JSON, and the API keys."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description."""
        description = super().openapi()
        if self.state.needs_key:
            description["components"]["securitySchemes"] = KEYS
            description["security"] = [{name: []} for name in KEYS]
            description["paths"][WITHOUT_KEY]["get"]["security"] = []
        for methods in description["paths"].values():
            for route in methods.values():
                for parameter in route.get("parameters", []):
                    if parameter["name"] in JSON_PARAMETERS and "schema" in parameter:
                        parameter["content"] = {"application/json": {"schema": parameter.pop("schema")}}
        return description
