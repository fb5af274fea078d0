"""The load: a client on a blocking socket, whose own CPU time is measured nowhere."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

import orjson

from benchmarks.processes import TOKEN
from gateway.protocol.frames import request
from gateway.protocol.signature import SignedFields, payload_v3
from stores.keys import KeyPair, key_pair_of_seed

SCOPES = ("operator.admin", "operator.approvals", "operator.pairing")
_MASK = b"\x37\xfa\x21\x3d"
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_WITHIN_S = 20.0


def key_of(number: int) -> KeyPair:
    """Return the key pair of a numbered device."""
    return key_pair_of_seed(number.to_bytes(32, "big"))


def _frame(kind: int, payload: bytes) -> bytes:
    """Return one masked frame (RFC 6455, section 5.2)."""
    size = len(payload)
    head = bytes((0x80 | kind, 0x80 | size)) if size < 126 else b""
    head = head or struct.pack("!BBH", 0x80 | kind, 0x80 | 126, size)
    mask = int.from_bytes((_MASK * (size // 4 + 1))[:size], "big")
    return head + _MASK + (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")


class Client:
    """One connection: open, challenged, and ready for a handshake."""

    def __init__(self, port: int, *, forwarded_for: str | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_WITHIN_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""
        try:
            self._nonce = self._opened(port, forwarded_for)
        except BaseException:
            self._socket.close()
            raise

    def _opened(self, port: int, forwarded_for: str | None) -> str:
        """Ask for the upgrade and return the nonce of the challenge."""
        extra = f"X-Forwarded-For: {forwarded_for}\r\n" if forwarded_for else ""
        self._socket.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\n{extra}\r\n".encode()
        )
        while b"\r\n\r\n" not in self._unread:
            self._fill()
        self._unread = self._unread.partition(b"\r\n\r\n")[2]
        nonce: str = self._receive()["payload"]["nonce"]
        return nonce

    def connect(self, key: KeyPair, *, commands: tuple[str, ...] = ()) -> dict[str, Any]:
        """Shake hands as an operator, or as a node with these commands; return the response."""
        at_ms = time.time_ns() // 1_000_000
        name, mode, role = ("node-host", "node", "node") if commands else ("cli", "cli", "operator")
        scopes = () if commands else SCOPES
        fields = SignedFields(key.device_id, name, mode, role, scopes, at_ms, TOKEN)
        text = payload_v3(fields, nonce=self._nonce, platform="linux", device_family=None)
        params = {
            "minProtocol": 3,
            "maxProtocol": 4,
            "client": {"id": name, "version": "1", "platform": "linux", "mode": mode},
            "role": role,
            "scopes": scopes,
            "auth": {"token": TOKEN},
            "device": {
                "id": key.device_id,
                "publicKey": key.public_key,
                "signature": key.sign(text.encode()),
                "signedAt": at_ms,
                "nonce": self._nonce,
            },
        }
        return self.call("connect", params | ({"commands": commands} if commands else {}))

    def call(self, method: str, params: Any = None) -> dict[str, Any]:
        """Send one request and return its response; events on the way are dropped."""
        return self.calls(method, {} if params is None else params, count=1)[0]

    def calls(self, method: str, params: Any, *, count: int) -> list[dict[str, Any]]:
        """Send ``count`` requests at once and return their responses."""
        self.send(method, params, count=count)
        return self.answers(count)

    def send(self, method: str, params: Any, *, count: int = 1) -> None:
        """Send requests without waiting for what is answered."""
        sent = [request(f"request-{number:04}", method, params) for number in range(count)]
        self._socket.sendall(b"".join(_frame(_TEXT, text.encode()) for text in sent))

    def answers(self, count: int = 1) -> list[dict[str, Any]]:
        """Return the next responses; events on the way are dropped."""
        answers: list[dict[str, Any]] = []
        while len(answers) < count:
            frame = self._receive()
            if frame["type"] == "res":
                answers.append(frame)
        return answers

    def event(self, name: str) -> dict[str, Any]:
        """Return the payload of the next event of that name; all else on the way is dropped."""
        while True:
            frame = self._receive()
            if frame.get("event") == name:
                payload: dict[str, Any] = frame["payload"]
                return payload

    def close(self) -> None:
        """Say goodbye and wait until the server has hung up."""
        try:
            self._socket.sendall(_frame(_CLOSE, b"\x03\xe8"))
            while self._socket.recv(65_536):
                pass
        finally:
            self._socket.close()

    def drop(self) -> None:
        """Hang up without a word."""
        self._socket.close()

    def _receive(self) -> dict[str, Any]:
        """Return the next text frame; pings are answered."""
        while True:
            kind, payload = self._next_frame()
            if kind == _TEXT:
                found: dict[str, Any] = orjson.loads(payload)
                return found
            if kind == _PING:
                self._socket.sendall(_frame(_PONG, payload))
            elif kind == _CLOSE:
                raise ConnectionError(f"closed by the server: {payload[2:].decode()}")

    def _next_frame(self) -> tuple[int, bytes]:
        while len(self._unread) < 2:
            self._fill()
        kind, size, begin = self._unread[0] & 0xF, self._unread[1], 2
        if size >= 126:
            begin = 4 if size == 126 else 10
            while len(self._unread) < begin:
                self._fill()
            size = int.from_bytes(self._unread[2:begin], "big")
        end = begin + size
        while len(self._unread) < end:
            self._fill()
        payload, self._unread = self._unread[begin:end], self._unread[end:]
        return kind, payload

    def _fill(self) -> None:
        data = self._socket.recv(65_536)
        if not data:
            raise ConnectionError("the server hung up")
        self._unread += data
