"""The server at the end: connections in the queue of the port, and connections without a request."""

import asyncio
import signal
import socket

import uvicorn

from item2vec.service.server import _listening, _Server

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def connected(port, sent=b""):
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(sent)
    return client


def read(client):
    with client:
        return b"".join(iter(lambda: client.recv(65_536), b""))


async def ended(port_of, use):
    """Start a server, call ``use`` with its loop blocked, end the server, and return the value of ``use``."""
    server = _Server(uvicorn.Config(application, lifespan="off", log_level="error"))
    listener = _listening("127.0.0.1", 0)
    port_of.append(listener.getsockname()[1])
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0)
    result = await use(server, listener)
    server.should_exit = True
    await serving
    return result


def test_connections_in_the_queue_of_the_port_are_answered():
    """The loop does not run between the connections and the shutdown, so that the kernel holds them."""
    ports = []

    async def use(server, listener):
        clients = [connected(ports[0], REQUEST) for _ in range(20)]
        await server.shutdown([listener])
        return [await asyncio.to_thread(read, client) for client in clients]

    answers = asyncio.run(ended(ports, use))
    assert all(answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"ok") for answer in answers)
    assert all(b"connection: close" in answer for answer in answers)


def test_a_request_on_an_open_connection_is_answered_and_new_ones_are_refused():
    ports, handler = [], signal.getsignal(signal.SIGTERM)

    async def use(server, listener):
        client, idle = connected(ports[0]), connected(ports[0])
        while len(server.server_state.connections) < 2:
            await asyncio.sleep(0)
        ending = asyncio.create_task(server.shutdown([listener]))
        await asyncio.sleep(0)
        with_refusal = socket.socket()
        refused = with_refusal.connect_ex(("127.0.0.1", ports[0]))
        with_refusal.close()
        client.sendall(REQUEST)
        await ending
        return refused, await asyncio.to_thread(read, client), await asyncio.to_thread(read, idle)

    refused, answer, idle = asyncio.run(ended(ports, use))
    assert refused != 0
    assert answer.endswith(b"ok")
    assert b"connection: close" in answer
    assert idle == b""
    assert signal.getsignal(signal.SIGTERM) == handler
