"""A hand-made client: own device keys, free choice of headers and frames, real sockets."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, field
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError

from stores.keys import KeyPair, key_pair_of_seed

ADMIN_SCOPES = ("operator.admin", "operator.approvals", "operator.pairing")


def key_of(number: int) -> KeyPair:
    """Return the key pair of a numbered test device."""
    return key_pair_of_seed(number.to_bytes(32, "big"))


def now_ms() -> int:
    """Return the wall time, epoch ms."""
    return time.time_ns() // 1_000_000


def connect_params(
    nonce: str | None,
    *,
    key: KeyPair | None = None,
    token: str | None = None,
    password: str | None = None,
    device_token: str | None = None,
    bootstrap_token: str | None = None,
    scopes: tuple[str, ...] | None = ADMIN_SCOPES,
    role: str = "operator",
    client_id: str = "cli",
    mode: str = "cli",
    platform: str = "linux",
    family: str | None = None,
    protocols: tuple[int, int] = (3, 4),
    version: int = 3,
    signed_at: int | None = None,
    awaiting: str | None = None,
) -> dict[str, Any]:
    """Return the parameters of a ``connect``, signed with ``key`` if there is one."""
    client: dict[str, Any] = {
        "id": client_id,
        "version": "test",
        "platform": platform,
        "mode": mode,
    }
    if family is not None:
        client["deviceFamily"] = family
    low, high = protocols
    params: dict[str, Any] = {"minProtocol": low, "maxProtocol": high, "client": client}
    params["role"] = role
    if scopes is not None:
        params["scopes"] = list(scopes)
    secrets = {"token": token, "password": password, "deviceToken": device_token}
    secrets["bootstrapToken"] = bootstrap_token
    auth = {name: value for name, value in secrets.items() if value is not None}
    if auth:
        params["auth"] = auth
    if awaiting is not None:
        params["awaiting"] = awaiting
    if key is not None:
        params["device"] = _device(key, params, nonce, version, signed_at)
    return params


def _device(
    key: KeyPair, params: dict[str, Any], nonce: str | None, version: int, signed_at: int | None
) -> dict[str, Any]:
    client, auth = params["client"], params.get("auth", {})
    at = now_ms() if signed_at is None else signed_at
    parts = [f"v{version}", key.device_id, client["id"], client["mode"], params["role"]]
    parts += [",".join(params.get("scopes", ())), str(at)]
    parts += [next((auth[n] for n in ("token", "deviceToken", "bootstrapToken") if n in auth), "")]
    if version >= 2:
        parts.append(nonce or "")
    if version >= 3:
        parts += [client["platform"].lower(), client.get("deviceFamily", "").lower()]
    device = {
        "id": key.device_id,
        "publicKey": key.public_key,
        "signature": key.sign("|".join(parts).encode()),
        "signedAt": at,
    }
    if nonce is not None:
        device["nonce"] = nonce
    return device


@define(eq=False)
class Wire:
    """An open WebSocket, and what came over it."""

    ws: WebSocketConnection
    challenge: dict[str, Any] = field(factory=dict)
    events: list[dict[str, Any]] = field(factory=list)
    hello: dict[str, Any] | None = None

    async def send(self, frame: Any) -> None:
        """Send a JSON frame, or text or bytes as they are."""
        await self.ws.send_message(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def receive(self) -> dict[str, Any]:
        """Return the next frame of any kind."""
        frame: dict[str, Any] = json.loads(await self.ws.get_message())
        return frame

    async def answer(self, request_id: str) -> dict[str, Any]:
        """Return the response to a request; events on the way are kept."""
        while True:
            frame = await self.receive()
            if frame["type"] == "res" and frame["id"] == request_id:
                return frame
            self.events.append(frame)

    async def event(self, name: str) -> dict[str, Any]:
        """Return the next event of that name, from those kept or those to come."""
        for kept in self.events:
            if kept.get("event") == name:
                self.events.remove(kept)
                return kept
        while True:
            frame = await self.receive()
            if frame["type"] == "event" and frame["event"] == name:
                return frame
            self.events.append(frame)

    async def call(self, method: str, params: Any = None) -> dict[str, Any]:
        """Send a request and return its response frame."""
        request_id = str(uuid.uuid4())
        frame = {"type": "req", "id": request_id, "method": method}
        await self.send(frame if params is None else frame | {"params": params})
        return await self.answer(request_id)

    async def result(self, method: str, params: Any = None) -> Any:
        """Send a request and return its payload; anything but success fails the test."""
        response = await self.call(method, params)
        assert response["ok"], response
        return response["payload"]

    async def connect(self, **wanted: Any) -> dict[str, Any]:
        """Send ``connect``; see `connect_params` for what may be wanted."""
        wanted.setdefault("nonce", self.challenge["nonce"])
        response = await self.call("connect", connect_params(wanted.pop("nonce"), **wanted))
        if response["ok"]:
            self.hello = response["payload"]
        return response

    async def closed(self) -> tuple[int, str]:
        """Wait for the close and return its code and reason."""
        try:
            while True:
                await self.ws.get_message()
        except ConnectionClosed as error:
            return _code_and_reason(error)


def _code_and_reason(error: ConnectionClosed) -> tuple[int, str]:
    reason = error.reason
    assert reason is not None
    return reason.code, reason.reason or ""


@asynccontextmanager
async def open_wire(
    port: int,
    *,
    host: str | None = None,
    origin: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    address: str = "127.0.0.1",
    source: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Wire]:
    """Open a WebSocket and receive its challenge.

    Args:
        host: The Host header, when it is not the address dialled.
        source: The local address to dial from.
        tls: Encrypt, and trust what this trusts.
    """
    extra = [(name.encode(), value.encode()) for name, value in headers]
    if origin is not None:
        extra.append((b"Origin", origin.encode()))
    stream = await trio.open_tcp_stream(address, port, local_address=source)
    line: trio.SocketStream | trio.SSLStream[trio.SocketStream] = stream
    if tls is not None:
        line = trio.SSLStream(stream, tls, server_hostname=address, https_compatible=True)
    # trio-websocket closes its stream only after a goodbye, and a goodbye may never come: the
    # socket is closed here, whatever was cancelled or failed, and without a checkpoint.
    leaving = False
    with stream.socket:
        try:
            async with trio.open_nursery() as nursery:
                ws = await wrap_client_stream(
                    nursery, line, host or f"{address}:{port}", "/", extra_headers=extra
                )
                wire = Wire(ws)
                wire.challenge = (await wire.receive())["payload"]
                try:
                    yield wire
                finally:
                    leaving = True
                    with trio.move_on_after(2, shield=True):
                        await ws.aclose()
                    # Last, and nothing awaited after it: a checkpoint here would raise Cancelled
                    # in place of what the body raised, and the test would pass whatever it asserts.
                    nursery.cancel_scope.cancel()
        except* LocalProtocolError:
            # A ping that crossed our goodbye: the library answers where nothing can be sent any more.
            if not leaving:
                raise


def requests_of(frames: list[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    """Yield the payloads of the events of one name."""
    return (frame["payload"] for frame in frames if frame.get("event") == name)
