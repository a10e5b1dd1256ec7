"""The command ``serve``, which runs the HTTP service."""

from __future__ import annotations

import logging
import math
import threading
from functools import partial
from typing import Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import echo, show
from item2vec.cli.settings import location, served_store
from item2vec.cli.stopping import check_stopped
from item2vec.errors import ConfigError, MissingExtraError

__all__ = ["serve", "start"]

log = logging.getLogger(__name__)


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 chooses a free port.")] = 8000,
    processes: Annotated[
        int, typer.Option("--workers", min=1, max=256, help="Number of worker processes.")
    ] = 1,
    keys: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File of API keys, with one line 'read KEY' or 'write KEY' per key [default: no keys].",
        ),
    ] = None,
    reload_every: Annotated[
        float, typer.Option(metavar="SECONDS", help="Seconds between two checks for a new version.")
    ] = 2.0,
    max_in_flight: Annotated[
        int,
        typer.Option(
            min=1,
            help="Maximum number of requests in progress or waiting, per worker process; further requests "
            "get status 503.",
        ),
    ] = 1_024,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="Rate limit: maximum number of requests per second of each API key or, without --keys, of "
            "each client address, per worker process; further requests get status 429 [default: no limit].",
        ),
    ] = None,
    max_k: Annotated[
        int, typer.Option(min=1, help="Maximum k of a request; a larger k gets status 422.")
    ] = 1_000,
    max_history: Annotated[
        int,
        typer.Option(
            min=1,
            help="Maximum number of items in a history, and of ids in exclude, allow, deny or disliked; "
            "longer lists get status 422.",
        ),
    ] = 10_000,
    max_body: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Maximum size of a request body; a larger body gets status 413."),
    ] = "1MB",
    max_depth: Annotated[
        int,
        typer.Option(
            min=1, max=100, help="Maximum nesting depth of JSON in a request; deeper JSON gets status 422."
        ),
    ] = 32,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Serve recommendations over HTTP, and the explorer at /.

    After a publication or a rollback, the service hot-reloads the served version. GET /docs describes the
    routes. Without --keys, every client that reaches the address may read and write.

    Example: item2vec serve --port 8000
    """
    if not 0 < reload_every <= threading.TIMEOUT_MAX:
        raise ConfigError(f"--reload-every is {reload_every}; expected a number of seconds above 0")
    if rate is not None and not 0 < rate < math.inf:
        raise ConfigError(f"--rate is {rate}; expected a number of requests per second above 0")
    url = served_store(store)
    if url is None:
        log.info(
            "serving without a store: no --store is given, and item2vec.db does not exist; for users and "
            "events, run item2vec db upgrade, then restart the service"
        )
    start(
        models=location("models", models),
        store=url,
        host=host,
        port=port,
        workers=processes,
        keys=keys,
        reload_every=reload_every,
        limits={
            "max_in_flight": max_in_flight,
            "rate": rate,
            "max_k": max_k,
            "max_history": max_history,
            "max_body": options.size(max_body, "--max-body"),
            "max_depth": max_depth,
        },
        as_json=as_json,
    )


def start(*, as_json: bool = False, **settings: Any) -> None:
    """Run a server until a signal stops it, and print the address of the server.

    ``settings`` are the fields of ``service.Settings``. Raise ``MissingExtraError`` if the libraries of the
    service are not installed.
    """
    try:
        from item2vec.service import Settings, run
    except ImportError as error:
        raise MissingExtraError(
            f"the libraries of the service cannot be imported ({error}); run: pip install 'item2vec[serve]'"
        ) from error
    run(Settings(**settings), announce=partial(_announce, as_json))


def _announce(as_json: bool, url: str) -> None:
    check_stopped()  # from here on, the server handles the signals
    if as_json:
        show({"url": url}, as_json=True)
    else:
        echo(f"item2vec explorer and API: {url}  (Ctrl+C stops)")
