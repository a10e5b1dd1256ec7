"""HTTP/1.1 by httptools, with a limit on the size of the line and the headers of a request."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from item2vec.service.limits import MAX_HEAD

__all__ = ["BoundedProtocol"]


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which would keep a line and headers of any size in memory."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head: int | None = 0  # bytes of an incomplete line with headers; None during the body

    def data_received(self, data: bytes) -> None:
        """Parse data; send status 400 and close the connection if the headers are too long."""
        super().data_received(data)
        if self._head is not None and not self.transport.is_closing():
            self._head += len(data)
            if self._head > MAX_HEAD:
                self.send_400_response(f"The headers are too long; expected at most {MAX_HEAD:,} bytes")

    def on_headers_complete(self) -> None:
        """Begin the body."""
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Begin the next request."""
        self._head = 0
        super().on_message_complete()
