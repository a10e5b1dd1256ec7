"""Hostile bytes over a raw socket: statuses, and the memory of the service."""

import contextlib
import gzip
import re
import socket
from pathlib import Path


def head(method, path, *headers, body=b""):
    """Return the bytes of a request whose headers are exactly these."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def post(body, *headers, length=None):
    """Return the bytes of a request for recommendations."""
    length = f"Content-Length: {len(body) if length is None else length}"
    headers = headers if any("Content-Type" in line for line in headers) else (*headers, JSON)
    return head("POST", "/v1/recommendations", length, *headers, body=body)


def chunks(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


def chunked(*parts):
    return head("POST", "/v1/recommendations", JSON, "Transfer-Encoding: chunked", body=chunks(*parts))


JSON = "Content-Type: application/json"
VALID = b'{"history": ["909-steps"]}'


def hostile():
    """Return requests by their names, each with the statuses that may answer it."""
    requests = {
        "a gzip bomb": (post(gzip.compress(b" " * (64 << 20)), "Content-Encoding: gzip"), {415}),
        "a gzip bomb without its header": (post(gzip.compress(b" " * (64 << 20))), {422}),
        "another type": (post(VALID, "Content-Type: text/plain"), {415}),
        "an empty body": (post(b""), {422}),
        "NaN": (post(b'{"history": ["a"], "popularity": NaN}'), {422}),
        "a lone surrogate": (post(rb'{"user": "\ud800"}'), {422}),
        "a byte too many": (post(b" " * ((1 << 20) + 1)), {413}),
        "a body of 200 MB": (post(b" " * (1 << 20), length=200 << 20), {413}),
        "a chunked body of 80 MB": (chunked(*[b" " * (1 << 20)] * 80), {413}),
        "an invalid chunk": (chunked(VALID).replace(b"\r\n1a\r\n", b"\r\nzz\r\n"), {400}),
        "100,000 levels": (post(b'{"where":' * 100_000), {422}),
        "an integer of 5,000 digits": (post(b'{"history": [], "k": ' + b"9" * 5_000 + b"}"), {422}),
        "a repeated key": (post(b'{"history": ["a"], "history": ["b"]}'), {422}),
        "UTF-16": (post(VALID.decode().encode("utf-16")), {422}),
        "UTF-16, declared": (post(VALID, "Content-Type: application/json; charset=utf-16"), {415}),
        "invalid UTF-8": (post(b'{"user": "\xff\xfe"}'), {422}),
        "a length above the body": (post(VALID, length=len(VALID) + 10), {None, 400, 408}),
        "a length below the body": (post(VALID, length=len(VALID) - 5), {422}),
        "a negative length": (post(VALID, length=-1), {400}),
        "a length that is no number": (post(VALID, length="ten"), {400}),
        "a length of 5,000 digits": (post(VALID, length="9" * 5_000), {400, 413}),
        "two lengths": (post(VALID, "Content-Length: 7"), {400}),
        # RFC 9112, 6.1
        "a length and chunks": (post(chunks(VALID), "Transfer-Encoding: chunked"), {200, 400}),
        "a path of 8 MB": (head("GET", "/v1/items/" + "x" * (8 << 20)), {400}),
        "a header of 8 MB": (head("GET", "/livez", "X-Long: " + "x" * (8 << 20)), {400}),
        "a million headers": (head("GET", "/livez", *(f"X-{n}: 1" for n in range(1_000_000))), {400}),
        "a NUL in a path": (head("GET", "/v1/items/a\0b"), {400, 404}),
        "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10, {400}),
    }
    routes = {
        f"{route}: {name}": (head("GET", route.format(name)), {404, 422})
        for name in (
            "..",
            "%2e%2e",
            "..%2f..%2fetc%2fpasswd",
            "%2e%2e%2f%2e%2e%2fserver.py",
            "%00",
            "a%00b",
            "%ff",
        )
        for route in ("/explorer/{}", "/v1/versions/{}", "/v1/items/{}", "/v1/runs/{}")
    }
    return requests | routes


def answered(service, request, *, is_ended=False):
    """Send bytes to a service, and return the status of its first answer, and the answer."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        with contextlib.suppress(ConnectionError):  # the service may close it before all is sent
            connection.sendall(request)
            if is_ended:
                connection.shutdown(socket.SHUT_WR)
        parts = []
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                parts.append(part)
    answer = b"".join(parts)
    return (int(answer.split(b" ")[1]) if answer else None), answer


def peak(service):
    """Return the largest resident size of a service so far, in MB."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def test_hostile_bytes_are_refused_within_bounded_memory(service):
    assert answered(service, post(VALID))[0] == 200
    before, unexpected = peak(service), {}
    for name, (request, statuses) in hostile().items():
        status, answer = answered(service, request, is_ended="above" in name)
        if status not in statuses or b"Traceback" in answer or b"root:" in answer:
            unexpected[name] = status
    assert unexpected == {}
    assert peak(service) - before < 32
    assert answered(service, post(VALID))[0] == 200
