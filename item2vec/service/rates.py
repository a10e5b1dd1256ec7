"""Limit on the rate of requests of each client."""

from __future__ import annotations

__all__ = ["Rates"]

BURST_SECONDS = 1.0
MIN_CLIENTS = 10_000
"""Up to this number of clients, none is removed."""


class Rates:
    """Limit on the rate of requests of each client, by the generic cell rate algorithm (ITU-T I.371).

    A client may send up to ``rate + 1`` requests (rounded down) in a burst. Further requests are admitted at
    equal intervals of ``1 / rate`` seconds.

    Parameters
    ----------
    rate
        Requests per second of each client.

    Examples
    --------
    >>> rates = Rates(2.0)
    >>> [rates.delay("ann", now) for now in (0.0, 0.0, 0.0, 0.0, 0.5)]
    [0.0, 0.0, 0.0, 0.5, 0.0]
    >>> rates.delay("bob", 0.5)
    0.0
    """

    def __init__(self, rate: float) -> None:
        self._interval = 1.0 / rate
        self._next: dict[str, float] = {}
        self._n_to_sweep = MIN_CLIENTS

    def delay(self, client: str, now: float) -> float:
        """Return the number of seconds after ``now`` at which a request of the client would be admitted.

        If the result is 0, the request is admitted and counted.
        """
        due = max(self._next.get(client, now), now)
        if due - now > BURST_SECONDS:
            return due - now - BURST_SECONDS
        if len(self._next) >= self._n_to_sweep:
            self._next = {other: at for other, at in self._next.items() if at > now}
            self._n_to_sweep = max(MIN_CLIENTS, 2 * len(self._next))
        self._next[client] = due + self._interval
        return 0.0
