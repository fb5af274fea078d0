"""The log line of a connection that was closed before it was admitted, storms coalesced."""

from __future__ import annotations

import logging
from collections import OrderedDict

import trio
from attrs import define, field, frozen

from gateway.protocol.close import Close

logger = logging.getLogger("gateway.ws")

#: The same refusal of the same client is logged once in this time; the next line counts the rest.
QUIET_S = 30.0
MAX_REMEMBERED = 1024
MAX_FIELD = 200


@frozen
class Visitor:
    """What a log line says about who was refused; every field as the client sent it."""

    conn_id: str
    remote: str
    forwarded: str | None
    origin: str | None
    host: str | None
    user_agent: str | None


@define(eq=False)
class RefusalLog:
    """Writes ``closed before connect …`` lines."""

    _last: OrderedDict[tuple[str, str], list[float]] = field(factory=OrderedDict)

    def write(
        self, visitor: Visitor, close: Close, *, sentence: str = "", command: str | None = None
    ) -> None:
        """Log one refusal; the grep-able form first, then the verdict in words and the command."""
        key = (visitor.remote, close.reason)
        now_s = trio.current_time()
        seen = self._last.get(key)
        if seen is not None and now_s - seen[0] < QUIET_S:
            seen[1] += 1
            return
        repeated = int(seen[1]) if seen else 0
        self._last[key] = [now_s, 0]
        self._last.move_to_end(key)
        while len(self._last) > MAX_REMEMBERED:
            self._last.popitem(last=False)
        parts = [_grep_form(visitor, close)]
        parts += [sentence] if sentence else []
        parts += [f"run: {command}"] if command else []
        parts += [f"({repeated} more like this since the last line)"] if repeated else []
        logger.warning("%s", " ".join(parts), extra={"conn": visitor.conn_id})


def _grep_form(visitor: Visitor, close: Close) -> str:
    return (
        f"closed before connect conn={visitor.conn_id} remote={visitor.remote} "
        f"fwd={_short(visitor.forwarded)} origin={_short(visitor.origin)} "
        f"host={_short(visitor.host)} ua={_short(visitor.user_agent)} "
        f"code={close.code} reason={close.reason or 'n/a'}"
    )


def _short(text: str | None) -> str:
    if not text:
        return "n/a"
    return text if len(text) <= MAX_FIELD else text[:MAX_FIELD] + "..."
