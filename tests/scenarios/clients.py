"""Hand-made clients of real gateways: one knock, and all that came of it."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import trio
from attrs import frozen

from stores.keys import KeyPair
from tests.wire import connect_params, key_of, open_wire

READ = ("operator.read",)

#: What a proxy adds for a client somewhere on the internet.
FROM_AFAR = (("X-Forwarded-For", "203.0.113.9"),)

_numbers = itertools.count(1000)


def new_key() -> KeyPair:
    """Return the key pair of a device that no other test has seen."""
    return key_of(next(_numbers))


def stranger(token: str | None, **changes: Any) -> dict[str, Any]:
    """Return the words with which a new device from afar knocks: each from an address of its own."""
    number = next(_numbers)
    words = {"key": key_of(number), "token": token, "scopes": READ, "headers": FROM_AFAR}
    return words | {"source": f"127.0.{number // 200}.{number % 200 + 1}"} | changes


@frozen
class Knock:
    """How one ``connect`` was answered; ``answers`` are the responses to the calls after it.

    ``close`` is the code and reason of a connection that was refused.
    """

    response: dict[str, Any]
    close: tuple[int, str] | None
    answers: tuple[dict[str, Any], ...] = ()

    @property
    def admitted(self) -> bool:
        """Whether a hello came."""
        return self.response["ok"] is True

    @property
    def hello(self) -> dict[str, Any]:
        """The hello of an admitted connection; any other fails the test."""
        assert self.admitted, self.response
        hello: dict[str, Any] = self.response["payload"]
        return hello

    @property
    def auth(self) -> dict[str, Any]:
        """What the hello says about the session's rights."""
        auth: dict[str, Any] = self.hello["auth"]
        return auth

    @property
    def error(self) -> dict[str, Any]:
        """The error of a refused connection; an admitted one fails the test."""
        assert not self.admitted, self.response
        error: dict[str, Any] = self.response["error"]
        return error

    @property
    def details(self) -> dict[str, Any]:
        """The details of that error."""
        details: dict[str, Any] = self.error["details"]
        return details

    @property
    def request_id(self) -> str:
        """The id of the pending request that the refusal names."""
        assert self.details["code"] == "PAIRING_REQUIRED", self.error
        request_id: str = self.details["requestId"]
        return request_id


def knock(port: int, *calls: tuple[str, Any] | str, **wanted: Any) -> Knock:
    """Connect once, make the calls if admitted, and leave.

    Args:
        wanted: Of `open_wire` (host, origin, headers, …) and of `connect_params` (key, token, …).
    """
    return trio.run(partial(knocking, port, *calls, **wanted))


async def knocking(port: int, *calls: tuple[str, Any] | str, **wanted: Any) -> Knock:
    """Do what `knock` does, where an event loop runs already."""
    names = ("host", "origin", "headers", "address", "source")
    opening = {name: wanted.pop(name) for name in names if name in wanted}
    with trio.fail_after(20):
        async with open_wire(port, **opening) as wire:
            response = await wire.connect(**wanted)
            if not response["ok"]:
                return Knock(response, await wire.closed())
            pairs = [(call, None) if isinstance(call, str) else call for call in calls]
            answers = [await wire.call(method, params) for method, params in pairs]
            return Knock(response, None, tuple(answers))


@contextmanager
def mute_guest(port: int, token: str) -> Iterator[socket.socket]:
    """Open a session that reads its hello and from then on neither reads nor says goodbye."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as guest:
        guest.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        _read_until(guest, b"connect.challenge")
        params = connect_params(None, token=token, scopes=READ)
        frame = {"type": "req", "id": "1", "method": "connect", "params": params}
        payload = json.dumps(frame).encode()
        # RFC 6455, section 5.2: a masked text frame; a mask of zeros leaves the payload as it is.
        guest.sendall(b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload)
        _read_until(guest, b"hello-ok")
        yield guest


def _read_until(guest: socket.socket, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        data = guest.recv(65_536)
        assert data, seen
        seen += data
