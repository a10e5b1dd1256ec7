"""Routes whose JSON bodies are parsed strictly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import HTTPException, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from item2vec.errors import InputError
from item2vec.service.strict_json import parse

__all__ = ["StrictRoute"]


class StrictRequest(Request):
    """A request whose JSON is parsed strictly."""

    async def json(self) -> Any:
        """Return the parsed body. Raise ``HTTPException`` with status 422 if it is not strict JSON."""
        try:
            return parse(await self.body(), max_depth=self.app.state.limits.max_depth)
        except InputError as error:
            raise HTTPException(422, str(error)) from None


class StrictRoute(APIRoute):
    """A route whose requests are ``StrictRequest``."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Return the handler of the route, which reads a ``StrictRequest``."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            response: Response = await handler(StrictRequest(request.scope, request.receive))
            return response

        return strict
