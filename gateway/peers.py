"""Which peers look like proxies: counted by what they send, for whoever sets up a proxy later.

Rule: a plain direct connection costs one look at its Host. Whoever can connect can be noted, so
everything is bounded, cut and escaped, and a note never makes anybody trusted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from attrs import define, evolve, field

from gateway.own_network import default_gateways
from gateway.policy.address import ClientAddress, ForwardingHeaders
from gateway.policy.origin import is_loopback_host, is_machine_name, parse_host, parse_origin
from gateway.policy.walk import printed
from stores.errors import StoreError
from stores.peers_seen import PeersSeen, Sample, Seen, Shape, read_peers, write_peers

if TYPE_CHECKING:
    from gateway.runtime import InThread  # which holds these notes

logger = logging.getLogger("gateway.peers")

MAX_PEERS = 64
MAX_SHAPES_PER_PEER = 8
MAX_SAMPLES = 3
MAX_LINES = 4
MAX_LINE_CHARACTERS = 256
MAX_NAMES = 16
MAX_NAME_CHARACTERS = 48

#: Counts reach the disk this often at most, s; what nobody had sent before, within `PROMPTLY_S`.
WRITE_EVERY_S = 60.0
PROMPTLY_S = 1.0

#: Nobody is remembered longer than this after the last sight of them, ms.
FORGET_AFTER_MS = 30 * 24 * 3600 * 1000

_Key = tuple[str, Shape, tuple[str, ...]]


def looks_direct(address: ClientAddress, host: str | None) -> bool:
    """Tell, at the price of a string comparison, that nothing stands in between here."""
    if address.forwarded:
        return False
    names_loopback = host is not None and host.startswith(("127.", "localhost", "[::1]"))
    return host is None or names_loopback is address.peer.is_loopback


def shape_of(
    address: ClientAddress, host: str | None, origin: str | None, machine_names: frozenset[str]
) -> Shape | None:
    """Return how a connection gives away that something stands in between; None if it does not."""
    if address.forwarded:
        return Shape.FORWARDED
    authority = parse_host(host)
    if authority is None:
        return None
    here = is_loopback_host(authority)
    if address.peer.is_loopback:
        ours = here or is_machine_name(authority, machine_names)
        return None if ours else Shape.FOREIGN_HOST
    page = parse_origin(origin)
    if here and (page is None or is_loopback_host(page.authority)):
        return Shape.LOOPBACK_HOST
    return None


@define(eq=False)
class PeerNotes:
    """What was seen, oldest sight first; bounded whoever connects.

    Args:
        clean: Takes secrets out of what a client said.
    """

    clean: Callable[[str], str] = str
    _seen: dict[_Key, Seen] = field(factory=dict)
    _changed: trio.Event = field(factory=trio.Event)
    _news: trio.Event = field(factory=trio.Event)
    # News is written promptly only while there was always room: a flood of made-up peers is not.
    _crowded: bool = False

    def __len__(self) -> int:
        return len(self._seen)

    def note(
        self,
        address: ClientAddress,
        headers: ForwardingHeaders,
        shape: Shape,
        *,
        host: str | None,
        origin: str | None,
        now_ms: int,
        owner: int | None = None,
    ) -> None:
        """Count one connection; ``owner`` is the uid its socket is of, where that gave it away."""
        names = tuple(printed(name)[:MAX_NAME_CHARACTERS] for name in headers.names[:MAX_NAMES])
        key = (str(address.peer), shape, names)
        known = self._seen.pop(key, None)
        if known is None:
            self._make_room(key[0])
            known = Seen(*key, count=0, first_ms=now_ms, last_ms=now_ms)
            if not self._crowded:
                self._news.set()
        sample = evolve(_sample(self.clean, headers, host, origin), owner=owner)
        samples = [one for one in known.samples if one != sample][1 - MAX_SAMPLES :]
        self._seen[key] = evolve(
            known, count=known.count + 1, last_ms=now_ms, samples=(*samples, sample)
        )
        self._changed.set()

    def _make_room(self, peer: str) -> None:
        """Forget the least often seen of what there would be too much of."""
        own = [key for key in self._seen if key[0] == peer]
        if len(own) >= MAX_SHAPES_PER_PEER:
            self._forget(own)
        elif not own and len({key[0] for key in self._seen}) >= MAX_PEERS:
            # A proxy is seen again and again; who was seen once was hardly one.
            often: dict[str, int] = {}
            for key, one in self._seen.items():
                often[key[0]] = often.get(key[0], 0) + one.count
            rarest = min(often, key=lambda name: often[name])
            for key in [key for key in self._seen if key[0] == rarest]:
                del self._seen[key]
            self._crowded = True

    def _forget(self, keys: list[_Key]) -> None:
        del self._seen[min(keys, key=lambda key: self._seen[key].count)]
        self._crowded = True

    def recall(self, peers: PeersSeen, *, now_ms: int) -> None:
        """Take in what an earlier run noted; what this one has seen already counts on top."""
        young_ms = now_ms - FORGET_AFTER_MS
        for one in peers.seen:
            key = (one.peer, one.shape, one.headers)
            if one.last_ms < young_ms:
                continue
            present = self._seen.get(key)
            if present is None:
                self._make_room(one.peer)
                samples = one.samples[-MAX_SAMPLES:]
                self._seen[key] = evolve(one, samples=samples)
            else:
                count = present.count + one.count
                self._seen[key] = evolve(present, count=count, first_ms=one.first_ms)

    def listing(self) -> PeersSeen:
        """Return what was seen, the latest first; reads the kernel's table of routes."""
        newest = tuple(sorted(self._seen.values(), key=lambda one: -one.last_ms))
        return PeersSeen(newest, tuple(sorted(map(str, default_gateways()))))

    async def keep(self, path: Path, in_thread: InThread, *, now_ms: Callable[[], int]) -> None:
        """Serve for ever: what was seen is on disk soon after, and once more at the end."""
        try:
            self.recall(await in_thread(_recalled, path), now_ms=now_ms())
        except StoreError as error:
            logger.warning("what was seen of proxies is lost: %s", error)
        try:
            while True:
                await self._changed.wait()
                with trio.move_on_after(WRITE_EVERY_S):
                    await self._news.wait()
                    await trio.sleep(PROMPTLY_S)
                await self._write(path, in_thread)
        finally:
            with trio.move_on_after(PROMPTLY_S, shield=True):
                await self._write(path, in_thread)

    async def _write(self, path: Path, in_thread: InThread) -> None:
        if not self._changed.is_set():
            return
        self._changed, self._news = trio.Event(), trio.Event()
        peers = self.listing()
        try:
            await in_thread(write_peers, path, peers)
        except StoreError as error:
            logger.warning("what was seen of proxies was not written: %s", error)


def _recalled(path: Path) -> PeersSeen:
    found = read_peers(path)
    return PeersSeen() if found is None else found


def _sample(
    clean: Callable[[str], str], headers: ForwardingHeaders, host: str | None, origin: str | None
) -> Sample:
    def shown(text: str) -> str:
        return printed(clean(text))

    return Sample(
        # The right end is what counts: nearest to the gateway.
        forwarded_for=tuple(
            shown(line)[-MAX_LINE_CHARACTERS:] for line in headers.forwarded_for[-MAX_LINES:]
        ),
        real_ip=tuple(shown(line)[:MAX_LINE_CHARACTERS] for line in headers.real_ip[:MAX_LINES]),
        host=None if host is None else shown(host)[:MAX_LINE_CHARACTERS],
        origin=None if origin is None else shown(origin)[:MAX_LINE_CHARACTERS],
    )
