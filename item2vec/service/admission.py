"""Admission of requests: authentication, limits on rate, concurrency, bodies and time, and metrics."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from item2vec.errors import short_repr
from item2vec.service.keys import ApiKeys, Right, key_of
from item2vec.service.limits import Limits
from item2vec.service.metrics import Metrics
from item2vec.service.problems import Problem, problem_response
from item2vec.service.rates import Rates

__all__ = ["WITHOUT_KEY", "Admission"]

WITHOUT_KEY = "/livez"
READING = {"GET", "HEAD", "OPTIONS", "POST"}
WRITING_ROUTES = ("/v1/events",)
CHALLENGE = 'Bearer realm="item2vec", Basic realm="item2vec"'
DRAINED = 64  # a body of up to 64 times the limit is read to its end, so that the client gets the answer
ENCODING = "percent-encoded UTF-8"
BODY_TYPES = {"application/json"}

log = logging.getLogger(__name__)


class Admission:
    """ASGI middleware that refuses requests before a route reads them, and limits the time until an answer.

    A request is checked in this order (in brackets, the status of a refusal): the API key (401, 403); the
    rate of the requests with this key, or from this IP address if ``keys`` is ``None`` (429); the encoding of
    the path and the query (422); the number of requests in progress (503); the ``Content-Length``, which must
    not exceed 64 times ``limits.max_body`` (413); the type and the encoding of the body (415); the size of
    the body (413), and the time until the body has arrived (408); the time until a thread is free (503); and
    the time until the answer is ready (503). At most ``limits.max_body`` bytes of a body are kept in memory.
    When the body has arrived, the request waits for a thread; the request that has waited longest gets the
    next free thread. The path ``/livez`` needs no key, and is never refused.

    Parameters
    ----------
    app
        The ASGI application that answers the admitted requests.
    keys
        API keys; ``None`` if requests need no key.
    limits
        Limits on rate, concurrency, sizes and times.
    metrics
        Metrics that are updated for each request.
    """

    def __init__(self, app: ASGIApp, *, keys: ApiKeys | None, limits: Limits, metrics: Metrics) -> None:
        self._app = app
        self._keys = keys
        self._limits = limits
        self._metrics = metrics
        self._in_flight = 0
        self._rates = None if limits.rate is None else Rates(limits.rate)
        self._threads = asyncio.Semaphore(limits.threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it with a problem response; record it in the metrics."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._admit(scope, receive, sending)
        except Problem as problem:
            await problem_response(problem)(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.observe(route, scope["method"], status, time.perf_counter() - start)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == WITHOUT_KEY:
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        self._check_rate(self._checked_key(scope, headers) or str((scope["client"] or ("",))[0]))
        _check_text(scope)
        if self._in_flight >= self._limits.max_in_flight:
            self._metrics.refuse()
            raise Problem(
                503, f"the limit of {self._in_flight} requests in progress is reached; try again later"
            )
        self._in_flight += 1
        self._metrics.begin()
        try:
            body = await self._body(headers, receive)
            await self._wait_for_thread()
            try:
                await self._answer(scope, _replay(body, receive), send)
            finally:
                self._threads.release()
        finally:
            self._in_flight -= 1
            self._metrics.end()

    async def _wait_for_thread(self) -> None:
        try:
            async with asyncio.timeout(self._limits.max_wait):
                await self._threads.acquire()
        except TimeoutError:
            self._metrics.refuse()
            seconds = self._limits.max_wait
            raise Problem(503, f"no thread was free within {seconds:g} seconds; try again later") from None

    def _checked_key(self, scope: Scope, headers: dict[str, str]) -> str | None:
        if self._keys is None:
            return None
        key = key_of(headers.get("authorization"), headers.get("x-api-key"))
        right = None if key is None else self._keys.right_of(key)
        if right is None:
            detail = "the request has no API key" if key is None else "the API key is unknown"
            raise Problem(
                401,
                f"{detail}; send a valid key in the header Authorization: Bearer KEY, or X-API-Key: KEY",
                headers={"WWW-Authenticate": CHALLENGE},
            )
        if _needed(scope) == "write" and right != "write":
            raise Problem(403, "the API key may only read; send a key with the right to write")
        return key

    def _check_rate(self, client: str) -> None:
        delay = 0.0 if self._rates is None else self._rates.delay(client, time.monotonic())
        if delay > 0:
            self._metrics.refuse()
            rate = self._limits.rate
            detail = f"the client sent more than {rate:g} requests per second; try again in {delay:.3g} s"
            raise Problem(429, detail, headers={"Retry-After": str(math.ceil(delay))})

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        """Read the body of a request, of which at most ``max_body`` bytes are kept in memory.

        Raise a ``Problem`` with status 408, 413 or 415.
        """
        limit = self._limits.max_body
        declared = headers.get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > DRAINED * limit:
            raise _too_large(f"{int(declared[:20]):,}", limit)
        has_body = declared != "0" or "transfer-encoding" in headers
        if has_body:
            _check_type(headers)
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.body_timeout):
                size, more = 0, True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(408, "the connection was closed before the body had arrived")
                    part = message.get("body", b"")
                    size, more = size + len(part), message.get("more_body", False)
                    if size <= limit:
                        parts.append(part)
                    elif size > DRAINED * limit or not more:
                        raise _too_large(f"at least {size:,}" if more else f"{size:,}", limit)
        except TimeoutError:
            seconds = self._limits.body_timeout
            raise Problem(408, f"the body did not arrive within {seconds:g} seconds") from None
        return b"".join(parts)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self._limits.timeout):
                await self._app(scope, receive, sending)
        except TimeoutError:
            log.error(
                "no response to %s %s within %g s", scope["method"], scope["path"], self._limits.timeout
            )
            if started:
                raise
            seconds = self._limits.timeout
            raise Problem(
                503, f"the response was not ready within {seconds:g} seconds; try again later"
            ) from None


def _needed(scope: Scope) -> Right:
    """Return the right that a request needs: "write" to store events or change items, otherwise "read"."""
    if scope["method"] in READING and scope["path"].rstrip("/") not in WRITING_ROUTES:
        return "read"
    return "write"


def _check_text(scope: Scope) -> None:
    """Raise ``Problem`` if the path or the query is not UTF-8: different ids would be read as the same id."""
    for field, encoded in (
        ("path", scope.get("raw_path") or b""),
        ("query", scope["query_string"].replace(b"+", b" ")),
    ):
        try:
            unquote_to_bytes(encoded).decode()
        except UnicodeDecodeError:
            error = {"field": field, "found": short_repr(encoded.decode("latin-1")), "expected": ENCODING}
            raise Problem(422, f"the {field} is not UTF-8; expected {ENCODING}", errors=[error]) from None


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _check_type(headers: dict[str, str]) -> None:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Problem(
            415, f"the Content-Encoding is {short_repr(encoding)}; expected a body without Content-Encoding"
        )
    media, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if media.strip().lower() not in BODY_TYPES or charset not in {"", "charset=utf-8", "charset=utf8"}:
        found = short_repr(headers["content-type"]) if "content-type" in headers else "missing"
        raise Problem(415, f"the Content-Type is {found}; expected application/json in UTF-8")


def _too_large(found: str, limit: int) -> Problem:
    # The rest of the body is not read, so the connection cannot be used for another request.
    return Problem(
        413, f"the body has {found} bytes; expected at most {limit:,} bytes", headers={"Connection": "close"}
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that delivers a body that has already been read, then the further messages."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replaying() -> MutableMapping[str, Any]:
        return messages.pop() if messages else await receive()

    return replaying
