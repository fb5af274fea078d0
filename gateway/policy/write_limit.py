"""How often one device, at one address, may change the configuration over the wire."""

from __future__ import annotations

from collections import deque

from attrs import define, field

#: Source: protocol fact, the limit for ``config.set``, ``config.patch`` and ``config.apply`` together.
MAX_WRITES = 30
WINDOW_S = 60.0

#: Writers remembered at most; the one that wrote least recently is forgotten first.
MAX_WRITERS = 1_000

Writer = tuple[str | None, str]


@define(eq=False)
class WriteLimit:
    """Counts attempts in a sliding window, refused ones too, by writer: (device id, address)."""

    _times_s: dict[Writer, deque[float]] = field(factory=dict)

    def wait_s(self, writer: Writer, now_s: float) -> float | None:
        """Count an attempt; return None if it may go on, else how long to wait."""
        times_s = self._times_s.pop(writer, deque())
        self._times_s[writer] = times_s  # the last one in the order
        if len(self._times_s) > MAX_WRITERS:
            del self._times_s[next(iter(self._times_s))]
        while times_s and times_s[0] <= now_s - WINDOW_S:
            times_s.popleft()
        if len(times_s) >= MAX_WRITES:
            return times_s[0] + WINDOW_S - now_s
        times_s.append(now_s)
        return None
