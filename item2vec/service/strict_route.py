"""Routes whose JSON bodies are parsed strictly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from item2vec.errors import InputError
from item2vec.service.limits import in_use
from item2vec.service.problems import Problem
from item2vec.service.schemas import LIST_PARAMETERS
from item2vec.service.strict_json import parse

__all__ = ["StrictRoute"]


class StrictRequest(Request):
    """A request whose JSON is parsed strictly."""

    async def json(self) -> Any:
        """Return the parsed body. Raise ``InputError`` if it is not strict JSON."""
        return parse(await self.body(), max_depth=in_use.get().max_depth)


class StrictRoute(APIRoute):
    """A route whose requests are ``StrictRequest``, and which refuses repeated query parameters.

    Only the parameters in ``LIST_PARAMETERS`` may be repeated.
    """

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Return the handler of the route, which reads a ``StrictRequest``."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            if request.url.path.startswith("/v1/"):
                _check_repeats(request)
            in_use.set(request.app.state.limits)
            try:
                response: Response = await handler(StrictRequest(request.scope, request.receive))
            except HTTPException as error:
                # FastAPI converts an error of ``StrictRequest.json`` to status 400.
                if isinstance(error.__cause__, InputError):
                    raise error.__cause__ from None
                raise
            return response

        return strict


def _check_repeats(request: Request) -> None:
    """Raise ``Problem`` if a query parameter is repeated that is not a list."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    errors = [
        {"field": name, "found": f"{count} values", "expected": "one value"}
        for name, count in counts.items()
        if count > 1 and name not in LIST_PARAMETERS
    ]
    if errors:
        raise Problem(422, "the request repeats a query parameter", errors=errors[:100])
