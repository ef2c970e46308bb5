"""How long to wait before asking again."""

from __future__ import annotations

import time

_SHARE = 0.1


class Waiting:
    """A wait, in which the pauses between two questions grow with it.

    Each is a tenth of the wait until then, so that the answer comes late by no more
    than that, and who waits for hours asks seldom: a server has hundreds of clients.

    Args:
        least: Seconds of the first pauses.
        most: Seconds that no pause exceeds.
    """

    def __init__(self, least: float, most: float) -> None:
        self._least = least
        self._most = most
        self._since = time.monotonic()

    def pause(self) -> float:
        """Gives how many seconds to wait now."""
        waited = time.monotonic() - self._since
        return min(max(self._least, _SHARE * waited), self._most)
