"""HTTP/1.1 by httptools, with a limit on the size of the request line and the headers."""

from __future__ import annotations

from typing import Any

from item2vec.service.limits import MAX_HEAD

__all__ = ["bounded_protocol"]


def bounded_protocol() -> Any:
    """Return a protocol for uvicorn that limits the size of the request line and the headers.

    A request is refused if more than ``MAX_HEAD`` bytes have arrived, and the headers are still incomplete.
    The protocol is a subclass of uvicorn's httptools protocol, which has no such limit. If httptools is not
    installed, return ``"h11"``, the name of uvicorn's slower protocol, which has a limit.
    """
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return "h11"

    class BoundedProtocol(HttpToolsProtocol):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._head: int | None = 0  # bytes received of an incomplete head; None during the body

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._head is not None and not self.transport.is_closing():
                self._head += len(data)
                if self._head > MAX_HEAD:
                    self.send_400_response(f"The headers are too long; expected at most {MAX_HEAD:,} bytes")

        def on_headers_complete(self) -> None:
            self._head = None
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._head = 0
            super().on_message_complete()

    return BoundedProtocol
