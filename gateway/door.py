"""What a connection meets on its way in, and what is known of it before it says a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import trio
from attrs import define, field, frozen

from gateway.keeper import Keeper
from gateway.lobby import Lobby, Seat
from gateway.peer_uid import peer_uid
from gateway.peers import looks_direct, shape_of
from gateway.policy.address import (
    ClientAddress,
    ForwardingHeaders,
    judge_locality,
    normalise_ip,
    obstacle,
    resolve_client,
)
from gateway.policy.credentials import Verdict
from gateway.policy.proxy_auth import is_signed, judge_identity
from gateway.policy.seen import IN_FULL, Lists, proxy_hint, saw_of
from gateway.policy.throttle import address_group
from gateway.protocol.close import Close
from gateway.refusals import RefusalLog, Visitor
from gateway.runtime import Runtime
from gateway.settings import Settings
from gateway.wrong_scheme import in_words
from stores.peers_seen import Shape
from stores.refusal_ring import ring_file

Header = tuple[bytes, bytes]
ROOT_UID = 0


@define(eq=False)
class Door:
    """The shared side: the runtime, the writer of the store, and what guards the entrance."""

    runtime: Runtime
    keeper: Keeper
    lobby: Lobby = field(factory=Lobby)
    refusals: RefusalLog = field(factory=RefusalLog)
    clock: Callable[[], float] = trio.current_time

    def __attrs_post_init__(self) -> None:
        self.lobby.made_room = self._log_made_room

    def _log_made_room(self, seat: Seat) -> None:
        text = "unauthenticated connections ended to make room: more than are allowed at once"
        self.refusals.note(seat.address or "behind a trusted proxy", "n/a", text)

    def tell_refusal(
        self,
        visit: Visit,
        close: Close,
        *,
        sentence: str = "",
        command: str | None = None,
        hint: str = "",
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """Log a refused connection, and keep it for those who ask why.

        Args:
            close: How it ended; of plain HTTP the status and its text.
            about: What is known of it beyond the head of its request; see `Refused`.
        """
        logged = self.refusals.write(
            visit.visitor(), close, sentence=sentence, command=command, hint=hint
        )
        entry: dict[str, Any] = {"connId": visit.conn_id, "code": str(close.code)}
        entry |= {"authenticated": False, **(about or {})}
        entry |= {"closeCode": close.code, "closeReason": close.reason}
        entry |= {"sentence": sentence, "command": command}
        entry.setdefault("saw", self._seen(visit))
        self.runtime.metrics.refused(str(entry["code"]))
        self.runtime.refusals.add(
            address_group(visit.address.client),
            entry,
            now_ms=self.runtime.now_ms(),
            logged=logged,
        )

    def tell_disagreement(self, conn_id: str, peer: str, text: str) -> None:
        """Log that a peer and this port do not agree on TLS, and keep it for those who ask why."""
        logged = self.refusals.note(peer, conn_id, text)
        self.runtime.metrics.refused("tls")
        sentence, command = in_words(text)
        entry = {"connId": conn_id, "code": "tls", "closeReason": text, "sentence": sentence}
        entry |= {"command": f"{self.runtime.words.local} {command}"}
        self.runtime.refusals.add(
            address_group(ip_address(peer.partition("%")[0])),
            entry | {"saw": {"peer": peer, "client": peer}},
            now_ms=self.runtime.now_ms(),
            logged=logged,
        )

    def tell_proxy(self, visit: Visit) -> None:
        """Log that the peer of an admitted connection forwards and is not trusted, if it does."""
        if visit.address.untrusted_proxy:
            advice = proxy_hint(visit.address, lists=visit.lists, program=self.runtime.words.local)
            text = f"sends forwarding headers and is not in gateway.trustedProxies{advice}"
            self.refusals.note_proxy(str(visit.address.peer), visit.conn_id, text)

    async def keep_refusals(self) -> None:
        """Serve for ever: keep the file of refusals, and tell of storms that are over."""
        runtime = self.runtime
        await runtime.refusals.keep_written(
            ring_file(runtime.paths.logs_dir),
            runtime.in_thread,
            each_round=self.refusals.tell_ended,
        )

    def _seen(self, visit: Visit) -> dict[str, Any]:
        locality = judge_locality(
            visit.address,
            host=visit.host,
            origin=visit.origin,
            machine_names=self.runtime.machine_names,
            peer_uid=None,
            uid_known=False,
            own_uid=self.runtime.own_uid,
        )
        return saw_of(visit.address, visit.host, visit.origin, locality, tier=IN_FULL)


@frozen
class Visit:
    """One connection before it is judged; ``settings`` are those it began with.

    ``peer`` and ``local`` are the (address, port) ends of the socket. ``identity`` is what the
    word of the proxy came to, in mode trusted-proxy alone.
    """

    conn_id: str
    peer: tuple[str, int]
    local: tuple[str, int]
    address: ClientAddress
    host: str | None
    origin: str | None
    user_agent: str | None
    settings: Settings
    identity: Verdict | None = None

    @property
    def lists(self) -> Lists:
        """What the configuration lists, for commands that add to it."""
        return Lists(self.settings.trusted, self.settings.allowed_origins)

    def visitor(self) -> Visitor:
        """Return what the log says about the connection."""
        return Visitor(
            conn_id=self.conn_id,
            remote=str(self.address.peer),
            client=str(self.address.client),
            forwarded=self.address.quoted,
            origin=self.origin,
            host=self.host,
            user_agent=self.user_agent,
        )


def begin_visit(
    door: Door,
    conn_id: str,
    peer: tuple[str, int],
    local: tuple[str, int],
    headers: Sequence[Header],
) -> Visit:
    """Return what the head of a request tells about a connection; header names are lower case."""
    settings = door.runtime.settings
    forwarding = ForwardingHeaders.from_headers(headers)
    address = resolve_client(
        ip_address(peer[0].partition("%")[0]),
        forwarding,
        settings.trusted,
        allow_real_ip=settings.allow_real_ip,
    )
    host, origin = _value(headers, b"host"), _value(headers, b"origin")
    if not looks_direct(address, host):
        shape = shape_of(address, host, origin, door.runtime.machine_names)
        if shape is not None:
            now_ms = door.runtime.now_ms()
            door.runtime.peers.note(
                address, forwarding, shape, host=host, origin=origin, now_ms=now_ms
            )
    return Visit(
        conn_id=conn_id,
        peer=peer,
        local=local,
        address=address,
        host=host,
        origin=origin,
        user_agent=_value(headers, b"user-agent"),
        settings=settings,
        identity=_identity(door, address, (peer, local), host, origin, headers),
    )


def _identity(
    door: Door,
    address: ClientAddress,
    ends: tuple[tuple[str, int], tuple[str, int]],
    host: str | None,
    origin: str | None,
    headers: Sequence[Header],
) -> Verdict | None:
    settings, runtime = door.runtime.settings, door.runtime
    if settings.proxy is None:
        return None
    peer, local = ends
    past = (
        not is_signed(settings.proxy, headers)
        and obstacle(address, host, origin, runtime.machine_names) is None
        and peer_uid(peer, local) in (runtime.own_uid, ROOT_UID)
    )
    return judge_identity(
        settings.proxy,
        settings.trusted,
        peer=address.peer,
        local_end=normalise_ip(local[0].partition("%")[0]) or address.peer,
        headers=headers,
        past=past,
    )


def note_lost_upgrade(door: Door, visit: Visit, headers: Sequence[Header]) -> None:
    """Count a handshake that lost a header on its way, for whoever looks after the proxy."""
    door.runtime.peers.note(
        visit.address,
        ForwardingHeaders.from_headers(headers),
        Shape.LOST_UPGRADE,
        host=visit.host,
        origin=visit.origin,
        now_ms=door.runtime.now_ms(),
    )


def _value(headers: Sequence[Header], name: bytes) -> str | None:
    """Return a header's value; of one sent twice all of it, so that no part can hide behind."""
    values = [value.decode("latin-1") for key, value in headers if key == name]
    return ", ".join(values) if values else None
