"""A request to end in good order, from whoever has a reason: a signal, a deadline."""

from __future__ import annotations


class Stop:
    """Set once, seen by the flow whenever a worker asks for more.

    From then on no chunk is started; those under way end and are journalled, and then the flow raises what it was
    given. May be set from a signal handler or another thread.
    """

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def request(self, error: BaseException) -> None:
        """Ask for the end; the first request stands."""
        if self._error is None:
            self._error = error

    @property
    def error(self) -> BaseException | None:
        """What the flow is to raise, ``None`` where nobody asked for an end."""
        return self._error
