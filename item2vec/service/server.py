"""Run the service with uvicorn, in one process or in several workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from item2vec.errors import ConfigError
from item2vec.service.app import create_app
from item2vec.service.keys import ApiKeys
from item2vec.service.limits import Limits
from item2vec.service.serving import Serving

__all__ = ["Settings", "app_of_environment", "run"]

VARIABLE = "_ITEM2VEC_SERVICE"  # settings for the worker processes, which uvicorn starts
SHUTDOWN_SECONDS = 30
BACKLOG = 2_048


@dataclass(frozen=True)
class Settings:
    """Settings of a server.

    ``keys`` is the path of a file of API keys. ``store`` is ``None`` for a service without users and events.

    >>> Settings(models="models", store=None).port
    8000
    """

    models: str
    store: str | None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    keys: str | None = None
    reload_every: float = 2.0
    limits: dict[str, Any] | None = None


def application(settings: Settings) -> FastAPI:
    """Return the application of a server with these settings."""
    keys = None if settings.keys is None else ApiKeys.read(settings.keys)
    serving = Serving(settings.models, settings.store, reload_every=settings.reload_every)
    return create_app(serving, keys=keys, limits=Limits(**settings.limits or {}))


def app_of_environment() -> FastAPI:
    """Return the application of a worker process."""
    return application(Settings(**json.loads(os.environ[VARIABLE])))


def run(settings: Settings, *, announce: Callable[[str], None] = lambda _: None) -> None:
    """Serve until SIGTERM or SIGINT; requests in progress are answered before the process ends.

    ``announce`` is called with the URL of the service once the port is open.

    Raises
    ------
    ConfigError
        If the file of API keys or a limit is invalid, or the address cannot be used.
    """
    app = application(settings)
    options: dict[str, Any] = {
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": SHUTDOWN_SECONDS,
    }
    with _listening(settings.host, settings.port) as listener:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        announce(f"http://{host}:{listener.getsockname()[1]}")
        # uvicorn raises the signal again after the shutdown, which would change the exit code.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if settings.workers == 1:
            uvicorn.Server(uvicorn.Config(app, **options)).run(sockets=[listener])
            return
        with tempfile.TemporaryDirectory(prefix="item2vec-metrics-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            os.environ[VARIABLE] = json.dumps(asdict(settings))
            config = uvicorn.Config(
                f"{__name__}:app_of_environment", factory=True, workers=settings.workers, **options
            )
            Multiprocess(config, [listener]).run()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.set_inheritable(True)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another --host or --port"
        ) from error
    return listener
