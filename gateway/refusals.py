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

#: Lines in that time about one client, and about all: who proves nothing may not fill a disk.
MAX_LINES_PER_CLIENT = 10
MAX_LINES = 200

MAX_REMEMBERED = 1024

#: Which peer to trust is logged once in this time: it stays true for as long as nothing is changed.
PROXY_QUIET_S = 600.0

#: Clients that are told of one by one when their storms are over; the others are one line.
MAX_ENDED = 5

# Reasons that go on with what the peer sent, which may be another thing each time.
_PEERS_OWN_WORDS = "invalid connect params:"
MAX_FIELD = 200


@frozen
class Visitor:
    """What a log line says about who was refused; every field as the client sent it.

    Args:
        remote: The socket's remote end.
        client: The client address: who is behind a trusted proxy, else ``remote``.
    """

    conn_id: str
    remote: str
    client: str
    forwarded: str | None
    origin: str | None
    host: str | None
    user_agent: str | None


@define(eq=False)
class _Storm:
    since_s: float
    last_s: float = float("-inf")
    kept_back: int = 0
    lines: int = 0
    logged: set[str] = field(factory=set)


@define(eq=False)
class RefusalLog:
    """Writes ``closed before connect …`` lines, and what else an unknown peer gives cause to."""

    _of_client: OrderedDict[str, _Storm] = field(factory=OrderedDict)
    _of_all: _Storm = field(factory=lambda: _Storm(float("-inf")))
    # Peers that forward and are not trusted -> when the log named the command last.
    _proxies: OrderedDict[str, float] = field(factory=OrderedDict)
    _forgotten: int = 0

    def write(
        self,
        visitor: Visitor,
        close: Close,
        *,
        sentence: str = "",
        command: str | None = None,
        hint: str = "",
    ) -> bool:
        """Log one refusal; the grep-able form first, then the verdict in words and the command.

        Args:
            hint: The part of ``sentence`` that is about the peer, which is told once for all of
                the peer's clients.

        Returns:
            Whether there is a line of this very refusal, not only a count.
        """
        reason = close.reason
        if reason.startswith(_PEERS_OWN_WORDS):
            reason = reason.partition(":")[0]
        sort = f"{close.code} {reason}"
        hint = hint if hint in sentence else ""
        if hint and self._proxy_is_told(visitor.remote):
            sentence, hint = sentence.replace(hint, "", 1), ""
        parts = [_grep_form(visitor, close)]
        parts += [sentence] if sentence else []
        parts += [f"run: {command}"] if command else []
        logged = self._log(visitor.client, sort, visitor.conn_id, " ".join(parts))
        if hint and logged:
            self._note_proxy(visitor.remote)
        return logged

    def note(self, client: str, conn_id: str, text: str) -> bool:
        """Log what a peer did that was not even a handshake; tell whether there is a line of it."""
        return self._log(client, text, conn_id, f"conn={conn_id} remote={client} {text}")

    def note_proxy(self, peer: str, conn_id: str, text: str) -> None:
        """Log, once a peer and interval, that its forwarding headers are not believed."""
        if self._proxy_is_told(peer):
            return
        if self._log(f"proxy {peer}", "proxy", conn_id, f"conn={conn_id} remote={peer} {text}"):
            self._note_proxy(peer)

    def tell_ended(self) -> None:
        """Log what was kept back of storms that are over; called now and then."""
        now_s = trio.current_time()
        over = [
            client
            for client, storm in self._of_client.items()
            if now_s - storm.since_s >= QUIET_S and now_s - storm.last_s >= QUIET_S / 3
        ]
        held = [(client, self._of_client.pop(client).kept_back) for client in over]
        held = [(client, count) for client, count in held if count]
        for client, count in held[:MAX_ENDED]:
            logger.warning("%d more connections of %s were refused; quiet now", count, client)
        others = sum(count for _, count in held[MAX_ENDED:]) + self._forgotten
        self._forgotten = 0
        if others:
            logger.warning("%d more connections of other clients were refused", others)

    def _proxy_is_told(self, peer: str) -> bool:
        told_s = self._proxies.get(peer)
        return told_s is not None and trio.current_time() - told_s < PROXY_QUIET_S

    def _note_proxy(self, peer: str) -> None:
        self._proxies.pop(peer, None)
        self._proxies[peer] = trio.current_time()
        while len(self._proxies) > MAX_REMEMBERED:
            self._proxies.popitem(last=False)

    def _log(self, client: str, sort: str, conn_id: str, line: str) -> bool:
        now_s = trio.current_time()
        storm = self._storm_of(client, now_s)
        storm.last_s = now_s
        if now_s - self._of_all.since_s >= QUIET_S:
            self._of_all = _Storm(now_s)
        known = sort in storm.logged
        if known or len(storm.logged) >= MAX_LINES_PER_CLIENT or self._of_all.lines >= MAX_LINES:
            storm.kept_back += 1
            return False
        storm.logged.add(sort)
        self._of_all.lines += 1
        if storm.kept_back:
            line += f" ({storm.kept_back} more of this client since its last line)"
            storm.kept_back = 0
        logger.warning("%s", line, extra={"conn": conn_id})
        return True

    def _storm_of(self, client: str, now_s: float) -> _Storm:
        storm = self._of_client.pop(client, None)
        if storm is None or now_s - storm.since_s >= QUIET_S:
            storm = _Storm(now_s, kept_back=storm.kept_back if storm else 0)
        self._of_client[client] = storm
        while len(self._of_client) > MAX_REMEMBERED:
            self._forgotten += self._of_client.popitem(last=False)[1].kept_back
        return storm


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
