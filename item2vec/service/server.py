"""Run the service with uvicorn, in one process or in several workers."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import Any

import uvicorn
from fastapi import FastAPI

from item2vec.errors import ConfigError, reason_of
from item2vec.outputs import temporary_folder
from item2vec.service.app import create_app
from item2vec.service.keys import ApiKeys
from item2vec.service.limits import MAX_HEAD, Limits
from item2vec.service.metrics import forget_worker
from item2vec.service.protocol import bounded_protocol
from item2vec.service.serving import Serving

__all__ = ["Settings", "run"]

SHUTDOWN_SECONDS = 30
IDLE_SECONDS = 1.0
RESTART_SECONDS = 1.0
BACKLOG = 2_048
SWITCH_SECONDS = 0.001
SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Settings of a server.

    ``models`` is the path of a models folder or of a bundle. ``store`` is the URL of a store, or ``None`` for
    a service without users and events. The service listens on the address ``host`` and the port ``port``.
    ``workers`` is the number of processes. ``keys`` is the path of an API key file, or ``None`` if requests
    need no key. ``reload_every`` is the number of seconds between two checks for a new version. ``limits``
    holds fields of ``Limits`` by name; the default of each other field applies.

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
    """Return the application for these settings; read the API key file."""
    keys = None if settings.keys is None else ApiKeys.read(settings.keys)
    serving = Serving(settings.models, settings.store, reload_every=settings.reload_every)
    return create_app(serving, keys=keys, limits=Limits(**settings.limits or {}))


def run(settings: Settings, *, announce: Callable[[str], None] = lambda _: None) -> None:
    """Serve until SIGTERM or SIGINT.

    After the signal, the requests that have arrived are answered, for at most about 30 seconds. ``announce``
    is called with the URL of the service once the port is open.

    Raises
    ------
    ConfigError
        If the API key file cannot be read or is invalid, a limit is invalid, or the address cannot be
        used.
    WriteError
        If, with several workers, a temporary folder cannot be created.
    """
    app = application(settings)
    with _listening(settings.host, settings.port) as listener:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        announce(f"http://{host}:{listener.getsockname()[1]}")
        if settings.workers == 1:
            _serve(app, listener)
            return
        with temporary_folder("item2vec-metrics-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
            _supervise(settings, listener)


class _Server(uvicorn.Server):
    """A server that, before it ends, also answers requests on connections that it has not yet accepted."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept the queued connections, close the port, and answer the requests on all open connections.

        These answers have the header ``Connection: close``. Connections on which no request arrives within a
        second are closed.
        """
        state, loop = self.server_state, asyncio.get_running_loop()
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        # No await between accept and close: a connection that arrived in between would be reset.
        accepted = [queued for listener in sockets or [] for queued in _queued(listener)]
        for server in self.servers:
            server.close()
        for queued in accepted:
            await loop.connect_accepted_socket(self._protocol, queued)
        end = loop.time() + IDLE_SECONDS
        while state.connections and loop.time() < end:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = kind(self.config, self.server_state, self.lifespan.state)
        return protocol


def _queued(listener: socket.socket) -> Iterator[socket.socket]:
    while True:
        try:
            yield listener.accept()[0]
        except OSError:  # BlockingIOError, if the queue is empty
            return


def _serve(app: FastAPI, listener: socket.socket) -> None:
    # SQLite and NumPy release the interpreter lock in each call, so that a request takes the lock many times.
    # While another thread computes, for example to load a version, the request waits up to one switch
    # interval each time.
    sys.setswitchinterval(SWITCH_SECONDS)
    config = uvicorn.Config(
        app,
        http=bounded_protocol(),
        h11_max_incomplete_event_size=MAX_HEAD,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        # By default, uvicorn believes the header X-Forwarded-For of each local client, which would evade the
        # rate limit. The variable lists the addresses of trusted proxies.
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
    )
    server = _Server(config)
    # uvicorn installs this handler only when its loop runs. After the shutdown, uvicorn raises the signal
    # again, which then has no effect, so that the exit code is 0.
    for number in SIGNALS:
        signal.signal(number, server.handle_exit)
    server.run(sockets=[listener])


def _work(settings: Settings, listener: socket.socket) -> None:
    threading.Thread(target=_end_with_parent, name="item2vec-parent", daemon=True).start()
    _serve(application(settings), listener)


def _end_with_parent() -> None:
    """Stop this worker when its parent process has ended, for example by SIGKILL, and free the port."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    log.error("the process that started worker %s has ended; stopping the worker", os.getpid())
    os.kill(os.getpid(), signal.SIGTERM)


def _supervise(settings: Settings, listener: socket.socket) -> None:
    """Run the workers, and replace each worker that ends. On a signal, stop all workers and wait for them."""
    stopped = threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: stopped.set())
    workers = [_started(settings, listener) for _ in range(settings.workers)]
    while not stopped.is_set():
        connection.wait([worker.sentinel for worker in workers], timeout=0.1)
        for place, worker in enumerate(workers):
            if not worker.is_alive() and not stopped.wait(RESTART_SECONDS):
                log.error("worker %s ended with exit code %s; starting another", worker.pid, worker.exitcode)
                forget_worker(worker.pid or 0)
                workers[place] = _started(settings, listener)
    # This closes only the socket of this process. The port remains open until the last worker has accepted
    # all queued connections and closed the socket of the worker.
    listener.close()
    for worker in workers:
        if worker.is_alive():
            os.kill(worker.pid or 0, signal.SIGTERM)
    for worker in workers:
        worker.join()


def _started(settings: Settings, listener: socket.socket) -> BaseProcess:
    worker = get_context("spawn").Process(target=_work, args=(settings, listener))
    worker.start()
    return worker


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
            f"cannot listen on {host}, port {port}: {reason_of(error)}; choose another --host or --port"
        ) from error
    return listener
